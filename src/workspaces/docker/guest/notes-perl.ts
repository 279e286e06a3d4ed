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

# A note about a command is a line when it begins and a line when it ends: the last that is whole counts.
sub read_note {
  my ($path) = @_;
  open(my $file, '<', $path) or return ();
  my @whole = grep { chomp } <$file>;
  return split / /, $whole[-1] // '';
}

sub make_folders {
  my ($folder) = @_;
  my $made = '';
  for my $part (grep { $_ ne '' } split m{/}, $folder) { $made .= "/$part"; mkdir $made, 0700 }
}

my ($is_tidy, $own_start) = (0);

# Only where there is nothing: whoever comes first, a command or who gives it up, keeps the other off.
# One answer a connection at most is not known to have arrived; they are kept for a while. A disk
# without room keeps no command from running.
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
  undef $note_file;
  sysopen($note_file, $path, O_WRONLY | O_CREAT | O_EXCL, 0600) or return !$!{EEXIST};
  $own_start //= start_of($$);
  syswrite($note_file, "running $$ $own_start\n");
  return 1;
}

sub end_note { syswrite($note_file, "@_\n") if defined $note_file && defined fileno $note_file }

# The other end is gone: what became of the command is all that can still be kept.
sub settle_note {
  my ($run, $state) = ($noted->{run}, $noted->{state});
  while ((my $ended = waitpid(-1, 0)) > 0) { $state->{status} = $? if $ended == $run->{pid} }
  for my $name (grep { $run->{$_} } qw(out err)) {
    while (my $read = sysread($run->{$name}, my $piece, $PIECE)) { $state->{"$name bytes"} += $read }
  }
  end_note(ending_of($state), bytes_of($state)) if defined $state->{status};
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
  return send_list('X', 'never', 0, 0, 0) if sysopen(my $never, $path, O_WRONLY | O_CREAT | O_EXCL, 0600);
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
