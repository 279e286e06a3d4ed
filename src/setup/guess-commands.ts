import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readTextFile } from "../lib/text-file.ts";

/** Command lines that a repository's own files suggest. */
export interface GuessedCommands {
  /** `null` where nothing suggests one: a doctor that always passes would be worse than none. */
  readonly doctor: string | null;
  readonly lint: string | null;
  readonly bootstrap: readonly string[];
}

const FILE_BYTES_MAX = 1_000_000;

/** What npm writes into new packages; it always fails. */
const NO_TEST = /no test specified/;

const packageSchema = z.object({
  scripts: z.record(z.string(), z.string()).default({}),
  dependencies: z.record(z.string(), z.unknown()).default({}),
  devDependencies: z.record(z.string(), z.unknown()).default({}),
});

/** Looks at the top of a repository. Runs nothing. */
export async function guessCommands(repository: string): Promise<GuessedCommands> {
  const has = (name: string): boolean => existsSync(join(repository, name));
  const node = await guessNode(repository, has);
  const doctor = node.doctor ?? (await guessMake(repository)) ?? guessOther(has);
  return { ...node, doctor };
}

async function guessNode(
  repository: string,
  has: (name: string) => boolean,
): Promise<GuessedCommands> {
  const parsed = packageSchema.safeParse(await readJson(join(repository, "package.json")));
  if (!parsed.success) return { doctor: null, lint: null, bootstrap: [] };
  const { scripts, dependencies, devDependencies } = parsed.data;
  const { program, install } = packageManager(has);
  const tested = scripts["test"] !== undefined && !NO_TEST.test(scripts["test"]);
  const needsInstall = Object.keys({ ...dependencies, ...devDependencies }).length > 0;
  return {
    doctor: tested ? `${program} test` : null,
    lint: scripts["lint"] === undefined ? null : `${program} run lint`,
    bootstrap: needsInstall ? [install] : [],
  };
}

function packageManager(has: (name: string) => boolean): { program: string; install: string } {
  if (has("pnpm-lock.yaml")) return { program: "pnpm", install: "pnpm install --frozen-lockfile" };
  if (has("yarn.lock")) return { program: "yarn", install: "yarn install --frozen-lockfile" };
  if (has("bun.lock") || has("bun.lockb")) {
    return { program: "bun run", install: "bun install --frozen-lockfile" };
  }
  return { program: "npm", install: has("package-lock.json") ? "npm ci" : "npm install" };
}

async function guessMake(repository: string): Promise<string | null> {
  for (const name of ["GNUmakefile", "makefile", "Makefile"]) {
    const file = await readTextFile(join(repository, name), {
      bytesMax: FILE_BYTES_MAX,
      followLinks: true,
    });
    if (!file.ok) continue;
    return /^test[ \t]*::?(?!=)/m.test(file.text) ? "make test" : null;
  }
  return null;
}

function guessOther(has: (name: string) => boolean): string | null {
  if (has("Cargo.toml")) return "cargo test";
  if (has("go.mod")) return "go test ./...";
  if (has("pyproject.toml")) return "python3 -m pytest";
  return null;
}

async function readJson(path: string): Promise<unknown> {
  const file = await readTextFile(path, { bytesMax: FILE_BYTES_MAX, followLinks: true });
  if (!file.ok) return undefined;
  try {
    return JSON.parse(file.text);
  } catch {
    return undefined;
  }
}
