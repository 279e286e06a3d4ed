import {
  ProtocolError,
  ProtocolErrorCode,
  type ListResourcesResult,
  type ListResourceTemplatesResult,
  type ReadResourceResult,
} from "@modelcontextprotocol/server";
import { perform, type Operation } from "../control/operation.ts";
import { OPERATIONS } from "../control/operations.ts";
import { Refusal } from "../domain/failure.ts";
import type { ClientSession } from "./client-session.ts";

const LIST_URI = "mycelium://workspaces";
const WORKSPACE = /^mycelium:\/\/workspaces\/([^/]+)(\/logs)?$/;
const NOTE = /^mycelium:\/\/vault\/(.+)$/;

/** The list of workspaces, and each of the session's own with its logs. */
export async function listResources(session: ClientSession): Promise<ListResourcesResult> {
  const { workspaces } = await perform(OPERATIONS.toolWorkspaceList, session.context, {
    owned_only: true,
  });
  const own = workspaces.flatMap(({ name }) => [
    { uri: `${LIST_URI}/${name}`, name, mimeType: "application/json" },
    { uri: `${LIST_URI}/${name}/logs`, name: `${name}: logs`, mimeType: "text/plain" },
  ]);
  const all = { uri: LIST_URI, name: "workspaces", mimeType: "application/json" };
  return { resources: [all, ...own] };
}

export function listResourceTemplates(): ListResourceTemplatesResult {
  const template = (uriTemplate: string, name: string, mimeType: string) => {
    return { uriTemplate, name, mimeType };
  };
  const resourceTemplates = [
    template(`${LIST_URI}/{name}`, "a workspace", "application/json"),
    template(`${LIST_URI}/{name}/logs`, "what was written about a workspace", "text/plain"),
    ...(vaultOf() === undefined
      ? []
      : [template("mycelium://vault/{+path}", "a note of the vault", "text/markdown")]),
  ];
  return { resourceTemplates };
}

/** The operation of the vault, where this version has one. */
function vaultOf(): Operation | undefined {
  const all: readonly Operation[] = Object.values(OPERATIONS);
  return all.find(({ tool }) => tool?.name === "vault");
}

/** Refused as the operation itself refuses; a resource has no other way to say so. */
export async function readResource(
  session: ClientSession,
  uri: string,
): Promise<ReadResourceResult> {
  try {
    return await read(session, uri);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, error.message);
  }
}

async function read({ context }: ClientSession, uri: string): Promise<ReadResourceResult> {
  if (uri === LIST_URI) {
    return json(uri, await perform(OPERATIONS.toolWorkspaceList, context, {}));
  }
  const [, name, logs] = WORKSPACE.exec(uri) ?? [];
  if (name !== undefined) {
    const input = { workspace_id: name };
    if (logs === undefined) {
      return json(uri, await perform(OPERATIONS.toolWorkspaceInfo, context, input));
    }
    const { logs: found } = await perform(OPERATIONS.toolWorkspaceLogs, context, input);
    const text = found.map((log) => log.text).join("\n");
    return { contents: [{ uri, mimeType: "text/plain", text }] };
  }
  const [, path] = NOTE.exec(uri) ?? [];
  const vault = vaultOf();
  if (path === undefined || vault === undefined) {
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, `there is no resource ${uri}`);
  }
  const input = { action: "read", path: decoded(path), format: "markdown" };
  const found: unknown = await perform(vault, context, input);
  const text = (found as { readonly note?: { readonly content?: unknown } | null }).note?.content;
  if (typeof text !== "string") return json(uri, found);
  return { contents: [{ uri, mimeType: "text/markdown", text }] };
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, "the address is not well formed");
  }
}

function json(uri: string, value: unknown): ReadResourceResult {
  return { contents: [{ uri, mimeType: "application/json", text: JSON.stringify(value) }] };
}
