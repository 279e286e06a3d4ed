import { Argument, Option, type Command } from "commander";
import type { Runner } from "../program.ts";
import { wholeNumber } from "../values.ts";
import type { InstallOptions } from "./mcp/install.ts";
import type { McpOptions } from "./mcp/serve.ts";
import { list } from "./workspace/performing.ts";

const KINDS = ["local", "sandbox", "docker", "vm"];
const CLIENTS = ["claude-code", "claude-desktop", "cursor", "vscode", "codex"];

export function addMcp(program: Command, run: Runner): void {
  const mcp = program
    .command("mcp")
    .description("serve agents: the Model Context Protocol on standard input and output")
    .addOption(kindOption())
    .option("--http <port>", "serve over HTTP instead; 0 takes a free port", wholeNumber(0))
    .option("--host <address>", "with --http (default: 127.0.0.1)")
    .option("--allow-host <name>", "another name that clients reach it by; again for more", list)
    .option("--token-file <file>", "with --http: one token a line (default: $MYCELIUM_MCP_TOKEN)")
    .action((options: McpOptions, command: Command) =>
      run(command, async (session) => {
        const { serveMcp } = await import("./mcp/serve.ts");
        return serveMcp(session, options);
      }),
    );
  addInstall(mcp, run);
  mcp
    .command("skill")
    .description("print the document that teaches agents to use the tools")
    .action((_options: object, command: Command) =>
      run(command, async (session) => {
        const { printSkill } = await import("./mcp/install.ts");
        return printSkill(session);
      }),
    );
}

function addInstall(mcp: Command, run: Runner): void {
  mcp
    .command("install")
    .description("print what tells a client of the server, or write it into its configuration")
    .addArgument(new Argument("<client>", "who is told").choices(CLIENTS))
    .addOption(
      new Option("--scope <scope>", "for you, or for all who work on this project (default)") //
        .choices(["user", "project"]),
    )
    .option("--name <name>", "of the server in the client's configuration (default: mycelium)")
    .addOption(kindOption())
    .option("--write", "change the client's file, and nothing in it but this server")
    .option("--skill", "install the document of `mycelium mcp skill` for the client as well")
    .option("--force", "replace what is there under that name")
    .action((client: string, _options: object, command: Command) =>
      run(command, async (session) => {
        const { printInstall } = await import("./mcp/install.ts");
        // What `mcp` itself takes is parsed as its own, wherever it stands.
        return printInstall(session, client, command.optsWithGlobals<InstallOptions>());
      }),
    );
}

function kindOption(): Option {
  const said = "of workspaces where an agent names none (default: the best)";
  return new Option("--kind <kind>", said).choices(KINDS);
}
