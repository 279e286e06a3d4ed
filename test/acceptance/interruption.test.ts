import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { makeSandbox, ofType, type Sandbox } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { startProgram, type LiveProgram } from "../support/live-program.ts";
import { processesOf } from "../support/marked-processes.ts";
import { expectWhole, landedTasks, SHELL_AGENT } from "../support/shell-agent.ts";

interface Gate {
  /** A shell command that says it was reached, and goes on once the gate is open. */
  readonly wait: string;
  readonly isReached: () => boolean;
  readonly open: () => Promise<void>;
}

/** A point at which agents wait for the test. */
function gateIn({ repository }: Sandbox, name: string): Gate {
  const reached = join(repository.folder, `${name}-reached`);
  const opened = join(repository.folder, `${name}-opened`);
  return {
    wait: `{ touch ${reached}; until [ -e ${opened} ]; do sleep 0.02; done; }`,
    isReached: () => existsSync(reached),
    open: () => writeFile(opened, ""),
  };
}

const writes = (id: string, spec: string): { id: string; spec: string; files: object } => ({
  id,
  spec: `${spec}\n`,
  files: { writes: [`${id}.txt`] },
});

/** One task that lands at once, one that waits at the gate, and one that needs it. */
async function startUntilGate(sandbox: Sandbox, gate: Gate): Promise<LiveProgram> {
  await sandbox.configure(SHELL_AGENT);
  await sandbox.tasks([
    writes("early", "echo done > early.txt"),
    writes("held", `${gate.wait}; echo done > held.txt`),
    { ...writes("late", "echo done > late.txt"), dependencies: ["held"] },
  ]);
  const program = startProgram(sandbox, ["run", "--run-id", "r1"]);
  await eventually("the agent waits and the first task has landed", () => {
    return gate.isReached() && isComplete(sandbox, "early");
  });
  return program;
}

function isComplete(sandbox: Sandbox, id: string): boolean {
  if (!existsSync(join(sandbox.home, "runs/r1/state.json"))) return false;
  return sandbox.state("r1").tasks.some((task) => task.id === id && task.state === "complete");
}

/** What an undisturbed run of the same tasks would have come to. */
async function expectAllLandedOnce(sandbox: Sandbox): Promise<void> {
  expect(sandbox.state("r1")).toMatchObject({ status: "complete", stop_reason: null });
  expect(await landedTasks(sandbox)).toEqual(["early", "held", "late"]);
  const completed = ofType(sandbox.events("r1"), "task.completed").map(({ task_id }) => task_id);
  expect(completed.toSorted()).toEqual(["early", "held", "late"]);
  expect(processesOf(sandbox.home)).toEqual([]);
  expect(await sandbox.repository.git("for-each-ref", "refs/mycelium/runs")).toBe("");
  await expectWhole(sandbox);
}

