import type { Agent } from "./agents/agent.ts";
import { createCommandAgent } from "./agents/command.ts";
import { createEchoAgent } from "./agents/echo.ts";
import { createMockAgent } from "./agents/mock.ts";
import type { Environment } from "./config/environment.ts";
import type { Config } from "./config/resolve.ts";
import { Refusal } from "./domain/failure.ts";
import { NO_USAGE } from "./domain/usage.ts";
import { openRepository, type Repository } from "./git/repository.ts";
import type { Clock } from "./lib/clock.ts";
import { createMockPlanner } from "./planning/mock-planner.ts";
import { createOutlinePlanner } from "./planning/outline-planner.ts";
import type { Planner } from "./planning/planner.ts";
import { findersOf } from "./workspaces/all-kinds.ts";
import { createDockerProvider } from "./workspaces/docker/docker.ts";
import { readEngineAddress } from "./workspaces/docker/engine-address.ts";
import { openEngine } from "./workspaces/docker/engine.ts";
import {
  buildImage,
  DEFAULT_IMAGE,
  type BuiltImage,
  type ImageRequest,
} from "./workspaces/images/build-image.ts";
import { buildMachineImage } from "./workspaces/images/build-machine-image.ts";
import { createLocalProvider } from "./workspaces/local.ts";
import type { LastingProvider } from "./workspaces/lasting-workspace.ts";
import { createSandboxProvider } from "./workspaces/sandbox.ts";
import { createVmProvider } from "./workspaces/vm.ts";
import { withSettings } from "./workspaces/with-settings.ts";
import type { WorkspaceFinder, WorkspaceKind, WorkspaceProvider } from "./workspaces/workspace.ts";
import { existsSync } from "node:fs";
import { join } from "node:path";

/**
 * The one place that names concrete adapters: the lists below are the agents, the kinds of
 * workspaces and the planners that there are.
 */
export interface Composition {
  readonly repository: Repository;
  readonly provider: WorkspaceProvider;
  readonly agents: (name: string) => Agent;
  readonly workEnv: Readonly<Record<string, string>>;
}

export interface CompositionRequest {
  readonly environment: Environment;
  readonly config: Config;
  readonly clock: Clock;
  /** As `--workspace` says; the configuration's kind where it is left out. */
  readonly workspaceKind?: string | undefined;
}

export async function compose(request: CompositionRequest): Promise<Composition> {
  const { environment, config, clock } = request;
  return {
    repository: await openRunRepository(environment, config, clock),
    provider: composeProvider(environment, config, request.workspaceKind ?? config.workspace.kind),
    agents: (name) => composeAgent(environment, config, name),
    workEnv: workEnvironment(environment, config),
  };
}

export async function openRunRepository(
  environment: Environment,
  config: Config,
  clock: Clock,
): Promise<Repository> {
  const env = { PATH: environment.path, HOME: environment.userHome };
  return openRepository({ path: config.repo_path, env, clock });
}

function composeProvider(
  environment: Environment,
  { workspace }: Config,
  kind: string,
): WorkspaceProvider {
  const make = kindsOf(environment).get(kind as WorkspaceKind);
  if (make === undefined) {
    throw new Refusal("workspace-unavailable", `there is no kind of workspace called ${kind}`, {
      hint: `there are ${[...kindsOf(environment).keys()].join(", ")}`,
    });
  }
  const { cpus, memory_mb: memoryMb, disk_mb: diskMb, pids, network, image } = workspace;
  return withSettings(make(), { limits: { cpus, memoryMb, diskMb, pids }, network, image });
}

/** Workspaces of every kind that this home has had. */
export function composeFinder(environment: Environment): WorkspaceFinder {
  const kinds = [...kindsOf(environment)].filter(
    ([kind]) => kind !== "docker" || existsSync(join(environment.home, kind)),
  );
  return findersOf(kinds.map(([, make]) => make()));
}

/** The kinds of workspaces that there are, by name. */
export function composeProviders(
  environment: Environment,
): ReadonlyMap<WorkspaceKind, LastingProvider> {
  return new Map([...kindsOf(environment)].map(([kind, make]) => [kind, make()]));
}

