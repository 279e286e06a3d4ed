import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestProject } from "vitest/node";
import { runProcess } from "../../src/lib/process.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const PACK_TIMEOUT_MS = 120_000;
const OUTPUT_BYTES_MAX = 1_000_000;

declare module "vitest" {
  interface ProvidedContext {
    /** `bin/mycelium.js` of the unpacked tarball: what a user would run. */
    readonly program: string;
    readonly tarball: string;
  }
}

/** Packs the program once, as `npm publish` would, and unpacks it beside its dependencies. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "mycelium-packed-"));
  const name = (
    await run(["npm", "pack", "--ignore-scripts", "--pack-destination", folder])
  ).trim();
  const tarball = join(folder, name.split("\n").at(-1) ?? "");
  await run(["tar", "-xzf", tarball, "-C", folder]);
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  project.provide("program", join(folder, "package", "bin", "mycelium.js"));
  project.provide("tarball", tarball);
  return () => rm(folder, { recursive: true, force: true });
}

async function run(command: readonly [string, ...string[]]): Promise<string> {
  const env = { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "" };
  const result = await runProcess({
    command,
    cwd: ROOT,
    env,
    timeoutMs: PACK_TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  if (result.ending.kind === "exited" && result.ending.code === 0) {
    return result.stdout.bytes.toString("utf8");
  }
  throw new Error(`${command.join(" ")}: ${result.stderr.bytes.toString("utf8")}`);
}
