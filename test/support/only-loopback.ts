import { runProcess } from "../../src/lib/process.ts";

/** Runs the rest of its arguments where there is no network but loopback. */
const FENCE = [
  "unshare",
  "--net",
  "--",
  "sh",
  "-c",
  'ip link set lo up && exec "$@"',
  "only-loopback",
] as const;

const FENCE_TIMEOUT_MS = 60_000;

/**
 * What stands before a command that must not get beyond loopback: a network namespace without any
 * other way. Empty where this user may make none, so that a test has to look by itself; where
 * nothing may be skipped, that is an error.
 */
export async function loopbackFence(): Promise<readonly string[]> {
  const { ending, stderr } = await runProcess({
    command: [...FENCE, "true"],
    cwd: "/",
    env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` },
    timeoutMs: FENCE_TIMEOUT_MS,
    outputBytesMax: 4_096,
  });
  if (ending.kind === "exited" && ending.code === 0) return FENCE;
  if (process.env["MYCELIUM_REQUIRE_ALL"] !== "1") return [];
  throw new Error(`no network namespace: ${JSON.stringify(ending)} ${stderr.bytes.toString()}`);
}
