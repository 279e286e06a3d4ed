import type { VaultAnswer } from "../../control/operations/vault.ts";
import type { Style } from "./style.ts";
import { renderTable } from "./table.ts";
import { plainLine, plainText } from "./terminal-text.ts";

export function renderVault(answer: VaultAnswer, style: Style): string {
  switch (answer.action) {
    case "read":
      return plainText(answer.note?.content ?? JSON.stringify(answer.note, null, 2)).trimEnd();
    case "batch_read":
      return (answer.notes ?? [])
        .map(({ path, content, problem }) => {
          return `${style.bold(plainLine(path))}\n${plainText(content ?? problem ?? "").trimEnd()}`;
        })
        .join("\n\n");
    case "write":
      return plainLine(`Wrote ${answer.path}, ${answer.bytes} bytes.`);
    case "delete":
      return plainLine(`Deleted ${answer.path}.`);
    case "move":
      return plainLine(`Moved ${answer.path} to ${answer.new_path}.`);
    case "search":
      return renderHits(answer, style);
    case "list":
      return renderEntries(answer, style);
    case "stats":
      return renderStats(answer, style);
    case "frontmatter":
      return plainText(JSON.stringify(answer.value ?? answer.frontmatter, null, 2));
    case "tags":
      return [...(answer.tags ?? []), ...(answer.inline_tags ?? []).map((tag) => `#${tag}`)]
        .map(plainLine)
        .join("\n");
    case "replace":
      return `Replaced ${answer.replaced}.`;
  }
}

function renderHits({ hits = [], truncated, skipped = [] }: VaultAnswer, style: Style): string {
  const lines = hits.map(
    ({ path, line, text }) => `${style.bold(plainLine(path))}:${line}: ${plainLine(text)}`,
  );
  if (truncated === true) lines.push(style.dim("there is more; --max-results shows it"));
  for (const path of skipped) lines.push(style.dim(`${plainLine(path)} could not be read`));
  return lines.length === 0 ? "Nothing was found." : lines.join("\n");
}

function renderEntries({ entries = [], folders = [] }: VaultAnswer, style: Style): string {
  const rows = [
    ...folders.map((path) => ["-", "-", `${path}/`]),
    ...entries.map(({ path, bytes, modified_at }) => [String(bytes), modified_at, path]),
  ];
  if (rows.length === 0) return "There are no notes; `mycelium vault write` makes one.";
  return renderTable(["BYTES", "MODIFIED", "NOTE"], rows, style.dim).join("\n");
}

function renderStats({ stats }: VaultAnswer, style: Style): string {
  if (stats === undefined) return "";
  const tags = stats.tags.map(({ tag, notes }) => `${tag} ${notes}`).join(", ");
  const recent = stats.recent.map(({ path, modified_at }) => [modified_at, path]);
  return [
    `${stats.notes} notes in ${stats.folders} folders, ${stats.bytes} bytes`,
    ...(tags === "" ? [] : [plainLine(`tags: ${tags}`)]),
    ...renderTable(["MODIFIED", "NOTE"], recent, style.dim),
  ].join("\n");
}
