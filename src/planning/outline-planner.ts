import { extname } from "node:path";
import { Refusal, type Result } from "../domain/failure.ts";
import { checkShape, listProblems, type Checked, type Problem } from "../domain/problem.ts";
import type { TaskDefinition } from "../domain/task.ts";
import { parseYaml } from "../lib/yaml.ts";
import { readOutline, type OutlineSection } from "./markdown-outline.ts";
import type { Planner, PlanRequest } from "./planner.ts";
import { checkReply, proposalSchema, replyOf } from "./proposal.ts";

const NAME_CHARACTERS_MAX = 200;

/**
 * Takes tasks that are written out in the plan itself; no model. A Markdown plan has a `## ` heading
 * a task, optionally a fenced `yaml` block with manifest fields directly under it, and the
 * specification below. A `.json`, `.yaml` or `.yml` plan is the value `{"tasks": […]}` itself.
 */
export function createOutlinePlanner(): Planner {
  return { name: "outline", propose: async (request) => readPlan(request) };
}

function readPlan(request: PlanRequest): Result<unknown> {
  const isValue = [".json", ".yaml", ".yml"].includes(extname(request.planPath).toLowerCase());
  const tasks = isValue ? readValue(request.plan) : readMarkdown(request.plan);
  if (tasks.ok) return { ok: true, value: replyOf(tasks.value) };
  return refuse(request, tasks.problems);
}

function readValue(plan: string): Checked<readonly TaskDefinition[]> {
  const parsed = parseYaml(plan);
  if (parsed.ok) return checkReply(parsed.value, parsed.lineOf);
  const { message, line } = parsed;
  const problem = { path: "(file)", line: line ?? undefined, problem: message, hint: null };
  return { ok: false, problems: [problem] };
}

function readMarkdown(plan: string): Checked<readonly TaskDefinition[]> {
  const { sections, unclosed } = readOutline(plan);
  const problems: Problem[] = [];
  const tasks: TaskDefinition[] = [];
  if (unclosed !== null) {
    const problem = `a ${unclosed.what} is never closed`;
    problems.push({ path: "(file)", line: unclosed.line, problem, hint: "close it" });
  }
  if (sections.length === 0) {
    const hint = "write `## ` and a name above what each task is to do";
    problems.push({ path: "(file)", problem: "has no `## ` heading, so no task", hint });
  }
  for (const [index, section] of sections.entries()) {
    const task = readTask(section, index + 1);
    if (task.ok) tasks.push(task.value);
    else problems.push(...task.problems);
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: tasks };
}

function readTask(section: OutlineSection, ordinal: number): Checked<TaskDefinition> {
  const name = section.title.slice(0, NAME_CHARACTERS_MAX).trim();
  if (name === "") {
    const hint = "write the task's name after `##`";
    return { ok: false, problems: [{ path: "##", line: section.line, problem: "is empty", hint }] };
  }
  const own = readFields(section);
  if (!own.ok) return own;
  const proposal = {
    id: String(ordinal).padStart(3, "0"),
    name,
    ...own.value.fields,
    spec: section.text === "" ? section.title : section.text,
  };
  const checked = checkShape(proposalSchema, proposal, own.value.lineOf);
  if (!checked.ok) return { ok: false, problems: checked.problems.map(nameSection(section)) };
  const { spec, ...manifest } = checked.value;
  return { ok: true, value: { manifest, spec } };
}

interface Fields {
  readonly fields: object;
  readonly lineOf: (path: readonly PropertyKey[]) => number;
}

function readFields(section: OutlineSection): Checked<Fields> {
  if (section.fields === null) {
    return { ok: true, value: { fields: {}, lineOf: () => section.line } };
  }
  const { text, line: firstLine } = section.fields;
  const fail = (problem: string, line: number, hint: string | null): Checked<never> => {
    const named = nameSection(section)({ path: "(yaml)", line, problem, hint });
    return { ok: false, problems: [named] };
  };
  const parsed = parseYaml(text);
  if (!parsed.ok) return fail(parsed.message, firstLine + (parsed.line ?? 1) - 1, null);
  const fields = parsed.value ?? {};
  if (typeof fields !== "object" || Array.isArray(fields)) {
    return fail("is no map of manifest fields", firstLine, "for example `dependencies: ['001']`");
  }
  const lineOf = (path: readonly PropertyKey[]): number => {
    return firstLine + (parsed.lineOf(path) ?? 1) - 1;
  };
  if (Object.hasOwn(fields, "spec")) {
    return fail("unknown key spec", lineOf(["spec"]), "the specification is the text below");
  }
  return { ok: true, value: { fields, lineOf } };
}

function nameSection(section: OutlineSection): (problem: Problem) => Problem {
  const heading = `## ${section.title.slice(0, 80)}`;
  return ({ path, line, problem, hint }) => ({ path: `${heading}: ${path}`, line, problem, hint });
}

function refuse({ planPath }: PlanRequest, problems: readonly Problem[]): Result<never> {
  const message = `${planPath} is not a plan:\n${listProblems(problems)}`;
  const hint = problems[0]?.hint ?? "correct it, then plan again";
  const { failure } = new Refusal("plan-invalid", message, {
    hint,
    details: { planPath, problems },
  });
  return { ok: false, failure };
}
