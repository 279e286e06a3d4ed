import { expect } from "vitest";
import { sh, type Stage, type Steps } from "../driver.ts";

const AUTHOR = { author_name: "An Agent", author_email: "agent@example.invalid" };

export async function git(stage: Stage, { step, phase }: Steps): Promise<void> {
  const { mcp, primary, at } = stage;
  const path = at("/workspace/project");
  const on = { workspace_id: primary, path };
  phase("5 git");
  await step("git_status where no repository is is refused", async () => {
    await sh(mcp, primary, `mkdir -p ${path}`);
    expect(await mcp.refused("git_status", on)).toContain("not a git repository");
  });
  await step("git_status shows what is untracked", async () => {
    await sh(mcp, primary, `cd ${path} && git init -q -b main && echo one > a.txt`);
    expect(await mcp.done("git_status", on)).toMatchObject({
      branch: "main",
      head: null,
      untracked: ["a.txt"],
      staged: [],
      dirty: true,
    });
  });
  await step("git_commit commits what is changed", async () => {
    const made = await mcp.done("git_commit", { ...on, message: "the first one", ...AUTHOR });
    expect(made).toMatchObject({ nothing_to_commit: false, branch: "main" });
    expect(made).toMatchObject({
      summary: "the first one",
      sha: expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    const author = await sh(mcp, primary, `cd ${path} && git log -1 --format='%an <%ae>'`);
    expect(author).toBe("An Agent <agent@example.invalid>\n");
  });
  await step("git_commit says where there is nothing to commit", async () => {
    const made = await mcp.done("git_commit", { ...on, message: "again", ...AUTHOR });
    expect(made).toMatchObject({ nothing_to_commit: true, sha: null });
  });
  await step("git_commit without a message is refused", async () => {
    expect(await mcp.refused("git_commit", { ...on, message: " " })).toContain("must not be empty");
  });
  await step("git_status tells staged and modified apart, whatever a name holds", async () => {
    const names = "echo 1 > 'sp ace.txt' && git add 'sp ace.txt' && echo two >> a.txt";
    await sh(mcp, primary, `cd ${path} && ${names}`);
    expect(await mcp.done("git_status", on)).toMatchObject({
      staged: ["sp ace.txt"],
      modified: ["a.txt"],
      untracked: [],
      conflicted: [],
    });
  });
  await step("git_diff shows what is changed", async () => {
    const shown = await mcp.done("git_diff", on);
    expect(shown).toMatchObject({ truncated: false, diff: expect.stringContaining("+two\n") });
    expect(shown["diff"]).not.toContain("sp ace.txt");
  });
  await step("git_diff shows what is staged", async () => {
    const shown = await mcp.done("git_diff", { ...on, staged: true });
    expect(shown["diff"]).toContain("sp ace.txt");
    expect(shown["stat"]).toContain("1 file changed");
  });
  await step("git_diff is cut where it is long, and says so", async () => {
    const shown = await mcp.done("git_diff", { ...on, max_bytes: 10 });
    expect(shown).toMatchObject({ truncated: true, diff: "diff --git" });
  });
  await remotes(stage, step);
}

async function remotes({ mcp, primary, at }: Stage, step: Steps["step"]): Promise<void> {
  const path = at("/workspace/project");
  const on = { workspace_id: primary };
  let url = "";
  await step("git_push pushes a branch", async () => {
    await mcp.done("git_commit", { ...on, path, message: "second", ...AUTHOR });
    await sh(mcp, primary, at("git init -q --bare -b main /workspace/remote.git"));
    url = `file://${(await sh(mcp, primary, at("cd /workspace/remote.git && pwd"))).trim()}`;
    await sh(mcp, primary, `cd ${path} && git remote add origin ${url}`);
    const pushed = await mcp.done("git_push", { ...on, path, set_upstream: true });
    expect(pushed).toMatchObject({ remote: "origin", branch: "main" });
    const status = await mcp.done("git_status", { ...on, path });
    expect(status).toMatchObject({ upstream: "origin/main", ahead: 0, behind: 0, dirty: false });
  });
  await step("git_clone clones a repository", async () => {
    const cloned = await mcp.done("git_clone", { ...on, url, path: at("/workspace/clone") });
    expect(cloned).toMatchObject({
      branch: "main",
      commit_sha: expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    expect(await sh(mcp, primary, at("cat /workspace/clone/a.txt"))).toBe("one\ntwo\n");
  });
  await step("a push that others were faster than is refused, with what to do", async () => {
    const clone = at("/workspace/clone");
    await sh(mcp, primary, `cd ${clone} && echo theirs > theirs.txt`);
    await mcp.done("git_commit", { ...on, path: clone, message: "theirs", ...AUTHOR });
    await mcp.done("git_push", { ...on, path: clone });
    await sh(mcp, primary, `cd ${path} && echo ours > ours.txt`);
    await mcp.done("git_commit", { ...on, path, message: "ours", ...AUTHOR });
    const said = await mcp.refused("git_push", { ...on, path });
    expect(said).toContain("fetch and merge first");
  });
  await step("a push to what is no remote is refused", async () => {
    const said = await mcp.refused("git_push", { ...on, path, remote: "nowhere" });
    expect(said).toContain("git remote add");
  });
  await step("an address with metacharacters is refused", async () => {
    for (const bad of ["https://a.invalid/$(id)", "ext::sh -c id", "--upload-pack=id", "a b"]) {
      const said = await mcp.refused("git_clone", { ...on, url: bad, path: at("/workspace/bad") });
      expect(said).toContain("without metacharacters");
    }
  });
  await step("a branch that is an option is refused", async () => {
    const input = { ...on, url, branch: "--bare", path: at("/workspace/bad") };
    expect(await mcp.refused("git_clone", input)).toContain("branch");
  });
  await step("nothing is left of what was refused", async () => {
    expect(await sh(mcp, primary, at("test ! -e /workspace/bad && echo none"))).toBe("none\n");
  });
}
