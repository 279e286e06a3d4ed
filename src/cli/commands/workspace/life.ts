import type { Command } from "commander";
import type { Runner } from "../../program.ts";
import * as render from "../../render/workspaces.ts";
import { wholeNumber } from "../../values.ts";
import { assignments, performing, wishesOf, withSeed, withWishes } from "./performing.ts";
import type { SeedOptions, WishOptions } from "./performing.ts";

const life = () => import("../../../control/operations/workspaces.ts");

type CreateOptions = SeedOptions & WishOptions & { readonly ownerPid?: number };

export function addLife(workspace: Command, run: Runner): void {
  withWishes(withSeed(workspace.command("create").argument("<name>", "letters, digits and -")))
    .description("make a workspace that is kept")
    .option("--owner-pid <pid>", "it is this process's, and swept when that ended", wholeNumber(1))
    .action((name: string, options: CreateOptions, command: Command) => {
      const { kind, repo, commit, image, ownerPid } = options;
      const input = { name, kind, repo, commit, image, owner_pid: ownerPid, ...wishesOf(options) };
      const load = async () => (await life()).createWorkspace;
      return performing(run, command, { load, input, render: render.renderWorkspace });
    });
  workspace
    .command("list")
    .description("list the workspaces that are kept")
    .option("--kind <kind>", "only of this kind")
    .action((input: { readonly kind?: "local" }, command: Command) => {
      const load = async () => (await life()).listWorkspaces;
      return performing(run, command, { load, input, render: render.renderWorkspaces });
    });
  byName(workspace, "info", "show what it is and how it stands").action(
    (name: string, _: object, command: Command) => {
      const load = async () => (await life()).workspaceInfo;
      return performing(run, command, { load, input: { name }, render: render.renderWorkspace });
    },
  );
  addChanges(workspace, run);
  addLogs(workspace, run);
}

function byName(parent: Command, verb: string, description: string): Command {
  return parent.command(verb).argument("<name>", "the workspace").description(description);
}

const CHANGES = [
  ["start", "start one that is stopped", "Started", async () => (await life()).startWorkspace],
  [
    "stop",
    "end all that runs in it; files stay",
    "Stopped",
    async () => (await life()).stopWorkspace,
  ],
  [
    "destroy",
    "remove it with all that is in it; snapshots stay",
    "Destroyed",
    async () => (await life()).destroyWorkspace,
  ],
] as const;

function addChanges(workspace: Command, run: Runner): void {
  for (const [verb, description, done, load] of CHANGES) {
    byName(workspace, verb, description).action((name: string, _: object, command: Command) =>
      performing(run, command, { load, input: { name }, render: () => `${done} ${name}.` }),
    );
  }
}

function addLogs(workspace: Command, run: Runner): void {
  byName(workspace, "logs", "show the end of what its kind wrote about it")
    .option("--console", "of its console")
    .option("--bytes <n>", "so much at the most", wholeNumber(1))
    .action((name: string, options: { console?: true; bytes?: number }, command: Command) => {
      const source = options.console === true ? ("console" as const) : ("runtime" as const);
      const load = async () => (await life()).workspaceLogs;
      const input = { name, source, bytes: options.bytes };
      return performing(run, command, { load, input, render: render.renderLog });
    });
}

export function addEnv(workspace: Command, run: Runner): void {
  const env = workspace.command("env").description("variables that all its commands get");
  byName(env, "set", "set some")
    .argument("<assignments...>", "NAME=value", assignments)
    .action((name: string, variables: Record<string, string>, _: object, command: Command) => {
      const load = async () => (await life()).setWorkspaceEnv;
      const done = ({ count }: { readonly count: number }): string => `Set ${count}.`;
      return performing(run, command, { load, input: { name, variables }, render: done });
    });
  byName(env, "unset", "take some away")
    .argument("<names...>", "their names")
    .action((name: string, names: string[], _: object, command: Command) => {
      const load = async () => (await life()).unsetWorkspaceEnv;
      const input = { name, names };
      return performing(run, command, { load, input, render: render.renderVariables });
    });
  byName(env, "list", "show them").action((name: string, _: object, command: Command) => {
    const load = async () => (await life()).listWorkspaceEnv;
    return performing(run, command, { load, input: { name }, render: render.renderVariables });
  });
}

export function addUpkeep(workspace: Command, run: Runner): void {
  workspace
    .command("sweep")
    .description("remove what killed makers left, and what nobody owns, once its work is recorded")
    .option("--after <seconds>", "what nobody owns stays so long (default: a day)", wholeNumber(0))
    .option("--dry-run", "show what would be removed")
    .action((options: { after?: number; dryRun?: true }, command: Command) => {
      const load = async () => (await life()).sweepWorkspaces;
      const input = { after_seconds: options.after, dry_run: options.dryRun ?? false };
      return performing(run, command, { load, input, render: render.renderSweep });
    });
  workspace
    .command("probe")
    .description("find out which kinds this machine can have")
    .option("--kind <kind>", "only this one")
    .action((input: { readonly kind?: "local" }, command: Command) => {
      const load = async () => (await life()).probeWorkspaces;
      return performing(run, command, { load, input, render: render.renderProbes });
    });
}
