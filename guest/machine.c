/* What a machine is told about itself once it has been forked or started. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)
enum { SEED_BYTES = 64, SECTOR_BYTES = 512, BLOCK_BYTES = 4096, DISK_TRIES = 100 };

/* Never empty in between: a file that was emptied and written anew is put on the disk at its close,
 * which a machine that was just forked would wait for. */
static int write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return 0;
  size_t length = strlen(text);
  struct stat before = {0};
  int is_done = fstat(fd, &before) == 0 && write(fd, text, length) == (ssize_t)length;
  if (before.st_size > (off_t)length) is_done = is_done && ftruncate(fd, (off_t)length) == 0;
  return close(fd) == 0 && is_done;
}

static int write_limit(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  int is_done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  return close(fd) == 0 && is_done;
}

/* Limits that it has already, as a fork has its source's, are not set again. */
static int limit_work(uint32_t pids, uint32_t quota_us) {
  static uint32_t pids_now, quota_now;
  static int is_known;
  char text[64];
  if (is_known && pids == pids_now && quota_us == quota_now) return 1;
  snprintf(text, sizeof text, "%u", pids);
  if (!write_limit(WORK_GROUP "/pids.max", text)) return 0;
  snprintf(text, sizeof text, quota_us ? "%u 100000" : "max 100000", quota_us);
  if (!write_limit(WORK_GROUP "/cpu.max", text)) return 0;
  pids_now = pids, quota_now = quota_us, is_known = 1;
  return 1;
}

static void reseed(const uint8_t *seed, size_t length) {
  struct {
    int entropy_bits, bytes;
    uint8_t data[SEED_BYTES];
  } pool = {.entropy_bits = (int)length * 8, .bytes = (int)length};
  memcpy(pool.data, seed, length);
  int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  ioctl(fd, RNDADDENTROPY, &pool);
  ioctl(fd, RNDRESEEDCRNG);
  close(fd);
}

/* Time (ns since 1970), most processes, share of the cores (us in 100 ms; 0 for all), host name,
 * machine id, random bytes. */
void personalize(struct request *request) {
  uint64_t time_ns = read_u64(request);
  uint32_t pids = read_u32(request), quota_us = read_u32(request);
  const char *name = read_string(request), *id = read_string(request);
  char text[320];
  size_t length = (size_t)(request->end - request->at);
  struct timespec now = {(time_t)(time_ns / 1000000000), (long)(time_ns % 1000000000)};
  if (clock_settime(CLOCK_REALTIME, &now) < 0) return send_errno(request->port, request->channel);
  reseed(request->at, length < SEED_BYTES ? length : SEED_BYTES);
  if (sethostname(name, strlen(name)) < 0) return send_errno(request->port, request->channel);
  int is_done = write_file("/etc/hostname", name);
  snprintf(text, sizeof text, "127.0.0.1 localhost %.255s\n::1 localhost\n", name);
  is_done = is_done && write_file("/etc/hosts", text);
  snprintf(text, sizeof text, "%.32s\n", id);
  is_done = is_done && write_file("/etc/machine-id", text);
  is_done = is_done && limit_work(pids, quota_us);
  if (!is_done) return send_errno(request->port, request->channel);
  send_done(request->port, request->channel, 0);
}

/* The file system takes all of the disk that there is. */
void grow_disk(struct request *request) {
  FILE *size = fopen("/sys/block/vda/size", "re");
  unsigned long long sectors = 0;
  if (size && fscanf(size, "%llu", &sectors) != 1) sectors = 0;
  if (size) fclose(size);
  uint64_t blocks = sectors * SECTOR_BYTES / BLOCK_BYTES;
  int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int is_done = root >= 0 && blocks > 0 && ioctl(root, EXT4_IOC_RESIZE_FS, &blocks) == 0;
  if (is_done) send_done(request->port, request->channel, blocks * BLOCK_BYTES);
  else send_errno(request->port, request->channel);
  if (root >= 0) close(root);
}

/* Everything that was written is on the disk; with `is_final`, nothing runs or is written after. */
void settle_disk(struct request *request) {
  uint32_t is_final = read_u32(request);
  if (is_final) {
    end_all_tasks();
    for (int i = 0; i < DISK_TRIES && end_all_tasks() > 0; i++) {
      struct timespec pause = {0, 5000000};
      nanosleep(&pause, NULL);
      reap_tasks();
    }
  }
  sync();
  if (is_final) mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
  send_done(request->port, request->channel, 0);
}
