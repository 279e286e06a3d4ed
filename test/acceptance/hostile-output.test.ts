import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeSandbox, ofType, type CliResult, type Sandbox } from "../support/cli.ts";
import { expectBoth, expectOnlyHonest, runHostile, SHELL_AGENT } from "../support/shell-agent.ts";

/** What a terminal would take for more than text. */
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/;

/** Every command that shows something of a run to a person. */
const REPORTS = [
  ["status"],
  ["runs", "list"],
  ["logs", "query"],
  ["logs", "timeline"],
  ["logs", "failures"],
  ["logs", "summarize"],
  ["logs", "follow", "--after", "0"],
  ["logs", "search", "visible"],
] as const;

async function reportsOf(sandbox: Sandbox): Promise<readonly CliResult[]> {
  const results: CliResult[] = [];
  for (const args of REPORTS) {
    for (const more of [[], ["--json"]]) {
      const result = await sandbox.mycelium([...args, ...more]);
      expect(result, args.join(" ")).toMatchObject({ code: 0 });
      results.push(result);
    }
  }
  return results;
}

describe("control characters and escape sequences of an agent", () => {
  it("reach nobody's terminal, wherever they come from", async () => {
    await using sandbox = await makeSandbox();
    const evil =
      "\\033]0;title\\007\\033[2J\\033[1;31mvisible\\033[0m\\r\\b\\302\\233\\342\\200\\256";
    const script = `printf '${evil}\\n'; printf '${evil}\\n' >&2
      echo done > "$(printf 'hostile.txt')"; printf '${evil}' > "$(printf 'x${evil}y')"; exit 7`;
    const run = await runHostile(sandbox, script, { writes: ["**"] });
    await expectOnlyHonest(sandbox, run, "agent-failed");
    const results = [run, ...(await reportsOf(sandbox))];
    for (const { stdout, stderr } of results) expect(stdout + stderr).not.toMatch(CONTROL);
    expect(results.some(({ stdout }) => stdout.includes("visible"))).toBe(true);
  });

  it("in what a gate prints neither", async () => {
    await using sandbox = await makeSandbox();
    const lint = "test ! -f hostile.txt || { printf 'visible\\033[2J\\007\\n'; exit 3; }";
    const script = "echo done > hostile.txt";
    const run = await runHostile(sandbox, script, { settings: { lint } });
    await expectOnlyHonest(sandbox, run, "lint-failed");
    const results = [run, ...(await reportsOf(sandbox))];
    for (const { stdout, stderr } of results) expect(stdout + stderr).not.toMatch(CONTROL);
  });

  it("in the names of a plan neither", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure(SHELL_AGENT);
    const name = "visible\u001B[2J\u0007\u202Ename";
    await sandbox.tasks([{ id: "1", name, spec: "echo 1 > 1.txt", files: { writes: ["1.txt"] } }]);
    const dry = await sandbox.mycelium(["run", "--dry-run"]);
    const run = await sandbox.mycelium(["run", "--run-id", "r1"]);
    expect(dry.stdout + run.stdout).toContain("visible");
    const results = [dry, run, ...(await reportsOf(sandbox))];
    for (const { stdout, stderr } of results) expect(stdout + stderr).not.toMatch(CONTROL);
    expect(await sandbox.repository.git("log", "-1", "--format=%s", "main")).toContain("visible");
  });
});

const SECRET = 'hush"hush/7f3e9a1c5b8d2046';
const ENV = { AGENTS_TOKEN: SECRET };

/** Every file below the home, whole: the database and its log included. */
function everythingKept(sandbox: Sandbox): string {
  return readdirSync(sandbox.home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes("/workspaces"))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"))
    .join("\n");
}

const FORMS = [SECRET, JSON.stringify(SECRET).slice(1, -1), encodeURIComponent(SECRET)];

