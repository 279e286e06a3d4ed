/** The words themselves. */
export const FRAMES = String.raw`# Frames

sub send_frame {
  my ($letter, $rest) = @_;
  return if $is_alone;
  my $frame = $letter . pack('N', length $rest) . $rest;
  my $at = 0;
  while ($at < length $frame) {
    my $written = syswrite(STDOUT, $frame, length($frame) - $at, $at);
    if (defined $written) { $at += $written }
    elsif (!$!{EINTR}) { return abandon() }
  }
}

sub send_list { my ($letter, @parts) = @_; send_frame($letter, pack('(N/a*)*', @parts)) }
sub list_of { return unpack('(N/a*)*', $_[0]) }
sub fail { my ($reason, $message) = @_; send_list('F', $reason, $message) }

sub next_frame {
  while (1) {
    my @frame = take_frame();
    return @frame if @frame;
    my $read = sysread(STDIN, $received, $PIECE, length $received);
    return () if defined $read && $read == 0;
    return () if !defined $read && !$!{EINTR};
  }
}

sub take_frame {
  return () if length $received < 5;
  my ($letter, $length) = unpack('aN', $received);
  return () if length $received < 5 + $length;
  my $rest = substr($received, 5, $length);
  substr($received, 0, 5 + $length, '');
  return ($letter, $rest);
}

# The other end is gone: whatever runs on its behalf goes too, unless it is a job.
sub abandon {
  if ($keeps_job) { $is_alone = 1; return }
  kill_descendants();
  settle_note() if $noted;
  exit 0;
}
`;
