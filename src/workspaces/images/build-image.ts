import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { arch, tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "../docker/engine.ts";
import { GUEST } from "../docker/layout.ts";
import { archiveDebootstrap, readDebianSource } from "./debootstrap-tree.ts";
import { archiveHostFiles } from "./host-tree.ts";
import { BASE_PACKAGES, installedClosure, type Tools } from "./packages.ts";

/** Where an image's files come from: packages fetched from Debian, or this machine's own. */
export type ImageSource = "debootstrap" | "host";

export interface ImageRequest {
  readonly from: ImageSource;
  /** Debian packages besides those that every workspace needs. */
  readonly include: readonly string[];
  readonly engine: Engine;
  readonly tools: Tools;
}

export interface BuiltImage {
  /** By what went into it: the same inputs have the same name. */
  readonly image: string;
  /** The name that workspaces use where nobody names an image. */
  readonly alias: string;
  /** Whether it was there already. */
  readonly cached: boolean;
}

const REPOSITORY = "mycelium/workspace";

/** The image that was built last. */
export const DEFAULT_IMAGE = `${REPOSITORY}:latest`;

/** Changes when the same inputs would give another image. */
const RECIPE = 1;

/**
 * Builds the image of containers, or finds it where the same was built before. Its name tells what
 * went into it: for `host` the exact versions of all packages, for `debootstrap` the suite and names.
 */
export async function buildImage(request: ImageRequest): Promise<BuiltImage> {
  const plan = await planImage(request);
  const inputs = JSON.stringify([RECIPE, arch(), request.from, plan.inputs]);
  const tag = createHash("sha256").update(inputs).digest("hex").slice(0, 16);
  const image = `${REPOSITORY}:${tag}`;
  const cached = await request.engine.hasImage(image);
  if (!cached) await importTree(request.engine, image, (place) => plan.archive(place));
  await request.engine.tagImage(image, REPOSITORY, "latest");
  return { image, alias: DEFAULT_IMAGE, cached };
}

interface Plan {
  readonly inputs: unknown;
  archive(place: { folder: string; extras: string; archive: string }): Promise<void>;
}

async function planImage({ from, include, tools }: ImageRequest): Promise<Plan> {
  const wanted = [...new Set([...BASE_PACKAGES, ...include])].toSorted();
  if (from === "host") {
    const packages = await installedClosure(wanted, tools);
    return {
      inputs: packages.map(({ name, version }) => [name, version]),
      archive: (place) => archiveHostFiles({ ...place, packages, tools }),
    };
  }
  const source = await readDebianSource();
  return {
    inputs: [source.suite, wanted],
    archive: (place) => archiveDebootstrap({ ...place, source, packages: wanted, tools }),
  };
}

async function importTree(engine: Engine, image: string, fill: Plan["archive"]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "mycelium-image-"));
  try {
    const extras = join(folder, "extras");
    const archive = join(folder, "image.tar");
    await makeExtras(extras);
    await fill({ folder, extras, archive });
    await engine.importImage(createReadStream(archive), image);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const USERS = `root:x:0:0:root:/root:/bin/sh
${GUEST.user}:x:${GUEST.uid}:${GUEST.gid}::${GUEST.home}:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`;

const GROUPS = `root:x:0:
tty:x:5:
${GUEST.user}:x:${GUEST.gid}:
nogroup:x:65534:
`;

const NAME_SERVICES =
  "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n";

/** What a root file system needs beside the files of packages. */
async function makeExtras(folder: string): Promise<void> {
  for (const path of [
    "etc",
    "proc",
    "sys",
    "dev",
    "run",
    "root",
    "tmp",
    "var/tmp",
    "var/lib",
    "workspace",
  ]) {
    await mkdir(join(folder, path), { recursive: true });
  }
  for (const path of ["tmp", "var/tmp"]) await chmod(join(folder, path), 0o1777);
  for (const name of ["bin", "sbin", "lib", "lib64"])
    await symlink(`usr/${name}`, join(folder, name));
  await writeFile(join(folder, "etc/passwd"), USERS);
  await writeFile(join(folder, "etc/group"), GROUPS);
  await writeFile(join(folder, "etc/nsswitch.conf"), NAME_SERVICES);
  await writeFile(join(folder, "etc/hosts"), "127.0.0.1 localhost\n");
}
