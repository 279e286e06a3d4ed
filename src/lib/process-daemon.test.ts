import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { endIdentified, processIdentity, startDaemon, type DaemonRequest } from "./process.ts";
import { findProcess } from "./process-table.ts";

/** Says its pid, waits for a line, says what it got, and stays. */
const WAITS = 'echo "pid $$ "; read -r line || exit 3; echo "got $line"; exec sleep 600';
const PID = /pid (\d+) /;

async function start(
  script: string,
  more: Partial<DaemonRequest>,
): Promise<Awaited<ReturnType<typeof startDaemon>>> {
  const folder = await temporaryFolder();
  onTestFinished(() => folder[Symbol.asyncDispose]());
  const started = await startDaemon({
    command: ["/bin/sh", "-c", script],
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    logPath: join(folder.path, "log"),
    isReady: (said) => said.includes("got "),
    timeoutMs: 60_000,
    ...more,
  });
  if (started.ok) {
    const identity = processIdentity(started.pid) ?? "gone";
    onTestFinished(async () => void (await endIdentified(started.pid, identity)));
  }
  return started;
}

test("a program goes on when what it waits for was arranged", async () => {
  const begun: string[] = [];
  const started = await start(WAITS, {
    arrange: (said) => {
      const pid = PID.exec(said)?.[1];
      if (pid === undefined) return null;
      begun.push(pid);
      return Promise.resolve(null);
    },
  });
  if (!started.ok) throw new Error(started.message);
  expect(started.said).toBe(`pid ${started.pid} \ngot go\n`);
  expect(begun).toEqual([String(started.pid)]);
  expect(findProcess(started.pid)).not.toBeNull();
});

test("one that does not wait is not ready before everything is arranged", async () => {
  const events: string[] = [];
  const started = await start('echo "got impatient"; exec sleep 600', {
    arrange: () => {
      events.push("begun");
      return new Promise((resolve) => {
        setImmediate(() => {
          events.push("arranged");
          resolve(null);
        });
      });
    },
    isReady: () => {
      events.push("asked whether it is ready");
      return true;
    },
  });
  expect(started).toMatchObject({ ok: true });
  expect(events).toEqual(["begun", "arranged", "asked whether it is ready"]);
});

test("one for which something cannot be arranged is ended, and says why", async () => {
  let pid = 0;
  const started = await start(WAITS, {
    arrange: (said) => {
      pid = Number(PID.exec(said)?.[1]);
      return Promise.resolve("there is no room");
    },
  });
  expect(started).toEqual({ ok: false, message: "there is no room" });
  expect(pid).toBeGreaterThan(0);
  await eventually("it is gone", () => findProcess(pid) === null);
});

test("a bug in the arranging is thrown, and the program does not stay", async () => {
  let pid = 0;
  const starting = start(WAITS, {
    arrange: (said) => {
      pid = Number(PID.exec(said)?.[1]);
      return Promise.reject(new TypeError("a bug"));
    },
  });
  await expect(starting).rejects.toThrow("a bug");
  await eventually("it is gone", () => findProcess(pid) === null);
});
