import { once } from "node:events";
import { serveStdio, StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import { openClientSession, type ClientSessionRequest } from "./client-session.ts";
import { makeMcpServer } from "./server.ts";
import { offeredTools } from "./tool-list.ts";

/** One message at the most: a file's content with every character escaped fits. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

export type StdioRequest = Omit<ClientSessionRequest, "transport" | "id"> & {
  readonly onError: (error: Error) => void;
};

/**
 * Serves one client on standard input and output until it goes away or the signal is aborted. What
 * it has made stays; what still runs is ended with it.
 */
export async function serveOnStdio(request: StdioRequest): Promise<void> {
  const { context, onError } = request;
  const gone = new AbortController();
  const signal = AbortSignal.any([context.signal, gone.signal]);
  await using session = openClientSession({
    ...request,
    transport: "stdio",
    context: { ...context, signal },
  });
  const tools = offeredTools();
  const { version } = context;
  const transport = new StdioServerTransport(process.stdin, process.stdout, {
    maxBufferSize: MESSAGE_BYTES_MAX,
  });
  const handle = serveStdio(() => makeMcpServer({ version, tools, sessionOf: () => session }), {
    transport,
    onerror: onError,
  });
  const closed = ["end", "close", "error"].map((event) =>
    once(process.stdin, event).catch(() => []),
  );
  await Promise.race([...closed, aborted(context.signal)]);
  gone.abort("the client went away");
  await handle.close();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
