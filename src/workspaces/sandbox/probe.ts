import { randomUUID } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../../lib/process.ts";
import { removeFolder } from "../remove-folder.ts";
import type { WorkspaceProbe } from "../workspace.ts";
import { TREE } from "./base-layer.ts";
import { openCgroups } from "./cgroups.ts";
import { findProgram, HOST_PATH } from "./host-path.ts";
import { giveAwayTree, outsideUser } from "./outside-user.ts";
import { canStage } from "./stage-program.ts";
import { startCommand } from "./start.ts";

const NEEDED = [
  ["bwrap", "bubblewrap"],
  ["nsenter", "util-linux"],
  ["perl", "perl"],
  ["git", "git"],
] as const;

const TIMEOUT_MS = 20_000;

/** Starts a sandbox over an overlay and ends it: nothing else tells whether the kernel allows it. */
export async function probeSandbox(): Promise<WorkspaceProbe> {
  for (const [program, installed] of NEEDED) {
    if (findProgram(program) === null) {
      return { kind: "missing", what: program, hint: `install it: apt-get install ${installed}` };
    }
  }
  if (!canStage()) {
    const hint = "use a docker or vm workspace";
    return { kind: "missing", what: `a sandbox for processors like ${process.arch}`, hint };
  }
  const root = mkdtempSync(join(tmpdir(), "mycelium-probe-"));
  try {
    const said = await tryOne(root);
    if (said === "works\n") return { kind: "available", details: await describe() };
    const hint = "the kernel must allow user namespaces and overlays in them, or run as root";
    return { kind: "missing", what: `a sandbox does not start: ${said.trim()}`, hint };
  } finally {
    await removeFolder(root, TIMEOUT_MS);
  }
}

async function tryOne(root: string): Promise<string> {
  for (const part of TREE) await mkdir(join(root, "lower", part), { recursive: true });
  for (const part of ["upper", "work"]) await mkdir(join(root, part));
  giveAwayTree([join(root, "lower"), join(root, "upper")]);
  const tree = { kind: "layers", lower: ["lower"], upper: "upper", work: "work" } as const;
  const shown = { seedFiles: null, objects: [], hostname: "probe", machineId: "" };
  const script = "echo works > file && exec cat file";
  const command = startCommand({ root, tree, ...shown, network: "none" }, [
    "--die-with-parent",
    "--",
    "/bin/sh",
    "-c",
    script,
  ]);
  const { stdout, stderr } = await runProcess({
    command,
    cwd: "/",
    env: { PATH: HOST_PATH },
    timeoutMs: TIMEOUT_MS,
    outputBytesMax: 4096,
  });
  return `${stdout.bytes.toString()}${stderr.bytes.toString()}`;
}

async function describe(): Promise<string> {
  const held = await heldTogether();
  const how = outsideUser().isRoot ? "started as root" : "without root";
  const limits = held.length === 0 ? "none; each process has its own" : held.join(", ");
  return `bubblewrap, overlays, ${how}; limits for all processes together: ${limits}`;
}

async function heldTogether(): Promise<readonly string[]> {
  const cgroups = openCgroups(`probe-${randomUUID()}`, { cpus: 1, memoryMb: 64, pids: 64 });
  const held = [...cgroups.held].toSorted();
  await cgroups.remove();
  return held;
}
