/**
 * Named moments between "recorded" and "done". Tests end the process at one of them, as a power cut
 * would, and require that recovery reaches the same end; elsewhere they do nothing.
 */
export const RUN_CRASH_POINTS = [
  "run.recorded",
  "attempt.recorded",
  "workspace.created",
  "agent.ended",
  "checkpoint.made",
  "bundle.imported",
  "task.validated",
  "manifest.rescoped",
  "landing.candidate-built",
  "landing.receipts-written",
  "landing.intended",
  "landing.checkout-advanced",
  "landing.ref-moved",
  "landing.recorded",
  "run.settled",
  "workspace.recorded",
  "workspace.removing",
] as const;

/** The same for workspaces that are kept, which no run comes by. */
const KEPT_CRASH_POINTS = [
  "workspace.built",
  "workspace.emptied",
  "snapshot.recorded",
  "snapshot.held",
  "snapshot.copied",
  "snapshot.removing",
  "snapshot.switched",
  "snapshot.sent",
  "fork.recorded",
  "fork.copied",
  "restore.staged",
  "restore.intended",
  "restore.emptied",
  "sandbox.joined",
  "sandbox.started",
  "machine.started",
  "start.intended",
  "start.answered",
  "stop.intended",
  "stop.settled",
  "stop.ended",
  "port.kept",
  "port.opened",
  "kept.claimed",
  "kept.made",
  "kept.removing",
  "golden.made",
  "sweep.rescued",
] as const;

/** The same for swarms and their merges. */
export const SWARM_CRASH_POINTS = [
  "swarm.recorded",
  "swarm.task-recorded",
  "swarm.worker-made",
  "swarm.task-running",
  "swarm.task-ended",
  "swarm.task-settled",
  "merge.intended",
  "merge.landed",
  "swarm.merged",
  "swarm.worker-destroyed",
] as const;

/** The same for teams, their messages and their tasks. */
export const TEAM_CRASH_POINTS = [
  "team.recorded",
  "team.forked",
  "team.ready",
  "team.message-recorded",
  "team.message-sent",
  "note.writing",
  "team.task-moved",
  "team.removing",
  "team.member-removed",
  "team.destroyed",
] as const;

export const CRASH_POINTS = [
  ...RUN_CRASH_POINTS,
  ...KEPT_CRASH_POINTS,
  ...SWARM_CRASH_POINTS,
  ...TEAM_CRASH_POINTS,
] as const;

export type CrashPoint = (typeof CRASH_POINTS)[number];

let armed: { readonly point: CrashPoint; left: number } | null = null;

/** `NAME` or `NAME:N` for the N-th time it is reached. An unknown name is an error. */
export function armCrashPoint(specification: string): void {
  const [name, times] = specification.split(":");
  const point = CRASH_POINTS.find((known) => known === name);
  const left = times === undefined ? 1 : Number(times);
  if (point === undefined || !Number.isInteger(left) || left < 1) {
    throw new Error(`unknown crash point ${JSON.stringify(specification)}`);
  }
  armed = { point, left };
}

export function crashPoint(point: CrashPoint): void {
  if (armed?.point !== point) return;
  armed.left -= 1;
  if (armed.left === 0) process.kill(process.pid, "SIGKILL");
}
