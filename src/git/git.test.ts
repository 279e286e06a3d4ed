import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Refusal } from "../domain/failure.ts";
import { makeGitRepository, type TestRepository } from "../../test/support/git-repository.ts";
import { openGit, type Git } from "./git.ts";
import { saysDiskFull } from "./git-failed.ts";

/** A program that stands where git should. */
async function makeProgram(repository: TestRepository, body: string): Promise<string> {
  const path = join(repository.folder, "program");
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
  return path;
}

async function openWith(repository: TestRepository, body: string): Promise<Git> {
  const program = await makeProgram(repository, body);
  return openGit({ cwd: repository.path, env: repository.env, program });
}

async function refusalOf(promise: Promise<unknown>): Promise<Refusal["failure"]> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Refusal);
  return (error as Refusal).failure;
}

describe("run", () => {
  test("answers code and output, and takes codes that are an answer", async () => {
    await using repository = await makeGitRepository();
    const git = openGit({ cwd: repository.path, env: repository.env });
    const found = await git.run(["rev-parse", "HEAD"]);
    expect(found).toMatchObject({ code: 0, stdout: `${repository.base}\n` });
    const missing = ["config", "--get", "no.such"];
    expect((await git.run(missing, { allowExitCodes: [0, 1] })).code).toBe(1);
  });

  test("refuses a code that is none, with command, code and what git said", async () => {
    await using repository = await makeGitRepository();
    const git = openGit({ cwd: repository.path, env: repository.env });
    const failure = await refusalOf(git.run(["rev-parse", "--verify", "no-such-name"]));
    expect(failure.code).toBe("git-failed");
    expect(failure.message).toBe(
      "`git rev-parse` failed with exit code 128: fatal: Needed a single revision",
    );
    expect(failure.details).toMatchObject({
      command: ["git", "rev-parse", "--verify", "no-such-name"],
      exitCode: 128,
      stderr: "fatal: Needed a single revision",
    });
  });

  test("says that git is missing, with what to do", async () => {
    await using repository = await makeGitRepository();
    const env = { ...repository.env, PATH: join(repository.folder, "nothing-here") };
    const failure = await refusalOf(openGit({ cwd: repository.path, env }).run(["version"]));
    expect(failure.code).toBe("program-missing");
    expect(failure.hint).toContain("install git");
  });

  test("tells a missing folder from a missing git", async () => {
    await using repository = await makeGitRepository();
    const cwd = join(repository.folder, "gone");
    const failure = await refusalOf(openGit({ cwd, env: repository.env }).run(["version"]));
    expect(failure.code).toBe("repository-missing");
  });

  test("takes nothing of the environment but where programs and settings are", async () => {
    await using repository = await makeGitRepository();
    const env = {
      ...repository.env,
      GIT_DIR: "/nowhere",
      GIT_INDEX_FILE: "/nowhere",
      GIT_WORK_TREE: "/nowhere",
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "core.hooksPath",
      GIT_CONFIG_VALUE_0: "/somewhere",
    };
    const git = openGit({ cwd: repository.path, env });
    expect((await git.run(["status", "--porcelain"])).stdout).toBe("");
    expect((await git.run(["config", "core.hooksPath"])).stdout).toBe("/dev/null\n");
  });

  test.each([
    "fatal: unable to write loose object file: No space left on device",
    "fatal: sha1 file '/r/.git/objects/pack/tmp_pack_1' write error. Out of diskspace",
    "error: cannot open x: Disk quota exceeded\nfatal: other",
  ])("says that the disk is full: %s", async (said) => {
    await using repository = await makeGitRepository();
    const git = await openWith(repository, `cat >&2 <<'END'\n${said}\nEND\nexit 128`);
    const failure = await refusalOf(git.run(["anything"]));
    expect(failure).toMatchObject({ code: "disk-full", hint: expect.stringContaining("room") });
  });

  test("asks the disk where git does not say why it could not write", () => {
    const said = "fatal: cannot update ref 'refs/heads/main': couldn't write '/r/main.lock'";
    expect(saysDiskFull(said, () => 0)).toBe(true);
    expect(saysDiskFull(said, () => 10 ** 9)).toBe(false);
    expect(saysDiskFull("fatal: Needed a single revision", () => 0)).toBe(false);
  });

  test("is not told by a worker's object that the disk is full", async () => {
    await using repository = await makeGitRepository();
    const id = "1".repeat(40);
    const say = `echo "error: object ${id}: gitmodulesName: disallowed submodule name: No space left on device" >&2`;
    const git = await openWith(repository, `${say}\nexit 128`);
    expect((await refusalOf(git.run(["anything"]))).code).toBe("git-failed");
  });

  test("never goes on with half an answer", async () => {
    await using repository = await makeGitRepository();
    const git = openGit({ cwd: repository.path, env: repository.env });
    const failure = await refusalOf(git.run(["rev-parse", "HEAD"], { outputBytesMax: 10 }));
    expect(failure.message).toContain("answered 41 bytes, too many");
  });

  test("ends a git that hangs", async () => {
    await using repository = await makeGitRepository();
    const git = await openWith(repository, "exec sleep 60");
    const failure = await refusalOf(git.run(["anything"], { timeoutMs: 50 }));
    expect(failure).toMatchObject({ code: "git-failed" });
    expect(failure.message).toContain("did not end within");
  });

  test("tells of each process that it starts, for counting", async () => {
    await using repository = await makeGitRepository();
    const started: string[] = [];
    const onStart = (args: readonly string[]): number => started.push(args.join(" "));
    const git = openGit({ cwd: repository.folder, env: repository.env, onStart });
    await git.at(repository.path).run(["rev-parse", "HEAD"]);
    expect(started).toEqual(["rev-parse HEAD"]);
  });

  test("looks nowhere else where the repository's folder is given", async () => {
    await using repository = await makeGitRepository();
    const other = join(repository.folder, "other");
    await mkdir(other);
    const gitDir = join(repository.path, ".git");
    const git = openGit({ cwd: other, gitDir, env: repository.env });
    expect((await git.run(["rev-parse", "HEAD"])).stdout.trim()).toBe(repository.base);
  });
});

