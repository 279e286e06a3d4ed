import { appendFileSync, mkdirSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { timestamp, type Clock } from "../lib/clock.ts";
import { makeRedactor } from "../lib/redact.ts";

/** One thing that a session did, or tried to. */
export interface AuditEntry {
  readonly session: string;
  readonly client: string | null;
  readonly tool: string;
  /** `began` is written before anything is done. */
  readonly what: "began" | "done" | "refused" | "cancelled";
  readonly workspaces: readonly string[];
  readonly input?: string;
  readonly code?: string;
  readonly message?: string;
  readonly duration_ms?: number;
  /** Joins the two lines of one call. */
  readonly call: string;
}

export interface AuditTrail {
  record(entry: AuditEntry): void;
}

const FILE_BYTES_MAX = 64 * 1024 * 1024;
const TEXT_LENGTH_MAX = 2_000;

/** A line a happening, appended in one write, so that many servers share one file. */
export function openAuditTrail(
  path: string,
  clock: Clock,
  secrets: readonly string[] = [],
): AuditTrail {
  const redact = makeRedactor(secrets);
  const short = (text: string): string => redact(text.slice(0, TEXT_LENGTH_MAX));
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  return {
    record: (entry) => {
      const { input, message } = entry;
      const texts = {
        ...(input !== undefined && { input: short(input) }),
        ...(message !== undefined && { message: short(message) }),
      };
      const line = JSON.stringify({ v: 1, ts: timestamp(clock), ...entry, ...texts });
      turnOver(path, clock);
      appendFileSync(path, `${line}\n`, { mode: 0o600 });
    },
  };
}

/** Old ones stay, under the time at which they were full. */
function turnOver(path: string, clock: Clock): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size < FILE_BYTES_MAX) return;
  try {
    renameSync(path, `${path}.${clock.now()}`);
  } catch (error) {
    // Another server was faster.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
