import { readFileSync } from "node:fs";
import { runProcess } from "../lib/process.ts";
import { keepJob } from "./job-keeper.ts";
import type { LocalJobOrder } from "./job-order.ts";

/**
 * The program between a background command and nobody: it outlives Mycelium, keeps the command's
 * output in files, holds it to its time and writes down how it ended.
 */
const order = JSON.parse(readFileSync(0, "utf8")) as LocalJobOrder;
await keepJob(order, (onOutput, stdin) =>
  runProcess({
    command: order.command,
    cwd: order.cwd,
    env: order.env,
    ...(stdin !== null && { stdin }),
    timeoutMs: order.timeoutMs,
    outputBytesMax: 0,
    onOutput,
    marker: order.marker,
  }),
);