describe("a run that is told to stop", () => {
  it.each([
    ["SIGINT", 130, "interrupted"],
    ["SIGTERM", 143, "terminated"],
    ["SIGHUP", 143, "terminated"],
  ] as const)("by %s ends with %i, saved, and is gone on with", async (signal, code, reason) => {
    await using sandbox = await makeSandbox();
    const gate = gateIn(sandbox, "agent");
    await using program = await startUntilGate(sandbox, gate);
    program.kill(signal);
    const stopped = await program.ended;
    expect(stopped, stopped.stderr).toMatchObject({ code, signal: null });
    expect(stopped.stderr).toContain("Stopping");
    expect(stopped.stdout + stopped.stderr).toContain("mycelium resume");
    expect(processesOf(sandbox.home)).toEqual([]);
    expect(sandbox.state("r1")).toMatchObject({ status: "paused", stop_reason: reason });
    expect(ofType(sandbox.events("r1"), "run.paused")[0]?.payload).toMatchObject({ reason });
    const status = await sandbox.json(["status"]);
    expect(status).toMatchObject({ ok: true, status: "paused", is_live: false });

    await gate.open();
    // With a single try allowed, this shows that the interrupted one was given back.
    const resumed = await sandbox.mycelium(["resume"]);
    expect(resumed, resumed.stderr).toMatchObject({ code: 0 });
    await expectAllLandedOnce(sandbox);
    const again = await sandbox.mycelium(["resume", "r1"]);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain("is complete");
  });

  it("twice ends at once, with nothing saved but what was, and is gone on with all the same", async () => {
    await using sandbox = await makeSandbox();
    const gate = gateIn(sandbox, "agent");
    const stubborn = { ...gate, wait: `trap "" TERM; ${gate.wait}` };
    await using program = await startUntilGate(sandbox, stubborn);
    program.kill("SIGINT");
    // Within half a second it is the same signal still, so it is sent until one has ended it.
    const isOver = program.ended.then(() => true);
    while (!(await Promise.race([isOver, pause(50, false)]))) program.kill("SIGINT");
    expect(await program.ended).toMatchObject({ code: 130, signal: null });
    expect(ofType(sandbox.events("r1"), "run.paused")).toEqual([]);
    expect(await sandbox.json(["status"])).toMatchObject({ status: "running", is_live: false });

    await gate.open();
    expect(await sandbox.mycelium(["resume"])).toMatchObject({ code: 0 });
    await expectAllLandedOnce(sandbox);
  });

  it("while a candidate is proved lands nothing then, and lands it when gone on with", async () => {
    await using sandbox = await makeSandbox();
    const gate = gateIn(sandbox, "doctor");
    const doctor = `case "$PWD" in */r1._landing/*) ${gate.wait};; esac; test -f README.md`;
    await sandbox.configure({ ...SHELL_AGENT, doctor });
    await sandbox.tasks([writes("early", "echo done > early.txt")]);
    const before = await sandbox.tip();
    await using program = startProgram(sandbox, ["run", "--run-id", "r1"]);
    await eventually("the candidate is proved", gate.isReached);
    program.kill("SIGINT");
    expect(await program.ended).toMatchObject({ code: 130 });
    expect(await sandbox.tip()).toBe(before);
    expect(processesOf(sandbox.home)).toEqual([]);
    expect(sandbox.state("r1").tasks).toMatchObject([{ state: "validated", attempts: 1 }]);
    await gate.open();
    expect(await sandbox.mycelium(["resume"])).toMatchObject({ code: 0 });
    expect(sandbox.state("r1").tasks).toMatchObject([{ state: "complete", attempts: 1 }]);
    await expectWhole(sandbox);
  });

  it("in its very first moments is whole in any case", async () => {
    await using sandbox = await makeSandbox();
    await sandbox.configure(SHELL_AGENT);
    await sandbox.tasks([writes("early", "echo done > early.txt")]);
    for (const delayMs of [200, 350, 500]) {
      await using program = startProgram(sandbox, ["run", "--run-id", `at-${delayMs}`]);
      await pause(delayMs);
      program.kill("SIGTERM");
      const { code, stderr } = await program.ended;
      // Before it listens, the signal itself ends it; after it was done, it has ended by itself.
      expect([143, 0, null], stderr).toContain(code);
      expect(processesOf(sandbox.home)).toEqual([]);
    }
    const unfinished = await sandbox.mycelium(["resume"]);
    expect([0, 2], unfinished.stderr).toContain(unfinished.code);
    const last = await sandbox.mycelium(["run", "--run-id", "last"]);
    expect(last, last.stderr).toMatchObject({ code: 0 });
    expect(await landedTasks(sandbox)).toEqual(["early"]);
    await expectWhole(sandbox);
  });
});

