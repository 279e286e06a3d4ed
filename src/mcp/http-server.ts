import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Refusal } from "../domain/failure.ts";
import { problemBody, problemHeaders, type HttpProblem } from "./http-problem.ts";

/** What one client may take of this server's time and memory before it has asked for anything. */
const LIMITS = {
  connections: 1_024,
  headerBytes: 32 * 1024,
  headers: 100,
  /** From the first byte of a request to the last one of its headers, and of its body. */
  headersMs: 10_000,
  requestMs: 60_000,
  /** Between two requests on one connection. */
  keepAliveMs: 15_000,
  checkMs: 1_000,
} as const;

export type HttpHandler = (asked: IncomingMessage, answer: ServerResponse) => void;

/** A server that waits for nobody for long, and tells what it does not understand as JSON. */
export function makeHttpServer(handle: HttpHandler): Server {
  const server = createServer(
    {
      maxHeaderSize: LIMITS.headerBytes,
      headersTimeout: LIMITS.headersMs,
      // Only until a request is there: a tool may take as long as it takes to answer.
      requestTimeout: LIMITS.requestMs,
      keepAliveTimeout: LIMITS.keepAliveMs,
      connectionsCheckingInterval: LIMITS.checkMs,
    },
    handle,
  );
  server.maxHeadersCount = LIMITS.headers;
  server.maxConnections = LIMITS.connections;
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
    socket.end(rawAnswer(problemOf(error)));
  });
  return server;
}

function problemOf({ code }: NodeJS.ErrnoException): HttpProblem {
  if (code === "HPE_HEADER_OVERFLOW") return { status: 431, message: "the headers are too large" };
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return { status: 408, message: "the request took too long to arrive" };
  }
  return { status: 400, message: "this is no request of HTTP" };
}

/** Nothing of Node's own can be written where no request came to be. */
function rawAnswer(problem: HttpProblem): string {
  const body = problemBody(problem);
  const headers = { ...problemHeaders(problem, body), Connection: "close" };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  return `HTTP/1.1 ${problem.status} Refused\r\n${lines.join("\r\n")}\r\n\r\n${body}`;
}

export function sendProblem(answer: ServerResponse, problem: HttpProblem): void {
  const body = problemBody(problem);
  answer.writeHead(problem.status, problemHeaders(problem, body)).end(body);
}

export function listen(
  server: Server,
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
