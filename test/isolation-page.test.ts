import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WORKSPACE_KINDS } from "../src/workspaces/workspace.ts";

const TOP = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(TOP, path), "utf8");
const page = read("docs/isolation.md");

const HOSTILE = {
  sandbox: "src/workspaces/hostile-sandbox.test.ts",
  docker: "src/workspaces/hostile-docker.test.ts",
  vm: "src/workspaces/hostile-vm.test.ts",
} as const;
const CONTRACT = [
  "src/workspaces/workspace.contract.ts",
  "src/workspaces/workspace-commands.contract.ts",
  "src/workspaces/workspace-collect.contract.ts",
  "src/workspaces/workspace-files.contract.ts",
];

/** How tests of a promise are called: in a kind's suite of hostile work, or in the contract of all. */
const PROOFS: Readonly<Record<string, RegExp>> = {
  "reading the host's files, keys and sockets": /host's files|neither homes, secrets, sockets/,
  "seeing or ending the host's processes": /host's processes|nor its processes/,
  "becoming root, mounting, loading into the host":
    /no capability|nobody, and stays nobody|root of a kernel of its own/,
  "writing outside of the workspace": /nowhere but into its own layer|path %j is refused/,
  "leading Mycelium outside by paths and links": /links that lead out/,
  "reaching other workspaces": /other sandboxes|another workspace's processes and files/,
  "the network, with `network: none`": /without a network/,
  "fork bombs (`pids`)": /fork bomb/,
  "filling memory (`memory_mb`)": /memory/,
  "filling the disk (`disk_mb`)": /filling the disk meets its end/,
  "a fault in the kernel that it runs on": /root of a kernel of its own/,
  "outliving its command, or its workspace": /daemon|end of its command|ended with its command/,
  "its own kill of everything": /own kill of everything|does not end its sandbox/,
  "code of its repository being run by Mycelium's git": /repository names is run/,
};

const rows = page
  .split("## What each promises to hold")[1]
  ?.split("\n## ")[0]
  ?.split("\n")
  .filter((line) => line.startsWith("| ") && !/^\| (?:against|-)/.test(line))
  .map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

function titlesIn(paths: readonly string[]): string {
  return paths
    .flatMap((path) => read(path).split("\n"))
    .filter((line) => /^\s*(?:test|it|"|\])|^\s*\)\(/.test(line))
    .join("\n");
}

describe("the page about isolation", () => {
  test("names each kind, and no page about one is missing on it", () => {
    for (const kind of WORKSPACE_KINDS)
      expect(page).toContain(`[\`${kind}\`](isolation/${kind}.md)`);
    const pages = readdirSync(join(TOP, "docs/isolation"));
    expect(pages).toContain("local.md");
    for (const name of pages) expect(page).toContain(`(isolation/${name})`);
  });

  test("says of local plainly that it does not isolate", () => {
    expect(read("docs/isolation/local.md")).toContain("**It does not isolate.**");
    const held = (rows ?? []).filter(([, local]) => local === "held").map(([against]) => against);
    expect(held).toHaveLength(3);
  });

  test("names tests that exist", () => {
    const named = [...page.matchAll(/`((?:src|test)\/[^`*]+\.ts)`/g)].map(([, path]) => path ?? "");
    expect(named.length).toBeGreaterThan(WORKSPACE_KINDS.length);
    expect(named.filter((path) => !existsSync(join(TOP, path)))).toEqual([]);
  });

  test("every promise is one of three words for each kind", () => {
    expect(rows?.length).toBeGreaterThan(10);
    for (const [against, ...cells] of rows ?? []) {
      expect({ against, count: cells.length }).toEqual({ against, count: WORKSPACE_KINDS.length });
      for (const cell of cells) expect(["held", "partly", "no"]).toContain(cell);
    }
  });

  test.each(Object.entries(HOSTILE))("every promise of %s has a test", (kind, suite) => {
    const at = WORKSPACE_KINDS.indexOf(kind as (typeof WORKSPACE_KINDS)[number]) + 1;
    const promised = (rows ?? []).filter((row) => row[at] === "held" || row[at] === "partly");
    const titles = titlesIn([suite, ...CONTRACT]);
    const unproved = promised
      .map(([against = ""]) => against)
      .filter((against) => PROOFS[against]?.test(titles) !== true);
    expect(unproved).toEqual([]);
  });
});
