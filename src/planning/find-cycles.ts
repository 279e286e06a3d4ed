interface Node {
  readonly id: string;
  readonly dependencies: readonly string[];
}

/**
 * Cycles that share no member, enough of them that without their members nothing goes round. Each
 * is a list of ids in which every one needs the next, and the last needs the first. Dependencies on
 * unknown ids are ignored.
 *
 * Works without recursion, so that a chain of ten thousand tasks is as good as any.
 */
export function findCycles(nodes: readonly Node[]): readonly (readonly string[])[] {
  const cycles: (readonly string[])[] = [];
  let left = withoutEnds(nodes);
  while (left.size > 0) {
    const seen = new Set<string>();
    const found = [...left.keys()].flatMap((start) => {
      const cycle = walkToCycle(start, left, seen);
      return cycle === null ? [] : [cycle];
    });
    cycles.push(...found);
    const members = new Set(found.flat());
    left = withoutEnds(
      [...left]
        .filter(([id]) => !members.has(id))
        .map(([id, dependencies]) => ({ id, dependencies })),
    );
  }
  return cycles;
}

/** The nodes that are left when those without dependencies are taken away, again and again. */
function withoutEnds(nodes: readonly Node[]): ReadonlyMap<string, readonly string[]> {
  const left = new Map(nodes.map(({ id, dependencies }) => [id, new Set(dependencies)]));
  const dependents = new Map<string, string[]>();
  for (const [id, dependencies] of left) {
    for (const dependency of dependencies) {
      if (!left.has(dependency)) dependencies.delete(dependency);
      const known = dependents.get(dependency);
      if (known === undefined) dependents.set(dependency, [id]);
      else known.push(id);
    }
  }
  const free = [...left].filter(([, dependencies]) => dependencies.size === 0).map(([id]) => id);
  for (let id = free.pop(); id !== undefined; id = free.pop()) {
    left.delete(id);
    for (const dependent of dependents.get(id) ?? []) {
      const dependencies = left.get(dependent);
      if (dependencies?.delete(id) === true && dependencies.size === 0) free.push(dependent);
    }
  }
  return new Map([...left].map(([id, dependencies]) => [id, [...dependencies]]));
}

/**
 * Follows first dependencies, which every node that is left has, until one comes again; `null`
 * where the walk ends in a cycle that was told before.
 */
function walkToCycle(
  start: string,
  left: ReadonlyMap<string, readonly string[]>,
  seen: Set<string>,
): readonly string[] | null {
  const walk: string[] = [];
  let at = start;
  while (!seen.has(at)) {
    seen.add(at);
    walk.push(at);
    at = left.get(at)?.[0] ?? "";
  }
  const begin = walk.indexOf(at);
  return begin === -1 ? null : walk.slice(begin);
}
