import { randomUUID } from "node:crypto";

/** What can be wrong with a request before any tool is called, by its status. */
const CODES = {
  400: "bad-request",
  401: "unauthorized",
  403: "forbidden",
  404: "not-found",
  405: "method-not-allowed",
  408: "too-slow",
  413: "too-large",
  415: "unsupported-encoding",
  431: "too-large",
  503: "unavailable",
} as const;

export interface HttpProblem {
  readonly status: keyof typeof CODES;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** As every error over HTTP is told. */
export function problemBody({ status, message }: HttpProblem): string {
  const correlation_id = randomUUID();
  return JSON.stringify({ error: { code: CODES[status], message, details: {}, correlation_id } });
}

export function problem(asked: HttpProblem): Response {
  const body = problemBody(asked);
  return new Response(body, { status: asked.status, headers: problemHeaders(asked, body) });
}

export function problemHeaders({ headers }: HttpProblem, body: string): Record<string, string> {
  const length = String(Buffer.byteLength(body));
  return { "Content-Type": "application/json", "Content-Length": length, ...headers };
}
