import type { IncomingMessage } from "node:http";
import type { HttpProblem } from "./http-problem.ts";
import { tokenOf } from "./http-tokens.ts";

/** One message at the most: a file's content fits. */
export const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;

const METHODS = ["POST", "GET", "DELETE"];
const LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"];

export interface GuardMeans {
  /** Names that this server is reached by, beside those of loopback. */
  readonly names: readonly string[];
  readonly tokens: readonly string[];
}

type GuardedRequest = Pick<IncomingMessage, "method" | "url" | "headers" | "headersDistinct">;

export type Guarded =
  | { readonly kind: "serve"; readonly token: string }
  | { readonly kind: "health" }
  | { readonly kind: "refuse"; readonly problem: HttpProblem };

/**
 * Who is not to be answered is not, before anything of the body is read: whoever reaches this machine
 * by a name that is not its own (as a web page does that has its name point here), web pages of others,
 * those without a token, and what is too large or of a form that nobody needs.
 */
export function guardRequest(request: GuardedRequest, { names, tokens }: GuardMeans): Guarded {
  const allowed = [...LOOPBACK_NAMES, ...names.map(bracketed)];
  const { headers, headersDistinct, method = "", url = "" } = request;
  if (!isAllowedHost(headersDistinct["host"], allowed)) {
    return refuse(403, "the Host header does not name this server");
  }
  if (!isAllowedOrigin(headersDistinct["origin"], allowed)) {
    return refuse(403, "web pages of other origins are not answered");
  }
  if (!url.startsWith("/")) return refuse(400, "the request's target is not a path");
  const [path] = url.split("?", 1);
  if (path === "/health" && method === "GET") return { kind: "health" };
  if (path !== "/mcp") return refuse(404, "there is nothing at this address");
  if (!METHODS.includes(method)) {
    return refuse(405, `${method} is not answered here`, { Allow: METHODS.join(", ") });
  }
  const token = tokenOf(headers.authorization, tokens);
  if (token === null) {
    const challenge = { "WWW-Authenticate": 'Bearer realm="mycelium"' };
    return refuse(401, "a bearer token is needed", challenge);
  }
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    return refuse(415, "compressed bodies are not read");
  }
  if (Number(headers["content-length"] ?? 0) > MESSAGE_BYTES_MAX) {
    return refuse(413, `a message has at most ${MESSAGE_BYTES_MAX} bytes`, CLOSE);
  }
  return { kind: "serve", token };
}

const CLOSE = { Connection: "close" };

function refuse(
  status: HttpProblem["status"],
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Guarded {
  return { kind: "refuse", problem: { status, message, headers } };
}

const HOST = /^(?<name>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?$/i;

/** Exactly one, and of a form that says nothing else. */
function isAllowedHost(given: readonly string[] | undefined, allowed: readonly string[]): boolean {
  const [host, ...others] = given ?? [];
  if (host === undefined || others.length > 0) return false;
  const name = HOST.exec(host)?.groups?.["name"];
  return name !== undefined && allowed.includes(name.toLowerCase());
}

const ORIGIN = /^https?:\/\/(?<host>[^/@?#\\]+)$/i;

/** Programs send none; of web pages, those of this machine may ask. */
function isAllowedOrigin(
  given: readonly string[] | undefined,
  allowed: readonly string[],
): boolean {
  if (given === undefined || given.length === 0) return true;
  const host = given.length > 1 ? undefined : ORIGIN.exec(given[0] ?? "")?.groups?.["host"];
  return host !== undefined && isAllowedHost([host], allowed);
}

/** As it stands in an address. */
export function bracketed(host: string): string {
  const name = host.toLowerCase();
  return name.includes(":") && !name.startsWith("[") ? `[${name}]` : name;
}
