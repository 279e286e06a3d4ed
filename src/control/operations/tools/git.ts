import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import { ownedWorkspace } from "../../owned-workspace.ts";
import { gitIn, withoutSecrets } from "./git-in-workspace.ts";
import { parseStatus } from "./git-status.ts";
import { gitUrl } from "./git-url.ts";
import { defineTool, path, timeoutSeconds, workspaceId } from "./shapes.ts";

const CLONE_MS = 300_000;
const GIT_MS = 120_000;
const PUSH_SECONDS = 120;
const STATUS_BYTES_MAX = 4 * 1024 * 1024;
const SAID_BYTES_MAX = 65_536;
const DIFF_BYTES_DEFAULT = 65_536;
const DIFF_BYTES_MAX = 8 * 1024 * 1024;
const MESSAGE_LENGTH_MAX = 100_000;
const NAME_LENGTH_MAX = 200;

/** Of a branch or remote: never an option, never two. */
const refName = z
  .string()
  .max(NAME_LENGTH_MAX)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_./-]*$/, "must be letters, digits and '_./-'")
  .refine((name) => !name.includes("..") && !name.endsWith("/"), "is no name of a branch");

const repositoryPath = path
  .optional()
  .describe("Of the repository; the workspace's own by default");

const person = z
  .string()
  .min(1)
  .max(NAME_LENGTH_MAX)
  .regex(/^[^<>\n\r\0]+$/, "must be one line without < and >");

export const toolGitClone = defineTool({
  name: "git_clone",
  summary: "Clone a repository into a workspace",
  does: "changes",
  cost: () => ({ exec: 1 }),
  input: z.strictObject({
    workspace_id: workspaceId,
    url: gitUrl,
    path: path.default(".").describe("The new clone's folder"),
    branch: refName.optional(),
    depth: z.int().min(1).max(1_000_000).optional(),
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    path: z.string(),
    commit_sha: z.string().nullable(),
    branch: z.string().nullable(),
  }),
  run: async (context, { workspace_id: id, url, path: folder, branch, depth }) => {
    const { workspace } = await ownedWorkspace(context, id);
    const means = { workspace, timeoutMs: CLONE_MS, outputBytesMax: SAID_BYTES_MAX };
    const options = [
      ...(branch === undefined ? [] : [`--branch=${branch}`]),
      ...(depth === undefined ? [] : [`--depth=${depth}`]),
    ];
    await gitIn(context, { ...means, args: ["clone", "--quiet", ...options, "--", url, folder] });
    const at = (args: readonly string[]) =>
      gitIn(context, { ...means, path: folder, args, codes: [1, 128] });
    const head = await at(["rev-parse", "--verify", "--quiet", "HEAD"]);
    const name = await at(["symbolic-ref", "--quiet", "--short", "HEAD"]);
    return {
      workspace_id: id,
      path: folder,
      commit_sha: head.code === 0 ? head.stdout.text.trim() : null,
      branch: name.code === 0 ? name.stdout.text.trim() : null,
    };
  },
});

export const toolGitStatus = defineTool({
  name: "git_status",
  summary: "Show a repository's branch, what is ahead and behind, and what is changed",
  does: "reads",
  input: z.strictObject({ workspace_id: workspaceId, path: repositoryPath }),
  output: z.strictObject({
    workspace_id: z.string(),
    branch: z.string().nullable(),
    head: z.string().nullable(),
    upstream: z.string().nullable(),
    ahead: z.int(),
    behind: z.int(),
    staged: z.array(z.string()),
    modified: z.array(z.string()),
    untracked: z.array(z.string()),
    conflicted: z.array(z.string()),
    dirty: z.boolean(),
  }),
  run: async (context, { workspace_id: id, path: folder }) => {
    const { workspace } = await ownedWorkspace(context, id);
    const args = ["status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all"];
    const { stdout } = await gitIn(context, {
      workspace,
      path: folder,
      args,
      timeoutMs: GIT_MS,
      outputBytesMax: STATUS_BYTES_MAX,
    });
    if (stdout.droppedBytes > 0) {
      throw new Refusal("git-failed", "too much has changed for one answer", {
        hint: "run git status with exec, on a part of it",
      });
    }
    return { workspace_id: id, ...parseStatus(stdout.text) };
  },
});

