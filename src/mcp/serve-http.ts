import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { toNodeHandler } from "@modelcontextprotocol/node";
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from "@modelcontextprotocol/server";
import { Refusal } from "../domain/failure.ts";
import { systemClock } from "../lib/clock.ts";
import type { ClientSessionRequest } from "./client-session.ts";
import { openHttpSessions, problem, type HttpSessions } from "./http-sessions.ts";
import { tokenOf } from "./http-tokens.ts";
import { makeMcpServer } from "./server.ts";
import { offeredTools } from "./tool-list.ts";

const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

export type HttpRequest = Omit<ClientSessionRequest, "transport" | "id"> & {
  readonly host: string;
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
  const { context, host, port, onListening, onError } = request;
  const { signal } = context;
  const tools = offeredTools();
  await using sessions = openHttpSessions({ request, tools, clock: systemClock });
  const serve = makeHandler(request, sessions, tools);
  const handle = toNodeHandler(
    { fetch: (asked) => guard(request, asked, serve) },
    { maxRequestBodySize: MESSAGE_BYTES_MAX, onerror: onError },
  );
  const server = createServer((asked, answer) => {
    // Its own type is the same, said less exactly.
    void handle(asked as Parameters<typeof handle>[0], answer);
  });
  // A tool call may be silent for as long as it takes.
  server.requestTimeout = 0;
  await listen(server, { host, port });
  const { port: real } = server.address() as AddressInfo;
  onListening(`http://${host.includes(":") ? `[${host}]` : host}:${real}/mcp`);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
  server.close();
  server.closeAllConnections();
}

function listen(
  server: ReturnType<typeof createServer>,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      reject(
        new Refusal("usage", `cannot listen at ${host}:${port}: ${error.message}`, {
          hint: "choose another port; 0 takes one that is free",
        }),
      );
    });
    server.listen(port, host, resolve);
  });
}

type Serve = (asked: Request, token: string) => Promise<Response>;

function makeHandler(
  { context, onError }: HttpRequest,
  sessions: HttpSessions,
  tools: ReturnType<typeof offeredTools>,
): Serve {
  const { version } = context;
  return async (asked, token) => {
    if (await isLegacyRequest(asked)) return sessions.serveLegacy(asked, token);
    const seat = sessions.byToken(asked, token);
    if (seat === null) return problem(503, "too many sessions");
    const factory = () => makeMcpServer({ version, tools, sessionOf: () => seat.session });
    const modern = createMcpHandler(factory, {
      legacy: "reject",
      onerror: onError,
      maxRequestBodySize: MESSAGE_BYTES_MAX,
    });
    return sessions.during(seat, () => modern.fetch(asked));
  };
}

/** Who is not to be answered is not: other names of this machine, web pages, those without a token. */
async function guard(request: HttpRequest, asked: Request, serve: Serve): Promise<Response> {
  const { host, tokens } = request;
  const own = isLoopback(host) ? [] : [host];
  const rejected =
    hostHeaderValidationResponse(asked, [...localhostAllowedHostnames(), ...own]) ??
    originValidationResponse(asked, [...localhostAllowedOrigins(), ...own]);
  if (rejected !== undefined) return rejected;
  const { pathname } = new URL(asked.url);
  if (pathname === "/health") return Response.json({ status: "healthy" });
  if (pathname !== "/mcp") return problem(404, "there is nothing at this address");
  const token = tokenOf(asked, tokens);
  const challenge = { "WWW-Authenticate": 'Bearer realm="mycelium"' };
  if (token === null) return problem(401, "a bearer token is needed", challenge);
  return serve(asked, token);
}
