import { z } from "zod";
import { Refusal } from "../../domain/failure.ts";
import type { LastingWorkspace } from "../../workspaces/lasting-workspace.ts";
import type { ExecEnding } from "../../workspaces/workspace.ts";
import {
  nameSchema,
  nothingSchema,
  secondsSchema,
  unwrap,
  variablesSchema,
  workspaceAtHand,
} from "../kept-at-hand.ts";
import { defineOperation } from "../operation.ts";

const HOUR_SECONDS = 3_600;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

const endingSchema = z.strictObject({
  kind: z.enum(["exited", "signalled", "timed-out", "aborted", "unstartable"]),
  code: z.int().nullable(),
  signal: z.string().nullable(),
  message: z.string().nullable(),
});

export type ShownEnding = z.output<typeof endingSchema>;

const commandSchema = {
  name: nameSchema,
  /** A line for `/bin/sh -c`, or a program with its arguments. */
  command: z.union([z.string().min(1), z.array(z.string()).min(1)]),
  cwd: z.string().min(1).optional(),
  variables: variablesSchema.default({}),
  /** Base64. */
  stdin: z.base64().optional(),
};

const outputSchema = z.strictObject({
  text: z.string(),
  total_bytes: z.int(),
  dropped_bytes: z.int(),
});

export const execInWorkspace = defineOperation({
  name: "workspace.exec",
  summary: "Run a command in a workspace and wait for it",
  input: z.strictObject({
    ...commandSchema,
    timeout_seconds: secondsSchema.default(HOUR_SECONDS),
    output_bytes_max: z.int().min(0).max(OUTPUT_BYTES_MAX).default(262_144),
  }),
  output: z.strictObject({
    name: z.string(),
    ending: endingSchema,
    duration_ms: z.number(),
    stdout: outputSchema,
    stderr: outputSchema,
  }),
  run: async (context, input) => {
    const { workspace } = await workspaceAtHand(context, input.name);
    const result = await workspace.exec({
      ...requestOf(input),
      timeoutMs: input.timeout_seconds * 1000,
      outputBytesMax: input.output_bytes_max,
      signal: context.signal,
      ...(context.onOutput !== undefined && { onOutput: context.onOutput }),
    });
    const { ending, durationMs: duration_ms, stdout, stderr } = result;
    if (ending.kind === "unstartable") await refuseIfStopped(workspace, ending.message);
    return {
      name: input.name,
      ending: shownEnding(ending),
      duration_ms,
      stdout: shownOutput(stdout),
      stderr: shownOutput(stderr),
    };
  },
});

export const startJob = defineOperation({
  name: "job.start",
  summary: "Start a command in the background, which goes on by itself",
  input: z.strictObject({
    ...commandSchema,
    timeout_seconds: secondsSchema.default(24 * HOUR_SECONDS),
  }),
  output: z.strictObject({ name: z.string(), job: z.string() }),
  run: async (context, input) => {
    const { workspace } = await workspaceAtHand(context, input.name);
    const timeoutMs = input.timeout_seconds * 1000;
    const { job } = unwrap(await workspace.startJob({ ...requestOf(input), timeoutMs }));
    return { name: input.name, job };
  },
});

