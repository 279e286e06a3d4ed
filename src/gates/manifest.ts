import { manifestSchema, repositoryPathSchema, type Manifest } from "../domain/task.ts";
import { listText, numberText } from "../domain/words.ts";
import { findGlobProblem, matchesAny } from "../lib/globs.ts";

/** Paths that a name stands for, so that whoever writes one of them holds its lock. */
export interface Resource {
  readonly name: string;
  readonly paths: readonly string[];
}

export interface Violation {
  readonly kind: "file-not-declared" | "resource-not-locked";
  readonly path: string;
  readonly resource: string | null;
}

/** Every changed path that the manifest's `files.writes` or `locks.writes` do not allow. */
export function findViolations(
  manifest: Manifest,
  paths: readonly string[],
  resources: readonly Resource[],
): readonly Violation[] {
  const violations: Violation[] = [];
  for (const path of paths) {
    if (!matchesAny(manifest.files.writes, path)) {
      violations.push({ kind: "file-not-declared", path, resource: null });
    }
    for (const { name } of resources.filter((resource) => matchesAny(resource.paths, path))) {
      if (!isWriteLocked(manifest, name)) {
        violations.push({ kind: "resource-not-locked", path, resource: name });
      }
    }
  }
  return violations;
}

function isWriteLocked(manifest: Manifest, resource: string): boolean {
  return manifest.locks.writes.some(
    (lock) => lock === "repo" || lock === resource || resource.startsWith(`${lock}/`),
  );
}

export type Rescope =
  | { readonly kind: "widened"; readonly manifest: Manifest }
  /** No manifest can say this: names that it cannot hold, or too many. */
  | { readonly kind: "impossible"; readonly why: string };

/**
 * The manifest widened by exactly what was written: a file that was declared as read becomes a
 * write, and a resource that was read becomes write-locked.
 */
export function rescope(manifest: Manifest, violations: readonly Violation[]): Rescope {
  const addedFiles = distinct(
    violations.filter(({ kind }) => kind === "file-not-declared").map(({ path }) => path),
  );
  const addedLocks = distinct(violations.flatMap(({ resource }) => resource ?? []));
  const nameless = addedFiles.filter((path) => !isDeclarable(globOf(path)));
  if (nameless.length > 0) {
    const names = listText(nameless.map((path) => JSON.stringify(path)));
    return { kind: "impossible", why: `no manifest can declare ${names}` };
  }
  const widened = manifestSchema.safeParse({
    ...manifest,
    files: {
      reads: manifest.files.reads.filter((path) => !addedFiles.includes(path)),
      writes: [...manifest.files.writes, ...addedFiles.map(globOf)],
    },
    locks: {
      reads: manifest.locks.reads.filter((lock) => !addedLocks.includes(lock)),
      writes: [...manifest.locks.writes, ...addedLocks],
    },
  });
  if (widened.success) return { kind: "widened", manifest: widened.data };
  const count = numberText(addedFiles.length + addedLocks.length);
  return { kind: "impossible", why: `${count} are too many to be declared one by one` };
}

/** Stars and question marks in a name must not permit other names. */
function globOf(path: string): string {
  const exact = path.replaceAll(/[*?]/g, "[$&]");
  return matchesAny([exact], path) ? exact : path;
}

function isDeclarable(glob: string): boolean {
  return repositoryPathSchema.safeParse(glob).success && findGlobProblem(glob) === null;
}

function distinct(values: readonly string[]): readonly string[] {
  return [...new Set(values)].toSorted();
}
