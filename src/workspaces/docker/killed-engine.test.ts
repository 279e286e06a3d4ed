import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cuttingProxy } from "../../../test/support/cutting-proxy.ts";
import { isSkipped, whySkipped } from "../../../test/support/docker-rig.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { ledgerOf } from "../../../test/support/lasting-maker.ts";
import { value } from "../../../test/support/lasting-rig.ts";
import { mayStartEngines, privateEngine } from "../../../test/support/private-engine.ts";
import { ENV, output, sh } from "../../../test/support/workspace-rig.ts";
import { Refusal, type Result } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import {
  createKept,
  destroyKept,
  findKept,
  forkKept,
  snapshotKept,
  type KeptMeans,
} from "../kept-workspaces.ts";
import type { LastingProvider, LastingWorkspace } from "../lasting-workspace.ts";
import { sweepKept, type SweepReport } from "../sweep.ts";
import { createDockerProvider } from "./docker.ts";
import { LABELS } from "./layout.ts";

const DISK_MEGABYTES = 1_000;
const HOUR_MS = 3_600_000;
const NETWORK = { network: "none" } as const;

/** An engine that is killed by what is asked of it, and what a person keeps there. */
async function fragileEngine(backMs: number) {
  const own = await privateEngine(DISK_MEGABYTES);
  const proxy = await cuttingProxy(own.socketPath);
  const provider = createDockerProvider({
    root: own.home,
    address: { socketPath: proxy.socketPath },
    image: own.image,
    gitEnvironment: { PATH: ENV.PATH },
    engineLimits: { backMs },
  });
  return {
    own,
    provider,
    means: { provider, ledger: ledgerOf(own.home), owner: "person" } satisfies KeptMeans,
    /** Kills it once such a request is on its way, or was answered; `act` meets that. */
    killing: async <T>(
      { request, at }: Pick<Kill, "request" | "at">,
      act: () => Promise<T>,
      afterwards: () => Promise<void> = () => Promise.resolve(),
    ): Promise<T> => {
      let killed: Promise<void> | undefined;
      const andThen = (): void => {
        killed = own.kill().then(afterwards);
        killed.catch(() => undefined);
      };
      const happened = proxy.cutOnce({ request, at, andThen });
      const done = await act();
      await happened;
      await killed;
      return done;
    },
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await own[Symbol.asyncDispose]();
    },
  };
}

type Fragile = Awaited<ReturnType<typeof fragileEngine>>;

/** A workspace `one` with a snapshot `base`, and then a file that is not in it. */
async function prepared({ means }: Fragile): Promise<LastingWorkspace> {
  const made = await createKept(means, { id: "one", seed: null, env: ENV, ...NETWORK });
  const workspace = value(made);
  await output(workspace, "echo base > state");
  value(await snapshotKept(means, workspace, "base"));
  await output(workspace, "echo later > state");
  return workspace;
}

function sweep({ means, own }: Fragile): Promise<SweepReport> {
  return sweepKept({
    ledger: means.ledger,
    providers: [means.provider],
    clock: systemClock,
    afterMs: HOUR_MS,
    rescuedDir: join(own.home, "../rescued"),
    env: ENV,
    dryRun: false,
  });
}

/** What the engine, the disk and the book have, without asking the provider. */
async function found({ own, means }: Fragile) {
  const containers = await own.engine.listContainers({ [LABELS.home]: own.home });
  const images = await own.engine.listImages({ [LABELS.home]: own.home });
  const book = means.ledger.list();
  const ids = (what: string) => book.filter((entry) => entry.what === what).map(({ id }) => id);
  return {
    containers: containers.map(({ labels }) => labels[LABELS.workspace]).toSorted(),
    folders: (await readdir(join(own.home, "workspaces"))).toSorted(),
    snapshots: images.map((labels) => labels[LABELS.snapshot]).toSorted(),
    book: { workspaces: ids("workspace").toSorted(), snapshots: ids("snapshot").toSorted() },
    unsettled: book.filter(({ state }) => state !== "ready").map(({ id }) => id),
  };
}

async function failureOf(act: Promise<Result<unknown> | void>): Promise<string> {
  try {
    const done = await act;
    return done === undefined || done.ok ? "none" : done.failure.code;
  } catch (error) {
    if (error instanceof Refusal) return error.failure.code;
    throw error;
  }
}

interface Kill {
  readonly what: string;
  readonly request: RegExp;
  readonly at: "sent" | { readonly answer: string };
  readonly act: (fragile: Fragile, workspace: LastingWorkspace) => Promise<Result<unknown> | void>;
  /** Which workspaces there are when all is settled. */
  readonly left: readonly string[];
}

const create: Kill["act"] = ({ means }) =>
  createKept(means, { id: "two", seed: null, env: ENV, ...NETWORK });
const fork: Kill["act"] = async ({ means }) =>
  (await forkKept(means, "one@base", [{ id: "two", env: ENV, ...NETWORK }]))[0];
const snapshot: Kill["act"] = ({ means }, workspace) => snapshotKept(means, workspace, "new");
const destroy: Kill["act"] = ({ means }) => destroyKept(means, "one");

const CREATES = /^POST .*\/containers\/create/;
const STARTS = /^POST .*\/containers\/[^/]+\/start/;
const COMMITS = /^POST .*\/commit/;
const REMOVES = /^DELETE .*\/containers\//;
const ANSWERED = { answer: "" } as const;

