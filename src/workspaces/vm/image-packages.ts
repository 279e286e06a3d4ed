import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { runTool } from "./tool.ts";

const RESOLVE_TIMEOUT_MS = 60_000;
const DOWNLOAD_TIMEOUT_MS = 600_000;
const UNPACK_TIMEOUT_MS = 120_000;

const HINT = "it takes a Debian system whose package lists are there: run `apt-get update`";

export interface PackageSet {
  /** A line a package: file and hash as the lists name them. */
  readonly resolved: readonly string[];
}

/**
 * Which packages an empty system would need, by this machine's own package lists. Nothing is
 * installed on this machine, and its own state is not looked at.
 */
export async function resolvePackages(
  folder: string,
  packages: readonly string[],
): Promise<Result<PackageSet>> {
  const command = await aptCommand(folder, ["--print-uris", "install", ...packages]);
  const answered = await runTool({ command, timeoutMs: RESOLVE_TIMEOUT_MS });
  if (!answered.ok) return explain(answered.failure.message);
  const lines = answered.value.toString().split("\n");
  // 'address' file size hash
  const resolved = lines.flatMap((line) => {
    const match = /^'[^']+' (\S+) \d+ ?(\S*)$/.exec(line);
    return match === null ? [] : `${match[1]} ${match[2]}`;
  });
  if (resolved.length === 0) return explain("apt-get named no packages");
  return { ok: true, value: { resolved: resolved.toSorted() } };
}

/** Downloads what `resolvePackages` found, and unpacks it; no script of any package is run. */
export async function unpackPackages(
  folder: string,
  packages: readonly string[],
  root: string,
): Promise<Result<void>> {
  const command = await aptCommand(folder, ["--download-only", "install", ...packages]);
  const fetched = await runTool({ command, timeoutMs: DOWNLOAD_TIMEOUT_MS });
  if (!fetched.ok) return explain(fetched.failure.message);
  await mkdir(root, { recursive: true });
  const archives = join(folder, "archives");
  for (const name of (await readdir(archives)).toSorted()) {
    if (!name.endsWith(".deb")) continue;
    const unpacked = await unpackPackage(join(archives, name), root);
    if (!unpacked.ok) return unpacked;
  }
  return { ok: true, value: undefined };
}

/** One package without those it depends on; answers its file. Meta packages lead to the real one. */
export async function downloadKernel(folder: string, name: string): Promise<Result<string>> {
  const needed = await runTool({
    command: ["apt-cache", "depends", name],
    timeoutMs: RESOLVE_TIMEOUT_MS,
  });
  if (!needed.ok) return explain(needed.failure.message);
  const real = /Depends: (linux-image-\S+)/.exec(needed.value.toString())?.[1] ?? name;
  const place = join(folder, "kernel");
  await mkdir(place, { recursive: true });
  const command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", real] as const;
  const fetched = await runTool({ command, cwd: place, timeoutMs: DOWNLOAD_TIMEOUT_MS });
  if (!fetched.ok) return explain(fetched.failure.message);
  const file = (await readdir(place)).find((entry) => entry.endsWith(".deb"));
  return file === undefined
    ? explain(`no package ${real} came`)
    : { ok: true, value: join(place, file) };
}

export async function unpackPackage(file: string, root: string): Promise<Result<void>> {
  const done = await runTool({ command: ["dpkg", "-x", file, root], timeoutMs: UNPACK_TIMEOUT_MS });
  return done.ok ? { ok: true, value: undefined } : done;
}

/** `apt-get` that takes this machine's lists and nothing else of it. */
async function aptCommand(
  folder: string,
  args: readonly string[],
): Promise<readonly [string, ...string[]]> {
  await mkdir(join(folder, "archives/partial"), { recursive: true });
  await writeFile(join(folder, "status"), "");
  const settings = [
    `Dir::State::status=${folder}/status`,
    `Dir::State::extended_states=${folder}/extended`,
    `Dir::Cache::archives=${folder}/archives/`,
    "Dir::Cache::pkgcache=",
    "Dir::Cache::srcpkgcache=",
    "Debug::NoLocking=1",
    "APT::Sandbox::User=root",
  ].flatMap((setting) => ["-o", setting]);
  return ["apt-get", "-qq", "-y", "--no-install-recommends", ...settings, ...args];
}

function explain(message: string): ReturnType<typeof workspaceFailure> {
  return workspaceFailure(`the image's packages cannot be had: ${message}`, { hint: HINT });
}
