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
 * `details.reason` `no-match` or `several-matches` and how many `times` it is there, and as reading and writing do.
 */
export async function editFileIn(
  workspace: Pick<Workspace, "readFile" | "writeFile">,
  path: string,
  { from, to }: FileEdit,
): Promise<Result<void>> {
  if (from === "") return refuse(path, 0, "nothing to look for was given");
  const read = await workspace.readFile(path, { bytesMax: FILE_BYTES_MAX });
  if (!read.ok) return read;
  const content = read.value;
  const wanted = Buffer.from(from);
  const at = content.indexOf(wanted);
  if (at === -1) return refuse(path, 0, "does not hold the text to replace");
  if (content.indexOf(wanted, at + 1) !== -1) {
    const times = countOf(content, wanted);
    return refuse(path, times, `holds the text to replace ${times} times`);
  }
  const rest = content.subarray(at + wanted.length);
  const edited = Buffer.concat([content.subarray(0, at), Buffer.from(to), rest]);
  return workspace.writeFile(path, edited);
}

/** Overlapping ones too: each is a place where the text could be meant. */
function countOf(content: Buffer, wanted: Buffer): number {
  let times = 0;
  for (let at = content.indexOf(wanted); at !== -1; at = content.indexOf(wanted, at + 1))
    times += 1;
  return times;
}

function refuse(path: string, times: number, message: string): Result<void> {
  const hint = "give more of the lines around it, exactly as they are";
  const reason = times === 0 ? "no-match" : "several-matches";
  return workspaceFailure(`${path}: ${message}`, { hint, details: { path, reason, times } });
}
