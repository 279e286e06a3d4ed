import type { Socket } from "node:net";
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

/** Carries what a caller says to a port of the container, and back; never throws. */
export async function relay(pool: GuestPool, guestPort: number, socket: Socket): Promise<void> {
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
