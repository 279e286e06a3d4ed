import type { Workspace, WorkspaceFinder } from "./workspace.ts";

/** Workspaces of several kinds, found and removed as if they were of one. */
export function findersOf(kinds: readonly WorkspaceFinder[]): WorkspaceFinder {
  return {
    list: async () => (await Promise.all(kinds.map((kind) => kind.list()))).flat(),
    find: async (request) => {
      for (const kind of kinds) {
        const found: Workspace | null = await kind.find(request);
        if (found !== null) return found;
      }
      return null;
    },
    remove: async (id) => {
      for (const kind of kinds) if ((await kind.list()).includes(id)) await kind.remove(id);
    },
  };
}
