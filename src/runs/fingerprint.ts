import { createHash } from "node:crypto";
import type { TaskDefinition } from "../domain/task.ts";

/** What a task is, apart from where it stands: SHA-256 of its manifest and spec, hexadecimal. */
export function fingerprintOf({ manifest, spec }: TaskDefinition): string {
  return createHash("sha256")
    .update(JSON.stringify([manifest, spec]))
    .digest("hex");
}
