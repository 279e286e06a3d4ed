import type { Result } from "../domain/failure.ts";
import { workspaceFailure } from "./workspace-failure.ts";

const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,199}$/;
const VALUE_BYTES_MAX = 100_000;
const VARIABLES_MAX = 1_000;
/** By these a workspace's processes are known. */
const RESERVED = /^MYCELIUM_/;
/** What takes every later command over; a single command may be given them. */
const TAKING_OVER = /^(?:PATH|IFS|ENV|BASH_ENV|LD_.*)$/;

export type Variables = Readonly<Record<string, string>>;

/** The old variables with the new ones, whatever kind the workspace is of. */
export function withVariables(old: Variables, added: Variables): Result<Variables> {
  for (const [name, value] of Object.entries(added)) {
    const problem = findProblem(name, value);
    if (problem !== null) {
      return workspaceFailure(`the variable ${JSON.stringify(name)} ${problem}`, {
        details: { name, reason: "invalid" },
      });
    }
  }
  const all = { ...old, ...added };
  if (Object.keys(all).length <= VARIABLES_MAX) return { ok: true, value: all };
  return workspaceFailure(`a workspace has at most ${VARIABLES_MAX} variables`);
}

/** Names that are not set are no error. */
export function withoutVariables(old: Variables, names: readonly string[]): Variables {
  return Object.fromEntries(Object.entries(old).filter(([name]) => !names.includes(name)));
}

function findProblem(name: string, value: string): string | null {
  if (!NAME.test(name)) return "is no name: letters, digits and '_' make one";
  if (RESERVED.test(name)) return "is Mycelium's own";
  if (TAKING_OVER.test(name)) return "can be given to a single command only";
  if (value.includes("\0")) return "holds a NUL character";
  return Buffer.byteLength(value) > VALUE_BYTES_MAX ? `is over ${VALUE_BYTES_MAX} bytes` : null;
}