describe("a secret that an agent was given", () => {
  const settings = {
    agents: { shell: { ...SHELL_AGENT.agents.shell, pass_env: ["AGENTS_TOKEN"] } },
    max_attempts: 2,
  };

  it("stands nowhere in log, database and reports, by whatever way the agent lets it out", async () => {
    await using sandbox = await makeSandbox();
    const script = `echo "visible: $AGENTS_TOKEN"
      printf '{"token": "%s"}\\n' "$(printf %s "$AGENTS_TOKEN" | sed 's/"/\\\\"/g')"
      echo "$AGENTS_TOKEN" | base64; echo "failing with $AGENTS_TOKEN" >&2; exit 3`;
    const run = await runHostile(sandbox, script, { settings, env: ENV });
    await expectOnlyHonest(sandbox, run, "agent-failed");
    const results = [run, ...(await reportsOf(sandbox))];
    const told = results.map(({ stdout, stderr }) => stdout + stderr).join("\n");
    expect(told).toContain("visible: [redacted]");
    expect(told).toContain("failing with [redacted]");
    for (const form of FORMS) {
      expect(told).not.toContain(form);
      expect(everythingKept(sandbox)).not.toContain(form);
    }
  });

  it("neither where a gate prints what the agent wrote", async () => {
    await using sandbox = await makeSandbox();
    const script = 'echo "visible: $AGENTS_TOKEN" > hostile.txt';
    const lint = "test ! -f hostile.txt || { cat hostile.txt; exit 3; }";
    const run = await runHostile(sandbox, script, { settings: { ...settings, lint }, env: ENV });
    await expectOnlyHonest(sandbox, run, "lint-failed");
    const results = [run, ...(await reportsOf(sandbox))];
    const told = results.map(({ stdout, stderr }) => stdout + stderr).join("\n");
    for (const form of FORMS) {
      expect(told).not.toContain(form);
      expect(everythingKept(sandbox)).not.toContain(form);
    }
  });

  it("neither where it comes in pieces, or as the name of a file", async () => {
    await using sandbox = await makeSandbox();
    const script = `half=$(printf %s "$AGENTS_TOKEN" | cut -c1-9); rest=$(printf %s "$AGENTS_TOKEN" | cut -c10-)
      printf 'visible: %s' "$half"; sleep 0.3; printf '%s\\n' "$rest"
      echo x > "$(printf %s "$AGENTS_TOKEN" | tr / _)"; echo done > hostile.txt`;
    const run = await runHostile(sandbox, script, { settings, env: ENV });
    expect(run.code).toBe(0);
    const results = [run, ...(await reportsOf(sandbox))];
    const told = results.map(({ stdout, stderr }) => stdout + stderr).join("\n");
    expect(told).not.toContain(SECRET.slice(10));
    expect(readFileSync(join(sandbox.home, "runs/r1/orchestrator.jsonl"), "utf8")).not.toContain(
      SECRET.slice(10),
    );
  });
});

/** Lines that mean to report usage and cannot be counted. */
const NONSENSE = [
  '{"type":"turn.completed","usage":{"input_tokens":-5,"output_tokens":1}}',
  '{"type":"turn.completed","usage":{"input_tokens":1e300,"output_tokens":1}}',
  '{"type":"turn.completed","usage":{"input_tokens":1.5,"output_tokens":1}}',
  '{"type":"turn.completed","usage":{"input_tokens":"5","output_tokens":1}}',
  '{"type":"turn.completed","usage":{"cost_usd":-1}}',
  '{"type":"turn.completed","usage":{"cost_usd":"free"}}',
  '{"type":"turn.completed","usage":[]}',
  '{"type":"turn.completed"}',
  '{"type":"turn.completed","usage":{"input_tokens":5',
];

describe("a report of usage that cannot be counted", () => {
  it.each(NONSENSE)("fails the attempt: %s", async (line) => {
    await using sandbox = await makeSandbox();
    const report = `cat <<'END'\n${line}\nEND`;
    const run = await runHostile(sandbox, `echo x > hostile.txt\n${report}`, {
      settings: { budgets: { mode: "warn", max_tokens_per_run: 1_000_000 } },
    });
    await expectOnlyHonest(sandbox, run, "agent-failed");
    const ended = ofType(sandbox.events("r1"), "agent.ended");
    const reasons = ended.map(({ task_id, payload }) => `${task_id} ${String(payload["reason"])}`);
    expect(reasons).toContain("hostile protocol-broken");
  });

  it("never counts as nothing: the sum of many large ones blocks", async () => {
    await using sandbox = await makeSandbox();
    const line = '{"type":"turn.completed","usage":{"input_tokens":9007199254740991}}';
    const script = `for i in 1 2 3; do echo '${line}'; done; sleep 60; echo x > hostile.txt`;
    const budgets = { mode: "block", max_tokens_per_task: 1000 };
    const run = await runHostile(sandbox, script, { settings: { budgets } });
    expect(run.code).toBe(3);
    expect(sandbox.state("r1")).toMatchObject({ status: "failed", stop_reason: "budget" });
    await expect(sandbox.repository.git("show", "main:hostile.txt")).rejects.toThrow("hostile.txt");
  });

  it("is not seen in what is no line of its own, and in text about such lines", async () => {
    await using sandbox = await makeSandbox();
    const script = `echo 'I print {"type":"turn.completed","usage":{"input_tokens":-5}} for you'
      echo '  "turn.completed"'; echo '{"type":"other","usage":{"input_tokens":-5}}'
      echo '{"type":"turn.completed","usage":{"input_tokens":-5}}' >&2; echo done > hostile.txt`;
    await expectBoth(sandbox, await runHostile(sandbox, script));
  });
});
