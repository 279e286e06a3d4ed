import { describe, expect, test } from "vitest";
import { makeSandbox } from "../../support/cli.ts";
import { WORKSPACE_KINDS } from "../../../src/workspaces/workspace.ts";
import { probeSandbox } from "../../../src/workspaces/sandbox/probe.ts";
import { emptiedDockerHome } from "../../support/docker-rig.ts";
import { connectMcp } from "../../support/mcp-client.ts";
import { VM_CACHE } from "../../support/vm-rig.ts";
import { countSteps, whatFailed, type Kind, type Stage } from "./driver.ts";
import { cleanup } from "./phases/cleanup.ts";
import { exec } from "./phases/exec.ts";
import { files } from "./phases/files.ts";
import { git } from "./phases/git.ts";
import { lifecycle } from "./phases/lifecycle.ts";
import { network } from "./phases/network.ts";
import { adopt, parallel, prepare, setEnv } from "./phases/orchestration.ts";
import { swarm } from "./phases/swarm.ts";
import { swarmLife } from "./phases/swarm-life.ts";
import { teams } from "./phases/teams.ts";
import { snapshots } from "./phases/snapshots.ts";

const TIMEOUT_MS = 900_000;
/** So that none gets lost without a word. */
const STEPS_MIN = 148;

const PHASES = [
  lifecycle,
  exec,
  files,
  network,
  git,
  snapshots,
  setEnv,
  prepare,
  parallel,
  swarm,
  teams,
  swarmLife,
  adopt,
  cleanup,
];

/**
 * All kinds where no suite may skip, otherwise those that need nothing to be installed;
 * `MYCELIUM_MCP_KINDS=docker,vm` has others walk the same steps.
 */
const { kind: sandboxes } = await probeSandbox();
const isWhole = process.env["MYCELIUM_REQUIRE_ALL"] === "1";
const BY_DEFAULT = sandboxes === "available" ? "local,sandbox" : "local";
const KINDS = (
  process.env["MYCELIUM_MCP_KINDS"] ?? (isWhole ? WORKSPACE_KINDS.join(",") : BY_DEFAULT)
).split(",") as readonly Kind[];

describe.each(KINDS)("the steps of the design, on %s workspaces", (kind) => {
  test("pass, each of them", { timeout: TIMEOUT_MS }, async () => {
    await using sandbox = await makeSandbox();
    // Containers are made of an image: of this machine's own files, once and then found again.
    const isDocker = kind === "docker";
    await using _emptied = isDocker ? emptiedDockerHome(sandbox.home) : null;
    if (isDocker) await sandbox.json(["image", "build", "--from", "host"]);
    const env: Record<string, string> = kind === "vm" ? { MYCELIUM_CACHE: VM_CACHE } : {};
    await using mcp = await connectMcp(sandbox, { args: ["--kind", kind], env });
    const isLocal = kind === "local";
    const stage: Stage = {
      sandbox,
      mcp,
      kind,
      at: (text) => (isLocal ? text.replaceAll("/workspace", ".") : text),
      hostname: isLocal ? "echo $HOSTNAME" : "hostname",
      primary: "primary",
      golden: null,
      forks: [],
    };
    const steps = countSteps();
    for (const phase of PHASES) await phase(stage, steps);
    expect(whatFailed(steps.reports)).toEqual([]);
    expect(steps.reports.length).toBeGreaterThanOrEqual(STEPS_MIN);
  });
});
