import { randomUUID } from "node:crypto";
import type { CallToolResult } from "@modelcontextprotocol/server";
import { startOperation } from "../control/detached/start-detached.ts";
import { perform, type OperationContext } from "../control/operation.ts";
import { shownOperation } from "../control/operations/tools/operations.ts";
import { Refusal, type Failure } from "../domain/failure.ts";
import { nearestName } from "../domain/nearest.ts";
import { checkShape } from "../domain/problem.ts";
import type { Cost } from "../sessions/admission.ts";
import type { ClientSession } from "./client-session.ts";
import type { OfferedTool } from "./tool-list.ts";

export interface ToolCall {
  readonly name: string;
  readonly input: unknown;
  readonly signal: AbortSignal;
  readonly onProgress: NonNullable<OperationContext["onProgress"]>;
}

/**
 * Does what one call asks for, in the name of its session: admitted, written down before and after,
 * and answered in every case. What is refused is an answer that says so, never an error of the
 * protocol; a bug is an answer too, and the server goes on.
 */
export async function callTool(
  session: ClientSession,
  tools: ReadonlyMap<string, OfferedTool>,
  call: ToolCall,
): Promise<CallToolResult> {
  const offered = tools.get(call.name);
  if (offered === undefined) return unknownTool(tools, call.name);
  const entry = entryOf(session, call);
  const startedMs = session.context.clock.monotonic();
  const duration = () => Math.round(session.context.clock.monotonic() - startedMs);
  const isWritten = !offered.tool.readOnly;
  if (isWritten) session.audit.record({ ...entry, what: "began", input: shownInput(call.input) });
  try {
    const result = await admitted(session, offered, call);
    if (isWritten) session.audit.record({ ...entry, what: "done", duration_ms: duration() });
    return answer(result);
  } catch (error) {
    const failure = failureOf(error);
    const what = call.signal.aborted ? ("cancelled" as const) : ("refused" as const);
    const { code, message } = failure;
    session.audit.record({ ...entry, what, code, message, duration_ms: duration() });
    return refused(failure);
  }
}

function entryOf(session: ClientSession, { name, input }: ToolCall) {
  const call = randomUUID();
  return {
    session: session.id,
    client: session.clientName(),
    tool: name,
    workspaces: namedIn(input),
    call,
  };
}

const WORKSPACE_KEYS = [
  "workspace_id",
  "workspace_ids",
  "source_workspaces",
  "target_workspace",
  "golden_workspace",
  "name",
] as const;

/** Which workspaces a call is about, as far as its input says so. */
function namedIn(input: unknown): readonly string[] {
  if (typeof input !== "object" || input === null) return [];
  const fields = input as Readonly<Record<string, unknown>>;
  const named = WORKSPACE_KEYS.flatMap((key) => fields[key]);
  const texts = named.filter((value): value is string => typeof value === "string");
  return texts.slice(0, NAMED_MAX).map((text) => text.slice(0, NAME_LENGTH_MAX));
}

const NAMED_MAX = 50;
const NAME_LENGTH_MAX = 200;

function shownInput(input: unknown): string {
  return JSON.stringify(input) ?? "";
}

async function admitted(
  session: ClientSession,
  offered: OfferedTool,
  call: ToolCall,
): Promise<object> {
  const { tool } = offered;
  const { input, isDetached } = splitDetached(call.input, tool.long);
  const giveBack = session.admission.admit(costOf(offered, input));
  try {
    const { signal, onProgress } = call;
    const context: OperationContext = { ...session.context, signal, onProgress };
    if (!isDetached) return (await perform(offered.operation, context, input)) as object;
    return shownOperation(await startOperation(offered.operation, context, input));
  } catch (error) {
    if (isUnused(error)) giveBack();
    throw error;
  }
}

/** What was refused before anything was done takes nothing of the session's rates. */
function isUnused(error: unknown): boolean {
  return error instanceof Refusal && error.failure.code !== "command-failed";
}

function costOf({ operation, tool }: OfferedTool, input: unknown): Cost {
  if (tool.cost === undefined) return {};
  // What is malformed costs nothing: it is refused by the operation itself, in its words.
  const checked = checkShape(operation.input, input);
  return checked.ok ? tool.cost(checked.value as never) : {};
}

function splitDetached(input: unknown, isLong: boolean) {
  if (!isLong || typeof input !== "object" || input === null) return { input, isDetached: false };
  const { detached, ...rest } = input as Readonly<Record<string, unknown>>;
  if (detached === undefined) return { input: rest, isDetached: false };
  if (typeof detached === "boolean") return { input: rest, isDetached: detached };
  throw new Refusal("usage", "detached: must be true or false");
}

function answer(result: object): CallToolResult {
  const structuredContent = result as Record<string, unknown>;
  return { content: [{ type: "text", text: JSON.stringify(result) }], structuredContent };
}

function failureOf(error: unknown): Failure {
  if (error instanceof Refusal) return error.failure;
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: "workspace-failed",
    message: `internal error: ${message}`,
    details: {},
    hint: null,
  };
}

const MESSAGE_LENGTH_MAX = 4_000;
/** Of a message that holds what a command said. */
const SAID_LENGTH_MAX = 600_000;

/** For the agent in words; for programs beside them, as every `--json` report has it. */
function refused({ code, message: whole, hint, details: all }: Failure): CallToolResult {
  // What was given may be told again: not at any length.
  const lengthMax = code === "command-failed" ? SAID_LENGTH_MAX : MESSAGE_LENGTH_MAX;
  const message = whole.length > lengthMax ? `${whole.slice(0, lengthMax)}…` : whole;
  const isLong = JSON.stringify(all).length > lengthMax;
  const details = isLong ? {} : all;
  const text = hint === null ? message : `${message}\nNext: ${hint}`;
  return {
    content: [{ type: "text", text }],
    isError: true,
    _meta: { "mycelium/error": { code, message, hint, details } },
  };
}

function unknownTool(tools: ReadonlyMap<string, OfferedTool>, name: string): CallToolResult {
  const nearest = nearestName(name, [...tools.keys()]);
  const hint = nearest === null ? "tools/list shows what there is" : `did you mean ${nearest}?`;
  const shown = JSON.stringify(name.slice(0, NAME_LENGTH_MAX));
  return refused({ code: "usage", message: `there is no tool ${shown}`, hint, details: {} });
}
