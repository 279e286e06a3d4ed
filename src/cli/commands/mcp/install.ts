import { installMcp, showSkill } from "../../../control/operations/mcp.ts";
import { Refusal } from "../../../domain/failure.ts";
import { renderInstall } from "../../render/install.ts";
import type { Session } from "../../session.ts";
import type { McpOptions } from "./serve.ts";

export interface InstallOptions extends McpOptions {
  readonly scope?: string;
  readonly name?: string;
  readonly write?: boolean;
  readonly skill?: boolean;
  readonly force?: boolean;
}

/** What is to be put somewhere goes to standard output, what to do with it to the other one. */
export async function printInstall(
  session: Session,
  client: string,
  options: InstallOptions,
): Promise<number> {
  const { http, host, tokenFile, scope, name, kind, write, skill, force } = options;
  if (http !== undefined || host !== undefined || tokenFile !== undefined) {
    throw new Refusal("usage", "install is for clients that start the server themselves", {
      hint: "leave --http, --host and --token-file out: over HTTP a client needs an address and a token",
    });
  }
  const input = { client, scope, name, kind, write, skill, force };
  const given = Object.entries(input).filter(([, value]) => value !== undefined);
  const installed = await session.perform(installMcp, Object.fromEntries(given));
  const { result, advice } = renderInstall(installed);
  session.answer(installed, () => result);
  if (!session.globals.json) session.terminal.stderr.write(`${advice}\n`);
  return 0;
}

export async function printSkill(session: Session): Promise<number> {
  const { text } = await session.perform(showSkill, {});
  session.answer({ text }, () => text.trimEnd());
  return 0;
}
