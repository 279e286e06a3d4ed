import { join } from "node:path";
import { z } from "zod";
import { Refusal } from "../domain/failure.ts";
import { checkShape, listProblems } from "../domain/problem.ts";
import { readTextFile } from "../lib/text-file.ts";
import { parseYaml } from "../lib/yaml.ts";

const bucketSchema = z.strictObject({
  /** So many at once. */
  burst: z.int().min(1).max(100_000),
  per_minute: z.int().min(1).max(100_000),
});

const policySchema = z.strictObject({
  /** How long a session counts as live after its server last renewed it. */
  lease_seconds: z.int().min(3).max(86_400).default(60),
  /** Of workspaces that agents make where nobody says; the best that there is where it is left out. */
  default_kind: z.enum(["local", "sandbox", "docker", "vm"]).optional(),
  quota: z
    .strictObject({
      /** Owned by one session at a time. */
      workspaces: z.int().min(1).max(10_000).default(50),
    })
    .prefault({}),
  /** Of `mycelium mcp --http`. */
  http: z
    .strictObject({
      /** At once, of all clients together, and of those that come with one token. */
      sessions: z.int().min(1).max(10_000).default(256),
      sessions_per_token: z.int().min(1).max(10_000).default(64),
      /** A client that says nothing for so long has gone; what it owns may be taken over then. */
      idle_seconds: z.int().min(1).max(86_400).default(300),
    })
    .prefault({}),
  rates: z
    .strictObject({
      create: bucketSchema.default({ burst: 40, per_minute: 120 }),
      exec: bucketSchema.default({ burst: 400, per_minute: 6_000 }),
    })
    .prefault({}),
});

/** What sessions may do, how much and how fast. */
export type SessionPolicy = z.output<typeof policySchema>;

export type RateName = keyof SessionPolicy["rates"];

const FILE = "sessions.yaml";
const BYTES_MAX = 100_000;

/** `sessions.yaml` of the home, where there is one. Throws `config-invalid`. */
export async function readSessionPolicy(home: string): Promise<SessionPolicy> {
  const path = join(home, FILE);
  const file = await readTextFile(path, { bytesMax: BYTES_MAX, followLinks: true });
  if (!file.ok && file.reason === "missing") return policySchema.parse({});
  if (!file.ok) throw invalid(path, file.message);
  const parsed = parseYaml(file.text);
  if (!parsed.ok) throw invalid(path, parsed.message);
  const checked = checkShape(policySchema, parsed.value ?? {}, parsed.lineOf);
  if (checked.ok) return checked.value;
  throw invalid(path, listProblems(checked.problems));
}

function invalid(path: string, problem: string): Refusal {
  return new Refusal("config-invalid", `${path}: ${problem}`, {
    hint: "correct it, or remove it: everything in it has a default",
    details: { path },
  });
}
