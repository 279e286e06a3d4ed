import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { openKept } from "../src/control/kept-at-hand.ts";
import { readEnvironment } from "../src/config/environment.ts";

/**
 * What calling through the server costs above the workspace itself, medians in one run, one after the
 * other: `npm run build && node bench/mcp.ts [KIND]`. Prints one JSON object.
 */
const ROUNDS = 40;
const WARM_UP = 5;
const WIDTH = 20;
const WIDE_ROUNDS = 5;
const TIMEOUT_MS = 120_000;
/** The server's own limits on rates are not what is measured. */
const POLICY = "rates: {exec: {burst: 100000, per_minute: 100000}}\n";

const [kind = "local"] = process.argv.slice(2);
const folder = await mkdtemp(join(tmpdir(), "mycelium-bench-mcp-"));
const home = join(folder, "home");
const env = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: folder, MYCELIUM_HOME: home };
await mkdir(home);
await writeFile(join(home, "sessions.yaml"), POLICY);
const transport = new StdioClientTransport({
  command: process.execPath,
  args: [join(import.meta.dirname, "..", "bin", "mycelium.js"), "mcp", "--kind", kind],
  env,
  cwd: folder,
});
const client = new Client({ name: "bench", version: "1.0.0" });
const figures: Record<string, number[]> = {};

try {
  await client.connect(transport);
  await call("workspace_create", { name: "base" });
  await call("snapshot", { workspace_id: "base", action: "create", name: "s" });
  await call("workspace_fork", { workspace_id: "base", snapshot_name: "s", count: WIDTH });
  const ids = Array.from({ length: WIDTH }, (_, at) => `worker-${at + 1}`);
  const environment = readEnvironment({ variables: env, cwd: folder });
  const kept = openKept({ environment });
  const found = await kept.providers.get(kind)?.find({ id: "base", env: kept.env });
  if (found === null || found === undefined) throw new Error(`there is no ${kind} workspace`);
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    const note = round < 0 ? "warm-up" : null;
    await timed(note ?? "exec, the workspace's own", () =>
      found.exec({ command: "true", timeoutMs: TIMEOUT_MS }),
    );
    await timed(note ?? "exec, through the server", () =>
      call("exec", { workspace_id: "base", command: "true" }),
    );
    await timed(note ?? "a call that runs nothing", () =>
      call("workspace_info", { workspace_id: "base" }),
    );
  }
  const command = "i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done";
  for (let round = 0; round < WIDE_ROUNDS; round += 1) {
    await timed("a small job in one", () => call("exec", { workspace_id: "worker-1", command }));
    await timed(`the same in ${WIDTH}, exec_parallel`, () =>
      call("exec_parallel", { workspace_ids: ids, commands: command }),
    );
    await timed(`the same in ${WIDTH}, one call after the other`, async () => {
      for (const id of ids) await call("exec", { workspace_id: id, command });
    });
  }
  delete figures["warm-up"];
  const medians = Object.entries(figures).map(([name, times]) => [name, median(times)]);
  console.log(
    JSON.stringify({ kind, rounds: ROUNDS, medians_ms: Object.fromEntries(medians) }, null, 2),
  );
  for (const id of ["base", ...ids]) await call("workspace_destroy", { workspace_id: id });
} finally {
  await client.close();
  await rm(folder, { recursive: true, force: true });
}

async function call(name: string, input: object): Promise<void> {
  const answer = await client.callTool({ name, arguments: { ...input } }, { timeout: TIMEOUT_MS });
  if (answer.isError === true) throw new Error(`${name}: ${JSON.stringify(answer.content)}`);
}

async function timed(name: string, work: () => Promise<unknown>): Promise<void> {
  const startedMs = performance.now();
  await work();
  (figures[name] ??= []).push(performance.now() - startedMs);
}

function median(times: readonly number[]): number {
  const sorted = times.toSorted((one, other) => one - other);
  return Number((sorted[Math.floor(sorted.length / 2)] ?? 0).toFixed(2));
}
