import type { InstalledClient } from "../../control/operations/mcp.ts";
import { plainLine } from "./terminal-text.ts";

export interface RenderedInstall {
  /** The configuration itself, or which files it was written to. */
  readonly result: string;
  /** What to do next. */
  readonly advice: string;
}

export function renderInstall(installed: InstalledClient): RenderedInstall {
  const { state, snippet } = installed;
  if (state === "printed") return { result: snippet, advice: lines(toDoByHand(installed)) };
  const files = [installed, ...(installed.skill === null ? [] : [installed.skill])];
  const result = files.map(({ file, state }) => `${WORDS[state]} ${plainLine(file)}`);
  return { result: lines(result), advice: lines(toDoNext(installed)) };
}

const WORDS: Readonly<Record<InstalledClient["state"], string>> = {
  printed: "For",
  written: "Wrote",
  replaced: "Changed",
  unchanged: "Nothing to change in",
};

function toDoByHand(installed: InstalledClient): readonly string[] {
  const { title, file, format, skill } = installed;
  const again = format === "json" ? ", or let --write do it" : "; TOML is never written";
  return [
    `${title} reads it in ${plainLine(file)}: put it there${again}.`,
    ...(skill === null ? [] : [`The skill (\`mycelium mcp skill\`) goes to ${skill.file}.`]),
    ...warning(installed),
  ];
}

function toDoNext(installed: InstalledClient): readonly string[] {
  const { title, name } = installed;
  return [`Next: start ${title} anew and allow the server ${name}.`, ...warning(installed)];
}

function warning({ scope, of_this_machine: isOfThisMachine }: InstalledClient): readonly string[] {
  if (scope === "user" || !isOfThisMachine) return [];
  return ["It names places on this machine: others need `mycelium` on their PATH, and their own."];
}

function lines(all: readonly string[]): string {
  return all.join("\n");
}
