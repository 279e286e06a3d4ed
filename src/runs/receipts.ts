import { createHash } from "node:crypto";
import { z } from "zod";
import type { GateVerdict } from "../domain/gate.ts";
import { receiptSchema, type GateReceipt, type Receipt } from "../domain/receipt.ts";
import { timestamp } from "../lib/clock.ts";
import { requireSource, tipOf, type Candidate, type Link } from "./candidate.ts";
import type { RunContext } from "./run-context.ts";

/** A receipt for each commit of a candidate that has passed. */
export function receiptsOf(
  context: RunContext,
  candidate: Candidate,
  verdicts: readonly GateVerdict[],
): readonly Receipt[] {
  const landing = {
    base: candidate.base,
    tip: tipOf(candidate),
    tasks: candidate.links.map(({ task }) => task.row.task_id),
    gates: verdicts.map(gateReceipt),
  };
  return candidate.links.map((link) =>
    receiptSchema.parse({
      ...receiptOf(context, link),
      landing,
      at: timestamp(context.store.clock),
    }),
  );
}

function receiptOf(context: RunContext, link: Link): Omit<Receipt, "landing" | "at"> {
  const { task, attempt } = link;
  return {
    v: 1,
    run: context.runId,
    task: task.row.task_id,
    attempt: attempt.number,
    token: attempt.token,
    commit: link.commit,
    tree: link.tree,
    parent: link.parent,
    source: { commit: requireSource(task), base: task.row.source_base ?? link.parent },
    agent: attempt.agent,
    usage: {
      input_tokens: attempt.input_tokens,
      cached_input_tokens: attempt.cached_input_tokens,
      output_tokens: attempt.output_tokens,
      reasoning_output_tokens: attempt.reasoning_output_tokens,
      cost_usd: attempt.usage_reported === 1 ? attempt.cost_usd : null,
    },
    manifest_digest: createHash("sha256").update(JSON.stringify(task.manifest)).digest("hex"),
    attempt_gates: verdictsSchema.parse(JSON.parse(attempt.verdicts)).map(gateReceipt),
    mycelium: context.version,
  };
}

/** As it stands in the note: for people with `git notes --ref=mycelium show` as well. */
export function formatReceipt(receipt: Receipt): string {
  return `${JSON.stringify(receipt, null, 2)}\n`;
}

const verdictsSchema = z.array(
  z.custom<GateVerdict>((value) => typeof value === "object" && value !== null),
);

function gateReceipt(verdict: GateVerdict): GateReceipt {
  return {
    gate: verdict.gate,
    answer: verdict.answer,
    command: verdict.command,
    exit_code: verdict.exitCode,
    duration_ms: verdict.durationMs,
    log_digest: verdict.logDigest,
  };
}
