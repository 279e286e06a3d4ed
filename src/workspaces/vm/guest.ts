import { posix } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { workspaceFailure } from "../workspace-failure.ts";

/** Where things are in a guest. */
export const REPOSITORY = "/workspace";

/** What a workspace has beside its repository. */
const BESIDE = "/home/agent";
export const CONTEXT = `${BESIDE}/context`;
export const OUTBOX = `${BESIDE}/outbox`;

/** Nothing outside of these is reached by paths of files; `guest/agent.h` says the same. */
const ROOTS = [REPOSITORY, BESIDE];

/** The folders that every workspace has. */
export const FOLDERS = [REPOSITORY, CONTEXT, OUTBOX, `${BESIDE}/tmp`];

/** A folder for each background command. */
export const JOBS = `${BESIDE}/jobs`;

/** Of the host, and wrong in a guest. */
const NOT_PASSED_ON = new Set(["PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"]);

/** What commands in a guest get: its own places, and what the request says beyond them. */
export function guestEnvironment(
  given: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  return {
    ...Object.fromEntries(Object.entries(given).filter(([name]) => !NOT_PASSED_ON.has(name))),
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: BESIDE,
    USER: "root",
    TMPDIR: `${BESIDE}/tmp`,
    GIT_CEILING_DIRECTORIES: "/:/home",
  };
}

/** An absolute path in the guest; what follows its links there decides whether it is inside. */
export function guestPath(path: string): Result<string> {
  const absolute = posix.resolve(REPOSITORY, path);
  const isInside = ROOTS.some((root) => `${absolute}/`.startsWith(`${root}/`));
  if (isInside && !path.includes("\0")) return { ok: true, value: absolute };
  const details = { path, reason: "outside" };
  return workspaceFailure(`${path}: leads out of the workspace`, { details });
}
