import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runProcess } from "../src/lib/process.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const AGENT = join(import.meta.dirname, "..", "examples", "stand-in-agent.mjs");

interface Answer {
  readonly ending: unknown;
  readonly lines: readonly string[];
  readonly complaint: string;
}

async function work(cwd: string, spec: readonly string[]): Promise<Answer> {
  const { ending, stdout, stderr } = await runProcess({
    command: [process.execPath, AGENT],
    cwd,
    env: {},
    stdin: spec.join("\n"),
    timeoutMs: 20_000,
    outputBytesMax: 65_536,
  });
  const lines = stdout.bytes.toString().trimEnd().split("\n");
  return { ending, lines, complaint: stderr.bytes.toString() };
}

test("it writes the files that the specification's blocks name, and no others", async () => {
  await using folder = await temporaryFolder();
  const answer = await work(folder.path, [
    "Greet people.",
    "```js path=src/greet.js",
    "export const greet = 1;",
    "```",
    "An example of its use, which is no file:",
    "```js",
    "greet();",
    "```",
    "````md path=docs/greet.md",
    "```js path=not/a/file.js",
    "```",
    "````",
  ]);
  expect(answer).toMatchObject({ ending: { kind: "exited", code: 0 }, complaint: "" });
  expect(await readdir(folder.path)).toEqual(["docs", "src"]);
  expect(await readFile(join(folder.path, "src/greet.js"), "utf8")).toBe(
    "export const greet = 1;\n",
  );
  const page = await readFile(join(folder.path, "docs/greet.md"), "utf8");
  expect(page).toBe("```js path=not/a/file.js\n```\n");
});

test("it puts a block with `after` below that line and leaves the rest as it was", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "list.md"), "# List\n- one\n- three\n");
  const answer = await work(folder.path, ['```md path=list.md after="- one"', "- two", "```"]);
  expect(answer.lines[0]).toBe("changed list.md: 1 line below line 2");
  const list = await readFile(join(folder.path, "list.md"), "utf8");
  expect(list).toBe("# List\n- one\n- two\n- three\n");
});

test("it ends with its usage, as real agents do", async () => {
  await using folder = await temporaryFolder();
  const spec = ["```txt path=a.txt", "12345678", "```"];
  const { lines } = await work(folder.path, spec);
  expect(JSON.parse(lines.at(-1) ?? "")).toEqual({
    type: "turn.completed",
    usage: { input_tokens: Math.ceil(spec.join("\n").length / 4), output_tokens: 2 },
  });
});

test.each([
  ["no block with a path", ["Think hard."], "names no file"],
  ["a path out of the workspace", ["```txt path=../away.txt", "x", "```"], "not in the workspace"],
  ["an absolute path", ["```txt path=/away.txt", "x", "```"], "not in the workspace"],
  ["a block without an end", ["```txt path=a.txt", "x"], "has no end"],
  ["a line that is not there", ['```txt path=b.txt after="y"', "x", "```"], "has no line"],
])("it fails with a reason on %s", async (_, spec, reason) => {
  await using folder = await temporaryFolder();
  const inner = join(folder.path, "workspace");
  await mkdir(inner);
  await writeFile(join(inner, "b.txt"), "z\n");
  const answer = await work(inner, spec);
  expect(answer).toMatchObject({ ending: { kind: "exited", code: 1 } });
  expect(answer.complaint).toContain(reason);
  expect(answer.lines.join("")).not.toContain("turn.completed");
  expect(await readdir(folder.path)).toEqual(["workspace"]);
});
