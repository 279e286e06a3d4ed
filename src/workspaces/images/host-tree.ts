import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { runTool, type InstalledPackage, type Tools } from "./packages.ts";

/** Nobody reads these in a workspace. */
const LEFT_OUT = /^usr\/share\/(?:doc|man|locale|info|lintian|bug|doc-base|bash-completion|zsh)\//;
const TOP_FOLDERS = /^(?:bin|sbin|lib|lib32|lib64|libx32)\//;

/**
 * Archives the files of installed packages, as they are on this machine. Only what lies below `/usr`
 * comes along: `/etc` and `/var` are this machine's own, and no image's business.
 */
export async function archiveHostFiles(request: {
  readonly packages: readonly InstalledPackage[];
  /** A folder with what the image has besides; its top becomes the image's. */
  readonly extras: string;
  /** Where to work, and where the archive is made. */
  readonly folder: string;
  readonly archive: string;
  readonly tools: Tools;
}): Promise<void> {
  const { packages, extras, folder, archive, tools } = request;
  const names = packages.map(({ name }) => name);
  const listed = await runTool(["dpkg-query", "-L", ...names], tools);
  const paths = listed
    .split("\n")
    .filter((line) => line.startsWith("/"))
    .map((path) => path.slice(1).replace(TOP_FOLDERS, (top) => `usr/${top}`))
    .filter((path) => path.startsWith("usr/") && !LEFT_OUT.test(path));
  const present = await existing([...new Set(paths)].toSorted(), tools);
  const links = await alternativesOf(new Set(present), tools);
  const list = join(folder, "files");
  await writeFile(list, `${[...present, ...links].join("\n")}\n`);
  await runTool(["tar", "-cf", archive, "--no-recursion", "-C", "/", "-T", list], tools);
  await runTool(["tar", "-rf", archive, "-C", extras, "."], tools);
}

/** A diverted or removed file is no reason not to make an image. */
async function existing(paths: readonly string[], tools: Tools): Promise<readonly string[]> {
  const script =
    'while IFS= read -r p; do [ ! -e "/$p" ] && [ ! -L "/$p" ] || printf "%s\\n" "$p"; done';
  return linesOf(await runTool(["/bin/sh", "-c", script], tools, `${paths.join("\n")}\n`));
}

/** `awk` and its like are links by way of `/etc/alternatives`: those that lead to what is there. */
async function alternativesOf(present: ReadonlySet<string>, tools: Tools): Promise<string[]> {
  const script = `for link in /usr/bin/*; do
    [ -L "$link" ] || continue
    by=$(readlink "$link")
    case $by in /etc/alternatives/*) printf '%s\\t%s\\t%s\\n' "$link" "$by" "$(readlink -f "$link")" ;; esac
  done`;
  return linesOf(await runTool(["/bin/sh", "-c", script], tools)).flatMap((line) => {
    const [link = "", by = "", target = ""] = line.split("\t").map((path) => path.slice(1));
    return present.has(target) ? [link, by] : [];
  });
}

function linesOf(text: string): readonly string[] {
  return text.split("\n").filter((line) => line !== "");
}
