import type { Command } from "commander";
import type { Runner } from "../program.ts";
import type { Session } from "../session.ts";

/** The operations that agents are offered, under the same names and with the same input. */
export function addTool(program: Command, run: Runner): void {
  const tool = program
    .command("tool")
    .description("what agents are offered by mcp, for people and scripts");
  tool
    .command("list")
    .description("list the tools")
    .action((_: object, command: Command) => run(command, list));
  tool
    .command("call")
    .argument("<name>", "the tool")
    .argument("[input]", "its input, as a JSON object (default: {})")
    .description("do what a tool does, as a person: every workspace may be touched")
    .action((name: string, input: string | undefined, _: object, command: Command) =>
      run(command, (session) => call(session, name, input ?? "{}")),
    );
}

const offered = async () => (await import("../../control/tools.ts")).toolOperations();

async function list(session: Session): Promise<number> {
  const tools = [...(await offered()).values()].map(({ tool, summary }) => ({
    name: tool.name,
    summary,
    read_only: tool.readOnly,
    destructive: tool.destructive,
    long: tool.long,
  }));
  session.answer({ tools }, () =>
    tools.map(({ name, summary }) => `${name.padEnd(NAME_WIDTH)}${summary}`).join("\n"),
  );
  return 0;
}

const NAME_WIDTH = 20;

async function call(session: Session, name: string, text: string): Promise<number> {
  const { nearestName } = await import("../../domain/nearest.ts");
  const tools = await offered();
  const operation = tools.get(name);
  if (operation === undefined) {
    const nearest = nearestName(name, [...tools.keys()]);
    throw await usage(`there is no tool ${JSON.stringify(name)}`, {
      hint: nearest === null ? "`mycelium tool list` shows them" : `did you mean ${nearest}?`,
    });
  }
  const result = (await session.perform(operation, await parse(text))) as object;
  session.answer(result, () => JSON.stringify(result, null, 2));
  return 0;
}

async function parse(text: string): Promise<unknown> {
  try {
    return JSON.parse(text);
  } catch {
    throw await usage("the input is no JSON", { hint: `for example '{"name": "one"}'` });
  }
}

async function usage(message: string, context: { readonly hint: string }): Promise<Error> {
  const { Refusal } = await import("../../domain/failure.ts");
  return new Refusal("usage", message, context);
}
