import { cp, mkdir, mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../src/lib/clock.ts";
import { openTranscript, stopSignal, type Transcript } from "./transcript.ts";

const USAGE = `usage: npm run demo [-- --clean]

Runs Mycelium's main job on a little repository in a temporary folder.
  --clean   removes the folder at the end
`;

const TOP = join(import.meta.dirname, "..");
const AGENT = join(TOP, "examples", "stand-in-agent.mjs");
const EXAMPLE = join(TOP, "examples", "demo");
const STEP_TIMEOUT_MS = 120_000;
const TASKS = 4;
const TESTS = 11;

const { values } = parseArgs({
  options: {
    clean: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) process.stdout.write(USAGE);
else await demonstrate({ clean: values.clean });

async function demonstrate({ clean }: { readonly clean: boolean }): Promise<void> {
  const startedMs = systemClock.monotonic();
  const folder = await mkdtemp(join(await realpath(tmpdir()), "mycelium-demo-"));
  const env = await makeEnvironment(folder);
  const repository = join(folder, "wordkit");
  const transcript = openTranscript({
    cwd: repository,
    env,
    timeoutMs: STEP_TIMEOUT_MS,
    signal: stopSignal(),
  });
  try {
    await makeRepository(folder, transcript);
    await runMainJob(transcript);
    await keepPromises(transcript);
    const seconds = ((systemClock.monotonic() - startedMs) / 1000).toFixed(1);
    transcript.say(`\nAll of it took ${seconds} s.`);
  } catch (error) {
    process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  } finally {
    if (clean) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    else transcript.say(wayBack(folder, env));
  }
  if (transcript.brokenPromises() > 0) process.exitCode = 1;
}

/** Nothing of the user's own settings, and everything that is made inside the folder. */
async function makeEnvironment(folder: string): Promise<Record<string, string>> {
  const programs = join(folder, "bin");
  await mkdir(programs);
  await symlink(join(TOP, "bin", "mycelium.js"), join(programs, "mycelium"));
  await symlink(AGENT, join(programs, "stand-in-agent"));
  const path = process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin";
  const identity = { NAME: "Demo", EMAIL: "demo@localhost" };
  return {
    PATH: [programs, dirname(process.execPath), path].join(delimiter),
    HOME: process.env["HOME"] ?? folder,
    MYCELIUM_HOME: join(folder, "home"),
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_PAGER: "cat",
    GIT_AUTHOR_NAME: identity.NAME,
    GIT_AUTHOR_EMAIL: identity.EMAIL,
    GIT_COMMITTER_NAME: identity.NAME,
    GIT_COMMITTER_EMAIL: identity.EMAIL,
  };
}

async function makeRepository(folder: string, transcript: Transcript): Promise<void> {
  await cp(join(EXAMPLE, "library"), join(folder, "wordkit"), { recursive: true });
  await cp(join(EXAMPLE, "plan.md"), join(folder, "plan.md"));
  transcript.heading("A little library with a test suite");
  await transcript.show(
    "git init --quiet --initial-branch=main && git add . && git commit --quiet -m 'One helper'",
  );
  await transcript.show("git ls-files");
  await transcript.show("node --test --test-reporter=tap | tail -n 8");
}

async function runMainJob(transcript: Transcript): Promise<void> {
  const { heading, say, show } = transcript;
  heading("Set-up: the project's own tests are the doctor, and any shell command is an agent");
  await show("mycelium init");
  await show(
    "cat >>.mycelium/config.yaml <<'END'\nagents:\n  command:\n    command: stand-in-agent\nEND",
  );
  say(
    "(The stand-in writes the files that a specification spells out. It stands where a model's\n" +
      "command line would stand.)",
  );
  await show("git add .mycelium && git commit --quiet -m 'Set Mycelium up'");

  heading(
    "A plan becomes tasks: two that stand alone, one that needs another, one that is careless",
  );
  await show("mycelium plan --input ../plan.md");
  await show("mycelium run --agent command --dry-run");

  heading("The run: each task in a clone of its own, through the gates, onto the branch");
  await show("mycelium run --agent command");
  await show("mycelium status");

  heading("What landed, and the proof that goes with a commit");
  await show("git log --format='%h  %<(42)%s%(trailers:key=Mycelium-Task,separator=%x20)' main");
  await show("git notes --ref=mycelium show main");
}

async function keepPromises({ heading, ask, promise }: Transcript): Promise<void> {
  heading("What was promised");
  const count = async (command: string): Promise<number> => Number(await ask(`${command} | wc -l`));
  const landed = await count("git log --format=%h --grep=^Mycelium-Task: main");
  promise(`${landed} of ${TASKS} tasks landed on main, a commit each`, landed === TASKS);

  const receipts = await count("git notes --ref=mycelium list");
  promise(`each has its receipt`, receipts === TASKS);

  const { tasks } = JSON.parse(await ask("mycelium status --json")) as {
    readonly tasks: readonly { readonly id: string; readonly attempts: number }[];
  };
  const careless = tasks.find(({ id }) => id === "reading-time");
  const page = await count("git ls-tree --name-only main docs/reading-time.md");
  promise(
    "the task that wrote outside its manifest was rescoped, and its second attempt landed",
    careless !== undefined && careless.attempts >= 2 && page === 1,
  );

  await ask("git clone --quiet --branch main . ../clone-of-main");
  const tests = await ask("cd ../clone-of-main && node --test --test-reporter=tap");
  promise(
    `all ${TESTS} tests pass on a fresh clone of main`,
    tests.includes(`\n# pass ${TESTS}\n`),
  );

  const head = await ask("git symbolic-ref --short HEAD && git status --porcelain");
  promise("the checkout is on main as before, clean, with all of it there", head === "main\n");
}

function wayBack(folder: string, { PATH, MYCELIUM_HOME }: Record<string, string>): string {
  const programs = PATH?.split(delimiter).slice(0, 2).join(delimiter);
  return `Everything is kept in ${folder}. To look around:

  export MYCELIUM_HOME=${MYCELIUM_HOME} PATH=${programs}:$PATH
  cd ${join(folder, "wordkit")}
  mycelium logs timeline`;
}
