import { createHash, randomBytes, randomUUID } from "node:crypto";
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import type { Clock } from "../lib/clock.ts";
import { MESSAGE_BYTES_MAX } from "./http-guard.ts";
import { problem } from "./http-problem.ts";
import {
  openClientSession,
  type ClientSession,
  type ClientSessionRequest,
} from "./client-session.ts";
import { makeMcpServer } from "./server.ts";
import type { OfferedTool } from "./tool-list.ts";

const SWEEP_MS = 10_000;
const SWEEPS_AN_IDLE = 4;
/** Tells clients with one token apart. */
const NAME_HEADER = "mycelium-session";
const NAME = /^[A-Za-z0-9._-]{1,64}$/;

interface Seat {
  readonly session: ClientSession;
  readonly token: string;
  readonly transport: WebStandardStreamableHTTPServerTransport | null;
  usedAtMs: number;
  inFlight: number;
}

export interface HttpSessions extends AsyncDisposable {
  /** The session of whoever has this token (and says this name), made where it is new. */
  byToken(request: Request, token: string): Seat | null;
  /** Serves a client that keeps a connection's session, as protocol versions before 2026 do. */
  serveLegacy(request: Request, token: string): Promise<Response>;
  /** While it is answered, a session is not idle. */
  readonly during: Seats["during"];
}

export interface HttpSessionsMeans {
  readonly request: Omit<ClientSessionRequest, "transport" | "id">;
  readonly tools: ReadonlyMap<string, OfferedTool>;
  readonly clock: Clock;
}

export function openHttpSessions(means: HttpSessionsMeans): HttpSessions {
  const seats = openSeats(means);
  const { during } = seats;
  return {
    during,
    byToken: (asked, token) => {
      const name = asked.headers.get(NAME_HEADER) ?? "";
      const key = `${token}\0${NAME.test(name) ? name : ""}`;
      const hash = createHash("sha256").update(key).digest("hex").slice(0, 16);
      return seats.find(key) ?? seats.take(key, { id: `t-${hash}`, token, transport: null });
    },
    serveLegacy: async (asked, token) => {
      const id = asked.headers.get("mcp-session-id");
      if (id === null) return begin(means, seats, { asked, token });
      const seat = seats.find(id);
      const transport = seat?.transport ?? null;
      // Another token's session is not there, as far as this one can tell.
      if (seat === null || transport === null || seat.token !== token) {
        return problem({ status: 404, message: "no such session" });
      }
      return during(seat, () => transport.handleRequest(asked));
    },
    [Symbol.asyncDispose]: () => seats.close(),
  };
}

async function begin(
  { request, tools }: HttpSessionsMeans,
  seats: Seats,
  { asked, token }: { readonly asked: Request; readonly token: string },
): Promise<Response> {
  const key = randomUUID();
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: () => key,
    onsessionclosed: () => seats.leave(key),
    maxRequestBodySize: MESSAGE_BYTES_MAX,
  });
  const id = `h-${randomBytes(8).toString("hex")}`;
  const seat = seats.take(key, { id, token, transport });
  if (seat === null) return problem({ status: 503, message: "there are too many sessions" });
  const { version } = request.context;
  const server = makeMcpServer({ version, tools, sessionOf: () => seat.session });
  await server.connect(transport);
  const response = await seats.during(seat, () => transport.handleRequest(asked));
  // Whatever began without an initialize is no session.
  if (transport.sessionId === undefined) await seats.leave(key);
  return response;
}

interface Seats {
  readonly find: (key: string) => Seat | null;
  /** `null` where there are too many. */
  readonly take: (key: string, who: NewSeat) => Seat | null;
  readonly leave: (key: string) => Promise<void>;
  readonly during: <T>(seat: Seat, work: () => Promise<T>) => Promise<T>;
  readonly close: () => Promise<void>;
}

type NewSeat = Pick<Seat, "token" | "transport"> & { readonly id: string };

function openSeats({ request, clock }: HttpSessionsMeans): Seats {
  const { sessions, sessions_per_token: perToken, idle_seconds: idleSeconds } = request.policy.http;
  const idleMs = idleSeconds * 1000;
  const seats = new Map<string, Seat>();
  const leave = async (key: string): Promise<void> => {
    const seat = seats.get(key);
    seats.delete(key);
    await seat?.transport?.close();
    await seat?.session[Symbol.asyncDispose]();
  };
  const sweep = (): void => {
    for (const [key, seat] of seats) {
      // A call that is answered piece by piece goes on when its request has its first answer.
      if (seat.inFlight > 0 || seat.session.isBusy()) seat.usedAtMs = clock.monotonic();
      else if (clock.monotonic() - seat.usedAtMs > idleMs) void leave(key);
    }
  };
  const timer = setInterval(sweep, Math.min(SWEEP_MS, idleMs / SWEEPS_AN_IDLE));
  timer.unref();
  return {
    find: (key) => {
      const seat = seats.get(key) ?? null;
      if (seat !== null) seat.usedAtMs = clock.monotonic();
      return seat;
    },
    take: (key, { id, token, transport }) => {
      const own = [...seats.values()].filter((seat) => seat.token === token).length;
      if (seats.size >= sessions || own >= perToken) return null;
      const session = openClientSession({ ...request, transport: "http", id });
      const seat: Seat = { session, token, transport, usedAtMs: clock.monotonic(), inFlight: 0 };
      seats.set(key, seat);
      return seat;
    },
    leave,
    during: async (seat, work) => {
      seat.inFlight += 1;
      try {
        return await work();
      } finally {
        seat.inFlight -= 1;
        seat.usedAtMs = clock.monotonic();
      }
    },
    close: async () => {
      clearInterval(timer);
      await Promise.all([...seats.keys()].map((key) => leave(key)));
    },
  };
}
