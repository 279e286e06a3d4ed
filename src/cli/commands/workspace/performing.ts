import { InvalidArgumentError, type Command } from "commander";
import type { z } from "zod";
import type { Operation } from "../../../control/operation.ts";
import type { Runner } from "../../program.ts";
import type { Style } from "../../render/style.ts";
import { wholeNumber } from "../../values.ts";

export interface Performance<I extends z.ZodType, O extends z.ZodType> {
  /** Loads the operation, which most commands do not need. */
  readonly load: () => Promise<Operation<I, O>>;
  readonly input: z.input<I>;
  readonly render: (result: z.output<O>, style: Style) => string;
}

/** Performs one operation and prints what it answers. */
export function performing<I extends z.ZodType, O extends z.ZodType>(
  run: Runner,
  command: Command,
  { load, input, render }: Performance<I, O>,
): Promise<void> {
  return run(command, async (session) => {
    const result = await session.perform(await load(), input);
    session.answer(result as object, (style) => render(result, style));
    return 0;
  });
}

/** `NAME=value`, again and again, as an option's or an argument's value. */
export function assignments(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at > 0) return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
  throw new InvalidArgumentError("It must be NAME=value.");
}

export function list(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** A number above 0; fractions count. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("It must be a number above 0.");
}

export interface WishOptions {
  readonly network?: "none" | "allow";
  readonly cpus?: number;
  readonly memoryMb?: number;
  readonly diskMb?: number;
  readonly pids?: number;
}

/** Limits and network, for commands that make workspaces. */
export function withWishes(command: Command): Command {
  return command
    .option("--network <none|allow>", "whether anything gets out (default: allow)")
    .option("--cpus <n>", "cores; fractions count", positiveNumber)
    .option("--memory-mb <n>", "memory", wholeNumber(1))
    .option("--disk-mb <n>", "what may be written", wholeNumber(1))
    .option("--pids <n>", "processes", wholeNumber(1));
}

export function wishesOf({ network, cpus, memoryMb, diskMb, pids }: WishOptions) {
  return { network, limits: { cpus, memory_mb: memoryMb, disk_mb: diskMb, pids } };
}

export interface SeedOptions {
  readonly kind?: "local" | "sandbox" | "docker" | "vm";
  readonly repo?: string;
  readonly commit?: string;
  readonly image?: string;
}

export function withSeed(command: Command): Command {
  return command
    .option("--kind <kind>", "local, sandbox, docker or vm (default: local)")
    .option("--repo <dir>", "start as a clone of this repository (default: empty)")
    .option("--commit <rev>", "at this commit: a branch, a tag or a commit (default: HEAD)")
    .option("--image <name>", "what it is made of, for kinds that are made of an image");
}
