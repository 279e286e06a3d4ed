/** One event's worth of text. */
export const TEXT_CHARACTERS_MAX = 8_192;

/**
 * Cuts text so that each piece makes an event: at a line end where there is one, else between two
 * words, and only a word that is longer than a piece in its middle, between two characters.
 */
export function piecesOf(text: string): readonly string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length;) {
    const end = endOfPiece(text, start);
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}

function endOfPiece(text: string, start: number): number {
  const end = start + TEXT_CHARACTERS_MAX;
  if (end >= text.length) return text.length;
  const piece = text.slice(start, end);
  const cut = piece.lastIndexOf("\n") + 1 || lengthOfWholeWords(piece);
  if (cut > 0) return start + cut;
  const last = text.charCodeAt(end - 1);
  const isFirstHalf = last >= 0xd8_00 && last <= 0xdb_ff;
  return isFirstHalf ? end - 1 : end;
}

/** Up to the last white space and with it; 0 where there is none. */
export function lengthOfWholeWords(text: string): number {
  let end = text.length;
  while (end > 0 && !/\s/.test(text.charAt(end - 1))) end -= 1;
  return end;
}
