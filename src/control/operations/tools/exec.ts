import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import { systemClock } from "../../../lib/clock.ts";
import type { LastingWorkspace } from "../../../workspaces/lasting-workspace.ts";
import type { ExecEnding, ExecOutput, ExecResult } from "../../../workspaces/workspace.ts";
import { unwrap } from "../../kept-at-hand.ts";
import type { OperationContext } from "../../operation.ts";
import { ownedWorkspace } from "../../owned-workspace.ts";
import {
  command,
  defineTool,
  env,
  maxOutputBytes,
  OUTPUT_BYTES_MAX,
  timeoutSeconds,
  TIMEOUT_SECONDS_MAX,
  workdir,
  workspaceId,
} from "./shapes.ts";

const EXEC_SECONDS = 120;
const PARALLEL_SECONDS = 300;
const PARALLEL_MAX = 20;
/** As shells have it. */
const SIGNALLED = 128;

/** How a command ended, in the words that agents know. */
export const ranSchema = z.strictObject({
  /** 128 for one that a signal ended; `null` where none came to be. */
  exit_code: z.int().nullable(),
  signal: z.string().nullable(),
  timed_out: z.boolean(),
  stdout: z.string(),
  stderr: z.string(),
  /** Bytes of both that are left out of the answer. */
  truncated_bytes: z.int(),
  elapsed_ms: z.int(),
});

export type Ran = z.output<typeof ranSchema>;

const commandInput = {
  workdir: workdir.optional(),
  env: env.default({}),
  max_output_bytes: maxOutputBytes,
};

export interface CommandInput {
  readonly command: string;
  readonly workdir?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly timeout_secs: number;
  readonly max_output_bytes: number;
}

export function shownRan({ ending, stdout, stderr, durationMs }: ExecResult): Ran {
  return {
    exit_code: exitCodeOf(ending),
    signal: ending.kind === "signalled" ? ending.signal : null,
    timed_out: ending.kind === "timed-out",
    stdout: stdout.text,
    stderr: stderr.text,
    truncated_bytes: stdout.droppedBytes + stderr.droppedBytes,
    elapsed_ms: Math.round(durationMs),
  };
}

function exitCodeOf(ending: ExecEnding): number | null {
  if (ending.kind === "exited") return ending.code;
  return ending.kind === "signalled" ? SIGNALLED : null;
}

/** Runs a command; one that did not come to be is a refusal, whatever it said is an answer. */
export async function runIn(
  context: OperationContext,
  workspace: LastingWorkspace,
  input: CommandInput,
): Promise<ExecResult> {
  const { workdir: cwd, onOutput } = { ...input, onOutput: context.onOutput };
  const result = await workspace.exec({
    command: input.command,
    env: input.env,
    timeoutMs: input.timeout_secs * 1000,
    outputBytesMax: input.max_output_bytes,
    signal: context.signal,
    ...(cwd !== undefined && { cwd }),
    ...(onOutput !== undefined && { onOutput }),
  });
  if (result.ending.kind !== "unstartable") return result;
  const { id, state } = await workspace.info();
  const code = state === "stopped" ? "workspace-stopped" : "workspace-failed";
  const hint = state === "stopped" ? "start it with workspace_start" : undefined;
  throw new Refusal(code, result.ending.message, {
    ...(hint !== undefined && { hint }),
    details: { workspace_id: id },
  });
}

export const toolExec = defineTool({
  name: "exec",
  summary: "Run a command line in a workspace and wait for it; what it says and how it ends",
  does: "changes",
  cost: () => ({ exec: 1 }),
  input: z.strictObject({
    workspace_id: workspaceId,
    command,
    timeout_secs: timeoutSeconds(EXEC_SECONDS),
    ...commandInput,
  }),
  output: z.strictObject({ workspace_id: z.string(), ...ranSchema.shape }),
  run: async (context, input) => {
    const { workspace } = await ownedWorkspace(context, input.workspace_id);
    const ran = shownRan(await runIn(context, workspace, input));
    if (ran.timed_out) refuseTimeout(input, ran);
    return { workspace_id: input.workspace_id, ...ran };
  },
});

