import { expect } from "vitest";
import type {
  ExecRequest,
  ExecResult,
  Workspace,
  WorkspaceProvider,
} from "../../src/workspaces/workspace.ts";
import type { SeedRepository } from "./seed-repository.ts";

/** A provider with a place of its own, for one test. */
export interface ProviderRig extends AsyncDisposable {
  readonly provider: WorkspaceProvider;
  /** Leaves a workspace as it is when its maker was killed half-way. */
  leaveHalfMade(id: string): Promise<void>;
}

/** What every test of the contract starts from. */
export interface ContractMeans {
  readonly makeRig: () => Promise<ProviderRig>;
  readonly seed: () => SeedRepository;
}

export const ENV = { PATH: "/usr/local/bin:/usr/bin:/bin", GREETING: "hello" };

export async function makeWorkspace(
  { provider }: ProviderRig,
  seed: SeedRepository,
  id = "one",
): Promise<Workspace> {
  const { gitDir, objectFormat, head: commit } = seed;
  const made = await provider.create({
    id,
    seed: { gitDir, objectFormat, commit, branch: "task/one" },
    env: ENV,
  });
  if (!made.ok) throw new Error(made.failure.message);
  return made.value;
}

export function sh(
  workspace: Workspace,
  command: string,
  request: Partial<ExecRequest> = {},
): Promise<ExecResult> {
  return workspace.exec({ command, timeoutMs: 60_000, ...request });
}

/** The output of a command that must succeed. */
export async function output(workspace: Workspace, command: string): Promise<string> {
  const { ending, stdout, stderr } = await sh(workspace, command);
  expect({ ending, stderr: stderr.text }).toEqual({
    ending: { kind: "exited", code: 0 },
    stderr: "",
  });
  return stdout.text.trim();
}

/** Says its pid in `file` once it ignores SIGTERM, and stays, in a session of its own. */
export const stubborn = (file: string): string =>
  `setsid sh -c 'trap "" TERM HUP; echo $$ > ${file}.new; mv ${file}.new ${file}; while :; do sleep 0.05; done'`;

/**
 * Whether a `stubborn` of that file runs. One that ended but was not waited for runs no more, and
 * neither does another process that has its number by now: not even the shell that asks, which is why
 * the name is not written here as it stands in a `stubborn`.
 */
export async function isRunning(workspace: Workspace, file: string): Promise<boolean> {
  const command = `case "$(ps -o stat= -o args= -p "$(cat ${file})")" in
    Z*) exit 1;; *${file}".new"*) ;; *) exit 1;; esac`;
  const { ending } = await sh(workspace, command);
  return ending.kind === "exited" && ending.code === 0;
}
