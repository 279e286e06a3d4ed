import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeSandbox, type Sandbox } from "../../support/cli.ts";
import { processesOf } from "../../support/marked-processes.ts";
import { connectMcp, type McpClient } from "../../support/mcp-client.ts";
import { becomes, idsOf, sh } from "./driver.ts";

const LOCAL = { args: ["--kind", "local"] };

const GIT =
  "git init -q -b main && git config user.email a@b.invalid && git config user.name A && " +
  "echo safe > work.txt && git add . && git commit -q -m init";

/** A workspace with a commit, and its snapshot to fork. */
async function makeGolden(mcp: McpClient, name: string): Promise<void> {
  await mcp.done("workspace_create", { name });
  await sh(mcp, name, GIT);
  await mcp.done("snapshot", { workspace_id: name, action: "create", name: "golden" });
}

/** Says its own number and that of a child, and stays until there is a gate. */
const waiting = (pids: string, gate: string): string =>
  `[ -e '${gate}' ] || { echo $$ >> '${pids}'; sleep 600 & echo $! >> '${pids}'; wait; }; ` +
  `echo $MYCELIUM_SWARM_TASK > $MYCELIUM_SWARM_TASK.txt`;

function numbersIn(path: string): readonly string[] {
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
}

/** Those that run; what has ended and was not waited for runs no more. */
function alive(pids: readonly string[]): readonly string[] {
  return pids.filter((pid) => {
    try {
      return !/^State:\t[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  });
}

async function namesOf(mcp: McpClient, input: object = {}): Promise<readonly string[]> {
  return idsOf(await mcp.done("workspace_list", input), "workspaces");
}

test("cancelling a swarm ends its process trees, and it can be gone on with", async () => {
  await using sandbox = await makeSandbox();
  await using mcp = await connectMcp(sandbox, LOCAL);
  await makeGolden(mcp, "golden");
  const [pids, gate] = ["pids", "gate"].map((name) => join(sandbox.repository.folder, name));
  if (pids === undefined || gate === undefined) throw new Error("two names have two paths");
  const tasks = ["a", "b"].map((name) => ({ name, command: waiting(pids, gate) }));
  const merging = { merge_strategy: "sequential", merge_target: "golden" };
  const cancelled = new AbortController();
  const input = { golden_workspace: "golden", tasks, ...merging };
  const call = mcp.call("swarm_run", input, { signal: cancelled.signal });
  const outcome = call.catch((error: unknown) => String(error));
  await becomes(async () => expect(alive(numbersIn(pids))).toHaveLength(4));
  cancelled.abort("no longer wanted");
  expect(await outcome).toContain("no longer wanted");
  await becomes(async () => expect(alive(numbersIn(pids))).toEqual([]));
  await becomes(async () => {
    const { swarms } = await mcp.done("swarm_list", {});
    expect(swarms).toMatchObject([{ state: "running", succeeded: 0 }]);
    expect(await namesOf(mcp)).toEqual(["golden"]);
  });
  writeFileSync(gate, "");
  const { swarms } = await mcp.done("swarm_list", {});
  const { swarm_id } = (swarms as readonly { readonly swarm_id: string }[])[0] ?? {};
  await becomes(async () => {
    const resumed = await mcp.done("swarm_resume", { swarm_id });
    expect(resumed).toMatchObject({ state: "complete", summary: { workers_destroyed: 2 } });
  });
  expect(await sh(mcp, "golden", "cat a.txt b.txt")).toBe("a\nb\n");
  expect(await namesOf(mcp)).toEqual(["golden"]);
});

test("cancelling a call for many ends the process trees in all of them", async () => {
  await using sandbox = await makeSandbox();
  await using mcp = await connectMcp(sandbox, LOCAL);
  const ids = ["one", "two", "three"];
  for (const name of ids) await mcp.done("workspace_create", { name });
  const pids = join(sandbox.repository.folder, "pids");
  const cancelled = new AbortController();
  const input = { workspace_ids: ids, commands: waiting(pids, "never") };
  const call = mcp.call("exec_parallel", input, { signal: cancelled.signal });
  const outcome = call.catch((error: unknown) => String(error));
  await becomes(async () => expect(alive(numbersIn(pids))).toHaveLength(6));
  cancelled.abort("no longer wanted");
  expect(await outcome).toContain("no longer wanted");
  await becomes(async () => expect(alive(numbersIn(pids))).toEqual([]));
  for (const id of ids) expect(await sh(mcp, id, "echo works")).toBe("works\n");
});

/** Runs and conducts at once, and never comes to an end by itself. */
function beBusy(mcp: McpClient, name: string, pids: string, gate: string): Promise<unknown> {
  const tasks = ["a", "b", "c"].map((task) => ({ name: task, command: waiting(pids, gate) }));
  const calls = [
    mcp.call("exec", { workspace_id: name, command: `echo $$ >> '${pids}'; exec sleep 600` }),
    mcp.call("swarm_run", {
      golden_workspace: name,
      tasks,
      merge_strategy: "sequential",
      merge_target: name,
    }),
  ];
  return Promise.allSettled(calls);
}

test("two clients that fork, run and adopt, killed in the middle, lose and leak nothing", async () => {
  await using sandbox = await makeSandbox();
  const gate = join(sandbox.repository.folder, "gate");
  const left = await connectMcp(sandbox, LOCAL);
  const orphans = ["o1", "o2", "o3", "o4"];
  for (const name of orphans) await left.done("workspace_create", { name });
  for (const name of orphans) await sh(left, name, `echo ${name} > mine.txt`);
  await left.close();

  const [one, two] = [await connectMcp(sandbox, LOCAL), await connectMcp(sandbox, LOCAL)];
  const clients = { one, two };
  for (const [name, mcp] of Object.entries(clients)) await makeGolden(mcp, name);
  // Whatever is left is taken over by one of them.
  const taken = new Map<string, readonly string[]>([
    ["one", []],
    ["two", []],
  ]);
  await becomes(async () => {
    await Promise.all(
      Object.entries(clients).map(async ([name, mcp]) => {
        const { adopted } = await mcp.done("workspace_adopt", {});
        taken.set(name, [...(taken.get(name) ?? []), ...(adopted as readonly string[])]);
      }),
    );
    expect([...taken.values()].flat().toSorted()).toEqual(orphans);
  });
  const [pidsOne, pidsTwo] = ["one", "two"].map((name) =>
    join(sandbox.repository.folder, `pids-${name}`),
  );
  const busy = [beBusy(one, "one", pidsOne ?? "", gate), beBusy(two, "two", pidsTwo ?? "", gate)];
  await becomes(async () => {
    for (const pids of [pidsOne, pidsTwo]) {
      expect(alive(numbersIn(pids ?? ""))).toHaveLength(7);
    }
  });
  for (const [mcp, other, theirs] of [
    [one, "two", taken.get("two")],
    [two, "one", taken.get("one")],
  ] as const) {
    for (const id of [other, ...(theirs ?? [])]) {
      const touched = await mcp.call("exec", { workspace_id: id, command: "touch stolen.txt" });
      expect(touched.code).toBe("not-owner");
    }
  }
  const forking = Object.entries(clients).map(([name, mcp]) => {
    const from = { workspace_id: name, snapshot_name: "golden" };
    return mcp.call("workspace_fork", { ...from, count: 8, name_prefix: `${name}-fork` });
  });
  await becomes(async () => {
    const book = readdirSync(join(sandbox.home, "kept")).join();
    expect(book).toContain("one-fork");
    expect(book).toContain("two-fork");
  });
  for (const { pid } of [one, two]) process.kill(pid, "SIGKILL");
  await Promise.allSettled([...busy, ...forking]);
  await Promise.all([one.close(), two.close()]);

  await using heir = await connectMcp(sandbox, LOCAL);
  await heir.done("workspace_create", { name: "unharmed" });
  const swept = await sandbox.json(["workspace", "sweep"]);
  expect(swept["failed"]).toEqual([]);
  const adopted = await heir.done("workspace_adopt", {});
  expect(adopted["errors"]).toEqual([]);
  expect(adopted["adopted"]).toEqual(expect.arrayContaining(["one", "two", ...orphans]));
  expect(adopted["swarms"]).toHaveLength(2);
  for (const name of orphans)
    expect(await sh(heir, name, "ls; cat mine.txt")).toBe(`mine.txt\n${name}\n`);

  writeFileSync(gate, "");
  for (const swarm_id of adopted["swarms"] as readonly string[]) {
    const resumed = await heir.done("swarm_resume", { swarm_id });
    expect(resumed).toMatchObject({ state: "complete", summary: { succeeded: 3 } });
  }
  for (const name of ["one", "two"]) {
    expect(await sh(heir, name, "cat work.txt a.txt b.txt c.txt")).toBe("safe\na\nb\nc\n");
  }
  await expectNothingLeft(heir, sandbox);
  for (const pids of [pidsOne, pidsTwo]) {
    await becomes(async () => expect(alive(numbersIn(pids ?? ""))).toEqual([]));
  }
});

/** All that there is is its own and whole, and when it is destroyed there is nothing. */
async function expectNothingLeft(heir: McpClient, sandbox: Sandbox): Promise<void> {
  const { workspaces } = await heir.done("workspace_list", {});
  const list = workspaces as readonly {
    readonly name: string;
    readonly state: string;
    owned: boolean;
  }[];
  for (const { name, state, owned } of list) {
    expect({ name, state, owned }).toEqual({ name, state: "running", owned: true });
  }
  for (const { name } of list) await heir.done("workspace_destroy", { workspace_id: name });
  expect(await namesOf(heir)).toEqual([]);
  for (const folder of ["workspaces", "rooms", "merging"]) {
    const path = join(sandbox.home, folder);
    const names = existsSync(path) ? readdirSync(path) : [];
    expect(names.filter((name) => !name.startsWith("."))).toEqual([]);
  }
  const book = readdirSync(join(sandbox.home, "kept")).filter((name) => name.endsWith(".json"));
  expect(book.filter((name) => !name.includes("@"))).toEqual([]);
  expect(existsSync(join(sandbox.home, "rescued"))).toBe(false);
  await becomes(async () => expect(processesOf(sandbox.home)).toEqual([]));
}
