# For `.ci/run`: makes a Debian machine able to run every suite. Sourced, not run.

# program:package. Some of them are on nobody's path but the root's.
PROGRAMS=(
  sqlite3:sqlite3 perl:perl-base git:git ps:procps
  setsid:util-linux unshare:util-linux nsenter:util-linux setpriv:util-linux ip:iproute2
  bwrap:bubblewrap
  dockerd:docker.io docker:docker.io debootstrap:debootstrap
  qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils mke2fs:e2fsprogs gcc:gcc xz:xz-utils
)

# What images are made of from this machine's own files, and what has no program to look for.
PACKAGES=(
  base-files bash ca-certificates coreutils dash diffutils findutils git grep gzip hostname libc-bin
  mawk ncurses-base netbase perl-base procps sed tar util-linux libc6-dev
)

DOCKER_SOCKET=/var/run/docker.sock
DOCKER_WAIT_SECONDS=60
DOCKER_END_WAIT_SECONDS=30

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo --non-interactive "$@"; fi
}

install_missing() {
  local missing=() entry package
  for entry in "${PROGRAMS[@]}"; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
  done
  for package in "${PACKAGES[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      missing+=("$package")
  done
  if ! grep -q ' cgroup2\? ' /proc/self/mounts; then missing+=(cgroupfs-mount); fi

  # The images of machines are made by these lists, so they are wanted in any case.
  if [ "${#missing[@]}" -gt 0 ] || ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
    as_root apt-get update --quiet
  fi
  if [ "${#missing[@]}" -gt 0 ]; then
    # Nothing that is installed is to start by itself: what tests need is started below.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
      apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
  fi
  if ! grep -q ' cgroup2\? ' /proc/self/mounts; then as_root cgroupfs-mount; fi
}

docker_answers() {
  timeout 10 docker --host "unix://$DOCKER_SOCKET" version >/dev/null 2>&1
}

# Starts Docker Engine where none answers. `stop_docker` ends that one and no other.
start_docker() {
  if docker_answers; then return; fi
  docker_folder=$(mktemp -d)
  local log="$docker_folder/dockerd.log" waited=0
  (
    trap '' INT
    PATH="$PATH:/usr/sbin:/sbin" as_root dockerd --host "unix://$DOCKER_SOCKET" \
      --group "$(id -gn)" --pidfile "$docker_folder/dockerd.pid" >"$log" 2>&1
    echo "$?" >"$docker_folder/ended"
  ) &
  until docker_answers; do
    if [ -e "$docker_folder/ended" ] || [ "$waited" -ge "$DOCKER_WAIT_SECONDS" ]; then
      echo "Docker Engine does not answer after $waited s; the end of its log:" >&2
      tail -n 40 "$log" >&2
      return 1
    fi
    sleep 1
    waited=$((waited + 1))
  done
  echo "started Docker Engine; its log is $log"
}

stop_docker() {
  if [ -z "${docker_folder:-}" ]; then return; fi
  local pid waited=0
  pid=$(cat "$docker_folder/dockerd.pid" 2>/dev/null || true)
  if [ -n "$pid" ]; then as_root kill "$pid" 2>/dev/null || true; fi
  until [ -e "$docker_folder/ended" ] || [ "$waited" -ge "$DOCKER_END_WAIT_SECONDS" ]; do
    sleep 1
    waited=$((waited + 1))
  done
  if [ ! -e "$docker_folder/ended" ] && [ -n "$pid" ]; then as_root kill -KILL "$pid" || true; fi
  rm -rf "$docker_folder"
  docker_folder=""
}
