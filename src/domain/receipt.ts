import { z } from "zod";
import { GATE_ANSWERS } from "./gate.ts";
import { usageSchema } from "./usage.ts";

/**
 * The proof that goes with a landed commit: what was landed, who made it, and which gates said yes
 * to it. Kept as a git note under `refs/notes/mycelium`.
 */
export const receiptSchema = z.strictObject({
  v: z.literal(1),
  run: z.string(),
  task: z.string(),
  attempt: z.number().int().positive(),
  /** Never issued twice in one store. */
  token: z.number().int().positive(),
  commit: z.string(),
  tree: z.string(),
  /** The tip of the integration branch that this commit was put on. */
  parent: z.string(),
  /** The worker's commit, and the base that it was made on. */
  source: z.strictObject({ commit: z.string(), base: z.string() }),
  agent: z.string(),
  usage: usageSchema,
  /** SHA-256 of the manifest as it was when its gate passed. */
  manifest_digest: z.string(),
  /** The gates of the attempt, on the worker's own commit. */
  attempt_gates: z.array(z.lazy(() => gateReceiptSchema)),
  /** The gates of the landing, on exactly the commit that the branch was moved to. */
  landing: z.strictObject({
    base: z.string(),
    tip: z.string(),
    tasks: z.array(z.string()),
    gates: z.array(z.lazy(() => gateReceiptSchema)),
  }),
  mycelium: z.string(),
  at: z.string(),
});

const gateReceiptSchema = z.strictObject({
  gate: z.string(),
  answer: z.enum(GATE_ANSWERS),
  command: z.string().nullable(),
  exit_code: z.number().int().nullable(),
  duration_ms: z.number().int(),
  log_digest: z.string().nullable(),
});

export type Receipt = z.infer<typeof receiptSchema>;
export type GateReceipt = z.infer<typeof gateReceiptSchema>;

/** Trailers of a landed commit's message: they survive a rebase, and find it again after a crash. */
export const TRAILERS = {
  run: "Mycelium-Run",
  task: "Mycelium-Task",
  attempt: "Mycelium-Attempt",
} as const;
