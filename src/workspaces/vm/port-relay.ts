import type { Socket } from "node:net";
import type { Result } from "../../domain/failure.ts";
import type { AgentConnection } from "./agent-connection.ts";
import { INPUT_WINDOW_BYTES, u32 } from "./agent-frames.ts";

/** What a caller may leave unread before its connection is cut. */
const UNREAD_BYTES_MAX = 64 * 1024 * 1024;
const PIECE_BYTES = INPUT_WINDOW_BYTES / 4;

/**
 * Joins a caller to a port of the guest's loopback, until both of its ends have said all; it is cut
 * where the machine is gone, and where nobody listens there.
 */
export async function relayToGuest(
  caller: Socket,
  guestPort: number,
  connect: () => Promise<Result<AgentConnection>>,
): Promise<void> {
  caller.pause();
  const agent = await connect();
  if (!agent.ok || caller.destroyed) {
    caller.destroy();
    return;
  }
  const window = { left: INPUT_WINDOW_BYTES };
  const channel = agent.value.openChannel("T", u32(guestPort), ({ type, payload }) => {
    if (type === "1") caller.write(payload);
    if (type === "X") caller.end();
    if (type === "!" || caller.writableLength > UNREAD_BYTES_MAX) caller.destroy();
    if (type === "D") caller.resume();
    if (type === "C") {
      window.left += payload.readUInt32LE(0);
      if (window.left > 0) caller.resume();
    }
  });
  caller.on("data", (piece: Buffer) => {
    for (let at = 0; at < piece.length; at += PIECE_BYTES) {
      channel.send("I", piece.subarray(at, at + PIECE_BYTES));
    }
    window.left -= piece.length;
    if (window.left <= 0) caller.pause();
  });
  caller.on("end", () => channel.send("E", Buffer.alloc(0)));
  caller.on("close", () => {
    channel.send("K", u32(0));
    channel.close();
  });
  void agent.value.closed.then(() => caller.destroy());
}
