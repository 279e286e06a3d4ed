#!/usr/bin/env node
/**
 * A stand-in for a model, so that Mycelium can be seen at work without a key.
 *
 * It does what a coding agent does, minus the thinking: it reads the task's specification on
 * standard input and writes the files that the fenced blocks in it name, in the current folder:
 *
 *     ```js path=src/greet.js
 *     export const greet = (name) => `Hello, ${name}`;
 *     ```
 *
 * A block with `after="LINE"` is put below the first line of that file that reads the same. Blocks
 * without a path mean nothing to it. At the end it reports its usage as real agents do; the tokens
 * are counted by a rule of thumb (four characters each), because no model was asked.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, resolve, sep } from "node:path";
import { text } from "node:stream/consumers";

const CHARACTERS_A_TOKEN = 4;

const spec = await text(process.stdin);
try {
  const edits = readEdits(spec);
  if (edits.length === 0) throw new Error("the specification names no file to write");
  for (const edit of edits) await apply(edit);
  reportUsage(edits);
} catch (error) {
  process.stderr.write(`stand-in agent: ${error.message}\n`);
  process.exitCode = 1;
}

/** The blocks that name a path, in order. A fence is closed by one at least as long. */
function readEdits(markdown) {
  const edits = [];
  let open = null;
  for (const line of markdown.split("\n")) {
    const fence = /^(`{3,})(.*)$/.exec(line);
    if (open === null) {
      if (fence !== null) open = { fence: fence[1], ...readAttributes(fence[2]), lines: [] };
    } else if (fence !== null && fence[1].length >= open.fence.length && fence[2].trim() === "") {
      if (open.path !== null) edits.push(open);
      open = null;
    } else {
      open.lines.push(line);
    }
  }
  if (open !== null && open.path !== null) throw new Error(`the block for ${open.path} has no end`);
  return edits;
}

function readAttributes(information) {
  const path = /(?:^|\s)path=(\S+)/.exec(information)?.[1] ?? null;
  const after = /(?:^|\s)after="([^"]*)"/.exec(information)?.[1] ?? null;
  return { path, after };
}

async function apply({ path, after, lines }) {
  const file = inside(process.cwd(), path);
  const content = `${lines.join("\n")}\n`;
  if (after === null) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
    say(`wrote ${path}: ${countLines(lines)}`);
    return;
  }
  const before = (await readFile(file, "utf8")).split("\n");
  const index = before.indexOf(after);
  if (index === -1) throw new Error(`${path} has no line that reads ${JSON.stringify(after)}`);
  await writeFile(file, before.toSpliced(index + 1, 0, ...lines).join("\n"));
  say(`changed ${path}: ${countLines(lines)} below line ${index + 1}`);
}

function inside(folder, path) {
  const file = resolve(folder, path);
  if (!isAbsolute(path) && file.startsWith(`${folder}${sep}`)) return file;
  throw new Error(`${path} is not in the workspace`);
}

function reportUsage(edits) {
  const written = edits.flatMap(({ lines }) => lines).join("\n");
  const usage = { input_tokens: countTokens(spec), output_tokens: countTokens(written) };
  say(JSON.stringify({ type: "turn.completed", usage }));
}

function countLines({ length }) {
  return length === 1 ? "1 line" : `${length} lines`;
}

function countTokens(characters) {
  return Math.ceil(characters.length / CHARACTERS_A_TOKEN);
}

function say(line) {
  process.stdout.write(`${line}\n`);
}
