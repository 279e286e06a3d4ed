import { InvalidArgumentError, type Command } from "commander";
import type { Runner } from "../program.ts";
import { renderVault } from "../render/vault.ts";
import type { Session } from "../session.ts";
import { wholeNumber } from "../values.ts";

type Input = Readonly<Record<string, unknown>>;

const NOTE_BYTES_MAX = 10 * 1024 * 1024;

export function addVault(program: Command, run: Runner): void {
  const vault = program.command("vault").description("notes that agents and people share");
  const perform = (command: Command, input: Input): Promise<void> =>
    run(command, (session) => answer(session, input));
  addNotes(vault, run, perform);
  addLooking(vault, perform);
  addParts(vault, perform);
}

type Perform = (command: Command, input: Input) => Promise<void>;

async function answer(session: Session, input: Input): Promise<number> {
  const { vault } = await import("../../control/operations/vault.ts");
  const result = await session.perform(vault, input);
  session.answer(result, (style) => renderVault(result, style));
  return 0;
}

function at(parent: Command, verb: string, description: string): Command {
  return parent
    .command(verb)
    .argument("<note>", "its path, such as plans/api.md")
    .description(description);
}

interface WriteOptions {
  readonly content?: string;
  readonly mode?: string;
}

function addNotes(vault: Command, run: Runner, perform: Perform): void {
  at(vault, "read", "print a note").action((path: string, _: object, command: Command) =>
    perform(command, { action: "read", path }),
  );
  at(vault, "write", "write a note from standard input")
    .option("--content <text>", "this text instead")
    .option("--mode <mode>", "overwrite, append, prepend or create (default: overwrite)")
    .action((path: string, { content, mode }: WriteOptions, command: Command) =>
      run(command, async (session) => {
        const given = content ?? (await session.terminal.readInput(NOTE_BYTES_MAX));
        if (given === null || given === "too-much") {
          const { Refusal } = await import("../../domain/failure.ts");
          throw new Refusal("usage", given === null ? "there is no content" : "it is too large", {
            hint: "pipe it in, or use --content; a note has at most 10 MiB",
          });
        }
        return answer(session, { action: "write", path, mode, content: given.toString() });
      }),
    );
  at(vault, "delete", "remove a note")
    .option("--force", "needed: nothing asks")
    .action((path: string, { force: confirm }: { force?: boolean }, command: Command) =>
      perform(command, { action: "delete", path, confirm }),
    );
  at(vault, "move", "give a note another path")
    .argument("<to>", "the new path")
    .option("--overwrite", "replace what is there")
    .action((path: string, to: string, options: { overwrite?: boolean }, command: Command) =>
      perform(command, { action: "move", path, new_path: to, ...options }),
    );
}

interface SearchOptions {
  readonly regex?: boolean;
  readonly ranked?: boolean;
  readonly in?: string;
  readonly tag?: string;
  readonly maxResults?: number;
}

function addLooking(vault: Command, perform: Perform): void {
  vault
    .command("search")
    .argument("<query>", "plain text, unless an option says otherwise")
    .description("find lines in all notes")
    .option("--regex", "the query is a regular expression")
    .option("--ranked", "the query is words; the best notes come first")
    .option("--in <folder>", "only below this folder")
    .option("--tag <tag>", "only notes with this tag")
    .option("--max-results <n>", "so many at the most (default: 20)", wholeNumber(0))
    .action((query: string, options: SearchOptions, command: Command) => {
      const { in: path_prefix, maxResults: max_results, ...rest } = options;
      return perform(command, { action: "search", query, path_prefix, max_results, ...rest });
    });
  vault
    .command("list")
    .argument("[folder]", "of the vault", "")
    .description("list notes")
    .option("-r, --recursive", "with all folders below")
    .action((path: string, options: { recursive?: boolean }, command: Command) =>
      perform(command, { action: "list", path, ...options }),
    );
  vault
    .command("stats")
    .description("count notes and tags, and show what changed last")
    .action((_: object, command: Command) => perform(command, { action: "stats" }));
}

function addParts(vault: Command, perform: Perform): void {
  at(vault, "frontmatter", "show or change what stands above a note's text")
    .argument("[key]", "only this one")
    .option("--set <json>", "give it this value, as JSON", json)
    .option("--delete", "take it away")
    .action((path: string, key: string | undefined, given: FrontOptions, command: Command) => {
      const operation = given.delete === true ? "delete" : "set" in given ? "set" : "get";
      return perform(command, { action: "frontmatter", path, key, operation, value: given.set });
    });
  at(vault, "tags", "show or change the tags of a note")
    .option("--add <tag>", "give it this tag")
    .option("--remove <tag>", "take this tag away")
    .action(
      (path: string, { add, remove }: { add?: string; remove?: string }, command: Command) => {
        const operation = add !== undefined ? "add" : remove !== undefined ? "remove" : "list";
        return perform(command, { action: "tags", path, operation, tag: add ?? remove });
      },
    );
  at(vault, "replace", "replace a text wherever it stands in a note")
    .argument("<search>", "the text")
    .argument("<replacement>", "what takes its place")
    .option("--regex", "the text is a regular expression")
    .action(
      (
        path: string,
        search: string,
        replacement: string,
        options: { regex?: boolean },
        command: Command,
      ) => perform(command, { action: "replace", path, search, replacement, ...options }),
    );
}

interface FrontOptions {
  readonly set?: unknown;
  readonly delete?: boolean;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('It must be JSON, such as 3, true or "text".');
  }
}
