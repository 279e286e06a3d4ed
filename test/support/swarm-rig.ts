import { dirname, join } from "node:path";
import type { z } from "zod";
import { readEnvironment } from "../../src/config/environment.ts";
import { OPERATIONS, perform, type OperationContext } from "../../src/control/operations.ts";
import type { Operation } from "../../src/control/operation.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { runProcess } from "../../src/lib/process.ts";
import { VM_CACHE } from "./vm-rig.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { ENV } from "./workspace-rig.ts";

/** As an agent would prepare a golden: a repository with a commit, at a snapshot. */
export const GOLDEN_COMMANDS = [
  "mkdir -p data && echo ready > data/flag",
  "git init -q -b main && git config user.email test@test.invalid && git config user.name Test",
  "git add . && git commit -q -m init",
] as const;

export interface SwarmRig extends AsyncDisposable {
  readonly home: string;
  context(more?: Partial<OperationContext>): OperationContext;
  ask<I extends z.ZodType, O extends z.ZodType>(
    operation: Operation<I, O>,
    input: z.input<I>,
    more?: Partial<OperationContext>,
  ): Promise<z.output<O>>;
  /** What a command in a workspace says; it must succeed. */
  say(workspace: string, command: string): Promise<string>;
  names(): Promise<readonly string[]>;
}

/** In a home, as a person at its command line. */
export function contextAt(
  home: string,
  more: Readonly<Record<string, string>> = {},
): OperationContext {
  const cwd = dirname(home);
  const variables = { PATH: ENV.PATH, MYCELIUM_HOME: home, HOME: cwd, ...more };
  return {
    session: { id: "person", kind: "person" },
    environment: readEnvironment({ variables, cwd }),
    cwd,
    configFile: undefined,
    clock: systemClock,
    signal: new AbortController().signal,
    onEvent: () => undefined,
    onStart: () => undefined,
    version: "0.0.0",
  };
}

/** What a process of its own does until it is killed at a moment. */
export interface SwarmDoing {
  readonly home: string;
  readonly crashAt: string;
  readonly operation: "runSwarmTasks" | "resumeSwarmRun" | "cancelSwarmRun";
  readonly input: object;
}

/** Starts such a process and answers how it ended. */
export async function swarmUntilKilled(doing: SwarmDoing): Promise<string> {
  const { ending, stderr } = await runProcess({
    command: [process.execPath, import.meta.filename, JSON.stringify(doing)],
    cwd: "/",
    env: { PATH: ENV.PATH },
    timeoutMs: 120_000,
    outputBytesMax: 10_000,
  });
  return ending.kind === "signalled" ? ending.signal : `not killed: ${stderr.bytes.toString()}`;
}

/** A home with the workspace `prep-golden` and its snapshot `golden`. */
export async function swarmRig(
  kind: "local" | "sandbox" | "docker" | "vm" = "local",
): Promise<SwarmRig> {
  const folder = await temporaryFolder();
  const home = join(folder.path, "home");
  const context = (more: Partial<OperationContext> = {}): OperationContext => ({
    ...contextAt(home, kind === "vm" ? { MYCELIUM_CACHE: VM_CACHE } : {}),
    ...more,
  });
  const rig: SwarmRig = {
    home,
    context,
    ask: (operation, input, more) => perform(operation, context(more), input),
    say: async (name, command) => {
      const { ending, stdout, stderr } = await rig.ask(OPERATIONS.execInWorkspace, {
        name,
        command,
      });
      if (ending.code === 0) return stdout.text.trim();
      throw new Error(`${command}: ${JSON.stringify(ending)} ${stderr.text}`);
    },
    names: async () => {
      const { workspaces } = await rig.ask(OPERATIONS.listWorkspaces, {});
      return workspaces.map(({ name }) => name);
    },
    [Symbol.asyncDispose]: async () => {
      for (const name of await rig.names()) await rig.ask(OPERATIONS.destroyWorkspace, { name });
      const { snapshots } = await rig.ask(OPERATIONS.listSnapshots, {});
      for (const { id } of snapshots.toReversed())
        await rig.ask(OPERATIONS.deleteSnapshot, { snapshot: id });
      await folder[Symbol.asyncDispose]();
    },
  };
  await rig.ask(OPERATIONS.createWorkspace, { name: "prep-golden", kind });
  for (const command of GOLDEN_COMMANDS) await rig.say("prep-golden", command);
  await rig.ask(OPERATIONS.createSnapshot, { name: "prep-golden", snapshot: "golden" });
  return rig;
}

if (process.argv[1] === import.meta.filename) {
  const { home, crashAt, operation, input } = JSON.parse(process.argv[2] ?? "") as SwarmDoing;
  const asked: Operation = OPERATIONS[operation];
  await perform(asked, contextAt(home, { MYCELIUM_CRASH_AT: crashAt }), input);
}
