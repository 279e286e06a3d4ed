import { runProcess } from "../../lib/process.ts";
import { Refusal } from "../../domain/failure.ts";

/** What every workspace needs: a shell's company, git, and perl for the agent that runs commands. */
export const BASE_PACKAGES = [
  "base-files",
  "bash",
  "ca-certificates",
  "coreutils",
  "dash",
  "diffutils",
  "findutils",
  "git",
  "grep",
  "gzip",
  "hostname",
  "libc-bin",
  "mawk",
  "ncurses-base",
  "netbase",
  "perl-base",
  "procps",
  "sed",
  "tar",
  "util-linux",
] as const;

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

export interface Tools {
  readonly path: string;
  readonly timeoutMs: number;
}

/** The output of a program that must succeed. Refuses with what it said, or that it is missing. */
export async function runTool(
  command: readonly [string, ...string[]],
  tools: Tools,
  stdin?: string,
): Promise<string> {
  const { ending, stdout, stderr } = await runProcess({
    command,
    cwd: "/",
    env: { PATH: tools.path, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    ...(stdin === undefined ? {} : { stdin }),
    timeoutMs: tools.timeoutMs,
    outputBytesMax: OUTPUT_BYTES_MAX,
  });
  if (ending.kind === "exited" && ending.code === 0) return stdout.bytes.toString();
  if (ending.kind === "unstartable") {
    throw new Refusal("program-missing", ending.message, {
      hint: `install it: apt-get install ${command[0] === "debootstrap" ? "debootstrap" : "dpkg tar"}`,
    });
  }
  const said = stderr.bytes.toString().trim().split("\n").slice(-5).join("\n");
  const message = `${command[0]} did not succeed (${ending.kind}): ${said || stdout.bytes.toString().slice(-500)}`;
  throw new Refusal(
    /No space left on device/.test(said) ? "disk-full" : "workspace-failed",
    message,
  );
}

/** The installed packages that these need, they themselves included. Refuses what is not installed. */
export async function installedClosure(
  packages: readonly string[],
  tools: Tools,
): Promise<readonly InstalledPackage[]> {
  const format =
    "${Package}\t${Version}\t${db:Status-Abbrev}\t${Provides}\t${Pre-Depends}, ${Depends}\n";
  const all = parseStatus(await runTool(["dpkg-query", "-W", "-f", format], tools));
  const found = new Map<string, InstalledPackage>();
  const open = [...packages];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const known = all.get(name);
    if (known === undefined) {
      if (!packages.includes(name)) continue;
      throw new Refusal("program-missing", `the package ${name} is not installed here`, {
        hint: `apt-get install ${name}, or build from packages with --from debootstrap`,
      });
    }
    if (found.has(known.name)) continue;
    found.set(known.name, known);
    open.push(...known.needs);
  }
  return [...found.values()].toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

export interface InstalledPackage {
  readonly name: string;
  readonly version: string;
  /** Names of packages, or of what packages provide; of alternatives all. */
  readonly needs: readonly string[];
}

function parseStatus(text: string): ReadonlyMap<string, InstalledPackage> {
  const all = new Map<string, InstalledPackage>();
  for (const line of text.split("\n")) {
    const [name = "", version = "", status = "", provides = "", depends = ""] = line.split("\t");
    if (!status.startsWith("ii")) continue;
    const entry = { name, version, needs: namesIn(depends) };
    all.set(name, entry);
    for (const provided of namesIn(provides)) if (!all.has(provided)) all.set(provided, entry);
  }
  return all;
}

/** `a (>= 1), b:any | c` names a, b and c. */
function namesIn(relations: string): readonly string[] {
  return relations
    .split(/[,|]/)
    .map((relation) => relation.trim().replace(/[ :(].*$/s, ""))
    .filter((name) => name !== "");
}
