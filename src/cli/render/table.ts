import type { Paint } from "./style.ts";
import { plainLine } from "./terminal-text.ts";

export interface Cell {
  readonly text: string;
  /** Colours the text, padded already. */
  readonly paint?: Paint;
}

/** Columns of equal width, two spaces apart; nothing is padded at the end of a line. */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly (Cell | string)[])[],
  paintHead: Paint,
): readonly string[] {
  const body = rows.map((row) => row.map(toPlainCell));
  const widths = head.map((title, column) =>
    body.reduce((width, row) => Math.max(width, widthOf(row[column]?.text ?? "")), title.length),
  );
  const line = (cells: readonly Cell[]): string =>
    cells
      .map(({ text, paint = same }, column) => {
        const isLast = column === cells.length - 1;
        const missing = (widths[column] ?? 0) - widthOf(text);
        return paint(text) + (isLast ? "" : " ".repeat(Math.max(0, missing)));
      })
      .join("  ");
  return [line(head.map((text) => ({ text, paint: paintHead }))), ...body.map(line)];
}

function toPlainCell(cell: Cell | string): Cell {
  const { text, ...rest } = typeof cell === "string" ? { text: cell } : cell;
  return { text: plainLine(text), ...rest };
}

function widthOf(text: string): number {
  return Array.from(text).length;
}

function same(text: string): string {
  return text;
}
