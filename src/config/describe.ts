import { z } from "zod";
import { settingsSchema } from "./schema.ts";

type Schema = z.core.JSONSchema.JSONSchema;

interface KeyRow {
  readonly key: string;
  readonly values: string;
  readonly byDefault: string;
  readonly meaning: string;
}

/** The documentation's table of every key, as Markdown, made from the schema. */
export function describeConfig(): string {
  const rows = describeKeys("", z.toJSONSchema(settingsSchema, { io: "input" }));
  return formatTable([
    ["Key", "Values", "Default", "Meaning"],
    ...rows.map(({ key, values, byDefault, meaning }) => [
      `\`${key}\``,
      values,
      byDefault,
      meaning.replaceAll("|", "\\|"),
    ]),
  ]);
}

function describeKeys(prefix: string, schema: Schema): readonly KeyRow[] {
  const required = new Set(schema.required);
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const key = prefix === "" ? name : `${prefix}.${name}`;
    return typeof property === "boolean" ? [] : describeKey(key, property, required.has(name));
  });
}

function describeKey(key: string, schema: Schema, required: boolean): readonly KeyRow[] {
  const own: KeyRow = {
    key,
    values: describeValues(schema),
    byDefault: required ? "required" : describeDefault(schema.default),
    meaning: schema.description ?? "",
  };
  if (schema.properties !== undefined) {
    const inner = describeKeys(key, schema);
    return own.meaning === "" ? inner : [own, ...inner];
  }
  const item = objectOf(schema.items) ?? objectOf(schema.additionalProperties);
  if (item?.properties === undefined) return [own];
  return [own, ...describeKeys(schema.type === "array" ? `${key}[]` : `${key}.NAME`, item)];
}

function objectOf(schema: Schema["items"] | Schema["additionalProperties"]): Schema | null {
  return typeof schema === "object" && !Array.isArray(schema) ? schema : null;
}

function describeValues(schema: Schema): string {
  if (schema.enum !== undefined)
    return schema.enum.map((one) => `\`${String(one)}\``).join(" \\| ");
  if (schema.type === "integer" || schema.type === "number") return describeNumber(schema);
  if (schema.type === "boolean") return "`true` \\| `false`";
  if (schema.type === "array") {
    return `list of ${objectOf(schema.items)?.type === "object" ? "maps" : "strings"}`;
  }
  if (schema.type === "object") {
    return schema.additionalProperties === false ? "map" : "map of names";
  }
  return "string";
}

function describeNumber(schema: Schema): string {
  const what = schema.type === "integer" ? "whole number" : "number";
  const { minimum, maximum, exclusiveMinimum } = schema;
  const bounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (minimum !== undefined && bounded) return `${what}, ${minimum} to ${maximum}`;
  if (exclusiveMinimum !== undefined) return `${what} above ${exclusiveMinimum}`;
  return what;
}

function describeDefault(value: unknown): string {
  if (value === undefined) return "";
  if (typeof value === "object" && value !== null) return "none";
  return `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}

/** Columns padded to equal width, as formatters leave them. */
function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => {
    return Math.max(...rows.map((row) => row[column]?.length ?? 0));
  });
  const line = (cells: readonly string[]): string => {
    return `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  };
  const [head = [], ...body] = rows;
  const rule = widths.map((width) => "-".repeat(width));
  return [line(head), line(rule), ...body.map(line)].join("\n");
}
