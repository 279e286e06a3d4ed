import type { Failure, Result } from "../domain/failure.ts";
import { timestamp } from "../lib/clock.ts";
import { checkpoint } from "../workspaces/checkpoint.ts";
import { destroyKept, findKept, forkKept } from "../workspaces/kept-workspaces.ts";
import { HARDENED_ENVIRONMENT, HARDENED_OPTIONS } from "../workspaces/local-git.ts";
import type { LastingWorkspace } from "../workspaces/lasting-workspace.ts";
import { rescueWork } from "../workspaces/rescue.ts";
import { holdsWork } from "../workspaces/unlanded-work.ts";
import type { ExecResult } from "../workspaces/workspace.ts";
import { SWARM_LIMITS } from "./limits.ts";
import type { SwarmMeans } from "./means.ts";
import type { SwarmPlan, TaskOutcome } from "./swarm-request.ts";

const CONTEXT_FILE = "context.md";
const TRACKED = 91;

/**
 * Says where the worker's repository stands, keeps `context.md` out of its commits, and gives it a
 * name to commit by where it has none. As few git processes as can be: where the guest's code is
 * translated each costs as much as all else. A branch's file holds the commit itself.
 */
const PREPARE_SCRIPT = `
file=$1 name=$2
shift 2
[ -d .git ] && [ ! -L .git ] && [ -f .git/HEAD ] || exit 0
export GIT_DIR="$PWD/.git" GIT_WORK_TREE="$PWD"
if [ -n "$file" ]; then
  [ -z "$(git "$@" ls-files -- "$file")" ] || exit ${TRACKED}
  mkdir -p .git/info && printf '/%s\\n' "$file" >> .git/info/exclude || exit 1
fi
known="
$(git config --get-regexp '^user\\.(name|email)$')"
case $known in *'
user.name '?*) ;; *) git config user.name "$name" || exit 1 ;; esac
case $known in *'
user.email '?*) ;; *) git config user.email "$name@mycelium.localhost" || exit 1 ;; esac
IFS= read -r head < .git/HEAD
case $head in
  *..*) ;;
  'ref: refs/heads/'*) IFS= read -r head < ".git/\${head#ref: }" || head= ;;
esac 2> /dev/null
case $head in
  ''|*[!0-9a-f]*) git "$@" rev-parse -q --verify 'HEAD^{commit}' || true ;;
  *) echo "$head" ;;
esac
`;

/** Forks a worker of a swarm under a name that is recorded already. */
export async function forkWorker(
  { providers, ledger, env, workerOwner }: SwarmMeans,
  { snapshot, kind, request }: SwarmPlan,
  { swarm, id }: { readonly swarm: string; readonly id: string },
): Promise<Result<LastingWorkspace>> {
  const provider = providers.get(kind);
  if (provider === undefined) return failed(`there are no ${kind} workspaces in this version`);
  const { allow_internet: internet } = request;
  const network = internet === undefined ? undefined : internet ? "allow" : "none";
  const [fork] = await forkKept({ provider, ledger, owner: workerOwner(swarm) }, snapshot, [
    { id, env, network },
  ]);
  return fork ?? failed("the fork was not answered");
}

/** Writes the context; answers the commit that the worker stands at, `null` without a repository. */
export async function prepareWorker(
  workspace: LastingWorkspace,
  plan: SwarmPlan,
  name: string,
): Promise<Result<string | null>> {
  const { context } = plan;
  const file = context === null ? "" : CONTEXT_FILE;
  const prepared = await workspace.exec({
    command: ["/bin/sh", "-c", PREPARE_SCRIPT, "prepare", file, name, ...HARDENED_OPTIONS],
    ...SWARM_LIMITS.chores,
  });
  const { ending } = prepared;
  if (ending.kind === "exited" && ending.code === TRACKED) {
    return failed(`${CONTEXT_FILE} is a file of the repository: the context cannot take its place`);
  }
  if (ending.kind !== "exited" || ending.code !== 0) {
    return failed(`the worker could not be prepared: ${saidBy(prepared)}`);
  }
  if (context !== null) {
    const written = await workspace.writeFile(contextPath(workspace), context);
    if (!written.ok) return written;
  }
  const head = prepared.stdout.text.trim();
  return { ok: true, value: head === "" ? null : head };
}

/** In the repository's folder, which is `/workspace` wherever a workspace has paths of its own. */
function contextPath({ repositoryDir }: LastingWorkspace): string {
  return `${repositoryDir}/${CONTEXT_FILE}`;
}

export interface TaskRun {
  readonly plan: SwarmPlan;
  readonly ordinal: number;
  readonly swarm: string;
  readonly signal: AbortSignal;
}

