import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { ShownSwarm } from "../../control/operations/swarm.ts";
import type { Runner } from "../program.ts";
import { renderSwarm, renderSwarmList } from "../render/swarm.ts";
import type { Session } from "../session.ts";
import { wholeNumber } from "../values.ts";
import { assignments, list, performing, positiveNumber } from "./workspace/performing.ts";

const operations = () => import("../../control/operations/swarm.ts");

const FILE_BYTES_MAX = 16 * 1024 * 1024;
const WAITING = 3;

interface RunOptions {
  readonly file?: string;
  readonly golden?: string;
  readonly snapshot?: string;
  readonly task?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly merge?: string;
  readonly into?: string;
  readonly partial?: boolean;
  readonly maxParallel?: number;
  readonly timeout?: number;
  readonly context?: string;
  readonly note?: readonly string[];
  readonly cleanup: boolean;
}

export function addSwarm(program: Command, run: Runner): void {
  const swarm = program
    .command("swarm")
    .description("tasks over forks of a golden, side by side, and merged");
  addRunning(swarm, run);
  bySwarm(swarm, "status", "show how far it is").action((id: string, _: object, command: Command) =>
    performing(run, command, {
      load: async () => (await operations()).swarmStatus,
      input: { swarm_id: id },
      render: renderSwarm,
    }),
  );
  swarm
    .command("list")
    .description("list swarms, the newest first")
    .action((_: object, command: Command) =>
      performing(run, command, {
        load: async () => (await operations()).listSwarmRuns,
        input: {},
        render: renderSwarmList,
      }),
    );
  bySwarm(swarm, "cancel", "end it: nothing is merged, its work is saved").action(
    (id: string, _: object, command: Command) =>
      performing(run, command, {
        load: async () => (await operations()).cancelSwarmRun,
        input: { swarm_id: id },
        render: renderSwarm,
      }),
  );
  bySwarm(swarm, "resume", "go on with it after a crash, or merge it again").action(
    (id: string, _: object, command: Command) =>
      run(command, async (session) => {
        const { resumeSwarmRun } = await operations();
        return answer(session, await session.perform(resumeSwarmRun, { swarm_id: id }));
      }),
  );
  bySwarm(swarm, "retry", "do what failed again, in new workers")
    .argument("[tasks...]", "only these")
    .action((id: string, tasks: readonly string[], _: object, command: Command) =>
      run(command, async (session) => {
        const { retrySwarmRun } = await operations();
        const input = { swarm_id: id, ...(tasks.length > 0 && { tasks }) };
        return answer(session, await session.perform(retrySwarmRun, input));
      }),
    );
}

function bySwarm(parent: Command, verb: string, description: string): Command {
  return parent.command(verb).argument("<swarm>", "its id").description(description);
}

function addRunning(swarm: Command, run: Runner): void {
  swarm
    .command("run")
    .description("fork a golden for each task, run them and merge what succeeded")
    .option("--file <file>", "all of it, as YAML or JSON with the names that agents use")
    .option("--golden <workspace>", "the workspace whose snapshot is forked")
    .option("--snapshot <name>", "the snapshot (default: golden)")
    .option("--task <name=command>", "a task; again for more", task)
    .option("-e, --env <NAME=value>", "with this variable; again for more", assignments)
    .option("--merge <strategy>", "sequential, branch-per-source or cherry-pick")
    .option("--into <workspace>", "the workspace that takes what succeeded")
    .option("--partial", "merge what does not conflict")
    .option("--max-parallel <n>", "so many at once (default: 4)", wholeNumber(1))
    .option("--timeout <seconds>", "for each task (default: 600)", positiveNumber)
    .option("--context <text>", "for context.md of each worker")
    .option("--note <path>", "with this note of the vault in it; again for more", list)
    .option("--no-cleanup", "workers stay")
    .action((options: RunOptions, command: Command) =>
      run(command, async (session) => {
        const { runSwarmTasks } = await operations();
        const input = { ...(await readRequest(options.file)), ...inputOf(options) };
        const { stderr } = session.terminal;
        const swarm = await session.perform(runSwarmTasks, input, {
          onProgress: (done, total, message) => {
            if (!session.globals.json) stderr.write(`[${done}/${total}] ${message}\n`);
          },
        });
        return answer(session, swarm);
      }),
    );
}

function inputOf(options: RunOptions): object {
  const { golden, snapshot, task: tasks, env, merge, into, partial, note: notes } = options;
  const given = {
    golden_workspace: golden,
    snapshot,
    tasks: tasks && Object.entries(tasks).map(([name, command]) => ({ name, command })),
    env_vars: env,
    merge_strategy: merge,
    merge_target: into,
    allow_partial: partial,
    max_parallel: options.maxParallel,
    timeout_secs: options.timeout,
    shared_context: options.context,
    vault_context: notes?.map((query) => ({ kind: "read", query })),
    cleanup: options.cleanup ? undefined : false,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

async function readRequest(file: string | undefined): Promise<object> {
  if (file === undefined) return {};
  const { readTextFile } = await import("../../lib/text-file.ts");
  const { parseYaml } = await import("../../lib/yaml.ts");
  const { Refusal } = await import("../../domain/failure.ts");
  const read = await readTextFile(file, { bytesMax: FILE_BYTES_MAX, followLinks: true });
  const hint = "it holds golden_workspace, tasks and what else `--help` shows";
  if (!read.ok) throw new Refusal("usage", `${file} ${read.message}`, { hint });
  const parsed = parseYaml(read.text);
  if (!parsed.ok) throw new Refusal("usage", `${file}: ${parsed.message}`, { hint });
  if (typeof parsed.value === "object" && parsed.value !== null) return parsed.value;
  throw new Refusal("usage", `${file} holds no map`, { hint });
}

function answer(session: Session, swarm: ShownSwarm): number {
  session.answer(swarm, (style) => renderSwarm(swarm, style));
  if (swarm.success) return 0;
  return swarm.state === "interrupted" ? WAITING : 1;
}

/** Each name once: a second one would silently take the first one's place. */
function task(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const name = text.slice(0, Math.max(0, text.indexOf("=")));
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`duplicate task name ${name}`);
  return assignments(text, before);
}
