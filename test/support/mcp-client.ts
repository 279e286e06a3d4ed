import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import type { Sandbox } from "./cli.ts";
import { endProcessesOf } from "./marked-processes.ts";

export interface ToolAnswer {
  readonly isError: boolean;
  /** What stands in the text, which is all that some clients show. */
  readonly text: string;
  /** The structured result; empty where it was refused. */
  readonly result: Readonly<Record<string, unknown>>;
  /** The refusal's code; `null` where it was not refused. */
  readonly code: string | null;
}

/** Whatever it holds: each test says what it expects of it. */
// oxlint-disable-next-line typescript/no-explicit-any -- each test asserts on what it reads of it
export type Answered = Record<string, any>;

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: {
    readonly progress: number;
    readonly message?: string | undefined;
  }) => void;
}

/** A client of the protocol's own library, with the real server as its child over real pipes. */
export interface McpClient extends AsyncDisposable {
  readonly client: Client;
  readonly pid: number;
  call(tool: string, input: object, options?: CallOptions): Promise<ToolAnswer>;
  /** Requires that it is not refused, and answers the structured result. */
  done(tool: string, input: object, options?: CallOptions): Promise<Answered>;
  /** Requires that it is refused, and answers the text. */
  refused(tool: string, input: object): Promise<string>;
  /** All that the server wrote on its standard error. */
  stderr(): string;
  close(): Promise<void>;
}

const CALL_TIMEOUT_MS = 300_000;

export interface McpClientOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly name?: string;
}

export async function connectMcp(
  sandbox: Sandbox,
  options: McpClientOptions = {},
): Promise<McpClient> {
  const { args = [], env = {}, name = "driver" } = options;
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [sandbox.program, "mcp", ...args],
    env: { ...sandbox.env, ...env },
    cwd: sandbox.repository.path,
    stderr: "pipe",
  });
  let stderr = "";
  transport.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const client = new Client({ name, version: "1.0.0" });
  await client.connect(transport);
  const call: McpClient["call"] = async (tool, input, { signal, onProgress } = {}) => {
    const result = await client.callTool(
      { name: tool, arguments: { ...input } },
      {
        timeout: CALL_TIMEOUT_MS,
        ...(signal !== undefined && { signal }),
        ...(onProgress !== undefined && { onprogress: onProgress }),
      },
    );
    const error = (result._meta as { readonly "mycelium/error"?: Answered } | undefined)?.[
      "mycelium/error"
    ];
    return {
      isError: result.isError === true,
      text: result.content.map((block) => (block.type === "text" ? block.text : "")).join("\n"),
      result: (result.structuredContent ?? {}) as Record<string, unknown>,
      code: (error?.code as string | undefined) ?? null,
    };
  };
  const close = (): Promise<void> => client.close();
  return {
    client,
    pid: transport.pid ?? 0,
    call,
    done: async (tool, input, callOptions) => {
      const answer = await call(tool, input, callOptions);
      if (answer.isError) throw new Error(`${tool} was refused: ${answer.text}`);
      return { ...answer.result };
    },
    refused: async (tool, input) => {
      const answer = await call(tool, input);
      if (!answer.isError) throw new Error(`${tool} was not refused: ${answer.text}`);
      return answer.text;
    },
    stderr: () => stderr,
    close,
    [Symbol.asyncDispose]: async () => {
      await close();
      endProcessesOf(sandbox.home);
    },
  };
}
