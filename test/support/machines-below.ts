import { readdirSync, readFileSync } from "node:fs";

const MARKER = "MYCELIUM_MACHINE_DIR=";

/** The folders of the machines that run below one, whoever started them. */
export function machinesBelow(folder: string): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return readFileSync(`/proc/${name}/environ`, "utf8").split("\0");
      } catch {
        return [];
      }
    })
    .filter((variable) => variable.startsWith(`${MARKER}${folder}/`))
    .map((variable) => variable.slice(MARKER.length));
}
