import { createServer, type Server, type Socket } from "node:net";
import type { Result } from "../../domain/failure.ts";
import type { PortForward } from "../lasting-workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { INPUT_WINDOW_BYTES, u32 } from "./agent-frames.ts";

/** What a caller may leave unread before its connection is cut. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024;

type Connect = () => Promise<Result<AgentConnection>>;

interface Forward {
  readonly server: Server;
  readonly hostPort: number;
  readonly sockets: Set<Socket>;
}

/** Ports of one machine on this machine's loopback, as long as this process lives. */
export class PortForwards {
  readonly #forwards = new Map<number, Forward>();

  list(): readonly PortForward[] {
    return [...this.#forwards].map(([guestPort, { hostPort }]) => ({ guestPort, hostPort }));
  }

  /** The one that there is, or a new one. */
  async open(
    { guestPort, hostPort = 0 }: { readonly guestPort: number; readonly hostPort?: number },
    connect: Connect,
  ): Promise<Result<PortForward>> {
    const known = this.#forwards.get(guestPort);
    if (known !== undefined) return { ok: true, value: { guestPort, hostPort: known.hostPort } };
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      void relay(socket, guestPort, connect);
    });
    const listening = await listen(server, hostPort);
    if (!listening.ok) return listening;
    this.#forwards.set(guestPort, { server, hostPort: listening.value, sockets });
    return { ok: true, value: { guestPort, hostPort: listening.value } };
  }

  /** Whether there was one. */
  async close(guestPort: number): Promise<boolean> {
    const found = this.#forwards.get(guestPort);
    if (found === undefined) return false;
    this.#forwards.delete(guestPort);
    for (const socket of found.sockets) socket.destroy();
    await new Promise<void>((resolve) => found.server.close(() => resolve()));
    return true;
  }

  async closeAll(): Promise<void> {
    for (const guestPort of this.#forwards.keys()) await this.close(guestPort);
  }
}

/** One connection, until both of its ends have said all; cut where the machine is gone. */
async function relay(socket: Socket, guestPort: number, connect: Connect): Promise<void> {
  socket.pause();
  const agent = await connect();
  if (!agent.ok || socket.destroyed) {
    socket.destroy();
    return;
  }
  const window = { left: INPUT_WINDOW_BYTES };
  const channel = agent.value.openChannel("T", u32(guestPort), ({ type, payload }) => {
    if (type === "1") socket.write(payload);
    if (type === "X") socket.end();
    if (type === "!" || socket.writableLength > UNREAD_BYTES_MAX) socket.destroy();
    if (type === "D") socket.resume();
    if (type === "C") {
      window.left += payload.readUInt32LE(0);
      if (window.left > 0) socket.resume();
    }
  });
  socket.on("data", (piece: Buffer) => {
    for (let at = 0; at < piece.length; at += PIECE_BYTES) {
      channel.send("I", piece.subarray(at, at + PIECE_BYTES));
    }
    window.left -= piece.length;
    if (window.left <= 0) socket.pause();
  });
  socket.on("end", () => channel.send("E", Buffer.alloc(0)));
  socket.on("close", () => {
    channel.send("K", u32(0));
    channel.close();
  });
  void agent.value.closed.then(() => socket.destroy());
}

const PIECE_BYTES = INPUT_WINDOW_BYTES / 4;

function listen(server: Server, port: number): Promise<Result<number>> {
  return new Promise((resolve) => {
    server.once("error", (cause) =>
      resolve(workspaceFailure(`port ${port} cannot be opened: ${cause.message}`, { cause })),
    );
    server.listen({ host: "127.0.0.1", port }, () => {
      const address = server.address();
      const isBound = address !== null && typeof address !== "string";
      resolve(isBound ? { ok: true, value: address.port } : workspaceFailure("no port was given"));
    });
  });
}
