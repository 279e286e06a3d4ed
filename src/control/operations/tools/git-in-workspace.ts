import { Refusal } from "../../../domain/failure.ts";
import { makeRedactor } from "../../../lib/redact.ts";
import type { LastingWorkspace } from "../../../workspaces/lasting-workspace.ts";
import type { ExecResult } from "../../../workspaces/workspace.ts";
import type { OperationContext } from "../../operation.ts";

/** Git asks nobody: there is no person at a workspace. */
const ENVIRONMENT = {
  GIT_TERMINAL_PROMPT: "0",
  GIT_ASKPASS: "true",
  GIT_EDITOR: "true",
  LC_ALL: "C",
} as const;

export interface GitCall {
  readonly workspace: LastingWorkspace;
  readonly path?: string | undefined;
  readonly args: readonly string[];
  readonly timeoutMs: number;
  readonly outputBytesMax: number;
  /** Answered as they are; any other exit code is a refusal. */
  readonly codes?: readonly number[];
}

/** Runs git in a workspace, as its own worker. Throws `git-failed` with what git said. */
export async function gitIn(
  { signal }: Pick<OperationContext, "signal">,
  call: GitCall,
): Promise<ExecResult & { readonly code: number }> {
  const { workspace, path, args, timeoutMs, outputBytesMax, codes = [] } = call;
  const result = await workspace.exec({
    command: ["git", ...args],
    env: ENVIRONMENT,
    ...(path !== undefined && { cwd: path }),
    timeoutMs,
    outputBytesMax,
    signal,
  });
  const { ending } = result;
  if (ending.kind === "exited" && (ending.code === 0 || codes.includes(ending.code))) {
    return { ...result, code: ending.code };
  }
  throw await refusalOf(call, result);
}

async function refusalOf(
  { workspace, args }: GitCall,
  { ending, stdout, stderr }: ExecResult,
): Promise<Refusal> {
  const { id } = workspace;
  if (ending.kind === "unstartable") {
    const { state } = await workspace.info();
    const code = state === "stopped" ? "workspace-stopped" : "git-failed";
    return new Refusal(code, ending.message, { details: { workspace_id: id } });
  }
  const verb = args.find((word) => !word.startsWith("-")) ?? "";
  const said = withoutSecrets(`${stdout.text}\n${stderr.text}`.trim());
  const how = ending.kind === "exited" ? `exit code ${ending.code}` : ending.kind;
  const hint = hintFor(said, ending.kind);
  return new Refusal("git-failed", `git ${verb} failed (${how}): ${said}`, {
    ...(hint !== null && { hint }),
    details: { workspace_id: id },
  });
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/not a git repository/i, "name the repository's folder by path, or run git init there"],
  [/please tell me who you are|unable to auto-detect email/i, "give author_name and author_email"],
  [/non-fast-forward|fetch first|\[rejected\]/i, "fetch and merge first, or push with force"],
  [/authentication failed|could not read username|permission denied/i, "the remote asks for a key"],
  [/does not appear to be a git repository|no such remote/i, "add the remote with git remote add"],
  [/has no upstream branch/i, "push with set_upstream true"],
];

function hintFor(said: string, kind: string): string | null {
  if (kind === "timed-out") return "it took too long; raise timeout_secs";
  return HINTS.find(([pattern]) => pattern.test(said))?.[1] ?? null;
}

const CREDENTIALS = /(?<=:\/\/)[^\s/@]+@/g;
const redact = makeRedactor([]);

/** What git tells of a remote may hold the key that is in its address. */
export function withoutSecrets(text: string): string {
  return redact(text.replaceAll(CREDENTIALS, "[redacted]@"));
}
