import { expect, test } from "vitest";
import { manifestSchema, type Manifest } from "../domain/task.ts";
import { checkTasks } from "./check-tasks.ts";

type Fields = Partial<Omit<Manifest, "locks" | "files">> & {
  readonly locks?: Partial<Manifest["locks"]>;
  readonly files?: Partial<Manifest["files"]>;
};

const RESOURCES = [{ name: "database" }, { name: "app/api" }];

function check(...tasks: readonly Fields[]) {
  const named = tasks.map((fields, index) => {
    const manifest = manifestSchema.parse({
      id: `00${index + 1}`,
      name: `Task ${index + 1}`,
      ...fields,
    });
    return { path: `task ${manifest.id}`, manifest };
  });
  return checkTasks(named, { resources: RESOURCES });
}

test("finds nothing wrong with sound tasks", () => {
  expect(
    check(
      { locks: { writes: ["repo"] }, files: { writes: ["src/**/*.ts"] } },
      { dependencies: ["001"], locks: { reads: ["database"], writes: ["database/users"] } },
      { dependencies: ["001", "002"], locks: { writes: ["app", "app/api/v1"] } },
    ),
  ).toEqual([]);
});

test("two tasks with one id are refused by name, in whatever case", () => {
  expect(check({ id: "a" }, { id: "b" }, { id: "A" })).toEqual([
    {
      path: "task A",
      problem: "has the id A, as task a has",
      hint: "give each task an id of its own",
    },
  ]);
});

test("two tasks that would share a folder are refused", () => {
  const problems = check({ id: "1", name: "2 login" }, { id: "1-2", name: "Login" });
  expect(problems).toMatchObject([
    { path: "task 1-2", problem: expect.stringMatching(/share the folder 1-2-login/) },
  ]);
});

test("a cycle is told with its members in order", () => {
  const problems = check(
    { dependencies: ["003"] },
    { dependencies: ["001"] },
    { dependencies: ["002"] },
    { dependencies: ["001"] },
  );
  expect(problems).toMatchObject([
    { path: "task 001", problem: "is part of a cycle: 001 needs 003 needs 002 needs 001" },
  ]);
});

test("a task that depends on itself is told once", () => {
  expect(check({ dependencies: ["001"] })).toMatchObject([{ problem: "depends on itself" }]);
});

test("an unknown dependency comes with the id that was meant", () => {
  expect(check({ id: "login" }, { dependencies: ["lgoin"] })).toMatchObject([
    {
      path: "task 002",
      problem: expect.stringMatching(/depends on lgoin/),
      hint: "did you mean login?",
    },
  ]);
});

test.each(["databas", "other", "database/", "/database", "databases", "repo/part", "app//api"])(
  "the lock %s is unknown",
  (lock) => {
    const problems = check({ locks: { reads: [lock], writes: [lock] } });
    expect(problems).toMatchObject([
      { path: "task 001", problem: `locks ${lock}, which is no resource` },
    ]);
  },
);

test("tells all problems of all tasks at once", () => {
  const problems = check(
    { dependencies: ["009"], tdd_mode: "strict" },
    { locks: { writes: ["nothing"] }, files: { writes: ["!a", "b{1..3}"] } },
    { test_paths: ["a//b"] },
  );
  expect(problems.map(({ path, problem }) => [path, problem])).toEqual([
    ["task 001", "depends on 009, which is no task"],
    ["task 002", "locks nothing, which is no resource"],
    ["task 002", "the glob \"!a\" starts with '!', but globs cannot exclude"],
    ["task 002", 'the glob "b{1..3}" uses a range in braces; list the alternatives'],
    ["task 003", 'the glob "a//b" has an empty segment'],
    ["task 001", "has tdd_mode: strict, which is not in this version"],
  ]);
});
