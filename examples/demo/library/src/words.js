/** The words of a text, in order, without what stands between them. */
export function words(text) {
  return text.match(/[\p{L}\p{N}]+(?:['’]\p{L}+)*/gu) ?? [];
}
