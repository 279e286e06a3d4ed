import type { Result } from "../domain/failure.ts";
import { changeFrontMatter, readFrontMatter, splitNote, type FrontMatter } from "./front-matter.ts";
import { VAULT_LIMITS } from "./limits.ts";
import { noteFailure } from "./note-path.ts";
import { startPattern } from "./patterns.ts";
import { gather, searchVault, type SearchAnswer, type SearchRequest } from "./search.ts";
import { allTags, changeTags, tagsOf, type NoteTags } from "./tags.ts";
import { openVaultFiles } from "./vault-files.ts";
import type { Listing, MoveTarget, NoteChange, NoteEntry } from "./vault-files.ts";

export interface Note {
  readonly path: string;
  readonly text: string;
  readonly body: string;
  /** Empty where there is none, or one that cannot be read; `problem` says which. */
  readonly frontMatter: FrontMatter;
  readonly problem: string | null;
  readonly tags: readonly string[];
}

export interface WriteRequest {
  readonly path: string;
  readonly content: string;
  readonly mode: "overwrite" | "append" | "prepend" | "create";
}

export interface Written {
  readonly path: string;
  readonly bytes: number;
  readonly created: boolean;
}

export interface ReplaceRequest {
  readonly path: string;
  readonly search: string;
  readonly replacement: string;
  readonly isPattern: boolean;
}

export interface VaultStats {
  readonly notes: number;
  readonly folders: number;
  readonly bytes: number;
  /** The most used first. */
  readonly tags: readonly { readonly tag: string; readonly notes: number }[];
  readonly recent: readonly NoteEntry[];
}

type Batch = readonly { readonly path: string; readonly note: Result<Note> }[];

/** Shared markdown notes in a folder: what every face does with them. Each answer is a `Result`. */
export interface Vault {
  read(path: string): Promise<Result<Note>>;
  readMany(paths: readonly string[]): Promise<Batch>;
  write(request: WriteRequest): Promise<Result<Written>>;
  remove(path: string): Promise<Result<void>>;
  move(from: string, to: MoveTarget): Promise<Result<void>>;
  list(folder: string, options: { readonly recursive: boolean }): Promise<Result<Listing>>;
  search(request: SearchRequest): Promise<Result<SearchAnswer>>;
  stats(recentMax: number): Promise<Result<VaultStats>>;
  setFrontMatter(path: string, key: string, value: unknown): Promise<Result<FrontMatter>>;
  tags(path: string): Promise<Result<NoteTags>>;
  changeTags(
    path: string,
    change: { readonly add?: string; readonly remove?: string },
  ): Promise<Result<NoteTags>>;
  /** Answers how often it was there. */
  replace(request: ReplaceRequest): Promise<Result<number>>;
  /** Rewrites a note while nobody else does; see `VaultFiles.update`. */
  update<T>(path: string, change: NoteChange<T>): Promise<Result<T>>;
}

export function openVault(root: string): Vault {
  const files = openVaultFiles(root);
  const read = async (path: string): Promise<Result<Note>> => {
    const text = await files.read(path);
    return text.ok ? { ok: true, value: toNote(path, text.value) } : text;
  };
  /** Changes the text of a note that there is. */
  const edit = <T>(
    path: string,
    change: (text: string) => Promise<Result<{ readonly text: string; readonly value: T }>>,
  ): Promise<Result<T>> =>
    files.update(path, (text) => (text === null ? missing(path) : change(text)));
  return {
    read,
    readMany: (paths) => readMany(read, paths),
    write: (request) =>
      files.update(request.path, (text) => Promise.resolve(written(request, text))),
    remove: (path) => files.remove(path),
    move: (from, to) => files.move(from, to),
    list: (folder, options) => files.list(folder, options),
    search: (request) => searchVault(files, request),
    stats: async (recentMax) => {
      const gathered = await gather(files, { folder: "", tag: null });
      const listed = await files.list("", { recursive: true });
      if (!gathered.ok) return gathered;
      return listed.ok
        ? { ok: true, value: count(gathered.value.texts, listed.value, recentMax) }
        : listed;
    },
    setFrontMatter: (path, key, value) =>
      edit(path, async (text) => {
        const changed = changeFrontMatter(text, key, value);
        if (!changed.ok) return changed;
        const after = readFrontMatter(changed.value);
        return after.ok ? { ok: true, value: { text: changed.value, value: after.value } } : after;
      }),
    tags: async (path) => {
      const text = await files.read(path);
      return text.ok ? { ok: true, value: tagsOf(text.value) } : text;
    },
    changeTags: (path, change) =>
      edit(path, async (text) => {
        const changed = changeTags(text, change);
        if (!changed.ok) return changed;
        return { ok: true, value: { text: changed.value, value: tagsOf(changed.value) } };
      }),
    replace: (request) => edit(request.path, (text) => replaced(request, text)),
    update: (path, change) => files.update(path, change),
  };
}

