import type { Command } from "commander";
import type { Runner } from "../program.ts";
import { nameList } from "../values.ts";

interface BuildOptions {
  readonly for?: string;
  readonly from?: string;
  readonly include?: readonly string[];
}

export function addImage(program: Command, run: Runner): void {
  const image = program.command("image").description("what docker and vm workspaces are made of");
  image
    .command("build")
    .description("build an image from Debian's packages, or find the same one built before")
    .option("--for <kind>", "docker or vm workspaces (default: docker)")
    .option(
      "--from <source>",
      "debootstrap: packages of this machine's own mirror, for docker as root; host: the files of " +
        "packages that are installed here, in seconds, for docker only (default: debootstrap)",
    )
    .option("--include <packages>", "more packages, separated by commas", nameList)
    .action((options: BuildOptions, command: Command) =>
      run(command, async (session) => {
        const { buildImage } = await import("../../control/operations/image.ts");
        const result = await session.perform(buildImage, options);
        session.answer(result, ({ bold }) => {
          const how = result.cached ? "was there already" : "is built";
          return `${bold(result.image)} ${how}; ${result.for} workspaces use it as ${result.alias}`;
        });
        return 0;
      }),
    );
}
