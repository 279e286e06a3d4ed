import { expect, test } from "vitest";
import { runProcess } from "../../../lib/process.ts";
import { COMMANDS } from "./commands-perl.ts";

/** What the agent's other parts declare. */
const DECLARATIONS = `use strict; use warnings; use Fcntl qw(:DEFAULT); use POSIX qw(:sys_wait_h);
my ($PIECE, $received, $is_alone, $noted, $LEFTOVER_GRACE, $STOP_GRACE, $DRAIN_MAX);`;

/** Looks at the children of a system whose `waitpid` answers these, one after the other; then none is left. */
async function look(answers: readonly number[], looks: number): Promise<unknown> {
  const script = `
    my @answers;
    BEGIN { *CORE::GLOBAL::waitpid = sub { $? = 7 << 8; return @answers ? shift @answers : -1 } }
    ${DECLARATIONS}
    @answers = (${answers.join(", ")});
    my %state = (status => undef);
    my @left = map { reap(42, \\%state) ? 1 : 0 } 1 .. ${looks};
    printf '{"left":[%s],"status":%s}', join(',', @left), $state{status} // 'null';
    ${COMMANDS}`;
  const { ending, stdout, stderr } = await runProcess({
    command: ["perl", "-e", script],
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
    timeoutMs: 30_000,
    outputBytesMax: 10_000,
  });
  expect({ ending, said: stderr.bytes.toString() }).toEqual({
    ending: { kind: "exited", code: 0 },
    said: "",
  });
  return JSON.parse(stdout.bytes.toString()) as unknown;
}

const ENDED = 7 * 256;

test("a command that ends while its children are looked at is not taken in unheard", async () => {
  expect(await look([0, 42], 2)).toEqual({ left: [1, 0], status: ENDED });
});

test("what a command left behind is taken in, and its own ending stands", async () => {
  expect(await look([42, 43, 0, 44], 2)).toEqual({ left: [1, 0], status: ENDED });
  expect(await look([43, 0], 1)).toEqual({ left: [1], status: null });
});
