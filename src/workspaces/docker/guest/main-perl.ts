/** Made by a container's first process when it is done, in memory, and so anew at every start. */
export const READY = "/run/mycelium-ready";

/** What all parts need, and the making of a subreaper. */
export const START = String.raw`use strict;
use warnings;
use Cwd ();
use Fcntl qw(:DEFAULT :mode);
use POSIX qw(:sys_wait_h);

my $PIECE = 65536;
my $LEFTOVER_GRACE = 20;
my $STOP_GRACE = 200;
my $DRAIN_MAX = 100;
my $NOTES_MAX = 256;
my $NOTE_SECONDS = 3_600;
my $ENTRIES_MAX = 1_000;

binmode STDIN;
binmode STDOUT;
$SIG{PIPE} = 'IGNORE';
$SIG{CHLD} = sub { };

my %PRCTL = (x86_64 => 157, aarch64 => 167, riscv64 => 167, ppc64le => 171, s390x => 172, i686 => 172, armv7l => 172);
my $prctl = $PRCTL{(POSIX::uname())[4]};
if (!defined $prctl || syscall($prctl, 36, 1, 0, 0, 0) != 0) {
  print STDERR "this machine's processor or kernel has no subreapers\n";
  exit 3;
}

for (1 .. 5000) { last if -d '${READY}'; select(undef, undef, undef, 0.002) }

my $received = '';
# A job is kept when the other end goes, and then there is nobody to talk to.
my $keeps_job = 0;
my $is_alone = 0;
# The command that runs whose ending is noted, where, and the note that is not needed any more.
my ($noted, $note_file, $last_note);
`;

/** What each word leads to: last, because by then everything is defined. */
export const LOOP = String.raw`send_frame('H', '1');
while (1) {
  my ($letter, $rest) = next_frame();
  exit 0 if !defined $letter;
  if ($letter eq 'X') { run_command(list_of($rest)) }
  elsif ($letter eq 'J') { run_job(list_of($rest)) }
  elsif ($letter eq 'Q') { signal_job(list_of($rest)) }
  elsif ($letter eq 'W') { write_file(list_of($rest)) }
  elsif ($letter eq 'R') { read_file(list_of($rest)) }
  elsif ($letter eq 'L') { list_folder(list_of($rest)) }
  elsif ($letter eq 'N') { recall(list_of($rest)) }
  elsif ($letter eq 'V') { give_up_job(list_of($rest)) }
  elsif ($letter eq 'Z') { sweep() }
  # What is left of a command that is over: its input, or a word to end it.
}
`;
