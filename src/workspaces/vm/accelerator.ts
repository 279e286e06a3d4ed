import { constants } from "node:fs";
import { access, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Result } from "../../domain/failure.ts";
import { writeFileAtomically } from "../../lib/atomic-file.ts";
import { codeOf } from "../workspace-failure.ts";
import { findTool, runTool } from "./tool.ts";

/** `kvm`: the processor runs the guest. `tcg`: QEMU translates it; ten times slower or more. */
export type AcceleratorKind = "kvm" | "tcg";

export const QEMU = "qemu-system-x86_64";

const VERSION_TIMEOUT_MS = 10_000;

const cacheSchema = z.object({
  boot: z.string(),
  /** The very file that QEMU was then: while it is that, nobody needs to ask for its version. */
  program: z.string().default(""),
  version: z.string(),
  accelerator: z.enum(["kvm", "tcg"]),
});

/** What this machine runs guests on. */
export interface Emulator {
  readonly version: string;
  readonly accelerator: AcceleratorKind;
  /** Whether a guest was booted with it; otherwise it is the better one that might work. */
  readonly isProved: boolean;
}

/** QEMU's version, and what a guest was booted with since this machine was; or what to try first. */
export async function findEmulator(cacheDir: string): Promise<Result<Emulator>> {
  const known = await readCache(fileIn(cacheDir));
  const program = describeProgram();
  if (known !== null && known.program === program && known.boot === (await bootId())) {
    const { version, accelerator } = known;
    return { ok: true, value: { version, accelerator, isProved: true } };
  }
  const asked = await runTool({ command: [QEMU, "--version"], timeoutMs: VERSION_TIMEOUT_MS });
  if (!asked.ok) return asked;
  const version = /version (\S+)/.exec(asked.value.toString())?.[1] ?? "unknown";
  if (known !== null && known.version === version && known.boot === (await bootId())) {
    return { ok: true, value: { version, accelerator: known.accelerator, isProved: true } };
  }
  const accelerator = (await mayUseKvm()) ? "kvm" : "tcg";
  return { ok: true, value: { version, accelerator, isProved: false } };
}

/** A guest came to its end of booting with it: nobody needs to try again until the next boot. */
export async function rememberEmulator(
  cacheDir: string,
  { version, accelerator }: Emulator,
): Promise<void> {
  await mkdir(cacheDir, { recursive: true });
  const content = JSON.stringify({
    boot: await bootId(),
    program: describeProgram(),
    version,
    accelerator,
  });
  await writeFileAtomically(fileIn(cacheDir), content);
}

/** Which file QEMU is; nobody's where it is missing, so that asking it tells so. */
function describeProgram(): string {
  const found = findTool(QEMU);
  return found === null ? "missing" : `${found.path} ${found.mtimeMs} ${found.size} ${found.ino}`;
}

function fileIn(cacheDir: string): string {
  return join(cacheDir, "accelerator.json");
}

async function bootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}

/** That the device is there says little where this machine is itself a guest: a boot will tell. */
async function mayUseKvm(): Promise<boolean> {
  try {
    await access("/dev/kvm", constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function readCache(file: string): Promise<z.infer<typeof cacheSchema> | null> {
  try {
    return cacheSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    const isExpected = codeOf(error) === "ENOENT" || error instanceof SyntaxError;
    if (isExpected || error instanceof z.ZodError) return null;
    throw error;
  }
}
