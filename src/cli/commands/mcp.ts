import { Option, type Command } from "commander";
import type { Runner } from "../program.ts";
import type { Session } from "../session.ts";

interface McpOptions {
  readonly kind?: "local" | "sandbox" | "docker" | "vm";
}

export function addMcp(program: Command, run: Runner): void {
  program
    .command("mcp")
    .description("serve agents: the Model Context Protocol on standard input and output")
    .addOption(
      new Option("--kind <kind>", "of workspaces where an agent names none (default: the best)") //
        .choices(["local", "sandbox", "docker", "vm"]),
    )
    .action((options: McpOptions, command: Command) =>
      run(command, (session) => serve(session, options)),
    );
}

async function serve(session: Session, options: McpOptions): Promise<number> {
  const { serveOnStdio } = await import("../../mcp/serve-stdio.ts");
  const { readSessionPolicy } = await import("../../sessions/policy.ts");
  const { context, terminal } = session;
  const policy = await readSessionPolicy(context.environment.home);
  await serveOnStdio({
    policy,
    context: { ...context, defaultKind: options.kind },
    secrets: [],
    onError: (error) => terminal.stderr.write(`mycelium: ${error.message}\n`),
  });
  return 0;
}
