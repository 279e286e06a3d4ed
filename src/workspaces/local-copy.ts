import { join } from "node:path";
import type { Result } from "../domain/failure.ts";
import { runProcess } from "../lib/process.ts";
import { exists } from "./local-layout.ts";
import { DEFAULT_PATH } from "./local-git.ts";
import { workspaceFailure } from "./workspace-failure.ts";

const COPY_TIMEOUT_MS = 1_800_000;
const OUTPUT_BYTES_MAX = 4_096;

/** What of a workspace is its state: what a snapshot holds and a fork begins with. */
export const PARTS = ["repository", "context", "home", "tmp"] as const;

/** Shares blocks where the file system can. Other systems' `cp` does not know how to ask. */
const COPY = process.platform === "linux" ? ["cp", "-a", "--reflink=auto"] : ["cp", "-Rp"];

/** Copies the parts that are there into a folder that holds none of them. */
export async function copyParts(from: string, to: string): Promise<Result<void>> {
  const parts = PARTS.map((part) => join(from, part)).filter(exists);
  const [program = "cp", ...options] = COPY;
  const { ending, stderr } = await runProcess({
    command: [program, ...options, "--", ...parts, to],
    cwd: from,
    env: { PATH: DEFAULT_PATH, LC_ALL: "C" },
    timeoutMs: COPY_TIMEOUT_MS,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  if (ending.kind === "exited" && ending.code === 0) return { ok: true, value: undefined };
  return workspaceFailure(`cannot copy ${from}: ${stderr.bytes.toString().trim() || ending.kind}`);
}
