import type { Client } from "./client.ts";

/** How a client starts the server. Holds no secret: only a program, its arguments and places. */
export interface ServerCommand {
  readonly command: string;
  readonly args: readonly string[];
}

export interface ServerWishes {
  /** The program that clients start, with what stands before the first argument. */
  readonly program: readonly [string, ...string[]];
  /** Of workspaces where an agent names none; the server's own choice where it is left out. */
  readonly kind: string | undefined;
  /** Mycelium's home and configuration, where they are not the ones that it finds by itself. */
  readonly home: string | undefined;
  readonly configFile: string | undefined;
}

export function serverCommand({ program, kind, home, configFile }: ServerWishes): ServerCommand {
  const [command, ...before] = program;
  const option = (name: string, value: string | undefined): readonly string[] =>
    value === undefined ? [] : [name, value];
  const args = [
    ...before,
    "mcp",
    ...option("--kind", kind),
    ...option("--home", home),
    ...option("--config", configFile),
  ];
  return { command, args };
}

/** The entry as it stands in a client's JSON. */
export function entryFor(client: Client, { command, args }: ServerCommand): object {
  return { ...(client.isTyped && { type: "stdio" }), command, args: [...args] };
}

/** The part of a configuration that tells a client of the server, as it would stand alone. */
export function snippetFor(client: Client, name: string, server: ServerCommand): string {
  if (client.format === "json") {
    return JSON.stringify({ [client.key]: { [name]: entryFor(client, server) } }, null, 2);
  }
  return [
    `[${client.key}.${name}]`,
    `command = ${tomlString(server.command)}`,
    `args = [${server.args.map(tomlString).join(", ")}]`,
  ].join("\n");
}

/** JSON's escapes are TOML's as well, but for one character that TOML wants escaped. */
function tomlString(text: string): string {
  return JSON.stringify(text).replaceAll("\u007F", "\\u007F");
}
