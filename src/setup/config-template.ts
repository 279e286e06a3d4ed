import { escapeReferences } from "../config/expand.ts";
import { formatYamlString } from "../lib/yaml.ts";
import type { GuessedCommands } from "./guess-commands.ts";

export interface TemplateValues extends GuessedCommands {
  /** The current branch; `null` where there is none. */
  readonly branch: string | null;
}

/** A commented configuration. What nobody could guess stays commented out, so that it is asked for. */
export function renderConfig(values: TemplateValues): string {
  return `# How Mycelium works on this repository. Its docs/configuration.md has every key; any other is an
# error. \${NAME} stands for an environment variable, $\${ for a literal \${.

# The integration branch: where proven work lands, one commit a task.
${renderBranch(values.branch)}

# The project's own verification: its build and its tests. Nothing lands unless this exits with 0 on
# exactly the commit that lands, in a fresh checkout.
${renderDoctor(values.doctor)}

# Run before the doctor, after each attempt.
${values.lint === null ? "# lint: npm run lint" : `# lint: ${quote(values.lint)}`}

# Run once in each fresh checkout, before agents and gates: install dependencies here.
${renderBootstrap(values.bootstrap)}

# Tasks worked on at once, and tries at each before it fails.
max_parallel: 4
max_attempts: 3

# Parts of the repository that only one task at a time may change. Tasks name them in \`locks\`.
# resources:
#   - name: database
#     paths: ["migrations/**"]

# Work that changes files its manifest does not allow: off, warn (the manifest is widened and the
# task tried again), or block (the run stops).
manifest_enforcement: warn

# What agents may use. warn only tells; block stops the attempt in the middle and fails the run.
budgets:
  mode: warn
  # max_tokens_per_task: 500000
  # max_cost_per_run: 20

# Who does the work: any command. The specification comes on standard input and as a file.
# agent: command
# agents:
#   command:
#     command: my-agent
#     pass_env: [MY_AGENT_KEY]
`;
}

function renderBranch(branch: string | null): string {
  if (branch !== null) return `main_branch: ${quote(branch)}`;
  return "# No branch is checked out, so name it here: this is required.\n# main_branch: main";
}

function renderDoctor(doctor: string | null): string {
  if (doctor !== null) return `doctor: ${quote(doctor)}`;
  return (
    "# Nothing here suggested a command, so write it yourself: this is required, because without it\n" +
    "# nothing could be proven.\n# doctor: npm test"
  );
}

function renderBootstrap(commands: readonly string[]): string {
  if (commands.length === 0) return "# bootstrap:\n#   - npm ci";
  return ["bootstrap:", ...commands.map((command) => `  - ${quote(command)}`)].join("\n");
}

function quote(text: string): string {
  return formatYamlString(escapeReferences(text));
}
