const MIB = 1024 * 1024;

/** What the vault holds, answers and waits for at the most. */
export const VAULT_LIMITS = {
  noteBytes: 10 * MIB,
  pathBytes: 1024,
  segmentBytes: 200,
  depth: 16,
  queryCharacters: 1024,
  /** In one walk; a vault with more is told to be too large rather than half looked at. */
  notes: 20_000,
  /** Read for one search, replacement or count. */
  searchedBytes: 512 * MIB,
  results: 1000,
  /** Of one line in an answer. */
  lineCharacters: 500,
  contextLines: 2,
  batchPaths: 10,
  /** All notes of one `batch_read` together. */
  batchBytes: 32 * MIB,
  tags: 200,
  tagCharacters: 100,
  frontMatterBytes: 256 * 1024,
  /** For a regular expression over everything that it is applied to. */
  patternMs: 2_000,
  lockWaitMs: 10_000,
} as const;
