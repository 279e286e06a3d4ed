import type { TeamAnswer } from "../../control/operations/team.ts";
import type { Style } from "./style.ts";
import { renderTable } from "./table.ts";
import { plainLine, plainText } from "./terminal-text.ts";

export function renderTeam(answer: TeamAnswer, style: Style): string {
  const { team, teams, destroyed, rescued = [], recipients, messages, left, task, tasks } = answer;
  if (team !== undefined) return renderMembers(team, style);
  if (teams !== undefined) {
    if (teams.length === 0) return "There are no teams.";
    const rows = teams.map(({ name, state, members, created_at }) => [
      name,
      state,
      String(members.length),
      created_at,
    ]);
    return renderTable(["TEAM", "STATE", "MEMBERS", "CREATED"], rows, style.dim).join("\n");
  }
  if (destroyed !== undefined) {
    const saved = rescued.map((folder) => plainLine(`work is in ${folder}`));
    return [`Destroyed ${destroyed.join(", ")}.`, ...saved].join("\n");
  }
  if (recipients !== undefined) return `Sent to ${recipients.join(", ") || "nobody"}.`;
  if (messages !== undefined) {
    const lines = messages.map(
      ({ from, type, sent_at, content }) =>
        `${style.bold(plainLine(from))} ${style.dim(`${sent_at} ${type}`)}\n${plainText(content)}`,
    );
    return [...lines, style.dim(`${left ?? 0} more wait`)].join("\n");
  }
  const shown = tasks ?? (task === undefined ? [] : [task]);
  if (shown.length === 0) return "The board is empty.";
  const rows = shown.map(({ task_id, status, assignee, title }) => [
    task_id,
    status,
    assignee ?? "-",
    title,
  ]);
  return renderTable(["TASK", "STATUS", "ASSIGNEE", "TITLE"], rows, style.dim).join("\n");
}

function renderMembers(team: NonNullable<TeamAnswer["team"]>, style: Style): string {
  const rows = team.members.map(({ name, role, workspace_id, waiting }) => [
    name,
    role,
    workspace_id ?? "-",
    String(waiting),
  ]);
  const head = ["MEMBER", "ROLE", "WORKSPACE", "MESSAGES"];
  return [`${style.bold(team.name)}, ${team.state}`, ...renderTable(head, rows, style.dim)].join(
    "\n",
  );
}
