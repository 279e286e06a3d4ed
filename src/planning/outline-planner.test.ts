import { expect, test } from "vitest";
import type { Problem } from "../domain/problem.ts";
import { createOutlinePlanner } from "./outline-planner.ts";
import { checkReply } from "./proposal.ts";

async function propose(plan: string, planPath = "/plan.md") {
  return createOutlinePlanner().propose({
    plan,
    planPath,
    files: [],
    resources: [],
    doctor: "true",
    lint: null,
    signal: new AbortController().signal,
  });
}

async function tasksOf(plan: string, planPath?: string) {
  const reply = await propose(plan, planPath);
  if (!reply.ok) throw new Error(reply.failure.message);
  const checked = checkReply(reply.value);
  if (!checked.ok) throw new Error(JSON.stringify(checked.problems));
  return checked.value;
}

async function problemsOf(plan: string, planPath?: string): Promise<readonly Problem[]> {
  const reply = await propose(plan, planPath);
  if (reply.ok) throw new Error("it was taken for a plan");
  expect(reply.failure.code).toBe("plan-invalid");
  return reply.failure.details.problems as readonly Problem[];
}

test("each heading is a task, with fields from its yaml block and the rest as its specification", async () => {
  const tasks = await tasksOf(`# The plan

Context that is no task.

## Add a login ##

\`\`\`yaml
dependencies: [base]
files:
  writes: [src/login.ts]
\`\`\`

Write it.

### Details

More.

## The base

~~~YML
id: base
name: Another name
estimated_minutes: 5
~~~
`);
  expect(tasks.map(({ manifest: { id, name }, spec }) => ({ id, name, spec }))).toEqual([
    { id: "001", name: "Add a login", spec: "Write it.\n\n### Details\n\nMore." },
    { id: "base", name: "Another name", spec: "The base" },
  ]);
  expect(tasks[0]?.manifest).toMatchObject({
    dependencies: ["base"],
    files: { reads: [], writes: ["src/login.ts"] },
  });
});

test("headings in fenced blocks and comments are text", async () => {
  const tasks = await tasksOf(
    [
      "## One",
      "````md",
      "```",
      "## not a task",
      "```",
      "````",
      "<!--",
      "## nor this",
      "-->",
      "    ## nor code",
      "##nor this",
      "<!-- short -->",
      "## Two",
    ].join("\r\n"),
  );
  expect(tasks.map(({ manifest }) => manifest.name)).toEqual(["One", "Two"]);
  expect(tasks[0]?.spec).toContain("## nor this");
});

test("a yaml block further down belongs to the specification", async () => {
  const [task] = await tasksOf("## One\n\nSee:\n\n```yaml\nid: other\n```\n");
  expect(task?.manifest.id).toBe("001");
  expect(task?.spec).toContain("id: other");
});

test("what is wrong is told with heading and line", async () => {
  const problems = await problemsOf(`# Plan

## First

\`\`\`yaml
dependancies: [a]
\`\`\`

## Second
\`\`\`yaml
id: ../escape

locks: {writes: 7}
\`\`\`

##

## Fourth
\`\`\`yaml
- a list
\`\`\`

## Fifth
\`\`\`yaml
id: a
id: b
\`\`\`

## Sixth
\`\`\`yaml
spec: here
\`\`\`
`);
  expect(problems.map(({ path, line }) => ({ path, line }))).toEqual([
    { path: "## First: dependancies", line: 6 },
    { path: "## Second: id", line: 11 },
    { path: "## Second: locks.writes", line: 13 },
    { path: "##", line: 16 },
    { path: "## Fourth: (yaml)", line: 20 },
    { path: "## Fifth: (yaml)", line: 26 },
    { path: "## Sixth: (yaml)", line: 31 },
  ]);
  expect(problems[0]).toMatchObject({ problem: "unknown key", hint: "did you mean dependencies?" });
});

test("a block that is never closed is an error, because it would swallow tasks", async () => {
  expect(await problemsOf("## One\n\n```\n## Two\n")).toMatchObject([{ line: 3 }]);
  expect(await problemsOf("## One\n<!--\n## Two\n")).toMatchObject([{ line: 2 }]);
});

test("a plan without a heading holds no task", async () => {
  expect(await problemsOf("Do this, then that.\n")).toMatchObject([
    { problem: expect.stringMatching(/no `## ` heading/) },
  ]);
});

test("a JSON or YAML plan is the value itself", async () => {
  const json = JSON.stringify({ tasks: [{ id: "a", name: "A", spec: "Do A." }] }, null, "\t");
  const yaml = "tasks:\n  - id: a\n    name: A\n    spec: Do A.\n";
  for (const [text, path] of [[json, "/p.json"] as const, [yaml, "/p.YAML"] as const]) {
    expect(await tasksOf(text, path)).toMatchObject([{ manifest: { id: "a" }, spec: "Do A." }]);
  }
});

test("a JSON or YAML plan that is wrong is told by line", async () => {
  const yaml = "tasks:\n  - id: a\n    nam: A\n    spec: Do A.\n";
  expect(await problemsOf(yaml, "/p.yml")).toMatchObject([
    { path: "tasks[0].nam", line: 3, hint: "did you mean name?" },
    { path: "tasks[0].name", line: 2, problem: "is required" },
  ]);
  expect(await problemsOf('{"tasks": [}', "/p.json")).toMatchObject([{ path: "(file)", line: 1 }]);
  expect(await problemsOf('{"tasks": []}', "/p.json")).toMatchObject([{ path: "tasks" }]);
});
