import { copyFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { agentFiles, AGENT_SOURCES, KERNEL_MODULES } from "./image-recipe.ts";
import {
  CHARACTER_DEVICE,
  FOLDER,
  packInitramfs,
  PLAIN_FILE,
  PROGRAM,
  type ArchiveEntry,
} from "./initramfs.ts";
import { runTool } from "./tool.ts";

const COMPILE_TIMEOUT_MS = 120_000;
const COMPILER_HINT = "apt-get install gcc libc6-dev";

/** Copies the kernel out of its unpacked package to `target`. */
export async function takeKernel(unpacked: string, target: string): Promise<Result<void>> {
  const boot = join(unpacked, "boot");
  const name = (await readdir(boot)).find((entry) => entry.startsWith("vmlinuz-"));
  if (name === undefined) return workspaceFailure("the kernel's package holds no kernel");
  await copyFile(join(boot, name), target);
  return { ok: true, value: undefined };
}

/** What the kernel starts with: the agent as its first process, and the modules to find the disk. */
export async function makeInitramfs(unpacked: string): Promise<Result<Buffer>> {
  const modules = await readModules(unpacked);
  if (!modules.ok) return modules;
  const agent = await compileAgent();
  if (!agent.ok) return agent;
  const names = modules.value.map(({ path }) => `${basename(path)}\n`).join("");
  return {
    ok: true,
    value: packInitramfs([
      ...["dev", "proc", "sys", "root", "modules"].map((path) => ({ path, mode: FOLDER })),
      { path: "dev/console", mode: CHARACTER_DEVICE, device: [5, 1] },
      { path: "init", mode: PROGRAM, content: agent.value },
      ...modules.value,
      { path: "modules/list", mode: PLAIN_FILE, content: Buffer.from(names) },
    ]),
  };
}

async function readModules(unpacked: string): Promise<Result<readonly ArchiveEntry[]>> {
  const found = new Map<string, string>();
  for (const path of await readdir(join(unpacked, "lib/modules"), { recursive: true })) {
    const match = /([^/]+)\.ko(?:\.xz)?$/.exec(path);
    if (match?.[1] !== undefined) found.set(match[1].replaceAll("-", "_"), path);
  }
  const entries: ArchiveEntry[] = [];
  for (const name of KERNEL_MODULES) {
    const path = found.get(name.replaceAll("-", "_"));
    // What is not a module is built in.
    if (path === undefined) continue;
    const content = await readModule(join(unpacked, "lib/modules", path));
    if (!content.ok) return content;
    entries.push({ path: `modules/${name}.ko`, mode: PLAIN_FILE, content: content.value });
  }
  return { ok: true, value: entries };
}

async function readModule(path: string): Promise<Result<Buffer>> {
  if (!path.endsWith(".xz")) return { ok: true, value: await readFile(path) };
  return runTool({ command: ["xz", "-dc", path], timeoutMs: COMPILE_TIMEOUT_MS });
}

/** One static program, so that it needs nothing of the system that it starts. */
async function compileAgent(): Promise<Result<Buffer>> {
  const folder = await mkdtemp("/tmp/mycelium-agent-");
  const target = join(folder, "agent");
  try {
    const sources = agentFiles()
      .filter((name) => name.endsWith(".c"))
      .map((name) => join(AGENT_SOURCES, name));
    const options = ["-std=gnu11", "-Os", "-s", "-static", "-o", target] as const;
    const built = await runTool({
      command: ["cc", ...options, ...sources],
      timeoutMs: COMPILE_TIMEOUT_MS,
    });
    if (built.ok) return { ok: true, value: await readFile(target) };
    const { message } = built.failure;
    return workspaceFailure(`the guest's agent cannot be compiled: ${message}`, {
      hint: COMPILER_HINT,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
