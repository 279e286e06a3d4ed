import { Option, type Command } from "commander";
import type { HttpRequest } from "../../mcp/serve-http.ts";
import type { Runner } from "../program.ts";
import type { Session } from "../session.ts";
import { wholeNumber } from "../values.ts";
import { list } from "./workspace/performing.ts";

interface McpOptions {
  readonly kind?: "local" | "sandbox" | "docker" | "vm";
  readonly http?: number;
  readonly host?: string;
  readonly allowHost?: readonly string[];
  readonly tokenFile?: string;
}

export function addMcp(program: Command, run: Runner): void {
  const kinds = ["local", "sandbox", "docker", "vm"];
  program
    .command("mcp")
    .description("serve agents: the Model Context Protocol on standard input and output")
    .addOption(
      new Option("--kind <kind>", "of workspaces where an agent names none (default: the best)") //
        .choices(kinds),
    )
    .option("--http <port>", "serve over HTTP instead; 0 takes a free port", wholeNumber(0))
    .option("--host <address>", "with --http (default: 127.0.0.1)")
    .option("--allow-host <name>", "another name that clients reach it by; again for more", list)
    .option("--token-file <file>", "with --http: one token a line (default: $MYCELIUM_MCP_TOKEN)")
    .action((options: McpOptions, command: Command) =>
      run(command, (session) => serve(session, options)),
    );
}

async function serve(session: Session, options: McpOptions): Promise<number> {
  const { readSessionPolicy } = await import("../../sessions/policy.ts");
  const { commonSecrets } = await import("../../control/known-secrets.ts");
  const { context, terminal } = session;
  const policy = await readSessionPolicy(context.environment.home);
  const request = {
    policy,
    context: { ...context, defaultKind: options.kind },
    secrets: commonSecrets(context.environment),
    onError: (error: Error) => terminal.stderr.write(`mycelium: ${error.message}\n`),
  };
  if (options.http !== undefined) return serveHttp(session, options, request);
  const { serveOnStdio } = await import("../../mcp/serve-stdio.ts");
  await serveOnStdio(request);
  return 0;
}

type HttpBase = Omit<HttpRequest, "host" | "names" | "port" | "tokens" | "onListening">;

async function serveHttp(
  { context, terminal }: Session,
  { http: port = 0, host = "127.0.0.1", allowHost: names = [], tokenFile: file }: McpOptions,
  request: HttpBase,
): Promise<number> {
  const { isLoopback, serveOnHttp } = await import("../../mcp/serve-http.ts");
  const { findTokens } = await import("../../mcp/http-tokens.ts");
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
