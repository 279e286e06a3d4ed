/** Saturation and length normalisation of BM25. */
const K1 = 1.2;
const B = 0.75;
/** What a word in the path is worth, in words of the text. */
const PATH_WEIGHT = 3;

export interface RankedText {
  readonly path: string;
  readonly text: string;
}

export interface Rank {
  readonly path: string;
  readonly score: number;
}

/** Letters and digits in a row, folded; accents do not count. */
export function wordsOf(text: string): readonly string[] {
  const folded = text.normalize("NFKD").replaceAll(/\p{M}/gu, "").toLowerCase();
  return folded.match(/[\p{L}\p{N}]+/gu) ?? [];
}

/**
 * Texts that hold a word of the query, the best first, by BM25; the last word counts as the
 * beginning of one too. Words of the path weigh more.
 */
export function rank(texts: Iterable<RankedText>, query: string): readonly Rank[] {
  const wanted = [...new Set(wordsOf(query))];
  const counted = [...texts].map(({ path, text }) => count(path, text, wanted));
  const lengths = counted.reduce((sum, { length }) => sum + length, 0);
  const average = Math.max(1, lengths / Math.max(1, counted.length));
  const weights = wanted.map((_, at) => {
    const holding = counted.filter(({ hits }) => (hits[at] ?? 0) > 0).length;
    return Math.log(1 + (counted.length - holding + 0.5) / (holding + 0.5));
  });
  return counted
    .map(({ path, hits, length }) => {
      const scores = hits.map((times, at) => {
        const norm = K1 * (1 - B + (B * length) / average);
        return ((weights[at] ?? 0) * times * (K1 + 1)) / (times + norm);
      });
      return { path, score: scores.reduce((sum, score) => sum + score, 0) };
    })
    .filter(({ score }) => score > 0)
    .toSorted((one, other) => other.score - one.score || (one.path < other.path ? -1 : 1));
}

function count(path: string, text: string, wanted: readonly string[]) {
  const words = wordsOf(text);
  const hits = wanted.map(() => 0);
  const add = (word: string, weight: number): void => {
    for (const [at, one] of wanted.entries()) {
      const isPrefix = at === wanted.length - 1 && one.length > 2 && word.startsWith(one);
      if (word === one || isPrefix) hits[at] = (hits[at] ?? 0) + weight;
    }
  };
  for (const word of words) add(word, 1);
  for (const word of wordsOf(path)) add(word, PATH_WEIGHT);
  return { path, hits, length: words.length };
}
