/** Notes of how commands ended, in files: an answer may be lost on its way. */
export const NOTES = String.raw`# Notes

# Whole or not at all.
sub note {
  my ($path, $text) = @_;
  open(my $file, '>', "$path.new") or return 0;
  print $file $text;
  close $file or return 0;
  return rename "$path.new", $path;
}

# Only where there is nothing: whoever comes first, a command or who gives it up, keeps the other off.
sub note_first {
  my ($path, $text) = @_;
  sysopen(my $file, $path, O_WRONLY | O_CREAT | O_EXCL, 0600) or return 0;
  syswrite($file, $text);
  return close $file;
}

sub read_note {
  my ($path) = @_;
  open(my $file, '<', $path) or return ();
  return split / /, <$file> // '';
}

sub make_folders {
  my ($folder) = @_;
  my $made = '';
  for my $part (grep { $_ ne '' } split m{/}, $folder) { $made .= "/$part"; mkdir $made, 0700 }
}

my $is_tidy = 0;

# One answer a connection at most is not known to have arrived; they are kept for a while.
sub begin_note {
  my ($path) = @_;
  my ($folder) = $path =~ m{^(.*)/};
  if (!$is_tidy) {
    make_folders($folder);
    opendir(my $notes, $folder);
    my @all = map { "$folder/$_" } grep { !/^\./ } readdir $notes;
    unlink grep { (stat)[9] < time - $NOTE_SECONDS } @all if @all > $NOTES_MAX;
    $is_tidy = 1;
  }
  unlink $last_note if defined $last_note;
  $last_note = $path;
  return note_first($path, "running $$ " . start_of($$));
}

# The other end is gone: what became of the command is all that can still be kept.
sub settle_note {
  my ($run, $state) = ($noted->{run}, $noted->{state});
  while ((my $ended = waitpid(-1, 0)) > 0) { $state->{status} = $? if $ended == $run->{pid} }
  for my $name (grep { $run->{$_} } qw(out err)) {
    while (my $read = sysread($run->{$name}, my $piece, $PIECE)) { $state->{"$name bytes"} += $read }
  }
  note($noted->{path}, join ' ', ending_of($state), bytes_of($state)) if defined $state->{status};
}

sub ending_of {
  my ($state) = @_;
  my $status = $state->{status};
  return $status & 127 ? ('signalled', $status & 127) : ('exited', $status >> 8);
}

sub bytes_of { my ($state) = @_; return ($state->{'out bytes'}, $state->{'err bytes'}) }

# How a command ended whose answer was lost. Ends one that still runs: nobody waits for it.
sub recall {
  my ($path) = @_;
  make_folders($path =~ m{^(.*)/});
  return send_list('X', 'never', 0, 0, 0) if note_first($path, 'never');
  my @noted;
  for (1 .. 200) {
    @noted = read_note($path);
    last if @noted && ($noted[0] ne 'running' || start_of($noted[1]) ne $noted[2]);
    select(undef, undef, undef, 0.005);
  }
  if (@noted && $noted[0] eq 'running') {
    my ($pid, $start) = @noted[1, 2];
    stop_then_kill(sub { start_of($pid) eq $start ? ($pid, descendants_of($pid)) : () });
    @noted = read_note($path);
  }
  @noted = ('signalled', 9, 0, 0) if @noted < 4;
  unlink $path;
  send_list('X', @noted);
}
`;
