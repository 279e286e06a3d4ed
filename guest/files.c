/* Files of the workspace, in pieces. Paths come absolute; none leads out, links included. */
#define _GNU_SOURCE
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WRITES_MAX = 64, ENTRIES_MAX = 100000 };

struct writing {
  struct port *port;
  uint32_t channel;
  int fd;
  int is_failed;
  uint64_t total;
};

static struct writing writings[WRITES_MAX];

static const char *const roots[] = {REPOSITORY, BESIDE};

/* The root that a path is in; NULL where it is in none. */
static const char *root_of(const char *path) {
  for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
    size_t length = strlen(roots[i]);
    if (strncmp(path, roots[i], length) == 0 && (path[length] == '/' || path[length] == 0))
      return roots[i];
  }
  return NULL;
}

static int is_inside(const char *path) { return root_of(path) != NULL; }

static int is_outside(struct request *request) {
  send_error(request->port, request->channel, "outside", "leads out of the workspace");
  return 0;
}

int resolve_folder(const char *path, char *real) {
  struct stat found;
  if (!realpath(path, real) || stat(real, &found) < 0) return 0;
  errno = S_ISDIR(found.st_mode) ? EXDEV : ENOTDIR;
  return S_ISDIR(found.st_mode) && is_inside(real);
}

/* Opening must neither follow a last link nor wait for the other end of a pipe. */
static int open_plain(struct request *request, const char *path, int flags, mode_t mode) {
  struct stat found;
  int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode);
  if (fd < 0 && errno == ELOOP) return is_outside(request) - 1;
  int is_plain = fd >= 0 && fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
  if (is_plain) return fd;
  if (fd >= 0 || errno == EISDIR || errno == ENOTDIR || errno == ENXIO)
    send_error(request->port, request->channel, "not-a-file", "is not a regular file");
  else if (errno == ENOENT)
    send_error(request->port, request->channel, "missing", strerror(errno));
  else
    send_errno(request->port, request->channel);
  if (fd >= 0) close(fd);
  return -1;
}

static void send_content(struct request *request, int fd, uint64_t offset, uint64_t left) {
  static uint8_t piece[FRAME_BYTES_MAX];
  ssize_t got = 0;
  while (left > 0) {
    got = pread(fd, piece, left < sizeof piece ? left : sizeof piece, (off_t)offset);
    if (got <= 0) break;
    send_frame(request->port, request->channel, 'B', piece, (size_t)got);
    flush_port(request->port);
    offset += (uint64_t)got;
    left -= (uint64_t)got;
  }
  if (got < 0) return send_errno(request->port, request->channel);
  struct stat found;
  send_done(request->port, request->channel, fstat(fd, &found) == 0 ? (uint64_t)found.st_size : 0);
}

/* Offset, how much of it, the largest size that the whole may have, path. Ends with the size. */
void read_file(struct request *request) {
  uint64_t offset = read_u64(request), length = read_u64(request), largest = read_u64(request);
  const char *path = read_string(request);
  char real[PATH_MAX];
  if (!realpath(path, real)) {
    const char *reason = errno == ENOENT ? "missing" : errno == ENOTDIR ? "not-a-file" : NULL;
    if (!reason) return send_errno(request->port, request->channel);
    return send_error(request->port, request->channel, reason, strerror(errno));
  }
  if (!is_inside(real)) {
    is_outside(request);
    return;
  }
  int fd = open_plain(request, real, O_RDONLY, 0);
  if (fd < 0) return;
  struct stat found;
  char message[96];
  fstat(fd, &found);
  snprintf(message, sizeof message, "has %lld bytes, over %llu", (long long)found.st_size,
           (unsigned long long)largest);
  if ((uint64_t)found.st_size > largest)
    send_error(request->port, request->channel, "too-large", message);
  else
    send_content(request, fd, offset, length);
  close(fd);
}

static char kind_of(mode_t mode) {
  return S_ISREG(mode) ? 'f' : S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : 'o';
}

static void add_entry(struct bytes *list, const char *name, const struct stat *found) {
  uint8_t head[21];
  head[0] = (uint8_t)kind_of(found->st_mode);
  put_u32(head + 1, found->st_mode & 07777);
  put_u64(head + 5, (uint64_t)found->st_size);
  put_u64(head + 13, (uint64_t)found->st_mtim.tv_sec * 1000 + found->st_mtim.tv_nsec / 1000000);
  bytes_add(list, head, sizeof head);
  bytes_add(list, name, strlen(name) + 1);
}

static void send_entries(struct request *request, DIR *folder) {
  struct bytes list = {0};
  struct dirent *entry;
  uint64_t count = 0;
  while (count <= ENTRIES_MAX && (entry = readdir(folder))) {
    struct stat found;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (fstatat(dirfd(folder), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) < 0) continue;
    add_entry(&list, entry->d_name, &found);
    count++;
    if (bytes_length(&list) < FRAME_BYTES_MAX) continue;
    send_frame(request->port, request->channel, 'B', list.data, bytes_length(&list));
    bytes_take(&list, bytes_length(&list));
  }
  send_frame(request->port, request->channel, 'B', list.data, bytes_length(&list));
  bytes_clear(&list);
  if (count <= ENTRIES_MAX) send_done(request->port, request->channel, count);
  else send_error(request->port, request->channel, "too-large", "holds too many entries");
}

