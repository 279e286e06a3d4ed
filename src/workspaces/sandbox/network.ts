import type { Result } from "../../domain/failure.ts";
import { appendEvent } from "../event-log.ts";
import { runsWithNetwork } from "../network-change.ts";
import type { WorkspaceNetwork } from "../workspace.ts";
import { writeRecord, type SandboxRecord } from "./record.ts";
import type { SandboxPlace } from "./runtime.ts";

/** With the sandbox's lock. Its namespaces are made anew at the next start, by what is written here. */
export function changeNetwork(
  { id, layout }: SandboxPlace,
  record: SandboxRecord,
  network: WorkspaceNetwork,
): Result<void> {
  if (record.wanted === "running") return runsWithNetwork(id, "sandbox");
  if (record.network !== network) {
    writeRecord(layout, { ...record, network });
    appendEvent(layout.log, `network: ${network}`);
  }
  return { ok: true, value: undefined };
}
