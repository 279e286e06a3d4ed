import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WorkspaceKind } from "../../src/workspaces/workspace.ts";
import { runMycelium } from "../contenders.ts";
import { makeFixture, type Fixture } from "../fixture.ts";
import { startStopwatch, type Samples } from "./stopwatch.ts";

export const TASKS = 10;
/** The first run of machines boots one. */
const RUN_TIMEOUT_MS = 900_000;

export interface MainJobRequest {
  readonly kinds: readonly WorkspaceKind[];
  readonly rounds: number;
  readonly path: string;
  /** Holds images and booted machines. */
  readonly cache: string;
  readonly signal: AbortSignal;
  readonly progress: (what: string) => void;
}

/**
 * The main job's ten tasks of the mock agent in workspaces of each kind, in turn, by kind. The first
 * run of each is not counted: it finds no booted machine. Needs the built program.
 */
export async function measureMainJob(request: MainJobRequest): Promise<Samples> {
  const { kinds, rounds, progress } = request;
  const folder = await mkdtemp(join(await realpath(tmpdir()), "mycelium-bench-"));
  try {
    const env = await makeEnvironment(folder, request);
    const fixture = await makeFixture(folder, TASKS, env);
    const watch = startStopwatch();
    for (let round = 0; round <= rounds; round += 1) {
      progress(`main job, round ${round} of ${rounds}`);
      for (const kind of kinds) {
        const durationMs = await runOn(kind, { folder, fixture, env, signal: request.signal });
        if (round > 0) watch.note(kind, durationMs);
      }
    }
    return watch.samples;
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

interface Trial {
  readonly folder: string;
  readonly fixture: Fixture;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

async function runOn(kind: WorkspaceKind, trial: Trial): Promise<number> {
  const { durationMs } = await runMycelium({
    ...trial,
    folder: join(trial.folder, "trial"),
    options: ["--workspace", kind],
    timeoutMs: RUN_TIMEOUT_MS,
  });
  return durationMs;
}

async function makeEnvironment(
  folder: string,
  { path, cache }: MainJobRequest,
): Promise<Record<string, string>> {
  const identity = "[user]\n\tname = Bench\n\temail = bench@localhost\n";
  await writeFile(join(folder, ".gitconfig"), identity);
  return { PATH: path, HOME: folder, LC_ALL: "C.UTF-8", MYCELIUM_CACHE: cache };
}
