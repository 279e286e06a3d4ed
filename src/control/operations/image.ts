import { z } from "zod";
import { composeImageBuilder } from "../../compose.ts";
import { defineOperation } from "../operation.ts";

const outputSchema = z.strictObject({
  /** By its content: the same inputs have the same name. */
  image: z.string(),
  alias: z.string(),
  cached: z.boolean(),
});

export type ImageOutput = z.infer<typeof outputSchema>;

export const buildImage = defineOperation({
  name: "image.build",
  summary: "Build the image that docker workspaces are made of",
  input: z.strictObject({
    from: z.enum(["debootstrap", "host"]).default("debootstrap"),
    /** Debian packages besides those that every workspace needs. */
    include: z
      .array(
        z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/, { error: "not a name of a Debian package" }),
      )
      .max(500)
      .default([]),
  }),
  output: outputSchema,
  run: async ({ environment }, { from, include }) => ({
    ...(await composeImageBuilder(environment)({ from, include })),
  }),
});
