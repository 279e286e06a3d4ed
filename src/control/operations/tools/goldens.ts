import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../../../lib/atomic-file.ts";

/** Content-addressed goldens are everybody's: who asks with the same inputs gets the same one. */
export function isGoldenOf(snapshot: string): boolean {
  return snapshot.startsWith("golden-");
}

const namedSchema = z.object({
  version: z.literal(1),
  /** The workspace that has the snapshot `golden`. */
  workspace: z.string(),
  /** Of the inputs that it was made by. */
  hash: z.string(),
  /** `making` is written first: what a killed maker left under the name is made anew. */
  state: z.enum(["making", "ready"]),
});

export type NamedGolden = z.output<typeof namedSchema>;

function pathOf(home: string, workspace: string): string {
  return join(home, "goldens", `${workspace}.json`);
}

/** What a workspace was prepared by; `null` where it was not. */
export function readNamedGolden(home: string, workspace: string): NamedGolden | null {
  try {
    return namedSchema.parse(JSON.parse(readFileSync(pathOf(home, workspace), "utf8")));
  } catch (error) {
    const isExpected = error instanceof SyntaxError || error instanceof z.ZodError;
    if (isExpected || (error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

export async function writeNamedGolden(home: string, golden: NamedGolden): Promise<void> {
  mkdirSync(join(home, "goldens"), { recursive: true, mode: 0o700 });
  await writeFileAtomically(pathOf(home, golden.workspace), `${JSON.stringify(golden)}\n`);
}
