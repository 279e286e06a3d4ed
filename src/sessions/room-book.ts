import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isAlive, processIdentity } from "../lib/process.ts";

const ID = /^[a-z0-9][a-z0-9-]{0,99}$/;

const roomSchema = z.object({
  version: z.literal(1),
  /** What it is held for. */
  id: z.string(),
  session: z.string(),
  /** So many of the session's workspaces, whether or not they are there already. */
  workspaces: z.int().min(0),
  /** Whose end gives it back. */
  holder: z.object({ pid: z.int(), identity: z.string().nullable() }),
});

export type Room = Pick<z.infer<typeof roomSchema>, "id" | "session" | "workspaces">;

/**
 * Room of sessions' quotas that is promised to work which makes its workspaces later: one small file
 * each. It is given back when it is disposed of, and when the process that holds it is gone.
 */
export interface RoomBook {
  /** Takes the place of what was held under the same id. The quota's lock is held. */
  hold(room: Room): Disposable;
  heldBy(session: string): readonly Room[];
}

/** `folder` is made with the first room. */
export function openRoomBook(folder: string): RoomBook {
  const pathOf = (id: string): string => join(folder, `${id}.json`);
  return {
    hold: (room) => {
      if (!ID.test(room.id)) throw new Error(`no id of a room: ${JSON.stringify(room.id)}`);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      const holder = { pid: process.pid, identity: processIdentity(process.pid) };
      const unfinished = join(folder, `.${room.id}.${randomUUID()}.new`);
      writeFileSync(unfinished, `${JSON.stringify({ version: 1, ...room, holder })}\n`);
      renameSync(unfinished, pathOf(room.id));
      return { [Symbol.dispose]: () => rmSync(pathOf(room.id), { force: true }) };
    },
    heldBy: (session) =>
      namesIn(folder).flatMap((name) => {
        const room = readRoom(join(folder, name));
        if (room === null) return [];
        const { pid, identity } = room.holder;
        if (identity !== null && isAlive(pid, identity)) {
          return room.session === session ? [room] : [];
        }
        rmSync(join(folder, name), { force: true });
        return [];
      }),
  };
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".json"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** One that says something else holds nothing. */
function readRoom(path: string): z.infer<typeof roomSchema> | null {
  try {
    return roomSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    const isExpected = error instanceof SyntaxError || error instanceof z.ZodError;
    if (isExpected || (error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
