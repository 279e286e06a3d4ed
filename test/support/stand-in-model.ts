import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** A tool that the model wants called, under the name that the client gives it. */
export interface ScriptedCall {
  readonly name: string;
  readonly input: object;
}

/** What reached the stand-in: a request to it, or `CONNECT` where it was taken for a way out. */
export interface ModelRequest {
  readonly method: string;
  readonly path: string;
  /** Parsed; `null` where there was none. */
  readonly body: unknown;
}

export interface StandInModelOptions {
  /** Called one after the other, each when the one before was answered. */
  readonly calls: readonly ScriptedCall[];
  /** What is said when all were answered. */
  readonly farewell: string;
  readonly onRequest: (request: ModelRequest) => void;
}

export interface StandInModel {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Speaks the Messages API on loopback, streamed or whole, and says what a script says. What is
 * asked beside the conversation (a title, a count of tokens) gets a harmless answer.
 */
export async function serveModel(options: StandInModelOptions): Promise<StandInModel> {
  const server = createServer((request, response) => {
    answer(request, response, options).catch((error: unknown) => response.destroy(error as Error));
  });
  // A client with this address as its proxy shows here where else it would have gone.
  server.on("connect", (request: IncomingMessage, socket) => {
    options.onRequest({ method: "CONNECT", path: request.url ?? "", body: null });
    // A client that was told no may go without a word.
    socket.on("error", () => socket.destroy());
    socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => close(server) };
}

async function close(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

interface Block {
  readonly type: string;
  readonly id?: string;
  readonly tool_use_id?: string;
}

interface MessagesRequest {
  readonly model?: string;
  readonly stream?: boolean;
  readonly tools?: readonly { readonly name?: string }[];
  readonly messages?: readonly { readonly content?: string | readonly Block[] }[];
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: StandInModelOptions,
): Promise<void> {
  const sent = await text(request);
  const body: unknown = sent === "" ? null : JSON.parse(sent);
  const { method = "", url: path = "" } = request;
  options.onRequest({ method, path, body });
  const { pathname } = new URL(path, "http://stand-in");
  if (pathname.endsWith("/count_tokens")) return sendJson(response, { input_tokens: 1 });
  if (method !== "POST" || !pathname.endsWith("/v1/messages")) return sendJson(response, {});
  const asked = body as MessagesRequest;
  const content = contentFor(asked, options);
  if (asked.stream === true) return sendStream(response, asked, content);
  sendJson(response, { ...messageOf(asked), content: [content], stop_reason: reasonOf(content) });
}

type Content =
  | { readonly type: "text"; readonly text: string }
  | {
      readonly type: "tool_use";
      readonly id: string;
      readonly name: string;
      readonly input: object;
    };

const CALL_ID = "toolu_standin_";

/** The next call of the script; text where the client offers no such tool, or all is done. */
function contentFor(asked: MessagesRequest, { calls, farewell }: StandInModelOptions): Content {
  const answered = (asked.messages ?? [])
    .flatMap(({ content }) => (typeof content === "string" ? [] : (content ?? [])))
    .filter(({ type, tool_use_id: id }) => type === "tool_result" && id?.startsWith(CALL_ID));
  const next = calls[answered.length];
  if (next === undefined) return { type: "text", text: farewell };
  const isOffered = (asked.tools ?? []).some(({ name }) => name === next.name);
  if (!isOffered) return { type: "text", text: `there is no tool ${next.name}` };
  return { type: "tool_use", id: `${CALL_ID}${answered.length}`, ...next };
}

function reasonOf({ type }: Content): string {
  return type === "tool_use" ? "tool_use" : "end_turn";
}

function messageOf({ model = "stand-in" }: MessagesRequest): object {
  return {
    id: "msg_standin",
    type: "message",
    role: "assistant",
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: 1, output_tokens: 1 },
  };
}

function sendJson(response: ServerResponse, value: object): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function sendStream(response: ServerResponse, asked: MessagesRequest, content: Content): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (event: { readonly type: string; readonly [field: string]: unknown }): void => {
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  };
  const isCall = content.type === "tool_use";
  const start = isCall ? { ...content, input: {} } : { type: "text", text: "" };
  const delta = isCall
    ? { type: "input_json_delta", partial_json: JSON.stringify(content.input) }
    : { type: "text_delta", text: content.text };
  send({ type: "message_start", message: messageOf(asked) });
  send({ type: "content_block_start", index: 0, content_block: start });
  send({ type: "content_block_delta", index: 0, delta });
  send({ type: "content_block_stop", index: 0 });
  const end = { stop_reason: reasonOf(content), stop_sequence: null };
  send({ type: "message_delta", delta: end, usage: { output_tokens: 1 } });
  send({ type: "message_stop" });
  response.end();
}
