import { outsideUser } from "./outside-user.ts";

/** One thing that is done before bubblewrap starts. Folders above a place must be there. */
export type StageStep =
  | readonly [act: "folder", path: string]
  | readonly [act: "write", text: string, path: string]
  /** Nothing where there is no such file any more. */
  | readonly [act: "copy", from: string, path: string]
  | readonly [act: "link", to: string, path: string]
  | readonly [act: "mount", from: string, path: string, type: string, flags: number, data: string];

/** Of `mount(2)`; the same on all processors. */
const MOUNT = {
  readOnly: 1,
  noSetUser: 2,
  noDevices: 4,
  noPrograms: 8,
  remount: 32,
  bind: 4096,
  recursive: 16_384,
} as const;

/** Shows a file or folder at a place that is there, without what is mounted below it. */
export function bind(from: string, path: string): StageStep {
  return ["mount", from, path, "none", MOUNT.bind, ""];
}

/** The same with all that is mounted below it. */
export function bindAll(from: string, path: string): StageStep {
  return ["mount", from, path, "none", MOUNT.bind + MOUNT.recursive, ""];
}

/** A new and empty file system in memory. */
export function memory(path: string, options: string): StageStep {
  return ["mount", "tmpfs", path, "tmpfs", MOUNT.noSetUser + MOUNT.noDevices, options];
}

export function overlay(path: string, options: string): StageStep {
  return ["mount", "overlay", path, "overlay", 0, options];
}

/** Terminals of nobody else. */
export function terminals(path: string): StageStep {
  const flags = MOUNT.noSetUser + MOUNT.noPrograms;
  return ["mount", "devpts", path, "devpts", flags, "newinstance,ptmxmode=0666,mode=620"];
}

/** Lets nobody write any more to what `memory` made. */
export function seal(path: string): StageStep {
  const flags = MOUNT.remount + MOUNT.bind + MOUNT.readOnly + MOUNT.noSetUser + MOUNT.noPrograms;
  return ["mount", "none", path, "none", flags, ""];
}

/** Numbers of `mount`, `unshare`, `setgroups`, `setresgid` and `setresuid`. */
const SYSTEM_CALLS: Readonly<Record<string, readonly number[]>> = {
  x64: [165, 272, 116, 119, 117],
  arm64: [40, 97, 159, 149, 147],
  riscv64: [40, 97, 159, 149, 147],
  ppc64: [21, 282, 81, 169, 164],
  s390x: [21, 303, 206, 210, 208],
};

/** Whether the program knows this processor. */
export function canStage(): boolean {
  return SYSTEM_CALLS[process.arch] !== undefined;
}

/**
 * One program instead of `unshare`, a shell, `mount` and `setpriv`, because each of them costs a
 * millisecond or two at every start. Perl is there wherever git is, and can call the kernel.
 *
 * Makes a mount namespace of its own (and, without root, a user namespace to be allowed to), does the
 * steps, and becomes the sandbox's user and then the command. Descriptor 3 is the standard output,
 * which the command has for its own words.
 */
const PROGRAM = `
my ($mount, $unshare, $setgroups, $setresgid, $setresuid, $uid, $gid) = map { $_ + 0 } splice @ARGV, 0, 7;
my ($isRoot, $ownUser, $ownGroup) = ($> == 0, $> + 0, $) + 0);
my $mask = umask 022;
syscall($unshare, $isRoot ? 0x20000 : 0x10020000) == 0 or die "cannot make namespaces: $!\\n";
unless ($isRoot) {
  for (["setgroups", "deny"], ["uid_map", "0 $ownUser 1"], ["gid_map", "0 $ownGroup 1"]) {
    my ($file, $text) = @$_;
    open(my $map, ">", "/proc/self/$file") or die "$file: $!\\n";
    defined syswrite($map, $text) or die "$file: $!\\n";
  }
}
sub mountAt {
  my ($from, $path, $type, $flags, $data) = @_;
  syscall($mount, $from, $path, $type, $flags + 0, $data) == 0 or die "cannot mount $path: $!\\n";
}
sub fill {
  my ($text, $path) = @_;
  open(my $file, ">", $path) or die "$path: $!\\n";
  print($file $text) && close($file) or die "$path: $!\\n";
}
mountAt("none", "/", "none", 0x44000, "");
my %acts = (
  folder => [1, sub { mkdir $_[0] or -d $_[0] or die "$_[0]: $!\\n" }],
  write => [2, \\&fill],
  copy => [2, sub { open(my $from, "<", $_[0]) or return; local $/; fill(scalar <$from>, $_[1]) }],
  link => [2, sub { symlink $_[0], $_[1] or die "$_[1]: $!\\n" }],
  mount => [5, \\&mountAt],
);
while (defined(my $act = shift @ARGV)) {
  last if $act eq "--";
  my ($count, $do) = @{$acts{$act} or die "$act is no step\\n"};
  $do->(splice @ARGV, 0, $count);
}
chdir "/" or die "/: $!\\n";
umask $mask;
$^F = 3;
open(my $words, ">&", STDOUT) or die "descriptor 3: $!\\n";
fileno($words) == 3 or die "descriptor 3 is taken\\n";
if ($isRoot) {
  syscall($setgroups, 0, 0) == 0 && syscall($setresgid, $gid, $gid, $gid) == 0
    && syscall($setresuid, $uid, $uid, $uid) == 0 or die "cannot become user $uid: $!\\n";
}
exec { $ARGV[0] } @ARGV or die "cannot start $ARGV[0]: $!\\n";
`;

/** The command that does the steps, where nobody else sees it, and then is `command`. */
export function stagedCommand(
  steps: readonly StageStep[],
  command: readonly string[],
): readonly [string, ...string[]] {
  const { uid, gid } = outsideUser();
  const numbers = [...(SYSTEM_CALLS[process.arch] ?? []), uid, gid].map(String);
  return ["perl", "-e", PROGRAM, "--", ...numbers, ...steps.flat().map(String), "--", ...command];
}
