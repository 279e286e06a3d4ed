export const TEAM_LIMITS = {
  teams: 100,
  roles: 50,
  skills: 50,
  nameCharacters: 60,
  descriptionCharacters: 10_000,
  /** Workspaces that a team may have. */
  vms: 100,
  contentBytes: 256 * 1024,
  /** Messages that wait for one role; a full inbox refuses, nothing is dropped. */
  inbox: 1_000,
  received: 100,
  /** Messages with an id that one sender has sent in a team. */
  messageKeys: 10_000,
  /** Teams above a team. */
  depth: 3,
  boardTasks: 1_000,
  dependencies: 50,
} as const;
