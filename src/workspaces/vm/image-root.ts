import {
  chmod,
  mkdir,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { exists } from "../local-layout.ts";
import { FOLDERS } from "./guest.ts";
import { runTool } from "./tool.ts";

const TOOL_TIMEOUT_MS = 120_000;
/** Room beyond what the packages take; the rest comes when a machine grows its disk. */
const SPARE_MB = 64;

/** What a person reads about a program, and no program does. */
const NEEDLESS = ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "boot"];

const FILES: Readonly<Record<string, string>> = {
  "etc/passwd":
    "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
  "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
  "etc/fstab": "",
  "etc/resolv.conf": "",
};

/** Makes a system of unpacked packages, as far as their own scripts would have done it. */
export async function finishRoot(root: string): Promise<Result<void>> {
  const merged = await mergeUsr(root);
  if (!merged.ok) return merged;
  for (const path of NEEDLESS) await rm(join(root, path), { recursive: true, force: true });
  const made = ["proc", "sys", "dev", "run", "tmp", "boot", "var/lib/mycelium"];
  for (const path of [...made, ...FOLDERS]) await mkdir(join(root, path), { recursive: true });
  await chmod(join(root, "tmp"), 0o1777);
  await chmod(join(root, "root"), 0o700);
  for (const [path, content] of Object.entries(FILES)) await writeFile(join(root, path), content);
  await link(root, "usr/bin/awk", "mawk");
  await link(root, "usr/bin/sh", "dash");
  await link(root, "etc/mtab", "../proc/self/mounts");
  await bundleCertificates(root);
  const linked = await runTool({ command: ["ldconfig", "-r", root], timeoutMs: TOOL_TIMEOUT_MS });
  return linked.ok ? { ok: true, value: undefined } : linked;
}

/** A file system with the content of a folder; sparse, and as small as it may be. */
export async function makeDisk(root: string, target: string): Promise<Result<void>> {
  const counted = await runTool({ command: ["du", "-sm", root], timeoutMs: TOOL_TIMEOUT_MS });
  if (!counted.ok) return counted;
  const megabytes = Math.ceil(Number.parseInt(counted.value.toString(), 10) * 1.1) + SPARE_MB;
  await writeFile(target, "");
  await truncate(target, megabytes * 1024 * 1024);
  const options = ["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0"];
  const command = ["mke2fs", ...options, "-E", "root_owner=0:0", "-d", root, target] as const;
  const done = await runTool({ command, timeoutMs: TOOL_TIMEOUT_MS });
  return done.ok ? { ok: true, value: undefined } : done;
}

/** `/bin` and its like are links into `/usr`, as in any Debian system of today. */
async function mergeUsr(root: string): Promise<Result<void>> {
  const script = `
    for name in bin sbin lib lib64; do
      [ -d "$name" ] && [ ! -L "$name" ] || continue
      mkdir -p "usr/$name" && cp -alf "$name/." "usr/$name/" && rm -rf "$name" || exit 1
      ln -s "usr/$name" "$name" || exit 1
    done`;
  const command = ["/bin/sh", "-c", script] as const;
  const done = await runTool({ command, cwd: root, timeoutMs: TOOL_TIMEOUT_MS });
  return done.ok ? { ok: true, value: undefined } : done;
}

async function link(root: string, path: string, target: string): Promise<void> {
  if (!exists(join(root, path))) await symlink(target, join(root, path));
}

async function bundleCertificates(root: string): Promise<void> {
  const source = join(root, "usr/share/ca-certificates/mozilla");
  if (!exists(source)) return;
  const names = (await readdir(source)).filter((name) => name.endsWith(".crt")).toSorted();
  const all = await Promise.all(names.map((name) => readFile(join(source, name))));
  const bundle = join(root, "etc/ssl/certs/ca-certificates.crt");
  await mkdir(dirname(bundle), { recursive: true });
  await writeFile(bundle, Buffer.concat(all));
}
