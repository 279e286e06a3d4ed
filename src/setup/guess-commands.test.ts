import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../test/support/temporary-folder.ts";
import { guessCommands, type GuessedCommands } from "./guess-commands.ts";

const NOTHING: GuessedCommands = { doctor: null, lint: null, bootstrap: [] };
const scripts = { test: "vitest", lint: "oxlint" };
const needing = JSON.stringify({ scripts, devDependencies: { vitest: "1" } });

test.each<[string, Record<string, string>, Partial<GuessedCommands>]>([
  ["nothing", {}, {}],
  ["a package with tests", { "package.json": '{"scripts":{"test":"x"}}' }, { doctor: "npm test" }],
  [
    "npm's own placeholder",
    { "package.json": '{"scripts":{"test":"echo \\"Error: no test specified\\" && exit 1"}}' },
    {},
  ],
  ["a package that is broken", { "package.json": "{", "Cargo.toml": "" }, { doctor: "cargo test" }],
  [
    "dependencies without a lock file",
    { "package.json": needing },
    { doctor: "npm test", lint: "npm run lint", bootstrap: ["npm install"] },
  ],
  [
    "npm",
    { "package.json": needing, "package-lock.json": "" },
    { doctor: "npm test", lint: "npm run lint", bootstrap: ["npm ci"] },
  ],
  [
    "pnpm",
    { "package.json": needing, "pnpm-lock.yaml": "" },
    { doctor: "pnpm test", lint: "pnpm run lint", bootstrap: ["pnpm install --frozen-lockfile"] },
  ],
  ["a Makefile", { Makefile: "all:\n\techo\n\ntest: all\n\t./t\n" }, { doctor: "make test" }],
  ["a Makefile without tests", { Makefile: "all:\n\techo test:\ntest := 1\ntests:\n" }, {}],
  ["Go", { "go.mod": "" }, { doctor: "go test ./..." }],
  ["Python", { "pyproject.toml": "" }, { doctor: "python3 -m pytest" }],
  [
    "a package without tests beside Go",
    { "package.json": "{}", "go.mod": "" },
    { doctor: "go test ./..." },
  ],
])("guesses from %s", async (_, files, expected) => {
  await using folder = await temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder.path, name), content);
  }
  expect(await guessCommands(folder.path)).toEqual({ ...NOTHING, ...expected });
});
