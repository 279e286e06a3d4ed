import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addClean } from "./commands/clean.ts";
import { addImage } from "./commands/image.ts";
import { addInit } from "./commands/init.ts";
import { addLogs } from "./commands/logs.ts";
import { addMcp } from "./commands/mcp.ts";
import { addPlan } from "./commands/plan.ts";
import { addResume } from "./commands/resume.ts";
import { addRun } from "./commands/run.ts";
import { addRuns } from "./commands/runs.ts";
import { addStatus } from "./commands/status.ts";
import { addTool } from "./commands/tool.ts";
import { addSwarm } from "./commands/swarm.ts";
import { addTeam } from "./commands/team.ts";
import { addVault } from "./commands/vault.ts";
import { addWorkspace } from "./commands/workspace.ts";
import { addGlobals, readGlobals } from "./globals.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/** Does a command's work and answers its exit code. */
export type Work = (session: Session) => Promise<number>;

/** Called by a command's action; what the work needs is only loaded then. */
export type Runner = (command: Command, work: Work) => Promise<void>;

/** Parses the arguments, does what they say and answers the exit code. Never throws. */
export async function runProgram(args: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode = 0;
  const version = readVersion();
  const program = makeProgram(version, terminal, async (command, work) => {
    const { openSession } = await import("./session.ts");
    exitCode = await openSession({ globals: readGlobals(command), terminal, version }, work);
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return reportMisuse(error, args, terminal);
  }
}

function makeProgram(version: string, terminal: Terminal, run: Runner): Command {
  const program = new Command("mycelium");
  program
    .description(
      "Runs a swarm of coding agents on a git repository and lets only proven work land.",
    )
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show this, or a command's own help")
    .configureHelp({ showGlobalOptions: true, styleTitle: (title) => title })
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      getOutHelpWidth: () => terminal.stdout.columns(),
      getErrHelpWidth: () => terminal.stderr.columns(),
      // What is wrong is told once, by `reportMisuse`.
      outputError: () => undefined,
    })
    .exitOverride()
    .addHelpText("after", EXAMPLES);
  addGlobals(program);
  const add = [
    addInit,
    addPlan,
    addRun,
    addResume,
    addStatus,
    addRuns,
    addLogs,
    addClean,
    addWorkspace,
    addSwarm,
    addVault,
    addTeam,
    addImage,
    addMcp,
    addTool,
  ];
  for (const addCommand of add) addCommand(program, run);
  return program;
}

const EXAMPLES = `
Examples:
  mycelium init                        write .mycelium/config.yaml
  mycelium plan --input PLAN.md        cut a plan into tasks
  mycelium run --dry-run               show what would run side by side
  mycelium run --agent command         work on the tasks and land what is proven
  mycelium status                      how it stands, and what to do next
  mycelium logs failures               what went wrong, with the output
  mycelium resume                      go on after Ctrl-C, a crash or a failure

Exit codes: 0 done; 1 failed; 2 bad usage, configuration or input; 3 stopped and waiting;
130 and 143 after SIGINT and SIGTERM, with everything saved.`;

const MISUSE = 2;

async function reportMisuse(
  error: CommanderError,
  args: readonly string[],
  terminal: Terminal,
): Promise<number> {
  if (error.exitCode === 0) return 0;
  const end = args.indexOf("--");
  const json = args.slice(0, end === -1 ? undefined : end).includes("--json");
  // A command that only holds others was called alone: its help was written already.
  const isAlone = error.code === "commander.help";
  if (isAlone && !json) return MISUSE;
  const { reportError } = await import("./report-error.ts");
  const { Refusal } = await import("../domain/failure.ts");
  const [said = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
  const nearest = /\(Did you mean (.*)\?\)/s.exec(suggestion ?? "")?.[1];
  const refusal = new Refusal("usage", isAlone ? "the command is missing" : said, {
    hint:
      nearest === undefined ? "`mycelium --help` shows what there is" : `did you mean ${nearest}?`,
  });
  return reportError(refusal, { json, verbose: false, terminal });
}

function readVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
