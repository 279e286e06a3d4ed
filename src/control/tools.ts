import type { Operation, OperationTool } from "./operation.ts";
import { OPERATIONS } from "./operations.ts";

export type ToolOperation = Operation & { readonly tool: OperationTool };

/** The operations of the list that have a name for agents, by that name. */
export function toolOperations(): ReadonlyMap<string, ToolOperation> {
  const all: readonly Operation[] = Object.values(OPERATIONS);
  return new Map(
    all.flatMap((operation): readonly (readonly [string, ToolOperation])[] => {
      const { tool } = operation;
      return tool === undefined ? [] : [[tool.name, { ...operation, tool }]];
    }),
  );
}
