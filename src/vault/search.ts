import type { Result } from "../domain/failure.ts";
import { VAULT_LIMITS } from "./limits.ts";
import { startPattern } from "./patterns.ts";
import { rank, wordsOf } from "./ranking.ts";
import { allTags, plainTag, tagsOf } from "./tags.ts";
import type { VaultFiles } from "./vault-files.ts";

export interface SearchRequest {
  readonly query: string;
  readonly how: "literal" | "regex" | "fulltext";
  /** Only below this folder. */
  readonly folder: string;
  readonly tag: string | null;
  readonly resultsMax: number;
}

export interface SearchHit {
  readonly path: string;
  /** From 1. */
  readonly line: number;
  readonly text: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Of the whole note; `null` where nothing is ranked. */
  readonly score: number | null;
}

export interface SearchAnswer {
  readonly hits: readonly SearchHit[];
  /** Whether there are more than were asked for. */
  readonly truncated: boolean;
  /** Notes that could not be read. */
  readonly skipped: readonly string[];
}

/** Literal and regular expressions answer lines, sorted by path; full text answers notes, ranked. */
export async function searchVault(
  files: VaultFiles,
  request: SearchRequest,
): Promise<Result<SearchAnswer>> {
  const gathered = await gather(files, request);
  if (!gathered.ok) return gathered;
  const { texts, skipped } = gathered.value;
  const found =
    request.how === "fulltext"
      ? { ok: true as const, value: searchWords(texts, request) }
      : await searchLines(texts, request);
  if (!found.ok) return found;
  const hits = found.value.slice(0, request.resultsMax);
  const truncated = found.value.length > hits.length;
  return { ok: true, value: { hits, truncated, skipped } };
}

type Texts = ReadonlyMap<string, string>;

interface Gathered {
  readonly texts: Texts;
  readonly skipped: readonly string[];
}

/** Every note of a folder with its text; what cannot be read is named. */
export async function gather(
  files: VaultFiles,
  { folder, tag }: Pick<SearchRequest, "folder" | "tag">,
): Promise<Result<Gathered>> {
  const listed = await files.list(folder, { recursive: true });
  if (!listed.ok) return listed;
  const texts = new Map<string, string>();
  const skipped: string[] = [];
  let bytes = 0;
  for (const note of listed.value.notes) {
    bytes += note.bytes;
    if (bytes > VAULT_LIMITS.searchedBytes) return tooLarge();
    const read = await files.read(note.path);
    if (!read.ok) skipped.push(note.path);
    else if (tag === null || allTags(tagsOf(read.value)).includes(plainTag(tag))) {
      texts.set(note.path, read.value);
    }
  }
  return { ok: true, value: { texts, skipped } };
}

async function searchLines(
  texts: Texts,
  { query, how, resultsMax }: SearchRequest,
): Promise<Result<readonly SearchHit[]>> {
  const hits: SearchHit[] = [];
  const take = (path: string, text: string, lines: readonly number[]): void => {
    const all = text.split("\n");
    for (const line of lines) if (hits.length <= resultsMax) hits.push(hitAt(path, all, line));
  };
  if (how === "literal") {
    for (const [path, text] of texts) {
      if (!text.includes(query)) continue;
      const lines = text.split("\n").flatMap((line, at) => (line.includes(query) ? at : []));
      take(path, text, lines);
    }
    return { ok: true, value: hits };
  }
  const pattern = startPattern(query, "u");
  if (!pattern.ok) return pattern;
  await using runner = pattern.value;
  for (const [path, text] of texts) {
    if (hits.length > resultsMax) break;
    const answer = await runner.run(text, null);
    if (!answer.ok) return answer;
    take(path, text, answer.value.lines);
  }
  return { ok: true, value: hits };
}

/** Each note is shown by its line that holds most of the words. */
function searchWords(texts: Texts, { query, resultsMax }: SearchRequest): readonly SearchHit[] {
  const wanted = new Set(wordsOf(query));
  const ranks = rank(
    [...texts].map(([path, text]) => ({ path, text })),
    query,
  );
  return ranks.slice(0, resultsMax + 1).map(({ path, score }) => {
    const lines = (texts.get(path) ?? "").split("\n");
    let [best, most] = [0, 0];
    for (const [at, line] of lines.entries()) {
      const count = new Set(wordsOf(line).filter((word) => wanted.has(word))).size;
      if (count > most) [best, most] = [at, count];
    }
    return { ...hitAt(path, lines, best), score };
  });
}

function hitAt(path: string, lines: readonly string[], at: number): SearchHit {
  const around = VAULT_LIMITS.contextLines;
  return {
    path,
    line: at + 1,
    text: cut(lines[at] ?? ""),
    before: lines.slice(Math.max(0, at - around), at).map(cut),
    after: lines.slice(at + 1, at + 1 + around).map(cut),
    score: null,
  };
}

function cut(line: string): string {
  const plain = line.replace(/\r$/, "");
  if (plain.length <= VAULT_LIMITS.lineCharacters) return plain;
  return `${plain.slice(0, VAULT_LIMITS.lineCharacters).toWellFormed()}…`;
}

function tooLarge(): Result<never> {
  const message = `there are more than ${VAULT_LIMITS.searchedBytes} bytes of notes there`;
  const failure = { code: "vault-failed", message, details: {}, hint: "name a folder" } as const;
  return { ok: false, failure };
}
