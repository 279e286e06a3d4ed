import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Refusal } from "../domain/failure.ts";
import { readTextFile } from "../lib/text-file.ts";

const TOKEN_BYTES = 32;
const TOKEN_LENGTH_MIN = 16;
const FILE_BYTES_MAX = 100_000;

export interface TokenRequest {
  readonly home: string;
  /** One token a line, each for a client of its own. */
  readonly file: string | undefined;
  /** Of `MYCELIUM_MCP_TOKEN`. */
  readonly given: string | undefined;
  readonly isLoopback: boolean;
}

export interface HttpTokens {
  readonly tokens: readonly string[];
  /** Where the one is that was made up; `null` where they were given. */
  readonly madeAt: string | null;
}

/**
 * The tokens that clients may come with. On loopback one is kept in the home where none is given; a
 * public address without one is refused.
 */
export async function findTokens(request: TokenRequest): Promise<HttpTokens> {
  const { home, file, given, isLoopback } = request;
  const lines = file === undefined ? [] : await linesOf(file);
  const tokens = [...lines, ...(given === undefined || given === "" ? [] : [given])];
  const short = tokens.some((token) => token.length < TOKEN_LENGTH_MIN);
  if (short) {
    throw new Refusal("usage", `a token has less than ${TOKEN_LENGTH_MIN} characters`, {
      hint: "`openssl rand -hex 32` makes one",
    });
  }
  if (tokens.length > 0) return { tokens, madeAt: null };
  if (!isLoopback) {
    throw new Refusal("usage", "a public address is not served without a token", {
      hint: "name a file with --token-file, or set MYCELIUM_MCP_TOKEN",
    });
  }
  const madeAt = join(home, "mcp-token");
  const kept = await readTextFile(madeAt, { bytesMax: FILE_BYTES_MAX, followLinks: false });
  if (kept.ok && kept.text.trim() !== "") return { tokens: [kept.text.trim()], madeAt };
  const token = randomBytes(TOKEN_BYTES).toString("hex");
  await mkdir(home, { recursive: true });
  await writeFile(madeAt, `${token}\n`, { mode: 0o600 });
  return { tokens: [token], madeAt };
}

async function linesOf(file: string): Promise<readonly string[]> {
  const read = await readTextFile(file, { bytesMax: FILE_BYTES_MAX, followLinks: true });
  if (!read.ok) throw new Refusal("usage", `${file} ${read.message}`);
  return read.text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

const BEARER = /^Bearer +(\S+)$/i;

/** The token that a request's `Authorization` names; `null` where it is none of those. Takes the same time for all. */
export function tokenOf(
  authorization: string | undefined,
  tokens: readonly string[],
): string | null {
  const [, given = ""] = BEARER.exec(authorization ?? "") ?? [];
  const wanted = digest(given);
  let found: string | null = null;
  for (const token of tokens) if (timingSafeEqual(digest(token), wanted)) found = token;
  return found;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
