/**
 * What a gate can answer. Only `pass` lands unaided; nothing may overrule the other three.
 *
 * - `fail`: it ran, and said no.
 * - `fails-on-base-too`: it said no, and says no without the change as well (proved by running it there).
 * - `could-not-run`: it gave no verdict (program missing, killed from outside). Never excused.
 */
export const GATE_ANSWERS = ["pass", "fail", "fails-on-base-too", "could-not-run"] as const;

export type GateAnswer = (typeof GATE_ANSWERS)[number];

/** One gate's verdict with its evidence, as it stands in events and receipts. */
export interface GateVerdict {
  readonly gate: "manifest" | "budget" | "bootstrap" | "lint" | "fast" | "doctor";
  readonly answer: GateAnswer;
  /** Why, in one sentence for people. */
  readonly reason: string;
  /** The command that was run, where the gate is one. */
  readonly command: string | null;
  readonly exitCode: number | null;
  readonly durationMs: number;
  /** SHA-256 of the whole output, hexadecimal. */
  readonly logDigest: string | null;
  /** The end of the output, for people and for the next try. */
  readonly outputTail: string;
}
