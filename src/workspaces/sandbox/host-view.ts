import { lstatSync, readlinkSync, statSync } from "node:fs";
import { INSIDE_UID } from "./layout.ts";
import { bindAll, type StageStep } from "./stage-program.ts";

/** The host's programs and libraries; links to `/usr` where the host has them so. */
const TOOLS = ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/** What programs need of the host's `/etc` to trust, to find libraries and to tell the time. */
const SHARED_ETC = [
  "alternatives",
  "ca-certificates.conf",
  "ld.so.cache",
  "localtime",
  "mime.types",
  "nsswitch.conf",
  "pki/tls/certs",
  "protocols",
  "resolv.conf",
  "services",
  "ssl/certs",
  "ssl/openssl.cnf",
];
const COPIED_BYTES_MAX = 16 * 1024;

/** Puts the host's tools below a root that bubblewrap makes read-only. */
export function stageTools(root: string): readonly StageStep[] {
  return ["/usr", ...TOOLS].flatMap((path): readonly StageStep[] => {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return [];
    const place = `${root}${path}`;
    if (found.isSymbolicLink()) return [["link", readlinkSync(path), place]];
    return [["folder", place], bindAll(path, place)];
  });
}

/** A sandbox's own `/etc` below a root, with what programs need of the host's. */
export function stageEtc(
  root: string,
  { hostname, machineId }: { readonly hostname: string; readonly machineId: string },
): readonly StageStep[] {
  const id = INSIDE_UID;
  const contents: Record<string, string> = {
    "passwd": `root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nagent:x:${id}:${id}:agent:/home/agent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n`,
    "group": `root:x:0:\nagent:x:${id}:\nnogroup:x:65534:\n`,
    "hosts": `127.0.0.1 localhost ${hostname}\n::1 localhost ip6-localhost\n`,
    "hostname": `${hostname}\n`,
    "machine-id": `${machineId}\n`,
  };
  const place = (name: string): string => `${root}/etc/${name}`;
  const shared = SHARED_ETC.flatMap((name) => shareOf(`/etc/${name}`, place(name)));
  const folders = ["", ...SHARED_ETC.flatMap(foldersAbove)];
  return [
    ...[...new Set(folders)].map((name): StageStep => ["folder", place(name)]),
    ...Object.entries(contents).map(([name, text]): StageStep => ["write", text, place(name)]),
    ...shared,
  ];
}

/** Names of the folders above a name, the uppermost first. */
function foldersAbove(name: string): readonly string[] {
  const parts = name.split("/").slice(0, -1);
  return parts.map((_, at) => parts.slice(0, at + 1).join("/"));
}

/** Through its links; nothing where it is missing. What is small is copied: that costs less. */
function shareOf(from: string, place: string): readonly StageStep[] {
  const found = statSync(from, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return [["folder", place], bindAll(from, place)];
  if (found?.isFile() !== true) return [];
  if (found.size <= COPIED_BYTES_MAX) return [["copy", from, place]];
  return [["write", "", place], bindAll(from, place)];
}
