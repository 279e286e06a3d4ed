import { createServer, type Server, type Socket } from "node:net";
import type { Result } from "../../domain/failure.ts";
import type { PortForward } from "../lasting-workspace.ts";
import { workspaceFailure } from "../workspace-failure.ts";
import { USER } from "./docker-workspace.ts";
import type { GuestPool } from "./guest-pool.ts";
import { GUEST } from "./layout.ts";

const CONNECTION_MS_MAX = 24 * 3_600_000;

/** Joins its input and output to a port of the container's own loopback, also without a network. */
const RELAY = `use strict; use Socket;
my $peer;
socket($peer, PF_INET, SOCK_STREAM, 0) && connect($peer, pack_sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or exit 1;
binmode STDIN; binmode STDOUT;
my ($in, $out) = (1, 1);
while ($out) {
  my $reads = '';
  vec($reads, 0, 1) = 1 if $in;
  vec($reads, fileno $peer, 1) = 1;
  next if select($reads, undef, undef, undef) <= 0;
  if ($in && vec($reads, 0, 1)) { pass(*STDIN, $peer) or do { $in = 0; shutdown($peer, 1) } }
  if (vec($reads, fileno $peer, 1)) { pass($peer, *STDOUT) or $out = 0 }
}
sub pass {
  my ($from, $to) = @_;
  my $read = sysread($from, my $piece, 65536) or return 0;
  for (my $at = 0; $at < $read;) { $at += syswrite($to, $piece, $read - $at, $at) || return 0 }
  return 1;
}`;

/** Ports of one workspace on this machine's loopback, as long as this process lives. */
export interface PortForwards {
  open(guestPort: number, hostPort: number | undefined): Promise<Result<PortForward>>;
  /** Answers whether it was open. */
  close(guestPort: number): Promise<boolean>;
  closeAll(): Promise<void>;
  list(): readonly PortForward[];
}

export function openPortForwards(pool: GuestPool): PortForwards {
  const servers = new Map<
    number,
    { readonly server: Server; readonly hostPort: number; readonly sockets: Set<Socket> }
  >();

  async function close(guestPort: number): Promise<boolean> {
    const found = servers.get(guestPort);
    if (found === undefined) return false;
    servers.delete(guestPort);
    for (const socket of found.sockets) socket.destroy();
    await new Promise<void>((resolve) => found.server.close(() => resolve()));
    return true;
  }

  return {
    open: async (guestPort, wanted) => {
      const known = servers.get(guestPort);
      if (known !== undefined) return { ok: true, value: { guestPort, hostPort: known.hostPort } };
      const sockets = new Set<Socket>();
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        sockets.add(socket);
        socket.on("close", () => sockets.delete(socket));
        socket.on("error", () => socket.destroy());
        void relay(pool, guestPort, socket);
      });
      const listening = await listen(server, wanted ?? 0);
      if (!listening.ok) return listening;
      servers.set(guestPort, { server, hostPort: listening.value, sockets });
      return { ok: true, value: { guestPort, hostPort: listening.value } };
    },
    close,
    closeAll: async () => {
      for (const guestPort of servers.keys()) await close(guestPort);
    },
    list: () => [...servers].map(([guestPort, { hostPort }]) => ({ guestPort, hostPort })),
  };
}

async function relay(pool: GuestPool, guestPort: number, socket: Socket): Promise<void> {
  const over = new AbortController();
  socket.on("close", () => over.abort());
  try {
    await pool.use((guest) =>
      guest.run({
        ...USER,
        cwd: GUEST.repository,
        command: ["perl", "-e", RELAY, String(guestPort)],
        env: {},
        // A caller that has said all still listens.
        stdin: socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>,
        timeoutMs: CONNECTION_MS_MAX,
        signal: over.signal,
        onOutput: (stream, chunk) => {
          if (stream === "stdout") socket.write(chunk);
        },
      }),
    );
    socket.end();
  } catch {
    // The container is gone or stopped: the caller sees its connection end.
    socket.destroy();
  }
}

function listen(server: Server, port: number): Promise<Result<number>> {
  return new Promise((resolve) => {
    server.once("error", (error) =>
      resolve(
        workspaceFailure(`port ${port} cannot be opened: ${error.message}`, { cause: error }),
      ),
    );
    server.listen({ host: "127.0.0.1", port }, () => {
      const address = server.address();
      const isBound = address !== null && typeof address !== "string";
      resolve(isBound ? { ok: true, value: address.port } : workspaceFailure("no port was given"));
    });
  });
}
