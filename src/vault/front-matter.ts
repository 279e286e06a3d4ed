import type { Failure, Result } from "../domain/failure.ts";
import { parseYaml, setYamlKey } from "../lib/yaml.ts";
import { VAULT_LIMITS } from "./limits.ts";

/** A note's text in its two parts. Put together they are the text again, byte for byte. */
export interface NoteParts {
  /** YAML, without the lines around it; `null` where there is none. */
  readonly front: string | null;
  readonly body: string;
}

export type FrontMatter = Readonly<Record<string, unknown>>;

const FRONT = /^---[ \t]*\r?\n([^]*?)(?:^)---[ \t]*(?:\r?\n|$)/m;

export function splitNote(text: string): NoteParts {
  if (!text.startsWith("---")) return { front: null, body: text };
  const match = FRONT.exec(text.slice(0, VAULT_LIMITS.frontMatterBytes));
  if (match === null || match.index !== 0) return { front: null, body: text };
  return { front: match[1] ?? "", body: text.slice(match[0].length) };
}

export function joinNote({ front, body }: NoteParts): string {
  if (front === null || front.trim() === "") return body;
  return `---\n${front.endsWith("\n") ? front : `${front}\n`}---\n${body}`;
}

/** An absent one is empty. Refuses one that is no map of YAML. */
export function readFrontMatter(text: string): Result<FrontMatter> {
  const { front } = splitNote(text);
  if (front === null) return { ok: true, value: {} };
  const parsed = parseYaml(front);
  if (!parsed.ok) return refuse(parsed.message, parsed.line);
  const value = parsed.value ?? {};
  if (typeof value !== "object" || Array.isArray(value)) return refuse("is not a map", null);
  return { ok: true, value: value as FrontMatter };
}

/** Sets a key, or removes it where `value` is `undefined`; all else stays as it is. */
export function changeFrontMatter(text: string, key: string, value: unknown): Result<string> {
  const checked = readFrontMatter(text);
  if (!checked.ok) return checked;
  const { front, body } = splitNote(text);
  const changed = setYamlKey(front ?? "", key, value);
  if (changed === null) return refuse("is not a map", null);
  if (Buffer.byteLength(changed) > VAULT_LIMITS.frontMatterBytes) {
    return refuse(`would be larger than ${VAULT_LIMITS.frontMatterBytes} bytes`, null);
  }
  return { ok: true, value: joinNote({ front: changed, body }) };
}

function refuse(problem: string, line: number | null): Result<never> {
  const where = line === null ? "" : ` (line ${line + 1})`;
  const failure: Failure = {
    code: "note-invalid",
    message: `the front matter ${problem}${where}`,
    details: {},
    hint: "it stands between two lines of --- at the top, as YAML; correct it by writing the note",
  };
  return { ok: false, failure };
}
