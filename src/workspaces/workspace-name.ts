/** What people call workspaces and snapshots: it fits a host name, a folder and a label alike. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** In words, for refusals. */
export const NAME_RULE =
  "1 to 63 small letters, digits and '-', beginning and ending with a letter or digit";

export function isWorkspaceName(name: string): boolean {
  return NAME.test(name);
}

/** `<workspace>@<name>`. */
export function snapshotId(workspace: string, name: string): string {
  return `${workspace}@${name}`;
}
