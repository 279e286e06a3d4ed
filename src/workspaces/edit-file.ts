import type { Result } from "../domain/failure.ts";
import type { Workspace } from "./workspace.ts";
import { workspaceFailure } from "./workspace-failure.ts";

const FILE_BYTES_MAX = 64 * 1024 * 1024;

export interface FileEdit {
  readonly from: string;
  readonly to: string;
}

/**
 * Replaces the only occurrence of a text, whatever kind the workspace is of. Refuses with
 * `details.reason` `no-match` or `several-matches`, and as reading and writing do.
 */
export async function editFileIn(
  workspace: Pick<Workspace, "readFile" | "writeFile">,
  path: string,
  { from, to }: FileEdit,
): Promise<Result<void>> {
  if (from === "") return refuse(path, "no-match", "nothing to look for was given");
  const read = await workspace.readFile(path, { bytesMax: FILE_BYTES_MAX });
  if (!read.ok) return read;
  const content = read.value;
  const wanted = Buffer.from(from);
  const at = content.indexOf(wanted);
  if (at === -1) return refuse(path, "no-match", "does not hold the text to replace");
  if (content.indexOf(wanted, at + 1) !== -1) {
    return refuse(path, "several-matches", "holds the text to replace more than once");
  }
  const rest = content.subarray(at + wanted.length);
  const edited = Buffer.concat([content.subarray(0, at), Buffer.from(to), rest]);
  return workspace.writeFile(path, edited);
}

function refuse(path: string, reason: string, message: string): Result<void> {
  const hint = "give more of the lines around it, exactly as they are";
  return workspaceFailure(`${path}: ${message}`, { hint, details: { path, reason } });
}
