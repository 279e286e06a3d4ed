import type { GateVerdict } from "../domain/gate.ts";
import { runCommandGate, type CommandGate } from "../gates/command.ts";
import type { Workspace, WorkspaceProvider, WorkspaceSeed } from "../workspaces/workspace.ts";

export interface Proof {
  /** The verdicts in order, up to the first that is not a pass. */
  readonly verdicts: readonly GateVerdict[];
  readonly passed: boolean;
}

export interface ProofRequest {
  readonly provider: WorkspaceProvider;
  readonly workspaceId: string;
  readonly seed: WorkspaceSeed;
  readonly env: Readonly<Record<string, string>>;
  readonly gates: readonly CommandGate[];
  readonly signal: AbortSignal;
}

/** Runs gates on exactly one commit, in a fresh checkout that nobody worked in, and removes it. */
export async function prove(request: ProofRequest): Promise<Proof> {
  // An earlier process may have died in the middle of this very proof.
  await request.provider.remove(request.workspaceId);
  const made = await request.provider.create({
    id: request.workspaceId,
    seed: request.seed,
    env: request.env,
  });
  if (!made.ok) {
    return { passed: false, verdicts: [couldNotRun(request.gates, made.failure.message)] };
  }
  try {
    return await runGates(made.value, request.gates, request.signal);
  } finally {
    await made.value.destroy();
  }
}

/** One after the other; the first that does not pass is the last to run. */
export async function runGates(
  workspace: Workspace,
  gates: readonly CommandGate[],
  signal: AbortSignal,
): Promise<Proof> {
  const verdicts: GateVerdict[] = [];
  for (const gate of gates) {
    const verdict = await runCommandGate({ ...gate, workspace, signal, env: {} });
    verdicts.push(verdict);
    if (verdict.answer !== "pass") return { verdicts, passed: false };
  }
  return { verdicts, passed: true };
}

function couldNotRun(gates: readonly CommandGate[], reason: string): GateVerdict {
  return {
    gate: gates.at(-1)?.gate ?? "doctor",
    answer: "could-not-run",
    reason: `no fresh checkout: ${reason}`,
    command: gates.at(-1)?.command ?? null,
    exitCode: null,
    durationMs: 0,
    logDigest: null,
    outputTail: "",
  };
}
