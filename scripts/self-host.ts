import { existsSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { openTranscript, stopSignal, type Transcript } from "./transcript.ts";

const USAGE = `usage: npm run self-host [-- --doctor COMMAND] [--clean]

Lets Mycelium change a clone of its own repository: three tasks, gated by its own checks, landed on
the branch mycelium-trial of the clone.
  --doctor  what must pass on each task and on what lands; by default npm run check
  --clean   removes the clone at the end
`;

const TOP = join(import.meta.dirname, "..");
const EXAMPLES = join(TOP, "examples");
const BRANCH = "mycelium-trial";
const TASKS = ["faq", "byte-size", "source-sizes"];
const STEP_TIMEOUT_MS = 3_600_000;
const REGISTRY_VARIABLES = new Set([
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_FILE",
  "HTTPS_PROXY",
  "HTTP_PROXY",
  "NO_PROXY",
  "npm_config_registry",
]);

const { values } = parseArgs({
  options: {
    doctor: { type: "string", default: "npm run check" },
    clean: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) process.stdout.write(USAGE);
else await hostItself(values);

async function hostItself(options: { readonly doctor: string; readonly clean: boolean }) {
  const folder = await mkdtemp(join(await realpath(tmpdir()), "mycelium-self-host-"));
  const clone = join(folder, "mycelium");
  const env = await makeEnvironment(folder);
  const means = { env, timeoutMs: STEP_TIMEOUT_MS, signal: stopSignal() };
  const here = openTranscript({ ...means, cwd: TOP });
  const there = openTranscript({ ...means, cwd: clone });
  try {
    const before = await lookAt(here);
    await here.ask(`git clone --quiet --no-hardlinks ${quote(TOP)} ${quote(clone)}`);
    await runMainJob(there, options.doctor);
    await keepPromises(there);
    const unchanged = (await lookAt(here)) === before;
    there.promise("the branches and files of this checkout did not move", unchanged);
  } catch (error) {
    process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  } finally {
    if (options.clean) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    else here.say(`\nEverything is kept in ${folder}.`);
  }
  if (there.brokenPromises() > 0) process.exitCode = 1;
}

async function makeEnvironment(folder: string): Promise<Record<string, string>> {
  const programs = join(folder, "bin");
  await mkdir(programs);
  await symlink(join(TOP, "bin", "mycelium.js"), join(programs, "mycelium"));
  await symlink(join(EXAMPLES, "stand-in-agent.mjs"), join(programs, "stand-in-agent"));
  const path = process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin";
  return {
    PATH: [programs, dirname(process.execPath), path].join(delimiter),
    HOME: process.env["HOME"] ?? folder,
    MYCELIUM_HOME: join(folder, "home"),
    GIT_PAGER: "cat",
    ...registryVariables(),
  };
}

/** How this machine reaches a package registry: the check installs the packed program as a user does. */
function registryVariables(): Record<string, string> {
  const named = Object.entries(process.env).filter(([name]) => REGISTRY_VARIABLES.has(name));
  return Object.fromEntries(named.map(([name, value]) => [name, value ?? ""]));
}

/** All refs and all that is not committed: what must be the same afterwards. */
function lookAt(here: Transcript): Promise<string> {
  return here.ask("git symbolic-ref -q HEAD; git for-each-ref; git status --porcelain");
}

async function runMainJob(there: Transcript, doctor: string): Promise<void> {
  const { heading, show, ask } = there;
  heading("A clone of this repository, with a branch to land on");
  await show(`git switch --quiet --create ${BRANCH} && git tag start && git log --oneline -3`);

  heading("Its own checks are the doctor");
  await ask("mkdir -p .mycelium && echo '*' >.mycelium/.gitignore");
  const cwd = (await ask("pwd")).trim();
  await writeFile(join(cwd, ".mycelium", "config.yaml"), configuration(doctor));
  await show("cat .mycelium/config.yaml");
  await show(`mycelium plan --input ${quote(join(EXAMPLES, "self-host", "plan.md"))}`);

  heading("The run");
  await show("mycelium run --agent command");

  heading("What landed");
  await show(`git log --stat --format='%n%h %s%n%n%(trailers:key=Mycelium-Task)' start..${BRANCH}`);
  await show(
    `for commit in $(git rev-list --reverse start..${BRANCH}); do git notes --ref=mycelium show $commit; done`,
  );
}

/** Strings of JSON are strings of YAML too. */
function configuration(doctor: string): string {
  return `main_branch: ${BRANCH}
bootstrap:
  - ${JSON.stringify(bootstrapCommand())}
bootstrap_timeout: 1800
doctor: ${JSON.stringify(doctor)}
doctor_timeout: 1800
# A check keeps two cores busy, and the proof of a landing is one more: it waits for its batch to fill.
max_parallel: ${Math.max(1, Math.floor(availableParallelism() / 2))}
workspace:
  pass_env: ${JSON.stringify(Object.keys(registryVariables()))}
landing:
  linger_seconds: 600
agents:
  command:
    command: stand-in-agent
`;
}

/** Links to the packages of this checkout cost no second; where that is not possible, npm brings them. */
function bootstrapCommand(): string {
  const modules = join(TOP, "node_modules");
  const install = "npm ci --prefer-offline --no-audit --no-fund";
  if (!existsSync(modules)) return install;
  // What tools cache there is no package, and would be written to through the links.
  const link = `cp -al ${quote(modules)} node_modules && rm -rf node_modules/.vite*`;
  return `{ ${link}; } || { rm -rf node_modules; ${install}; }`;
}

async function keepPromises({ heading, ask, promise }: Transcript): Promise<void> {
  heading("What was promised");
  const trailers = await ask(
    `git log --format='%(trailers:key=Mycelium-Task,valueonly)' start..${BRANCH}`,
  );
  const landed = trailers.split("\n").filter((line) => line !== "");
  const all = TASKS.every((task) => landed.includes(task)) && landed.length === TASKS.length;
  promise(`${landed.length} of ${TASKS.length} tasks landed: ${landed.join(", ")}`, all);

  const receipts = (await ask("git notes --ref=mycelium list")).trim().split("\n").length;
  promise("each has its receipt", receipts === TASKS.length);

  const files = "docs/faq.md src/lib/byte-size.ts scripts/source-sizes.ts";
  const added = await ask(`git ls-tree --name-only ${BRANCH} ${files} | wc -l`);
  promise("the page, the helper and the script are on the branch", Number(added) === TASKS.length);
  const clean = await ask("git status --porcelain");
  promise("the clone's checkout is clean and has followed the branch", clean === "");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
