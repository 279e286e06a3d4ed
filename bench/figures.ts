/** What was measured for one number of tasks. */
export interface SizeFigures {
  readonly tasks: number;
  readonly myceliumMs: readonly number[];
  readonly scriptMs: readonly number[];
  readonly peakMemoryBytes: number;
  readonly gitProcesses: number;
  readonly scriptGitProcesses: number;
}

export interface Figures {
  readonly at: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly sizes: readonly SizeFigures[];
  readonly helpMs: readonly number[];
  readonly emptyNodeMs: readonly number[];
}

export interface Target {
  readonly name: string;
  readonly limit: string;
  /** `null` where this run did not measure what it takes. */
  readonly found: string | null;
  readonly isMet: boolean | null;
}

const MEGABYTE = 1_000_000;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) throw new Error("there is no median of nothing");
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2;
}

/** How many times the script's time Mycelium takes. */
export function ratioOf({ myceliumMs, scriptMs }: SizeFigures): number {
  return median(myceliumMs) / median(scriptMs);
}

export function perTaskMs({ tasks, myceliumMs }: SizeFigures): number {
  return median(myceliumMs) / tasks;
}

export function judgeTargets({ sizes, helpMs, emptyNodeMs }: Figures): readonly Target[] {
  const at = (tasks: number): SizeFigures | undefined => sizes.find((size) => size.tasks === tasks);
  const hundred = at(100);
  const thousand = at(1000);
  const git = hundred === undefined ? null : hundred.gitProcesses / hundred.tasks;
  const growth =
    hundred === undefined || thousand === undefined
      ? null
      : perTaskMs(thousand) / perTaskMs(hundred);
  const memory = thousand === undefined ? null : thousand.peakMemoryBytes / MEGABYTE;
  const help = helpMs.length === 0 ? null : median(helpMs) / median(emptyNodeMs);
  return [
    judge("100 tasks", { limit: 2, unit: " × the script", found: hundred && ratioOf(hundred) }),
    judge("git processes a task, at 100", { limit: 8, unit: "", found: git }),
    judge("a task at 1,000", { limit: 1.3, unit: " × a task at 100", found: growth }),
    judge("peak memory at 1,000", { limit: 250, unit: " MB", found: memory }),
    judge("`mycelium --help`", { limit: 2.5, unit: " × `node -e 0`", found: help }),
  ];
}

export interface Judged {
  readonly limit: number;
  readonly unit: string;
  readonly found: number | null | undefined;
}

/** At most so much, or exactly that. */
export function judge(name: string, { limit, unit, found }: Judged): Target {
  const told = `at most ${limit}${unit}`;
  if (found === null || found === undefined) return { name, limit: told, found: null, isMet: null };
  const digits = found < 10 ? 2 : 0;
  return { name, limit: told, found: `${found.toFixed(digits)}${unit}`, isMet: found <= limit };
}
