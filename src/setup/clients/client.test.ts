import { expect, test } from "vitest";
import { CLIENT_NAMES, placesOf, type ClientMachine } from "./client.ts";

function machine(wanted: Partial<ClientMachine> = {}): ClientMachine {
  return {
    platform: "linux",
    userHome: "/home/u",
    project: "/p",
    lookup: () => undefined,
    ...wanted,
  };
}

test("each client is told in its own file, for a project and for a person", () => {
  const places = CLIENT_NAMES.map((client) => [
    placesOf(client, "project", machine())?.config ?? null,
    placesOf(client, "user", machine())?.config ?? null,
  ]);
  expect(Object.fromEntries(CLIENT_NAMES.map((name, at) => [name, places[at]]))).toEqual({
    "claude-code": ["/p/.mcp.json", "/home/u/.claude.json"],
    "claude-desktop": [null, "/home/u/.config/Claude/claude_desktop_config.json"],
    "cursor": ["/p/.cursor/mcp.json", "/home/u/.cursor/mcp.json"],
    "vscode": ["/p/.vscode/mcp.json", "/home/u/.config/Code/User/mcp.json"],
    "codex": ["/p/.codex/config.toml", "/home/u/.codex/config.toml"],
  });
  expect(placesOf("claude-desktop", "user", machine())?.skills).toBeNull();
  expect(placesOf("claude-code", "user", machine())?.skills).toBe("/home/u/.claude/skills");
});

test("other systems and the clients' own variables move them", () => {
  const at = (client: "claude-desktop" | "vscode", wanted: Partial<ClientMachine>) =>
    placesOf(client, "user", machine(wanted))?.config;
  expect(at("claude-desktop", { platform: "darwin" })).toBe(
    "/home/u/Library/Application Support/Claude/claude_desktop_config.json",
  );
  const variables: Readonly<Record<string, string>> = {
    APPDATA: "/data",
    XDG_CONFIG_HOME: "",
    CLAUDE_CONFIG_DIR: "/cc",
    CODEX_HOME: "/cx",
  };
  const lookup = (name: string): string | undefined => variables[name];
  expect(at("vscode", { platform: "win32", lookup })).toBe("/data/Code/User/mcp.json");
  // An empty variable is one that somebody cleared.
  expect(at("vscode", { lookup })).toBe("/home/u/.config/Code/User/mcp.json");
  expect(placesOf("claude-code", "user", machine({ lookup }))).toEqual({
    config: "/cc/.claude.json",
    skills: "/cc/skills",
  });
  expect(placesOf("codex", "user", machine({ lookup }))?.config).toBe("/cx/config.toml");
});
