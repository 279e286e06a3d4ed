import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mapLimited } from "../../src/lib/map-limited.ts";
import { makeSandbox, ofType, type CliResult, type Sandbox } from "../support/cli.ts";
import {
  expectBoth,
  expectOnlyHonest,
  landedTasks,
  runHostile,
  SHELL_AGENT,
} from "../support/shell-agent.ts";

/** What a terminal would take for more than text. */
// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const CONTROL = /[\u0000-\u0008\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/;

/** Commands that show something of a run. */
const REPORTS = [
  ["status"],
  ["status", "--json"],
  ["runs", "list"],
  ["logs", "query"],
  ["logs", "query", "--json"],
  ["logs", "timeline"],
  ["logs", "failures"],
  ["logs", "summarize"],
  ["logs", "follow", "--lines", "1000"],
  ["logs", "search", "visible"],
] as const;

async function reportsOf(sandbox: Sandbox): Promise<readonly CliResult[]> {
  return mapLimited(REPORTS, 2, async (args) => {
    const result = await sandbox.mycelium([...args]);
    expect(result, args.join(" ")).toMatchObject({ code: 0 });
    return result;
  });
}

function allOf(results: readonly CliResult[]): string {
  return results.map(({ stdout, stderr }) => stdout + stderr).join("\n");
}

describe("control characters and escape sequences", () => {
  it("of agents, gates, files and plans reach nobody's terminal", async () => {
    await using sandbox = await makeSandbox();
    const evil =
      "\\033]0;title\\007\\033[2J\\033[1;31mvisible\\033[0m\\r\\b\\302\\233\\342\\200\\256";
    const lint = `test ! -f gate.txt || { printf '${evil}\\n'; exit 3; }`;
    await sandbox.configure({ ...SHELL_AGENT, lint });
    const name = "visible\u001B[2J\u0007\u202Ename";
    const agent = `printf '${evil}\\n'; printf '${evil}\\n' >&2; exit 7`;
    const named = `echo x > "$(printf 'x${evil}')"`;
    await sandbox.tasks([
      { id: "agent", spec: agent },
      { id: "gate", spec: "echo x > gate.txt", files: { writes: ["gate.txt"] } },
      { id: "file", spec: named, files: { writes: ["file.txt"] } },
      { id: "plan", name, spec: "echo x > plan.txt", files: { writes: ["plan.txt"] } },
    ]);
    const run = await sandbox.mycelium(["run", "--run-id", "r1"]);
    expect(run.code).toBe(1);
    const told = allOf([run, ...(await reportsOf(sandbox))]);
    expect(CONTROL.exec(told)).toBeNull();
    for (const subject of ["agent", "gate", "file", "plan"]) expect(told).toContain(subject);
    expect(told).toContain("visible");
    expect(await landedTasks(sandbox)).toEqual(["plan"]);
  });
});

/** Its end is not changed by any way of writing it down, but for base64. */
const SECRET = 'hush"hush/7f3e9a1c5b8d2046';
const SECRET_END = "7f3e9a1c5b8d2046";
const IN_BASE64 = Buffer.from(SECRET).toString("base64").slice(0, 30);
const ENV = { AGENTS_TOKEN: SECRET };

/** Every file below the home but for workspaces: the database and its log included. */
function everythingKept(sandbox: Sandbox): string {
  return readdirSync(sandbox.home, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes("/workspaces"))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"))
    .join("\n");
}

describe("a secret that an agent was given", () => {
  const settings = {
    agents: { shell: { ...SHELL_AGENT.agents.shell, pass_env: ["AGENTS_TOKEN"] } },
    max_attempts: 2,
  };

  it("stands nowhere in log, database and reports, by whatever way it comes out", async () => {
    await using sandbox = await makeSandbox();
    const lint = "test ! -f gate.txt || { cat gate.txt; exit 3; }";
    await sandbox.configure({ ...SHELL_AGENT, ...settings, lint });
    const agent = `echo "visible: $AGENTS_TOKEN"; echo "$AGENTS_TOKEN" | base64
      printf '{"token": "%s"}\\n' "$(printf %s "$AGENTS_TOKEN" | sed 's/"/\\\\"/g')"
      i=0; while [ $i -lt 200 ]; do echo "$AGENTS_TOKEN " >&2; i=$((i + 1)); done
      echo "failing with $AGENTS_TOKEN" >&2; exit 3`;
    const gate = `i=0; while [ $i -lt 999 ]; do echo "$i $AGENTS_TOKEN"; i=$((i + 1)); done > gate.txt
      echo "visible: $AGENTS_TOKEN" >> gate.txt`;
    await sandbox.tasks([
      { id: "agent", spec: agent },
      { id: "gate", spec: gate, files: { writes: ["gate.txt"] } },
    ]);
    const run = await sandbox.mycelium(["run", "--run-id", "r1"], { env: ENV });
    expect(run.code).toBe(1);
    const reasons = sandbox.state("r1").tasks.map(({ reason }) => reason);
    expect(reasons).toEqual(["agent-failed", "lint-failed"]);
    const told = allOf([run, ...(await reportsOf(sandbox))]);
    for (const text of ["visible: [redacted]", "failing with [redacted]"]) {
      expect(told.includes(text), text).toBe(true);
    }
    // Nor a part of it, where a long text was cut.
    for (const form of [SECRET_END.slice(8), SECRET.slice(0, 6), IN_BASE64]) {
      expect(told.includes(form), "told").toBe(false);
      expect(everythingKept(sandbox).includes(form), "kept").toBe(false);
    }
  });

  it("is found where it comes in pieces and amid much else", async () => {
    await using sandbox = await makeSandbox();
    const script = `start=$(printf %s "$AGENTS_TOKEN" | cut -c1-9)
      end=$(printf %s "$AGENTS_TOKEN" | cut -c10-)
      printf 'visible: %s' "$start"; sleep 0.2; printf '%s\\n' "$end"
      i=0; while [ $i -lt 2000 ]; do echo "$i $AGENTS_TOKEN"; i=$((i + 1)); done
      echo done > hostile.txt`;
    await expectBoth(sandbox, await runHostile(sandbox, script, { settings, env: ENV }));
    const log = readFileSync(join(sandbox.home, "runs/r1/orchestrator.jsonl"), "utf8");
    expect(log.includes("[redacted]")).toBe(true);
    // Neither whole nor cut in two.
    expect(log.includes(SECRET_END.slice(8))).toBe(false);
    expect(log.includes(SECRET.slice(0, 4))).toBe(false);
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
