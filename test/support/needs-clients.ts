import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";

const MODULES = join(import.meta.dirname, "../clients/node_modules");

/** The script of a program of `test/clients`, by its path in there. */
export function clientScript(path: string): string {
  return join(MODULES, path);
}

/**
 * Suites that need a program of `test/clients`: skipped by name where it is not installed, with how
 * to install it, unless nothing may be skipped.
 */
export function describeWithClient(name: string, script: string, define: () => void): void {
  const isMissing = !existsSync(clientScript(script));
  const isSkipped = isMissing && process.env["MYCELIUM_REQUIRE_ALL"] !== "1";
  const why = isMissing ? ` (needs \`npm ci --prefix test/clients --ignore-scripts\`)` : "";
  describe.skipIf(isSkipped)(`${name}${why}`, () => {
    define();
  });
}
