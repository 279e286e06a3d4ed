/** One event's worth of text. */
export const TEXT_CHARACTERS_MAX = 8_192;

/** Cuts text so that each piece makes an event, and no character ends up in two of them. */
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
  const last = text.charCodeAt(end - 1);
  const isFirstHalf = last >= 0xd8_00 && last <= 0xdb_ff;
  return isFirstHalf ? end - 1 : end;
}
