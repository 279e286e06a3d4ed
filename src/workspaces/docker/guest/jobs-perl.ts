/** Jobs: commands that go on when whoever started them is gone, with their output in files. */
export const JOBS = String.raw`# Jobs

sub run_job {
  my ($folder, $limit, @rest) = @_;
  my $wanted = parse_command(@rest);
  my ($cwd, $why) = as_user($wanted->{uid}, $wanted->{gid}, sub { folder_inside($wanted) });
  return fail('unstartable', $why) if !defined $cwd;
  my $made = '';
  for my $part (grep { $_ ne '' } split m{/}, $folder) { $made .= "/$part"; mkdir $made, 0700 }
  note("$folder/keeper", "$$ " . start_of($$)) or return fail('unstartable', "no place for a job: $!");
  my $started = start_child($wanted, $cwd, $folder) or return;
  $keeps_job = 1;
  send_frame('G', '');
  my ($kind, $code) = tend($started, now() + $limit);
  note("$folder/ending", "$kind $code");
  exit 0;
}

# Whole or not at all.
sub note {
  my ($path, $text) = @_;
  open(my $file, '>', "$path.new") or return 0;
  print $file $text;
  close $file or return 0;
  return rename "$path.new", $path;
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
