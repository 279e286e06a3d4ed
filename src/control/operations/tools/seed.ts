import { realpath } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import type { WorkspaceSeed } from "../../../workspaces/workspace.ts";
import type { OperationContext } from "../../operation.ts";
import { findSeed } from "../../workspace-seed.ts";

export const seedInput = {
  repo: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .describe("A git repository below the folder that the server was started in; '.' is that one"),
  commit: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("A branch, tag or commit; HEAD by default"),
};

export interface SeedInput {
  readonly repo?: string | undefined;
  readonly commit?: string | undefined;
}

/** A session sees of this machine's repositories those below the folder that its server works in. */
export async function findSessionSeed(
  context: OperationContext,
  { repo, commit }: SeedInput,
  branch: string,
): Promise<WorkspaceSeed | null> {
  if (repo === undefined) return null;
  if (context.session.kind === "session") await refuseOutside(context.cwd, repo);
  return findSeed(context, { repo, commit, branch });
}

async function refuseOutside(cwd: string, repo: string): Promise<void> {
  const path = resolve(cwd, repo);
  const real = await realpath(path).catch(() => path);
  const way = relative(await realpath(cwd), real);
  if (way !== ".." && !way.startsWith("../") && !way.startsWith("/")) return;
  throw new Refusal("usage", `repo: ${JSON.stringify(repo)} is outside the server's folder`, {
    hint: "name a repository below the folder that the server was started in",
  });
}
