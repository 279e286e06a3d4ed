/**
 * Who ends a command removes its groups, so one whose group is gone was ended before it began: it
 * ends as if it had been killed. Nothing is started outside of a group that can't be joined.
 */
const SCRIPT = `for group in $1; do
  { echo 0 > "$group"; } 2> /dev/null && continue
  [ -e "$group" ] || kill -KILL $$
  echo "cannot join the control group $group" >&2
  exit 126
done
shift
exec "$@"`;

/** What a command line begins with that is to run in control groups, by their files of processes. */
export function joinGroups(groups: readonly string[]): readonly [string, ...string[]] {
  return ["/bin/sh", "-c", SCRIPT, "enter", groups.join(" ")];
}
