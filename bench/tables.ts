import { readFile, writeFile } from "node:fs/promises";

/** The head first, then the rows, all as long as the head. */
export type Table = readonly (readonly string[])[];

/** For a terminal. Numbers stand to the right, under their heads; words to the left. */
export function alignColumns(table: Table): string {
  const [head = [], ...rows] = table;
  const columns = head.map((title, column) => {
    const cells = rows.map((row) => row[column] ?? "");
    const isNumeric = column > 0 && cells.every((cell) => /^\d/.test(cell));
    return { isNumeric, width: Math.max(...[title, ...cells].map(({ length }) => length)) };
  });
  const line = (row: readonly string[]): string =>
    columns
      .map(({ isNumeric, width }, column) => {
        const cell = row[column] ?? "";
        return isNumeric ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return table.map(line).join("\n");
}

/** For a page, laid out as the formatter would. */
export function markdownTable(table: Table): string {
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(3, ...table.map((row) => (row[column] ?? "").length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  const [head, ...rows] = table;
  return [line(head ?? []), rule, ...rows.map(line)].join("\n");
}

export interface Marks {
  readonly begin: string;
  readonly end: string;
}

/** Puts sections into a page, between its two marks. Throws where the marks are missing. */
export async function writeBetween(
  page: string,
  marks: Marks,
  sections: readonly string[],
): Promise<void> {
  const text = await readFile(page, "utf8");
  const begin = text.indexOf(marks.begin);
  const end = text.indexOf(marks.end, begin);
  if (begin === -1 || end === -1) throw new Error(`${page} has no place for figures`);
  const section = sections.filter((part) => part !== "").join("\n\n");
  await writeFile(
    page,
    `${text.slice(0, begin)}${marks.begin}\n\n${section}\n\n${text.slice(end)}`,
  );
}
