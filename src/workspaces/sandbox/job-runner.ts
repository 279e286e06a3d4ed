import { readFileSync } from "node:fs";
import { keepJob } from "../job-keeper.ts";
import type { ExecEnding } from "../workspace.ts";
import { enter } from "./enter.ts";
import type { SandboxJobOrder } from "./jobs.ts";
import { homeAt, sandboxAt } from "./layout.ts";
import { limitsOf, readRecord } from "./record.ts";
import { cgroupsOf, findRunning } from "./runtime.ts";

/** The program between a background command in a sandbox and nobody; see `local-job-runner.ts`. */
const order = JSON.parse(readFileSync(0, "utf8")) as SandboxJobOrder;

const ENDED: ExecEnding = { kind: "unstartable", message: "the sandbox ended first" };

await keepJob(order, async (onOutput, stdin) => {
  const layout = sandboxAt(homeAt(order.root), order.id);
  const record = readRecord(layout);
  const running = findRunning(layout);
  if (record === null || running === null) return { ending: ENDED };
  return enter({
    running,
    cgroups: cgroupsOf(layout, record),
    limits: limitsOf(record),
    commandId: order.job,
    command: order.command,
    cwd: order.cwd,
    env: order.env,
    stdin: stdin ?? undefined,
    timeoutMs: order.timeoutMs,
    outputBytesMax: 0,
    onOutput,
  });
});
