import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");
const SOURCE = join(ROOT, "src");

/**
 * The picture in ARCHITECTURE.md as data: which rooms a room may look into. A name with a file is
 * the port of a room that has several implementations: only `compose.ts` names those.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  domain: [],
  lib: [],
  store: ["domain", "lib"],
  git: ["domain", "lib"],
  config: ["domain", "lib"],
  workspaces: ["domain", "lib", "git"],
  agents: ["domain", "lib", "workspaces/workspace.ts"],
  gates: ["domain", "lib", "workspaces/workspace.ts"],
  hive: [
    "domain",
    "lib",
    "gates",
    "agents/agent.ts",
    "workspaces/workspace.ts",
    "workspaces/checkpoint.ts",
  ],
  planning: ["domain", "lib", "config"],
  setup: ["domain", "lib", "git", "config"],
  logs: ["domain", "lib", "store"],
  sessions: ["domain", "lib"],
  vault: ["domain", "lib"],
  teams: [
    "domain",
    "lib",
    "store",
    "vault",
    "workspaces/workspace.ts",
    "workspaces/lasting-workspace.ts",
    "workspaces/kept-ledger.ts",
    "workspaces/kept-workspaces.ts",
    "workspaces/workspace-name.ts",
    "workspaces/rescue.ts",
    "workspaces/unlanded-work.ts",
  ],
  swarm: [
    "domain",
    "lib",
    "store",
    "merging",
    "vault",
    "merging",
    "swarm",
    "teams",
    "workspaces/workspace.ts",
    "workspaces/lasting-workspace.ts",
    "workspaces/kept-ledger.ts",
    "workspaces/kept-workspaces.ts",
    "workspaces/workspace-name.ts",
    "workspaces/checkpoint.ts",
    "workspaces/rescue.ts",
    "workspaces/unlanded-work.ts",
    "workspaces/local-git.ts",
  ],
  merging: [
    "domain",
    "lib",
    "git",
    "workspaces/workspace.ts",
    "workspaces/lasting-workspace.ts",
    "workspaces/local-git.ts",
  ],
  runs: [
    "domain",
    "lib",
    "store",
    "git",
    "config",
    "gates",
    "hive",
    "planning",
    "agents/agent.ts",
    "workspaces/workspace.ts",
    "workspaces/unlanded-work.ts",
  ],
  control: [
    "domain",
    "lib",
    "store",
    "git",
    "config",
    "config.ts",
    "setup",
    "planning",
    "runs",
    "logs",
    "vault",
    "merging",
    "swarm",
    "teams",
    "workspaces/workspace.ts",
    "workspaces/lasting-workspace.ts",
    "workspaces/kept-ledger.ts",
    "workspaces/kinds-that-answer.ts",
    "workspaces/kept-workspaces.ts",
    "workspaces/prepare.ts",
    "workspaces/sweep.ts",
    "workspaces/workspace-name.ts",
    "sessions",
    "merging",
    "compose.ts",
  ],
  mcp: ["domain", "lib", "config", "sessions", "control"],
  cli: ["domain", "lib", "config", "config.ts", "control", "mcp", "sessions/policy.ts"],
};

/** Words that may stand in one place only, with what to use elsewhere. */
const BANNED: readonly { word: RegExp; except: readonly string[]; instead: string }[] = [
  { word: /node:child_process/, except: ["lib/process"], instead: "lib/process.ts" },
  {
    word: /\bDate\.now\(|\bperformance\.now\(|\bnew Date\(\)/,
    except: ["lib/clock.ts"],
    instead: "a Clock",
  },
  { word: /\bMath\.random\(/, except: [], instead: "crypto.randomUUID or an injected source" },
  { word: /\bprocess\.env\b/, except: ["config.ts", "config/"], instead: "config/environment.ts" },
  { word: /\bfrom "kysely"/, except: ["store/"], instead: "a function of store/" },
  {
    word: /\bfrom "node:sqlite"/,
    except: ["store/", "lib/file-lock.ts"],
    instead: "a function of store/",
  },
  { word: /\bfrom "commander"/, except: ["cli/"], instead: "an operation" },
  { word: /\bconsole\./, except: [], instead: "the terminal of cli/" },
];

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function sourceFiles(): readonly SourceFile[] {
  return readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !/\.(test|contract)\.ts$/.test(path))
    .map((path) => {
      const text = readFileSync(join(SOURCE, path), "utf8");
      const found = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)];
      const imports = found.map(([, target]) =>
        relative(SOURCE, resolve(dirname(join(SOURCE, path)), target ?? "")),
      );
      return { path, text, imports };
    });
}

function roomOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : path;
}

const files = sourceFiles();

describe("the house", () => {
  it("has the rooms of the picture and no other", () => {
    const rooms = new Set(
      files.map(({ path }) => roomOf(path)).filter((room) => !room.endsWith(".ts")),
    );
    expect([...rooms].filter((room) => !(room in MAY_IMPORT))).toEqual([]);
  });

  it("lets each room look only where the picture says", () => {
    const wrong = files.flatMap(({ path, imports }) => {
      const room = roomOf(path);
      const allowed = MAY_IMPORT[room];
      if (allowed === undefined) return [];
      return imports
        .filter((target) => roomOf(target) !== room)
        .filter((target) => !allowed.includes(roomOf(target)) && !allowed.includes(target))
        .map((target) => `${path} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  it("keeps each power in one place", () => {
    const wrong = files.flatMap(({ path, text }) =>
      BANNED.filter(
        ({ word, except }) => word.test(text) && !except.some((part) => path.startsWith(part)),
      ).map(({ word, instead }) => `${path} has ${word.source}: use ${instead}`),
    );
    expect(wrong).toEqual([]);
  });

  it("has no file of more than 400 lines", () => {
    const long = files.filter(({ text }) => text.split("\n").length > 401);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  it("imports nothing but zod into the domain", () => {
    const foreign = files
      .filter(({ path }) => path.startsWith("domain/"))
      .flatMap(({ path, text }) =>
        [...text.matchAll(/from "([^.][^"]*)"/g)].map(([, name]) => `${path}: ${name}`),
      )
      .filter((entry) => !entry.endsWith(": zod"));
    expect(foreign).toEqual([]);
  });
});
