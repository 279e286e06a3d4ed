import { statSync } from "node:fs";
import { join } from "node:path";

const ANYONE_RUNS = 0o111;

/** For the host's own programs that make and enter sandboxes; nobody's variables change it. */
export const HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Where a program of the host is, or `null`. */
export function findProgram(name: string): string | null {
  for (const folder of HOST_PATH.split(":")) {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    if (found?.isFile() === true && (found.mode & ANYONE_RUNS) !== 0) return join(folder, name);
  }
  return null;
}
