import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Refusal } from "../../domain/failure.ts";
import { codeOf } from "../workspace-failure.ts";
import { runTool, type Tools } from "./packages.ts";

export interface DebianSource {
  readonly mirror: string;
  readonly suite: string;
}

/** Comes with every Debian by itself, or is only asked for by its own name. */
const ESSENTIAL = new Set([
  "base-files",
  "bash",
  "coreutils",
  "dash",
  "diffutils",
  "findutils",
  "grep",
  "gzip",
  "hostname",
  "libc-bin",
  "mawk",
  "ncurses-base",
  "perl-base",
  "sed",
  "tar",
  "util-linux",
]);

/** Where this machine gets its own packages from: the first source that has the component `main`. */
export async function readDebianSource(sourcesFolder = "/etc/apt"): Promise<DebianSource> {
  for (const text of await readSources(sourcesFolder)) {
    const found = findOneLine(text) ?? findStanza(text);
    if (found !== null) return found;
  }
  throw new Refusal("workspace-unavailable", `${sourcesFolder} names no source of packages`, {
    hint: "build from this machine's own files with --from host, or name an image that you have",
  });
}

/** A minimal Debian with these packages, archived. Needs root, as debootstrap does. */
export async function archiveDebootstrap(request: {
  readonly source: DebianSource;
  readonly packages: readonly string[];
  readonly extras: string;
  readonly folder: string;
  readonly archive: string;
  readonly tools: Tools;
}): Promise<void> {
  const { source, folder, archive, tools, extras } = request;
  if (process.getuid?.() !== 0) {
    throw new Refusal("workspace-unavailable", "debootstrap needs root", {
      hint: "run `sudo mycelium image build`, or build with --from host",
    });
  }
  const tree = join(folder, "tree");
  const include = request.packages.filter((name) => !ESSENTIAL.has(name)).join(",");
  const options = ["--variant=minbase", `--include=${include}`];
  await runTool(["debootstrap", ...options, source.suite, tree, source.mirror], tools);
  const emptied = [
    "./dev/*",
    "./proc/*",
    "./sys/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/locale/*",
    "./etc/machine-id",
  ];
  const excludes = emptied.map((pattern) => `--exclude=${pattern}`);
  await runTool(["tar", "-cf", archive, ...excludes, "-C", tree, "."], tools);
  await runTool(["tar", "-rf", archive, "-C", extras, "./workspace"], tools);
}

async function readSources(folder: string): Promise<readonly string[]> {
  const texts: string[] = [];
  const parts = join(folder, "sources.list.d");
  const names = await readdir(parts).catch(none([]));
  const inParts = names.filter((name) => /\.(?:list|sources)$/.test(name)).toSorted();
  for (const path of [join(folder, "sources.list"), ...inParts.map((name) => join(parts, name))]) {
    texts.push(await readFile(path, "utf8").catch(none("")));
  }
  return texts;
}

function none<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (codeOf(error) === "") throw error;
    return value;
  };
}

function findOneLine(text: string): DebianSource | null {
  for (const line of text.split("\n")) {
    const match = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line.trim());
    const [, mirror, suite, components] = match ?? [];
    if (mirror === undefined || suite === undefined) continue;
    if (components?.split(/\s+/).includes("main") === true) return { mirror, suite };
  }
  return null;
}

function findStanza(text: string): DebianSource | null {
  for (const stanza of text.split(/\n\s*\n/)) {
    const field = (name: string): readonly string[] => {
      const match = new RegExp(`^${name}:(.*)$`, "im").exec(stanza);
      return (match?.[1] ?? "").trim().split(/\s+/);
    };
    const [mirror = ""] = field("URIs");
    const [suite = ""] = field("Suites");
    if (field("Types").includes("deb") && field("Components").includes("main") && mirror !== "") {
      return { mirror, suite };
    }
  }
  return null;
}
