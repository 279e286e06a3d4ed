import { z } from "zod";
import type { Cost } from "../../../sessions/admission.ts";
import { newNameSchema, variablesSchema } from "../../kept-at-hand.ts";
import { defineOperation, type Operation, type OperationTool } from "../../operation.ts";

/** What the tools for agents have in common: their parameters keep one name each. */

export const COMMAND_LENGTH_MAX = 100_000;
export const TIMEOUT_SECONDS_MAX = 86_400;
export const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
const OUTPUT_BYTES_DEFAULT = 262_144;
const PATH_LENGTH_MAX = 4_096;
const ID_LENGTH_MAX = 200;

/** Of one that there is; whether it can be a name at all is found out by looking it up. */
export const workspaceId = z
  .string()
  .min(1)
  .max(ID_LENGTH_MAX)
  .describe("Id of a workspace, which is its name");

export const newName = newNameSchema.describe(
  "1 to 63 small letters, digits and '-', beginning and ending with a letter or digit",
);

export const snapshotName = newNameSchema.describe("Name of a snapshot of that workspace");

export const command = z
  .string()
  .min(1)
  .max(COMMAND_LENGTH_MAX)
  .describe("A command line for /bin/sh");

export const workdir = z
  .string()
  .min(1)
  .max(PATH_LENGTH_MAX)
  .describe("Folder in the workspace; its repository where it is left out");

export const path = z
  .string()
  .min(1)
  .max(PATH_LENGTH_MAX)
  .describe("Path in the workspace, absolute or relative to its repository");

export const env = variablesSchema.describe("Variables for this command only");

export function timeoutSeconds(byDefault: number) {
  return z
    .number()
    .positive()
    .max(TIMEOUT_SECONDS_MAX)
    .default(byDefault)
    .describe("When it passes, the whole process tree is ended");
}

export const maxOutputBytes = z
  .int()
  .min(1)
  .max(OUTPUT_BYTES_MAX)
  .default(OUTPUT_BYTES_DEFAULT)
  .describe("How much of each stream the answer keeps: its end");

export interface ToolRequest<I extends z.ZodType, O extends z.ZodType> {
  readonly name: string;
  readonly summary: string;
  readonly does: "reads" | "changes" | "destroys";
  readonly long?: true;
  readonly cost?: (input: z.output<I>) => Cost;
  readonly input: I;
  readonly output: O;
  readonly run: Operation<I, O>["run"];
}

/** An operation that agents are offered under a name of its own. */
export function defineTool<I extends z.ZodType, O extends z.ZodType>(
  request: ToolRequest<I, O>,
): Operation<I, O> {
  const { name, summary, input, output, run, does, long = false, cost } = request;
  const tool: OperationTool = {
    name,
    readOnly: does === "reads",
    destructive: does === "destroys",
    long,
    ...(cost !== undefined && { cost }),
  };
  return defineOperation({ name: `tool.${name}`, summary, input, output, tool, run });
}