export const toolGitDiff = defineTool({
  name: "git_diff",
  summary: "Show what is changed in a repository, or staged",
  does: "reads",
  input: z.strictObject({
    workspace_id: workspaceId,
    path: repositoryPath,
    staged: z.boolean().default(false),
    stat: z.boolean().default(false).describe("Only how much, by file"),
    file_path: path.optional().describe("Only of this file or folder"),
    max_bytes: z.int().min(1).max(DIFF_BYTES_MAX).default(DIFF_BYTES_DEFAULT),
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    diff: z.string(),
    stat: z.string(),
    truncated: z.boolean(),
  }),
  run: async (context, input) => {
    const { workspace_id: id, path: folder, staged, file_path: file, max_bytes: bytesMax } = input;
    const { workspace } = await ownedWorkspace(context, id);
    const ask = async (options: readonly string[]): Promise<string> => {
      const only = file === undefined ? [] : ["--", file];
      const plain = ["diff", "--no-color", "--no-ext-diff", ...(staged ? ["--cached"] : [])];
      const { stdout } = await gitIn(context, {
        workspace,
        path: folder,
        args: [...plain, ...options, ...only],
        timeoutMs: GIT_MS,
        outputBytesMax: DIFF_BYTES_MAX,
      });
      return stdout.text;
    };
    const stat = (await ask(["--stat"])).trimEnd();
    const whole = input.stat ? "" : await ask([]);
    const isTruncated = Buffer.byteLength(whole) > bytesMax;
    // The beginning: a diff is read from its head.
    const diff = isTruncated ? Buffer.from(whole).subarray(0, bytesMax).toString() : whole;
    return { workspace_id: id, diff, stat, truncated: isTruncated };
  },
});

export const toolGitCommit = defineTool({
  name: "git_commit",
  summary: "Commit what is changed in a repository",
  does: "changes",
  cost: () => ({ exec: 1 }),
  input: z.strictObject({
    workspace_id: workspaceId,
    message: z.string().trim().min(1, "must not be empty").max(MESSAGE_LENGTH_MAX),
    path: repositoryPath,
    add_all: z.boolean().default(true).describe("Stage everything first"),
    author_name: person.optional(),
    author_email: person.optional(),
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    nothing_to_commit: z.boolean(),
    sha: z.string().nullable(),
    branch: z.string().nullable(),
    summary: z.string(),
  }),
  run: async (context, input) => {
    const { workspace_id: id, path: folder, message } = input;
    const { workspace } = await ownedWorkspace(context, id);
    const git = (args: readonly string[], codes: readonly number[] = []) =>
      gitIn(context, {
        workspace,
        path: folder,
        args,
        codes,
        timeoutMs: GIT_MS,
        outputBytesMax: SAID_BYTES_MAX,
      });
    if (input.add_all) await git(["add", "--all"]);
    const staged = await git(["diff", "--cached", "--quiet"], [1]);
    const branch = await git(["symbolic-ref", "--quiet", "--short", "HEAD"], [1]);
    const on = { workspace_id: id, branch: branch.code === 0 ? branch.stdout.text.trim() : null };
    if (staged.code === 0) {
      return { ...on, nothing_to_commit: true, sha: null, summary: "nothing to commit" };
    }
    await git([...identity(input), "commit", "--quiet", `--message=${message}`]);
    const { stdout } = await git(["log", "-1", "--format=%H %s"]);
    const [sha = ""] = stdout.text.trim().split(" ", 1);
    const summary = stdout.text.trim().slice(sha.length + 1);
    return { ...on, nothing_to_commit: false, sha, summary };
  },
});

/** Of author and committer alike; the repository's own where they are left out. */
function identity(input: {
  readonly author_name?: string | undefined;
  readonly author_email?: string | undefined;
}): readonly string[] {
  const { author_name: name, author_email: email } = input;
  return [
    ...(name === undefined ? [] : ["-c", `user.name=${name}`]),
    ...(email === undefined ? [] : ["-c", `user.email=${email}`]),
  ];
}

export const toolGitPush = defineTool({
  name: "git_push",
  summary: "Push a branch to a remote",
  does: "destroys",
  cost: () => ({ exec: 1 }),
  input: z.strictObject({
    workspace_id: workspaceId,
    path: repositoryPath,
    remote: refName.default("origin"),
    branch: refName.optional().describe("The one that is checked out where it is left out"),
    force: z.boolean().default(false).describe("Over what others have not pushed meanwhile"),
    set_upstream: z.boolean().default(false),
    timeout_secs: timeoutSeconds(PUSH_SECONDS),
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    remote: z.string(),
    branch: z.string(),
    output: z.string(),
  }),
  run: async (context, input) => {
    const { workspace_id: id, path: folder, remote, force } = input;
    const { workspace } = await ownedWorkspace(context, id);
    const timeoutMs = input.timeout_secs * 1000;
    const means = { workspace, path: folder, timeoutMs, outputBytesMax: SAID_BYTES_MAX };
    const head = ["symbolic-ref", "--quiet", "--short", "HEAD"];
    const asked =
      input.branch ??
      (await currentBranch(() => gitIn(context, { ...means, args: head, codes: [1] })));
    const options = [
      ...(force ? ["--force-with-lease"] : []),
      ...(input.set_upstream ? ["--set-upstream"] : []),
    ];
    const args = ["push", "--porcelain", ...options, "--", remote, asked];
    const { stdout, stderr } = await gitIn(context, { ...means, args });
    const output = withoutSecrets(`${stdout.text}${stderr.text}`.trim());
    return { workspace_id: id, remote, branch: asked, output };
  },
});

async function currentBranch(ask: () => ReturnType<typeof gitIn>): Promise<string> {
  const { code, stdout } = await ask();
  if (code === 0) return stdout.text.trim();
  throw new Refusal("git-failed", "no branch is checked out", { hint: "name one by branch" });
}
