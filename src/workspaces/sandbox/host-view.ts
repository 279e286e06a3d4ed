import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { codeOf } from "../workspace-failure.ts";
import { INSIDE_UID } from "./layout.ts";

/** The host's programs and libraries; links to `/usr` where the host has them so. */
const TOOLS = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/** Small files of the host's `/etc` that programs need to trust and to tell the time; copied. */
const COPIED_ETC = [
  "ca-certificates.conf",
  "localtime",
  "mime.types",
  "nsswitch.conf",
  "protocols",
  "services",
  "ssl/openssl.cnf",
];
const COPIED_BYTES_MAX = 1024 * 1024;

/** What is large or has many files; shown from where it is. Each costs a mount at every start. */
const SHARED_ETC_FOLDERS = ["alternatives", "pki/tls/certs", "ssl/certs"];
const SHARED_ETC_FILES = ["ld.so.cache"];

/** Arguments for bubblewrap that show the host's tools, read-only. */
export function toolArguments(): readonly string[] {
  const tools = TOOLS.flatMap((path) => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return [];
    return found.isSymbolicLink() ? ["--symlink", readlinkSync(path), path] : readOnly(path);
  });
  return [...readOnly("/usr"), ...tools];
}

function readOnly(path: string): readonly string[] {
  return ["--ro-bind", path, path];
}

/** Writes a sandbox's own `/etc`, with places for what is shown in it from the host's. */
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
  };
  for (const name of SHARED_ETC_FOLDERS) mkdirSync(join(folder, name), { recursive: true });
  for (const name of SHARED_ETC_FILES) writeFileSync(join(folder, name), "");
  for (const [name, text] of Object.entries(contents)) writeFileSync(join(folder, name), text);
  for (const name of ["resolv.conf", ...COPIED_ETC])
    copyIfThere(`/etc/${name}`, join(folder, name));
}

/** Arguments for bubblewrap that show that folder, from where it lies when it starts. */
export function etcArguments(folder: string): readonly string[] {
  const shared = [...SHARED_ETC_FOLDERS, ...SHARED_ETC_FILES].flatMap((name) => {
    const path = `/etc/${name}`;
    return existsSync(path) ? ["--ro-bind-try", path, path] : [];
  });
  return ["--ro-bind", folder, "/etc", ...shared];
}

/** Through its links; nothing where it is missing, or no small file. */
function copyIfThere(from: string, to: string): void {
  const found = statSync(from, { throwIfNoEntry: false });
  if (found?.isFile() !== true || found.size > COPIED_BYTES_MAX) return;
  try {
    writeFileSync(to, readFileSync(from));
  } catch (error) {
    if (codeOf(error) === "") throw error;
  }
}
