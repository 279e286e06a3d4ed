import { constants } from "node:os";
import type { Command } from "commander";
import type { ShownEnding } from "../../../control/operations/workspace-commands.ts";
import type { Runner } from "../../program.ts";
import type { Session } from "../../session.ts";
import { wholeNumber } from "../../values.ts";
import { assignments, performing, positiveNumber } from "./performing.ts";

const operations = () => import("../../../control/operations/workspace-commands.ts");

const INPUT_BYTES_MAX = 64 * 1024 * 1024;
/** As shells have it. */
const TIMED_OUT = 124;
const UNSTARTABLE = 127;
const SIGNALLED = 128;

interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeout?: number;
  readonly stdin: boolean;
}

export function addCommands(workspace: Command, run: Runner): void {
  takingCommand(workspace.command("exec"))
    .description("run a command in it: streams and exit code are the command's own")
    .action((name: string, words: string[], options: CommandOptions, command: Command) =>
      run(command, (session) => exec(session, { name, words, options })),
    );
  const job = workspace.command("job").description("commands in the background");
  takingCommand(job.command("start"))
    .description("start one that goes on by itself; its id is printed")
    .action((name: string, words: string[], options: CommandOptions, command: Command) =>
      run(command, async (session) => {
        const input = await inputOf(session, { name, words, options });
        const started = await session.perform((await operations()).startJob, input);
        session.answer(started, () => started.job);
        return 0;
      }),
    );
  addJobReading(job, run);
  addPorts(workspace, run);
}

function takingCommand(command: Command): Command {
  return command
    .argument("<name>", "the workspace")
    .argument("<command...>", "a program and its arguments after --, or one line for the shell")
    .option("--cwd <dir>", "in this folder of it (default: the repository)")
    .option("-e, --env <NAME=value>", "with this variable; again for more", assignments)
    .option("--timeout <seconds>", "then its whole tree is killed", positiveNumber)
    .option("--no-stdin", "do not read standard input");
}

interface Given {
  readonly name: string;
  readonly words: readonly string[];
  readonly options: CommandOptions;
}

async function inputOf(session: Session, { name, words, options }: Given): Promise<object> {
  const stdin = options.stdin ? await session.terminal.readInput(INPUT_BYTES_MAX) : null;
  if (stdin === "too-much") {
    const { Refusal } = await import("../../../domain/failure.ts");
    throw new Refusal("usage", `standard input has more than ${INPUT_BYTES_MAX} bytes`, {
      hint: "`mycelium workspace upload` takes files of any size",
    });
  }
  return {
    name,
    command: words.length === 1 ? words[0] : words,
    cwd: options.cwd,
    variables: options.env ?? {},
    timeout_seconds: options.timeout,
    ...(stdin !== null && { stdin: stdin.toString("base64") }),
  };
}

async function exec(session: Session, given: Given): Promise<number> {
  const { globals, terminal } = session;
  const input = await inputOf(session, given);
  const streams = { stdout: terminal.stdout, stderr: terminal.stderr };
  const result = await session.perform((await operations()).execInWorkspace, input, {
    ...(!globals.json && { onOutput: (stream, chunk) => streams[stream].write(chunk) }),
  });
  const { ending } = result;
  if (globals.json) session.answer(result, () => "");
  else if (ending.kind !== "exited") terminal.stderr.write(`mycelium: ${wordsOf(ending)}\n`);
  return exitCodeOf(ending);
}

function wordsOf({ kind, signal, message }: ShownEnding): string {
  if (kind === "signalled") return `the command was ended by ${signal}`;
  if (kind === "timed-out") return "the command took too long and was ended";
  return message ?? "the command was stopped";
}

function exitCodeOf({ kind, code, signal }: ShownEnding): number {
  if (kind === "exited") return code ?? 1;
  if (kind === "timed-out") return TIMED_OUT;
  if (kind === "unstartable") return UNSTARTABLE;
  const numbers: Readonly<Record<string, number>> = constants.signals;
  return SIGNALLED + (numbers[signal ?? ""] ?? constants.signals.SIGKILL);
}

interface ReadOptions {
  readonly stdoutFrom?: number;
  readonly stderrFrom?: number;
  readonly bytes?: number;
}

function addJobReading(job: Command, run: Runner): void {
  onJob(job, "read")
    .description("show what it says, from offsets, and how it ended")
    .option("--stdout-from <n>", "begin at this byte of its output", wholeNumber(0))
    .option("--stderr-from <n>", "begin at this byte of its error output", wholeNumber(0))
    .option("--bytes <n>", "so much of each at the most", wholeNumber(1))
    .action((name: string, id: string, options: ReadOptions, command: Command) =>
      run(command, async (session) => {
        const { stdoutFrom: stdout_from, stderrFrom: stderr_from, bytes: bytes_max } = options;
        const input = { name, job: id, stdout_from, stderr_from, bytes_max };
        const { readJob } = await operations();
        if (session.globals.json) {
          session.answer(await session.perform(readJob, input), () => "");
          return 0;
        }
        const reading = await session.perform(readJob, { ...input, encoding: "base64" });
        session.terminal.stdout.write(Buffer.from(reading.stdout, "base64"));
        session.terminal.stderr.write(Buffer.from(reading.stderr, "base64"));
        const { ending } = reading;
        const state = ending === null ? "it runs" : endingText(ending);
        session.terminal.stderr.write(`mycelium: ${state}\n`);
        return 0;
      }),
    );
  onJob(job, "signal")
    .argument("[signal]", "SIGTERM, SIGKILL or SIGINT", "SIGTERM")
    .description("send a signal to its whole tree")
    .action((name: string, id: string, signal: "SIGTERM", _: object, command: Command) => {
      const load = async () => (await operations()).signalJob;
      const done = (): string => `Sent ${signal} to ${id}.`;
      return performing(run, command, { load, input: { name, job: id, signal }, render: done });
    });
}

function endingText(ending: ShownEnding): string {
  return ending.kind === "exited" ? `it ended with exit code ${ending.code}` : wordsOf(ending);
}

function onJob(job: Command, verb: string): Command {
  return job.command(verb).argument("<name>", "the workspace").argument("<job>", "the job's id");
}

function addPorts(workspace: Command, run: Runner): void {
  const port = workspace.command("port").description("ports of it on this machine's loopback");
  const number = wholeNumber(1);
  port
    .command("open")
    .argument("<name>", "the workspace")
    .argument("<port>", "its port", number)
    .argument("[host-port]", "this machine's port (default: one that is free)", number)
    .description("open one; the real port is printed")
    .action(
      (name: string, guest: number, host: number | undefined, _: object, command: Command) => {
        const load = async () => (await operations()).openPort;
        const input = { name, port: guest, host_port: host };
        const render = (opened: { readonly host_port: number }): string =>
          `127.0.0.1:${opened.host_port}`;
        return performing(run, command, { load, input, render });
      },
    );
  port
    .command("close")
    .argument("<name>", "the workspace")
    .argument("<port>", "its port", number)
    .description("close one")
    .action((name: string, guest: number, _: object, command: Command) => {
      const load = async () => (await operations()).closePort;
      const done = (): string => `Closed ${guest}.`;
      return performing(run, command, { load, input: { name, port: guest }, render: done });
    });
}
