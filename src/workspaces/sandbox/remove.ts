import { crashPoint } from "../../lib/crash-point.ts";
import { exists } from "../local-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import { removeUnusedLayers } from "./layers.ts";
import { readRecord, writeRecord } from "./record.ts";
import { cgroupsOf, endSandbox, type SandboxPlace } from "./runtime.ts";

export interface Removal {
  readonly timeoutMs: number;
  /** For commands of this process, once they were ended. */
  readonly awaitCommands?: () => Promise<void>;
}

/** Ends all of a sandbox and removes it, half-made ones too. May be called twice. */
export async function removeSandbox(
  { layout, home }: SandboxPlace,
  { timeoutMs, awaitCommands }: Removal,
): Promise<void> {
  if (!exists(layout.folder)) return;
  const record = readRecord(layout);
  if (record !== null) writeRecord(layout, { ...record, state: "removing" });
  crashPoint("workspace.removing");
  await endSandbox(layout);
  await awaitCommands?.();
  await cgroupsOf(layout, null).remove();
  await removeFolder(layout.folder, timeoutMs);
  await removeUnusedLayers(home, timeoutMs);
}
