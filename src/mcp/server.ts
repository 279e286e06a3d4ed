import { Server, type ServerContext } from "@modelcontextprotocol/server";
import { callTool } from "./call-tool.ts";
import type { ClientSession } from "./client-session.ts";
import { INSTRUCTIONS } from "./instructions.ts";
import { getPrompt, listPrompts } from "./prompts.ts";
import { listResources, listResourceTemplates, readResource } from "./resources.ts";
import type { OfferedTool } from "./tool-list.ts";

export type SessionOf = (context: ServerContext) => ClientSession;

export interface McpServerMeans {
  readonly version: string;
  readonly tools: ReadonlyMap<string, OfferedTool>;
  /** Whose call it is. */
  readonly sessionOf: SessionOf;
}

/** One connection's (or one request's) server: every answer comes from the one list of operations. */
export function makeMcpServer({ version, tools, sessionOf }: McpServerMeans): Server {
  const server = new Server(
    { name: "mycelium", title: "Mycelium", version },
    {
      capabilities: { tools: {}, resources: {}, prompts: {}, logging: {} },
      instructions: INSTRUCTIONS,
    },
  );
  const sessionFor = (context: ServerContext): ClientSession => {
    const session = sessionOf(context);
    const client = server.getClientVersion();
    if (client !== undefined) session.nameClient(`${client.name} ${client.version}`);
    return session;
  };
  const listed = [...tools.values()].map((offered) => offered.listed);
  server.setRequestHandler("tools/list", () => ({ tools: listed }));
  server.setRequestHandler("tools/call", async ({ params }, context) => {
    const session = sessionFor(context);
    const { signal } = context.mcpReq;
    const result = await session.during(
      callTool(session, tools, {
        name: params.name,
        input: params.arguments ?? {},
        signal: AbortSignal.any([signal, session.context.signal]),
        onProgress: progressOf(context),
      }),
    );
    tellLog(context, params.name, result.isError === true);
    return server.projectCallToolResult(result, tools.get(params.name)?.listed.outputSchema);
  });
  server.setRequestHandler("resources/list", (_, context) => listResources(sessionFor(context)));
  server.setRequestHandler("resources/templates/list", () => listResourceTemplates());
  server.setRequestHandler("resources/read", ({ params }, context) =>
    readResource(sessionFor(context), params.uri),
  );
  server.setRequestHandler("prompts/list", () => listPrompts());
  server.setRequestHandler("prompts/get", ({ params }) => getPrompt(params));
  return server;
}

/** Only who asked for it is told; what cannot be told any more is no error. */
function progressOf({ mcpReq }: ServerContext) {
  const token = mcpReq._meta?.progressToken;
  let last = -1;
  return (done: number, total: number | null, message: string): void => {
    if (token === undefined) return;
    // The protocol wants every number to be above the one before.
    const progress = done > last ? done : last + 0.001;
    last = progress;
    const known = total === null ? {} : { total };
    const params = { progressToken: token, progress, ...known, message };
    mcpReq.notify({ method: "notifications/progress", params }).catch(() => undefined);
  };
}

function tellLog({ mcpReq }: ServerContext, tool: string, isRefused: boolean): void {
  const said = isRefused ? `${tool} was refused` : `${tool} is done`;
  mcpReq.log(isRefused ? "warning" : "debug", said, "mycelium").catch(() => undefined);
}
