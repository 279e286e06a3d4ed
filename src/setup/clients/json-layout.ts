import { createScanner, type Node } from "jsonc-parser";

/** Edits of JSON text that leave every other byte, comments too, where it is. */

export interface Property {
  readonly key: string;
  readonly value: unknown;
}

/** Adds a property at the end of an object of the text, laid out as the text is. */
export function insertProperty(text: string, object: Node, property: Property): string {
  const end = object.offset + object.length - 1;
  const last = object.children?.at(-1);
  const after = last === undefined ? object.offset + 1 : last.offset + last.length;
  const hasComma = last !== undefined && beginsWithComma(text.slice(after, end));
  const comma = last === undefined || hasComma ? "" : ",";
  const kept = text.slice(after, end);
  const { eol, unit } = layoutOf(text);
  const lineStart = kept.lastIndexOf("\n") + 1;
  const tail = kept.slice(lineStart);
  const isOnOwnLine = lineStart > 0 && tail.trim() === "";
  const indent = isOnOwnLine ? tail : indentAt(text, object.offset);
  const written = `${indent}${unit}${shown(property, { indent: indent + unit, unit, eol })}`;
  const head = text.slice(0, after) + comma;
  if (!isOnOwnLine) return head + kept + eol + written + eol + indent + text.slice(end);
  const own = written + (hasComma ? "," : "") + eol;
  return head + kept.slice(0, lineStart) + own + tail + text.slice(end);
}

/** Puts another value where one is. */
export function replaceValue(text: string, { offset, length }: Node, value: unknown): string {
  const layout = { ...layoutOf(text), indent: indentAt(text, offset) };
  return text.slice(0, offset) + valueText(value, layout) + text.slice(offset + length);
}

interface Layout {
  readonly eol: string;
  /** One step inwards. */
  readonly unit: string;
}

type Place = Layout & { readonly indent: string };

function shown({ key, value }: Property, place: Place): string {
  return `${JSON.stringify(key)}: ${valueText(value, place)}`;
}

function valueText(value: unknown, { eol, unit, indent }: Place): string {
  return JSON.stringify(value, null, unit).replaceAll("\n", eol + indent);
}

/** Between words may stand comments that hold commas. */
function beginsWithComma(text: string): boolean {
  const COMMA = 5;
  return (createScanner(text, true).scan() as number) === COMMA;
}

function layoutOf(text: string): Layout {
  const [, unit = "  "] = /\n([ \t]+)\S/.exec(text) ?? [];
  return { unit, eol: text.includes("\r\n") ? "\r\n" : "\n" };
}

/** What the line of that place begins with. */
function indentAt(text: string, offset: number): string {
  const line = text.slice(text.lastIndexOf("\n", offset - 1) + 1, offset);
  return /^[ \t]*/.exec(line)?.[0] ?? "";
}
