import { describe } from "vitest";
import { probeSandbox } from "../../src/workspaces/sandbox/probe.ts";

/**
 * Suites that need sandboxes: skipped by name where this machine has none, with how to get them,
 * unless nothing may be skipped.
 */
export async function describeWithSandboxes(name: string, define: () => void): Promise<void> {
  const probe = await probeSandbox();
  const isMissing = probe.kind === "missing";
  const isSkipped = isMissing && process.env["MYCELIUM_REQUIRE_ALL"] !== "1";
  const why = isMissing ? ` (${probe.what}; ${probe.hint})` : "";
  describe.skipIf(isSkipped)(`${name}${why}`, () => {
    define();
  });
}
