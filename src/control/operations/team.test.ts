import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { z } from "zod";
import { swarmRig, type SwarmRig } from "../../../test/support/swarm-rig.ts";
import { OPERATIONS } from "../operations.ts";
import type { OperationContext } from "../operation.ts";

type Input = Omit<z.input<(typeof OPERATIONS.team)["input"]>, "name">;

const asking =
  (rig: SwarmRig, more: Partial<OperationContext> = {}) =>
  (input: Input) =>
    rig.ask(OPERATIONS.team, { name: "crew", ...input }, more);

const roles = ["lead", "coder", "tester"].map((name) => ({ name, role: name, skills: ["ts"] }));

async function makeTeam(input: Partial<Input> = {}) {
  const rig = await swarmRig();
  const team = asking(rig);
  await team({ action: "create", roles, ...input });
  return { rig, team, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

test("members write to each other, and each message is received once and in order", async () => {
  await using made = await makeTeam();
  const { team, rig } = made;
  const write = (to: string, content: string) =>
    team({ action: "message", agent: "lead", to, content });
  expect(await write("*", "hello")).toMatchObject({ recipients: ["coder", "tester"] });
  for (const word of ["one", "two", "three"]) await write("coder", word);
  const peeked = await team({ action: "receive", agent: "coder", peek: true, limit: 1 });
  expect(peeked).toMatchObject({ messages: [{ content: "hello", from: "lead" }], left: 4 });
  const halves = await Promise.all(
    [1, 2].map(() => team({ action: "receive", agent: "coder", limit: 2 })),
  );
  const all = halves.flatMap(({ messages }) => messages ?? []);
  expect(all.toSorted((a, b) => a.id - b.id).map(({ content }) => content)).toEqual([
    "hello",
    "one",
    "two",
    "three",
  ]);
  expect(await team({ action: "receive", agent: "coder" })).toMatchObject({
    messages: [],
    left: 0,
  });
  expect((await team({ action: "status" })).team?.members).toMatchObject([
    { name: "lead", waiting: 0 },
    { name: "coder", waiting: 0 },
    { name: "tester", waiting: 1 },
  ]);
  await expect(write("nobody", "x")).rejects.toMatchObject({ failure: { code: "team-refused" } });
  await expect(write("coder", "x".repeat(257 * 1024))).rejects.toMatchObject({
    failure: { message: expect.stringContaining("too large") },
  });
  await expect(team({ action: "create", roles })).rejects.toMatchObject({
    failure: { code: "team-exists" },
  });
  await team({ action: "destroy" });
  expect(await rig.ask(OPERATIONS.team, { action: "list" })).toMatchObject({ teams: [] });
});

test("a full inbox refuses, and then nobody gets the message", async () => {
  await using made = await makeTeam();
  const { team } = made;
  const write = (to: string) => team({ action: "message", agent: "lead", to, content: "x" });
  for (let at = 0; at < 1000; at += 1) await write("coder");
  await expect(write("*")).rejects.toMatchObject({
    failure: { message: expect.stringContaining("the inbox of coder is full") },
  });
  expect(await team({ action: "receive", agent: "tester" })).toMatchObject({ left: 0 });
});

test("one of many claims wins, and only what is not waiting is claimed", async () => {
  await using made = await makeTeam();
  const { team, rig } = made;
  await team({ action: "add_task", title: "Build: it", body: "Do it.\n" });
  await team({ action: "add_task", title: "Test it", depends_on: ["task-1"] });
  const claims = await Promise.allSettled(
    ["lead", "coder", "tester"].map((agent) => team({ action: "claim", agent })),
  );
  const won = claims.flatMap((claim) =>
    claim.status === "fulfilled" ? (claim.value.task ?? []) : [],
  );
  expect(won).toMatchObject([{ task_id: "task-1", status: "claimed" }]);
  const agent = won[0]?.assignee ?? "";
  const other = agent === "lead" ? "coder" : "lead";
  const refused = (message: string) => ({ failure: { message: expect.stringContaining(message) } });
  await expect(team({ action: "claim", agent, task_id: "task-2" })).rejects.toMatchObject(
    refused("waits for task-1"),
  );
  await expect(team({ action: "start", agent: other, task_id: "task-1" })).rejects.toMatchObject(
    refused(`claimed by ${agent}`),
  );
  await team({ action: "start", agent, task_id: "task-1" });
  await team({ action: "complete", agent, task_id: "task-1", result: "It is built." });
  await team({ action: "claim", agent: other });
  await team({ action: "fail", agent: other, task_id: "task-2", result: "no tests" });
  await team({ action: "release", agent: other, task_id: "task-2" });
  expect((await team({ action: "board" })).tasks).toMatchObject([
    {
      title: "Build: it",
      status: "done",
      assignee: agent,
      result: "It is built.",
      body: "Do it.\n",
    },
    { title: "Test it", status: "open", assignee: null, result: null },
  ]);
  const note = await readFile(join(rig.home, "vault/teams/crew/board/task-1.md"), "utf8");
  expect(note).toContain("status: done\n");
  await expect(
    team({ action: "add_task", title: "x", depends_on: ["task-9"] }),
  ).rejects.toMatchObject(refused('no task "task-9"'));
});

test("members get workspaces of a golden, and their work outlives the team", async () => {
  await using made = await makeTeam({ golden_workspace: "prep-golden" });
  const { team, rig } = made;
  expect(await rig.names()).toEqual(["crew-coder", "crew-lead", "crew-tester", "prep-golden"]);
  await rig.say("crew-coder", "echo work > work.txt");
  await rig.ask(OPERATIONS.team, { action: "create", name: "sub", roles, parent_team: "crew" });
  const destroyed = await team({ action: "destroy" });
  expect(destroyed.destroyed).toEqual(["sub", "crew"]);
  expect(await rig.names()).toEqual(["prep-golden"]);
  expect((await readdir(join(rig.home, "rescued"))).length).toBe(destroyed.rescued?.length);
  expect(destroyed.rescued?.some((folder) => folder.endsWith("crew-coder"))).toBe(true);
});

test("what cannot be made leaves nothing, and a taken name is not touched", async () => {
  await using rig = await swarmRig();
  const team = asking(rig);
  const golden = { golden_workspace: "prep-golden" };
  await rig.ask(OPERATIONS.createWorkspace, { name: "crew-tester" });
  await expect(team({ action: "create", roles, ...golden })).rejects.toMatchObject({
    failure: { message: expect.stringContaining("taken") },
  });
  expect(await rig.names()).toEqual(["crew-tester", "prep-golden"]);
  await expect(team({ action: "create", roles, ...golden, max_vms: 2 })).rejects.toMatchObject({
    failure: { message: expect.stringContaining("max_vms") },
  });
  expect(await rig.ask(OPERATIONS.team, { action: "list" })).toMatchObject({ teams: [] });
  await rig.ask(OPERATIONS.destroyWorkspace, { name: "crew-tester" });
});

test("a session sees and touches only its own teams", async () => {
  await using made = await makeTeam();
  const other = asking(made.rig, { session: { kind: "session", id: "one" } });
  expect(await made.rig.ask(OPERATIONS.team, { action: "list" })).toMatchObject({ teams: [{}] });
  for (const action of ["status", "destroy", "board"] as const) {
    await expect(other({ action })).rejects.toMatchObject({ failure: { code: "team-refused" } });
  }
});
