import type { HttpRequest } from "../../../mcp/serve-http.ts";
import type { Session } from "../../session.ts";

export interface McpOptions {
  readonly kind?: "local" | "sandbox" | "docker" | "vm";
  readonly http?: number;
  readonly host?: string;
  readonly allowHost?: readonly string[];
  readonly tokenFile?: string;
}

export async function serveMcp(session: Session, options: McpOptions): Promise<number> {
  const { readSessionPolicy } = await import("../../../sessions/policy.ts");
  const { commonSecrets } = await import("../../../control/known-secrets.ts");
  const { context, terminal } = session;
  const policy = await readSessionPolicy(context.environment.home);
  const request = {
    policy,
    context: { ...context, defaultKind: options.kind },
    secrets: commonSecrets(context.environment),
    onError: (error: Error) => terminal.stderr.write(`mycelium: ${error.message}\n`),
  };
  if (options.http !== undefined) return serveHttp(session, options, request);
  const { serveOnStdio } = await import("../../../mcp/serve-stdio.ts");
  await serveOnStdio(request);
  return 0;
}

type HttpBase = Omit<HttpRequest, "host" | "names" | "port" | "tokens" | "onListening">;

async function serveHttp(
  { context, terminal }: Session,
  { http: port = 0, host = "127.0.0.1", allowHost: names = [], tokenFile: file }: McpOptions,
  request: HttpBase,
): Promise<number> {
  const { isLoopback, serveOnHttp } = await import("../../../mcp/serve-http.ts");
  const { findTokens } = await import("../../../mcp/http-tokens.ts");
  const { environment } = context;
  const { tokens, madeAt } = await findTokens({
    home: environment.home,
    file,
    given: environment.lookup("MYCELIUM_MCP_TOKEN"),
    isLoopback: isLoopback(host),
  });
  const onListening = (url: string): void => {
    terminal.stderr.write(`mycelium: serving at ${url}\n`);
    if (madeAt !== null) terminal.stderr.write(`mycelium: the token is in ${madeAt}\n`);
  };
  await serveOnHttp({ ...request, host, names, port, tokens, onListening });
  return 0;
}
