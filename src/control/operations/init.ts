import { z } from "zod";
import { Refusal } from "../../domain/failure.ts";
import { initRepository } from "../../setup/init.ts";
import { defineOperation } from "../operation.ts";

const outputSchema = z.strictObject({
  repository: z.string(),
  written: z.array(z.string()),
  branch: z.string().nullable(),
  doctor: z.string().nullable(),
  /** Required keys that have to be filled in by hand. */
  missing: z.array(z.string()),
});

export type InitOutput = z.infer<typeof outputSchema>;

export const init = defineOperation({
  name: "init",
  summary: "Write .mycelium/config.yaml, with comments",
  input: z.strictObject({ force: z.boolean().default(false) }),
  output: outputSchema,
  run: async ({ cwd, environment, configFile }, { force }) => {
    if (configFile !== undefined) {
      throw new Refusal("usage", "init writes .mycelium/config.yaml and no other file", {
        hint: "leave --config out, then move the file to where you want it",
      });
    }
    const { missing, written, ...report } = await initRepository({ cwd, force, environment });
    return { ...report, written: [...written], missing: [...missing] };
  },
});
