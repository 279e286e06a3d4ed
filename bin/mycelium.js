#!/usr/bin/env node
// Plain JavaScript that any Node since 18 can read: it only finds one that is new enough.
import { existsSync } from "node:fs";
import module from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_VERSION_MIN = 24;
/** For asking another Node for its version. */
const ASKING = { timeout: 10_000, stdio: ["ignore", "pipe", "ignore"] };
const program = new URL("../dist/cli/main.js", import.meta.url);

if (isNewEnough(process.versions.node)) {
  module.enableCompileCache();
  await import(program.href);
} else {
  const node = await findNode();
  if (node !== undefined) {
    await runWith(node);
  } else {
    process.stderr.write(
      `mycelium needs Node ${NODE_VERSION_MIN} or newer; this is ${process.versions.node}.\n` +
        "  Next: install it from https://nodejs.org, or run `npm install node@24` where mycelium is\n" +
        "  installed, which brings one for this project alone.\n",
    );
    process.exitCode = 2;
  }
}

function isNewEnough(version) {
  return Number(version.split(".")[0]) >= NODE_VERSION_MIN;
}

/** That of the package `node`, installed in mycelium's own folder, beside it, or further up. */
async function findNode() {
  const { execFileSync } = await import("node:child_process");
  const folders = module.createRequire(import.meta.url).resolve.paths("node") ?? [];
  const nodes = folders.map((folder) => join(folder, "node/bin/node"));
  return nodes.find((node) => {
    if (!existsSync(node)) return false;
    try {
      return isNewEnough(execFileSync(node, ["-p", "process.versions.node"], ASKING).toString());
    } catch {
      return false;
    }
  });
}

/** Becomes the same program under another Node, as far as whoever started it can tell. */
async function runWith(node) {
  const { spawn } = await import("node:child_process");
  const script = fileURLToPath(import.meta.url);
  const child = spawn(node, [script, ...process.argv.slice(2)], { stdio: "inherit" });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  const forward = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, forward);
  child.on("error", (error) => {
    process.stderr.write(`mycelium could not start ${node}: ${error.message}\n`);
    process.exitCode = 2;
  });
  child.on("exit", (code, signal) => {
    for (const name of signals) process.off(name, forward);
    if (signal === null) process.exitCode = code;
    else process.kill(process.pid, signal);
  });
}
