import type { GateVerdict } from "../domain/gate.ts";
import type { CommandGate } from "../gates/command.ts";
import { prove } from "../hive/prove.ts";
import { bootstrapGates } from "./gate-commands.ts";
import { gateWorkspaceId, seedAt, type RunContext } from "./run-context.ts";

/** Runs a gate on a commit that nobody of this run has touched. */
export type BaseJudge = (base: string, gate: CommandGate) => Promise<GateVerdict>;

/** Each pair of base and command is run once, however many tasks ask. */
export function makeBaseJudge(context: RunContext): BaseJudge {
  const known = new Map<string, Promise<GateVerdict>>();
  let count = 0;
  return (base, gate) => {
    const key = `${base} ${gate.gate} ${gate.command}`;
    const verdict =
      known.get(key) ??
      judge(context, base, gate, gateWorkspaceId(context.runId, `base-${(count += 1)}`));
    known.set(key, verdict);
    return verdict;
  };
}

async function judge(
  context: RunContext,
  base: string,
  gate: CommandGate,
  workspaceId: string,
): Promise<GateVerdict> {
  const proof = await prove({
    provider: context.provider,
    workspaceId,
    seed: seedAt(context, base, "base"),
    env: context.workEnv,
    gates: [...bootstrapGates(context.config), gate],
    signal: context.stop.signal,
  });
  const last = proof.verdicts.at(-1);
  if (last === undefined) throw new Error("a proof without a verdict");
  const bootstrapFailed = last.gate === "bootstrap" && !proof.passed;
  return bootstrapFailed ? { ...last, answer: "could-not-run" } : last;
}