const KILLS: readonly Kill[] = [
  { what: "a create, as it is asked", request: CREATES, at: "sent", act: create, left: ["one"] },
  { what: "a create, when it is done", request: CREATES, at: ANSWERED, act: create, left: ["one"] },
  { what: "a create's start", request: STARTS, at: "sent", act: create, left: ["one"] },
  { what: "a fork, when it is done", request: CREATES, at: ANSWERED, act: fork, left: ["one"] },
  { what: "a fork's start", request: STARTS, at: "sent", act: fork, left: ["one"] },
  {
    what: "a snapshot, as it is asked",
    request: COMMITS,
    at: "sent",
    act: snapshot,
    left: ["one"],
  },
  { what: "a snapshot, when done", request: COMMITS, at: ANSWERED, act: snapshot, left: ["one"] },
  { what: "a destroy, as it is asked", request: REMOVES, at: "sent", act: destroy, left: [] },
  { what: "a destroy, when it is done", request: REMOVES, at: ANSWERED, act: destroy, left: [] },
];

describe.skipIf(isSkipped || !mayStartEngines)(
  `an engine that is killed${whySkipped}${mayStartEngines ? "" : " (run as root: it starts its own)"}`,
  () => {
    test.each(KILLS)(
      "in the middle of $what fails clearly, and when it is back the sweep finds the rest",
      async (kill) => {
        await using fragile = await fragileEngine(200);
        const workspace = await prepared(fragile);
        const failure = await fragile.killing(kill, () => failureOf(kill.act(fragile, workspace)));
        expect(failure).toBe("workspace-unavailable");
        expect((await sweep(fragile)).failed).toEqual([
          { id: "docker", message: expect.stringMatching(/Docker Engine at .*start it/) },
        ]);
        await fragile.own.start();
        expect(await sweep(fragile)).toMatchObject({ failed: [], waiting: [] });
        const state = await found(fragile);
        expect(state).toMatchObject({
          containers: kill.left,
          folders: kill.left,
          book: { workspaces: kill.left, snapshots: state.snapshots },
          unsettled: [],
        });
        // A snapshot that was whole stays, in the book as well; each is there once.
        expect(["one@base", "one@base one@new"]).toContain(state.snapshots.join(" "));
        expect(await sweep(fragile)).toEqual({ removed: [], failed: [], waiting: [], pruned: [] });
        await expectUsable(fragile, kill.left);
        expect(await failureOf(kill.act({ ...fragile }, workspace))).toBe(
          repeated(kill, state.snapshots),
        );
      },
    );

    test.each(KILLS.filter(({ at }) => at !== "sent"))(
      "in the middle of $what and is back at once only makes that take longer",
      async (kill) => {
        await using fragile = await fragileEngine(60_000);
        const workspace = await prepared(fragile);
        const done = await fragile.killing(
          kill,
          () => failureOf(kill.act(fragile, workspace)),
          () => fragile.own.start(),
        );
        expect(done).toBe("none");
        const workspaces =
          kill.act === destroy ? [] : kill.act === snapshot ? ["one"] : ["one", "two"];
        const snapshots = kill.act === snapshot ? ["one@base", "one@new"] : ["one@base"];
        expect(await found(fragile)).toEqual({
          containers: workspaces,
          folders: workspaces,
          snapshots,
          book: { workspaces, snapshots },
          unsettled: [],
        });
        await expectUsable(fragile, workspaces);
      },
    );

    test("in the middle of a command ends that, and a job's ending is kept", async () => {
      await using fragile = await fragileEngine(60_000);
      const workspace = await prepared(fragile);
      const finished = value(
        await workspace.startJob({ command: "echo said; exit 5", timeoutMs: 60_000 }),
      );
      const read = async (job: string) =>
        value(await workspace.readJob({ job, stdoutFrom: 0, stderrFrom: 0, bytesMax: 100 }));
      await eventually("it ends", async () => (await read(finished.job)).ending !== null);
      const endless = value(
        await workspace.startJob({ command: "echo begun; sleep 600", timeoutMs: 600_000 }),
      );
      await eventually("it speaks", async () => (await read(endless.job)).stdoutBytes > 0);
      const running = sh(workspace, "touch started; sleep 600");
      const isThere = async () => (await workspace.readFile("started", { bytesMax: 10 })).ok;
      await eventually("it runs", isThere);
      await fragile.own.kill();
      await fragile.own.start();
      expect((await running).ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
      expect(await read(finished.job)).toMatchObject({
        ending: { kind: "exited", code: 5 },
        stdout: Buffer.from("said\n"),
      });
      expect(await read(endless.job)).toMatchObject({
        ending: { kind: "signalled", signal: "SIGKILL" },
        stdout: Buffer.from("begun\n"),
      });
      expect(
        await output(workspace, "cat state; ps -e -o args= | grep -c '^sleep 600' || true"),
      ).toBe("later\n0");
    });
  },
);

async function expectUsable({ means }: Fragile, ids: readonly string[]): Promise<void> {
  const providers = new Map<string, LastingProvider>([["docker", means.provider]]);
  for (const id of ids) {
    const { workspace } = value(await findKept(means.ledger, providers, { id, env: ENV }));
    if (id === "one") expect(await output(workspace, "cat state")).toBe("later");
    expect(await output(workspace, "echo works")).toBe("works");
  }
}

/** What the same call answers when all is settled: it was not done before, or it stands already. */
function repeated({ act }: Kill, snapshots: readonly unknown[]): string {
  return act === snapshot && snapshots.includes("one@new") ? "workspace-exists" : "none";
}
