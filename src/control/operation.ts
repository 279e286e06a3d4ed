import type { z } from "zod";
import type { Environment } from "../config/environment.ts";
import type { RecordedEvent } from "../domain/event.ts";
import { Refusal } from "../domain/failure.ts";
import { checkShape, listProblems } from "../domain/problem.ts";
import type { Clock } from "../lib/clock.ts";
import type { Cost } from "../sessions/admission.ts";
import type { WorkspaceKind } from "../workspaces/workspace.ts";
import type { RunReport } from "../runs/report.ts";

/** Who asks: the person at a command line, or a client's session by its id. */
export interface Principal {
  readonly id: string;
  readonly kind: "person" | "session";
}

/** What an operation is given by the face that it was asked through. */
export interface OperationContext {
  readonly session: Principal;
  readonly environment: Environment;
  readonly cwd: string;
  /** Of workspaces that are made where nobody says a kind; the best that there is by default. */
  readonly defaultKind?: WorkspaceKind | undefined;
  /** The configuration file that was named, if one was. */
  readonly configFile: string | undefined;
  readonly clock: Clock;
  /** Aborted with the name of a signal as its reason: stop soon, with everything saved. */
  readonly signal: AbortSignal;
  /** Told how a run stands before it is gone on with. Must not throw. */
  readonly onStart: (report: RunReport) => void;
  /** Told of the events of the run at hand as they are recorded. Must not throw. */
  readonly onEvent: (event: RecordedEvent) => void;
  /** Told of the output of a command in a workspace as it comes. Must not throw. */
  readonly onOutput?: (stream: "stdout" | "stderr", chunk: Buffer) => void;
  /** Told how far a long operation has come; `total` where it is known. Must not throw. */
  readonly onProgress?: (done: number, total: number | null, message: string) => void;
  /** Of this program; stands in receipts. */
  readonly version: string;
}

/** How an operation is offered to agents. */
export interface OperationTool {
  /** In snake case: `workspace_create`. */
  readonly name: string;
  readonly readOnly: boolean;
  /** Whether it may remove or overwrite what cannot be had again. */
  readonly destructive: boolean;
  /** Whether it may take longer than a client waits, and can be started detached. */
  readonly long: boolean;
  /** What a call takes of its session's rates; nothing where it is left out. */
  readonly cost?: (input: never) => Cost;
}

/** One thing that Mycelium can be asked to do, through whatever face. */
export interface Operation<
  Input extends z.ZodType = z.ZodType,
  Output extends z.ZodType = z.ZodType,
> {
  /** Dotted, imperative: `logs.query`. */
  readonly name: string;
  /** One line for people, without a full stop. */
  readonly summary: string;
  readonly input: Input;
  readonly output: Output;
  /** Left out where agents are not offered it. */
  readonly tool?: OperationTool;
  /** Throws a `Refusal` where it cannot go on. */
  run(context: OperationContext, input: z.output<Input>): Promise<z.output<Output>>;
}

export function defineOperation<Input extends z.ZodType, Output extends z.ZodType>(
  operation: Operation<Input, Output>,
): Operation<Input, Output> {
  return operation;
}

/** Checks the input, runs the operation and holds it to its own output schema. */
export async function perform<Input extends z.ZodType, Output extends z.ZodType>(
  operation: Operation<Input, Output>,
  context: OperationContext,
  input: unknown,
): Promise<z.output<Output>> {
  const checked = checkShape(operation.input, input);
  if (!checked.ok) {
    const { problems } = checked;
    throw new Refusal("usage", `${operation.name}: ${listProblems(problems)}`, {
      hint: problems[0]?.hint ?? "see --help",
      details: { problems },
    });
  }
  return operation.output.parse(await operation.run(context, checked.value));
}