export async function runTask(
  workspace: LastingWorkspace,
  { plan, ordinal, swarm, signal }: TaskRun,
): Promise<TaskOutcome> {
  const { request } = plan;
  const task = request.tasks[ordinal];
  if (task === undefined) throw new Error(`swarm ${swarm} has no task ${ordinal}`);
  const result = await workspace.exec({
    command: task.command,
    ...(task.workdir !== undefined && { cwd: task.workdir }),
    env: {
      ...request.env_vars,
      ...task.env,
      MYCELIUM_SWARM_ID: swarm,
      MYCELIUM_SWARM_TASK: task.name,
      MYCELIUM_CONTEXT_FILE: contextPath(workspace),
    },
    timeoutMs: request.timeout_secs * 1000,
    outputBytesMax: request.max_output_bytes,
    signal,
  });
  const { ending, stdout, stderr, durationMs } = result;
  return {
    exit_code: ending.kind === "exited" ? ending.code : null,
    ending: ending.kind === "unstartable" ? ending.message : ending.kind,
    stdout: stdout.text,
    stderr: stderr.text,
    dropped_bytes: stdout.droppedBytes + stderr.droppedBytes,
    elapsed_ms: Math.round(durationMs),
  };
}

/** Says `clean` and nothing else where a task left nothing to commit, which is the rule. */
const CLEAN_SCRIPT = `
[ -d .git ] && [ ! -L .git ] && [ -f .git/HEAD ] && [ ! -e .git/commondir ] || exit 1
export GIT_DIR="$PWD/.git" GIT_WORK_TREE="$PWD" GIT_OPTIONAL_LOCKS=0
changes=$(git "$@" status --porcelain --untracked-files=normal) && [ -z "$changes" ] && echo clean
`;

/** Commits what a task left uncommitted, so that the merge has it. */
export async function commitLeftovers(
  workspace: LastingWorkspace,
  name: string,
): Promise<Result<void>> {
  const { ending, stdout } = await workspace.exec({
    command: ["/bin/sh", "-c", CLEAN_SCRIPT, "leftovers", ...HARDENED_OPTIONS],
    env: HARDENED_ENVIRONMENT,
    ...SWARM_LIMITS.chores,
  });
  if (ending.kind === "exited" && ending.code === 0 && stdout.text === "clean\n") {
    return { ok: true, value: undefined };
  }
  const done = await checkpoint(workspace, {
    message: `${name}\n\nChanges that the task left uncommitted.`,
    author: { name, email: `${name}@mycelium.localhost` },
    timeoutMs: SWARM_LIMITS.chores.timeoutMs,
  });
  return done.ok ? { ok: true, value: undefined } : done;
}

export async function findWorker(
  { ledger, providers, env }: SwarmMeans,
  id: string,
): Promise<LastingWorkspace | null> {
  const found = await findKept(ledger, providers, { id, env });
  return found.ok ? found.value.workspace : null;
}

/** Brings work that nobody has taken onto the host; answers the folder, `null` where there is none. */
export async function rescueWorker(
  means: SwarmMeans,
  id: string,
  base: string | null,
): Promise<Result<string | null>> {
  const workspace = await findWorker(means, id);
  if (workspace === null) return { ok: true, value: null };
  if (base === null && !(await hasRepository(workspace))) return { ok: true, value: null };
  const { timeoutMs } = SWARM_LIMITS.chores;
  if (base !== null && !(await holdsWork(workspace, { base, timeoutMs }))) {
    return { ok: true, value: null };
  }
  const at = timestamp(means.clock);
  const reason = "the swarm's worker was no longer needed, and its work was not merged";
  return rescueWork({ workspace, base, root: means.rescuedDir, reason, at });
}

async function hasRepository(workspace: LastingWorkspace): Promise<boolean> {
  const { ending } = await workspace.exec({ command: "[ -e .git ]", ...SWARM_LIMITS.chores });
  return ending.kind !== "exited" || ending.code === 0;
}

/** Removes a worker, and all that runs in it; may be called twice, and for one that never came to be. */
export async function destroyWorker(
  { providers, ledger, owner }: SwarmMeans,
  kind: string,
  id: string,
): Promise<void> {
  const provider = providers.get(kind);
  if (provider === undefined) throw new Error(`there are no ${kind} workspaces in this version`);
  await provider.endLeftovers(id);
  await destroyKept({ provider, ledger, owner }, id);
}

/** From now on the worker belongs to whoever asked for the swarm. */
export function handOver({ ledger, owner }: SwarmMeans, id: string): void {
  const entry = ledger.find(id);
  if (entry !== null) ledger.write({ ...entry, owner });
}

function saidBy({ ending, stderr }: ExecResult): string {
  if (ending.kind === "unstartable") return ending.message;
  return stderr.text.trim() || ending.kind;
}

function failed(message: string): { readonly ok: false; readonly failure: Failure } {
  return { ok: false, failure: { code: "workspace-failed", message, details: {}, hint: null } };
}
