import type { Config } from "../config/resolve.ts";
import type { Manifest } from "../domain/task.ts";
import type { CommandGate } from "../gates/command.ts";

/** What is run in every fresh workspace before anything else. */
export function bootstrapGates(config: Config): readonly CommandGate[] {
  const timeoutMs = config.timeoutsMs.bootstrap;
  return config.bootstrap.map((command) => ({ gate: "bootstrap", command, timeoutMs }));
}

/** What one task's work must pass, the quick ones first. */
export function taskGates(config: Config, manifest: Manifest): readonly CommandGate[] {
  const lint = manifest.verify.lint ?? config.lint;
  const gates: CommandGate[] = [];
  if (lint !== undefined) {
    gates.push({ gate: "lint", command: lint, timeoutMs: config.timeoutsMs.lint });
  }
  if (manifest.verify.fast !== undefined) {
    const timeoutMs = config.timeoutsMs.doctor;
    gates.push({ gate: "fast", command: manifest.verify.fast, timeoutMs });
  }
  return [...gates, doctorGate(config, manifest.verify.doctor ?? config.doctor)];
}

/** What a candidate must pass: the project's doctor, and each that a task of it asks for. */
export function candidateGates(
  config: Config,
  manifests: readonly Manifest[],
): readonly CommandGate[] {
  const commands = new Set([
    config.doctor,
    ...manifests.flatMap(({ verify }) => verify.doctor ?? []),
  ]);
  return [...commands].map((command) => doctorGate(config, command));
}

function doctorGate(config: Config, command: string): CommandGate {
  return { gate: "doctor", command, timeoutMs: config.timeoutsMs.doctor };
}
