import { lstat, mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { z } from "zod";
import { Refusal } from "../../../domain/failure.ts";
import type { LastingWorkspace } from "../../../workspaces/lasting-workspace.ts";
import { unwrap } from "../../kept-at-hand.ts";
import type { OperationContext } from "../../operation.ts";
import { ownedWorkspace } from "../../owned-workspace.ts";
import { defineTool, path, workspaceId } from "./shapes.ts";

/** Of what one call carries; `file_transfer` has no such limit. */
const CONTENT_LENGTH_MAX = 8 * 1024 * 1024;
/** Of a file that is read in pieces. */
const SOURCE_BYTES_MAX = 32 * 1024 * 1024;
const READ_BYTES_DEFAULT = 1024 * 1024;
const CHMOD_TIMEOUT_MS = 30_000;
const PATH_LENGTH_MAX = 4_096;

const place = { workspace_id: workspaceId, path };
const placed = { workspace_id: z.string(), path: z.string() };

export const toolFileWrite = defineTool({
  name: "file_write",
  summary: "Write a whole file of a workspace; missing folders are made",
  does: "destroys",
  input: z.strictObject({
    ...place,
    content: z.string().max(CONTENT_LENGTH_MAX),
    encoding: z.enum(["utf8", "base64"]).default("utf8"),
    mode: z
      .string()
      .regex(/^0?[0-7]{3}$/, "must be an octal mode such as 0644")
      .optional(),
  }),
  output: z.strictObject({ ...placed, bytes: z.int() }),
  run: async (context, { workspace_id: id, path: file, content, encoding, mode }) => {
    const { workspace } = await ownedWorkspace(context, id);
    const bytes = Buffer.from(content, encoding);
    unwrap(await workspace.writeFile(file, bytes));
    if (mode !== undefined) await chmod(workspace, file, mode);
    return { workspace_id: id, path: file, bytes: bytes.length };
  },
});

async function chmod(workspace: LastingWorkspace, file: string, mode: string): Promise<void> {
  const command = ["chmod", mode, "--", file] as const;
  const { ending, stderr } = await workspace.exec({ command, timeoutMs: CHMOD_TIMEOUT_MS });
  if (ending.kind === "exited" && ending.code === 0) return;
  throw new Refusal("workspace-failed", `${file} was written, without mode ${mode}`, {
    details: { stderr: stderr.text, ending },
  });
}

export const toolFileRead = defineTool({
  name: "file_read",
  summary: "Read a file of a workspace, or a part of it",
  does: "reads",
  input: z.strictObject({
    ...place,
    offset: z.int().min(0).default(0).describe("In bytes"),
    limit: z.int().min(1).max(CONTENT_LENGTH_MAX).default(READ_BYTES_DEFAULT).describe("In bytes"),
    encoding: z.enum(["utf8", "base64"]).default("utf8"),
  }),
  output: z.strictObject({
    ...placed,
    content: z.string(),
    bytes: z.int(),
    total_bytes: z.int(),
    truncated: z.boolean(),
  }),
  run: async (context, { workspace_id: id, path: file, offset, limit, encoding }) => {
    const { workspace } = await ownedWorkspace(context, id);
    const whole = unwrap(await workspace.readFile(file, { bytesMax: SOURCE_BYTES_MAX }));
    const part = whole.subarray(offset, offset + limit);
    return {
      workspace_id: id,
      path: file,
      content: part.toString(encoding),
      bytes: part.length,
      total_bytes: whole.length,
      truncated: offset + part.length < whole.length,
    };
  },
});

export const toolFileEdit = defineTool({
  name: "file_edit",
  summary:
    "Replace the only occurrence of a text in a file; refused where there is none or several",
  does: "destroys",
  input: z.strictObject({
    ...place,
    old_string: z.string().min(1, "must not be empty").max(CONTENT_LENGTH_MAX),
    new_string: z.string().max(CONTENT_LENGTH_MAX),
  }),
  output: z.strictObject({ ...placed, replacements: z.literal(1) }),
  run: async (context, { workspace_id: id, path: file, old_string: from, new_string: to }) => {
    const { workspace } = await ownedWorkspace(context, id);
    unwrap(await workspace.editFile(file, { from, to }));
    return { workspace_id: id, path: file, replacements: 1 as const };
  },
});

export const toolFileList = defineTool({
  name: "file_list",
  summary: "List a folder of a workspace, one level",
  does: "reads",
  input: z.strictObject({ workspace_id: workspaceId, path: path.default(".") }),
  output: z.strictObject({
    ...placed,
    entries: z.array(
      z.strictObject({
        name: z.string(),
        kind: z.enum(["file", "folder", "link", "other"]),
        size: z.int(),
        permissions: z.string(),
        modified: z.string(),
      }),
    ),
  }),
  run: async (context, { workspace_id: id, path: folder }) => {
    const { workspace } = await ownedWorkspace(context, id);
    const entries = unwrap(await workspace.listFiles(folder)).map((entry) => ({
      name: entry.name,
      kind: entry.kind,
      size: entry.bytes,
      permissions: entry.mode.toString(8).padStart(4, "0"),
      modified: new Date(entry.modifiedMs).toISOString(),
    }));
    return { workspace_id: id, path: folder, entries };
  },
});

export const toolFileTransfer = defineTool({
  name: "file_transfer",
  summary: "Copy a file of any size between a workspace and the transfer folder of this machine",
  does: "destroys",
  input: z.strictObject({
    workspace_id: workspaceId,
    direction: z.enum(["upload", "download"]),
    host_path: z
      .string()
      .min(1)
      .max(PATH_LENGTH_MAX)
      .describe("In the transfer folder, $MYCELIUM_HOME/transfer; relative to it, or absolute"),
    guest_path: path,
  }),
  output: z.strictObject({
    workspace_id: z.string(),
    direction: z.enum(["upload", "download"]),
    host_path: z.string(),
    guest_path: z.string(),
    bytes: z.int(),
    sha256: z.string(),
  }),
  run: async (context, input) => {
    const { workspace_id: id, direction, guest_path: guestPath } = input;
    const { workspace } = await ownedWorkspace(context, id);
    const hostPath = await insideTransferFolder(context, input.host_path);
    const moved =
      direction === "upload"
        ? await workspace.upload(hostPath, guestPath)
        : await workspace.download(guestPath, hostPath);
    const transfer = unwrap(moved);
    return { workspace_id: id, direction, host_path: hostPath, guest_path: guestPath, ...transfer };
  },
});

/** Nothing else of this machine is read or written, whatever links there are. */
async function insideTransferFolder(
  { environment }: OperationContext,
  given: string,
): Promise<string> {
  const folder = join(environment.home, "transfer");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const root = await realpath(folder);
  const wanted = resolve(root, given);
  const real = await realOf(wanted);
  const way = relative(root, real);
  if (way !== "" && way !== ".." && !way.startsWith("../")) return real;
  throw new Refusal("usage", `host_path: ${JSON.stringify(given)} is outside the transfer folder`, {
    hint: `only what is in ${folder} is copied`,
    details: { transfer_dir: folder },
  });
}

/** A file that is yet to be made has its real folder's name. */
async function realOf(wanted: string): Promise<string> {
  try {
    return await realpath(wanted);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    // A link to what is not there would be written through.
    const isLink = isMissing && (await lstat(wanted).catch(() => null)) !== null;
    if (!isMissing || isLink || wanted === dirname(wanted)) throw refusalOf(error, wanted);
    return join(await realOf(dirname(wanted)), basename(wanted));
  }
}

function refusalOf(error: unknown, wanted: string): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error as Error;
  return new Refusal("usage", `host_path: ${JSON.stringify(wanted)} cannot be used: ${code}`);
}
