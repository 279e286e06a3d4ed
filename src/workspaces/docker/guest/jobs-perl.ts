/** Jobs: commands that go on when whoever started them is gone, with their output in files. */
export const JOBS = String.raw`# Jobs

sub run_job {
  my ($folder, $limit, @rest) = @_;
  my $wanted = parse_command(@rest);
  my ($cwd, $why) = as_user($wanted->{uid}, $wanted->{gid}, sub { folder_inside($wanted) });
  return fail('unstartable', $why) if !defined $cwd;
  make_folders($folder =~ m{^(.*)/});
  mkdir $folder, 0700 or return fail('unstartable', "no place for a job: $!");
  note("$folder/keeper", "$$ " . start_of($$)) or return fail('unstartable', "no place for a job: $!");
  my $started = start_child($wanted, $cwd, $folder);
  if (!$started) { note("$folder/ending", 'unstartable it could not be started'); return }
  $keeps_job = 1;
  send_frame('G', '');
  my (undef, $kind, $code) = tend($started, now() + $limit);
  note("$folder/ending", "$kind $code");
  exit 0;
}

# Whether a job began whose answer was lost; one that has not will not any more.
sub give_up_job {
  my ($folder) = @_;
  make_folders($folder =~ m{^(.*)/});
  my $is_first = mkdir $folder, 0700;
  note("$folder/ending", 'never 0') if $is_first;
  send_list('X', $is_first ? 'never' : 'begun', 0);
}

sub start_of {
  my ($pid) = @_;
  open(my $file, '<', "/proc/$pid/stat") or return '';
  my $line = <$file> // '';
  my (undef, $fields) = $line =~ /^(.*)\) (.*)/s or return '';
  return (split / /, $fields)[19] // '';
}

# Signal 0 only asks whether it is still kept.
sub signal_job {
  my ($folder, $signal) = @_;
  open(my $file, '<', "$folder/keeper") or return fail('missing', 'there is no such job');
  my ($pid, $start) = split / /, <$file> // '';
  return fail('over', 'is not running') if -e "$folder/ending" || !$pid || start_of($pid) ne $start;
  if ($signal == 9) { stop_then_kill(sub { descendants_of($pid) }) }
  elsif ($signal != 0) { kill $signal, descendants_of($pid) }
  send_frame('D', '');
}
`;
