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
import { createLocalProvider } from "./workspaces/local.ts";
import { createSandboxProvider } from "./workspaces/sandbox.ts";
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
    provider: composeProvider(environment, {
      ...config.workspace,
      kind: request.workspaceKind ?? config.workspace.kind,
    }),
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

type WorkspaceSettings = Omit<Config["workspace"], "kind"> & { readonly kind: string };

/** A provider whose workspaces are made as the settings say, where a request does not. */
export function composeProvider(
  environment: Environment,
  settings: WorkspaceSettings,
): WorkspaceProvider {
  const provider = providerOf(environment, settings.kind);
  const { network, memory_mb: memoryMb, cpus, pids } = settings;
  const defaults = { network, limits: { memoryMb, cpus, pids } };
  return { ...provider, create: (request) => provider.create({ ...defaults, ...request }) };
}

/** For what concerns the workspaces of all kinds: an id is looked for in one after the other. */
export function composeEveryProvider(environment: Environment): Cleanable {
  const providers = KINDS.map((kind) => providerOf(environment, kind));
  return {
    list: async () => (await Promise.all(providers.map((provider) => provider.list()))).flat(),
    find: async (request) => {
      for (const provider of providers) {
        const found = await provider.find(request);
        if (found !== null) return found;
      }
      return null;
    },
    remove: async (id) => {
      for (const provider of providers) await provider.remove(id);
    },
  };
}

type Cleanable = Pick<WorkspaceProvider, "list" | "find" | "remove">;

const KINDS = ["local", "sandbox"] as const;

function providerOf(environment: Environment, kind: string): WorkspaceProvider {
  const { home } = environment;
  if (kind === "local") return createLocalProvider({ root: join(home, "workspaces") });
  if (kind === "sandbox") return createSandboxProvider({ root: join(home, "sandboxes") });
  throw new Refusal("workspace-unavailable", `there is no kind of workspace called ${kind}`, {
    hint: `kinds in this version: ${KINDS.join(", ")}`,
  });
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
