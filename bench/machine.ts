import { cpus, loadavg, release, totalmem } from "node:os";
import { runProcess } from "../src/lib/process.ts";

const GIGABYTE = 1_000_000_000;

/** What a reader must know of a machine before comparing figures with their own. */
export async function describeMachine(
  env: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const processors = cpus();
  const git = await runProcess({
    command: ["git", "--version"],
    cwd: "/",
    env,
    timeoutMs: 10_000,
    outputBytesMax: 1_000,
  });
  return {
    "processor": `${processors[0]?.model.trim() ?? "unknown"}, ${processors.length} cores`,
    "memory": `${(totalmem() / GIGABYTE).toFixed(0)} GB`,
    "kernel": `${process.platform} ${release()}`,
    "git": git.stdout.bytes.toString().replace("git version", "").trim(),
    "node": process.version,
    "load before": loadavg()[0]?.toFixed(2) ?? "unknown",
  };
}
