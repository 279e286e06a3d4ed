import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { z } from "zod";
import {
  answerOfOwnProcess,
  swarmRig,
  swarmUntilKilled,
  type SwarmRig,
} from "../../../test/support/swarm-rig.ts";
import { OPERATIONS } from "../operations.ts";

type Input = Omit<z.input<(typeof OPERATIONS.team)["input"]>, "name">;

const roles = ["lead", "coder", "tester"].map((name) => ({ name, role: name }));
const create = { action: "create", roles, golden_workspace: "prep-golden" } as const;
const MEMBERS = ["crew-coder", "crew-lead", "crew-tester"];

const ask = (rig: SwarmRig, input: Input) => rig.ask(OPERATIONS.team, { name: "crew", ...input });

const kill = (rig: SwarmRig, crashAt: string, input: Input) =>
  swarmUntilKilled({
    home: rig.home,
    crashAt,
    operation: "team",
    input: { name: "crew", ...input },
  });

/** All members have workspaces that work, and nothing else is there. */
async function expectWhole(rig: SwarmRig): Promise<void> {
  expect(await rig.names()).toEqual([...MEMBERS, "prep-golden"]);
  for (const name of MEMBERS) expect(await rig.say(name, "cat data/flag")).toBe("ready");
  const { teams } = await rig.ask(OPERATIONS.team, { action: "list" });
  expect(teams).toMatchObject([{ name: "crew", state: "ready" }]);
}

async function rescuedOf(rig: SwarmRig): Promise<readonly string[]> {
  const folder = join(rig.home, "rescued");
  return existsSync(folder) ? readdir(folder) : [];
}

describe("a team whose maker is killed", () => {
  test.each(["team.recorded", "kept.claimed", "fork.copied:2", "kept.made:2", "team.forked"])(
    "at %s is made whole by the same call, and by no other",
    async (crashAt) => {
      await using rig = await swarmRig();
      expect(await kill(rig, crashAt, create)).toBe("SIGKILL");
      const other = { ...create, roles: roles.slice(1) };
      await expect(ask(rig, other)).rejects.toMatchObject({ failure: { code: "team-exists" } });
      const { team } = await ask(rig, create);
      expect(team).toMatchObject({ state: "ready", members: [{}, {}, {}] });
      await expectWhole(rig);
      await ask(rig, { action: "destroy" });
      expect(await rig.names()).toEqual(["prep-golden"]);
    },
  );

  test("when it was ready is there, and made once", async () => {
    await using rig = await swarmRig();
    expect(await kill(rig, "team.ready", create)).toBe("SIGKILL");
    await expectWhole(rig);
    await expect(ask(rig, create)).rejects.toMatchObject({ failure: { code: "team-exists" } });
    await expectWhole(rig);
  });

  test.each(["team.recorded", "kept.claimed", "kept.made:2", "team.forked"])(
    "at %s can be destroyed: nothing is left of it",
    async (crashAt) => {
      await using rig = await swarmRig();
      expect(await kill(rig, crashAt, create)).toBe("SIGKILL");
      expect(await ask(rig, { action: "destroy" })).toMatchObject({ destroyed: ["crew"] });
      expect(await rig.names()).toEqual(["prep-golden"]);
      expect(await rig.ask(OPERATIONS.team, { action: "list" })).toMatchObject({ teams: [] });
      await ask(rig, create);
      await expectWhole(rig);
    },
  );

  test("leaves a name alone that somebody has taken since", async () => {
    await using rig = await swarmRig();
    expect(await kill(rig, "team.recorded", create)).toBe("SIGKILL");
    await rig.ask(OPERATIONS.createWorkspace, { name: "crew-coder" });
    await rig.say("crew-coder", "echo mine > mine.txt");
    await expect(ask(rig, create)).rejects.toMatchObject({ failure: { code: "team-refused" } });
    expect(await rig.names()).toEqual(["crew-coder", "prep-golden"]);
    expect(await rig.say("crew-coder", "cat mine.txt")).toBe("mine");
  });
});

describe("a message whose sender is killed", () => {
  test.each(["team.message-recorded", "team.message-sent"])(
    "at %s arrives once when it is sent again under its id",
    async (crashAt) => {
      await using rig = await swarmRig();
      await ask(rig, { action: "create", roles });
      const message = { action: "message", agent: "lead", to: "*", content: "go" } as const;
      const named = { ...message, message_id: "first" };
      expect(await kill(rig, crashAt, named)).toBe("SIGKILL");
      for (let times = 0; times < 2; times += 1) {
        expect(await ask(rig, named)).toMatchObject({ recipients: ["coder", "tester"] });
      }
      for (const agent of ["coder", "tester"]) {
        const { messages } = await ask(rig, { action: "receive", agent });
        expect(messages?.map(({ content }) => content)).toEqual(["go"]);
      }
      // Also when it was received, and another's id of the same name is another message.
      await ask(rig, named);
      await ask(rig, { ...named, agent: "tester" });
      const { messages } = await ask(rig, { action: "receive", agent: "coder" });
      expect(messages?.map(({ from }) => from)).toEqual(["tester"]);
    },
  );
});

