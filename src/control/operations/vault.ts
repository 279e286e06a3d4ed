import { z } from "zod";
import { Refusal } from "../../domain/failure.ts";
import { VAULT_LIMITS } from "../../vault/limits.ts";
import type { NoteEntry } from "../../vault/vault-files.ts";
import { openVault, type Note, type Vault } from "../../vault/vault.ts";
import { unwrap } from "../kept-at-hand.ts";
import { defineOperation, type OperationContext } from "../operation.ts";

const ACTIONS = [
  "read",
  "write",
  "delete",
  "move",
  "search",
  "list",
  "stats",
  "batch_read",
  "frontmatter",
  "tags",
  "replace",
] as const;

const pathSchema = z.string().max(VAULT_LIMITS.pathBytes * 2);
const textSchema = z
  .string()
  .refine((text) => Buffer.byteLength(text) <= VAULT_LIMITS.noteBytes, { error: "too large" });
const anySchema = z.json();

const inputSchema = z.strictObject({
  action: z.enum(ACTIONS),
  /** Of the note, from the vault's top; of a folder for `list`. */
  path: pathSchema.optional(),
  /** read: `json` answers front matter, tags and body apart. */
  format: z.enum(["markdown", "json"]).optional(),
  /** write */
  content: textSchema.optional(),
  mode: z.enum(["overwrite", "append", "prepend", "create"]).optional(),
  /** delete: must be true. */
  confirm: z.boolean().optional(),
  /** move */
  new_path: pathSchema.optional(),
  overwrite: z.boolean().optional(),
  /** search: plain text by default, a regular expression, or words with the best notes first. */
  query: z.string().min(1).max(VAULT_LIMITS.queryCharacters).optional(),
  regex: z.boolean().optional(),
  ranked: z.boolean().optional(),
  path_prefix: pathSchema.optional(),
  tag: z.string().min(1).max(VAULT_LIMITS.tagCharacters).optional(),
  /** 0 is as many as there can be. */
  max_results: z.int().min(0).max(VAULT_LIMITS.results).optional(),
  recursive: z.boolean().optional(),
  recent_count: z.int().min(0).max(100).optional(),
  /** batch_read */
  paths: z
    .array(pathSchema)
    .min(1, { error: "must not be empty" })
    .max(VAULT_LIMITS.batchPaths, { error: `max length is ${VAULT_LIMITS.batchPaths}` })
    .optional(),
  /** frontmatter: get, set, delete; tags: list, add, remove. */
  operation: z.enum(["get", "set", "delete", "list", "add", "remove"]).optional(),
  key: z.string().min(1).max(VAULT_LIMITS.tagCharacters).optional(),
  value: anySchema.optional(),
  /** replace, in the whole text of a note */
  search: z.string().min(1).max(VAULT_LIMITS.queryCharacters).optional(),
  replacement: textSchema.optional(),
});

type VaultInput = z.output<typeof inputSchema>;

const noteSchema = z.strictObject({
  path: z.string(),
  content: z.string().optional(),
  body: z.string().optional(),
  frontmatter: z.record(z.string(), anySchema).optional(),
  tags: z.array(z.string()).optional(),
  /** What is wrong with its front matter, or why it could not be read. */
  problem: z.string().nullable(),
});

const entrySchema = z.strictObject({
  path: z.string(),
  bytes: z.int(),
  modified_at: z.string(),
});

const outputSchema = z.strictObject({
  action: z.enum(ACTIONS),
  path: z.string().optional(),
  note: noteSchema.optional(),
  notes: z.array(noteSchema).optional(),
  bytes: z.int().optional(),
  created: z.boolean().optional(),
  new_path: z.string().optional(),
  hits: z
    .array(
      z.strictObject({
        path: z.string(),
        line: z.int(),
        text: z.string(),
        before: z.array(z.string()),
        after: z.array(z.string()),
        score: z.number().nullable(),
      }),
    )
    .optional(),
  truncated: z.boolean().optional(),
  /** Notes that could not be read. */
  skipped: z.array(z.string()).optional(),
  entries: z.array(entrySchema).optional(),
  folders: z.array(z.string()).optional(),
  stats: z
    .strictObject({
      notes: z.int(),
      folders: z.int(),
      bytes: z.int(),
      tags: z.array(z.strictObject({ tag: z.string(), notes: z.int() })),
      recent: z.array(entrySchema),
    })
    .optional(),
  frontmatter: z.record(z.string(), anySchema).optional(),
  value: anySchema.optional(),
  tags: z.array(z.string()).optional(),
  /** Those that stand in the text. */
  inline_tags: z.array(z.string()).optional(),
  replaced: z.int().optional(),
});

export type VaultAnswer = z.output<typeof outputSchema>;
type Answer = Omit<VaultAnswer, "action">;

export const vault = defineOperation({
  name: "vault",
  summary: "Read, write, search and order the notes that everyone shares",
  tool: { name: "vault", readOnly: false, destructive: true, long: false },
  input: inputSchema,
  output: outputSchema,
  run: async (context, input) => {
    const answer = await ANSWERS[input.action](vaultOf(context), input);
    return { action: input.action, ...answer };
  },
});

export function vaultOf({ environment }: Pick<OperationContext, "environment">): Vault {
  return openVault(environment.vault);
}

