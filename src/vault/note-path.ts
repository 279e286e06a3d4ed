import type { Failure, Result } from "../domain/failure.ts";
import { VAULT_LIMITS } from "./limits.ts";

const EXTENSION = ".md";

/** Control characters, those that turn or hide text, and halves of characters. */
const UNSEEN = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u200B-\u200F\u202A-\u202E\u2060-\u2069\uFEFF\\]/u;

const HINT = "a path is like plans/api-spec.md: relative, with / between its parts";

/** Of a note: ends in `.md`, stands below the vault's top, and is written one way only. */
export function checkNotePath(path: string): Result<string> {
  const checked = checkPath(path);
  if (!checked.ok || checked.value.toLowerCase().endsWith(EXTENSION)) return checked;
  return invalid(path, `does not end in ${EXTENSION}`, `call it ${path}${EXTENSION}`);
}

/** Of a folder in the vault; the vault itself is the empty path. */
export function checkFolderPath(path: string): Result<string> {
  const trimmed = path === "." || path === "/" ? "" : path.replace(/\/$/, "");
  return trimmed === "" ? { ok: true, value: "" } : checkPath(trimmed);
}

function checkPath(path: string): Result<string> {
  const problem = findProblem(path);
  return problem === null ? { ok: true, value: path.normalize("NFC") } : invalid(path, problem);
}

function findProblem(path: string): string | null {
  if (path === "") return "is empty";
  if (Buffer.byteLength(path) > VAULT_LIMITS.pathBytes) {
    return `is longer than ${VAULT_LIMITS.pathBytes} bytes`;
  }
  if (path.startsWith("/")) return "is absolute";
  if (UNSEEN.test(path)) return "holds a character that is not allowed";
  const segments = path.split("/");
  if (segments.length > VAULT_LIMITS.depth) return `is deeper than ${VAULT_LIMITS.depth} folders`;
  for (const segment of segments) {
    if (segment === "") return "has an empty part";
    if (segment === "..") return "leads out of the vault";
    if (segment.startsWith(".")) return "has a hidden part, which is not the vault's";
    if (segment !== segment.trim()) return "has a part that begins or ends with white space";
    if (Buffer.byteLength(segment) > VAULT_LIMITS.segmentBytes) {
      return `has a part of more than ${VAULT_LIMITS.segmentBytes} bytes`;
    }
  }
  return null;
}

function invalid(path: string, problem: string, hint = HINT): Result<never> {
  const shown = path.length > 100 ? `${path.slice(0, 100)}…` : path;
  return { ok: false, failure: noteFailure("note-invalid", shown, problem, hint) };
}

export function noteFailure(
  code: "note-invalid" | "note-missing" | "note-exists" | "vault-failed",
  path: string,
  problem: string,
  hint: string | null = null,
): Failure {
  const message = `the note ${JSON.stringify(path)} ${problem}`;
  return { code, message, details: { path }, hint };
}
