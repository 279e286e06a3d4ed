import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import { unwrap, variablesSchema } from "../../kept-at-hand.ts";
import { ownedWorkspace } from "../../owned-workspace.ts";
import { defineTool, workspaceId } from "./shapes.ts";

/** By these, what is set for a command would decide which command it is. */
const BLOCKED = /^(?:PATH|IFS|ENV|BASH_ENV|LD_.*)$/;

const VARIABLES_MAX = 1_000;

export const toolSetEnv = defineTool({
  name: "set_env",
  summary: "Set variables that all commands of a workspace get, over restarts and in its forks",
  does: "changes",
  input: z
    .strictObject({
      workspace_id: workspaceId,
      vars: variablesSchema.default({}),
      unset: z.array(z.string()).max(VARIABLES_MAX).default([]).describe("Names to take away"),
    })
    .refine(({ vars, unset }) => Object.keys(vars).length + unset.length > 0, {
      error: "must not be empty",
      path: ["vars"],
    }),
  output: z.strictObject({
    workspace_id: z.string(),
    count: z.int(),
    status: z.literal("set"),
    /** Names of all that are set now. */
    names: z.array(z.string()),
  }),
  run: async (context, { workspace_id: id, vars, unset }) => {
    const blocked = Object.keys(vars).find((name) => BLOCKED.test(name));
    if (blocked !== undefined) {
      throw new Refusal("usage", `vars.${blocked}: may not be set for all commands`, {
        hint: "give it to one command, by the env of exec",
      });
    }
    const { workspace } = await ownedWorkspace(context, id);
    if (Object.keys(vars).length > 0) unwrap(await workspace.setEnv(vars));
    if (unset.length > 0) unwrap(await workspace.unsetEnv(unset));
    const all = unwrap(await workspace.listEnv());
    return {
      workspace_id: id,
      count: Object.keys(vars).length,
      status: "set" as const,
      names: Object.keys(all),
    };
  },
});
