import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { moveRun, RUN_STATES, RUN_TRANSITIONS } from "./run.ts";
import { isSettled, moveTask, TASK_STATES, TASK_TRANSITIONS, type TaskMove } from "./task.ts";

/** The edges of the Mermaid diagram in a file's docstring, as `from move to`. */
function drawnEdges(file: string): readonly string[] {
  const source = readFileSync(new URL(file, import.meta.url), "utf8");
  const edges = [...source.matchAll(/^ \*\s+(\w+) --> (\w+): ([\w-]+)$/gm)];
  return edges.map(([, from, to, move]) => `${from} ${move} ${to}`).toSorted();
}

function codedEdges(table: Readonly<Record<string, Readonly<Record<string, string>>>>): string[] {
  return Object.entries(table)
    .flatMap(([from, moves]) => Object.entries(moves).map(([move, to]) => `${from} ${move} ${to}`))
    .toSorted();
}

describe("the life of a task", () => {
  it("is drawn above the code as the code has it", () => {
    expect(drawnEdges("./task.ts")).toEqual(codedEdges(TASK_TRANSITIONS));
  });

  it("answers an illegal move with where it was and what was asked", () => {
    expect(moveTask("complete", "start")).toEqual({
      ok: false,
      failure: { from: "complete", move: "start" },
    });
  });

  it("has no way out of complete, so that nothing lands twice", () => {
    const moves = Object.values(TASK_TRANSITIONS).flatMap((row) => Object.keys(row) as TaskMove[]);
    for (const move of moves) expect(moveTask("complete", move).ok).toBe(false);
  });

  it("is settled in exactly the states that only a new chance leaves", () => {
    expect(TASK_STATES.filter(isSettled)).toEqual([
      "complete",
      "failed",
      "needs_human_review",
      "skipped",
    ]);
  });
});

describe("the life of a run", () => {
  it("is drawn above the code as the code has it", () => {
    expect(drawnEdges("./run.ts")).toEqual(codedEdges(RUN_TRANSITIONS));
  });

  it("can be resumed from every state but complete", () => {
    const resumable = RUN_STATES.filter((state) => moveRun(state, "resume").ok);
    expect(resumable).toEqual(["running", "paused", "failed"]);
  });
});
