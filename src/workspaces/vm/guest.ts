import { posix } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { workspaceFailure } from "../workspace-failure.ts";

/** Where things are in a guest. */
export const WORKSPACE_ROOT = "/workspace";
export const REPOSITORY = `${WORKSPACE_ROOT}/repository`;
export const CONTEXT = `${WORKSPACE_ROOT}/context`;
export const OUTBOX = `${WORKSPACE_ROOT}/outbox`;

/** A folder for each background command. */
export const JOBS = `${WORKSPACE_ROOT}/jobs`;

/** Of the host, and wrong in a guest. */
const NOT_PASSED_ON = new Set(["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"]);

/** What commands in a guest get: its own places, and what the request says beyond them. */
export function guestEnvironment(
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return {
    ...Object.fromEntries(Object.entries(given).filter(([name]) => !NOT_PASSED_ON.has(name))),
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: `${WORKSPACE_ROOT}/home`,
    USER: "root",
    TMPDIR: `${WORKSPACE_ROOT}/tmp`,
    GIT_CEILING_DIRECTORIES: WORKSPACE_ROOT,
  };
}

/** An absolute path in the guest; what follows its links there decides whether it is inside. */
export function guestPath(path: string): Result<string> {
  const absolute = posix.resolve(REPOSITORY, path);
  const isInside = absolute === WORKSPACE_ROOT || absolute.startsWith(`${WORKSPACE_ROOT}/`);
  if (isInside && !path.includes("\0")) return { ok: true, value: absolute };
  const details = { path, reason: "outside" };
  return workspaceFailure(`${path}: leads out of the workspace`, { details });
}
