const MIB = 1024 * 1024;

export const SWARM_LIMITS = {
  tasks: 20,
  nameCharacters: 60,
  commandCharacters: 100_000,
  variables: 100,
  sharedContextBytes: MIB,
  /** Shared context and all that the vault answered. */
  contextBytes: 4 * MIB,
  vaultQueries: 20,
  /** Notes that one search brings. */
  vaultHits: 5,
  parallel: 20,
  timeoutSeconds: 86_400,
  outputBytes: 4 * MIB,
  listed: 100,
  cancelPollMs: 200,
  /** For what is done in a worker beside its task. */
  chores: { timeoutMs: 120_000, outputBytesMax: 16_384 },
} as const;
