import { readdirSync, readFileSync } from "node:fs";

export interface MarkedProcess {
  readonly pid: number;
  readonly command: string;
}

/** The living processes that were started in workspaces of a home, wherever their parents are. */
export function processesOf(home: string): readonly MarkedProcess[] {
  return processesWith(`MYCELIUM_WORKSPACE_DIR=${home}/workspaces/`);
}

/** The living processes with a variable that begins so. */
export function processesWith(marker: string): readonly MarkedProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const variables = readIfThere(`/proc/${name}/environ`).split("\0");
      if (!variables.some((variable) => variable.startsWith(marker))) return [];
      const command = readIfThere(`/proc/${name}/cmdline`).replaceAll("\0", " ").trim();
      return [{ pid: Number(name), command }];
    });
}

/** For the end of a test that may have failed. */
export function endProcessesOf(home: string): void {
  for (const { pid } of processesOf(home)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended in between.
    }
  }
}

/** Empty where the process is gone, is a zombie, or belongs to somebody else. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
