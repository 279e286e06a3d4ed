import type { Failure } from "../domain/failure.ts";
import type { Workspace } from "../workspaces/workspace.ts";
import type { AttemptMeans, AttemptOrder, AttemptOutcome } from "./attempt.ts";
import { gateEvent } from "./gate-event.ts";
import { runGates } from "./prove.ts";

export type Preparation =
  | { readonly kind: "ready"; readonly workspace: Workspace }
  | { readonly kind: "failed"; readonly outcome: AttemptOutcome };

/** Paths of the files that tell the agent what to do, inside the workspace. */
export interface ContextFiles {
  readonly spec: string;
  readonly manifest: string;
  readonly feedback: string | null;
}

export function contextFiles(order: AttemptOrder, workspace: Workspace): ContextFiles {
  const inContext = (name: string): string => `${workspace.contextDir}/${name}`;
  return {
    spec: inContext("spec.md"),
    manifest: inContext("manifest.json"),
    feedback: order.feedback === null ? null : inContext("feedback.md"),
  };
}

/** A workspace at the base, bootstrapped, with the agent's files in it. */
export async function prepareWorkspace(
  order: AttemptOrder,
  means: AttemptMeans,
): Promise<Preparation> {
  const kept = order.continues
    ? await means.provider.find({ id: order.workspaceId, env: means.env })
    : null;
  const made: Preparation =
    kept === null ? await createWorkspace(order, means) : { kind: "ready", workspace: kept };
  if (made.kind === "failed") return made;
  const unwritten = await writeContext(order, made.workspace);
  if (unwritten !== null) return failed("workspace-failed", unwritten);
  return kept === null ? bootstrap(order, means, made.workspace) : made;
}

async function createWorkspace(order: AttemptOrder, means: AttemptMeans): Promise<Preparation> {
  const { workspaceId: id, seed } = order;
  await means.provider.remove(id);
  const made = await means.provider.create({ id, seed, env: means.env });
  if (!made.ok) return unmade(made.failure);
  const workspace = made.value;
  const payload = { kind: workspace.kind, path: workspace.repositoryDir, base: order.base };
  await means.record([{ type: "workspace.created", payload }]);
  return { kind: "ready", workspace };
}

/** Another try would find the disk as full as this one did. */
function unmade({ code, message, hint }: Failure): Preparation {
  if (code !== "disk-full") return failed("workspace-failed", message);
  const next = hint ?? "free some space, then `mycelium resume`";
  return {
    kind: "failed",
    outcome: { kind: "stopped", reason: "disk-full", message, hint: next, verdicts: [] },
  };
}

async function writeContext(order: AttemptOrder, workspace: Workspace): Promise<string | null> {
  const files = contextFiles(order, workspace);
  const contents: [string, string][] = [
    [files.spec, order.spec],
    [files.manifest, `${JSON.stringify(order.manifest, null, 2)}\n`],
  ];
  if (files.feedback !== null) contents.push([files.feedback, order.feedback ?? ""]);
  for (const [path, content] of contents) {
    const written = await workspace.writeFile(path, content);
    if (!written.ok) return written.failure.message;
  }
  return null;
}

async function bootstrap(
  order: AttemptOrder,
  means: AttemptMeans,
  workspace: Workspace,
): Promise<Preparation> {
  const proof = await runGates(workspace, means.rules.bootstrap, means.signal);
  await means.record(proof.verdicts.map((verdict) => gateEvent(verdict, order.base)));
  if (proof.passed) return { kind: "ready", workspace };
  if (means.signal.aborted) return { kind: "failed", outcome: { kind: "interrupted" } };
  const last = proof.verdicts.at(-1);
  return failed("bootstrap-failed", `\`${last?.command}\`: ${last?.reason}\n${last?.outputTail}`);
}

function failed(reason: string, feedback: string): Preparation {
  return {
    kind: "failed",
    outcome: { kind: "rejected", reason, feedback, keepWorkspace: false, verdicts: [] },
  };
}
