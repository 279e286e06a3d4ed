import { EVENT_TYPES, type EventType } from "../domain/event.ts";
import { Refusal } from "../domain/failure.ts";
import { matchesAny } from "../lib/globs.ts";

/** The types that a glob such as `budget.*` or `{task,run}.failed` stands for. Refuses none. */
export function matchTypes(glob: string): readonly EventType[] {
  const types = EVENT_TYPES.filter((type) => matchesAny([glob], type));
  if (types.length > 0) return types;
  const families = [...new Set(EVENT_TYPES.map((type) => `${type.split(".")[0]}.*`))];
  throw new Refusal("usage", `no event type matches ${JSON.stringify(glob)}`, {
    hint: `there are ${families.join(", ")}`,
    details: { types: EVENT_TYPES },
  });
}
