import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runProcess } from "../src/lib/process.ts";

/**
 * A repository of constant size whose `.mycelium` holds independent tasks. Each of them writes one of
 * its files anew, one file after the other, so that tasks on the same file are far apart in time.
 */
export interface Fixture {
  readonly tasks: number;
  readonly repository: string;
}

/** What both contenders are given. */
export const DOCTOR = "test -f README.md";
/** Mycelium's default for `landing.batch_max`. */
export const BATCH = 16;

const PROGRAM = join(import.meta.dirname, "..", "bin", "mycelium.js");
const FOLDERS = 10;
/** `plain.sh` knows these numbers too. */
const FILES_A_FOLDER = 10;
const LINES_A_FILE = 40;
const PREPARE_TIMEOUT_MS = 300_000;
const OUTPUT_BYTES_MAX = 65_536;

const CONFIG = `main_branch: main
doctor: ${DOCTOR}
agent: mock
planner:
  provider: mock
`;

/** Makes the fixture once; each trial takes a copy. */
export async function makeFixture(
  folder: string,
  tasks: number,
  env: Readonly<Record<string, string>>,
): Promise<Fixture> {
  const repository = join(folder, `template-${tasks}`);
  await writeSources(repository);
  const replies = join(folder, `reply-${tasks}.json`);
  await writeFile(replies, JSON.stringify({ tasks: Array.from({ length: tasks }, describeTask) }));
  const inRepository = { cwd: repository, env };
  await run(["git", "init", "--quiet", "--initial-branch=main"], inRepository);
  await run(["git", "add", "--all"], inRepository);
  await run(["git", "commit", "--quiet", "--message", "start"], inRepository);
  await run(["git", "tag", "start"], inRepository);
  await run([process.execPath, PROGRAM, "plan", "--input", "README.md"], {
    cwd: repository,
    env: {
      ...env,
      MOCK_LLM: "1",
      MOCK_LLM_OUTPUT_PATH: replies,
      MYCELIUM_HOME: join(folder, "home"),
    },
  });
  return { tasks, repository };
}

/** Leaves `to` as a fresh copy of the fixture. */
export async function copyFixture(fixture: Fixture, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await cp(fixture.repository, to, { recursive: true });
}

function describeTask(_: unknown, index: number): object {
  const id = `task-${String(index + 1).padStart(4, "0")}`;
  return {
    id,
    name: `Write ${id}`,
    files: { reads: [], writes: [pathOf(index)] },
    spec: `Write ${pathOf(index)} anew.`,
  };
}

function pathOf(index: number): string {
  const file = index % (FOLDERS * FILES_A_FOLDER);
  return `src/part-${Math.floor(file / FILES_A_FOLDER)}/file-${file % FILES_A_FOLDER}.txt`;
}

async function writeSources(repository: string): Promise<void> {
  await mkdir(join(repository, ".mycelium"), { recursive: true });
  await writeFile(join(repository, ".mycelium", "config.yaml"), CONFIG);
  await writeFile(join(repository, ".gitignore"), ".mycelium/\n");
  await writeFile(join(repository, "README.md"), "# Fixture\n");
  for (let index = 0; index < FOLDERS * FILES_A_FOLDER; index += 1) {
    const path = join(repository, pathOf(index));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `This is line after line of file ${index}.\n`.repeat(LINES_A_FILE));
  }
}

async function run(
  command: readonly [string, ...string[]],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<void> {
  const { ending, stdout, stderr } = await runProcess({
    command,
    cwd,
    env,
    timeoutMs: PREPARE_TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  if (ending.kind === "exited" && ending.code === 0) return;
  const said = Buffer.concat([stdout.bytes, stderr.bytes]).toString();
  throw new Error(`${command.join(" ")}: ${JSON.stringify(ending)}\n${said}`);
}
