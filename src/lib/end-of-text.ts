/** Longer words are cut all the same. */
const WORD_LENGTH_MAX = 1_024;

/**
 * The end of a text, no longer than `lengthMax` and beginning with a whole word: of a secret that is
 * cut in two, the rest could not be told from other text any more.
 */
export function endOfText(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  const start = text.length - lengthMax;
  const isWordStart = /\s/.test(text.charAt(start - 1));
  return isWordStart ? text.slice(start) : withoutFirstWord(text.slice(start));
}

/** For a text whose beginning may be the rest of a word. */
export function withoutFirstWord(text: string): string {
  const wordEnd = text.slice(0, WORD_LENGTH_MAX).search(/\s/);
  return wordEnd === -1 ? text : text.slice(wordEnd + 1);
}