/* Path. One level: kind, mode, size, when it was changed (ms since 1970), name, of each. */
void list_folder(struct request *request) {
  const char *path = read_string(request);
  char real[PATH_MAX];
  if (!resolve_folder(path, real)) {
    if (errno == EXDEV) is_outside(request);
    else if (errno == ENOENT)
      send_error(request->port, request->channel, "missing", strerror(errno));
    else if (errno == ENOTDIR)
      send_error(request->port, request->channel, "not-a-folder", strerror(errno));
    else send_errno(request->port, request->channel);
    return;
  }
  DIR *folder = opendir(real);
  if (!folder) return send_errno(request->port, request->channel);
  send_entries(request, folder);
  closedir(folder);
}

/* Makes the folders that are missing; what exists of the path must be inside already. */
static int make_folders(char *path) {
  char real[PATH_MAX];
  const char *root = root_of(path);
  if (!root) {
    errno = EXDEV;
    return 0;
  }
  for (char *at = path + 1;; at++) {
    if (*at != '/' && *at != 0) continue;
    char kept = *at;
    *at = 0;
    int is_there = realpath(path, real) != NULL;
    if (!is_there && errno == ENOENT && mkdir(path, 0777) == 0) is_there = realpath(path, real) != NULL;
    *at = kept;
    if (!is_there) return 0;
    /* The way to the workspace itself is made of folders above it. */
    if (!is_inside(real) && (size_t)(at - path) >= strlen(root)) {
      errno = EXDEV;
      return 0;
    }
    if (kept == 0) return 1;
  }
}

/* Where a write ends up once all links are followed. */
static int find_target(const char *path, char *target) {
  char folder[PATH_MAX], real[PATH_MAX];
  if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder) {
    errno = ENAMETOOLONG;
    return 0;
  }
  char *name = strrchr(folder, '/');
  if (!name || !is_inside(path) || strcmp(path, root_of(path)) == 0) {
    errno = EXDEV;
    return 0;
  }
  *name++ = 0;
  if (!make_folders(folder)) return 0;
  if (!realpath(folder, real)) return 0;
  if (snprintf(target, PATH_MAX, "%s/%s", real, name) >= PATH_MAX) {
    errno = ENAMETOOLONG;
    return 0;
  }
  if (!realpath(target, real)) return errno == ENOENT;
  memcpy(target, real, sizeof real);
  errno = EXDEV;
  return is_inside(real);
}

static struct writing *find_writing(struct port *port, uint32_t channel) {
  for (int i = 0; i < WRITES_MAX; i++)
    if (writings[i].port == port && (!port || writings[i].channel == channel)) return &writings[i];
  return NULL;
}

/* Mode, whether it is appended to, path. The content follows as input. */
void begin_write(struct request *request) {
  uint32_t mode = read_u32(request), is_appended = read_u32(request);
  const char *path = read_string(request);
  char target[PATH_MAX];
  struct writing *writing = find_writing(NULL, 0);
  if (!writing) return send_error(request->port, request->channel, "EBUSY", "too many at once");
  if (!find_target(path, target)) {
    if (errno == EXDEV || errno == ELOOP) is_outside(request);
    else if (errno == ENOTDIR)
      send_error(request->port, request->channel, "not-a-file", strerror(errno));
    else send_errno(request->port, request->channel);
    return;
  }
  int fd = open_plain(request, target, O_WRONLY | O_CREAT | (is_appended ? O_APPEND : 0), mode);
  if (fd < 0) return;
  if (!is_appended && ftruncate(fd, 0) < 0) {
    send_errno(request->port, request->channel);
    close(fd);
    return;
  }
  *writing = (struct writing){.port = request->port, .channel = request->channel, .fd = fd};
}

/* 0 where the channel writes no file. */
int write_piece(struct request *request, int is_end) {
  struct writing *writing = find_writing(request->port, request->channel);
  if (!writing) return 0;
  size_t length = (size_t)(request->end - request->at);
  uint8_t credit[4];
  put_u32(credit, (uint32_t)length);
  while (length > 0 && !writing->is_failed) {
    ssize_t wrote = write(writing->fd, request->at, length);
    if (wrote < 0) {
      send_errno(request->port, request->channel);
      writing->is_failed = 1;
      break;
    }
    request->at += wrote;
    length -= (size_t)wrote;
    writing->total += (uint64_t)wrote;
  }
  if (!is_end) {
    send_frame(request->port, request->channel, 'C', credit, sizeof credit);
    return 1;
  }
  if (!writing->is_failed) send_done(request->port, request->channel, writing->total);
  close(writing->fd);
  writing->port = NULL;
  return 1;
}

void forget_writes_of(struct port *port) {
  for (int i = 0; i < WRITES_MAX; i++) {
    if (writings[i].port != port) continue;
    close(writings[i].fd);
    writings[i].port = NULL;
  }
}
