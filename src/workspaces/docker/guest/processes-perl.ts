/** Finding and ending processes. */
export const PROCESSES = String.raw`# Processes

sub now { return (POSIX::times())[0] }

sub process_table {
  my %table;
  opendir(my $proc, '/proc') or return \%table;
  for my $pid (grep { /^[0-9]+$/ } readdir $proc) {
    open(my $file, '<', "/proc/$pid/stat") or next;
    my $line = <$file>;
    next if !defined $line || $line !~ /\) (\S) ([0-9]+) /s;
    $table{$pid} = { state => $1, parent => $2 };
  }
  return \%table;
}

sub descendants_of {
  my ($root) = @_;
  my $table = process_table();
  my %children;
  push @{$children{$table->{$_}{parent}}}, $_ for keys %$table;
  my @open = ($root);
  my @found;
  while (@open) {
    my $pid = shift @open;
    for my $child (@{$children{$pid} || []}) {
      push @open, $child;
      push @found, $child if $table->{$child}{state} ne 'Z';
    }
  }
  return @found;
}

# First everybody is stopped, so that nobody is born while the rest is killed.
sub stop_then_kill {
  my ($list) = @_;
  my %stopped;
  for my $round (1 .. 200) {
    my @new = grep { !$stopped{$_} } $list->();
    last if !@new;
    $stopped{$_} = 1 for @new;
    kill 'STOP', @new;
  }
  kill 'KILL', keys %stopped;
  return keys %stopped;
}

sub kill_descendants { return stop_then_kill(sub { descendants_of($$) }) }

# Everything in the container but its first process and this one; other agents are not counted.
sub sweep {
  my %uid;
  my $others = sub {
    my $table = process_table();
    my @pids = grep { $_ != 1 && $_ != $$ && $table->{$_}{state} ne 'Z' } keys %$table;
    $uid{$_} //= uid_of($_) for @pids;
    return @pids;
  };
  my $until = now() + 500;
  while (stop_then_kill($others) && now() < $until) { select(undef, undef, undef, 0.005) }
  send_frame('D', scalar grep { $_ != 0 } values %uid);
}

sub uid_of { my @stat = stat("/proc/$_[0]"); return @stat ? $stat[4] : 0 }
`;
