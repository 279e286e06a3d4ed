import type { Tool } from "@modelcontextprotocol/server";
import { z } from "zod";
import type { Operation, OperationTool } from "../control/operation.ts";
import { detachedSchema } from "../control/operations/tools/operations.ts";
import { toolOperations } from "../control/tools.ts";

/** One operation as agents see it. */
export interface OfferedTool {
  readonly operation: Operation;
  readonly tool: OperationTool;
  readonly listed: Tool;
}

/** All that agents are offered: the operations that have a name for it, and nothing else. */
export function offeredTools(): ReadonlyMap<string, OfferedTool> {
  return new Map(
    [...toolOperations()].map(([name, operation]) => {
      const { tool } = operation;
      return [name, { operation, tool, listed: listedTool(operation, tool) }];
    }),
  );
}

function listedTool(operation: Operation, tool: OperationTool): Tool {
  const { name, long, readOnly, destructive } = tool;
  const input = schemaOf(operation.input, "input");
  const output = schemaOf(operation.output, "output");
  return {
    name,
    title: name.replaceAll("_", " "),
    description: `${operation.summary}.${long ? LONG : ""}`,
    inputSchema: (long ? withDetached(input) : input) as Tool["inputSchema"],
    outputSchema: long ? orDetached(output) : output,
    annotations: {
      title: name.replaceAll("_", " "),
      readOnlyHint: readOnly,
      destructiveHint: destructive,
      idempotentHint: readOnly,
      openWorldHint: false,
    },
  };
}

const LONG =
  " With detached: true it answers an operation_id at once; operation_wait and operation_status" +
  " tell how it goes on, also after this server ended.";

type JsonObject = Readonly<Record<string, unknown>>;

function schemaOf(schema: z.ZodType, io: "input" | "output"): JsonObject {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return { ...rest, type: "object" };
}

function withDetached(input: JsonObject): JsonObject {
  const detached = { type: "boolean", description: "Answer an operation_id at once" };
  return { ...input, properties: { ...(input["properties"] as JsonObject), detached } };
}

function orDetached(output: JsonObject): JsonObject {
  return { type: "object", anyOf: [output, schemaOf(detachedSchema, "output")] };
}
