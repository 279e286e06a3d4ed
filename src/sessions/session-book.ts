import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { timestamp, type Clock } from "../lib/clock.ts";
import { isAlive, processIdentity } from "../lib/process.ts";

const SESSION_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;

const sessionSchema = z.object({
  version: z.literal(1),
  id: z.string(),
  transport: z.enum(["stdio", "http"]),
  /** As it calls itself; nothing is decided by it. */
  client: z.string().nullable(),
  /** Of the server that speaks for it. */
  server: z.object({ pid: z.int(), identity: z.string().nullable() }),
  startedAt: z.string(),
  /** The lease ends so long after this. */
  heartbeatAt: z.string(),
  leaseMs: z.int().positive(),
  /** When its client went away. */
  endedAt: z.string().nullable(),
});

export type SessionRecord = z.infer<typeof sessionSchema>;

/**
 * The sessions that there were: one small file each. What a session owns outlives it, so that another
 * can take it over; whether it still lives is told by its lease, which only its server renews.
 */
export interface SessionBook {
  find(id: string): SessionRecord | null;
  /** Whether its client is there: the lease runs, and so does the server that renews it. */
  isLive(id: string): boolean;
  open(request: SessionRequest): OpenSession;
}

export interface SessionRequest {
  /** Made up where it is left out. One that is known goes on. */
  readonly id?: string;
  readonly transport: SessionRecord["transport"];
  readonly leaseMs: number;
}

export interface OpenSession {
  readonly id: string;
  /** Renews the lease. */
  heartbeat(): void;
  nameClient(name: string): void;
  /** Its client went away: what it owns may be taken over at once. */
  end(): void;
}

/** `folder` is made with the first session. */
export function openSessionBook(folder: string, clock: Clock): SessionBook {
  const pathOf = (id: string): string => join(folder, `${id}.json`);
  const find = (id: string): SessionRecord | null =>
    SESSION_ID.test(id) ? readRecord(pathOf(id)) : null;
  return {
    find,
    isLive: (id) => {
      const record = find(id);
      if (record === null || record.endedAt !== null) return false;
      const { pid, identity } = record.server;
      const runs = identity !== null && isAlive(pid, identity);
      return runs && clock.now() - Date.parse(record.heartbeatAt) < record.leaseMs;
    },
    open: (request) => {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const id = request.id ?? `s-${randomBytes(8).toString("hex")}`;
      if (!SESSION_ID.test(id)) throw new Error(`no id of a session: ${JSON.stringify(id)}`);
      const now = timestamp(clock);
      let record: SessionRecord = {
        version: 1,
        id,
        transport: request.transport,
        client: null,
        server: { pid: process.pid, identity: processIdentity(process.pid) },
        startedAt: now,
        heartbeatAt: now,
        leaseMs: request.leaseMs,
        endedAt: null,
      };
      const write = (changes: Partial<SessionRecord>): void => {
        record = { ...record, ...changes };
        writeRecord(pathOf(id), record);
      };
      write({});
      return {
        id,
        heartbeat: () => write({ heartbeatAt: timestamp(clock), endedAt: null }),
        nameClient: (client) => write({ client: client.slice(0, CLIENT_LENGTH_MAX) }),
        end: () => write({ endedAt: timestamp(clock) }),
      };
    },
  };
}

const CLIENT_LENGTH_MAX = 200;

function writeRecord(path: string, record: SessionRecord): void {
  const unfinished = `${path}.new`;
  writeFileSync(unfinished, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(unfinished, path);
}

/** One that says something else is no session: whoever owns by it owns no longer. */
function readRecord(path: string): SessionRecord | null {
  try {
    return sessionSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    const isExpected = error instanceof SyntaxError || error instanceof z.ZodError;
    if (isExpected || (error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
