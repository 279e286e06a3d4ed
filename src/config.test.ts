import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../test/support/temporary-folder.ts";
import { environmentOfProcess, loadConfig } from "./config.ts";
import type { Config } from "./config/resolve.ts";
import { Refusal, type Failure } from "./domain/failure.ts";
import type { Problem } from "./domain/problem.ts";

const MINIMAL = "main_branch: main\ndoctor: npm test\n";

test("fills in every default", async () => {
  await using repository = await repositoryWith(MINIMAL);
  const { file, digest, agents, ...config } = await load(repository.path);
  expect(file).toBe(join(repository.path, ".mycelium/config.yaml"));
  expect(digest).toMatch(/^[0-9a-f]{64}$/);
  expect([...agents]).toEqual([]);
  expect(config).toEqual({
    repo_path: repository.path,
    main_branch: "main",
    tasks_dir: join(repository.path, ".mycelium/tasks"),
    doctor: "npm test",
    bootstrap: [],
    timeoutsMs: { doctor: 1_800_000, lint: 600_000, bootstrap: 900_000, agent: 3_600_000 },
    max_parallel: 4,
    max_attempts: 3,
    resources: [],
    manifest_enforcement: "warn",
    auto_rescope: true,
    budgets: { mode: "warn" },
    planner: { provider: "outline" },
    workspace: { kind: "local", pass_env: [], network: "allow" },
    cleanup: { workspaces: "on_success" },
    landing: { batch_max: 16, strategy: "squash", linger_seconds: 5 },
  });
});

test("relative paths start at the file, and JSON with tabs will do", async () => {
  await using folder = await temporaryFolder();
  const settings = { repo_path: "repo", main_branch: "main", doctor: "true", tasks_dir: "../t" };
  const file = join(folder.path, "inner/project.json");
  await mkdir(dirname(file));
  await writeFile(file, JSON.stringify(settings, null, "\t"));
  const config = await load("/", file);
  expect(config.repo_path).toBe(join(folder.path, "inner/repo"));
  expect(config.tasks_dir).toBe(join(folder.path, "t"));
});

test("the digest is of the file, so that it changes with it and with nothing else", async () => {
  await using first = await repositoryWith(MINIMAL);
  await using second = await repositoryWith(MINIMAL);
  await using third = await repositoryWith(`${MINIMAL}max_parallel: 5\n`);
  const digests = await Promise.all(
    [first, second, third].map(async ({ path }) => (await load(path)).digest),
  );
  expect(digests[0]).toBe(digests[1]);
  expect(digests[0]).not.toBe(digests[2]);
});

test.each([
  ["off", false],
  ["warn", true],
  ["block", false],
])(
  "under manifest_enforcement: %s, auto_rescope is %s unless it is set",
  async (mode, expected) => {
    const text = `${MINIMAL}manifest_enforcement: ${mode}\n`;
    await using byDefault = await repositoryWith(text);
    await using explicit = await repositoryWith(`${text}auto_rescope: ${!expected}\n`);
    expect((await load(byDefault.path)).auto_rescope).toBe(expected);
    expect((await load(explicit.path)).auto_rescope).toBe(!expected);
  },
);

test("agents are found by name, and not by what objects inherit", async () => {
  const text = "agents: {mine: {command: run-it, prices: {input: 3, output: 15}}}\nagent: mine\n";
  await using repository = await repositoryWith(MINIMAL + text);
  const { agents, agent } = await load(repository.path);
  expect(agent).toBe("mine");
  expect(agents.get("mine")).toEqual({
    command: "run-it",
    env: {},
    pass_env: [],
    prices: { input: 3, output: 15 },
    reports_usage: true,
  });
  expect(agents.get("constructor")).toBeUndefined();
});

test("variables of the environment are put in, and never shown in an error", async () => {
  const text = `${MINIMAL}agents:\n  mine:\n    command: x\n    env: {KEY: "\${KEY}"}\n`;
  await using good = await repositoryWith(text);
  await using bad = await repositoryWith(`${MINIMAL}max_parallel: \${KEY}\n`);
  expect((await load(good.path)).agents.get("mine")?.env).toEqual({ KEY: "s3cret" });
  const failure = await refusalOf(bad.path);
  expect(failure.message).toContain("max_parallel");
  expect(JSON.stringify(failure)).not.toContain("s3cret");
});

