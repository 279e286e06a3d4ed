import { createHash } from "node:crypto";
import { dirname, resolve } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { nearestName } from "../domain/nearest.ts";
import {
  checkShape,
  formatPath,
  listProblems,
  type Checked,
  type Problem,
} from "../domain/problem.ts";
import { parseYaml } from "../lib/yaml.ts";
import { expandVariables } from "./expand.ts";
import { findRepository } from "./locate.ts";
import { BUILT_IN_AGENTS, settingsSchema, type AgentSettings, type Settings } from "./schema.ts";

type Timeouts = "doctor_timeout" | "lint_timeout" | "bootstrap_timeout" | "agent_timeout";

/** The settings of one file, with its defaults filled in and its paths made absolute. */
export interface Config extends Omit<Settings, Timeouts | "agents"> {
  /** Where they were read from, and the SHA-256 of that file, hexadecimal. */
  readonly file: string;
  readonly digest: string;
  readonly repo_path: string;
  readonly tasks_dir: string;
  readonly auto_rescope: boolean;
  readonly timeoutsMs: Readonly<Record<"doctor" | "lint" | "bootstrap" | "agent", number>>;
  /** By name. A map, because the names come from outside. */
  readonly agents: ReadonlyMap<string, AgentSettings>;
}

export interface ConfigSource {
  readonly file: string;
  readonly text: string;
  readonly lookup: (name: string) => string | undefined;
}

/** Parses a configuration file's text. Throws `config-invalid` that lists every problem. */
export function resolveConfig(source: ConfigSource): Config {
  const checked = checkSettings(source);
  if (!checked.ok) throw invalid(source.file, checked.problems);
  const { doctor_timeout, lint_timeout, bootstrap_timeout, agent_timeout, ...settings } =
    checked.value;
  const folder = dirname(source.file);
  return {
    ...settings,
    file: source.file,
    digest: createHash("sha256").update(source.text).digest("hex"),
    repo_path: resolveRepository(source.file, settings.repo_path),
    tasks_dir: resolve(folder, settings.tasks_dir),
    // The reasons for the default stand in the schema, where the documentation takes them from.
    auto_rescope: settings.auto_rescope ?? settings.manifest_enforcement === "warn",
    timeoutsMs: {
      doctor: doctor_timeout * 1000,
      lint: lint_timeout * 1000,
      bootstrap: bootstrap_timeout * 1000,
      agent: agent_timeout * 1000,
    },
    agents: new Map(Object.entries(settings.agents)),
  };
}

function checkSettings(source: ConfigSource): Checked<Settings> {
  const parsed = parseYaml(source.text);
  if (!parsed.ok) {
    const line = parsed.line ?? undefined;
    return { ok: false, problems: [{ path: "(file)", line, problem: parsed.message, hint: null }] };
  }
  if (parsed.value === null) {
    return { ok: false, problems: [{ path: "(file)", problem: "is empty", hint: null }] };
  }
  const expanded = expandVariables(parsed.value, source.lookup);
  if (expanded.problems.length > 0) {
    const problems = expanded.problems.map(({ path, ...rest }) => {
      return { path: formatPath(path), line: parsed.lineOf(path) ?? undefined, ...rest };
    });
    return { ok: false, problems };
  }
  const checked = checkShape(settingsSchema, expanded.value, parsed.lineOf);
  if (!checked.ok) return checked;
  const problems = findUnknownAgent(checked.value, parsed.lineOf(["agent"]));
  return problems.length > 0 ? { ok: false, problems } : checked;
}

function findUnknownAgent(settings: Settings, line: number | null): readonly Problem[] {
  const known = [...BUILT_IN_AGENTS, ...Object.keys(settings.agents)];
  if (settings.agent === undefined || known.includes(settings.agent)) return [];
  const nearest = nearestName(settings.agent, known);
  const hint =
    nearest === null
      ? `describe it under \`agents\`; known: ${known.join(", ")}`
      : `did you mean ${nearest}?`;
  return [{ path: "agent", line: line ?? undefined, problem: "no such agent", hint }];
}

function resolveRepository(file: string, configured: string | undefined): string {
  if (configured !== undefined) return resolve(dirname(file), configured);
  const repository = findRepository(dirname(file));
  if (repository !== null) return repository;
  const problem = "is required, because the file is not in a git repository";
  throw invalid(file, [{ path: "repo_path", problem, hint: "name the repository to work on" }]);
}

function invalid(file: string, problems: readonly Problem[]): Refusal {
  return new Refusal("config-invalid", `${file} is not valid:\n${listProblems(problems)}`, {
    hint: problems[0]?.hint ?? "correct the file; Mycelium's docs/configuration.md has every key",
    details: { file, path: problems[0]?.path ?? null, problems },
  });
}