function refuseTimeout({ timeout_secs: seconds }: CommandInput, ran: Ran): never {
  const said = [ran.stdout, ran.stderr].filter((text) => text !== "").join("\n");
  const message = `the command timed out after ${seconds} s, and its process tree was ended`;
  throw new Refusal("command-failed", said === "" ? message : `${message}; it had said:\n${said}`, {
    hint: "raise timeout_secs, or start it with exec_background",
    details: { ...ran },
  });
}

const parallelResult = z.strictObject({
  workspace_id: z.string(),
  success: z.boolean(),
  /** Why there is no result; `null` where there is one. */
  error: z.string().nullable(),
  ...ranSchema.shape,
});

type ParallelResult = z.output<typeof parallelResult>;

const idsSchema = z
  .array(workspaceId)
  .min(1, "must not be empty")
  .max(PARALLEL_MAX, `max length is ${PARALLEL_MAX}`)
  .describe("1 to 20; the results have their order");

export const toolExecParallel = defineTool({
  name: "exec_parallel",
  summary: "Run one command in many workspaces at once, or one command each; results in order",
  does: "changes",
  cost: ({ workspace_ids: ids }) => ({ exec: ids.length }),
  input: z
    .strictObject({
      workspace_ids: idsSchema,
      commands: z
        .union([
          command,
          z
            .array(command)
            .min(1, "must not be empty")
            .max(PARALLEL_MAX, `max length is ${PARALLEL_MAX}`),
        ])
        .describe("One for all, or a list with one for each workspace"),
      timeout_secs: timeoutSeconds(PARALLEL_SECONDS),
      ...commandInput,
    })
    .superRefine(({ workspace_ids: ids, commands }, refinement) => {
      if (typeof commands === "string" || commands.length === ids.length) return;
      refinement.addIssue({
        code: "custom",
        path: ["commands"],
        message: `length must match workspace_ids: ${commands.length} for ${ids.length}`,
      });
    }),
  output: z.strictObject({
    results: z.array(parallelResult),
    summary: z.strictObject({
      total: z.int(),
      succeeded: z.int(),
      failed: z.int(),
      timed_out: z.int(),
      elapsed_ms: z.int(),
    }),
  }),
  run: async (context, input) => {
    const startedMs = systemClock.monotonic();
    const { workspace_ids: ids, commands } = input;
    // All of them are looked at before anything is run in one.
    const targets = await Promise.all(ids.map((id) => ownedWorkspace(context, id)));
    let done = 0;
    const results = await Promise.all(
      targets.map(async ({ workspace }, at) => {
        const one = typeof commands === "string" ? commands : (commands[at] ?? "");
        const result = await runOne(context, workspace, { ...input, command: one });
        context.onProgress?.((done += 1), ids.length, `${workspace.id} has ended`);
        return result;
      }),
    );
    const count = (is: (result: ParallelResult) => boolean): number => results.filter(is).length;
    const summary = {
      total: results.length,
      succeeded: count(({ success }) => success),
      failed: count(({ success, timed_out: timedOut }) => !success && !timedOut),
      timed_out: count(({ timed_out: timedOut }) => timedOut),
      elapsed_ms: Math.round(systemClock.monotonic() - startedMs),
    };
    return { results, summary };
  },
});

async function runOne(
  context: OperationContext,
  workspace: LastingWorkspace,
  input: CommandInput,
): Promise<ParallelResult> {
  try {
    const ran = shownRan(await runIn(context, workspace, input));
    return { workspace_id: workspace.id, success: ran.exit_code === 0, error: null, ...ran };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const nothing: ExecOutput = { text: "", totalBytes: 0, droppedBytes: 0 };
    const ending = { kind: "unstartable", message: error.message } as const;
    const ran = shownRan({ ending, stdout: nothing, stderr: nothing, durationMs: 0 });
    return { workspace_id: workspace.id, success: false, error: error.message, ...ran };
  }
}

