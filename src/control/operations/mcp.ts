import { join, resolve } from "node:path";
import { z } from "zod";
import { Refusal } from "../../domain/failure.ts";
import { openGit } from "../../git/git.ts";
import { locateRepository } from "../../git/locate.ts";
import {
  CLIENT_NAMES,
  CLIENT_SCOPES,
  CLIENTS,
  type ClientScope,
} from "../../setup/clients/client.ts";
import { findProgram } from "../../setup/clients/find-program.ts";
import { installClient } from "../../setup/clients/install-client.ts";
import { serverCommand } from "../../setup/clients/server-entry.ts";
import { readSkill } from "../../setup/skill.ts";
import { kindSchema } from "../kept-at-hand.ts";
import { defineOperation, type OperationContext } from "../operation.ts";

const stateSchema = z.enum(["printed", "written", "replaced", "unchanged"]);

const installedSchema = z.strictObject({
  client: z.enum(CLIENT_NAMES),
  title: z.string(),
  scope: z.enum(CLIENT_SCOPES),
  name: z.string(),
  /** The client's configuration. */
  file: z.string(),
  state: stateSchema,
  format: z.enum(["json", "toml"]),
  /** What tells the client of the server, as it would stand alone in that file. */
  snippet: z.string(),
  command: z.string(),
  args: z.array(z.string()),
  /** Whether that names places of this machine, and so is of no use on another one. */
  of_this_machine: z.boolean(),
  skill: z.strictObject({ file: z.string(), state: stateSchema }).nullable(),
});

export type InstalledClient = z.output<typeof installedSchema>;

/** What every client takes as a name, and a key in TOML without quotes. */
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;

export const installMcp = defineOperation({
  name: "mcp.install",
  summary: "Tell a client of the server, or show what would",
  input: z.strictObject({
    client: z.enum(CLIENT_NAMES),
    /** The project where the client has one, by default. */
    scope: z.enum(CLIENT_SCOPES).optional(),
    name: z
      .string()
      .regex(NAME, { error: "a letter, then up to 63 letters, digits, '-' and '_' make a name" })
      .default("mycelium"),
    kind: kindSchema.optional(),
    write: z.boolean().default(false),
    skill: z.boolean().default(false),
    force: z.boolean().default(false),
  }),
  output: installedSchema,
  run: async (context, { client, name, kind, write, force, skill: withSkill, ...wished }) => {
    const scope = wished.scope ?? (client === "claude-desktop" ? "user" : "project");
    const { title, format } = CLIENTS[client];
    const { server, isOfThisMachine } = serverFor(context, { scope, kind });
    const { userHome, lookup } = context.environment;
    const project = await projectFolder(context);
    const machine = { platform: process.platform, userHome, lookup, project };
    const request = { client, scope, name, server, write, withSkill, force, machine };
    const { skill, ...report } = await installClient(request);
    return {
      client,
      title,
      scope,
      name,
      format,
      ...report,
      skill,
      command: server.command,
      args: [...server.args],
      of_this_machine: isOfThisMachine,
    };
  },
});

interface ServerRequest {
  readonly scope: ClientScope;
  readonly kind: string | undefined;
}

/** As this very command was told to find its home and its configuration. */
function serverFor(context: OperationContext, { scope, kind }: ServerRequest) {
  const { environment, configFile, cwd } = context;
  const found = findProgram(environment.path, scope === "project");
  const isUsualHome = environment.home === join(environment.userHome, ".mycelium");
  const home = isUsualHome ? undefined : environment.home;
  const config = configFile === undefined ? undefined : resolve(cwd, configFile);
  const server = serverCommand({ program: found.program, kind, home, configFile: config });
  const namesPlaces = home !== undefined || config !== undefined;
  return { server, isOfThisMachine: found.isOfThisMachine || namesPlaces };
}

/** The top of the work tree; the folder itself outside of one. */
async function projectFolder({ cwd, environment }: OperationContext): Promise<string> {
  const { path, userHome } = environment;
  try {
    const git = openGit({ cwd, env: { PATH: path, HOME: userHome } });
    return (await locateRepository(git, cwd)).topLevel ?? cwd;
  } catch (error) {
    if (error instanceof Refusal) return cwd;
    throw error;
  }
}

export const showSkill = defineOperation({
  name: "mcp.skill",
  summary: "Show the document that teaches agents to use the tools",
  input: z.strictObject({}),
  output: z.strictObject({ text: z.string() }),
  run: async () => ({ text: await readSkill() }),
});
