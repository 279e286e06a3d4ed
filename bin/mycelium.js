#!/usr/bin/env node
// Plain JavaScript that any Node since 18 can read: it only finds one that is new enough.
import { existsSync } from "node:fs";
import module from "node:module";
import { fileURLToPath } from "node:url";

const NODE_VERSION_MIN = 24;
const program = new URL("../dist/cli/main.js", import.meta.url);
const ownNode = fileURLToPath(new URL("../node_modules/node/bin/node", import.meta.url));

if (Number(process.versions.node.split(".")[0]) >= NODE_VERSION_MIN) {
  module.enableCompileCache();
  await import(program.href);
} else if (existsSync(ownNode)) {
  await runWith(ownNode);
} else {
  process.stderr.write(
    `mycelium needs Node ${NODE_VERSION_MIN} or newer; this is ${process.versions.node}.\n` +
      "  Next: install it from https://nodejs.org, or run `npm install node@24` where mycelium is\n" +
      "  installed, which brings one that only mycelium uses.\n",
  );
  process.exitCode = 2;
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
