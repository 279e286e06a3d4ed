export interface GitStatus {
  branch: string | null;
  head: string | null;
  upstream: string | null;
  ahead: number;
  behind: number;
  staged: string[];
  modified: string[];
  untracked: string[];
  conflicted: string[];
  dirty: boolean;
}

const AHEAD_BEHIND = /^\+(\d+) -(\d+)$/;

/** Fields before the path, by the first word of an entry. */
const FIELDS: Readonly<Record<string, number>> = { "1": 8, "2": 9, "u": 10 };

/** What `git status --porcelain=v2 --branch -z` says. */
export function parseStatus(text: string): GitStatus {
  const status: GitStatus = {
    branch: null,
    head: null,
    upstream: null,
    ahead: 0,
    behind: 0,
    staged: [],
    modified: [],
    untracked: [],
    conflicted: [],
    dirty: false,
  };
  const entries = text.split("\0");
  for (let at = 0; at < entries.length; at += 1) {
    const entry = entries[at] ?? "";
    if (entry.startsWith("# ")) readHeader(status, entry.slice(2));
    else if (entry.startsWith("? ")) status.untracked.push(entry.slice(2));
    else if (FIELDS[entry.slice(0, 1)] !== undefined) readChange(status, entry);
    // A renamed file's old path follows as an entry of its own.
    if (entry.startsWith("2 ")) at += 1;
  }
  const { staged, modified, untracked, conflicted } = status;
  status.dirty = [staged, modified, untracked, conflicted].some((files) => files.length > 0);
  return status;
}

function readHeader(status: GitStatus, header: string): void {
  const [name = "", ...rest] = header.split(" ");
  const value = rest.join(" ");
  if (name === "branch.oid") status.head = value === "(initial)" ? null : value;
  if (name === "branch.head") status.branch = value === "(detached)" ? null : value;
  if (name === "branch.upstream") status.upstream = value;
  if (name === "branch.ab") {
    const [, ahead = "0", behind = "0"] = AHEAD_BEHIND.exec(value) ?? [];
    status.ahead = Number(ahead);
    status.behind = Number(behind);
  }
}

function readChange(status: GitStatus, entry: string): void {
  const words = entry.split(" ");
  const [kind = "", states = ".."] = words;
  const path = words.slice(FIELDS[kind] ?? 0).join(" ");
  if (kind === "u") {
    status.conflicted.push(path);
    return;
  }
  if (states[0] !== ".") status.staged.push(path);
  if (states[1] !== ".") status.modified.push(path);
}