describe("a task whose agent is killed", () => {
  test.each(["note.writing", "team.task-moved"])(
    "as it claims, at %s, is that agent's when it claims again, and no second one",
    async (crashAt) => {
      await using rig = await swarmRig();
      await ask(rig, { action: "create", roles });
      for (const title of ["one", "two"]) await ask(rig, { action: "add_task", title });
      const claim = { action: "claim", agent: "coder" } as const;
      expect(await kill(rig, crashAt, claim)).toBe("SIGKILL");
      const { task } = await ask(rig, claim);
      expect(task).toMatchObject({ task_id: "task-1", status: "claimed", assignee: "coder" });
      expect(await ask(rig, { ...claim, task_id: "task-1" })).toMatchObject({ task });
      const { task: other } = await ask(rig, { action: "claim", agent: "tester" });
      expect(other).toMatchObject({ task_id: "task-2" });
      await expect(
        ask(rig, { action: "claim", agent: "lead", task_id: "task-1" }),
      ).rejects.toMatchObject({ failure: { code: "team-refused" } });
    },
  );

  test.each([
    [{ action: "start" }, "in_progress"],
    [{ action: "complete", result: "it works" }, "done"],
    [{ action: "fail", result: "no tests" }, "failed"],
    [{ action: "release" }, "open"],
  ] as const)("as it moves it, %j, has moved it once", async (move, status) => {
    await using rig = await swarmRig();
    await ask(rig, { action: "create", roles });
    await ask(rig, { action: "add_task", title: "one" });
    await ask(rig, { action: "claim", agent: "coder" });
    const input = { ...move, agent: "coder", task_id: "task-1" };
    expect(await kill(rig, "team.task-moved", input)).toBe("SIGKILL");
    expect(await ask(rig, input)).toMatchObject({ task: { status } });
    const { tasks } = await ask(rig, { action: "board" });
    expect(tasks).toMatchObject([{ status, assignee: status === "open" ? null : "coder" }]);
    if (status !== "done") return;
    const late = ask(rig, { ...input, result: "it does not" });
    await expect(late).rejects.toMatchObject({ failure: { code: "team-refused" } });
  });
});

describe("a team whose destroyer is killed", () => {
  test.each(["team.removing", "kept.removing:2", "team.member-removed:2", "team.destroyed"])(
    "at %s is gone when it is destroyed again, and its work is saved once",
    async (crashAt) => {
      await using rig = await swarmRig();
      await ask(rig, create);
      await rig.ask(OPERATIONS.team, { action: "create", name: "sub", roles, parent_team: "crew" });
      await rig.say("crew-coder", "echo work > work.txt");
      const before = await rig.names();
      expect(before).toHaveLength(4);
      expect(await kill(rig, crashAt, { action: "destroy" })).toBe("SIGKILL");
      const again = ask(rig, { action: "destroy" });
      if (crashAt === "team.destroyed") {
        // The one below is gone first.
        expect(await again).toMatchObject({ destroyed: ["crew"] });
      } else {
        expect((await again).destroyed?.at(-1)).toBe("crew");
      }
      expect(await rig.names()).toEqual(["prep-golden"]);
      expect(await rig.ask(OPERATIONS.team, { action: "list" })).toMatchObject({ teams: [] });
      // Each once: what is in a golden that nobody knows the base of is work too.
      expect((await rescuedOf(rig)).toSorted()).toEqual(MEMBERS);
      await ask(rig, create);
      await expectWhole(rig);
    },
  );
});

describe("processes that claim at the same time", () => {
  test("have each task once", async () => {
    await using rig = await swarmRig();
    const many = Array.from({ length: 6 }, (_, at) => ({ name: `m${at}`, role: "worker" }));
    await ask(rig, { action: "create", roles: many });
    for (const title of ["a", "b", "c", "d"]) await ask(rig, { action: "add_task", title });
    const claims = await Promise.all(
      many.map(({ name: agent }) =>
        answerOfOwnProcess({
          home: rig.home,
          operation: "team",
          input: { name: "crew", action: "claim", agent },
        }),
      ),
    );
    const won = claims.flatMap((claim) => ("answer" in claim ? [claim.answer["task"]] : []));
    const lost = claims.flatMap((claim) => ("code" in claim ? [claim.code] : []));
    const ids = won.map((task) => (task as { task_id: string }).task_id);
    expect(ids.toSorted()).toEqual(["task-1", "task-2", "task-3", "task-4"]);
    expect(lost).toEqual(["team-refused", "team-refused"]);
    const { tasks } = await ask(rig, { action: "board" });
    expect(new Set(tasks?.map(({ assignee }) => assignee)).size).toBe(4);
  });

  test("a team of one name is made by one of them", async () => {
    await using rig = await swarmRig();
    const input = { name: "crew", ...create };
    const made = await Promise.all(
      [1, 2, 3].map(() => answerOfOwnProcess({ home: rig.home, operation: "team", input })),
    );
    expect(made.filter((one) => "answer" in one)).toHaveLength(1);
    const lost = made.flatMap((one) => ("code" in one ? [one.code] : []));
    expect(lost).toEqual(["team-exists", "team-exists"]);
    await expectWhole(rig);
  });
});
