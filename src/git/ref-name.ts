/**
 * What git itself forbids in the name of a ref, so that a name can stand in a command or before
 * `^{commit}` and mean nothing but that ref.
 */
// eslint-disable-next-line no-control-regex -- control characters are what this is about
const FORBIDDEN = /[\u0000-\u0020\u007F~^:?*[\\]|\.\.|@\{|\/\/|\/\.|\.lock(?:\/|$)|\.$|\/$/;

const NAME_LENGTH_MAX = 1_000;

/** Whether `name` is a full name of a ref, `refs/…`, that git would take. */
export function isRefName(name: string): boolean {
  return name.startsWith("refs/") && name.length <= NAME_LENGTH_MAX && !FORBIDDEN.test(name);
}

/** Whether `name` can be the name of a branch, without `refs/heads/`. */
export function isBranchName(name: string): boolean {
  return name !== "" && !name.startsWith("-") && isRefName(branchRef(name));
}

export function branchRef(branch: string): string {
  return `refs/heads/${branch}`;
}

/** For names that our own code made: a wrong one is a bug. */
export function assertRefName(name: string): void {
  if (!isRefName(name)) throw new Error(`not the name of a ref: ${JSON.stringify(name)}`);
}

const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

export function isObjectId(text: string): boolean {
  return OBJECT_ID.test(text);
}

/** So that nothing else, an option or a range, can stand where a command takes an object. */
export function assertObjectIds(...ids: readonly string[]): void {
  for (const id of ids) {
    if (!isObjectId(id)) throw new Error(`not an object id: ${JSON.stringify(id)}`);
  }
}
