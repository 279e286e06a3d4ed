import type { Command } from "commander";
import type { Runner } from "../../program.ts";
import { renderForks, renderGolden, renderSnapshots } from "../../render/workspaces.ts";
import { wholeNumber } from "../../values.ts";
import {
  assignments,
  list,
  performing,
  positiveNumber,
  wishesOf,
  withSeed,
  withWishes,
  type SeedOptions,
  type WishOptions,
} from "./performing.ts";

const operations = () => import("../../../control/operations/workspace-snapshots.ts");

export function addSnapshots(workspace: Command, run: Runner): void {
  const snapshot = workspace.command("snapshot").description("frozen states of workspaces");
  on(snapshot, "create")
    .description("freeze its state under a name")
    .action((name: string, as: string, _: object, command: Command) => {
      const load = async () => (await operations()).createSnapshot;
      const done = ({ id }: { readonly id: string }): string => id;
      return performing(run, command, { load, input: { name, snapshot: as }, render: done });
    });
  snapshot
    .command("list")
    .argument("[name]", "only of this workspace")
    .description("list snapshots")
    .action((name: string | undefined, _: object, command: Command) => {
      const load = async () => (await operations()).listSnapshots;
      return performing(run, command, { load, input: { name }, render: renderSnapshots });
    });
  on(snapshot, "restore")
    .description("bring a workspace back to one; what came after is lost")
    .action((name: string, to: string, _: object, command: Command) => {
      const load = async () => (await operations()).restoreSnapshot;
      const done = (): string => `Restored ${name}.`;
      return performing(run, command, { load, input: { name, snapshot: to }, render: done });
    });
  snapshot
    .command("delete")
    .argument("<snapshot>", "WORKSPACE@NAME")
    .description("delete one that nothing stands on")
    .action((id: string, _: object, command: Command) => {
      const load = async () => (await operations()).deleteSnapshot;
      const done = (): string => `Deleted ${id}.`;
      return performing(run, command, { load, input: { snapshot: id }, render: done });
    });
  addFork(workspace, run);
  addPrepare(workspace, run);
}

function on(parent: Command, verb: string): Command {
  return parent
    .command(verb)
    .argument("<name>", "the workspace")
    .argument("<snapshot>", "the snapshot's name");
}

type ForkOptions = WishOptions & { readonly count?: number; readonly prefix?: string };

function addFork(workspace: Command, run: Runner): void {
  withWishes(workspace.command("fork"))
    .argument("<snapshot>", "WORKSPACE@NAME")
    .argument("[names...]", "what the forks are called")
    .description("make workspaces from a snapshot, in parallel")
    .option("--count <n>", "so many, called PREFIX-1 and so on", wholeNumber(1))
    .option("--prefix <text>", "with --count (default: worker)")
    .action((snapshot: string, given: string[], options: ForkOptions, command: Command) => {
      const { count = 0, prefix = "worker" } = options;
      if (given.length > 0 === count > 0) command.error("give either names or --count");
      const numbered = Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
      const names = given.length > 0 ? given : numbered;
      const load = async () => (await operations()).forkSnapshot;
      const input = { snapshot, names, ...wishesOf(options) };
      return performing(run, command, { load, input, render: renderForks });
    });
}

type PrepareOptions = SeedOptions &
  WishOptions & {
    readonly run?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly timeout?: number;
  };

function addPrepare(workspace: Command, run: Runner): void {
  withWishes(withSeed(workspace.command("prepare")))
    .description("make a golden snapshot by set-up commands, or find the one that there is")
    .option("--run <command>", "a line for the shell; again for more", list)
    .option("-e, --env <NAME=value>", "a variable of its commands and forks", assignments)
    .option("--timeout <seconds>", "for each command (default: 900)", positiveNumber)
    .action((options: PrepareOptions, command: Command) => {
      const { kind, repo, commit, image, run: commands = [], env: variables } = options;
      const load = async () => (await operations()).prepareWorkspaces;
      const wishes = { ...wishesOf(options), timeout_seconds: options.timeout };
      const input = { kind, repo, commit, image, commands: [...commands], variables, ...wishes };
      return performing(run, command, { load, input, render: renderGolden });
    });
}
