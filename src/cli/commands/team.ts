import { InvalidArgumentError, type Command } from "commander";
import type { Runner } from "../program.ts";
import { renderTeam } from "../render/team.ts";
import { wholeNumber } from "../values.ts";
import { list } from "./workspace/performing.ts";

type Input = Readonly<Record<string, unknown>>;
type Perform = (command: Command, input: Input) => Promise<void>;

export function addTeam(program: Command, run: Runner): void {
  const team = program.command("team").description("agents that work together");
  const perform: Perform = (command, input) =>
    run(command, async (session) => {
      const { team: operation } = await import("../../control/operations/team.ts");
      const result = await session.perform(operation, input);
      session.answer(result, (style) => renderTeam(result, style));
      return 0;
    });
  addLife(team, perform);
  addMessages(team, perform);
  addBoard(team, perform);
}

function of(parent: Command, verb: string, description: string): Command {
  return parent.command(verb).argument("<team>", "its name").description(description);
}

interface CreateOptions {
  readonly member: readonly { readonly name: string; readonly role: string }[];
  readonly golden?: string;
  readonly snapshot?: string;
  readonly maxVms?: number;
  readonly parent?: string;
}

function addLife(team: Command, perform: Perform): void {
  of(team, "create", "make one")
    .requiredOption("--member <name=role>", "a member; again for more", member)
    .option("--golden <workspace>", "each member gets a workspace that is forked from it")
    .option("--snapshot <name>", "the golden's snapshot (default: golden)")
    .option("--max-vms <n>", "so many workspaces at the most (default: 10)", wholeNumber(1))
    .option("--parent <team>", "the team above")
    .action((name: string, options: CreateOptions, command: Command) =>
      perform(command, {
        action: "create",
        name,
        roles: options.member,
        golden_workspace: options.golden,
        base_snapshot: options.snapshot,
        max_vms: options.maxVms,
        parent_team: options.parent,
      }),
    );
  team
    .command("list")
    .description("list them")
    .action((_: object, command: Command) => perform(command, { action: "list" }));
  of(team, "status", "show its members").action((name: string, _: object, command: Command) =>
    perform(command, { action: "status", name }),
  );
  of(team, "destroy", "end it, with the teams below and its workspaces; work is saved").action(
    (name: string, _: object, command: Command) => perform(command, { action: "destroy", name }),
  );
}

function addMessages(team: Command, perform: Perform): void {
  of(team, "message", "write to a member, or to * for all others")
    .argument("<from>", "who writes")
    .argument("<to>", "who is meant")
    .argument("<text>", "the message")
    .option("--type <word>", "what it is (default: text)")
    .option("--id <id>", "sent again under the same id, it arrives once")
    .action(
      (
        name: string,
        agent: string,
        to: string,
        content: string,
        { type: message_type, id: message_id }: { type?: string; id?: string },
        command: Command,
      ) => {
        const message = { agent, to, content, message_type, message_id };
        return perform(command, { action: "message", name, ...message });
      },
    );
  of(team, "receive", "take what waits for a member")
    .argument("<member>", "who receives")
    .option("--limit <n>", "so many at the most (default: 10)", wholeNumber(1))
    .option("--peek", "leave them where they are")
    .action((name: string, agent: string, options: object, command: Command) =>
      perform(command, { action: "receive", name, agent, ...options }),
    );
}

interface AddOptions {
  readonly body?: string;
  readonly after?: readonly string[];
}

function addBoard(team: Command, perform: Perform): void {
  of(team, "board", "show its tasks").action((name: string, _: object, command: Command) =>
    perform(command, { action: "board", name }),
  );
  of(team, "add-task", "put a task on its board")
    .argument("<title>", "what is to do")
    .option("--body <text>", "more about it")
    .option("--after <task>", "it waits for this one; again for more", list)
    .action((name: string, title: string, { body, after }: AddOptions, command: Command) =>
      perform(command, { action: "add_task", name, title, body, depends_on: after }),
    );
  of(team, "claim", "take a task")
    .argument("<member>", "who takes it")
    .argument("[task]", "which (default: the next that is free)")
    .action((name: string, agent: string, task_id: string, _: object, command: Command) =>
      perform(command, { action: "claim", name, agent, task_id }),
    );
  for (const [action, description] of [
    ["start", "begin a task that was taken"],
    ["complete", "end it as done"],
    ["fail", "end it as failed"],
    ["release", "give it back"],
  ] as const) {
    of(team, action, description)
      .argument("<member>", "whose it is")
      .argument("<task>", "which")
      .option("--result <text>", "what came of it")
      .action((name: string, agent: string, task_id: string, options: object, command: Command) =>
        perform(command, { action, name, agent, task_id, ...options }),
      );
  }
}

function member(
  text: string,
  before: readonly { readonly name: string; readonly role: string }[] = [],
): readonly { readonly name: string; readonly role: string }[] {
  const at = text.indexOf("=");
  if (at <= 0) throw new InvalidArgumentError("It must be NAME=role.");
  return [...before, { name: text.slice(0, at), role: text.slice(at + 1) }];
}
