import { z } from "zod";
import { repositoryPathSchema } from "../domain/task.ts";
import { findGlobProblem } from "../lib/globs.ts";
import { branchNameSchema, commandLine, seconds, variableName } from "./scalars.ts";

/** Agents that are built in: nobody else may have their names. */
export const BUILT_IN_AGENTS = ["mock", "echo"] as const;

const RESERVED_RESOURCE = "repo";

const resource = z.strictObject({
  name: z
    .string()
    .max(200)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:@-]*(?:\/[A-Za-z0-9][A-Za-z0-9._:@-]*)*$/, {
      error:
        "letters, digits and . _ : @ - in parts joined by '/', each starting with a letter or digit",
    })
    .refine((name) => name.split("/")[0] !== RESERVED_RESOURCE, {
      error: "`repo` is the name of the whole repository",
    })
    .describe("What tasks name in `locks`. `a` covers `a/b`; `repo` is reserved and covers all."),
  description: z.string().max(10_000).optional().describe("For planners and people."),
  paths: z
    .array(repositoryPathSchema.superRefine(refuseBadGlob))
    .min(1)
    .max(1000)
    .describe("Globs. Whoever changes a file that they match must hold the resource's write lock."),
});

const prices = z
  .strictObject({
    input: price("fresh input tokens"),
    cached_input: price("cached input tokens; as `input` where left out").optional(),
    output: price("output tokens, reasoning included"),
  })
  .describe("For agents that count tokens but name no cost.");

const agent = z.strictObject({
  command: commandLine.describe(
    "Run by `/bin/sh -c` in the workspace. The task's specification comes on standard input.",
  ),
  env: z
    .record(variableName, z.string().max(10_000))
    .default({})
    .describe("Variables to set for it."),
  pass_env: z
    .array(variableName)
    .max(100)
    .default([])
    .describe("Variables of Mycelium's own environment that it gets too; it gets no others."),
  prices: prices.optional(),
  reports_usage: z
    .boolean()
    .default(true)
    .describe(
      "Whether it prints `turn.completed` lines with its usage. A budget in `block` mode refuses " +
        "agents that do not.",
    ),
});

const agentName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, {
    error: "1 to 64 small letters, digits, '-' or '_', starting with a letter or digit",
  })
  .refine((name) => !BUILT_IN_AGENTS.some((builtIn) => builtIn === name), {
    error: `${BUILT_IN_AGENTS.join(" and ")} are built in`,
  });

const budgets = z.strictObject({
  mode: z
    .enum(["warn", "block"])
    .default("warn")
    .describe("Only tell, or stop the attempt in the middle and fail the run."),
  max_tokens_per_task: tokens("one task, all its attempts together"),
  max_tokens_per_run: tokens("the whole run"),
  max_cost_per_task: dollars("one task, all its attempts together"),
  max_cost_per_run: dollars("the whole run"),
});

const workspace = z.strictObject({
  kind: z
    .enum(["local", "sandbox", "docker", "vm"])
    .default("local")
    .describe(
      "Where agents work and gates run. `local`: a folder with a private clone and the user's own " +
        "rights. `sandbox`: namespaces and overlays by bubblewrap, on Linux. `docker`: a container " +
        "with its own user, files and processes. `vm`: a virtual machine, forked live from a booted one.",
    ),
  pass_env: z
    .array(variableName)
    .max(100)
    .default([])
    .describe(
      "Variables of Mycelium's own environment that every command in a workspace gets, gates " +
        "included. `PATH`, `HOME`, `LANG` and `USER` are always there; nothing else is.",
    ),
  network: z
    .enum(["none", "allow"])
    .default("allow")
    .describe("`none` cuts workspaces off, from this machine too; `local` cannot do that."),
  memory_mb: z
    .int()
    .min(16)
    .max(16_777_216)
    .optional()
    .describe("Memory of one workspace, where the kind can hold it."),
  cpus: z
    .number()
    .min(0.01)
    .max(4096)
    .optional()
    .describe("Cores of one workspace; fractions count."),
  disk_mb: z
    .int()
    .min(64)
    .max(16_777_216)
    .optional()
    .describe("What one workspace may write, where the kind can hold it."),
  pids: z.int().min(16).max(4_194_304).optional().describe("Processes of one workspace at once."),
  image: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe(
      "What containers or machines are made of. Default: what `mycelium image build` made last.",
    ),
});

