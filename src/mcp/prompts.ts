import {
  ProtocolError,
  ProtocolErrorCode,
  type GetPromptResult,
  type ListPromptsResult,
} from "@modelcontextprotocol/server";
import { z } from "zod";

interface PromptDraft {
  readonly description: string;
  readonly arguments: Readonly<Record<string, string>>;
  readonly text: (given: Readonly<Record<string, string>>) => string;
}

const PROMPTS: Readonly<Record<string, PromptDraft>> = {
  "try-in-a-workspace": {
    description: "Try a change in a workspace and show the diff",
    arguments: { task: "What to try" },
    text: ({ task = "" }) =>
      `Make a workspace of this repository with workspace_create (repo "."), do the following in ` +
      `it with exec and file_edit, run its tests, and show what git_diff says. Destroy the ` +
      `workspace only when I have seen it.\n\n${task}`,
  },
  "race-approaches": {
    description: "Try several approaches side by side and keep the best",
    arguments: { task: "What to solve", count: "How many approaches (default 3)" },
    text: ({ task = "", count = "3" }) =>
      `Prepare a golden of this repository with workspace_prepare (repo "."), fork it ${count} ` +
      `times with workspace_fork, try a different approach in each, run the tests in all of them ` +
      `with exec_parallel, compare, and merge the best into one workspace with ` +
      `workspace_merge.\n\n${task}`,
  },
  "fan-out": {
    description: "Cut a job into independent tasks and run them over forks of one golden",
    arguments: { job: "The whole job" },
    text: ({ job = "" }) =>
      `Cut the following job into independent tasks with files of their own. Prepare a golden ` +
      `with workspace_prepare (repo "."), run the tasks over forks of it with swarm_run and ` +
      `merge_strategy "sequential", and report what was merged and what failed.\n\n${job}`,
  },
};

export function listPrompts(): ListPromptsResult {
  const prompts = Object.entries(PROMPTS).map(([name, draft]) => ({
    name,
    description: draft.description,
    arguments: Object.entries(draft.arguments).map(([argument, description], at) => ({
      name: argument,
      description,
      required: at === 0,
    })),
  }));
  return { prompts };
}

const argumentsSchema = z.record(z.string(), z.string().max(100_000));

export function getPrompt(params: {
  readonly name: string;
  readonly arguments?: unknown;
}): GetPromptResult {
  const draft = Object.hasOwn(PROMPTS, params.name) ? PROMPTS[params.name] : undefined;
  if (draft === undefined) throw invalid(`there is no prompt ${JSON.stringify(params.name)}`);
  const given = argumentsSchema.safeParse(params.arguments ?? {});
  if (!given.success) throw invalid("the arguments of a prompt are texts");
  const [required = ""] = Object.keys(draft.arguments);
  if (given.data[required] === undefined) throw invalid(`${required}: is required`);
  const content = { type: "text" as const, text: draft.text(given.data) };
  return { description: draft.description, messages: [{ role: "user", content }] };
}

function invalid(message: string): ProtocolError {
  return new ProtocolError(ProtocolErrorCode.InvalidParams, message);
}
