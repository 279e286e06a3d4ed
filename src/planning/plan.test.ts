import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { Refusal, type Failure, type Result } from "../domain/failure.ts";
import { createOutlinePlanner } from "./outline-planner.ts";
import { planTasks, type PlanningRequest } from "./plan.ts";
import { lockTasks } from "./plan-record.ts";
import type { Planner, PlanRequest } from "./planner.ts";
import { readTaskFolders } from "./task-folders.ts";

const PLAN = `
## Write the parser

\`\`\`yaml
files: { writes: ["src/parser.ts"] }
locks: { writes: [source] }
\`\`\`

Write it.

## Use the parser

\`\`\`yaml
dependencies: ["001"]
\`\`\`
`;

async function requestFor(folder: string, changes: Partial<PlanningRequest> = {}) {
  const planPath = join(folder, "plan.md");
  if (changes.planPath === undefined) await writeFile(planPath, PLAN, { flag: "a" });
  return {
    planner: createOutlinePlanner(),
    planPath,
    config: {
      tasks_dir: join(folder, "deep/tasks"),
      resources: [{ name: "source", paths: ["src/**"] }],
      doctor: "npm test",
    },
    repositoryFiles: ["package.json"],
    dryRun: false,
    signal: new AbortController().signal,
    ...changes,
  } satisfies PlanningRequest;
}

function plannerOf(propose: (request: PlanRequest) => Promise<Result<unknown>>): Planner {
  return { name: "scripted", propose };
}

const replying = (value: unknown) => plannerOf(async () => ({ ok: true, value }));

async function refusalOf(request: PlanningRequest): Promise<Failure> {
  const outcome: unknown = await planTasks(request).catch((error: unknown) => error);
  if (!(outcome instanceof Refusal)) throw new Error("it was not refused", { cause: outcome });
  return outcome.failure;
}

test("writes a folder a task, and answers them in order", async () => {
  await using folder = await temporaryFolder();
  const request = await requestFor(folder.path);
  const tasks = await planTasks(request);
  const tasksDir = request.config.tasks_dir;
  expect(tasks.map(({ path }) => path)).toEqual([
    join(tasksDir, "001-write-the-parser"),
    join(tasksDir, "002-use-the-parser"),
  ]);
  expect(await readTaskFolders(tasksDir)).toEqual(tasks);
  const record = JSON.parse(await readFile(join(tasksDir, "_plan.json"), "utf8")) as object;
  expect(record).toMatchObject({ plan: request.planPath, state: "complete" });
});

test("planning the same again changes nothing", async () => {
  await using folder = await temporaryFolder();
  const request = await requestFor(folder.path);
  const first = await planTasks(request);
  expect(await planTasks(request)).toEqual(first);
  expect(await readTaskFolders(request.config.tasks_dir)).toEqual(first);
});

test("a dry run checks everything and writes nothing", async () => {
  await using folder = await temporaryFolder();
  const request = await requestFor(folder.path, { dryRun: true });
  const planned = await planTasks(request);
  expect(planned.map(({ manifest }) => manifest.id)).toEqual(["001", "002"]);
  expect(await readdir(folder.path)).toEqual(["plan.md"]);
  const resources = request.config.resources.slice(1);
  const failure = await refusalOf({ ...request, config: { ...request.config, resources } });
  expect(failure.message).toContain("task 001: locks source, which is no resource");
});

test("the planner is told what there is", async () => {
  await using folder = await temporaryFolder();
  let told: PlanRequest | null = null;
  const planner = plannerOf(async (request) => {
    told = request;
    return { ok: true, value: { tasks: [{ id: "a", name: "A", spec: "" }] } };
  });
  const request = await requestFor(folder.path, { planner });
  await planTasks(request);
  expect(told).toMatchObject({
    plan: PLAN,
    planPath: request.planPath,
    files: ["package.json"],
    resources: [{ name: "source" }],
    doctor: "npm test",
    lint: null,
  });
});

test("a plan with a cycle is refused with its members, and nothing is written", async () => {
  await using folder = await temporaryFolder();
  const cycle = [
    { id: "a", name: "A", spec: "", dependencies: ["b"] },
    { id: "b", name: "B", spec: "", dependencies: ["a"] },
  ];
  const request = await requestFor(folder.path);
  const before = await planTasks(request);
  const failure = await refusalOf({ ...request, planner: replying({ tasks: cycle }) });
  expect(failure.code).toBe("plan-invalid");
  expect(failure.message).toContain("a needs b needs a");
  expect(await readTaskFolders(request.config.tasks_dir)).toEqual(before);
});

