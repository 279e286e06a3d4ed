import { z } from "zod";
import { describeConfig } from "../src/config/describe.ts";
import { EVENT_PAYLOADS, EVENT_TYPES, EVENT_VERSION, eventSchema } from "../src/domain/event.ts";
import { manifestSchema } from "../src/domain/task.ts";

export interface GeneratedDocument {
  /** From the top of the repository. */
  readonly path: string;
  readonly content: string;
}

/** Everything in the repository that is made from schemas, so that it cannot go stale. */
export function generateDocuments(): readonly GeneratedDocument[] {
  return [
    { path: "docs/configuration.md", content: configurationPage() },
    { path: "schemas/event.schema.json", content: formatJson(describeEvents()) },
    { path: "schemas/manifest.schema.json", content: formatJson(describeManifest()) },
  ];
}

/** One alternative an event type, each with the payload of that type. */
function describeEvents(): object {
  const [first, ...rest] = EVENT_TYPES.map((type) =>
    eventSchema.extend({ type: z.literal(type), payload: EVENT_PAYLOADS[type] }),
  );
  if (first === undefined) throw new Error("there are no event types");
  return {
    ...z.toJSONSchema(z.discriminatedUnion("type", [first, ...rest])),
    title: "Mycelium event",
    description: `One line of orchestrator.jsonl or events.jsonl, version ${EVENT_VERSION}.`,
  };
}

/** As people write it: what has a default may be left out. */
function describeManifest(): object {
  return {
    ...z.toJSONSchema(manifestSchema, { io: "input" }),
    title: "Mycelium task manifest",
    description: "One manifest.json in each task's folder.",
  };
}

function formatJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function configurationPage(): string {
  return `# Configuration

<!-- Made from src/config/schema.ts by \`node scripts/generate-docs.ts\`. Do not edit. -->

\`mycelium init\` writes \`.mycelium/config.yaml\` with comments. Mycelium reads the file that \`--config\`
names, else the one in the repository that holds the current folder. It is YAML 1.2, so JSON will do.

- Only the keys below exist: any other is an error that names it, with its line.
- Relative paths start at the file's own folder.
- \`\${NAME}\` in a string stands for an environment variable, and one that is not set is an error.
  \`$\${\` and \`\\\${\` stand for a literal \`\${\`; a bare \`$NAME\` is left to the shell.
- \`NAME\` in a key stands for a name of your own, \`[]\` for each item of a list.

## Keys

${describeConfig()}

## Example

\`\`\`yaml
main_branch: main
doctor: npm test
bootstrap:
  - npm ci
max_parallel: 8
resources:
  - name: database
    paths: ["migrations/**", "src/database/**"]
budgets:
  mode: block
  max_tokens_per_run: 5000000
agent: command
agents:
  command:
    command: my-agent --read-task-from-stdin
    pass_env: [MY_AGENT_KEY]
\`\`\`

## Environment

| Variable               | Meaning                                                                     |
| ---------------------- | --------------------------------------------------------------------------- |
| \`MYCELIUM_HOME\`        | Mycelium's own folder; \`--home\` wins. Default: \`~/.mycelium\`                |
| \`MYCELIUM_CACHE\`       | Images and booted machines. Default: \`cache\` in \`MYCELIUM_HOME\`             |
| \`MYCELIUM_VAULT\`       | The folder with the shared notes. Default: \`vault\` in \`MYCELIUM_HOME\`       |
| \`MYCELIUM_MERGE_MB\`    | MiB that one workspace's commits may have to be merged, 1 to 1024 (128)     |
| \`MOCK_LLM\`             | \`1\`: the mock planner and the mock agent, where nothing else is asked for   |
| \`MOCK_LLM_OUTPUT_PATH\` | A file with the mock model's reply                                          |
| \`MOCK_LLM_OUTPUT\`      | The reply itself; wins over the file                                        |
| \`MOCK_CODEX_USAGE\`     | JSON: the usage that the mock agent reports, such as \`{"input_tokens": 50}\` |
| \`NO_COLOR\`             | Set to anything: no colours                                                 |
`;
}
