import { lstatSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exists } from "../local-layout.ts";
import { codeOf } from "../workspace-failure.ts";
import { INSIDE_UID } from "./layout.ts";

/** The host's programs and libraries; links to `/usr` where the host has them so. */
const TOOLS = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/** Of the host's `/etc` only what programs need to start, to trust and to tell the time. */
const SHARED_ETC = [
  "alternatives",
  "ca-certificates.conf",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "mime.types",
  "nsswitch.conf",
  "pki/tls/certs",
  "protocols",
  "services",
  "ssl/certs",
  "ssl/openssl.cnf",
];

/** Arguments for bubblewrap that show the host's tools, read-only, and nothing else of the host. */
export function hostViewArguments(): readonly string[] {
  const tools = TOOLS.flatMap((path) => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return [];
    return found.isSymbolicLink() ? ["--symlink", readlinkSync(path), path] : readOnly(path);
  });
  const etc = SHARED_ETC.map((name) => `/etc/${name}`).flatMap((path) => {
    if (!exists(path)) return [];
    return ["--ro-bind-try", realOrSame(path), path];
  });
  return [...readOnly("/usr"), ...tools, ...etc];
}

function readOnly(path: string): readonly string[] {
  return ["--ro-bind", path, path];
}

function realOrSame(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return path;
  }
}

const ETC_FILES = ["passwd", "group", "hosts", "hostname", "machine-id", "resolv.conf"];

/** Writes a sandbox's own files of `/etc`. */
export function writeEtc(
  folder: string,
  { hostname, machineId }: { readonly hostname: string; readonly machineId: string },
): void {
  const id = INSIDE_UID;
  const contents: Record<string, string> = {
    "passwd": `root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:${id}:${id}:agent:/home/agent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`,
    "group": `root:x:0:\nagent:x:${id}:\nnogroup:x:65534:\n`,
    "hosts": `127.0.0.1 localhost ${hostname}\n::1 localhost ip6-localhost\n`,
    "hostname": `${hostname}\n`,
    "machine-id": `${machineId}\n`,
    "resolv.conf": readOptional("/etc/resolv.conf"),
  };
  for (const name of ETC_FILES) writeFileSync(join(folder, name), contents[name] ?? "");
}

/** Arguments for bubblewrap that show those files, from where they lie when it starts. */
export function etcArguments(folder: string): readonly string[] {
  return ETC_FILES.flatMap((name) => ["--ro-bind", join(folder, name), `/etc/${name}`]);
}

function readOptional(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "") throw error;
    return "";
  }
}
