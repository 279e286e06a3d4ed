import { randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Result } from "../../domain/failure.ts";
import { systemClock, timestamp } from "../../lib/clock.ts";
import { crashPoint } from "../../lib/crash-point.ts";
import { lockFile } from "../../lib/file-lock.ts";
import type { ForkRequest, LastingRequest } from "../lasting-workspace.ts";
import type { WorkspaceLimits } from "../workspace.ts";
import { failureWith, workspaceFailure } from "../workspace-failure.ts";
import { provideGolden } from "./golden.ts";
import { buildImage, DEFAULT_IMAGE, findImage, type Image } from "./image.ts";
import { CHANNELS, type MachineShape } from "./machine.ts";
import { touch } from "./prune-cache.ts";
import { seedGuest } from "./seed.ts";
import type { SnapshotRecord } from "./snapshot-records.ts";
import { characterOf, writeRecord, type VmLayout, type VmRecord } from "./vm-record.ts";
import type { VmMachine } from "./vm-machine.ts";

export interface VmDefaults {
  readonly cpus: number;
  readonly memoryMb: number;
  readonly diskMb: number;
  readonly pids: number;
}

export interface MakeMeans {
  readonly cacheDir: string;
  readonly defaults: VmDefaults;
  readonly checkoutTimeoutMs: number;
}

const MEMORY_MB_MIN = 128;
/** Beyond this the memory would lie in two pieces. */
const MEMORY_MB_MAX = 3072;
const IMAGE_LOCK_TIMEOUT_MS = 600_000;

type Wishes = Pick<LastingRequest, "limits" | "network">;

/** What a machine can be; refused where it cannot be that. */
export function shapeOf(
  defaults: VmDefaults,
  { limits = {}, network = "allow" }: Wishes,
): Result<Omit<MachineShape, "accelerator">> {
  const { cpus, memoryMb, diskMb } = { ...defaults, ...given(limits) };
  if (memoryMb < MEMORY_MB_MIN || memoryMb > MEMORY_MB_MAX) {
    const range = `${MEMORY_MB_MIN} to ${MEMORY_MB_MAX}`;
    return workspaceFailure(`a machine's memory is ${range} MB, not ${memoryMb}`);
  }
  return {
    ok: true,
    value: { memoryMb, processors: Math.ceil(cpus), diskMb, network, channels: CHANNELS },
  };
}

/** A live copy of the image's booted machine, with the seed's clone in it. */
export async function makeVm(
  { cacheDir, defaults, checkoutTimeoutMs }: MakeMeans,
  request: LastingRequest,
  place: { readonly layout: VmLayout; readonly machine: VmMachine },
): Promise<Result<void>> {
  const { layout, machine } = place;
  const { seed, limits = {}, image: imageName = DEFAULT_IMAGE } = request;
  const shape = shapeOf(defaults, request);
  if (!shape.ok) return shape;
  const image = await provideImage(cacheDir, imageName);
  if (!image.ok) return image;
  const golden = await provideGolden({ cacheDir, image: image.value, shape: shape.value });
  if (!golden.ok) return golden;
  const { cpus, pids } = { ...defaults, ...given(limits) };
  const record = newRecord({
    seed: seed === null ? null : { ...seed },
    variables: {},
    image: imageName,
    pids,
    cpus,
    shape: golden.value.shape,
  });
  writeRecord(layout, record);
  crashPoint("workspace.recorded");
  const agent = await machine.fork(golden.value, record);
  if (!agent.ok) return agent;
  if (seed !== null) {
    const timeoutMs = checkoutTimeoutMs;
    const seeded = await seedGuest(agent.value, { cacheDir, seed, timeoutMs });
    if (!seeded.ok) return seeded;
  }
  writeRecord(layout, { ...record, state: "running" });
  machine.log("created");
  return { ok: true, value: undefined };
}

/** The record of a fork, before anything else of it is there: from then on its source stays. */
export function beginFork(
  { shape, ...found }: SnapshotRecord,
  { limits = {}, network }: ForkRequest,
  snapshot: string,
): Result<VmRecord> {
  const wanted = { cpus: found.cpus, pids: found.pids, ...shape, ...given(limits) };
  const isSame = wanted.memoryMb === shape.memoryMb && wanted.diskMb === shape.diskMb;
  const isPossible = network !== "allow" || shape.network === "allow";
  if (!isPossible || !isSame || wanted.cpus > shape.processors) {
    return failureWith(
      "workspace-unsupported",
      "a fork goes on as the machine that it is of: it gets no network that this has not, memory " +
        `and disk cannot change, and it has ${shape.processors} cores`,
      { hint: "leave them out, or create another workspace", details: { snapshot } },
    );
  }
  const isCut = network === "none" && shape.network === "allow";
  const forked = isCut ? { ...shape, network: "cut" as const } : shape;
  const character = characterOf({ ...found, shape: forked, cpus: wanted.cpus, pids: wanted.pids });
  return { ok: true, value: newRecord(character, snapshot) };
}

function newRecord(
  character: ReturnType<typeof characterOf>,
  snapshot: string | null = null,
): VmRecord {
  return {
    ...character,
    version: 2,
    state: "making",
    createdAt: timestamp(systemClock),
    machineId: randomBytes(16).toString("hex"),
    forkedFrom: snapshot,
    standsOn: snapshot,
    isHeld: false,
  };
}

function given(limits: WorkspaceLimits): Partial<VmDefaults> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}

/** The default image is built where it is missing; others must be there. */
export async function provideImage(cacheDir: string, name: string): Promise<Result<Image>> {
  const folder = join(cacheDir, "images");
  const found = findImage(folder, name);
  if (found !== null && touch(dirname(found.disk))) return { ok: true, value: found };
  if (name !== DEFAULT_IMAGE) {
    return failureWith("image-missing", `there is no image called ${name}`, {
      details: { image: name },
      hint: "leave the image out: the default one is built where it is missing",
    });
  }
  mkdirSync(folder, { recursive: true });
  using lock = await lockFile(join(folder, `${name}.lock`), { waitMs: IMAGE_LOCK_TIMEOUT_MS });
  const meanwhile = findImage(folder, name);
  if (meanwhile !== null) return { ok: true, value: meanwhile };
  if (lock === null) return workspaceFailure(`image ${name} is being built for too long`);
  return await buildImage(folder, name);
}
