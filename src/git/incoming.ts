import { Refusal, type Result } from "../domain/failure.ts";
import { BUNDLE_BYTES_MAX, readBundleFile, type BundleFile } from "./bundle-file.ts";
import { isAncestor } from "./commits.ts";
import type { GitResult } from "./git.ts";
import { gitFailed } from "./git-failed.ts";
import { deleteRefs } from "./integration.ts";
import { lockPathOf, retryWhile } from "./locks.ts";
import { nullId, type RepositoryParts } from "./parts.ts";
import { assertObjectIds, assertRefName } from "./ref-name.ts";

export interface ImportRequest {
  /** On the host; its only ref is `HEAD`. */
  readonly bundle: string;
  /** Below `refs/mycelium/`. What it pointed to before is forgotten. */
  readonly ref: string;
  /** What the worker says that the bundle holds. */
  readonly head: string;
  /** The commit that the worker was given: `head` must stand on it. */
  readonly base: string;
  /** Of the bundle; `BUNDLE_BYTES_MAX` where it is left out. */
  readonly bytesMax?: number;
}

const OWN_REFS = "refs/mycelium/";
const IMPORT_TIMEOUT_MS = 300_000;
/** git ends with these where the input makes no sense to it. */
const EXIT_CODES = [0, 1, 128] as const;

/**
 * A push is git's own way to take objects from somebody who is not trusted: they are held apart,
 * every one is checked (as `git fsck` does; `git fetch` of a bundle does not before git 2.46), all
 * that they need must be there, and only then they are taken over and the ref is made.
 */
const RECEIVING = [
  "receive.fsckObjects=true",
  "receive.denyNonFastForwards=false",
  "receive.autogc=false",
  "receive.updateServerInfo=false",
  // Below this many objects they become single files: a pack for each task would slow every look-up.
  "receive.unpackLimit=100",
  // What stands on a branch is known to be whole; looking at every tag and task would only take time.
  "core.alternateRefsPrefixes=refs/heads/",
  "receive.hideRefs=refs",
  "receive.hideRefs=!refs/heads",
] as const;

/** How many commits of a worker are looked through here before git is asked. */
const STEPS_MAX = 32;

/**
 * Brings a worker's commits into the repository under `ref`, by one process, with nothing of the
 * worker's being run or believed. Whatever is wrong with them is a failure and leaves no ref, and
 * where git refuses them no object either.
 */
export async function importBundle(
  parts: RepositoryParts,
  request: ImportRequest,
): Promise<Result<void>> {
  assertRefName(request.ref);
  assertObjectIds(request.head, request.base);
  if (!request.ref.startsWith(OWN_REFS)) throw new Error(`not a ref of ours: ${request.ref}`);
  const reading = await readBundleFile(request.bundle, request.bytesMax);
  if (reading.kind === "unreadable") return refuse(request, reading.reason);
  const fault = findFault(parts, request, reading.bundle);
  if (fault !== null) return refuse(request, fault);
  const before = await parts.objects.resolveRef(request.ref);
  if (before !== request.head) {
    const reason = await receive(parts, request, { before, pack: reading.bundle.pack });
    if (reason !== null) return refuse(request, reason);
  }
  if (await standsOn(parts, request)) return { ok: true, value: undefined };
  await deleteRefs(parts, [request.ref]);
  return refuse(request, `does not stand on ${request.base}, which the task was started from`);
}

function findFault(
  { objectFormat }: RepositoryParts,
  { head }: ImportRequest,
  bundle: BundleFile,
): string | null {
  const [only, ...more] = bundle.refs;
  if (only === undefined || more.length > 0) return `holds ${bundle.refs.length} refs, not one`;
  if (only.ref !== "HEAD") return `holds ${only.ref}, not HEAD`;
  if (only.id !== head) return `holds ${only.id}, not ${head}`;
  if (bundle.objectFormat !== objectFormat) {
    return `holds ${bundle.objectFormat} objects; the repository's are ${objectFormat}`;
  }
  return null;
}

/** Why git did not take the objects, or `null` where it did. */
async function receive(
  { git, clock, gitDir, objectFormat }: RepositoryParts,
  { ref, head, bytesMax = BUNDLE_BYTES_MAX }: ImportRequest,
  { before, pack }: { readonly before: string | null; readonly pack: Buffer },
): Promise<string | null> {
  const command = `${before ?? nullId(objectFormat)} ${head} ${ref}`;
  const line = `${command}\0 report-status object-format=${objectFormat}`;
  const length = (Buffer.byteLength(line) + 4).toString(16).padStart(4, "0");
  const stdin = Buffer.concat([Buffer.from(`${length}${line}0000`), pack]);
  const result = await retryWhile(
    clock,
    () =>
      git.run(["receive-pack", "--stateless-rpc", gitDir], {
        stdin,
        config: [...RECEIVING, `receive.maxInputSize=${bytesMax}`, `receive.hideRefs=!${ref}`],
        timeoutMs: IMPORT_TIMEOUT_MS,
        allowExitCodes: EXIT_CODES,
      }),
    ({ stderr }) => lockPathOf(stderr) !== null,
  );
  return judge(result, ref, gitDir);
}

function judge({ code, stdout, stderr }: GitResult, ref: string, folder: string): string | null {
  const isTaken = stdout.includes("unpack ok\n") && stdout.includes(`ok ${ref}\n`);
  if (code === 0 && isTaken) return null;
  const lockPath = lockPathOf(stderr);
  if (lockPath !== null) {
    throw new Refusal("ref-locked", `${lockPath} is there, so nothing can be brought in`, {
      details: { lockPath },
      hint: `if no git process is at work in the repository, remove ${lockPath}`,
    });
  }
  const what = "took nothing over";
  const trouble = gitFailed(["receive-pack"], { what, exitCode: code, stderr, folder });
  if (trouble.failure.code === "disk-full") throw trouble;
  const said = stderr.split("\n").filter((line) => /^(?:error|fatal): /.test(line));
  return `was refused by git: ${said.join("; ") || stdout.trim() || `exit code ${code}`}`;
}

/** Most workers put a commit or a few on their base, so a short look answers without a process. */
async function standsOn(parts: RepositoryParts, { head, base }: ImportRequest): Promise<boolean> {
  let id: string | undefined = head;
  for (let steps = 0; steps < STEPS_MAX && id !== undefined; steps += 1) {
    if (id === base) return true;
    const commit = await parts.objects.readCommit(id);
    if (commit === null) return false;
    if (commit.parents.includes(base)) return true;
    id = commit.parents[0];
  }
  return isAncestor(parts, { ancestor: base, descendant: head });
}

function refuse({ bundle }: ImportRequest, reason: string): Result<void> {
  const message = `the bundle ${reason}`;
  const hint = "look at what the agent did to the git repository of its workspace";
  return { ok: false, failure: { code: "workspace-failed", message, details: { bundle }, hint } };
}
