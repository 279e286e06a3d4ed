import { z } from "zod";
import { composeImageBuilders } from "../../compose.ts";
import { defineOperation } from "../operation.ts";

const outputSchema = z.strictObject({
  /** The kind of workspaces that are made of it. */
  for: z.enum(["docker", "vm"]),
  /** By its content: the same inputs have the same name. */
  image: z.string(),
  alias: z.string(),
  cached: z.boolean(),
});

export type ImageOutput = z.infer<typeof outputSchema>;

export const buildImage = defineOperation({
  name: "image.build",
  summary: "Build the image that docker or vm workspaces are made of",
  input: z.strictObject({
    for: z.enum(["docker", "vm"]).default("docker"),
    /** For containers alone: machines have a kernel, which comes from Debian's packages only. */
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
  run: async ({ environment }, { for: kind, from, include }) => {
    const build = composeImageBuilders(environment)[kind];
    return { for: kind, ...(await build({ from, include })) };
  },
});
