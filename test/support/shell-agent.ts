import { expect } from "vitest";
import type { CliOptions, CliResult, Sandbox, TaskDraft } from "./cli.ts";

/** An agent that does what its task's spec says, as a shell script. */
export const SHELL_AGENT = {
  agent: "shell",
  agents: { shell: { command: 'exec /bin/sh "$MYCELIUM_SPEC_FILE"', reports_usage: false } },
  max_attempts: 1,
  landing: { linger_seconds: 0 },
} as const;

export const HONEST = {
  id: "honest",
  spec: "echo done > honest.txt\n",
  files: { writes: ["honest.txt"] },
} as const satisfies TaskDraft;

export interface HostileRun extends CliOptions {
  readonly settings?: Readonly<Record<string, unknown>>;
  /** What the manifest allows; `hostile.txt` where it is left out. */
  readonly writes?: readonly string[];
}

/** Runs a script as the agent of task `hostile`, with an honest task in the same run. */
export async function runHostile(
  sandbox: Sandbox,
  script: string,
  { settings, writes = ["hostile.txt"], ...options }: HostileRun = {},
): Promise<CliResult> {
  await sandbox.configure({ ...SHELL_AGENT, ...settings });
  await sandbox.tasks([{ id: "hostile", spec: `${script}\n`, files: { writes } }, HONEST]);
  return sandbox.mycelium(["run", "--run-id", "r1"], options);
}

/** Ids of the tasks that landed, by the trailers on the branch. */
export async function landedTasks(sandbox: Sandbox): Promise<readonly string[]> {
  const format = "--format=%(trailers:key=Mycelium-Task,valueonly,separator=)";
  const lines = (await sandbox.repository.git("log", format, "main")).split("\n");
  return lines.filter((line) => line !== "").toSorted();
}

/** The hostile task failed for this reason and the honest one landed; the repository is whole. */
export async function expectOnlyHonest(
  sandbox: Sandbox,
  run: CliResult,
  reason: string,
): Promise<void> {
  expect(run, run.stderr).toMatchObject({ code: 1, signal: null });
  expect(sandbox.state("r1")).toMatchObject({
    status: "failed",
    stop_reason: "task-failed",
    tasks: [
      { id: "honest", state: "complete" },
      { id: "hostile", state: "failed", reason, landed_commit: null },
    ],
  });
  expect(await landedTasks(sandbox)).toEqual(["honest"]);
  expect(run.stdout + run.stderr).toContain(reason);
  expect(run.stderr).not.toContain("    at ");
  await expectWhole(sandbox);
}

/** Both landed, and the repository is whole. */
export async function expectBoth(sandbox: Sandbox, run: CliResult): Promise<void> {
  expect(run, run.stderr).toMatchObject({ code: 0, signal: null });
  expect(await landedTasks(sandbox)).toEqual(["honest", "hostile"]);
  await expectWhole(sandbox);
}

/** Nothing is broken or missing in the user's repository, and the checkout is at the tip. */
export async function expectWhole({ repository }: Sandbox): Promise<void> {
  await repository.git("fsck", "--full", "--strict", "--no-dangling");
  expect(await repository.git("status", "--porcelain", "--untracked-files=no")).toBe("");
  expect(await repository.git("rev-list", "--objects", "--all", "--missing=print")).not.toMatch(
    /^\?/m,
  );
}
