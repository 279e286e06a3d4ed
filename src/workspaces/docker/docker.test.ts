import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dockerRig, engine, isSkipped, whySkipped } from "../../../test/support/docker-rig.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { seedRepository, type SeedRepository } from "../../../test/support/seed-repository.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { ENV, makeWorkspace, output, sh } from "../../../test/support/workspace-rig.ts";
import { describeWorkspaceContract } from "../workspace.contract.ts";
import type { Workspace, WorkspaceProvider, WorkspaceRequest } from "../workspace.ts";
import { createDockerProvider } from "./docker.ts";
import { containerName } from "./layout.ts";

describe.skipIf(isSkipped)(`docker${whySkipped}`, () => {
  describeWorkspaceContract("docker", () => dockerRig());

  test("an engine that is down is told clearly, by every way in", async () => {
    await using rig = await dockerRig();
    const provider = createDockerProvider({
      root: rig.root,
      address: { socketPath: join(rig.root, "no.sock") },
      image: "any",
      gitEnvironment: {},
    });
    await using seed = await seedRepository();
    const message = expect.stringMatching(/no Docker Engine answers at .*no\.sock \(ENOENT\)/);
    expect(await provider.probe()).toMatchObject({ kind: "missing", what: message });
    const made = await provider.create(requestFor(seed));
    expect(made).toMatchObject({ ok: false, failure: { code: "workspace-unavailable", message } });
    expect(made.ok ? null : made.failure.hint).toContain("start it");
    await expect(provider.list()).rejects.toThrow(/no Docker Engine answers/);
    expect(await rig.provider.list()).toEqual([]);
  });

  test("a home that never had a container has none, with or without an engine", async () => {
    await using folder = await temporaryFolder();
    const provider = createDockerProvider({
      root: join(folder.path, "none"),
      address: { socketPath: join(folder.path, "no.sock") },
      image: "any",
      gitEnvironment: {},
    });
    expect(await provider.list()).toEqual([]);
    expect(await provider.listSnapshots()).toEqual([]);
  });

  test("an image that is not there is named, and nothing is left", async () => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    const made = await rig.provider.create({ ...requestFor(seed), image: "mycelium/none:1" });
    expect(made).toMatchObject({
      ok: false,
      failure: {
        code: "image-missing",
        message: expect.stringContaining("mycelium/none:1"),
        hint: expect.stringContaining("mycelium image build"),
      },
    });
    expect(await rig.provider.list()).toEqual([]);
  });

  test.each([
    [{ memoryMb: 100_000_000 }, /MB of memory; it has/],
    [{ cpus: 5000 }, /cores; it has/],
    [{ diskMb: 100 }, /cannot limit the disk/],
  ])("the limits %j that cannot be given are refused", async (limits, message) => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    const made = await rig.provider.create({ ...requestFor(seed), limits });
    expect(made.ok ? "" : made.failure.message).toMatch(message);
    expect(made.ok ? "" : made.failure.hint).toMatch(/\w/);
    expect(await rig.provider.list()).toEqual([]);
  });

  test("a container that is removed behind our back is told of, and the rest removed", async () => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    const workspace = await makeWorkspace(rig, seed);
    const running = sh(workspace, "touch started; sleep 60");
    await eventually("it runs", async () => isThere(workspace, "started"));
    await engine.removeContainer(containerName(rig.root, "one"));
    expect((await running).ending).toEqual({ kind: "signalled", signal: "SIGKILL" });
    expect((await sh(workspace, "true")).ending).toEqual({
      kind: "unstartable",
      message: expect.stringContaining("removed outside of Mycelium"),
    });
    expect(await workspace.readFile("README.md", { bytesMax: 10 })).toMatchObject({
      ok: false,
      failure: { code: "workspace-missing" },
    });
    expect(await rig.provider.endLeftovers("one")).toBe(0);
    await workspace.destroy();
    expect(await rig.provider.list()).toEqual([]);
  });

  test("a container that was stopped from outside is started again, with its files", async () => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    const workspace = await makeWorkspace(rig, seed);
    await workspace.writeFile("note.txt", "kept");
    await engine.killContainer(containerName(rig.root, "one"));
    expect(await output(workspace, "cat note.txt")).toBe("kept");
  });

  test("containers whose folder was lost are listed and removed", async () => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    await makeWorkspace(rig, seed);
    await using other = await dockerRig();
    await writeFile(join(rig.root, "workspaces/one/workspace.json"), "torn {");
    expect(await rig.provider.find({ id: "one", env: ENV })).toBeNull();
    expect(await other.provider.list()).toEqual([]);
    expect(await rig.provider.list()).toEqual(["one"]);
    await rig.provider.remove("one");
    expect(await engine.inspectContainer(containerName(rig.root, "one"))).toBeNull();
  });

  test("each workspace has a user, a host name and a machine id of its own", async () => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    const [one, two] = [
      await makeWorkspace(rig, seed, "A_long.name-1"),
      await makeWorkspace(rig, seed, "two"),
    ];
    expect(await output(one, "hostname")).toMatch(/^a-long-name-1-[0-9a-f]{8}$/);
    expect(await output(two, "hostname; whoami; stat -c %U:%G README.md .git")).toBe(
      "two\nworker\nworker:worker\nworker:worker",
    );
    const ids = [
      await output(one, "cat /etc/machine-id"),
      await output(two, "cat /etc/machine-id"),
    ];
    expect(ids[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(ids[0]).not.toBe(ids[1]);
  });

  test("a shallow seed and the seed's private excludes are taken over", async () => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    await seed.git("commit", "-q", "--allow-empty", "-m", "second");
    const shallow = join(seed.path, "../shallow");
    await seed.git("clone", "-q", "--depth", "1", `file://${seed.path}`, shallow);
    await writeFile(join(shallow, ".git/info/exclude"), "*.private\n");
    const head = await seed.git("rev-parse", "HEAD");
    const workspace = await makeWorkspace(rig, { ...seed, gitDir: join(shallow, ".git"), head });
    expect(await output(workspace, "git log --format=%s; touch a.private b; git status -s")).toBe(
      "second\n?? b",
    );
    await output(workspace, "git add b && git commit -q -m third");
    expect(await workspace.collect(head)).toMatchObject({ ok: true });
  });

  test("a bundle beyond its limit is a failure, not a full disk", async () => {
    await using rig = await dockerRig({ bundleBytesMax: 100_000 });
    await using seed = await seedRepository();
    const workspace = await makeWorkspace(rig, seed);
    await output(workspace, "head -c 300000 /dev/urandom > big; git add . && git commit -q -m big");
    expect(await workspace.collect(seed.head)).toMatchObject({
      ok: false,
      failure: { message: expect.stringContaining("over 100000 bytes") },
    });
  });

  test("an object that never comes does not hold up collecting", async () => {
    await using rig = await dockerRig({ collectTimeoutMs: 500 });
    await using seed = await seedRepository();
    const workspace = await makeWorkspace(rig, seed);
    await output(
      workspace,
      `git commit -q --allow-empty -m x && head=$(git rev-parse HEAD)
       object=.git/objects/$(echo $head | cut -c1-2)/$(echo $head | cut -c3-)
       rm -f $object && mkfifo $object`,
    );
    const collected = await workspace.collect(seed.head);
    expect(collected.ok ? "" : collected.failure.message).toContain("took too long");
  });

  test("an agent that was lost from a container is put there again", async () => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    await makeWorkspace(rig, seed);
    const root = await engine.execute(containerName(rig.root, "one"), [
      "rm",
      "-r",
      "/usr/local/lib/mycelium",
    ]);
    root.resume();
    await new Promise((resolve) => root.once("close", resolve));
    const found = await reopened(rig.provider);
    expect(await output(found, "echo works")).toBe("works");
  });

  test("the record says how it was made", async () => {
    await using rig = await dockerRig();
    await using seed = await seedRepository();
    const limits = { memoryMb: 128, pids: 50 };
    await rig.provider.create({ ...requestFor(seed), limits, network: "none" });
    const record = JSON.parse(
      await readFile(join(rig.root, "workspaces/one/workspace.json"), "utf8"),
    );
    expect(record).toMatchObject({ state: "ready", limits, network: "none", hostname: "one" });
  });
});

function requestFor({ gitDir, objectFormat, head }: SeedRepository): WorkspaceRequest {
  return { id: "one", seed: { gitDir, objectFormat, commit: head, branch: "task" }, env: ENV };
}

async function isThere(workspace: Workspace, path: string): Promise<boolean> {
  return (await workspace.readFile(path, { bytesMax: 10 })).ok;
}

async function reopened(provider: WorkspaceProvider): Promise<Workspace> {
  const found = await provider.find({ id: "one", env: ENV });
  if (found === null) throw new Error("the workspace is gone");
  return found;
}
