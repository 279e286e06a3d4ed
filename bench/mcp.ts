import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { openKept } from "../src/control/kept-at-hand.ts";
import { readEnvironment } from "../src/config/environment.ts";
import type { LastingWorkspace } from "../src/workspaces/lasting-workspace.ts";
import type { WorkspaceKind } from "../src/workspaces/workspace.ts";
import { startStopwatch, succeed, type Samples, type Stopwatch } from "./workspaces/stopwatch.ts";

export const WIDTH = 20;

const CALLS_A_ROUND = 8;
const WARM_UP = 5;
const TIMEOUT_MS = 120_000;
/** The server's own limits on rates are not what is measured. */
const POLICY = "rates: {exec: {burst: 100000, per_minute: 100000}}\n";
/** One that leaves the processors alone, and one that is bound by them. */
const JOBS = {
  waits: "sleep 0.2",
  computes: "i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done",
} as const;

export interface CallsRequest {
  readonly kind: WorkspaceKind;
  readonly rounds: number;
  readonly path: string;
  readonly progress: (what: string) => void;
}

type Call = (name: string, input: object) => Promise<void>;

/**
 * What calling through the server costs above the workspace itself, and jobs in many workspaces
 * beside one. Needs the built program.
 */
export async function measureCalls({
  kind,
  rounds,
  path,
  progress,
}: CallsRequest): Promise<Samples> {
  const folder = await mkdtemp(join(tmpdir(), "mycelium-bench-mcp-"));
  const home = join(folder, "home");
  const env = { PATH: path, HOME: folder, MYCELIUM_HOME: home };
  await mkdir(home);
  await writeFile(join(home, "sessions.yaml"), POLICY);
  const program = join(import.meta.dirname, "..", "bin", "mycelium.js");
  const command = { command: process.execPath, args: [program, "mcp", "--kind", kind] };
  const client = new Client({ name: "bench", version: "1.0.0" });
  const call: Call = async (name, input) => {
    const request = { name, arguments: { ...input } };
    const answer = await client.callTool(request, { timeout: TIMEOUT_MS });
    if (answer.isError === true) throw new Error(`${name}: ${JSON.stringify(answer.content)}`);
  };
  try {
    await client.connect(new StdioClientTransport({ ...command, env, cwd: folder }));
    await call("workspace_create", { name: "base" });
    await call("snapshot", { workspace_id: "base", action: "create", name: "s" });
    await call("workspace_fork", { workspace_id: "base", snapshot_name: "s", count: WIDTH });
    const ids = Array.from({ length: WIDTH }, (_, at) => `worker-${at + 1}`);
    const kept = openKept({ environment: readEnvironment({ variables: env, cwd: folder }) });
    const found = await kept.providers.get(kind)?.find({ id: "base", env: kept.env });
    if (found === null || found === undefined) throw new Error(`there is no ${kind} workspace`);
    await measureOne(startStopwatch(), { found, call, count: WARM_UP });
    const watch = startStopwatch();
    for (let round = 1; round <= rounds; round += 1) {
      progress(`calls to ${kind}, round ${round} of ${rounds}`);
      await measureOne(watch, { found, call, count: CALLS_A_ROUND });
      await measureMany(watch, ids, call);
    }
    for (const id of ["base", ...ids]) await call("workspace_destroy", { workspace_id: id });
    return watch.samples;
  } finally {
    await client.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureOne(
  watch: Stopwatch,
  {
    found,
    call,
    count,
  }: { readonly found: LastingWorkspace; readonly call: Call; readonly count: number },
): Promise<void> {
  for (let at = 0; at < count; at += 1) {
    await watch.timed("exec, the workspace's own", () => succeed(found));
    await watch.timed("exec, through the server", () =>
      call("exec", { workspace_id: "base", command: "true" }),
    );
    await watch.timed("a call that runs nothing", () =>
      call("workspace_info", { workspace_id: "base" }),
    );
  }
}

async function measureMany(watch: Stopwatch, ids: readonly string[], call: Call): Promise<void> {
  for (const [job, command] of Object.entries(JOBS)) {
    const [first] = ids;
    await watch.timed(`one that ${job}`, () => call("exec", { workspace_id: first, command }));
    await watch.timed(`many that ${job}`, () =>
      call("exec_parallel", { workspace_ids: ids, commands: command }),
    );
  }
}
