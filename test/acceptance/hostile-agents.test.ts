import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { startProgram } from "../support/live-program.ts";
import { processesOf } from "../support/marked-processes.ts";
import {
  expectBoth,
  expectOnlyHonest,
  HONEST,
  landedTasks,
  runHostile,
  SHELL_AGENT,
} from "../support/shell-agent.ts";

const MEGABYTE = 1024 * 1024;

/** What the agents of the run may have said in the log, however much they said. */
const LOG_BYTES_MAX = 4 * MEGABYTE;
const MEMORY_BYTES_MAX = 300 * MEGABYTE;

/** Writes the peak memory of the program into a file when it ends. */
function measuring(sandbox: Sandbox): { env: Record<string, string>; peakBytes: () => number } {
  const file = join(sandbox.repository.folder, "peak-memory");
  const hook = pathToFileURL(join(import.meta.dirname, "../../bench/peak-memory.mjs")).href;
  return {
    env: { NODE_OPTIONS: `--import=${hook}`, MYCELIUM_BENCH_PEAK_MEMORY: file },
    peakBytes: () => Number(readFileSync(file, "utf8")),
  };
}

function logBytes(sandbox: Sandbox): number {
  const run = join(sandbox.home, "runs/r1");
  const files = ["orchestrator.jsonl", "tasks/hostile/events.jsonl"];
  return files.reduce((sum, file) => sum + statSync(join(run, file)).size, 0);
}

describe("an agent that does not end", () => {
  it("is ended with all of its processes at the timeout, and the others land", async () => {
    await using sandbox = await makeSandbox();
    const run = await runHostile(sandbox, "sleep 300 & echo half > hostile.txt; sleep 300", {
      settings: { agent_timeout: 1 },
    });
    await expectOnlyHonest(sandbox, run, "agent-timed-out");
    expect(processesOf(sandbox.home)).toEqual([]);
    const ended = ofType(sandbox.events("r1"), "agent.ended");
    expect(ended.map(({ task_id, payload }) => [task_id, payload["reason"]])).toContainEqual([
      "hostile",
      "timed-out",
    ]);
  });

  it("is ended as well where it and its children ignore SIGTERM", async () => {
    await using sandbox = await makeSandbox();
    const script = `trap "" TERM HUP INT
      (trap "" TERM; while :; do sleep 0.1; done) &
      (while :; do sleep 0.1; done)`;
    const run = await runHostile(sandbox, script, { settings: { agent_timeout: 1 } });
    await expectOnlyHonest(sandbox, run, "agent-timed-out");
    expect(processesOf(sandbox.home)).toEqual([]);
  });

  it("tells its next try why the last one was ended", async () => {
    await using sandbox = await makeSandbox();
    const script = `if [ -z "$MYCELIUM_FEEDBACK_FILE" ]; then sleep 300; fi
      cp "$MYCELIUM_FEEDBACK_FILE" hostile.txt`;
    const run = await runHostile(sandbox, script, {
      settings: { agent_timeout: 1, max_attempts: 2 },
    });
    await expectBoth(sandbox, run);
    expect(await sandbox.repository.git("show", "main:hostile.txt")).toContain("timed-out");
  });
});

describe("an agent that leaves processes behind", () => {
  it("keeps none of them, were they daemons of their own session that ignore SIGTERM", async () => {
    await using sandbox = await makeSandbox();
    const daemon = join(sandbox.repository.folder, "daemon");
    const script = `
      setsid sh -c 'trap "" TERM HUP; echo $$ > ${daemon}.1; while :; do sleep 0.1; done' &
      ( ( setsid sh -c 'trap "" TERM HUP; echo $$ > ${daemon}.2; exec sleep 300' & ) & )
      (trap "" TERM; exec sleep 300) &
      until [ -s ${daemon}.1 ] && [ -s ${daemon}.2 ]; do sleep 0.02; done
      echo done > hostile.txt`;
    const run = await runHostile(sandbox, script);
    await expectBoth(sandbox, run);
    expect(processesOf(sandbox.home)).toEqual([]);
  });

  it("cannot go on writing into what is being judged", async () => {
    await using sandbox = await makeSandbox();
    const script = `echo 1 > hostile.txt
      setsid sh -c 'trap "" TERM; while :; do echo late >> hostile.txt; sleep 0.01; done' > /dev/null 2>&1 &
      until grep -q late hostile.txt; do sleep 0.01; done`;
    const run = await runHostile(sandbox, script, {
      settings: {
        lint: "cp hostile.txt seen || exit 0; sleep 0.2; cmp hostile.txt seen; e=$?; rm seen; exit $e",
      },
    });
    await expectBoth(sandbox, run);
    expect(processesOf(sandbox.home)).toEqual([]);
  });

  it("holds nothing up with a pipe that it kept open", async () => {
    await using sandbox = await makeSandbox();
    // Without its environment nothing tells whose it is; it must not matter.
    const script = `env -i setsid sleep 20 & echo done > hostile.txt`;
    const startedMs = performance.now();
    const run = await runHostile(sandbox, script);
    await expectBoth(sandbox, run);
    expect(performance.now() - startedMs).toBeLessThan(15_000);
  });
});