describe("a run that was killed while an agent worked", () => {
  /** The agent leaves a daemon that no SIGTERM ends; the next try tells whether it still lives. */
  async function killWithDaemon(sandbox: Sandbox, gate: Gate): Promise<number> {
    const file = join(sandbox.repository.folder, "daemon");
    const daemon = `setsid sh -c 'trap "" TERM HUP; echo $$ > ${file}.new; mv ${file}.new ${file}; while :; do sleep 0.05; done'`;
    const script = `if [ -e ${file} ]; then
        if grep -qs MYCELIUM_WORKSPACE_DIR "/proc/$(cat ${file})/environ"; then echo lives; else echo gone; fi > held.txt
      else
        ( ${daemon} > /dev/null 2>&1 & ); until [ -e ${file} ]; do sleep 0.02; done; ${gate.wait}
      fi`;
    await sandbox.configure(SHELL_AGENT);
    await sandbox.tasks([
      writes("early", "echo done > early.txt"),
      writes("held", script),
      { ...writes("late", "echo done > late.txt"), dependencies: ["held"] },
    ]);
    await using program = startProgram(sandbox, ["run", "--run-id", "r1"]);
    await eventually("the agent waits and the first task has landed", () => {
      return gate.isReached() && isComplete(sandbox, "early");
    });
    program.kill("SIGKILL");
    expect(await program.ended).toMatchObject({ code: null, signal: "SIGKILL" });
    const left = Number(readFileSync(file, "utf8"));
    // The agent and its daemon live on, which is what recovery is about.
    expect(processesOf(sandbox.home).map(({ pid }) => pid)).toContain(left);
    expect(processesOf(sandbox.home).length).toBeGreaterThan(1);
    return left;
  }

  it("ends what it left first, does the task once, and does not wait for the lease", async () => {
    await using sandbox = await makeSandbox();
    await using killed = await leftovers(sandbox, killWithDaemon);
    expect(await sandbox.json(["status"])).toMatchObject({ status: "running", is_live: false });
    const startedMs = performance.now();
    const resumed = await sandbox.mycelium(["resume", "r1"]);
    expect(resumed, resumed.stderr).toMatchObject({ code: 0 });
    // The lease of the dead process would have lasted for half a minute.
    expect(performance.now() - startedMs).toBeLessThan(20_000);
    expect(processesOf(sandbox.home).map(({ pid }) => pid)).not.toContain(killed.pid);
    expect(await sandbox.repository.git("show", "main:held.txt")).toBe("gone");
    const ended = ofType(sandbox.events("r1"), "attempt.ended").filter(
      ({ task_id }) => task_id === "held",
    );
    expect(ended.map(({ payload }) => payload["outcome"])).toEqual(["lost", "validated"]);
    await expectAllLandedOnce(sandbox);
  });

  it("goes on upon what a person has committed to the branch meanwhile", async () => {
    await using sandbox = await makeSandbox();
    await using _killed = await leftovers(sandbox, killWithDaemon);
    const { repository } = sandbox;
    await repository.write("person.txt", "mine\n");
    await repository.git("add", "person.txt");
    await repository.git("commit", "--quiet", "-m", "by a person");
    const person = await sandbox.tip();
    expect(await sandbox.mycelium(["resume"])).toMatchObject({ code: 0 });
    await expectAllLandedOnce(sandbox);
    await repository.git("merge-base", "--is-ancestor", person, "main");
    expect(readFileSync(join(repository.path, "person.txt"), "utf8")).toBe("mine\n");
  });

  it("says what to do where a person has left the checkout dirty, and touches nothing of it", async () => {
    await using sandbox = await makeSandbox();
    await using _killed = await leftovers(sandbox, killWithDaemon);
    await sandbox.repository.write("src/app.txt", "in the middle of it\n");
    const refused = await sandbox.mycelium(["resume"]);
    expect(refused.code).toBe(3);
    expect(refused.stdout + refused.stderr).toContain("src/app.txt");
    const file = join(sandbox.repository.path, "src/app.txt");
    expect(readFileSync(file, "utf8")).toBe("in the middle of it\n");
    await sandbox.repository.git("checkout", "--quiet", "--", "src/app.txt");
    expect(await sandbox.mycelium(["resume"])).toMatchObject({ code: 0 });
    await expectAllLandedOnce(sandbox);
  });
});

interface Leftovers extends AsyncDisposable {
  readonly pid: number;
}

/** A failed test must not leave the daemon behind. */
async function leftovers(
  sandbox: Sandbox,
  kill: (sandbox: Sandbox, gate: Gate) => Promise<number>,
): Promise<Leftovers> {
  const pid = await kill(sandbox, gateIn(sandbox, "agent"));
  return {
    pid,
    [Symbol.asyncDispose]: async () => {
      const { endProcessesOf } = await import("../support/marked-processes.ts");
      endProcessesOf(sandbox.home);
    },
  };
}

describe("looking at a run from elsewhere while it is at work", () => {
  it("shows it as it is and does not disturb it", async () => {
    await using sandbox = await makeSandbox();
    const gate = gateIn(sandbox, "agent");
    await using program = await startUntilGate(sandbox, gate);
    await using follower = startProgram(sandbox, ["logs", "follow", "--json", "--lines", "1000"]);
    const status = await sandbox.json(["status"]);
    expect(status).toMatchObject({ status: "running", is_live: true });
    expect(await sandbox.json(["runs", "list"])).toMatchObject({
      runs: [{ run_id: "r1", status: "running", is_live: true }],
    });
    for (const command of ["timeline", "summarize", "failures", "query"]) {
      const { code, stdout } = await sandbox.mycelium(["logs", command]);
      expect({ command, code }).toEqual({ command, code: 0 });
      expect(stdout).not.toBe("");
    }
    const clean = await sandbox.mycelium(["clean", "--force", "--run-id", "r1"]);
    expect(clean.code).toBe(2);
    await gate.open();
    expect(await program.ended).toMatchObject({ code: 0 });
    const followed = await follower.ended;
    expect(followed).toMatchObject({ code: 0 });
    const lines = followed.stdout.trimEnd().split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ ok: true, ended: "run" });
    const seqs = lines.slice(0, -1).map((line) => (JSON.parse(line) as { seq: number }).seq);
    expect(seqs).toEqual(sandbox.events("r1").map(({ seq }) => seq));
    await expectAllLandedOnce(sandbox);
  });
});
