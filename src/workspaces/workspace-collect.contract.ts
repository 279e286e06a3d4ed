import { expect, test } from "vitest";
import { seedRepository, type SeedRepository } from "../../test/support/seed-repository.ts";
import {
  makeWorkspace,
  output,
  type ContractMeans,
  type ProviderRig,
} from "../../test/support/workspace-rig.ts";
import { checkpoint } from "./checkpoint.ts";
import type { Workspace } from "./workspace.ts";

const COMMIT = "git commit -q --allow-empty -m more";
const CHECKPOINT = {
  message: "# 1: a task",
  author: { name: "Mycelium", email: "mycelium@localhost" },
  timeoutMs: 60_000,
};

/** What a worker could have done to its repository so that no commits can be had from it. */
const BROKEN = [
  ["no repository", "rm -rf .git"],
  ["a link for a repository", "mv .git ../tmp/git && ln -s ../tmp/git .git"],
  ["a file for a repository", "mv .git ../tmp/git && echo gitdir: ../tmp/git > .git"],
  ["no HEAD", "rm .git/HEAD"],
  ["a link for HEAD", "mv .git/HEAD .git/OTHER && ln -s OTHER .git/HEAD"],
  ["a pipe for HEAD", "rm .git/HEAD && mkfifo .git/HEAD"],
  ["a HEAD without a branch", "echo ref: refs/heads/nothing > .git/HEAD"],
  ["a HEAD that leads elsewhere", "echo ref: refs/heads/../../../x > .git/HEAD"],
  ["nonsense for HEAD", "head -c 100000 /dev/urandom > .git/HEAD"],
  ["links for refs", "mv .git/refs ../tmp/refs && ln -s ../../tmp/refs .git/refs"],
  ["no objects", "rm -rf .git/objects && mkdir .git/objects"],
  ["HEAD at what is no commit", "git rev-parse HEAD^{tree} > .git/refs/heads/task/one"],
] as const;

/** Commits come out as a bundle whatever the worker made of its repository, or not at all. */
export function describeCollecting({ makeRig, seed }: ContractMeans): void {
  test("an unchanged repository gives its head and no bundle", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await workspace.writeFile("README.md", "not committed");
    const { head } = seed();
    expect(await workspace.collect(head)).toEqual({ ok: true, value: { bundle: null, head } });
  });

  test("new commits come out as a bundle whose only ref is HEAD", async () => {
    await using rig = await makeRig();
    await using host = await seedRepository();
    const workspace = await makeWorkspace(rig, host);
    await output(workspace, `echo new > new.txt && git add . && git commit -q -m one && ${COMMIT}`);
    const { bundle, head } = await collected(workspace, host);
    expect(await host.git("bundle", "list-heads", bundle)).toBe(`${head} HEAD`);
    await host.git("fetch", "-q", bundle, "HEAD");
    expect(await host.git("log", "--format=%s", `${host.head}..${head}`)).toBe("more\none");
    expect(await host.git("show", `${head}:new.txt`)).toBe("new");
  });

  test.each([
    ["a detached HEAD", `git checkout -q --detach && ${COMMIT}`],
    ["another branch", `git checkout -q -b other && ${COMMIT}`],
    ["packed refs", `${COMMIT} && git pack-refs --all`],
    ["packed objects", `${COMMIT} && git gc -q`],
  ])("%s is no hindrance", async (_name, command) => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await output(workspace, command);
    const { bundle, head } = await collected(workspace, seed());
    expect(head).toBe(await output(workspace, "git rev-parse HEAD"));
    expect(await seed().git("bundle", "list-heads", bundle)).toBe(`${head} HEAD`);
  });

  test.each(BROKEN)("%s is a failure", async (_name, command) => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await output(workspace, COMMIT);
    await workspace.exec({ command, timeoutMs: 60_000 });
    expect(await workspace.collect(seed().head)).toMatchObject({
      ok: false,
      failure: { code: "workspace-failed", message: expect.stringMatching(/\w/) },
    });
  });

  test("nothing that the worker's repository names is run", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    await output(workspace, COMMIT);
    const trap = `touch ${workspace.contextDir}/sprung`;
    await output(
      workspace,
      `for key in core.fsmonitor core.sshCommand core.pager core.editor core.alternateRefsCommand \
         alias.bundle uploadpack.packObjectsHook filter.evil.clean diff.external gpg.program; do
         git config $key '${trap}'; done
       git config core.hooksPath .git/traps; mkdir .git/traps
       for hook in pre-commit post-commit commit-msg post-index-change reference-transaction; do
         printf '#!/bin/sh\n${trap}\n' > .git/traps/$hook; chmod +x .git/traps/$hook; done
       git config extensions.partialClone evil; git config remote.evil.promisor true
       git config remote.evil.url 'ext::${trap}'; git config protocol.allow always`,
    );
    const { bundle } = await collected(workspace, seed());
    expect(await seed().git("bundle", "list-heads", bundle)).toContain("HEAD");
    const sprung = await workspace.readFile(`${workspace.contextDir}/sprung`, { bytesMax: 1 });
    expect(sprung).toMatchObject({ ok: false, failure: { details: { reason: "missing" } } });
  });

  test("replaced objects do not change what is brought out", async () => {
    await using rig = await makeRig();
    const workspace = await makeWorkspace(rig, seed());
    const head = await output(workspace, `${COMMIT} && git rev-parse HEAD`);
    await output(workspace, `git replace ${head} ${seed().head}`);
    expect((await collected(workspace, seed())).head).toBe(head);
  });

  describeCheckpoints({ makeRig, seed });
}

