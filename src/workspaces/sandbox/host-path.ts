import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { codeOf } from "../workspace-failure.ts";

/** For the host's own programs that make and enter sandboxes; nobody's variables change it. */
export const HOST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Where a program of the host is, or `null`. */
export function findProgram(name: string): string | null {
  for (const folder of HOST_PATH.split(":")) {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch (error) {
      if (codeOf(error) === "") throw error;
    }
  }
  return null;
}
