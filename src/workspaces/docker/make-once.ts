import type { ContainerCreateOptions } from "dockerode";
import { Refusal } from "../../domain/failure.ts";
import { systemClock } from "../../lib/clock.ts";
import { isCut, isLost } from "./engine-asking.ts";
import type { Engine } from "./engine.ts";
import { LABELS } from "./layout.ts";

/** How often something is asked for whose answer was lost, and the pause where it is under way. */
const TRIES_MAX = 5;
const UNDER_WAY_PAUSE_MS = 200;
/** How long a snapshot is waited for whose answer was lost, before it is taken again. */
const UNDER_WAY_MS_MAX = 20_000;

/**
 * Makes a container and answers its id, whatever becomes of the engine's answer: the one that carries
 * this very mark is ours. Throws a lost answer only where the engine did not come back.
 */
export async function createContainerOnce(
  engine: Engine,
  options: ContainerCreateOptions & { readonly name: string },
): Promise<string> {
  const mark = options.Labels?.[LABELS.mark];
  let wasLost = false;
  for (let tries = 1; ; tries += 1) {
    try {
      return await engine.createContainer(options);
    } catch (error) {
      const isTaken = error instanceof Refusal && error.failure.code === "workspace-exists";
      if (!isLost(error) && !(wasLost && isTaken)) throw error;
      if (isLost(error)) await backOr(engine, error);
      wasLost = true;
      const found = await engine.inspectContainer(options.name);
      if (found !== null && found.labels[LABELS.mark] === mark) return found.id;
      if (found !== null || tries >= TRIES_MAX) throw error;
      // Its name is given away before it can be looked at.
      await systemClock.sleep(UNDER_WAY_PAUSE_MS);
    }
  }
}

/** Freezes a container as an image, which then is there once, whatever becomes of the answer. */
export async function commitContainerOnce(
  engine: Engine,
  container: string,
  image: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await engine.commitContainer(container, image, labels);
      break;
    } catch (error) {
      if (!isLost(error)) throw error;
      await backOr(engine, error);
      if (await appears(engine, labels)) break;
      // One that takes too long may be going on: another beside it would take no less.
      if (tries >= TRIES_MAX || !isCut(error)) throw error;
    }
  }
  // An earlier try may have been done all the same, and has lost its name to the last.
  await engine.removeNameless(labels);
}

/** What was asked may be under way still: another beside it would be a second one. */
async function appears(engine: Engine, labels: Readonly<Record<string, string>>): Promise<boolean> {
  const untilMs = systemClock.monotonic() + UNDER_WAY_MS_MAX;
  for (;;) {
    if ((await engine.listImages(labels)).length > 0) return true;
    if (systemClock.monotonic() >= untilMs) return false;
    await systemClock.sleep(UNDER_WAY_PAUSE_MS);
  }
}

/** Where it does not come back, what was asked stays unknown. */
async function backOr(engine: Engine, lost: unknown): Promise<void> {
  try {
    await engine.whenBack();
  } catch {
    throw lost;
  }
}
