import type { Command } from "commander";
import type { Runner, Work } from "../program.ts";
import type { Session } from "../session.ts";
import { wholeNumber } from "../values.ts";

/** What the subcommands share, as the operations name it. */
interface Selection {
  readonly run_id: string | undefined;
  readonly task: string | undefined;
}

interface LogOptions {
  readonly run?: string;
  readonly task?: string;
  readonly type?: string;
  readonly since?: string;
  readonly until?: string;
  readonly limit?: number;
  readonly lines?: number;
  readonly after?: number;
}

type LogWork = (session: Session, selection: Selection, options: LogOptions) => Promise<number>;

export function addLogs(program: Command, run: Runner): void {
  const logs = program.command("logs").description("what happened in a run, and why");
  addQuery(logs, run);
  addSearch(logs, run);
  withRun(logs, run, "timeline", tellTimeline)
    .description("what happened when, a line for each event that matters")
    .option("--task <id>", "only of this task");
  withRun(logs, run, "failures", tellFailures)
    .description("everything that did not go well, with reasons and output")
    .option("--task <id>", "only of this task");
  withRun(logs, run, "summarize", tellSummary).description(
    "what the run did and why, in words, from its events alone",
  );
  withRun(logs, run, "follow", followRun)
    .description("events as they happen, until the run ends")
    .option("-n, --lines <n>", "begin with so many of the events that there are", wholeNumber(0))
    .option("--after <seq>", "begin after this event", wholeNumber(0));
}

function addQuery(logs: Command, run: Runner): void {
  withRun(logs, run, "query", queryEvents)
    .description("events by run, task, type and time")
    .option("--task <id>", "only of this task")
    .option("--type <glob>", "only of these types, such as budget.* or {task,run}.failed")
    .option("--since <time>", "only since then: 10m, 2h, 3d, or a date")
    .option("--until <time>", "only until then")
    .option("--limit <n>", "the newest so many (default: 200)", wholeNumber(1));
}

function addSearch(logs: Command, run: Runner): void {
  logs
    .command("search")
    .description("find a text in what agents, gates and landings said")
    .argument("<text>", "what to look for, whatever its case")
    .option("--run <run>", "the run (default: the newest one of this repository)")
    .option("--task <id>", "only of this task")
    .option("--limit <n>", "so many at the most (default: 50)", wholeNumber(1))
    .action((text: string, options: LogOptions, command: Command) =>
      run(command, async (session) => {
        const { searchLog } = await import("../../control/operations/logs.ts");
        const { renderMatches } = await import("../render/events.ts");
        const { task, limit } = options;
        const input = { run_id: options.run, task, text, limit };
        const found = await session.perform(searchLog, input);
        session.answer(found, (style) => renderMatches(found, style));
        return 0;
      }),
    );
}

/** A subcommand that takes the run by its place or by `--run`. */
function withRun(logs: Command, run: Runner, name: string, work: LogWork): Command {
  return logs
    .command(name)
    .argument("[run]", "the run (default: the newest one of this repository)")
    .option("--run <run>", "the same")
    .action((runId: string | undefined, options: LogOptions, command: Command) => {
      if (runId !== undefined && options.run !== undefined && runId !== options.run) {
        command.error(`two runs are named: ${runId} and ${options.run}`);
      }
      const selection = { run_id: runId ?? options.run, task: options.task };
      const begin: Work = (session) => work(session, selection, options);
      return run(command, begin);
    });
}

const queryEvents: LogWork = async (session, selection, { type, since, until, limit }) => {
  const { queryLog } = await import("../../control/operations/logs.ts");
  const { renderEvents } = await import("../render/events.ts");
  const input = { ...selection, type, since, until, limit };
  const events = await session.perform(queryLog, input);
  session.answer(events, (style) => renderEvents(events, style));
  return 0;
};

const tellTimeline: LogWork = async (session, selection) => {
  const { timeline } = await import("../../control/operations/logs.ts");
  const { renderTimeline } = await import("../render/events.ts");
  const told = await session.perform(timeline, selection);
  session.answer(told, (style) => renderTimeline(told, style));
  return 0;
};

const tellFailures: LogWork = async (session, selection) => {
  const { failures } = await import("../../control/operations/logs.ts");
  const { renderFailures } = await import("../render/stories.ts");
  const told = await session.perform(failures, selection);
  session.answer(told, (style) => renderFailures(told, style));
  return 0;
};

const tellSummary: LogWork = async (session, { run_id }) => {
  const { summarize } = await import("../../control/operations/logs.ts");
  const { renderSummary } = await import("../render/stories.ts");
  const told = await session.perform(summarize, { run_id });
  session.answer(told, (style) => renderSummary(told, style));
  return 0;
};

const followRun: LogWork = async (session, { run_id }, { lines: last, after }) => {
  const { follow } = await import("../../control/operations/follow.ts");
  const { renderEvent, renderFollowEnd } = await import("../render/events.ts");
  const { jsonLine } = await import("../render/terminal-text.ts");
  const { globals, terminal, style, signal } = session;
  const onEvent: Parameters<Session["perform"]>[2] = {
    // Nobody needs what nobody reads.
    signal: AbortSignal.any([signal, terminal.unread]),
    onEvent: (event) => {
      const line = globals.json ? jsonLine(event) : renderEvent(event, style);
      terminal.stdout.write(`${line}\n`);
    },
  };
  const end = await session.perform(follow, { run_id, last, after }, onEvent);
  session.answer(end, (ending) => renderFollowEnd(end, ending));
  return 0;
};
