import type { Command } from "commander";
import type { Runner } from "../../program.ts";
import { renderFiles, renderTransfer } from "../../render/workspaces.ts";
import { performing } from "./performing.ts";

const operations = () => import("../../../control/operations/workspace-files.ts");

const FILE_BYTES_MAX = 64 * 1024 * 1024;

export function addFiles(workspace: Command, run: Runner): void {
  const file = workspace.command("file").description("read and write files in it");
  at(file, "read")
    .description("print a file")
    .action((name: string, path: string, _: object, command: Command) =>
      run(command, async (session) => {
        const { readWorkspaceFile } = await operations();
        if (session.globals.json) {
          session.answer(await session.perform(readWorkspaceFile, { name, path }), () => "");
          return 0;
        }
        const input = { name, path, encoding: "base64" };
        const { content } = await session.perform(readWorkspaceFile, input);
        session.terminal.stdout.write(Buffer.from(content, "base64"));
        return 0;
      }),
    );
  addWriting(file, run);
  file
    .command("list")
    .argument("<name>", "the workspace")
    .argument("[path]", "the folder", ".")
    .description("list a folder, one level")
    .action((name: string, path: string, _: object, command: Command) => {
      const load = async () => (await operations()).listWorkspaceFiles;
      return performing(run, command, { load, input: { name, path }, render: renderFiles });
    });
  addTransfers(workspace, run);
}

function at(parent: Command, verb: string): Command {
  return parent
    .command(verb)
    .argument("<name>", "the workspace")
    .argument("<path>", "in the workspace: absolute, or from the repository");
}

function addWriting(file: Command, run: Runner): void {
  at(file, "write")
    .description("write a whole file from standard input")
    .option("--content <text>", "this text instead")
    .action((name: string, path: string, options: { content?: string }, command: Command) =>
      run(command, async (session) => {
        const given = options.content ?? (await session.terminal.readInput(FILE_BYTES_MAX));
        if (given === null || given === "too-much") {
          const { Refusal } = await import("../../../domain/failure.ts");
          throw new Refusal("usage", given === null ? "there is no content" : "it is too large", {
            hint: "pipe it in, use --content, or `mycelium workspace upload` a file",
          });
        }
        const content = Buffer.from(given).toString("base64");
        const { writeWorkspaceFile } = await operations();
        const input = { name, path, content, encoding: "base64" };
        const written = await session.perform(writeWorkspaceFile, input);
        session.answer(written, () => `Wrote ${written.bytes} bytes.`);
        return 0;
      }),
    );
  at(file, "edit")
    .description("replace the only occurrence of a text")
    .requiredOption("--from <text>", "the text, exactly as it is")
    .requiredOption("--to <text>", "what takes its place")
    .action(
      (name: string, path: string, options: { from: string; to: string }, command: Command) => {
        const load = async () => (await operations()).editWorkspaceFile;
        const input = { name, path, from: options.from, to: options.to };
        return performing(run, command, { load, input, render: () => `Edited ${path}.` });
      },
    );
}

function addTransfers(workspace: Command, run: Runner): void {
  workspace
    .command("upload")
    .argument("<name>", "the workspace")
    .argument("<file>", "on this machine")
    .argument("<path>", "in the workspace")
    .description("copy a file of any size into it")
    .action((name: string, host: string, path: string, _: object, command: Command) => {
      const load = async () => (await operations()).uploadFile;
      const input = { name, path, host_path: host };
      return performing(run, command, { load, input, render: renderTransfer });
    });
  at(workspace, "download")
    .argument("<file>", "on this machine")
    .description("copy a file of any size out of it")
    .action((name: string, path: string, host: string, _: object, command: Command) => {
      const load = async () => (await operations()).downloadFile;
      const input = { name, path, host_path: host };
      return performing(run, command, { load, input, render: renderTransfer });
    });
}
