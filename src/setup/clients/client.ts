import { join } from "node:path";

/** The clients that can be told of the server, and where each keeps what it knows. */

export const CLIENT_NAMES = ["claude-code", "claude-desktop", "cursor", "vscode", "codex"] as const;
export type ClientName = (typeof CLIENT_NAMES)[number];

/** Of one person on this machine, or of everybody who works on a project. */
export const CLIENT_SCOPES = ["user", "project"] as const;
export type ClientScope = (typeof CLIENT_SCOPES)[number];

export interface Client {
  readonly title: string;
  /** What its configuration is written in: JSON may hold comments, TOML is only printed. */
  readonly format: "json" | "toml";
  /** The key of the object that holds its servers. */
  readonly key: string;
  /** Whether an entry has to say that the server speaks on pipes. */
  readonly isTyped: boolean;
}

export const CLIENTS: Readonly<Record<ClientName, Client>> = {
  "claude-code": { title: "Claude Code", format: "json", key: "mcpServers", isTyped: true },
  "claude-desktop": { title: "Claude Desktop", format: "json", key: "mcpServers", isTyped: false },
  "cursor": { title: "Cursor", format: "json", key: "mcpServers", isTyped: false },
  "vscode": { title: "VS Code", format: "json", key: "servers", isTyped: true },
  "codex": { title: "Codex", format: "toml", key: "mcp_servers", isTyped: false },
};

/** What places depend on. */
export interface ClientMachine {
  readonly platform: NodeJS.Platform;
  readonly userHome: string;
  /** The top of the work tree, or the folder where there is none. */
  readonly project: string;
  readonly lookup: (name: string) => string | undefined;
}

export interface ClientPlaces {
  /** The configuration file. */
  readonly config: string;
  /** The folder that skills have a folder each in; `null` where the client reads none there. */
  readonly skills: string | null;
}

/** Where a client looks; `null` where it knows no such scope. */
export function placesOf(
  client: ClientName,
  scope: ClientScope,
  machine: ClientMachine,
): ClientPlaces | null {
  return scope === "project" ? projectPlaces(client, machine.project) : userPlaces(client, machine);
}

function projectPlaces(client: ClientName, project: string): ClientPlaces | null {
  const at = (config: string, skills: string): ClientPlaces => ({
    config: join(project, config),
    skills: join(project, skills),
  });
  switch (client) {
    case "claude-code":
      return at(".mcp.json", ".claude/skills");
    case "cursor":
      return at(".cursor/mcp.json", ".cursor/skills");
    case "vscode":
      return at(".vscode/mcp.json", ".github/skills");
    case "codex":
      return at(".codex/config.toml", ".agents/skills");
    case "claude-desktop":
      return null;
  }
}

function userPlaces(client: ClientName, machine: ClientMachine): ClientPlaces {
  const { userHome } = machine;
  // An empty variable is one that somebody cleared.
  const variable = (name: string): string | null => machine.lookup(name) || null;
  switch (client) {
    case "claude-code": {
      const own = variable("CLAUDE_CONFIG_DIR");
      const folder = own ?? join(userHome, ".claude");
      return { config: join(own ?? userHome, ".claude.json"), skills: join(folder, "skills") };
    }
    case "claude-desktop": {
      const folder = join(applicationData(machine, variable), "Claude");
      return { config: join(folder, "claude_desktop_config.json"), skills: null };
    }
    case "cursor": {
      const folder = join(userHome, ".cursor");
      return { config: join(folder, "mcp.json"), skills: join(folder, "skills") };
    }
    case "vscode": {
      const folder = join(applicationData(machine, variable), "Code", "User");
      return { config: join(folder, "mcp.json"), skills: join(userHome, ".copilot", "skills") };
    }
    case "codex": {
      const folder = variable("CODEX_HOME") ?? join(userHome, ".codex");
      return { config: join(folder, "config.toml"), skills: join(userHome, ".agents", "skills") };
    }
  }
}

/** Where programs with windows keep what is a person's. */
function applicationData(
  { platform, userHome }: ClientMachine,
  variable: (name: string) => string | null,
): string {
  if (platform === "darwin") return join(userHome, "Library", "Application Support");
  if (platform === "win32") return variable("APPDATA") ?? join(userHome, "AppData", "Roaming");
  return variable("XDG_CONFIG_HOME") ?? join(userHome, ".config");
}
