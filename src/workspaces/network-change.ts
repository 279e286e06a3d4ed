import type { Result } from "../domain/failure.ts";
import { workspaceFailure } from "./workspace-failure.ts";

/** What runs has its network from its start. */
export function runsWithNetwork(id: string, kind: string): Result<never> {
  return workspaceFailure(
    `a running ${kind} workspace keeps the network that it was started with: ${id} runs`,
    {
      hint: "stop it, change its network, and start it again",
      details: { reason: "running", workspace_id: id, kind },
    },
  );
}
