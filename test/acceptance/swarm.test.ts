import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeSandbox, type Sandbox } from "../support/cli.ts";

const on = (sandbox: Sandbox) => ({
  json: (...args: string[]) => sandbox.json(args),
  ok: async (...args: string[]) => {
    const result = await sandbox.mycelium(args, { stdin: "" });
    expect(result, result.stderr).toMatchObject({ code: 0 });
    return result.stdout;
  },
});

test("`mycelium vault` keeps notes that are plain files", async () => {
  await using sandbox = await makeSandbox();
  const { ok, json } = on(sandbox);
  const piped = ["vault", "write", "plans/api.md"];
  const written = await sandbox.mycelium(piped, { stdin: "# API\nGET /health\n" });
  expect(written).toMatchObject({ code: 0, stdout: "Wrote plans/api.md, 18 bytes.\n" });
  expect(await ok("vault", "read", "plans/api.md")).toBe("# API\nGET /health\n");
  await ok("vault", "tags", "plans/api.md", "--add", "api");
  await ok("vault", "frontmatter", "plans/api.md", "status", "--set", '"open"');
  expect(await ok("vault", "search", "health", "--tag", "api")).toContain("plans/api.md:7: GET");
  expect(await json("vault", "read", "../x.md")).toMatchObject({
    ok: false,
    error: { code: "note-invalid", message: expect.stringContaining("leads out") },
  });
  expect(await json("vault", "delete", "plans/api.md")).toMatchObject({
    error: { code: "confirmation-needed" },
  });
  await ok("vault", "delete", "plans/api.md", "--force");
  expect(await ok("vault", "list", "-r")).toContain("There are no notes");
});

test("`mycelium swarm` runs tasks over forks, merges them and tells what failed", async () => {
  await using sandbox = await makeSandbox();
  const { ok, json } = on(sandbox);
  await ok("workspace", "create", "base", "--repo", ".", "--commit", "main");
  await ok("workspace", "snapshot", "create", "base", "golden");
  await ok("vault", "write", "spec.md", "--content", "from the vault");
  const asked =
    "swarm run --golden base --note spec.md --merge sequential --into base -e WORD=hello";
  const tasks = ["--task", "a=cat context.md > a.txt", "--task", "b=echo $WORD > b.txt"];
  const merged = await sandbox.mycelium([...asked.split(" "), "--context", "for all", ...tasks], {
    stdin: "",
  });
  expect(merged, merged.stderr).toMatchObject({ code: 0 });
  expect(merged.stderr).toContain("[2/2]");
  expect(merged.stdout).toContain("complete: 2 of 2 succeeded");
  expect(merged.stdout).toContain("2 commits are in base");
  expect(await ok("workspace", "exec", "base", "cat a.txt b.txt; git status --porcelain")).toBe(
    "# Shared context\n\nfor all\n\n# Vault: spec.md\n\nfrom the vault\nhello\n",
  );
  expect(await json("workspace", "list")).toMatchObject({ workspaces: [{ name: "base" }] });

  const file = join(sandbox.repository.folder, "swarm.yaml");
  await writeFile(file, "golden_workspace: base\ntasks:\n  - {name: bad, command: exit 3}\n");
  const failed = await sandbox.mycelium(["swarm", "run", "--file", file], { stdin: "" });
  expect(failed).toMatchObject({ code: 1 });
  const id = /Next: mycelium swarm retry (\S+)/.exec(failed.stdout)?.[1] ?? "";
  expect(await json("swarm", "status", id)).toMatchObject({ state: "failed", swarm_id: id });
  expect((await sandbox.mycelium(["swarm", "retry", id], { stdin: "" })).code).toBe(1);
  expect(await ok("swarm", "list")).toContain("0/1");
  expect(await json("swarm", "status", "nothing")).toMatchObject({
    error: { code: "swarm-missing" },
  });
});

test("`mycelium team` and `mycelium workspace merge` do what agents' tools do", async () => {
  await using sandbox = await makeSandbox();
  const { ok } = on(sandbox);
  await ok("team", "create", "crew", "--member", "lead=plans", "--member", "coder=writes");
  expect(await ok("team", "message", "crew", "lead", "*", "hello")).toBe("Sent to coder.\n");
  expect(await ok("team", "receive", "crew", "coder")).toContain("hello");
  await ok("team", "add-task", "crew", "Build it");
  expect(await ok("team", "claim", "crew", "coder")).toMatch(/task-1 +claimed +coder +Build it/);
  await ok("team", "complete", "crew", "coder", "task-1", "--result", "built");
  expect(await ok("team", "board", "crew")).toContain("done");
  await ok("team", "destroy", "crew");

  await ok("workspace", "create", "one", "--repo", ".", "--commit", "main");
  await ok("workspace", "create", "two", "--repo", ".", "--commit", "main");
  const commit = "git -c user.name=a -c user.email=a@b.invalid commit -qm x";
  await ok("workspace", "exec", "two", `echo x > x.txt; git add .; ${commit}`);
  expect(await ok("workspace", "merge", "one", "two")).toContain("1 commits are in one");
  expect(await ok("workspace", "exec", "one", "cat x.txt")).toBe("x\n");
});