export const readJob = defineOperation({
  name: "job.read",
  summary: "Read a background command's output from offsets, and how it ended",
  input: z.strictObject({
    name: nameSchema,
    job: z.string().min(1),
    stdout_from: z.int().min(0).default(0),
    stderr_from: z.int().min(0).default(0),
    bytes_max: z.int().min(1).max(OUTPUT_BYTES_MAX).default(262_144),
    encoding: z.enum(["utf8", "base64"]).default("utf8"),
  }),
  output: z.strictObject({
    name: z.string(),
    job: z.string(),
    running: z.boolean(),
    ending: endingSchema.nullable(),
    stdout: z.string(),
    stderr: z.string(),
    /** Where to read on. */
    stdout_next: z.int(),
    stderr_next: z.int(),
    stdout_bytes: z.int(),
    stderr_bytes: z.int(),
  }),
  run: async (context, input) => {
    const { name, job, stdout_from: stdoutFrom, stderr_from: stderrFrom } = input;
    const { workspace } = await workspaceAtHand(context, name);
    const request = { job, stdoutFrom, stderrFrom, bytesMax: input.bytes_max };
    const { ending, stdout, stderr, stdoutBytes, stderrBytes } = unwrap(
      await workspace.readJob(request),
    );
    return {
      name,
      job,
      running: ending === null,
      ending: ending === null ? null : shownEnding(ending),
      stdout: stdout.toString(input.encoding),
      stderr: stderr.toString(input.encoding),
      stdout_next: stdoutFrom + stdout.length,
      stderr_next: stderrFrom + stderr.length,
      stdout_bytes: stdoutBytes,
      stderr_bytes: stderrBytes,
    };
  },
});

export const signalJob = defineOperation({
  name: "job.signal",
  summary: "Send a signal to a background command and all that it started",
  input: z.strictObject({
    name: nameSchema,
    job: z.string().min(1),
    signal: z.enum(["SIGTERM", "SIGKILL", "SIGINT"]).default("SIGTERM"),
  }),
  output: z.strictObject({ name: z.string(), job: z.string(), signal: z.string() }),
  run: async (context, { name, job, signal }) => {
    const { workspace } = await workspaceAtHand(context, name);
    unwrap(await workspace.signalJob({ job, signal }));
    return { name, job, signal };
  },
});

const port = z.int().min(1).max(65_535);

export const openPort = defineOperation({
  name: "port.open",
  summary: "Open a port of a workspace on this machine's loopback",
  input: z.strictObject({ name: nameSchema, port, host_port: port.optional() }),
  output: z.strictObject({ name: z.string(), port, host_port: port }),
  run: async (context, { name, port: guestPort, host_port: hostPort }) => {
    const { workspace } = await workspaceAtHand(context, name);
    const request = hostPort === undefined ? { guestPort } : { guestPort, hostPort };
    const opened = unwrap(await workspace.forwardPort(request));
    return { name, port: opened.guestPort, host_port: opened.hostPort };
  },
});

export const closePort = defineOperation({
  name: "port.close",
  summary: "Close a port again",
  input: z.strictObject({ name: nameSchema, port }),
  output: nothingSchema,
  run: async (context, { name, port: guestPort }) => {
    unwrap(await (await workspaceAtHand(context, name)).workspace.closePort(guestPort));
    return { name };
  },
});

/** Nothing is wrong with the command then. */
async function refuseIfStopped(workspace: LastingWorkspace, message: string): Promise<void> {
  const { id, state } = await workspace.info();
  if (state !== "stopped") return;
  throw new Refusal("workspace-stopped", message, { hint: `mycelium workspace start ${id}` });
}

interface CommandInput {
  readonly command: string | readonly string[];
  readonly cwd?: string | undefined;
  readonly variables: Readonly<Record<string, string>>;
  readonly stdin?: string | undefined;
}

function requestOf({ command, cwd, variables: env, stdin }: CommandInput) {
  const [program = "", ...args] = typeof command === "string" ? [] : command;
  return {
    command: typeof command === "string" ? command : ([program, ...args] as const),
    env,
    ...(cwd !== undefined && { cwd }),
    ...(stdin !== undefined && { stdin: Buffer.from(stdin, "base64") }),
  };
}

function shownEnding(ending: ExecEnding): ShownEnding {
  return { code: null, signal: null, message: null, ...ending };
}

function shownOutput(output: {
  readonly text: string;
  readonly totalBytes: number;
  readonly droppedBytes: number;
}) {
  const { text, totalBytes: total_bytes, droppedBytes: dropped_bytes } = output;
  return { text, total_bytes, dropped_bytes };
}
