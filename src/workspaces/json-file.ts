import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { codeOf } from "./workspace-failure.ts";

/** Replaces a small file in one step; one writer at a time. */
export function writeJson(path: string, value: unknown): void {
  const unfinished = `${path}.new`;
  writeFileSync(unfinished, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  renameSync(unfinished, path);
}

/** `null` where there is none, or one that says something else. */
export function readJson<T>(path: string, schema: z.ZodType<T>): T | null {
  try {
    return schema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    const isExpected = codeOf(error) !== "" || error instanceof SyntaxError;
    if (isExpected || error instanceof z.ZodError) return null;
    throw error;
  }
}
