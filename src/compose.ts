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
import { configureProvider, type WorkspaceSettings } from "./workspaces/configured.ts";
import { createLocalProvider } from "./workspaces/local.ts";
import { createVmProvider } from "./workspaces/vm.ts";
import type { WorkspaceProvider } from "./workspaces/workspace.ts";
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
    provider: configureProvider(
      composeProvider(environment, request.workspaceKind ?? config.workspace.kind),
      workspaceSettings(config),
    ),
    agents: (name) => composeAgent(environment, config, name),
    workEnv: workEnvironment(environment),
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

export function composeProvider(environment: Environment, kind: string): WorkspaceProvider {
  const root = join(environment.home, "workspaces");
  if (kind === "local") return createLocalProvider({ root });
  if (kind === "vm") return createVmProvider({ root, cacheDir: join(environment.cache, "vm") });
  throw new Refusal("workspace-unavailable", `there is no kind of workspace called ${kind}`, {
    hint: "the kinds in this version are local and vm",
  });
}

/**
 * Workspaces of whatever kind, to look for and to remove: all kinds keep a folder for each in one
 * place. Making one takes a kind.
 */
export function composeAnyProvider(environment: Environment): WorkspaceProvider {
  const local = composeProvider(environment, "local");
  const vm = composeProvider(environment, "vm");
  return {
    ...local,
    find: async (request) => (await vm.find(request)) ?? local.find(request),
    endLeftovers: async (id) => (await vm.endLeftovers(id)) + (await local.endLeftovers(id)),
    remove: async (id) => {
      await local.endLeftovers(id);
      await vm.remove(id);
      await local.remove(id);
    },
  };
}

function workspaceSettings({ workspace }: Config): WorkspaceSettings {
  const { cpus, memory_mb: memoryMb, disk_mb: diskMb, pids, network, image } = workspace;
  return { limits: { cpus, memoryMb, diskMb, pids }, network, image };
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
  const passed = settings.pass_env.map((variable): [string, string] => {
    const value = environment.lookup(variable);
    if (value !== undefined) return [variable, value];
    throw new Refusal("agent-misconfigured", `agent ${name} needs ${variable}, which is not set`, {
      hint: `export ${variable}, or take it out of pass_env`,
    });
  });
  return createCommandAgent({
    name,
    command: settings.command,
    env: { ...settings.env, ...Object.fromEntries(passed) },
    reportsUsage: settings.reports_usage,
  });
}

/** What commands in a workspace get of the user's environment: enough to find programs. */
function workEnvironment(environment: Environment): Readonly<Record<string, string>> {
  return {
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
