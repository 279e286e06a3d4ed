import { mkdir, realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Refusal } from "../../domain/failure.ts";
import { writeFileAtomically } from "../../lib/atomic-file.ts";
import { readTextFile } from "../../lib/text-file.ts";

export type FileState = "written" | "replaced" | "unchanged";

/** A file that belongs to somebody else, and what is to become of it. */
export interface FileChange {
  readonly file: string;
  /** Who may read it where it is new; otherwise that stays as it is. */
  readonly newMode: number | undefined;
  /** What is to stand in it, from what does (`null`: there is none). Throws what is refused. */
  readonly edit: (text: string | null) => { readonly text: string; readonly state: FileState };
}

const BYTES_MAX = 64 * 1024 * 1024;
/** Of a file that somebody else keeps changing. */
const TRIES_MAX = 5;

/** What would become of the file. Changes nothing. */
export async function planChange({ file, edit }: FileChange) {
  const before = await readWhole(file);
  return { before, ...edit(before) };
}

/**
 * Changes the file in one step. A file that is a link stays one: what it leads to is changed. If
 * somebody else changes the file meanwhile, theirs is kept and edited anew.
 */
export async function changeFile(change: FileChange): Promise<FileState> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const { before, text, state } = await planChange(change);
    if (state === "unchanged") return state;
    await mkdir(dirname(change.file), { recursive: true });
    const file = before === null ? change.file : await realpath(change.file);
    const mode = before === null ? change.newMode : (await stat(file)).mode & 0o777;
    if ((await readWhole(change.file)) !== before) continue;
    await writeFileAtomically(file, text, mode === undefined ? {} : { mode });
    return state;
  }
  throw new Refusal("config-invalid", `${change.file} was changed ${TRIES_MAX} times meanwhile`, {
    hint: "end the program that writes it, and try again",
    details: { path: change.file },
  });
}

async function readWhole(path: string): Promise<string | null> {
  const file = await readTextFile(path, { bytesMax: BYTES_MAX, followLinks: true });
  if (file.ok) return file.text;
  if (file.reason === "missing") return null;
  throw new Refusal("config-invalid", `${path} ${file.message}`, {
    hint: "move it away",
    details: { path },
  });
}