const ANSWERS: Readonly<
  Record<(typeof ACTIONS)[number], (vault: Vault, input: VaultInput) => Promise<Answer>>
> = {
  read: async (vault, { path, format }) => {
    const note = unwrap(await vault.read(needed(path, "path")));
    return { path: note.path, note: shownNote(note, format === "json") };
  },
  write: async (vault, { path, content, mode = "overwrite" }) => {
    const request = { path: needed(path, "path"), content: needed(content, "content"), mode };
    return unwrap(await vault.write(request));
  },
  delete: async (vault, { path, confirm }) => {
    const wanted = needed(path, "path");
    if (confirm !== true) {
      throw new Refusal("confirmation-needed", `deleting ${wanted} needs to be confirmed`, {
        hint: "say confirm: true",
      });
    }
    unwrap(await vault.remove(wanted));
    return { path: wanted };
  },
  move: async (vault, { path, new_path, overwrite = false }) => {
    const from = needed(path, "path");
    const to = needed(new_path, "new_path");
    unwrap(await vault.move(from, { path: to, overwrite }));
    return { path: from, new_path: to };
  },
  search: async (vault, input) => {
    const { query, regex = false, ranked = false, path_prefix: folder = "", tag = null } = input;
    if (regex && ranked) throw wrong("ranked", "words are ranked, regular expressions are not");
    const how = regex ? "regex" : ranked ? "fulltext" : "literal";
    const resultsMax = input.max_results === 0 ? VAULT_LIMITS.results : (input.max_results ?? 20);
    const request = { query: needed(query, "query"), how, folder, tag, resultsMax } as const;
    const { hits, truncated, skipped } = unwrap(await vault.search(request));
    const shown = hits.map((hit) => ({ ...hit, before: [...hit.before], after: [...hit.after] }));
    return { hits: shown, truncated, skipped: [...skipped] };
  },
  list: async (vault, { path = "", recursive = false }) => {
    const { notes, folders } = unwrap(await vault.list(path, { recursive }));
    return { path, entries: notes.map(shownEntry), folders: [...folders] };
  },
  stats: async (vault, { recent_count: recentMax = 10 }) => {
    const { recent, tags, ...counts } = unwrap(await vault.stats(recentMax));
    return { stats: { ...counts, tags: [...tags], recent: recent.map(shownEntry) } };
  },
  batch_read: async (vault, { paths, format }) => {
    const batch = await vault.readMany(needed(paths, "paths"));
    const notes = batch.map(({ path, note }) =>
      note.ok ? shownNote(note.value, format === "json") : { path, problem: note.failure.message },
    );
    return { notes };
  },
  frontmatter: async (vault, { path, operation = "get", key, value }) => {
    const wanted = needed(path, "path");
    if (operation === "get") {
      const { frontMatter, problem } = unwrap(await vault.read(wanted));
      if (problem !== null) throw wrong("path", problem);
      const all = plain(frontMatter);
      if (key === undefined) return { path: wanted, frontmatter: all };
      return { path: wanted, frontmatter: all, value: Object.hasOwn(all, key) ? all[key] : null };
    }
    if (operation !== "set" && operation !== "delete") {
      throw wrong("operation", "is get, set or delete");
    }
    const given = operation === "set" ? needed(value, "value") : undefined;
    const after = unwrap(await vault.setFrontMatter(wanted, needed(key, "key"), given));
    return { path: wanted, frontmatter: plain(after) };
  },
  tags: async (vault, { path, operation = "list", tag }) => {
    const wanted = needed(path, "path");
    if (operation !== "list" && operation !== "add" && operation !== "remove") {
      throw wrong("operation", "is list, add or remove");
    }
    const { front, inline } = unwrap(
      operation === "list"
        ? await vault.tags(wanted)
        : await vault.changeTags(wanted, { [operation]: needed(tag, "tag") }),
    );
    return { path: wanted, tags: [...front], inline_tags: [...inline] };
  },
  replace: async (vault, { path, search, replacement, regex: isPattern = false }) => {
    const wanted = needed(path, "path");
    const request = { path: wanted, search: needed(search, "search"), isPattern };
    const given = { ...request, replacement: needed(replacement, "replacement") };
    return { path: wanted, replaced: unwrap(await vault.replace(given)) };
  },
};

function needed<T>(value: T | undefined, name: string): T {
  if (value !== undefined) return value;
  throw wrong(name, "is required for this action");
}

function wrong(name: string, problem: string): Refusal {
  return new Refusal("usage", `vault: ${name}: ${problem}`, { hint: "see the tool's parameters" });
}

function shownNote({ path, text, body, frontMatter, problem, tags }: Note, isJson: boolean) {
  if (!isJson) return { path, content: text, problem };
  return { path, body, frontmatter: plain(frontMatter), tags: [...tags], problem };
}

function shownEntry({ path, bytes, modifiedMs }: NoteEntry) {
  return { path, bytes, modified_at: new Date(modifiedMs).toISOString() };
}

/** As JSON has it: dates become text. */
function plain(value: object): Record<string, z.output<typeof anySchema>> {
  return JSON.parse(JSON.stringify(value)) as Record<string, z.output<typeof anySchema>>;
}
