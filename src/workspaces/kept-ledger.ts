import { linkSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import type { Result } from "../domain/failure.ts";
import { isAlive, processIdentity } from "../lib/process.ts";
import { exists } from "./local-layout.ts";
import { readJson, writeJson } from "./json-file.ts";
import { WORKSPACE_KINDS } from "./workspace.ts";
import { codeOf, failureWith, workspaceFailure } from "./workspace-failure.ts";
import { isWorkspaceName, NAME_RULE } from "./workspace-name.ts";

const processSchema = z.object({ pid: z.int(), identity: z.string().nullable() });

const sessionSchema = z.object({ session: z.string() });

/** A swarm's worker: whoever conducts the swarm has it in hand, and it takes room of a session. */
const workerSchema = processSchema.extend({ forSession: z.string(), forSwarm: z.string() });

const entrySchema = z.object({
  version: z.literal(1),
  /** A workspace's name, or a snapshot's id. */
  id: z.string(),
  what: z.enum(["workspace", "snapshot"]),
  kind: z.enum(WORKSPACE_KINDS),
  /** `making` and `removing` are written before the act; with a dead maker they are for the sweep. */
  state: z.enum(["making", "ready", "removing"]),
  maker: processSchema,
  /**
   * A person owns until they destroy; a process as long as it lives; a session as long as its client
   * is there, and nobody takes over; `null` is nobody.
   */
  owner: z.union([z.literal("person"), workerSchema, processSchema, sessionSchema]).nullable(),
  /** The commit that its work began at. */
  base: z.string().nullable(),
  /** When it was first seen without an owner. */
  unownedSince: z.string().nullable(),
});

export type KeptEntry = z.infer<typeof entrySchema>;
export type KeptOwner = KeptEntry["owner"];

/**
 * Who made and who owns what is kept, of all kinds: one small file a name. Written before anything
 * is made, so that what a killed maker left is known by name.
 */
export interface KeptLedger {
  /** Refuses a name that is none or that is taken, of whatever kind. */
  claim(entry: NewEntry): Result<KeptEntry>;
  find(id: string): KeptEntry | null;
  write(entry: KeptEntry): void;
  forget(id: string): void;
  list(): readonly KeptEntry[];
  /** A file for a lock on something by this name. */
  lockPath(name: string): string;
}

export type NewEntry = Pick<KeptEntry, "id" | "what" | "kind" | "owner" | "base">;

/** `folder` is made where it is missing. */
export function openLedger(folder: string): KeptLedger {
  const pathOf = (id: string): string => join(folder, `${id}.json`);
  const find = (id: string): KeptEntry | null =>
    isId(id) ? readJson(pathOf(id), entrySchema) : null;
  return {
    claim: (request) => {
      const { id } = request;
      if (!isId(id)) {
        return workspaceFailure(`${JSON.stringify(id)} cannot be a name`, { hint: NAME_RULE });
      }
      mkdirSync(folder, { recursive: true });
      const state = "making" as const;
      const entry = { ...request, version: 1 as const, state, maker: self(), unownedSince: null };
      if (createWhole(pathOf(id), entry)) return { ok: true, value: entry };
      return taken(id, find(id));
    },
    find,
    write: (entry) => writeJson(pathOf(entry.id), entry),
    forget: (id) => rmSync(pathOf(id), { force: true }),
    list: () => namesIn(folder).flatMap((name) => find(name) ?? []),
    lockPath: (name) => {
      mkdirSync(folder, { recursive: true });
      return join(folder, `.${name}.lock`);
    },
  };
}

/** The session whose room a workspace takes; `null` where it takes none. */
export function roomTakenBy({ owner }: KeptEntry): {
  readonly session: string;
  /** The swarm whose worker it is. */
  readonly swarm: string | null;
} | null {
  if (owner === null || owner === "person") return null;
  if ("session" in owner) return { session: owner.session, swarm: null };
  return "forSession" in owner ? { session: owner.forSession, swarm: owner.forSwarm } : null;
}

/** Whoever made an entry and did not finish was killed. */
export function isAbandoned({ state, maker }: KeptEntry): boolean {
  return state !== "ready" && !lives(maker);
}

/** Whether the session of an id is live. */
export type SessionCheck = (id: string) => boolean;

export function isOwned({ owner }: KeptEntry, isSessionLive: SessionCheck): boolean {
  if (owner === null || owner === "person") return owner === "person";
  return "session" in owner ? isSessionLive(owner.session) : lives(owner);
}

/** In one word, for people. */
export function ownerText(owner: KeptOwner): string {
  if (owner === null) return "nobody";
  if (owner === "person") return owner;
  return "session" in owner ? `session ${owner.session}` : "process";
}

/** This process, as a maker or an owner. */
export function self(): z.infer<typeof processSchema> {
  return ownerProcess(process.pid);
}

/** This process, at work for a session's swarm. */
export function selfForSwarm(session: string, swarm: string): z.infer<typeof workerSchema> {
  return { ...self(), forSession: session, forSwarm: swarm };
}

export function ownerProcess(pid: number): z.infer<typeof processSchema> {
  return { pid, identity: processIdentity(pid) };
}

function lives({ pid, identity }: z.infer<typeof processSchema>): boolean {
  return identity !== null && isAlive(pid, identity);
}

function isId(id: string): boolean {
  return id.split("@", 2).every(isWorkspaceName) && id.split("@").length <= 2;
}

/** All of it at once, and only where nothing is. */
function createWhole(path: string, entry: KeptEntry): boolean {
  const unfinished = `${path}.${randomUUID()}.new`;
  writeFileSync(unfinished, `${JSON.stringify(entry)}\n`);
  try {
    linkSync(unfinished, path);
    return true;
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
    return false;
  } finally {
    rmSync(unfinished, { force: true });
  }
}

function taken(id: string, entry: KeptEntry | null): Result<never> {
  const isLeftover = entry !== null && isAbandoned(entry);
  return failureWith("workspace-exists", `the name ${id} is taken`, {
    hint: isLeftover
      ? "its maker was killed: `mycelium workspace sweep` takes it away"
      : "choose another, or destroy what has it",
    details: { id, kind: entry?.kind ?? null },
  });
}

function namesIn(folder: string): readonly string[] {
  if (!exists(folder)) return [];
  const suffix = ".json";
  return readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .map((name) => name.slice(0, -suffix.length));
}
