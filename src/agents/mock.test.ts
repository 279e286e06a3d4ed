import { expect, test } from "vitest";
import { agentRig, textOf } from "../../test/support/agent-rig.ts";
import { NO_USAGE } from "../domain/usage.ts";
import { matchesAny } from "../lib/globs.ts";
import { createMockAgent } from "./mock.ts";
import { pathFor } from "./mock-files.ts";

const LINE = "mock work of task 7 (Seventh task) on";

test("the mock writes exactly what the manifest permits, and reports no usage at no cost", async () => {
  await using rig = await agentRig();
  const task = rig.task({}, ["notes/one.md", "lib/two.js", "new.json"]);
  const events = await rig.run(createMockAgent(), task);
  expect(events.slice(-2)).toMatchObject([
    { kind: "usage", usage: { ...NO_USAGE, cost_usd: 0 } },
    { kind: "ended", reason: "completed" },
  ]);
  expect(textOf(events, "stdout")).toBe("wrote notes/one.md, lib/two.js, new.json\n");
  expect(await rig.read("notes/one.md")).toBe(`${LINE} notes/one.md\n`);
  expect(await rig.read("lib/two.js")).toBe(`// ${LINE} lib/two.js\n`);
  expect(JSON.parse((await rig.read("new.json")) ?? "")).toEqual({ task: "7", path: "new.json" });
  const { stdout } = await rig.workspace.exec({
    command: "git status --porcelain -uall",
    timeoutMs: 60_000,
  });
  expect(stdout.text).toBe("?? lib/two.js\n?? new.json\n?? notes/one.md\n");
});

test("where nothing may be written the mock writes mock-output.txt", async () => {
  await using rig = await agentRig();
  await rig.run(createMockAgent(), rig.task());
  expect(await rig.read("mock-output.txt")).toBe(`${LINE} mock-output.txt\n`);
});

test("files that exist are changed so that they still mean the same", async () => {
  await using rig = await agentRig();
  await rig.workspace.writeFile("page.html", "<p>no line end</p>");
  await rig.workspace.writeFile("Makefile", "all:\n");
  const writes = ["src/main.js", "package.json", "page.html", "Makefile"];
  await rig.run(createMockAgent(), rig.task({}, writes));
  expect(await rig.read("src/main.js")).toBe(`console.log(1);\n// ${LINE} src/main.js\n`);
  expect(await rig.read("package.json")).toBe('{"name": "seed"}\n\n');
  expect(await rig.read("page.html")).toBe(`<p>no line end</p>\n<!-- ${LINE} page.html -->\n`);
  expect(await rig.read("Makefile")).toBe("all:\n\n");
});

test("equal tasks make equal files, and other tasks others", async () => {
  const contentFor = async (taskId: string): Promise<string | null> => {
    await using rig = await agentRig();
    await rig.run(createMockAgent(), rig.task({ taskId }, ["a.txt"]));
    return rig.read("a.txt");
  };
  const [first, second, other] = [
    await contentFor("1"),
    await contentFor("1"),
    await contentFor("2"),
  ];
  expect(first).toBe(second);
  expect(first).not.toBe(other);
});

test("the mock reports the usage that it is told to", async () => {
  await using rig = await agentRig();
  const usage = { ...NO_USAGE, input_tokens: 50, cost_usd: 0.5 };
  const events = await rig.run(createMockAgent({ usage }), rig.task());
  expect(events).toContainEqual({ kind: "usage", usage });
});

test("a path that cannot be written is a failed try, with its usage", async () => {
  await using rig = await agentRig();
  const events = await rig.run(createMockAgent(), rig.task({}, ["src"]));
  expect(events.slice(-2)).toMatchObject([
    { kind: "usage" },
    { kind: "ended", reason: "failed", message: expect.stringContaining("src") },
  ]);
});

test("an aborted mock writes nothing", async () => {
  await using rig = await agentRig();
  const task = rig.task({ signal: AbortSignal.abort() }, ["a.txt"]);
  const events = await rig.run(createMockAgent(), task);
  expect(events.at(-1)).toMatchObject({ kind: "ended", reason: "aborted" });
  expect(await rig.read("a.txt")).toBeNull();
});

test.each([
  ["src/main.js", "src/main.js"],
  ["app/(group)/page.tsx", "app/(group)/page.tsx"],
  ["src/**", "src/mock-7.txt"],
  ["src/", "src/mock-7.txt"],
  ["**", "mock-7.txt"],
  ["*", "mock-7.txt"],
  ["src/**/*.ts", "src/mock-7.ts"],
  ["packages/*/src/*.{ts,tsx}", "packages/mock-7/src/mock-7.ts"],
  ["{docs,notes}/**/a*b*c.md", "docs/amock-7bc.md"],
  ["file-?.[ch]", "file-x.c"],
  ["file-[!x].txt", "file-y.txt"],
  ["{a,{b,c}}/*.md", "a/mock-7.md"],
])("for %s the mock writes %s, which that permits", (glob, path) => {
  expect(pathFor(glob, "7")).toBe(path);
  expect(matchesAny([glob], path)).toBe(true);
});
