import { DatabaseSync } from "node:sqlite";
import { Kysely } from "kysely";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { manualClock } from "../../test/support/manual-clock.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { systemClock } from "../lib/clock.ts";
import { readEvents } from "./events.ts";
import { MIGRATIONS, migrate } from "./migrate.ts";
import { insertRun, moveRunIn } from "./runs.ts";
import { openSqlite } from "./sqlite-dialect.ts";
import { openStore, type Store } from "./store.ts";
import type { Tables } from "./tables.ts";
import { insertTasks, listTasks, moveTaskIn } from "./tasks.ts";

const RUN = {
  id: "r1",
  repository: "/repo/.git",
  config_path: "/repo/.mycelium/config.yaml",
  branch: "main",
  base_commit: "a".repeat(40),
  agent: "mock",
  workspace_kind: "local",
  max_parallel: 2,
};

const TASK = {
  run_id: "r1",
  task_id: "001",
  ordinal: 0,
  name: "Greet",
  folder: null,
  manifest: "{}",
  spec: "",
  fingerprint: "f",
};

const open = (home: string, redact = (text: string): string => text): Promise<Store> =>
  openStore({ home, clock: manualClock(), redact });

const openInRealTime = (home: string): Promise<Store> =>
  openStore({ home, clock: systemClock, redact: (text) => text });

async function withRun(store: Store): Promise<void> {
  await store.record(async (change) => {
    await insertRun(change, RUN);
    await insertTasks(change, [TASK]);
  });
}

const started = (task: string) =>
  ({
    type: "task.started",
    task_id: task,
    payload: { name: "Greet", base: "a".repeat(40) },
  }) as const;

describe("a change", () => {
  it("is there with its event, or neither is", async () => {
    await using home = await temporaryFolder();
    const store = await open(home.path);
    await withRun(store);
    const failing = store.record(async (change) => {
      await moveTaskIn(change, { runId: "r1", taskId: "001" }, "start");
      await change.event("r1", started("001"));
      throw new Error("in the middle");
    });
    await expect(failing).rejects.toThrow("in the middle");
    expect(await listTasks(store.tables, "r1")).toMatchObject([{ state: "pending" }]);
    expect(await readEvents(store.tables, { runId: "r1" })).toEqual([]);
    await store.close();
  });

  it("is told to listeners after its commit, in order and with its place in the log", async () => {
    await using home = await temporaryFolder();
    const store = await open(home.path);
    await withRun(store);
    const heard: string[] = [];
    store.subscribe((events) => heard.push(...events.map(({ seq, type }) => `${seq} ${type}`)));
    await store.record(async (change) => {
      await change.event("r1", started("001"));
      await change.event("r1", {
        type: "task.completed",
        task_id: "001",
        payload: { commit: null },
      });
      expect(heard).toEqual([]);
    });
    expect(heard).toEqual(["1 task.started", "2 task.completed"]);
    await store.close();
  });

  it("refuses a move that the diagram does not have", async () => {
    await using home = await temporaryFolder();
    const store = await open(home.path);
    await withRun(store);
    await store.record((change) => moveRunIn(change, "r1", "complete"));
    await expect(store.record((change) => moveRunIn(change, "r1", "resume"))).rejects.toThrow(
      "cannot resume while complete",
    );
    await store.close();
  });

  it("refuses an event whose payload is not of its type", async () => {
    await using home = await temporaryFolder();
    const store = await open(home.path);
    await withRun(store);
    const wrong = { ...started("001"), payload: { name: "Greet", base: "no commit" } };
    await expect(store.record((change) => change.event("r1", wrong))).rejects.toThrow();
    expect(await readEvents(store.tables, { runId: "r1" })).toEqual([]);
    await store.close();
  });

  it("stores no secret, however deep in an event", async () => {
    await using home = await temporaryFolder();
    const store = await open(home.path, (text) => text.replaceAll("hunter2hunter2", "[redacted]"));
    await withRun(store);
    await store.record((change) =>
      change.event("r1", {
        type: "manifest.rescoped",
        task_id: "001",
        payload: { added_files: ["a hunter2hunter2 b"], added_locks: [] },
      }),
    );
    await store.close();
    const raw = new DatabaseSync(join(home.path, "mycelium.db"));
    const { payload } = raw.prepare("select payload from events").get() as { payload: string };
    raw.close();
    expect(payload).toBe('{"added_files":["a [redacted] b"],"added_locks":[]}');
  });

  it("that finds the disk full is refused as such, and the store goes on once there is room", async () => {
    await using home = await temporaryFolder();
    const store = await open(home.path);
    await withRun(store);
    const { sql } = await import("kysely");
    const pages = await sql<{ page_count: number }>`pragma page_count`.execute(store.tables);
    const count = pages.rows[0]?.page_count ?? 0;
    await sql`pragma max_page_count = ${sql.lit(count)}`.execute(store.tables);
    const big = { reason: "x".repeat(200_000), feedback: "" };
    const event = { type: "task.retried", task_id: "001", payload: big } as const;
    await expect(store.record((change) => change.event("r1", event))).rejects.toMatchObject({
      failure: { code: "disk-full" },
    });
    await sql`pragma max_page_count = ${sql.lit(count + 1000)}`.execute(store.tables);
    await store.record((change) => change.event("r1", event));
    expect(await readEvents(store.tables, { runId: "r1" })).toHaveLength(1);
    await store.close();
  });
});

