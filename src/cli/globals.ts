import type { Command } from "commander";

/** Options that every command takes, before its name or after. */
export interface Globals {
  readonly config: string | undefined;
  readonly home: string | undefined;
  readonly json: boolean;
  readonly color: boolean;
  readonly verbose: boolean;
}

export function addGlobals(program: Command): void {
  program
    .option(
      "--config <file>",
      "configuration file (default: .mycelium/config.yaml of the repository)",
    )
    .option(
      "--home <dir>",
      "folder for the database, logs and workspaces (default: $MYCELIUM_HOME or ~/.mycelium)",
    )
    .option("--json", "print one JSON object instead of text")
    .option("--no-color", "no colours")
    .option("-v, --verbose", "more detail; with errors, where in the program they arose");
}

export function readGlobals(command: Command): Globals {
  const options: Partial<Globals> = command.optsWithGlobals();
  return {
    config: options.config,
    home: options.home,
    json: options.json ?? false,
    color: options.color ?? true,
    verbose: options.verbose ?? false,
  };
}
