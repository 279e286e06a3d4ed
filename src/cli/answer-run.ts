import type { resume } from "../control/operations/resume.ts";
import type { run, RunEnd } from "../control/operations/run.ts";
import { openProgress } from "./progress/progress.ts";
import { renderRunReport } from "./render/run-report.ts";
import type { Session } from "./session.ts";

/** Conducts a run with its progress on stderr, and prints how it ended. */
export async function answerRun(
  session: Session,
  operation: typeof run | typeof resume,
  input: object,
): Promise<number> {
  const progress = openProgress(session);
  let end: RunEnd;
  try {
    end = await session.perform(operation, input, progress.listeners);
  } finally {
    await progress.close();
  }
  session.answer(end.exit_code === 0 ? end : { ok: false, ...end, error: errorOf(end) }, (style) =>
    renderRunReport(end, style),
  );
  return end.exit_code;
}

/** A run that did not come to its end, as programs are told of any other error. */
function errorOf({ run_id, stop, next }: RunEnd): object {
  const code = stop?.reason ?? "internal";
  return { code, message: stop?.message ?? "", details: { run_id }, hint: next };
}