const JOB_ID_LENGTH_MAX = 200;
const offset = z.int().min(0).default(0);
const SIGNALS = ["SIGTERM", "SIGKILL", "SIGINT"] as const;
const SIGNAL_NUMBERS: Readonly<Record<number, (typeof SIGNALS)[number]>> = {
  2: "SIGINT",
  9: "SIGKILL",
  15: "SIGTERM",
};

export const toolExecBackground = defineTool({
  name: "exec_background",
  summary: "Start a command that goes on by itself, read what it says from offsets, or end it",
  does: "changes",
  cost: ({ action }) => (action === "start" ? { exec: 1 } : {}),
  input: z.strictObject({
    workspace_id: workspaceId,
    action: z.enum(["start", "poll", "kill"]),
    command: command.optional().describe("To start"),
    workdir: workdir.optional(),
    env: env.default({}),
    timeout_secs: timeoutSeconds(TIMEOUT_SECONDS_MAX),
    job_id: z.string().min(1).max(JOB_ID_LENGTH_MAX).optional().describe("To poll or kill"),
    signal: z
      .union([z.enum(SIGNALS), z.literal([2, 9, 15])])
      .default("SIGKILL")
      .describe("To kill: its name or its number"),
    stdout_offset: offset.describe("Read on from here; any part can be read again"),
    stderr_offset: offset,
    max_output_bytes: z.int().min(1).max(OUTPUT_BYTES_MAX).default(OUTPUT_BYTES_MAX),
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    job_id: z.string(),
    running: z.boolean(),
    exit_code: z.int().nullable(),
    signal: z.string().nullable(),
    timed_out: z.boolean(),
    stdout: z.string(),
    stderr: z.string(),
    /** Where to read on. */
    stdout_next: z.int(),
    stderr_next: z.int(),
    stdout_bytes: z.int(),
    stderr_bytes: z.int(),
  }),
  run: async (context, input) => {
    const { workspace_id: id, action, job_id: given } = input;
    const { workspace } = await ownedWorkspace(context, id);
    const job = action === "start" ? await start(workspace, input) : given;
    if (job === undefined) throw new Refusal("usage", `job_id: is required to ${action} one`);
    if (action === "kill") {
      const { signal } = input;
      const name = typeof signal === "number" ? (SIGNAL_NUMBERS[signal] ?? "SIGKILL") : signal;
      unwrap(await workspace.signalJob({ job, signal: name }));
    }
    return read(workspace, job, input);
  },
});

interface BackgroundInput {
  readonly command?: string | undefined;
  readonly workdir?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly timeout_secs: number;
  readonly stdout_offset: number;
  readonly stderr_offset: number;
  readonly max_output_bytes: number;
}

async function start(workspace: LastingWorkspace, input: BackgroundInput): Promise<string> {
  const { command: line, workdir: cwd, timeout_secs: seconds } = input;
  if (line === undefined) throw new Refusal("usage", "command: is required to start one");
  const request = { command: line, env: input.env, timeoutMs: seconds * 1000 };
  const started = await workspace.startJob({ ...request, ...(cwd !== undefined && { cwd }) });
  return unwrap(started).job;
}

async function read(workspace: LastingWorkspace, job: string, input: BackgroundInput) {
  const { stdout_offset: stdoutFrom, stderr_offset: stderrFrom } = input;
  const request = { job, stdoutFrom, stderrFrom, bytesMax: input.max_output_bytes };
  const reading = unwrap(await workspace.readJob(request));
  const { ending } = reading;
  return {
    workspace_id: workspace.id,
    job_id: job,
    running: ending === null,
    exit_code: ending === null ? null : exitCodeOf(ending),
    signal: ending?.kind === "signalled" ? ending.signal : null,
    timed_out: ending?.kind === "timed-out",
    stdout: reading.stdout.toString(),
    stderr: reading.stderr.toString(),
    stdout_next: stdoutFrom + reading.stdout.length,
    stderr_next: stderrFrom + reading.stderr.length,
    stdout_bytes: reading.stdoutBytes,
    stderr_bytes: reading.stderrBytes,
  };
}
