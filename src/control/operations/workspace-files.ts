import { resolve } from "node:path";
import { z } from "zod";
import { Refusal } from "../../domain/failure.ts";
import { nameSchema, unwrap, workspaceAtHand } from "../kept-at-hand.ts";
import { defineOperation } from "../operation.ts";

const FILE_BYTES_MAX = 64 * 1024 * 1024;

const path = z.string().min(1).max(4096);
const place = { name: nameSchema, path };
const placed = { name: z.string(), path: z.string() };
const transferSchema = z.strictObject({ ...placed, bytes: z.int(), sha256: z.string() });

export const readWorkspaceFile = defineOperation({
  name: "file.read",
  summary: "Read a file of a workspace",
  input: z.strictObject({
    ...place,
    bytes_max: z.int().min(1).max(FILE_BYTES_MAX).default(FILE_BYTES_MAX),
    encoding: z.enum(["utf8", "base64"]).default("utf8"),
  }),
  output: z.strictObject({ ...placed, bytes: z.int(), content: z.string() }),
  run: async (context, { name, path, bytes_max: bytesMax, encoding }) => {
    const { workspace } = await workspaceAtHand(context, name);
    const content = unwrap(await workspace.readFile(path, { bytesMax }));
    return { name, path, bytes: content.length, content: content.toString(encoding) };
  },
});

export const writeWorkspaceFile = defineOperation({
  name: "file.write",
  summary: "Write a whole file of a workspace",
  input: z.strictObject({
    ...place,
    content: z.string(),
    encoding: z.enum(["utf8", "base64"]).default("utf8"),
  }),
  output: z.strictObject({ ...placed, bytes: z.int() }),
  run: async (context, { name, path, content: text, encoding }) => {
    const content = Buffer.from(text, encoding);
    if (content.length > FILE_BYTES_MAX) {
      throw new Refusal("usage", `${path}: more than ${FILE_BYTES_MAX} bytes`, {
        hint: "`mycelium workspace upload` takes files of any size",
      });
    }
    const { workspace } = await workspaceAtHand(context, name);
    unwrap(await workspace.writeFile(path, content));
    return { name, path, bytes: content.length };
  },
});

export const editWorkspaceFile = defineOperation({
  name: "file.edit",
  summary: "Replace the only occurrence of a text in a file",
  input: z.strictObject({ ...place, from: z.string().min(1), to: z.string() }),
  output: z.strictObject(placed),
  run: async (context, { name, path, from, to }) => {
    const { workspace } = await workspaceAtHand(context, name);
    unwrap(await workspace.editFile(path, { from, to }));
    return { name, path };
  },
});

export const listWorkspaceFiles = defineOperation({
  name: "file.list",
  summary: "List a folder of a workspace, one level",
  input: z.strictObject({ name: nameSchema, path: path.default(".") }),
  output: z.strictObject({
    ...placed,
    entries: z.array(
      z.strictObject({
        name: z.string(),
        kind: z.enum(["file", "folder", "link", "other"]),
        bytes: z.int(),
        mode: z.string(),
        modified_at: z.string(),
      }),
    ),
  }),
  run: async (context, { name, path }) => {
    const { workspace } = await workspaceAtHand(context, name);
    const entries = unwrap(await workspace.listFiles(path)).map(
      ({ name, kind, bytes, mode, modifiedMs }) => ({
        name,
        kind,
        bytes,
        mode: mode.toString(8).padStart(4, "0"),
        modified_at: new Date(modifiedMs).toISOString(),
      }),
    );
    return { name, path, entries };
  },
});

export type ShownFiles = z.output<(typeof listWorkspaceFiles)["output"]>;

export const uploadFile = defineOperation({
  name: "file.upload",
  summary: "Copy a file of this machine into a workspace",
  input: z.strictObject({ ...place, host_path: path }),
  output: transferSchema,
  run: async (context, { name, path, host_path: hostPath }) => {
    const { workspace } = await workspaceAtHand(context, name);
    return { name, path, ...unwrap(await workspace.upload(resolve(context.cwd, hostPath), path)) };
  },
});

export const downloadFile = defineOperation({
  name: "file.download",
  summary: "Copy a file of a workspace to this machine",
  input: z.strictObject({ ...place, host_path: path }),
  output: transferSchema,
  run: async (context, { name, path, host_path: hostPath }) => {
    const { workspace } = await workspaceAtHand(context, name);
    return {
      name,
      path,
      ...unwrap(await workspace.download(path, resolve(context.cwd, hostPath))),
    };
  },
});