test.each<[string, string, string, number, string | RegExp]>([
  ["unknown key", "max_paralel: 2", "max_paralel", 3, /unknown key .*max_parallel/],
  ["unknown inner key", "landing:\n  batch: 2", "landing.batch", 4, /unknown key/],
  ["key of an agent", "agents:\n  a:\n    comand: x", "agents.a.comand", 5, /did you mean command/],
  ["key that is nothing like ours", "ui: 1", "ui", 3, /known here: repo_path, /],
  ["__proto__", "__proto__: 1", "__proto__", 3, "unknown key"],
  ["reserved resource", "resources: [{name: repo, paths: [a]}]", "resources[0].name", 3, "whole"],
  [
    "resource twice",
    "resources:\n- {name: a, paths: [a]}\n- {name: a, paths: [b]}",
    "resources[1].name",
    5,
    "named a already",
  ],
  ["glob", "resources: [{name: a, paths: ['!b']}]", "resources[0].paths[0]", 3, "exclude"],
  ["path outside", "resources: [{name: a, paths: [../b]}]", "resources[0].paths[0]", 3, "inside"],
  ["reserved agent", "agents: {mock: {command: x}}", "agents.mock", 3, "built in"],
  ["unknown agent", "agent: claud\nagents: {claude: {command: x}}", "agent", 3, "mean claude?"],
  ["unset variable", "lint: run ${UNSET_HERE}", "lint", 3, "UNSET_HERE is not set"],
  ["too many", "max_parallel: 257", "max_parallel", 3, "256"],
  ["fraction", "max_attempts: 1.5", "max_attempts", 3, "int"],
  ["empty command", "lint: ' '", "lint", 3, "empty"],
  ["other workspace", "workspace: {kind: cloud}", "workspace.kind", 3, "local"],
  ["key twice", "doctor: other", "(file)", 3, "same key twice"],
  ["two documents", "---\na: 1", "(file)", 3, "more than one"],
  ["tag", "lint: !!js/function x", "(file)", 3, "tag"],
  ["no anchor", "lint: *nothing", "(file)", 3, "alias"],
  ["syntax", "lint: [", "(file)", 4, "Flow"],
  ["nesting", `lint: ${"[".repeat(5000)}`, "(file)", 3, "too deeply"],
])("refuses a wrong file by place: %s", async (_, text, path, line, problem) => {
  await using repository = await repositoryWith(`${MINIMAL}${text}\n`);
  const failure = await refusalOf(repository.path);
  expect(failure.code).toBe("config-invalid");
  const [first] = failure.details.problems as readonly Problem[];
  expect({ path: first?.path, line: first?.line }).toEqual({ path, line });
  expect(failure.message).toMatch(problem);
});

test("aliases that multiply are refused with the line of the first", async () => {
  const text = `a: &a [${ten("x")}]\nb: &b [${ten("*a")}]\nc: &c [${ten("*b")}]\nd: [${ten("*c")}]\n`;
  await using repository = await repositoryWith(text);
  const failure = await refusalOf(repository.path);
  expect(failure.details.problems).toMatchObject([{ line: 2 }]);
});

test("tells all problems of a file at once", async () => {
  await using repository = await repositoryWith("max_parallel: 0\nlandin: {}\n");
  const { problems } = (await refusalOf(repository.path)).details;
  const paths = (problems as readonly Problem[]).map(({ path }) => path);
  expect(paths.toSorted()).toEqual(["doctor", "landin", "main_branch", "max_parallel"]);
});

test("a required key that is missing is called required", async () => {
  await using repository = await repositoryWith("main_branch: main\n");
  expect((await refusalOf(repository.path)).message).toContain("doctor (line 1): is required");
});

test.each(["-x", "a..b", "a b", "x.lock", "refs/heads/main", "HEAD", "a//b", "/a", "a@{b", "a\\b"])(
  "main_branch: %s is not a branch",
  async (branch) => {
    await using repository = await repositoryWith(
      `doctor: x\nmain_branch: ${JSON.stringify(branch)}\n`,
    );
    expect((await refusalOf(repository.path)).message).toContain("main_branch");
  },
);

test.each(["", "# only a comment\n", "just text\n", "- a list\n"])(
  "refuses a file that holds no settings: %j",
  async (text) => {
    await using repository = await repositoryWith(text);
    expect((await refusalOf(repository.path)).code).toBe("config-invalid");
  },
);

test("refuses a file that is too large, a folder, and what is not text", async () => {
  await using large = await repositoryWith(`${MINIMAL}#${"x".repeat(1_000_001)}`);
  await using binary = await repositoryWith(Buffer.from([0x61, 0xff, 0xfe]));
  expect((await refusalOf(large.path)).message).toContain("larger than");
  expect((await refusalOf(binary.path)).message).toContain("UTF-8");
  expect((await refusalOf("/", large.path)).message).toContain("is a folder");
});

test("a file outside of repositories must name one", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "config.yaml");
  await writeFile(file, MINIMAL);
  expect((await refusalOf("/", file)).details.path).toBe("repo_path");
});

test("reads the environment of its own process", () => {
  const environment = environmentOfProcess({ home: "somewhere" });
  expect(environment.lookup("VITEST")).toBe("true");
  expect(environment.path).toBe(environment.lookup("PATH"));
  expect(environment.home).toBe(join(process.cwd(), "somewhere"));
});

function ten(name: string): string {
  return Array.from({ length: 10 }, () => name).join(", ");
}

function load(cwd: string, configFile?: string): Promise<Config> {
  return loadConfig({ cwd, configFile, environment: { lookup } });
}

function lookup(name: string): string | undefined {
  return name === "KEY" ? "s3cret" : undefined;
}

async function refusalOf(cwd: string, configFile?: string): Promise<Failure> {
  const outcome: unknown = await load(cwd, configFile).catch((error: unknown) => error);
  if (!(outcome instanceof Refusal)) throw new Error("it was not refused", { cause: outcome });
  return outcome.failure;
}

async function repositoryWith(config: string | Buffer) {
  const folder = await temporaryFolder();
  await mkdir(join(folder.path, ".git"));
  await writeFile(join(folder.path, ".git/HEAD"), "ref: refs/heads/main\n");
  await mkdir(join(folder.path, ".mycelium"));
  await writeFile(join(folder.path, ".mycelium/config.yaml"), config);
  return folder;
}