test.each<[string, unknown, string]>([
  ["text", "Sure, here is the plan: ...", "Sure, here is"],
  ["nothing", undefined, "nothing"],
  ["no tasks", { tasks: [] }, "tasks"],
  ["more than tasks", { tasks: [{ id: "a", name: "A", spec: "" }], note: 1 }, "note: unknown key"],
  ["no specification", { tasks: [{ id: "a", name: "A" }] }, "tasks[0].spec: is required"],
  ["an id that leaves", { tasks: [{ id: "../a", name: "A", spec: "" }] }, "tasks[0].id"],
  [
    "a path that leaves",
    { tasks: [{ id: "a", name: "A", spec: "", files: { writes: ["a/../../b"] } }] },
    "tasks[0].files.writes[0]",
  ],
])("a reply that is nonsense is refused by place: %s", async (_, reply, expected) => {
  await using folder = await temporaryFolder();
  const failure = await refusalOf(await requestFor(folder.path, { planner: replying(reply) }));
  expect(failure.code).toBe("planner-failed");
  expect(failure.message).toContain(expected);
  expect(await readdir(folder.path)).toEqual(["plan.md"]);
});

test("an endless reply is shown only in part", async () => {
  await using folder = await temporaryFolder();
  const planner = replying({ tasks: "x".repeat(1_000_000) });
  const failure = await refusalOf(await requestFor(folder.path, { planner }));
  expect(JSON.stringify(failure).length).toBeLessThan(5000);
});

test("a planner that never answers is left behind, and told to stop", async () => {
  await using folder = await temporaryFolder();
  const told = Promise.withResolvers<boolean>();
  const planner = plannerOf(({ signal }) => {
    signal.addEventListener("abort", () => told.resolve(true));
    return new Promise(() => {});
  });
  const failure = await refusalOf(await requestFor(folder.path, { planner, timeoutMs: 5 }));
  expect(failure).toMatchObject({ code: "planner-failed" });
  expect(failure.message).toContain("no reply within 1 s");
  expect(await told.promise).toBe(true);
});

test("what a planner says it failed with is what is told", async () => {
  await using folder = await temporaryFolder();
  const failure = new Refusal("planner-failed", "the quota is used up", { hint: "wait" }).failure;
  const planner = plannerOf(async () => ({ ok: false, failure }));
  expect(await refusalOf(await requestFor(folder.path, { planner }))).toEqual(failure);
});

test("a person's own task may be needed, and its id is not taken", async () => {
  await using folder = await temporaryFolder();
  const request = await requestFor(folder.path);
  const own = join(request.config.tasks_dir, "own-task");
  await mkdir(own, { recursive: true });
  await writeFile(join(own, "manifest.json"), JSON.stringify({ id: "own-task", name: "Own" }));
  await writeFile(join(own, "spec.md"), "Mine.");
  const needing = { id: "a", name: "A", spec: "", dependencies: ["own-task"] };
  await planTasks({ ...request, planner: replying({ tasks: [needing] }) });
  const ids = (await readTaskFolders(request.config.tasks_dir)).map(({ manifest }) => manifest.id);
  expect(ids).toEqual(["a", "own-task"]);
  const taking = { id: "OWN-task", name: "A", spec: "" };
  const failure = await refusalOf({ ...request, planner: replying({ tasks: [taking] }) });
  expect(failure.details["problems"]).toMatchObject([
    { path: "task OWN-task", problem: `has the id of ${own}, which a person added` },
  ]);
});

test.each([
  ["missing", null, "does not exist"],
  ["empty", " \n", "is empty"],
  ["too large", "x".repeat(5_000_001), "is larger than"],
])("a plan that is %s cannot be read", async (_, content, expected) => {
  await using folder = await temporaryFolder();
  const planPath = join(folder.path, "other.md");
  if (content !== null) await writeFile(planPath, content);
  const failure = await refusalOf(await requestFor(folder.path, { planPath }));
  expect(failure.code).toBe("plan-unreadable");
  expect(failure.message).toContain(expected);
});

test("two processes do not plan in one folder at once", async () => {
  await using folder = await temporaryFolder();
  const request = await requestFor(folder.path);
  await planTasks(request);
  {
    using _lock = lockTasks(request.config.tasks_dir);
    expect((await refusalOf(request)).code).toBe("repository-busy");
  }
  expect(await planTasks(request)).toHaveLength(2);
});
