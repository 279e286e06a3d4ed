import { createHash, randomBytes, randomUUID } from "node:crypto";
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import type { Clock } from "../lib/clock.ts";
import {
  openClientSession,
  type ClientSession,
  type ClientSessionRequest,
} from "./client-session.ts";
import { makeMcpServer } from "./server.ts";
import type { OfferedTool } from "./tool-list.ts";

/** A client that says nothing for so long has gone; what it owns may be taken over then. */
const IDLE_MS = 300_000;
const SWEEP_MS = 10_000;
const SESSIONS_MAX = 256;
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
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
  during<T>(seat: Seat, work: () => Promise<T>): Promise<T>;
}

export interface HttpSessionsMeans {
  readonly request: Omit<ClientSessionRequest, "transport" | "id">;
  readonly tools: ReadonlyMap<string, OfferedTool>;
  readonly clock: Clock;
}

export function openHttpSessions({ request, tools, clock }: HttpSessionsMeans): HttpSessions {
  const seats = new Map<string, Seat>();
  const { version } = request.context;

  const take = (key: string, token: string, more: Partial<Seat> & { id: string }): Seat | null => {
    if (seats.size >= SESSIONS_MAX) return null;
    const { id, transport = null } = more;
    const session = openClientSession({ ...request, transport: "http", id });
    const seat: Seat = { session, token, transport, usedAtMs: clock.monotonic(), inFlight: 0 };
    seats.set(key, seat);
    return seat;
  };
  const leave = async (key: string): Promise<void> => {
    const seat = seats.get(key);
    seats.delete(key);
    await seat?.transport?.close();
    await seat?.session[Symbol.asyncDispose]();
  };
  const sweep = (): void => {
    for (const [key, { inFlight, usedAtMs }] of seats) {
      if (inFlight === 0 && clock.monotonic() - usedAtMs > IDLE_MS) void leave(key);
    }
  };
  const timer = setInterval(sweep, SWEEP_MS);
  timer.unref();

  const during: HttpSessions["during"] = async (seat, work) => {
    seat.inFlight += 1;
    try {
      return await work();
    } finally {
      seat.inFlight -= 1;
      seat.usedAtMs = clock.monotonic();
    }
  };
  const begin = async (asked: Request, token: string): Promise<Response> => {
    const key = randomUUID();
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => key,
      onsessionclosed: () => leave(key),
      maxRequestBodySize: MESSAGE_BYTES_MAX,
    });
    const id = `h-${randomBytes(8).toString("hex")}`;
    const seat = take(key, token, { id, transport });
    if (seat === null) return problem(503, "too many sessions");
    const server = makeMcpServer({ version, tools, sessionOf: () => seat.session });
    await server.connect(transport);
    const response = await during(seat, () => transport.handleRequest(asked));
    // Whatever began without an initialize is no session.
    if (transport.sessionId === undefined) await leave(key);
    return response;
  };
  return {
    during,
    byToken: (asked, token) => {
      const name = asked.headers.get(NAME_HEADER) ?? "";
      const key = `${token}\0${NAME.test(name) ? name : ""}`;
      const hash = createHash("sha256").update(key).digest("hex").slice(0, 16);
      const seat = seats.get(key) ?? take(key, token, { id: `t-${hash}` });
      if (seat !== null) seat.usedAtMs = clock.monotonic();
      return seat;
    },
    serveLegacy: async (asked, token) => {
      const id = asked.headers.get("mcp-session-id");
      if (id === null) return begin(asked, token);
      const seat = seats.get(id);
      // Another token's session is not there, as far as this one can tell.
      if (seat?.transport == null || seat.token !== token) return problem(404, "no such session");
      const { transport } = seat;
      return during(seat, () => transport.handleRequest(asked));
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await Promise.all([...seats.keys()].map(leave));
    },
  };
}

/** As every error over HTTP is told. */
export function problem(
  status: number,
  message: string,
  headers: Record<string, string> = {},
): Response {
  const code = { 401: "unauthorized", 403: "forbidden", 404: "not-found" }[status] ?? "unavailable";
  const error = { code, message, details: {}, correlation_id: randomUUID() };
  return Response.json({ error }, { status, headers });
}