const landing = z.strictObject({
  batch_max: z
    .int()
    .min(1)
    .max(64)
    .default(16)
    .describe("Tasks that one doctor run may prove together. A batch that fails is bisected."),
  strategy: z
    .enum(["squash", "merge"])
    .default("squash")
    .describe("One commit a task, or a merge commit that keeps the agent's own commits."),
  linger_seconds: z
    .number()
    .min(0)
    .max(600)
    .default(5)
    .describe("How long a batch that is not full waits for tasks that are about to finish."),
});

/** The whole of `.mycelium/config.yaml`: only keys that work. */
export const settingsSchema = z.strictObject({
  repo_path: z
    .string()
    .min(1)
    .optional()
    .describe("The repository to work on. Default: the one that holds this file."),
  main_branch: branchNameSchema.describe("The integration branch: where proven work lands."),
  tasks_dir: z
    .string()
    .min(1)
    .default("tasks")
    .describe("Where `plan` writes one folder a task, and `run` reads them."),
  doctor: commandLine.describe(
    "The project's own verification: build and tests. Nothing lands unless it exits with 0 on " +
      "exactly the commit that lands, in a fresh checkout.",
  ),
  lint: commandLine.optional().describe("Run before the doctor, after each attempt."),
  bootstrap: z
    .array(commandLine)
    .max(50)
    .default([])
    .describe("Run once in each fresh checkout, before agents and gates: install dependencies."),
  doctor_timeout: seconds(1800).describe("Seconds for one doctor run."),
  lint_timeout: seconds(600).describe("Seconds for one lint run."),
  bootstrap_timeout: seconds(900).describe("Seconds for each bootstrap command."),
  agent_timeout: seconds(3600).describe("Seconds for one attempt of an agent."),
  max_parallel: z.int().min(1).max(256).default(4).describe("Tasks worked on at once."),
  max_attempts: z
    .int()
    .min(1)
    .max(20)
    .default(3)
    .describe("Tries at one task, of whatever cause, before it fails."),
  resources: z
    .array(resource)
    .max(1000)
    .superRefine(refuseDuplicates)
    .default([])
    .describe("Named parts of the repository that tasks lock."),
  manifest_enforcement: z
    .enum(["off", "warn", "block"])
    .default("warn")
    .describe("What happens to work that changes files its manifest does not allow."),
  auto_rescope: z
    .boolean()
    .optional()
    .describe(
      "Widen the manifest by what was changed and try again, instead of only telling (`warn`) or " +
        "stopping (`block`). Default: true under `warn`, where undeclared changes are expected " +
        "and the wider manifest keeps locks honest; false under `block`, because a block that " +
        "approves what it found blocks nothing.",
    ),
  budgets: budgets.prefault({}),
  planner: z
    .strictObject({
      provider: z
        .enum(["outline", "mock"])
        .default("outline")
        .describe("`outline` reads tasks written out in the plan; `mock` replies what tests set."),
    })
    .prefault({}),
  agent: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .describe(
      "Who works where neither `--agent` nor the manifest says. Without it `run` needs `--agent`.",
    ),
  agents: z
    .record(agentName, agent)
    .default({})
    .describe("Agents that are commands, by name. `mock` and `echo` are built in."),
  workspace: workspace.prefault({}),
  cleanup: z
    .strictObject({
      workspaces: z
        .enum(["on_success", "never"])
        .default("on_success")
        .describe("When the workspaces of finished tasks are removed."),
    })
    .prefault({}),
  landing: landing.prefault({}),
});

export type Settings = z.output<typeof settingsSchema>;
export type AgentSettings = z.output<typeof agent>;
export type ResourceSettings = z.output<typeof resource>;

function price(what: string): z.ZodNumber {
  return z.number().min(0).max(1_000_000).describe(`US dollars for a million ${what}.`);
}

function tokens(what: string): z.ZodOptional<z.ZodInt> {
  return z.int().positive().optional().describe(`Tokens for ${what}.`);
}

function dollars(what: string): z.ZodOptional<z.ZodNumber> {
  return z.number().positive().optional().describe(`US dollars for ${what}.`);
}

function refuseBadGlob(glob: string, context: z.core.$RefinementCtx): void {
  const problem = findGlobProblem(glob);
  if (problem !== null) context.addIssue({ code: "custom", message: `the glob ${problem}` });
}

function refuseDuplicates(
  resources: readonly { readonly name: string }[],
  context: z.core.$RefinementCtx,
): void {
  const seen = new Set<string>();
  for (const [index, { name }] of resources.entries()) {
    if (seen.has(name)) {
      const message = `another resource is named ${name} already`;
      context.addIssue({ code: "custom", path: [index, "name"], message });
    }
    seen.add(name);
  }
}
