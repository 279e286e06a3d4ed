/** Enough of JSON Schema for what this project publishes; a keyword that it does not know throws. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

const ANNOTATIONS = new Set(["$schema", "title", "description", "default", "format"]);

/** Where and how a value is not what the schema says: empty where it is. */
export function findMismatches(schema: JsonSchema, value: unknown, at = "$"): readonly string[] {
  return Object.entries(schema).flatMap(([keyword, expected]) => {
    if (ANNOTATIONS.has(keyword)) return [];
    const check = CHECKS[keyword];
    if (check === undefined) throw new Error(`the keyword ${keyword} is not known here`);
    return check(expected, value, { at, schema });
  });
}

interface Place {
  readonly at: string;
  readonly schema: JsonSchema;
}

type Check = (expected: unknown, value: unknown, place: Place) => readonly string[];

const CHECKS: Readonly<Record<string, Check>> = {
  type: (expected, value, { at }) => {
    const types = [expected].flat().map(String);
    return unless(
      types.some((type) => isOfType(type, value)),
      `${at} is no ${types.join(" or ")}`,
    );
  },
  const: (expected, value, { at }) =>
    unless(value === expected, `${at} is not ${String(expected)}`),
  enum: (expected, value, { at }) =>
    unless((expected as unknown[]).includes(value), `${at} is none of the values`),
  pattern: (expected, value, { at }) =>
    unless(new RegExp(String(expected), "u").test(String(value)), `${at} does not match`),
  minimum: (expected, value, { at }) =>
    unless(Number(value) >= Number(expected), `${at} is too small`),
  exclusiveMinimum: (expected, value, { at }) =>
    unless(Number(value) > Number(expected), `${at} is too small`),
  maximum: (expected, value, { at }) =>
    unless(Number(value) <= Number(expected), `${at} is too large`),
  required: (expected, value, { at }) =>
    (expected as string[])
      .filter((name) => !(name in fieldsOf(value)))
      .map((name) => `${at} lacks ${name}`),
  properties: (expected, value, { at }) =>
    Object.entries(expected as Record<string, JsonSchema>).flatMap(([name, schema]) =>
      name in fieldsOf(value) ? findMismatches(schema, fieldsOf(value)[name], `${at}.${name}`) : [],
    ),
  additionalProperties: (expected, value, { at, schema }) => {
    if (expected !== false) throw new Error("only false is known here");
    const known = fieldsOf(schema["properties"]);
    return Object.keys(fieldsOf(value)).flatMap((name) =>
      unless(name in known, `${at} has ${name}`),
    );
  },
  items: (expected, value, { at }) =>
    (value as unknown[]).flatMap((item, index) =>
      findMismatches(expected as JsonSchema, item, `${at}[${index}]`),
    ),
  anyOf: (expected, value, { at }) =>
    unless(countFitting(expected, value) > 0, `${at} fits no alternative`),
  oneOf: (expected, value, { at }) =>
    unless(countFitting(expected, value) === 1, `${at} fits not exactly one alternative`),
};

function unless(isRight: boolean, problem: string): readonly string[] {
  return isRight ? [] : [problem];
}

function countFitting(alternatives: unknown, value: unknown): number {
  return (alternatives as JsonSchema[]).filter(
    (schema) => findMismatches(schema, value).length === 0,
  ).length;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function isOfType(type: string, value: unknown): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object")
    return typeof value === "object" && value !== null && !Array.isArray(value);
  return typeof value === type;
}
