import type { NewEvent } from "../domain/event.ts";
import type { GateVerdict } from "../domain/gate.ts";

/** A verdict as the log tells it. */
export function gateEvent(verdict: GateVerdict, commit: string | null): NewEvent {
  return {
    type: "gate.decided",
    payload: {
      gate: verdict.gate,
      answer: verdict.answer,
      reason: verdict.reason,
      command: verdict.command,
      exit_code: verdict.exitCode,
      duration_ms: verdict.durationMs,
      log_digest: verdict.logDigest,
      commit,
      output_tail: verdict.outputTail,
    },
  };
}
