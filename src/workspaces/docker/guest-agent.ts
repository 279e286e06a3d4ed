import { createHash } from "node:crypto";
import { COMMANDS } from "./guest/commands-perl.ts";
import { FILES } from "./guest/files-perl.ts";
import { JOBS } from "./guest/jobs-perl.ts";
import { FRAMES } from "./guest/frames-perl.ts";
import { LOOP, START } from "./guest/main-perl.ts";
import { NOTES } from "./guest/notes-perl.ts";
import { PROCESSES } from "./guest/processes-perl.ts";

/**
 * The program that runs inside each container: it starts commands as the container's own user, ends
 * their whole trees, and reads and writes files, each on a word over its standard input.
 *
 * It is Perl because every Debian image and everything with a full git has that, and because nothing
 * smaller can be a subreaper: what a command leaves running becomes a child of the agent whatever it
 * did to its session, group or environment, so that nothing gets away. It runs as the container's
 * root with hardly a capability; commands run as another user, which can neither signal nor trace
 * it. One agent serves one command at a time, and ends with the connection that started it, except
 * where it keeps a job.
 *
 * Frames both ways: one letter, the length of the rest (32 bits, big-endian), the rest. Lists are
 * strings that each follow their length. What goes in:
 *
 * | letter | meaning |
 * |---|---|
 * | `X` list | run: a file for its ending or nothing, uid, gid, roots, base, cwd, 1 for input or 0, number of variables, them, the command |
 * | `N` list | how a command ended, whose answer was lost: its file; answers `X` with `never` or the ending, and the bytes of both outputs |
 * | `J` list | the same as a job: its folder, most hundredths of a second, then uid… as `X`; answers `G` |
 * | `V` list | whether a job began, whose answer was lost: its folder; answers `X` with `never` or `begun` |
 * | `Q` list | signal a job's tree: its folder, the signal's number |
 * | `I`, `C` | a piece of input; its end |
 * | `K` text | end the command's tree, and kill what is left after so many hundredths of a second |
 * | `W` list | write a file: uid, gid, roots, base, path; `G` asks for it as `I`… `C` |
 * | `R` list | read a file: uid, gid, roots, base, path, most bytes or -1, offset, length or -1 |
 * | `L` list | list a folder: uid, gid, roots, base, path |
 * | `Z` | kill everything else in the container |
 *
 * And what comes out: `H` on start, `O` and `E` output, `A` so many bytes of input were taken, `G`
 * go on, `S` a size, `F` list: a reason and a message, `D` done, `X` list: `exited` or `signalled`,
 * and the code or number.
 */
export const GUEST_AGENT = [START, FRAMES, PROCESSES, NOTES, COMMANDS, JOBS, FILES, LOOP].join(
  "\n",
);

export { READY } from "./guest/main-perl.ts";

/** Where the agent lies in a container: another version of it has another name. */
export const GUEST_AGENT_PATH = `/usr/local/lib/mycelium/agent-${createHash("sha256")
  .update(GUEST_AGENT)
  .digest("hex")
  .slice(0, 12)}.pl`;
