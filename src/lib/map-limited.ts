/** Maps with so many at a time, so that a thousand files are not open at once. Keeps the order. */
export async function mapLimited<T, R>(
  items: readonly T[],
  widthMax: number,
  map: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += widthMax) {
    results.push(...(await Promise.all(items.slice(start, start + widthMax).map(map))));
  }
  return results;
}
