import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { temporaryFolder } from "./temporary-folder.ts";

/** When a connection is cut. */
export interface Cut {
  /** Counts from the request on whose first line is like this; from the beginning where left out. */
  readonly request?: RegExp;
  /**
   * `sent`: as soon as the request was passed on. Otherwise with the first piece of an answer that
   * holds this, which is not passed on; any piece where it is empty.
   */
  readonly at: "sent" | { readonly answer: string | Buffer };
  /** Done at that moment, before the caller knows. */
  readonly andThen?: () => void;
}

/** A socket before another socket that loses what a test wants to get lost. */
export interface CuttingProxy extends AsyncDisposable {
  readonly socketPath: string;
  /** Cuts one connection; the answer resolves when it is done. */
  cutOnce(cut: Cut): Promise<void>;
  /** Cuts all that are open now. */
  cutAll(): void;
}

export async function cuttingProxy(behind: string): Promise<CuttingProxy> {
  const folder = await temporaryFolder();
  const socketPath = join(folder.path, "proxy.sock");
  const open = new Set<Socket>();
  let armed: (Cut & { readonly done: () => void }) | null = null;

  const server = createServer((caller) => {
    const engine = connect(behind);
    let isMeant = false;
    const cut = (): void => {
      const { andThen, done } = armed ?? {};
      armed = null;
      andThen?.();
      caller.destroy();
      engine.destroy();
      done?.();
    };
    for (const [socket, other] of [
      [caller, engine],
      [engine, caller],
    ] as const) {
      open.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
    caller.on("data", (piece) => {
      if (armed?.request?.test(firstLine(piece)) === true) isMeant = true;
      if (isMeant && armed?.at === "sent") engine.write(piece, cut);
      else engine.write(piece);
    });
    engine.on("data", (piece) => {
      const at = armed?.at;
      const counts = isMeant || armed?.request === undefined;
      if (counts && typeof at === "object" && piece.includes(at.answer)) cut();
      else caller.write(piece);
    });
  });
  server.listen(socketPath);
  await new Promise((resolve) => server.once("listening", resolve));
  return {
    socketPath,
    cutOnce: (cut) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      armed = { ...cut, done: resolve };
      return promise;
    },
    cutAll: () => {
      for (const socket of open) socket.destroy();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await folder[Symbol.asyncDispose]();
    },
  };
}

function firstLine(piece: Buffer): string {
  return piece.subarray(0, 1_000).toString("latin1").split("\r\n", 1)[0] ?? "";
}
