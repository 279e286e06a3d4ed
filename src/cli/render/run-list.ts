import type { RunList } from "../../control/operations/reports.ts";
import { numberText } from "../../domain/words.ts";
import { dateText } from "./run-report.ts";
import { paintState, type Style } from "./style.ts";
import { renderTable, type Cell } from "./table.ts";

const HEAD = ["RUN", "STATUS", "COMPLETE", "STARTED", "BRANCH", "AGENT", "REPOSITORY"] as const;

export function renderRunList({ runs }: RunList, style: Style): string {
  if (runs.length === 0) return "There are no runs yet; `mycelium run` starts one.";
  const rows = runs.map((run): readonly (Cell | string)[] => {
    const isOrphan = run.status === "running" && !run.is_live;
    const state = isOrphan ? "paused" : run.status;
    return [
      run.run_id,
      {
        text: isOrphan ? "running, no process" : run.status,
        paint: (text) => paintState(style, state, text),
      },
      `${numberText(run.counts.complete ?? 0)} of ${numberText(run.tasks)}`,
      dateText(run.started_at),
      run.branch,
      run.agent,
      run.repository.replace(/\/\.git$/, ""),
    ];
  });
  return renderTable(HEAD, rows, style.dim).join("\n");
}
