import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { RUN_STATES, STOP_REASONS } from "../src/domain/run.ts";
import { TASK_STATES } from "../src/domain/task.ts";
import { runProcess } from "../src/lib/process.ts";

const TOP = join(import.meta.dirname, "..");
const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(TOP, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];
const text = PAGES.map((page) => readFileSync(join(TOP, page), "utf8")).join("\n");

/** What stands in code, on a line of its own or between words. */
function codeOf(markdown: string): readonly string[] {
  const spans = [...markdown.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code ?? "");
  const lines = [...markdown.matchAll(/^```sh\n([^]*?)^```/gm)].flatMap(([, block]) =>
    (block ?? "").split("\n"),
  );
  return [...spans, ...lines].map((line) => line.trim());
}

interface Use {
  readonly command: string;
  readonly options: readonly string[];
}

const GROUPS: ReadonlySet<string> = new Set(["logs", "runs", "image", "workspace", "swarm", "mcp"]);

/** Each command with all the options that any page uses it with. */
function usesOf(code: readonly string[]): readonly Use[] {
  const uses = new Map<string, Set<string>>();
  for (const line of code) {
    const [program, command, second = "", ...rest] = line.split(/\s+/);
    if (program !== "mycelium" || command === undefined || !/^[a-z]+$/.test(command)) continue;
    const name = GROUPS.has(command) && /^[a-z]/.test(second) ? `${command} ${second}` : command;
    const options = [second, ...rest].filter((word) => /^--[a-z-]+$/.test(word));
    uses.set(name, (uses.get(name) ?? new Set()).union(new Set(options)));
  }
  return [...uses].map(([command, options]) => ({ command, options: [...options] }));
}

describe("the pages", () => {
  test.each(usesOf(codeOf(text)))(
    "use `mycelium $command` as it is",
    async ({ command, options }) => {
      const { ending, stdout } = await runProcess({
        command: [process.execPath, inject("program"), ...command.split(" "), "--help"],
        cwd: TOP,
        env: {},
        timeoutMs: 30_000,
        outputBytesMax: 65_536,
      });
      expect(ending).toEqual({ kind: "exited", code: 0 });
      const help = stdout.bytes.toString();
      expect(help).toContain(`Usage: mycelium ${command}`);
      expect(options.filter((option) => !new RegExp(`${option}\\b`).test(help))).toEqual([]);
    },
  );

  test("name only npm scripts that there are", () => {
    const { scripts } = JSON.parse(readFileSync(join(TOP, "package.json"), "utf8")) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    const named = [...text.matchAll(/npm run ([a-z:-]+)/g)].map(([, name]) => name ?? "");
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });
});

test("the page on debugging explains every state and every reason to stop", () => {
  const page = readFileSync(join(TOP, "docs/debugging-a-run.md"), "utf8");
  const words = [...RUN_STATES, ...TASK_STATES, ...Object.keys(STOP_REASONS)];
  expect(words.filter((word) => !page.includes(`\`${word}\``))).toEqual([]);
});
