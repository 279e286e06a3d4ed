import { existsSync, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** `bin/mycelium.js` of the package that this code belongs to. */
const SCRIPT = fileURLToPath(new URL("../../../bin/mycelium.js", import.meta.url));

export interface FoundProgram {
  readonly program: readonly [string, ...string[]];
  /** Whether it says where something is on this machine, and so is of no use on another one. */
  readonly isOfThisMachine: boolean;
}

/**
 * How this very program is started. Where many share a configuration it is by its name, if that is
 * what the path finds; else by where its Node and its script are, because programs with windows
 * often have another path than a shell.
 */
export function findProgram(path: string, isShared: boolean): FoundProgram {
  if (isShared && isOnPath(path)) return { program: ["mycelium"], isOfThisMachine: false };
  return { program: [process.execPath, SCRIPT], isOfThisMachine: true };
}

/** Whether the first `mycelium` of the path is this one. */
function isOnPath(path: string): boolean {
  const found = path
    .split(delimiter)
    .map((folder) => join(folder, "mycelium"))
    .find((file) => existsSync(file));
  return found !== undefined && realpathSync(found) === realpathSync(SCRIPT);
}
