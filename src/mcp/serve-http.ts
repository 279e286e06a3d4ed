import type { AddressInfo } from "node:net";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest } from "@modelcontextprotocol/server";
import { Refusal } from "../domain/failure.ts";
import { systemClock } from "../lib/clock.ts";
import type { ClientSessionRequest } from "./client-session.ts";
import { bracketed, guardRequest, MESSAGE_BYTES_MAX } from "./http-guard.ts";
import { problem } from "./http-problem.ts";
import { listen, makeHttpServer, sendProblem, type HttpHandler } from "./http-server.ts";
import { openHttpSessions, type HttpSessions } from "./http-sessions.ts";
import { makeMcpServer } from "./server.ts";
import { offeredTools } from "./tool-list.ts";

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);
const TOO_MANY = {
  status: 503,
  message: "there are too many sessions",
  headers: { "Retry-After": "60" },
} as const;

export type HttpRequest = Omit<ClientSessionRequest, "transport" | "id"> & {
  readonly host: string;
  /** Others by which clients reach it. */
  readonly names: readonly string[];
  /** 0 takes one that is free. */
  readonly port: number;
  readonly tokens: readonly string[];
  readonly onListening: (url: string) => void;
  readonly onError: (error: Error) => void;
};

export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host);
}

/** Serves clients over streamable HTTP until the signal is aborted. */
export async function serveOnHttp(request: HttpRequest): Promise<void> {
  const { context, host, port, tokens, onListening } = request;
  const { signal } = context;
  if (tokens.length === 0) throw new Refusal("usage", "nobody is served without a token");
  const tools = offeredTools();
  await using sessions = openHttpSessions({ request, tools, clock: systemClock });
  const server = makeHttpServer(makeHandler(request, sessions, tools));
  await listen(server, { host, port });
  const { port: real } = server.address() as AddressInfo;
  onListening(`http://${bracketed(host)}:${real}/mcp`);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  server.close();
  server.closeAllConnections();
}

function makeHandler(
  request: HttpRequest,
  sessions: HttpSessions,
  tools: ReturnType<typeof offeredTools>,
): HttpHandler {
  const { host, tokens, onError } = request;
  const names = [...request.names, ...(isLoopback(host) ? [] : [host])];
  const serve = makeServe(request, sessions, tools);
  return (asked, answer) => {
    const guarded = guardRequest(asked, { names, tokens });
    if (guarded.kind === "refuse") return sendProblem(answer, guarded.problem);
    if (guarded.kind === "health") {
      answer.writeHead(200, { "Content-Type": "application/json" }).end('{"status":"healthy"}');
      return;
    }
    const { token } = guarded;
    const handle = toNodeHandler(
      { fetch: (web) => serve(web, token) },
      { maxRequestBodySize: MESSAGE_BYTES_MAX, onerror: onError },
    );
    // Its own type is the same, said less exactly.
    void handle(asked as Parameters<typeof handle>[0], answer);
  };
}

type Serve = (asked: Request, token: string) => Promise<Response>;

function makeServe(
  { context, onError }: HttpRequest,
  sessions: HttpSessions,
  tools: ReturnType<typeof offeredTools>,
): Serve {
  const { version } = context;
  return async (asked, token) => {
    if (await isLegacyRequest(asked)) return sessions.serveLegacy(asked, token);
    const seat = sessions.byToken(asked, token);
    if (seat === null) return problem(TOO_MANY);
    const factory = () => makeMcpServer({ version, tools, sessionOf: () => seat.session });
    const modern = createMcpHandler(factory, {
      legacy: "reject",
      onerror: onError,
      maxRequestBodySize: MESSAGE_BYTES_MAX,
    });
    return sessions.during(seat, () => modern.fetch(asked));
  };
}