async function collected(
  workspace: Workspace,
  { head }: SeedRepository,
): Promise<{ bundle: string; head: string }> {
  const result = await workspace.collect(head);
  if (!result.ok || result.value.bundle === null) throw new Error(JSON.stringify(result));
  return { bundle: result.value.bundle, head: result.value.head };
}

function describeCheckpoints({ makeRig, seed }: ContractMeans): void {
  const make = (rig: ProviderRig): Promise<Workspace> => makeWorkspace(rig, seed());

  test("a checkpoint commits changed, new and removed files, and nothing that is ignored", async () => {
    await using rig = await makeRig();
    const workspace = await make(rig);
    await output(
      workspace,
      "echo x > new.txt; echo y >> README.md; rm run.sh; echo '*.log' > .gitignore; touch a.log",
    );
    expect(await checkpoint(workspace, CHECKPOINT)).toEqual({
      ok: true,
      value: { committed: true },
    });
    expect(await output(workspace, "git show --format='%an <%ae> %cn %s' --name-status HEAD")).toBe(
      [
        "Mycelium <mycelium@localhost> Mycelium # 1: a task\n",
        "A\t.gitignore",
        "M\tREADME.md",
        "A\tnew.txt",
        "D\trun.sh",
      ].join("\n"),
    );
  });

  test("a checkpoint of nothing says that there was nothing", async () => {
    await using rig = await makeRig();
    const workspace = await make(rig);
    expect(await checkpoint(workspace, CHECKPOINT)).toEqual({
      ok: true,
      value: { committed: false },
    });
    expect(await output(workspace, "git rev-parse HEAD")).toBe(seed().head);
  });

  test("a checkpoint takes away the locks that a killed agent left", async () => {
    await using rig = await makeRig();
    const workspace = await make(rig);
    await output(
      workspace,
      "touch new .git/index.lock .git/HEAD.lock .git/refs/heads/task/one.lock",
    );
    expect(await checkpoint(workspace, CHECKPOINT)).toEqual({
      ok: true,
      value: { committed: true },
    });
  });

  test("a checkpoint runs no hooks and signs nothing", async () => {
    await using rig = await makeRig();
    const workspace = await make(rig);
    await output(
      workspace,
      `mkdir -p .git/hooks && printf '#!/bin/sh\nexit 1\n' > .git/hooks/pre-commit
       chmod +x .git/hooks/pre-commit; cp .git/hooks/pre-commit .git/hooks/prepare-commit-msg
       git config commit.gpgSign true; git config gpg.program false; touch new`,
    );
    expect(await checkpoint(workspace, CHECKPOINT)).toEqual({
      ok: true,
      value: { committed: true },
    });
  });

  test.each([
    ["without a repository", "rm -rf .git", "lost its .git folder"],
    ["with a link to another repository", "mv .git ../tmp/git; ln -s ../tmp/git .git", "lost its"],
    ["with a repository that has no commit inside", "git init -q inner", "could not be staged"],
    ["with a broken index", "echo nonsense > .git/index", "could not be staged"],
  ])("%s there is no checkpoint, and nothing else is touched", async (_name, command, message) => {
    await using rig = await makeRig();
    const workspace = await make(rig);
    await output(workspace, command);
    const made = await checkpoint(workspace, CHECKPOINT);
    expect(made).toMatchObject({ ok: false, failure: { code: "workspace-failed" } });
    expect(made.ok ? "" : made.failure.message).toContain(message);
  });
}
