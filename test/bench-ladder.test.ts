import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { judgeLadder, lifeTable, workTable, type LadderFigures } from "../bench/ladder-figures.ts";
import { writeBetween } from "../bench/tables.ts";
import { temporaryFolder } from "./support/temporary-folder.ts";

const NOTHING: LadderFigures = {
  at: "2026-01-02",
  machine: { processor: "an abacus" },
  rounds: 3,
  missing: {},
  kinds: {},
  mainJob: {},
  calls: {},
  swarms: {},
};

/** Everything measured, exactly at its target. */
const MET: LadderFigures = {
  ...NOTHING,
  kinds: {
    sandbox: {
      "create": [40],
      "fork": [28, 30, 90],
      "fork of 16": [240],
      "fork of few files": [20],
      "bare start": [10, 9, 11],
      "bare start of 16": [80],
      "memory of a fork, MB": [0.5],
    },
    docker: { "exec": [70], "bare exec": [70] },
    vm: {
      "fork, first answers": [200],
      "bare start, first answer": [2000],
      "exec": [16],
      "the command itself": [1],
    },
  },
  calls: {
    sandbox: {
      "exec, through the server": [12],
      "exec, the workspace's own": [7],
      "one that waits": [200],
      "many that waits": [600],
      "one that computes": [10],
      "many that computes": [30],
    },
  },
  swarms: { sandbox: { "swarm": [3000], "separate calls": [6000] } },
};

test("targets that are reached exactly are met", () => {
  expect(judgeLadder(MET).map(({ isMet }) => isMet)).toEqual(
    Array.from({ length: 10 }, () => true),
  );
});

test("each target is missed by what lies beyond it, and by that alone", () => {
  const { kinds, calls, swarms } = MET;
  const worse = (where: "sandbox" | "docker" | "vm", change: Record<string, number[]>) => ({
    ...MET,
    kinds: { ...kinds, [where]: { ...kinds[where], ...change } },
  });
  const call = (change: Record<string, number[]>) => ({
    ...MET,
    calls: { sandbox: { ...calls.sandbox, ...change } },
  });
  const missed: Readonly<Record<string, LadderFigures>> = {
    "fork of a sandbox": worse("sandbox", { "fork": [31], "fork of few files": [31] }),
    "sixteen forks of a sandbox": worse("sandbox", { "fork of 16": [241] }),
    "fork of a checkout of 10,000 files": worse("sandbox", { "fork of few files": [19] }),
    "exec in a container": worse("docker", { exec: [71] }),
    "fork of a machine, to its first answer": worse("vm", { "fork, first answers": [201] }),
    "exec in a machine, above the command": worse("vm", { exec: [17] }),
    "a call through MCP, above the workspace's exec": call({ "exec, through the server": [13] }),
    "`exec_parallel` over twenty sandboxes, a job that waits": call({ "many that waits": [601] }),
    "`exec_parallel` over twenty sandboxes, a job that computes": call({
      "many that computes": [31],
    }),
    "a swarm of ten on sandboxes, merged": {
      ...MET,
      swarms: { sandbox: { ...swarms.sandbox, swarm: [3001] } },
    },
  };
  for (const [name, figures] of Object.entries(missed)) {
    const failed = judgeLadder(figures).filter(({ isMet }) => isMet !== true);
    expect(failed.map((target) => [target.name, target.isMet])).toEqual([[name, false]]);
  }
});

test("what was not measured is neither met nor missed", () => {
  for (const { found, isMet } of judgeLadder(NOTHING)) expect([found, isMet]).toEqual([null, null]);
  expect(lifeTable(NOTHING)).toEqual([]);
  expect(workTable(NOTHING)).toEqual([]);
});

test("a kind stands beside its bare tool, by medians, with what nobody measured left open", () => {
  const [head, ...rows] = lifeTable({ ...MET, kinds: { ...MET.kinds, local: {} } });
  expect(head).toEqual([
    "ms",
    "sandbox",
    "bare `bwrap`",
    "docker",
    "bare `docker`",
    "vm",
    "cold boot",
  ]);
  expect(rows.find(([what]) => what === "fork of one")).toEqual([
    "fork of one",
    "30.0",
    "10.0",
    "–",
    "–",
    "–",
    "–",
  ]);
  expect(rows.find(([what]) => what === "fork of one, to its first answer")?.slice(5)).toEqual([
    "200",
    "2,000",
  ]);
  expect(rows.find(([what]) => what?.includes("PSS"))?.[1]).toBe("0.5");
});

test("work stands beside what it is compared with, and local beside nothing", () => {
  const rows = workTable({ ...MET, mainJob: { local: [1000], sandbox: [1500] } });
  expect(rows).toContainEqual(["main job of ten tasks, local", "1,000", "1,000", "–"]);
  expect(rows).toContainEqual(["main job of ten tasks, sandbox", "1,500", "1,000", "1.50 ×"]);
  expect(rows).toContainEqual(["twenty jobs that wait, sandbox", "600", "200", "3.00 ×"]);
  expect(rows).toContainEqual(["swarm of ten, merged, sandbox", "3,000", "6,000", "0.50 ×"]);
});

test("the page has a place for the ladder, and one for figures that it leaves alone", async () => {
  await using folder = await temporaryFolder();
  const page = join(folder.path, "page.md");
  await writeFile(page, await readFile(join(import.meta.dirname, "../docs/performance.md")));
  const marks = {
    begin: "<!-- ladder: written by npm run bench:ladder -- --write -->",
    end: "<!-- ladder: end -->",
  };
  const before = await readFile(page, "utf8");
  await writeBetween(page, marks, ["first", "", "second"]);
  const after = await readFile(page, "utf8");
  expect(after).toContain(`${marks.begin}\n\nfirst\n\nsecond\n\n${marks.end}`);
  const [kept = ""] = before.split(marks.begin);
  expect(after.startsWith(kept)).toBe(true);
  expect(kept).toContain("<!-- figures: end -->");
});
