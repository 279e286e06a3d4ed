import type { Failure, FailureCode, FailureContext } from "../domain/failure.ts";

const DISK_HINT = "free some space, then `mycelium resume`";

/** A failure of a workspace, or of the disk below it where the text or the error says so. */
export function workspaceFailure(
  message: string,
  context: FailureContext = {},
): { readonly ok: false; readonly failure: Failure } {
  const details = context.details ?? {};
  const isDiskFull =
    /No space left on device|Disk quota exceeded/i.test(message) ||
    ["ENOSPC", "EDQUOT"].includes(codeOf(context.cause));
  const failure: Failure = isDiskFull
    ? { code: "disk-full", message, details, hint: DISK_HINT }
    : { code: "workspace-failed", message, details, hint: context.hint ?? null };
  return { ok: false, failure };
}

/** The system's name of an error, such as `ENOENT`; empty for any other. */
export function codeOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" ? code : "";
}

const UNSETTLED = "unsettled";

/** What nobody could find out the end of: it may have left something, which the sweep takes away. */
export function asUnsettled(failure: Failure): Failure {
  return { ...failure, details: { ...failure.details, reason: UNSETTLED } };
}

export function isUnsettled({ details }: Failure): boolean {
  return details["reason"] === UNSETTLED;
}

/** A failure that is told apart by its code, such as `workspace-stopped`. */
export function failureWith(
  code: FailureCode,
  message: string,
  context: FailureContext = {},
): { readonly ok: false; readonly failure: Failure } {
  const { details = {}, hint = null } = context;
  return { ok: false, failure: { code, message, details, hint } };
}
