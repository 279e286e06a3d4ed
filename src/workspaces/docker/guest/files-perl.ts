/** Files: read, written and listed. */
export const FILES = String.raw`# Files: as the user, and never outside of the roots.

sub as_user {
  my ($uid, $gid, $act) = @_;
  my ($own_uid, $own_groups) = ($>, $));
  $) = "$gid $gid";
  $> = $uid;
  my @answer = $> == $uid ? $act->() : (undef, "cannot become user $uid");
  $> = $own_uid;
  $) = $own_groups;
  return @answer;
}

# Roots are parted by colons.
sub is_root { my ($roots, $path) = @_; return grep { $path eq $_ } split /:/, $roots }
sub is_inside {
  my ($roots, $path) = @_;
  return grep { $path eq $_ || index($path, "$_/") == 0 } split /:/, $roots;
}

# Without looking at the disk; undef where it leads out.
sub lexical {
  my ($roots, $base, $path) = @_;
  return undef if $path =~ /\0/;
  my @parts;
  for my $part (split m{/}, $path =~ m{^/} ? $path : "$base/$path") {
    if ($part eq '..') { pop @parts }
    elsif ($part ne '' && $part ne '.') { push @parts, $part }
  }
  my $whole = '/' . join '/', @parts;
  return is_inside($roots, $whole) ? $whole : undef;
}

sub real { my ($path) = @_; my $real = Cwd::abs_path($path); return defined $real && -e $real ? $real : undef }

my @OUTSIDE = ('outside', 'leads out of the workspace');

sub existing_inside {
  my ($roots, $base, $path) = @_;
  my $whole = lexical($roots, $base, $path);
  return (undef, @OUTSIDE) if !defined $whole;
  my $real = real($whole);
  return (undef, 'missing', 'is not there') if !defined $real;
  return is_inside($roots, $real) ? ($real) : (undef, @OUTSIDE);
}

sub folder_inside {
  my ($wanted) = @_;
  my ($real, undef, $why) = existing_inside($wanted->{roots}, $wanted->{base}, $wanted->{cwd});
  return (undef, "$wanted->{cwd} $why") if !defined $real;
  return -d $real ? ($real) : (undef, "$wanted->{cwd} is no folder");
}

sub reason_of_errno {
  return 'missing' if $!{ENOENT};
  return 'not-a-file' if $!{EISDIR} || $!{ENOTDIR} || $!{ENXIO};
  return 'outside' if $!{ELOOP};
  return (sort grep { $!{$_} } keys %!)[0] || 'unknown';
}

sub open_regular {
  my ($path, $flags) = @_;
  sysopen(my $file, $path, $flags | O_NOFOLLOW | O_NONBLOCK, 0666)
    or return (undef, reason_of_errno(), "cannot be opened: $!");
  return (undef, 'not-a-file', 'is not a regular file') if !-f $file;
  return ($file);
}

sub write_file {
  my ($uid, $gid, $roots, $base, $path) = @_;
  my ($file, $reason, $why) = as_user($uid, $gid, sub {
    my ($target, @refused) = target_inside($roots, $base, $path);
    return (undef, @refused) if !defined $target;
    return open_regular($target, O_WRONLY | O_CREAT);
  });
  return fail($reason, $why) if !defined $file;
  truncate($file, 0);
  send_frame('G', '');
  my $trouble;
  while (1) {
    my ($letter, $rest) = next_frame();
    exit 0 if !defined $letter;
    last if $letter eq 'C';
    next if $letter ne 'I' || defined $trouble;
    my $at = 0;
    while ($at < length $rest) {
      my $written = syswrite($file, $rest, length($rest) - $at, $at);
      if (defined $written) { $at += $written }
      elsif (!$!{EINTR}) { $trouble = $!{ENOSPC} ? 'No space left on device' : "$!"; last }
    }
    send_frame('A', length $rest);
  }
  close $file;
  defined $trouble ? fail('unwritten', $trouble) : send_frame('D', '');
}

sub target_inside {
  my ($roots, $base, $path) = @_;
  my $whole = lexical($roots, $base, $path);
  return (undef, @OUTSIDE) if !defined $whole;
  return (undef, 'not-a-file', 'is the workspace itself') if is_root($roots, $whole);
  my ($folder, $name) = $whole =~ m{^(.*)/([^/]+)$}s;
  my $deepest = $folder;
  my @missing;
  while (!defined real($deepest)) {
    $deepest =~ s{/([^/]+)$}{}s;
    unshift @missing, $1;
  }
  return (undef, @OUTSIDE) if !is_inside($roots, real($deepest));
  for my $part (@missing) {
    $deepest .= "/$part";
    mkdir $deepest or return (undef, reason_of_errno(), "$deepest cannot be made: $!");
  }
  my $real = real($folder);
  return (undef, 'missing', 'has no folder') if !defined $real;
  return (undef, @OUTSIDE) if !is_inside($roots, $real);
  my $target = "$real/$name";
  return ($target) if !-l $target;
  my $led = real($target);
  return (undef, 'outside', 'is a link that leads nowhere') if !defined $led;
  return is_inside($roots, $led) ? ($led) : (undef, @OUTSIDE);
}

sub read_file {
  my ($uid, $gid, $roots, $base, $path, $most, $offset, $length) = @_;
  my ($file, $reason, $why) = as_user($uid, $gid, sub {
    my ($real, @refused) = existing_inside($roots, $base, $path);
    return (undef, @refused) if !defined $real;
    return open_regular($real, O_RDONLY);
  });
  return fail($reason, $why) if !defined $file;
  my $size = -s $file;
  return fail('too-large', "has $size bytes, over $most") if $most >= 0 && $size > $most;
  send_frame('S', $size);
  sysseek($file, $offset, 0);
  my $left = $length < 0 ? $size - $offset : $length;
  while ($left > 0) {
    my $read = sysread($file, my $piece, $left < $PIECE ? $left : $PIECE);
    next if !defined $read && $!{EINTR};
    return fail('unread', "$!") if !defined $read;
    last if $read == 0;
    $left -= $read;
    send_frame('O', $piece);
  }
  send_frame('D', '');
}

sub list_folder {
  my ($uid, $gid, $roots, $base, $path) = @_;
  my ($names, $reason, $why) = as_user($uid, $gid, sub {
    my ($real, @refused) = existing_inside($roots, $base, $path);
    return (undef, @refused) if !defined $real;
    opendir(my $folder, $real) or return (undef, reason_of_errno(), "cannot be listed: $!");
    my @entries;
    for my $name (grep { $_ ne '.' && $_ ne '..' } readdir $folder) {
      my @stat = lstat("$real/$name") or next;
      my $kind = S_ISREG($stat[2]) ? 'file' : S_ISDIR($stat[2]) ? 'folder' : S_ISLNK($stat[2]) ? 'link' : 'other';
      push @entries, $name, $kind, $stat[7], $stat[2] & 07777, $stat[9];
    }
    return (\@entries);
  });
  return fail($reason, $why) if !defined $names;
  while (my @entries = splice @$names, 0, 5 * $ENTRIES_MAX) { send_list('O', @entries) }
  send_frame('D', '');
}
`;