describe("converse", () => {
  test("starts git again where it has died between two questions", async () => {
    await using repository = await makeGitRepository();
    // Dies after its first answer, the first time only.
    const body = `if [ -e died ]; then exec git "$@"; fi\ntouch died\nread line\necho "first end"`;
    const git = await openWith(repository, body);
    const conversation = git.converse(["cat-file", "--batch-command"]);
    const ask = (): Promise<Buffer> =>
      conversation.ask({ input: "info HEAD\ninfo first\n", sentinel: "first end" });
    expect((await ask()).toString()).toBe("");
    const again = conversation.ask({ input: "info HEAD\ninfo end\n", sentinel: "end missing" });
    expect((await again).toString()).toContain(repository.base);
    await conversation.close();
  });

  test("refuses a question that git dies of, and answers the next", async () => {
    await using repository = await makeGitRepository();
    const git = openGit({ cwd: repository.path, env: repository.env });
    const conversation = git.converse(["cat-file", "--batch-command"]);
    const bad = conversation.ask({ input: "no-such-verb x\n", sentinel: "end missing" });
    const good = conversation.ask({ input: "info HEAD\ninfo end\n", sentinel: "end missing" });
    const failure = await refusalOf(bad);
    expect(failure.code).toBe("git-failed");
    expect(failure.message).toContain("no-such-verb");
    expect((await good).toString()).toContain(repository.base);
    await conversation.close();
  });

  test("may be closed twice and asked again", async () => {
    await using repository = await makeGitRepository();
    const git = openGit({ cwd: repository.path, env: repository.env });
    const conversation = git.converse(["cat-file", "--batch-command"]);
    await conversation.close();
    await conversation.close();
    const answer = await conversation.ask({
      input: "info HEAD\ninfo end\n",
      sentinel: "end missing",
    });
    expect(answer.toString()).toContain(repository.base);
    await conversation.close();
  });
});
