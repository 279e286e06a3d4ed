import Docker from "dockerode";
import { describe, expect, test } from "vitest";
import { cuttingProxy, type Cut, type CuttingProxy } from "../../../test/support/cutting-proxy.ts";
import {
  DOCKER_SOCKET,
  dockerRig,
  isSkipped,
  whySkipped,
  type DockerRig,
} from "../../../test/support/docker-rig.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { seedOf, value } from "../../../test/support/lasting-rig.ts";
import { seedRepository } from "../../../test/support/seed-repository.ts";
import { ENV, isRunning, output, sh, stubborn } from "../../../test/support/workspace-rig.ts";
import type { LastingWorkspace } from "../lasting-workspace.ts";
import { LABELS } from "./layout.ts";

const ANSWERED = { answer: "" } as const;

/** Workspaces by way of a proxy, and what the engine truly has of them. */
async function lossyRig() {
  const proxy = await cuttingProxy(DOCKER_SOCKET);
  const rig = await dockerRig({}, { socketPath: proxy.socketPath });
  return {
    ...rig,
    proxy,
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

async function found({ root }: DockerRig) {
  const docker = new Docker({ socketPath: DOCKER_SOCKET });
  const filters = { label: [`${LABELS.home}=${root}`] };
  const containers = await docker.listContainers({ all: true, filters });
  const images = await docker.listImages({ filters });
  return {
    containers: containers.map(({ Labels }) => Labels[LABELS.workspace]).toSorted(),
    // Nameless ones too: they would take up room that nobody gives back.
    snapshots: images.map(({ Labels }) => Labels?.[LABELS.snapshot]).toSorted(),
  };
}

async function make(rig: DockerRig): Promise<LastingWorkspace> {
  return value(await rig.provider.create({ id: "one", seed: null, env: ENV }));
}

/** Cuts once while `act` goes on, and requires that it came to that. */
async function cutting<T>(proxy: CuttingProxy, cut: Cut, act: () => Promise<T>): Promise<T> {
  const happened = proxy.cutOnce(cut);
  const done = await act();
  await happened;
  return done;
}

const CREATING = [
  ["the container", /^POST .*\/containers\/create/],
  ["its first files", /^PUT .*\/archive/],
  ["its start", /^POST .*\/containers\/[^/]+\/start/],
  ["an agent", /^POST .*\/containers\/[^/]+\/exec/],
  ["the agent's start", /^POST .*\/exec\/[^/]+\/start/],
] as const;

const MOMENTS = [
  ["was given", ANSWERED],
  ["is under way", "sent"],
] as const;

describe.skipIf(isSkipped)(`answers of the engine that get lost${whySkipped}`, () => {
  test.each(CREATING.flatMap((what) => MOMENTS.map((when) => [...what, ...when] as const)))(
    "a workspace is there once when the answer about %s (%s) %s",
    async (_what, request, _when, at) => {
      await using rig = await lossyRig();
      await using seed = await seedRepository();
      const making = { id: "one", seed: seedOf(seed), env: ENV };
      const made = await cutting(rig.proxy, { request, at }, () => rig.provider.create(making));
      expect(await output(value(made), "cat README.md")).toBe("# Seed");
      expect(await found(rig)).toEqual({ containers: ["one"], snapshots: [] });
    },
  );

  test.each(MOMENTS)("a snapshot and a fork are there once when each answer %s", async (_w, at) => {
    await using rig = await lossyRig();
    const workspace = await make(rig);
    await output(workspace, "echo kept > state");
    const commit = { request: /^POST .*\/commit/, at };
    value(await cutting(rig.proxy, commit, () => workspace.snapshot("base")));
    expect(await found(rig)).toEqual({ containers: ["one"], snapshots: ["one@base"] });
    expect(await workspace.snapshot("base")).toMatchObject({
      ok: false,
      failure: { code: "workspace-exists" },
    });
    const [fork] = await cutting(rig.proxy, { request: CREATING[0][1], at }, () =>
      rig.provider.fork("one@base", [{ id: "two", env: ENV }]),
    );
    expect(fork === undefined ? "" : await output(value(fork), "cat state")).toBe("kept");
    expect(await found(rig)).toEqual({ containers: ["one", "two"], snapshots: ["one@base"] });
  });

  test.each(MOMENTS)("a workspace and a snapshot are gone when each answer %s", async (_w, at) => {
    await using rig = await lossyRig();
    const workspace = await make(rig);
    value(await workspace.snapshot("base"));
    const removal = { request: /^DELETE .*\/containers\//, at };
    await cutting(rig.proxy, removal, () => workspace.destroy());
    expect(await found(rig)).toEqual({ containers: [], snapshots: ["one@base"] });
    const deletion = { request: /^DELETE .*\/images\//, at };
    const deleted = () => rig.provider.deleteSnapshot("one@base");
    value(await cutting(rig.proxy, deletion, deleted));
    // The engine may fail to list them while one is being taken away.
    const isGone = async () => (await found(rig).catch(() => null))?.snapshots.length === 0;
    await eventually("what was under way is done", isGone);
  });

  test("how a command ended is known when its last word is lost, and lost output is told", async () => {
    await using rig = await lossyRig();
    const workspace = await make(rig);
    const ended = { at: { answer: "exited" } } as const;
    const run = () => sh(workspace, "echo said; echo wrong >&2; echo ran >> times; exit 7");
    const { ending, stdout, stderr } = await cutting(rig.proxy, ended, run);
    expect(ending).toEqual({ kind: "exited", code: 7 });
    expect(stdout.totalBytes).toBe("said\n".length);
    expect(stdout.text.length + stdout.droppedBytes).toBe("said\n".length);
    expect(stderr.text.length + stderr.droppedBytes).toBe("wrong\n".length);
    expect(await output(workspace, "cat times")).toBe("ran");
  });

  test("a command whose connection is cut in the middle ends with all that it started", async () => {
    await using rig = await lossyRig();
    const workspace = await make(rig);
    const running = sh(workspace, `${stubborn("daemon")} & sleep 60`);
    const isThere = async () => (await workspace.readFile("daemon", { bytesMax: 10 })).ok;
    await eventually("it runs", isThere);
    rig.proxy.cutAll();
    expect((await running).ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
    expect(await isRunning(workspace, "daemon")).toBe(false);
  });

  test("a job whose beginning was not heard runs once, and its exit code is kept", async () => {
    await using rig = await lossyRig();
    const workspace = await make(rig);
    const begun = { at: { answer: Buffer.from("G\0\0\0\0") } };
    const command = "cat > input; echo begun >> times; exit 5";
    const { job } = value(
      await cutting(rig.proxy, begun, () =>
        workspace.startJob({ command, stdin: "given", timeoutMs: 60_000 }),
      ),
    );
    const read = async () =>
      value(await workspace.readJob({ job, stdoutFrom: 0, stderrFrom: 0, bytesMax: 100 }));
    await eventually("it ends", async () => (await read()).ending !== null);
    const { ending } = await read();
    // Either all of its input was on its way, or it never was a job.
    expect(ending).toEqual({ kind: "exited", code: 5 });
    expect(await output(workspace, "cat input times")).toBe("givenbegun");
  });
});
