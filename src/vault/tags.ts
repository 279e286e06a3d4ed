import type { Failure, Result } from "../domain/failure.ts";
import { changeFrontMatter, readFrontMatter, splitNote } from "./front-matter.ts";
import { VAULT_LIMITS } from "./limits.ts";

const TAG = /^[\p{L}\p{N}_][\p{L}\p{N}_/-]*$/u;
const INLINE = /(?<![\p{L}\p{N}_#/&])#([\p{L}_][\p{L}\p{N}_/-]*)/gu;
const FENCE = /^ {0,3}(?:```|~~~)/;

export interface NoteTags {
  /** In the front matter; these can be added and removed. */
  readonly front: readonly string[];
  /** Written as `#tag` in the text, outside of code. */
  readonly inline: readonly string[];
}

/** A front matter that cannot be read has no tags. */
export function tagsOf(text: string): NoteTags {
  const front = readFrontMatter(text);
  return {
    front: front.ok ? listOf(front.value["tags"]) : [],
    inline: inlineTags(splitNote(text).body),
  };
}

export function allTags({ front, inline }: NoteTags): readonly string[] {
  return [...new Set([...front, ...inline])].toSorted();
}

/** Adds to or takes from the front matter; the text is never touched. */
export function changeTags(
  text: string,
  change: { readonly add?: string; readonly remove?: string },
): Result<string> {
  const tag = plainTag(change.add ?? change.remove ?? "");
  if (!TAG.test(tag) || tag.length > VAULT_LIMITS.tagCharacters) {
    return refuse(`${JSON.stringify(tag)} is no tag`, "letters, digits, '_', '-' and '/' make one");
  }
  const parsed = readFrontMatter(text);
  if (!parsed.ok) return parsed;
  const { front, inline } = tagsOf(text);
  if (change.add !== undefined) {
    if (front.includes(tag)) return { ok: true, value: text };
    if (front.length >= VAULT_LIMITS.tags) {
      return refuse(`the note has ${VAULT_LIMITS.tags} tags, the most that there can be`, null);
    }
    return changeFrontMatter(text, "tags", [...front, tag]);
  }
  if (front.includes(tag)) {
    const left = front.filter((one) => one !== tag);
    return changeFrontMatter(text, "tags", left.length === 0 ? undefined : left);
  }
  return inline.includes(tag)
    ? refuse(`#${tag} stands in the text`, "`replace` changes the text")
    : refuse(`the note has no tag ${JSON.stringify(tag)}`, null);
}

export function plainTag(tag: string): string {
  return tag.trim().replace(/^#/, "");
}

function listOf(tags: unknown): readonly string[] {
  const given = typeof tags === "string" ? tags.split(/[\s,]+/) : Array.isArray(tags) ? tags : [];
  const names = given.filter((tag) => typeof tag === "string" || typeof tag === "number");
  return [...new Set(names.map((tag) => plainTag(String(tag))).filter((tag) => tag !== ""))];
}

function inlineTags(body: string): readonly string[] {
  const tags = new Set<string>();
  let isCode = false;
  for (const line of body.split("\n")) {
    if (FENCE.test(line)) isCode = !isCode;
    else if (!isCode && line.includes("#")) {
      for (const [, tag] of line.replaceAll(/`[^`]*`/g, "").matchAll(INLINE)) tags.add(tag ?? "");
    }
  }
  return [...tags];
}

function refuse(message: string, hint: string | null): Result<never> {
  const failure: Failure = { code: "note-invalid", message, details: {}, hint };
  return { ok: false, failure };
}
