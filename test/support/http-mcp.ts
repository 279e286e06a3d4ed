import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { eventually } from "./eventually.ts";
import type { Sandbox } from "./cli.ts";
import { startProgram, type LiveProgram } from "./live-program.ts";

export interface Served {
  readonly program: LiveProgram;
  readonly url: URL;
}

/** The server over HTTP, as soon as it answers. */
export async function serveHttp(
  sandbox: Sandbox,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const program = startProgram(sandbox, ["mcp", "--kind", "local", "--http", "0", ...args], env);
  const said = /serving at (\S+)\n/;
  await eventually("it serves", () => said.test(program.printed.stderr));
  const [, address = ""] = said.exec(program.printed.stderr) ?? [];
  return { program, url: new URL(address) };
}

export interface Connection extends AsyncDisposable {
  readonly client: Client;
  call(
    name: string,
    input: object,
    signal?: AbortSignal,
  ): Promise<Awaited<ReturnType<Client["callTool"]>>>;
}

export type Era = "legacy" | "modern";

/** A client of the protocol's own library. */
export async function connectHttp(
  url: URL,
  token: string,
  era: Era = "legacy",
): Promise<Connection> {
  const requestInit = { headers: { Authorization: `Bearer ${token}` } };
  const transport = new StreamableHTTPClientTransport(url, { requestInit });
  const options = era === "modern" ? { versionNegotiation: { mode: "auto" as const } } : {};
  const client = new Client({ name: `http-${era}`, version: "1.0.0" }, options);
  await client.connect(transport);
  return {
    client,
    call: (name, input, signal) =>
      client.callTool({ name, arguments: { ...input } }, signal === undefined ? {} : { signal }),
    [Symbol.asyncDispose]: async () => {
      // Its server may have ended it by now.
      if (era === "legacy") await transport.terminateSession().catch(() => undefined);
      await client.close();
    },
  };
}