describe("two processes on one database", () => {
  it("wait for each other instead of failing", async () => {
    await using home = await temporaryFolder();
    const [one, two] = await Promise.all([openInRealTime(home.path), openInRealTime(home.path)]);
    await withRun(one);
    const writes = Array.from({ length: 40 }, (_, index) =>
      (index % 2 === 0 ? one : two).record(async (change) => {
        await change.tables.selectFrom("events").select("seq").execute();
        await change.event("r1", started("001"));
      }),
    );
    await Promise.all(writes);
    expect(await readEvents(two.tables, { runId: "r1" })).toHaveLength(40);
    await one.close();
    await two.close();
  });
});

describe("migrations", () => {
  it("are numbered from 1 without gaps", () => {
    expect(MIGRATIONS.map(({ version }) => version)).toEqual(
      MIGRATIONS.map((_, index) => index + 1),
    );
  });

  it("keep the data that an older program wrote", async () => {
    await using home = await temporaryFolder();
    const older = await open(home.path);
    await withRun(older);
    await older.close();
    const { dialect } = openSqlite(join(home.path, "mycelium.db"));
    const tables = new Kysely<Tables>({ dialect });
    const next = {
      version: MIGRATIONS.length + 1,
      name: "notes",
      up: async (database: Kysely<unknown>) => {
        await database.schema.alterTable("runs").addColumn("note", "text").execute();
      },
    };
    await migrate(tables, manualClock(), [...MIGRATIONS, next]);
    const row = await tables.selectFrom("runs").selectAll().executeTakeFirstOrThrow();
    expect(row).toMatchObject({ id: "r1", note: null });
    await tables.destroy();
  });

  it("refuse a database that a newer program has changed", async () => {
    await using home = await temporaryFolder();
    await (await open(home.path)).close();
    const raw = new DatabaseSync(join(home.path, "mycelium.db"));
    raw.exec("insert into schema_migrations values (999, 'future', '2030-01-01T00:00:00.000Z')");
    raw.close();
    await expect(open(home.path)).rejects.toMatchObject({ failure: { code: "database-newer" } });
  });

  it("leave nothing of a migration that fails", async () => {
    await using home = await temporaryFolder();
    await (await open(home.path)).close();
    const { dialect } = openSqlite(join(home.path, "mycelium.db"));
    const tables = new Kysely<Tables>({ dialect });
    const broken = {
      version: MIGRATIONS.length + 1,
      name: "broken",
      up: async (database: Kysely<unknown>) => {
        await database.schema.createTable("half").addColumn("id", "text").execute();
        throw new Error("broken");
      },
    };
    await expect(migrate(tables, manualClock(), [...MIGRATIONS, broken])).rejects.toThrow("broken");
    await tables.destroy();
    const raw = new DatabaseSync(join(home.path, "mycelium.db"));
    const names = raw.prepare("select name from sqlite_master where name = 'half'").all();
    raw.close();
    expect(names).toEqual([]);
    await (await open(home.path)).close();
  });
});