function kindsOf(environment: Environment): ReadonlyMap<WorkspaceKind, () => LastingProvider> {
  return new Map([
    ["local", () => localOf(environment)],
    ["sandbox", () => sandboxOf(environment)],
    ["docker", () => dockerOf(environment)],
    ["vm", () => vmOf(environment)],
  ]);
}

function localOf({ home }: Environment): LastingProvider {
  const snapshots = join(home, "snapshots", "local");
  return createLocalProvider({ root: join(home, "workspaces"), snapshots });
}

function sandboxOf({ home }: Environment): LastingProvider {
  return createSandboxProvider({ root: join(home, "sandboxes") });
}

function vmOf({ home, cache }: Environment): LastingProvider {
  return createVmProvider({
    root: join(home, "vms"),
    snapshots: join(home, "snapshots", "vm"),
    cacheDir: join(cache, "vm"),
  });
}

function dockerOf(environment: Environment): LastingProvider {
  return createDockerProvider({
    root: join(environment.home, "docker"),
    address: () => readEngineAddress(environment.lookup("DOCKER_HOST")),
    image: DEFAULT_IMAGE,
    gitEnvironment: { PATH: environment.path },
  });
}

const IMAGE_TOOL_TIMEOUT_MS = 1_800_000;

export type ImageBuilder = (request: Pick<ImageRequest, "from" | "include">) => Promise<BuiltImage>;

/** For each kind that is made of an image. */
export function composeImageBuilders(
  environment: Environment,
): Readonly<Record<"docker" | "vm", ImageBuilder>> {
  const address = () => readEngineAddress(environment.lookup("DOCKER_HOST"));
  const tools = { path: environment.path, timeoutMs: IMAGE_TOOL_TIMEOUT_MS };
  return {
    docker: (request) => buildImage({ ...request, engine: openEngine(address()), tools }),
    vm: (request) => buildMachineImage({ ...request, cacheDir: join(environment.cache, "vm") }),
  };
}

function composeAgent(environment: Environment, config: Config, name: string): Agent {
  if (name === "mock") return createMockAgent({ usage: environment.mockUsage ?? NO_USAGE });
  if (name === "echo") return createEchoAgent();
  const settings = config.agents.get(name);
  if (settings === undefined) {
    const known = ["mock", "echo", ...config.agents.keys()].join(", ");
    throw new Refusal("agent-unknown", `there is no agent called ${name}`, {
      hint: `describe it under \`agents\` in ${config.file}; known are ${known}`,
    });
  }
  return createCommandAgent({
    name,
    command: settings.command,
    env: { ...settings.env, ...passOn(environment, settings.pass_env, `agent ${name}`) },
    reportsUsage: settings.reports_usage,
  });
}

/** Fail closed: a variable that somebody counts on and that is not set is an error, not an absence. */
function passOn(
  environment: Environment,
  names: readonly string[],
  who: string,
): Readonly<Record<string, string>> {
  const passed = names.map((name): [string, string] => {
    const value = environment.lookup(name);
    if (value !== undefined) return [name, value];
    throw new Refusal("config-invalid", `${who} needs ${name}, which is not set`, {
      hint: `export ${name}, or take it out of pass_env`,
    });
  });
  return Object.fromEntries(passed);
}

/** What commands in a workspace get of the user's environment: enough to find programs. */
function workEnvironment(
  environment: Environment,
  config: Config,
): Readonly<Record<string, string>> {
  return {
    ...passOn(environment, config.workspace.pass_env, "every workspace"),
    PATH: environment.path,
    HOME: environment.userHome,
    ...(environment.lang !== null && { LANG: environment.lang }),
    ...(environment.user !== null && { USER: environment.user }),
  };
}

export function composePlanner(environment: Environment, config: Config): Planner {
  const mock = environment.mockLlm || config.planner.provider === "mock";
  return mock ? createMockPlanner(environment) : createOutlinePlanner();
}
