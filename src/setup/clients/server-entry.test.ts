import { expect, test } from "vitest";
import { CLIENTS } from "./client.ts";
import { entryFor, serverCommand, snippetFor } from "./server-entry.ts";

const program = ["/usr/bin/node", "/opt/my celium.js"] as const;
const plain = { program, kind: undefined, home: undefined, configFile: undefined };

test("the kind, the home and the configuration reach the server", () => {
  expect(serverCommand(plain)).toEqual({
    command: "/usr/bin/node",
    args: ["/opt/my celium.js", "mcp"],
  });
  const all = serverCommand({ ...plain, kind: "vm", home: "/h", configFile: "/c.yaml" });
  expect(all.args.slice(1)).toEqual(["mcp", "--kind", "vm", "--home", "/h", "--config", "/c.yaml"]);
});

test("an entry has no more than the client needs, and no variable", () => {
  const server = serverCommand(plain);
  const args = ["/opt/my celium.js", "mcp"];
  expect(entryFor(CLIENTS.vscode, server)).toEqual({
    type: "stdio",
    command: "/usr/bin/node",
    args,
  });
  expect(entryFor(CLIENTS.cursor, server)).toEqual({ command: "/usr/bin/node", args });
});

test("TOML is written with every character escaped that needs it", () => {
  const server = { command: 'a"b\\c', args: ["\u0001\u007F\n"] };
  expect(snippetFor(CLIENTS.codex, "my", server)).toBe(
    '[mcp_servers.my]\ncommand = "a\\"b\\\\c"\nargs = ["\\u0001\\u007F\\n"]',
  );
});