function toNote(path: string, text: string): Note {
  const front = readFrontMatter(text);
  return {
    path,
    text,
    body: splitNote(text).body,
    frontMatter: front.ok ? front.value : {},
    problem: front.ok ? null : front.failure.message,
    tags: allTags(tagsOf(text)),
  };
}

async function readMany(
  read: (path: string) => Promise<Result<Note>>,
  paths: readonly string[],
): Promise<Batch> {
  const batch: { path: string; note: Result<Note> }[] = [];
  let bytes = 0;
  for (const path of paths) {
    const note = await read(path);
    bytes += note.ok ? Buffer.byteLength(note.value.text) : 0;
    const problem = `is left out: over ${VAULT_LIMITS.batchBytes} bytes were asked for at once`;
    const isOver = bytes > VAULT_LIMITS.batchBytes;
    const left = { ok: false as const, failure: noteFailure("note-invalid", path, problem) };
    batch.push({ path, note: isOver ? left : note });
  }
  return batch;
}

/** New text goes below the front matter when it is prepended, and begins on a line of its own. */
function written({ path, content, mode }: WriteRequest, before: string | null) {
  const result = (text: string) => {
    const value = { path, bytes: Buffer.byteLength(text), created: before === null };
    return { ok: true as const, value: { text, value } };
  };
  if (before === null || mode === "overwrite") return result(content);
  if (mode === "create") {
    const failure = noteFailure("note-exists", path, "is there already", "overwrite or append");
    return { ok: false as const, failure };
  }
  const apart = (text: string): string => (text === "" || text.endsWith("\n") ? text : `${text}\n`);
  if (mode === "append") return result(`${apart(before)}${content}`);
  const { body } = splitNote(before);
  const front = before.slice(0, before.length - body.length);
  return result(`${apart(front)}${apart(content)}${body}`);
}

async function replaced({ path, search, replacement, isPattern }: ReplaceRequest, text: string) {
  if (!isPattern) {
    const count = text.split(search).length - 1;
    if (count === 0) return notThere(path);
    const value = { text: text.replaceAll(search, () => replacement), value: count };
    return { ok: true as const, value };
  }
  const pattern = startPattern(search, "gmu");
  if (!pattern.ok) return pattern;
  await using runner = pattern.value;
  const answer = await runner.run(text, replacement);
  if (!answer.ok) return answer;
  const { count, text: after } = answer.value;
  if (count === 0 || after === null) return notThere(path);
  return { ok: true as const, value: { text: after, value: count } };
}

function count(
  texts: ReadonlyMap<string, string>,
  listing: Listing,
  recentMax: number,
): VaultStats {
  const tags = new Map<string, number>();
  for (const text of texts.values()) {
    for (const tag of allTags(tagsOf(text))) tags.set(tag, (tags.get(tag) ?? 0) + 1);
  }
  const byUse = [...tags].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  return {
    notes: listing.notes.length,
    folders: listing.folders.length,
    bytes: listing.notes.reduce((sum, { bytes }) => sum + bytes, 0),
    tags: byUse.slice(0, VAULT_LIMITS.tags).map(([tag, notes]) => ({ tag, notes })),
    recent: listing.notes
      .toSorted((one, other) => other.modifiedMs - one.modifiedMs)
      .slice(0, recentMax),
  };
}

async function missing(path: string): Promise<Result<never>> {
  const hint = "`mycelium vault list` shows what there is";
  return { ok: false, failure: noteFailure("note-missing", path, "does not exist", hint) };
}

function notThere(path: string): Result<never> {
  return { ok: false, failure: noteFailure("note-invalid", path, "does not hold what to replace") };
}
