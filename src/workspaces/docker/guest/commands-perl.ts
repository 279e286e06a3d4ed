/** Commands: started, listened to, ended with all that they started. */
export const COMMANDS = String.raw`# Commands

sub parse_command {
  my ($uid, $gid, $roots, $base, $cwd, $has_input, $count, @rest) = @_;
  my @variables = splice @rest, 0, $count;
  return { uid => $uid, gid => $gid, roots => $roots, base => $base, cwd => $cwd,
    has_input => $has_input, variables => \@variables, command => \@rest };
}

sub run_command {
  my ($note, @rest) = @_;
  my $wanted = parse_command(@rest);
  my ($cwd, $why) = as_user($wanted->{uid}, $wanted->{gid}, sub { folder_inside($wanted) });
  return fail('unstartable', $why) if !defined $cwd;
  return fail('unstartable', 'was given up before it began') if $note ne '' && !begin_note($note);
  my $started = start_child($wanted, $cwd, undef);
  return if !$started;
  my ($bytes, @ending) = tend($started, undef, $note);
  end_note(@ending, @$bytes) if $note ne '';
  undef $noted;
  send_list('X', @ending);
}

sub start_child {
  my ($wanted, $cwd, $folder) = @_;
  my %end;
  pipe($end{told}, $end{tell}) or return fail('unstartable', "no pipe: $!");
  if (defined $folder) {
    sysopen($end{out_in}, "$folder/stdout", O_WRONLY | O_CREAT | O_APPEND, 0600) or return fail('unstartable', "$!");
    sysopen($end{err_in}, "$folder/stderr", O_WRONLY | O_CREAT | O_APPEND, 0600) or return fail('unstartable', "$!");
  } else {
    pipe($end{out}, $end{out_in}) && pipe($end{err}, $end{err_in}) or return fail('unstartable', "no pipe: $!");
  }
  if ($wanted->{has_input}) { pipe($end{input}, $end{feed}) or return fail('unstartable', "no pipe: $!") }
  else { open($end{input}, '<', '/dev/null') or return fail('unstartable', "no input: $!") }
  # By their names in /dev they can only be opened by whom they belong to.
  chown($wanted->{uid}, $wanted->{gid}, $_) for grep { -p $_ } @end{qw(out_in err_in input)};
  my $pid = fork();
  return fail('unstartable', "no process: $!") if !defined $pid;
  become($wanted, $cwd, \%end) if $pid == 0;
  close $end{$_} for qw(tell out_in err_in input);
  my $trouble = '';
  while (1) {
    my $read = sysread($end{told}, $trouble, 4096, length $trouble);
    last if defined $read ? $read == 0 : !$!{EINTR};
  }
  close $end{told};
  if ($trouble ne '') {
    waitpid($pid, 0);
    fail('unstartable', $trouble);
    return undef;
  }
  return { pid => $pid, %end };
}

# In the child: never returns.
sub become {
  my ($wanted, $cwd, $end) = @_;
  my $give_up = sub { syswrite($end->{tell}, $_[0]); POSIX::_exit(127) };
  POSIX::setsid();
  $SIG{$_} = 'DEFAULT' for qw(PIPE CHLD TERM INT HUP);
  if (open(my $score, '>', '/proc/self/oom_score_adj')) { print $score '500'; close $score }
  POSIX::dup2(fileno($end->{input}), 0);
  POSIX::dup2(fileno($end->{out_in}), 1);
  POSIX::dup2(fileno($end->{err_in}), 2);
  my ($uid, $gid) = ($wanted->{uid}, $wanted->{gid});
  if ($uid != 0) {
    $) = "$gid $gid";
    POSIX::setgid($gid);
    POSIX::setuid($uid);
    $give_up->("cannot become user $uid") if $< != $uid || $> != $uid;
  }
  chdir $cwd or $give_up->("cannot enter $cwd: $!");
  umask 022;
  for my $variable (@{$wanted->{variables}}) {
    my ($name, $value) = split /=/, $variable, 2;
    $ENV{$name} = $value;
  }
  my @command = @{$wanted->{command}};
  { no warnings 'exec'; exec { $command[0] } @command; }
  $give_up->("cannot start $command[0]: " . lc $!);
}

# Passes everything on until the command and all that it started are gone.
sub tend {
  my ($run, $deadline, $note) = @_;
  my %state = (status => undef, kill_at => undef, over_at => undef, pending => '', input_ends => 0,
    'out bytes' => 0, 'err bytes' => 0);
  $noted = { run => $run, state => \%state } if defined $note && $note ne '';
  set_nonblocking($run->{feed}) if $run->{feed};
  obey($run, \%state);
  while (1) {
    my $has_children = reap($run->{pid}, \%state);
    if (defined $state{status} && !$has_children) {
      $state{over_at} //= now();
      last if !$run->{out} && !$run->{err} || now() - $state{over_at} > $DRAIN_MAX;
    } elsif (defined $state{status} && !defined $state{kill_at}) {
      begin_ending(\%state, $LEFTOVER_GRACE);
    }
    if (defined $deadline && now() >= $deadline && !$state{timed_out}) {
      $state{timed_out} = 1;
      begin_ending(\%state, $STOP_GRACE);
    }
    kill_descendants() if defined $state{kill_at} && now() >= $state{kill_at} && $has_children;
    pass_on($run, \%state, defined $state{status} || defined $state{kill_at} ? 0.005 : 0.1);
  }
  close $run->{feed} if $run->{feed};
  my $bytes = [bytes_of(\%state)];
  return ($bytes, 'unstartable', 'its input was cut off') if $state{cut};
  return ($bytes, 'timed-out', 0) if $state{timed_out};
  return ($bytes, ending_of(\%state));
}

# Notes the command's ending, and answers whether children are left: by one and the same look, for what
# a second one takes in would be lost.
sub reap {
  my ($pid, $state) = @_;
  while ((my $ended = waitpid(-1, WNOHANG)) >= 0) {
    return 1 if $ended == 0;
    $state->{status} = $? if $ended == $pid;
  }
  return 0;
}

sub begin_ending {
  my ($state, $grace) = @_;
  my $kill_at = now() + $grace;
  $state->{kill_at} = $kill_at if !defined $state->{kill_at} || $kill_at < $state->{kill_at};
  my @left = descendants_of($$);
  kill 'TERM', @left;
  kill 'CONT', @left;
}

sub pass_on {
  my ($run, $state, $wait) = @_;
  my ($reads, $writes) = ('', '');
  vec($reads, 0, 1) = 1 if !$is_alone;
  for my $name (qw(out err)) { vec($reads, fileno $run->{$name}, 1) = 1 if $run->{$name} }
  vec($writes, fileno $run->{feed}, 1) = 1 if $run->{feed} && ($state->{pending} ne '' || $state->{input_ends});
  my $count = select($reads, $writes, undef, $wait);
  return if $count <= 0;
  forward($run, $state, 'out', 'O') if $run->{out} && vec($reads, fileno $run->{out}, 1);
  forward($run, $state, 'err', 'E') if $run->{err} && vec($reads, fileno $run->{err}, 1);
  feed($run, $state) if $run->{feed} && vec($writes, fileno $run->{feed}, 1);
  listen_in($run, $state) if !$is_alone && vec($reads, 0, 1);
}

sub forward {
  my ($run, $state, $name, $letter) = @_;
  my $read = sysread($run->{$name}, my $piece, $PIECE);
  return if !defined $read && ($!{EINTR} || $!{EAGAIN});
  if (!$read) { close $run->{$name}; delete $run->{$name} }
  else { $state->{"$name bytes"} += $read; send_frame($letter, $piece) }
}

sub feed {
  my ($run, $state) = @_;
  if ($state->{pending} ne '') {
    my $written = syswrite($run->{feed}, $state->{pending});
    return if !defined $written && ($!{EINTR} || $!{EAGAIN});
    # A program that does not read to the end has its reasons: the rest goes nowhere.
    $written //= length $state->{pending};
    substr($state->{pending}, 0, $written, '');
    send_frame('A', $written);
  }
  if ($state->{pending} eq '' && $state->{input_ends}) { close $run->{feed}; delete $run->{feed} }
}

sub listen_in {
  my ($run, $state) = @_;
  my $read = sysread(STDIN, $received, $PIECE, length $received);
  return if !defined $read && $!{EINTR};
  if (!$read) {
    my $is_cut = $run->{feed} && !$state->{input_ends};
    $state->{input_ends} = 1;
    abandon();
    # A job without the rest of its input is another job.
    if ($is_cut) { $state->{cut} = 1; begin_ending($state, 0) }
    return;
  }
  obey($run, $state);
}

sub obey {
  my ($run, $state) = @_;
  while (my ($letter, $rest) = take_frame()) {
    if ($letter eq 'K') { begin_ending($state, $rest) }
    elsif ($letter eq 'C') { $state->{input_ends} = 1 }
    elsif ($letter eq 'I' && $run->{feed}) { $state->{pending} .= $rest }
    elsif ($letter eq 'I') { send_frame('A', length $rest) }
  }
}

sub set_nonblocking {
  my ($handle) = @_;
  fcntl($handle, F_SETFL, fcntl($handle, F_GETFL, 0) | O_NONBLOCK);
}
`;
