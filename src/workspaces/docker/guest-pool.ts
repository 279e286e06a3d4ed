import { Refusal } from "../../domain/failure.ts";
import { isLost } from "./engine-asking.ts";
import type { Engine } from "./engine.ts";
import { GUEST_AGENT, GUEST_AGENT_PATH } from "./guest-agent.ts";
import { GuestConnection, GuestLost } from "./guest-connection.ts";
import { tarOf, type TarEntry } from "./tar.ts";

/** How many agents wait for more to do. */
const IDLE_MAX = 4;

/** The agents of one container: as many as there are things done at once. */
export interface GuestPool {
  /** Runs `act` with an agent of its own. Throws a `Refusal` where the container cannot be used. */
  use<T>(act: (guest: GuestConnection) => Promise<T>): Promise<T>;
  /** The same where an agent was lost: waits for an engine that may be restarting. */
  useAfterLoss<T>(act: (guest: GuestConnection) => Promise<T>): Promise<T>;
  end(): void;
}

export function openGuestPool(
  engine: Engine,
  container: string,
  /** Asked where the container does not run; `null` lets it be started again. */
  whyNotStarted: () => Refusal | null = () => null,
): GuestPool {
  const open = new Set<GuestConnection>();
  let idle: GuestConnection[] = [];

  async function lease(): Promise<GuestConnection> {
    idle = idle.filter((guest) => guest.isUsable);
    const guest = idle.pop() ?? (await connectGuest(engine, container, whyNotStarted));
    guest.isWanted = true;
    open.add(guest);
    return guest;
  }

  function giveBack(guest: GuestConnection): void {
    guest.isWanted = false;
    if (guest.isUsable && idle.length < IDLE_MAX && open.has(guest)) idle.push(guest);
    else drop(guest);
  }

  function drop(guest: GuestConnection): void {
    open.delete(guest);
    guest.end();
  }

  async function use<T>(act: (guest: GuestConnection) => Promise<T>): Promise<T> {
    const guest = await lease();
    try {
      return await act(guest);
    } finally {
      giveBack(guest);
    }
  }

  return {
    use,
    useAfterLoss: async (act) => {
      await engine.whenBack();
      return use(act);
    },
    end: () => {
      for (const guest of open) guest.end();
      open.clear();
      idle = [];
    },
  };
}

/**
 * Starts an agent in the container. A container that stopped without being told to (the engine or
 * the machine was restarted) is started again, and one that has another version's agent gets ours.
 */
async function connectGuest(
  engine: Engine,
  container: string,
  whyNotStarted: () => Refusal | null,
): Promise<GuestConnection> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await GuestConnection.open(
        await engine.execute(container, ["perl", GUEST_AGENT_PATH]),
      );
    } catch (error) {
      const refusal = isStopped(error) ? whyNotStarted() : null;
      if (refusal !== null) throw refusal;
      if (tries > 2 || !(await mend(engine, container, error))) throw explain(container, error);
    }
  }
}

/** The agent as part of an archive. */
export function agentEntries(): readonly TarEntry[] {
  const path = GUEST_AGENT_PATH.slice(1);
  return [{ path, content: GUEST_AGENT, mode: 0o644, uid: 0, gid: 0 }];
}

async function mend(engine: Engine, container: string, error: unknown): Promise<boolean> {
  if (isStopped(error)) {
    await engine.startContainer(container);
    return true;
  }
  if (isLost(error)) {
    await engine.whenBack();
    return true;
  }
  if (error instanceof GuestLost && /Can't open perl script/.test(error.message)) {
    await engine.putArchive(container, tarOf(agentEntries()));
    return true;
  }
  return false;
}

function isStopped(error: unknown): boolean {
  return error instanceof Refusal && error.failure.code === "workspace-stopped";
}

function explain(container: string, error: unknown): unknown {
  if (error instanceof Refusal && error.failure.code === "workspace-missing") {
    return new Refusal(
      "workspace-missing",
      `the container ${container} is gone: it was removed outside of Mycelium`,
      { hint: "remove the workspace and make a new one", cause: error },
    );
  }
  if (!(error instanceof GuestLost)) return error;
  const hint = /perl/.test(error.message) ? { hint: "the image needs perl, sh and git" } : {};
  const message = `no agent started in the container ${container}: ${error.message}`;
  return new Refusal("workspace-failed", message, { cause: error, ...hint });
}
