import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeSandbox, type Sandbox } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { endProcessesOf, processesOf } from "../support/marked-processes.ts";

const on = (sandbox: Sandbox) => ({
  run: (args: readonly string[], stdin = "") => sandbox.mycelium(["workspace", ...args], { stdin }),
  json: (args: readonly string[]) => sandbox.json(["workspace", ...args]),
  ok: async (args: readonly string[], stdin = "") => {
    const result = await sandbox.mycelium(["workspace", ...args], { stdin });
    expect(result, result.stderr).toMatchObject({ code: 0 });
    return result.stdout;
  },
});

describe("`mycelium workspace`", () => {
  it("makes a workspace of a commit and passes streams and exit codes through", async () => {
    await using sandbox = await makeSandbox();
    const { run, ok, json } = on(sandbox);
    await ok(["create", "one", "--repo", ".", "--commit", "main"]);
    const tip = await sandbox.tip();
    expect(await ok(["exec", "one", "git rev-parse HEAD"])).toBe(`${tip}\n`);
    const command = "cat; echo err >&2; printf '\\377' | wc -c; exit 7";
    const result = await run(["exec", "one", command], "given\n");
    expect(result).toMatchObject({ code: 7, stdout: "given\n1\n", stderr: "err\n" });
    expect(await ok(["exec", "one", "--", "printf", "%s|", "a b", "-x"])).toBe("a b|-x|");
    expect((await run(["exec", "one", "--timeout", "0.2", "sleep 60"])).code).toBe(124);
    expect((await run(["exec", "one", "kill -TERM $$"])).code).toBe(143);
    expect((await run(["exec", "one", "--", "/no/such/program"])).code).toBe(127);
    expect(await json(["exec", "one", "exit 5"])).toMatchObject({
      ok: true,
      ending: { kind: "exited", code: 5 },
    });
    expect(await sandbox.repository.git("status", "--porcelain")).toBe("");
  });

  it("keeps variables, refuses them where it is stopped, and remembers over processes", async () => {
    await using sandbox = await makeSandbox();
    const { ok, json } = on(sandbox);
    await ok(["create", "one"]);
    expect(await json(["env", "set", "one", "A=1", "B=x=y"])).toMatchObject({
      count: 2,
      status: "set",
    });
    expect(await ok(["exec", "one", "echo $A $B"])).toBe("1 x=y\n");
    await ok(["stop", "one"]);
    expect(await json(["env", "set", "one", "A=2"])).toMatchObject({
      ok: false,
      error: { code: "workspace-stopped", message: expect.stringContaining("VM must be Running") },
    });
    expect(await json(["exec", "one", "true"])).toMatchObject({
      ok: false,
      error: { code: "workspace-stopped" },
    });
    await ok(["start", "one"]);
    expect(await ok(["env", "unset", "one", "A"])).toBe("B=x=y\n");
    expect(await json(["info", "one"])).toMatchObject({ state: "running", owner: "person" });
  });

  it("background jobs go on when their starter is gone, and are signalled by another", async () => {
    await using sandbox = await makeSandbox();
    const { ok, json } = on(sandbox);
    try {
      await ok(["create", "one"]);
      const command = "echo up; until test -e go; do sleep 0.02; done; echo went; sleep 600";
      const job = (await ok(["job", "start", "one", command])).trim();
      const read = () => json(["job", "read", "one", job]);
      await eventually("it is up", async () => (await read())["stdout"] === "up\n");
      await ok(["exec", "one", "touch go"]);
      await eventually("it went", async () => (await read())["stdout"] === "up\nwent\n");
      expect(await json(["job", "read", "one", job, "--stdout-from", "3"])).toMatchObject({
        running: true,
        stdout: "went\n",
        stdout_next: 8,
      });
      await ok(["job", "signal", "one", job, "SIGKILL"]);
      await eventually("it ends", async () => (await read())["running"] === false);
      expect(await read()).toMatchObject({ ending: { kind: "signalled", signal: "SIGKILL" } });
      await ok(["destroy", "one"]);
      expect(processesOf(sandbox.home)).toEqual([]);
    } finally {
      endProcessesOf(sandbox.home);
    }
  });

  it("reads, writes, edits, lists and carries files", async () => {
    await using sandbox = await makeSandbox();
    const { run, ok, json } = on(sandbox);
    await ok(["create", "one"]);
    await ok(["file", "write", "one", "dir/a.txt"], "one two\n");
    await ok(["file", "edit", "one", "dir/a.txt", "--from", "two", "--to", "2"]);
    expect(await ok(["file", "read", "one", "dir/a.txt"])).toBe("one 2\n");
    expect(await json(["file", "list", "one", "dir"])).toMatchObject({
      entries: [{ name: "a.txt", kind: "file", bytes: 6 }],
    });
    const content = Buffer.alloc(3_000_000, "content ");
    const sha256 = createHash("sha256").update(content).digest("hex");
    const [source, target] = ["source", "target"].map((name) =>
      join(sandbox.repository.folder, name),
    ) as [string, string];
    await writeFile(source, content);
    expect(await json(["upload", "one", source, "big"])).toMatchObject({ sha256 });
    expect(await json(["download", "one", "big", target])).toMatchObject({ sha256 });
    expect((await readFile(target)).equals(content)).toBe(true);
    for (const path of ["../../../outside", "/etc/passwd"]) {
      expect((await run(["file", "read", "one", path])).code).toBe(1);
      expect((await run(["file", "write", "one", path, "--content", "x"])).code).toBe(1);
    }
  });

  it("snapshots, forks in parallel, restores, and deletes what nothing stands on", async () => {
    await using sandbox = await makeSandbox();
    const { run, ok, json } = on(sandbox);
    await ok(["create", "one", "--repo", "."]);
    await ok(["exec", "one", "echo golden > state"]);
    expect(await ok(["snapshot", "create", "one", "base"])).toBe("one@base\n");
    await ok(["exec", "one", "echo later > state"]);
    expect(await json(["fork", "one@base", "--count", "4", "--prefix", "w"])).toMatchObject({
      forks: ["w-1", "w-2", "w-3", "w-4"],
      failures: [],
    });
    expect(await ok(["exec", "w-3", "cat state; echo $HOSTNAME"])).toBe("golden\nw-3\n");
    expect((await run(["snapshot", "delete", "one@base"])).code).toBe(1);
    await ok(["snapshot", "restore", "one", "base"]);
    expect(await ok(["exec", "one", "cat state"])).toBe("golden\n");
    for (const name of ["one", "w-1", "w-2", "w-3", "w-4"]) await ok(["destroy", name]);
    await ok(["snapshot", "delete", "one@base"]);
    expect(await json(["snapshot", "list"])).toMatchObject({ snapshots: [] });
    expect(await json(["list"])).toMatchObject({ workspaces: [] });
  });

  it("prepares a golden once, and nothing of one that fails", async () => {
    await using sandbox = await makeSandbox();
    const { json } = on(sandbox);
    const prepare = ["prepare", "--repo", ".", "--run", "echo 1 > made"];
    const first = await json(prepare);
    expect(first).toMatchObject({ ok: true, reused: false });
    expect(await json(prepare)).toEqual({ ...first, reused: true });
    expect(await json([...prepare, "--run", "exit 9"])).toMatchObject({
      ok: false,
      error: { details: { reason: "setup-failed", index: 1 } },
    });
    expect(await json(["snapshot", "list"])).toMatchObject({ snapshots: [first["snapshot"]] });
    expect(await json(["list"])).toMatchObject({ workspaces: [] });
  });

  it.each(["../traversal", "", "A", "-a", "a.b", "a@b", "golden-1", "a".repeat(64)])(
    "refuses the name %j",
    async (name) => {
      await using sandbox = await makeSandbox();
      const { code, stdout } = await sandbox.mycelium([
        "workspace",
        "create",
        "--json",
        "--",
        name,
      ]);
      expect({ code, ...JSON.parse(stdout) }).toMatchObject({
        code: 2,
        ok: false,
        error: { code: "usage" },
      });
      expect(existsSync(join(sandbox.home, "workspaces"))).toBe(false);
    },
  );

  it("refuses what local cannot hold, a taken name and an unknown one", async () => {
    await using sandbox = await makeSandbox();
    const { ok, json } = on(sandbox);
    const refused = (code: string) => ({ ok: false, error: { code } });
    expect(await json(["create", "one", "--network", "none"])).toMatchObject({
      error: { code: "workspace-unsupported", hint: expect.stringContaining("sandbox") },
    });
    expect(await json(["create", "one", "--memory-mb", "64"])).toMatchObject(
      refused("workspace-unsupported"),
    );
    expect(await json(["create", "one", "--repo", ".", "--commit", "none"])).toMatchObject(
      refused("branch-missing"),
    );
    await ok(["create", "one"]);
    expect(await json(["create", "one"])).toMatchObject(refused("workspace-exists"));
    expect(await json(["exec", "two", "true"])).toMatchObject(refused("workspace-missing"));
    expect(await json(["destroy", "two"])).toMatchObject(refused("workspace-missing"));
    expect(await json(["list"])).toMatchObject({ workspaces: [{ name: "one" }] });
  });

  it("killed while it makes one, leaves what the sweep takes away", async () => {
    await using sandbox = await makeSandbox();
    const { ok, json } = on(sandbox);
    const env = { MYCELIUM_CRASH_AT: "workspace.recorded" };
    const killed = await sandbox.mycelium(["workspace", "create", "one", "--repo", "."], { env });
    expect(killed.signal).toBe("SIGKILL");
    expect(await json(["list"])).toMatchObject({ workspaces: [{ state: "half-made" }] });
    expect(await json(["sweep", "--dry-run"])).toMatchObject({ removed: [{ id: "one" }] });
    expect(await json(["sweep"])).toMatchObject({ removed: [{ id: "one", why: "half-made" }] });
    expect(await json(["list"])).toMatchObject({ workspaces: [] });
    await ok(["create", "one", "--repo", "."]);
  });

  it("sweeps what a process owned that is gone, and keeps its work", async () => {
    await using sandbox = await makeSandbox();
    const { ok, json } = on(sandbox);
    const ended = String(2 ** 22 + 1);
    await ok(["create", "one", "--repo", ".", "--owner-pid", ended]);
    await ok(["exec", "one", "echo new > new.txt"]);
    expect(await json(["sweep"])).toMatchObject({ removed: [], waiting: [{ id: "one" }] });
    const rescued = join(sandbox.home, "rescued", "one");
    expect(await json(["sweep", "--after", "0"])).toMatchObject({ removed: [{ rescued }] });
    expect(await readFile(join(rescued, "uncommitted.patch"), "utf8")).toContain("+new");
  });
});
