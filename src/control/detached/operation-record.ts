import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../../lib/atomic-file.ts";
import { isAlive } from "../../lib/process.ts";

/** Whoever knows an id may read it: it cannot be guessed, and outlives sessions. */
const ID = /^op-[0-9a-f]{32}$/;
const ID_BYTES = 16;

export const operationErrorSchema = z.strictObject({
  code: z.string(),
  message: z.string(),
  hint: z.string().nullable(),
  details: z.record(z.string(), z.unknown()),
});

export const operationRecordSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  tool: z.string(),
  session: z.strictObject({ id: z.string(), kind: z.enum(["person", "session"]) }),
  input: z.unknown(),
  state: z.enum(["starting", "running", "done", "failed", "cancelled"]),
  started_at: z.string(),
  ended_at: z.string().nullable(),
  process: z.strictObject({ pid: z.int(), identity: z.string().nullable() }).nullable(),
  progress: z
    .strictObject({ done: z.number(), total: z.number().nullable(), message: z.string() })
    .nullable(),
  result: z.unknown(),
  error: operationErrorSchema.nullable(),
});

export type OperationRecord = z.output<typeof operationRecordSchema>;

export function newOperationId(): string {
  return `op-${randomBytes(ID_BYTES).toString("hex")}`;
}

export function isOperationId(id: string): boolean {
  return ID.test(id);
}

function pathOf(home: string, id: string): string {
  return join(home, "operations", `${id}.json`);
}

export async function writeOperation(home: string, record: OperationRecord): Promise<void> {
  mkdirSync(join(home, "operations"), { recursive: true, mode: 0o700 });
  await writeFileAtomically(pathOf(home, record.id), `${JSON.stringify(record)}\n`);
}

/** As it stands; one whose process is gone without a word has failed. `null` where there is none. */
export function readOperation(home: string, id: string): OperationRecord | null {
  const record = readWhole(home, id);
  if (record === null || record.ended_at !== null || lives(record)) return record;
  // It may have written its last word between the two looks.
  const last = readWhole(home, id);
  if (last === null || last.ended_at !== null) return last;
  const message = "the process that worked on it was ended from outside";
  const hint = "start it again: what it had made stays, or is taken away by a sweep";
  const error = { code: "operation-lost", message, hint, details: {} };
  return { ...last, state: "failed", error };
}

function lives({ process }: OperationRecord): boolean {
  if (process === null) return false;
  return process.identity !== null && isAlive(process.pid, process.identity);
}

function readWhole(home: string, id: string): OperationRecord | null {
  if (!isOperationId(id)) return null;
  try {
    return operationRecordSchema.parse(JSON.parse(readFileSync(pathOf(home, id), "utf8")));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
