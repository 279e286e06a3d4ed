import { cpus, loadavg, release, totalmem } from "node:os";
import { runProcess } from "../src/lib/process.ts";

const GIGABYTE = 1_000_000_000;

export interface MachineRequest {
  /** Where the repositories and Mycelium's home are while they are measured. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/** What a reader must know of a machine before comparing figures with their own. */
export async function describeMachine(
  request: MachineRequest,
): Promise<Readonly<Record<string, string>>> {
  const processors = cpus();
  const git = await ask(request, ["git", "--version"]);
  return {
    "processor": `${processors[0]?.model.trim() ?? "unknown"}, ${processors.length} cores`,
    "memory": `${(totalmem() / GIGABYTE).toFixed(0)} GB`,
    "file system": await ask(request, ["stat", "--file-system", "--format=%T", "."]),
    "kernel": `${process.platform} ${release()}`,
    "git": git.replace("git version ", ""),
    "node": process.version,
    "load before": loadavg()[0]?.toFixed(2) ?? "unknown",
  };
}

async function ask(
  { folder, env }: MachineRequest,
  command: readonly [string, ...string[]],
): Promise<string> {
  const { stdout } = await runProcess({
    command,
    cwd: folder,
    env,
    timeoutMs: 10_000,
    outputBytesMax: 1_000,
  });
  return stdout.bytes.toString().trim() || "unknown";
}
