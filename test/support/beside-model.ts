import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readFileSync } from "node:fs";
import { serveModel, type StandInModelOptions } from "./stand-in-model.ts";

/**
 * Runs a program beside a stand-in model, in one network namespace with it:
 *
 *     node beside-model.ts SCRIPT LOG PROGRAM ARGUMENTS...
 *
 * SCRIPT holds the calls and the farewell as JSON; LOG gets a line of JSON for each request. The
 * program finds the model in `ANTHROPIC_BASE_URL`, and as its proxy for every other address.
 */
const [scriptFile = "", logFile = "", program = "", ...args] = process.argv.slice(2);
const script = JSON.parse(readFileSync(scriptFile, "utf8")) as Omit<
  StandInModelOptions,
  "onRequest"
>;
const model = await serveModel({
  ...script,
  onRequest: (request) => appendFileSync(logFile, `${JSON.stringify(request)}\n`),
});
const child = spawn(program, args, {
  stdio: ["ignore", "inherit", "inherit"],
  env: {
    ...process.env,
    ANTHROPIC_BASE_URL: model.url,
    HTTP_PROXY: model.url,
    HTTPS_PROXY: model.url,
    NO_PROXY: "127.0.0.1,localhost",
  },
});
const [code] = (await once(child, "exit")) as [number | null];
await model.close();
process.exitCode = code ?? 1;
