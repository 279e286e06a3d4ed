import { Refusal } from "../domain/failure.ts";
import { runProcess } from "../lib/process.ts";
import { DEFAULT_PATH } from "./local-git.ts";
import { exists } from "./local-layout.ts";

/**
 * Removes a folder whatever is in it: too deep for paths, or without the right to read. A program
 * does it, because so many system calls would hold up this process. Refuses where it cannot.
 */
export async function removeFolder(folder: string, timeoutMs: number): Promise<void> {
  if (!exists(folder)) return;
  const means = { cwd: "/", env: { PATH: DEFAULT_PATH }, timeoutMs, outputBytesMax: 2048 };
  const removed = await runProcess({ command: ["rm", "-rf", "--", folder], ...means });
  if (removed.ending.kind === "exited" && removed.ending.code === 0) return;
  const script = 'chmod -R u+rwX -- "$0"; rm -rf -- "$0"';
  const forced = await runProcess({ command: ["/bin/sh", "-c", script, folder], ...means });
  if (!exists(folder)) return;
  throw new Refusal(
    "workspace-failed",
    `cannot remove ${folder}: ${forced.stderr.bytes.toString()}`,
    {
      hint: "remove it by hand",
    },
  );
}