describe("an agent that floods its output", () => {
  it("lands, with a bounded log and bounded memory", async () => {
    await using sandbox = await makeSandbox();
    const { env, peakBytes } = measuring(sandbox);
    const script = "yes 'all work and no play' | head -c 200000000; echo done > hostile.txt";
    const run = await runHostile(sandbox, script, { env });
    await expectBoth(sandbox, run);
    expect(logBytes(sandbox)).toBeLessThan(LOG_BYTES_MAX);
    expect(statSync(join(sandbox.home, "mycelium.db")).size).toBeLessThan(2 * LOG_BYTES_MAX);
    expect(peakBytes()).toBeLessThan(MEMORY_BYTES_MAX);
    const [truncated] = ofType(sandbox.events("r1"), "output.truncated");
    expect(truncated?.task_id).toBe("hostile");
    expect(run.stdout.length + run.stderr.length).toBeLessThan(MEGABYTE);
  });

  it("lands after ten megabytes without a line end, on both streams", async () => {
    await using sandbox = await makeSandbox();
    const { env, peakBytes } = measuring(sandbox);
    const letters = "head -c 10000000 /dev/zero | tr '\\0' x";
    const script = `${letters}; ${letters} >&2; echo done > hostile.txt`;
    const run = await runHostile(sandbox, script, { env });
    await expectBoth(sandbox, run);
    expect(logBytes(sandbox)).toBeLessThan(LOG_BYTES_MAX);
    expect(peakBytes()).toBeLessThan(MEMORY_BYTES_MAX);
  });

  it("may begin ten megabytes as if it were about to report its usage", async () => {
    await using sandbox = await makeSandbox();
    const { env, peakBytes } = measuring(sandbox);
    const script = `printf '{"type": "turn.completed", "usage": {"input_tokens": '
      head -c 10000000 /dev/zero | tr '\\0' 1; echo '}}'; echo done > hostile.txt`;
    const run = await runHostile(sandbox, script, { env });
    await expectOnlyHonest(sandbox, run, "agent-failed");
    expect(peakBytes()).toBeLessThan(MEMORY_BYTES_MAX);
  });

  it("of bytes that are no text, and with files beyond number, is no trouble either", async () => {
    await using sandbox = await makeSandbox();
    const script = `head -c 300000 /dev/urandom; mkdir many
      i=0; while [ $i -lt 500 ]; do : > many/$i; i=$((i + 1)); done; echo done > hostile.txt`;
    const run = await runHostile(sandbox, script, { writes: ["hostile.txt", "many/**"] });
    await expectBoth(sandbox, run);
    expect(logBytes(sandbox)).toBeLessThan(LOG_BYTES_MAX);
  });
});

describe("an agent that says it is done", () => {
  it("and changed nothing has failed, where its manifest says that files are to change", async () => {
    await using sandbox = await makeSandbox();
    const run = await runHostile(sandbox, "echo 'all done!'");
    await expectOnlyHonest(sandbox, run, "no-changes");
  });

  it("and only touched or committed nothing has changed nothing", async () => {
    await using sandbox = await makeSandbox();
    const script = "touch README.md; git commit -q --allow-empty -m 'all done!'";
    const run = await runHostile(sandbox, script);
    await expectOnlyHonest(sandbox, run, "no-changes");
  });

  it("and fails with its files written has failed", async () => {
    await using sandbox = await makeSandbox();
    const run = await runHostile(sandbox, "echo half > hostile.txt; exit 9");
    await expectOnlyHonest(sandbox, run, "agent-failed");
    expect(run.stdout + run.stderr).toContain("exit code 9");
  });

  it("and kills itself has failed", async () => {
    await using sandbox = await makeSandbox();
    const run = await runHostile(sandbox, "echo half > hostile.txt; kill -9 $$");
    await expectOnlyHonest(sandbox, run, "agent-failed");
    expect(run.stdout + run.stderr).toContain("SIGKILL");
  });
});

describe("an agent that is told nothing it may not know", () => {
  it("gets no variable of the user's beside the few that programs need", async () => {
    await using sandbox = await makeSandbox();
    const run = await runHostile(sandbox, "env | cut -d= -f1 | sort > hostile.txt", {
      env: { SOMEBODYS_TOKEN: "not for agents 1234", LANG: "C.UTF-8" },
    });
    await expectBoth(sandbox, run);
    const names = (await sandbox.repository.git("show", "main:hostile.txt")).split("\n");
    expect(names).not.toContain("SOMEBODYS_TOKEN");
    const own = names.filter((name) => !name.startsWith("MYCELIUM_"));
    const allowed = ["GIT_CEILING_DIRECTORIES", "HOME", "LANG", "OLDPWD", "PATH", "PWD", "SHLVL"];
    expect(own.filter((name) => ![...allowed, "TMPDIR", "USER", "_"].includes(name))).toEqual([]);
  });
});

describe("agents of several tasks", () => {
  it("do not reach each other's workspaces by what they are told", async () => {
    await using sandbox = await makeSandbox();
    await using program = await startOther(sandbox);
    expect(await program.ended).toMatchObject({ code: 0 });
    expect(await landedTasks(sandbox)).toEqual(["honest", "one", "two"]);
    const read = (file: string): Promise<string> => sandbox.repository.git("show", `main:${file}`);
    expect(await read("one.txt")).not.toBe(await read("two.txt"));
  });
});

async function startOther(sandbox: Sandbox): Promise<ReturnType<typeof startProgram>> {
  const spec = 'pwd > "$MYCELIUM_TASK_ID.txt"\n';
  await sandbox.configure({ ...SHELL_AGENT, max_parallel: 3 });
  await sandbox.tasks([
    { id: "one", spec, files: { writes: ["one.txt"] } },
    { id: "two", spec, files: { writes: ["two.txt"] } },
    HONEST,
  ]);
  const program = startProgram(sandbox, ["run", "--run-id", "r1"]);
  await eventually("the run is recorded", () =>
    existsSync(join(sandbox.home, "runs/r1/state.json")),
  );
  return program;
}
