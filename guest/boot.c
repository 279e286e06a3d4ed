/* From the kernel's first instruction for user space to a system that commands can run in. */
#define _GNU_SOURCE
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DISK_WAIT_MS = 10000 };

static void write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (write(fd, text, strlen(text)) < 0) fprintf(stderr, "agent: %s: %m\n", path);
  close(fd);
}

static void mount_at(const char *kind, const char *path, unsigned long flags, const char *data) {
  mkdir(path, 0755);
  if (mount(kind, path, kind, flags, data) < 0) fprintf(stderr, "agent: mount %s: %m\n", path);
}

/* What the kernel's command line says for a module: `NAME.` goes away from `NAME.key=value`. */
static void read_parameters(const char *module, char *parameters, size_t size) {
  static char line[4096];
  FILE *file = fopen("/proc/cmdline", "re");
  size_t length = strcspn(module, "."), used = 0;
  parameters[0] = 0;
  if (!file || !fgets(line, sizeof line, file)) line[0] = 0;
  if (file) fclose(file);
  for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
    if (strncmp(word, module, length) != 0 || word[length] != '.') continue;
    int added = snprintf(parameters + used, size - used, "%s ", word + length + 1);
    if (added > 0 && used + (size_t)added < size) used += (size_t)added;
  }
}

/* Inserts the modules that the image lists, in its order. */
static void insert_modules(void) {
  FILE *list = fopen("/modules/list", "re");
  char name[256], path[300], parameters[2048];
  while (list && fgets(name, sizeof name, list)) {
    name[strcspn(name, "\n")] = 0;
    snprintf(path, sizeof path, "/modules/%s", name);
    read_parameters(name, parameters, sizeof parameters);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0) < 0)
      fprintf(stderr, "agent: module %s: %m\n", name);
    if (fd >= 0) close(fd);
  }
  if (list) fclose(list);
}

static void enter_disk(void) {
  mkdir("/root", 0755);
  for (int waited = 0; mount("/dev/vda", "/root", "ext4", MS_NOATIME, "") < 0; waited += 5) {
    if (waited > DISK_WAIT_MS) {
      fprintf(stderr, "agent: no disk: %m\n");
      exit(1);
    }
    struct timespec pause = {0, 5000000};
    nanosleep(&pause, NULL);
  }
  umount2("/proc", MNT_DETACH);
  umount2("/dev", MNT_DETACH);
  if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
      chdir("/") < 0) {
    fprintf(stderr, "agent: cannot enter the disk: %m\n");
    exit(1);
  }
}

static void bring_up(const char *name) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {0};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) < 0)
    fprintf(stderr, "agent: %s: %m\n", name);
  if (fd >= 0) close(fd);
}

static struct sockaddr address(const char *text) {
  struct sockaddr_in in = {.sin_family = AF_INET};
  inet_pton(AF_INET, text, &in.sin_addr);
  struct sockaddr out;
  memcpy(&out, &in, sizeof out);
  return out;
}

/* The addresses of QEMU's user networking, where the machine has a network card at all. */
void configure_network(void) {
  if (access("/sys/class/net/eth0", F_OK) < 0) return;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  struct ifreq request = {0};
  strcpy(request.ifr_name, "eth0");
  request.ifr_addr = address("10.0.2.15");
  ioctl(fd, SIOCSIFADDR, &request);
  request.ifr_netmask = address("255.255.255.0");
  ioctl(fd, SIOCSIFNETMASK, &request);
  bring_up("eth0");
  struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
  route.rt_dst = address("0.0.0.0");
  route.rt_genmask = address("0.0.0.0");
  route.rt_gateway = address("10.0.2.2");
  if (ioctl(fd, SIOCADDRT, &route) < 0 && errno != EEXIST) perror("agent: route");
  close(fd);
  int resolver = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (resolver >= 0 && write(resolver, "nameserver 10.0.2.3\n", 20) < 0) perror("agent: resolver");
  if (resolver >= 0) close(resolver);
}

/* Commands live in a branch of the tree of control groups: they are counted, bounded and killed
 * there, whatever they fork and whoever their parents are. */
static void make_groups(void) {
  mount_at("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  write_text("/sys/fs/cgroup/cgroup.subtree_control", "+pids +cpu");
  mkdir(WORK_GROUP, 0755);
  write_text(WORK_GROUP "/cgroup.subtree_control", "+pids");
}

void boot(void) {
  umask(022);
  mount_at("devtmpfs", "/dev", MS_NOSUID, NULL);
  mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  insert_modules();
  enter_disk();
  mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_at("devtmpfs", "/dev", MS_NOSUID, NULL);
  mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
  mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "size=50%");
  mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755,size=20%");
  (void)!symlink("/proc/self/fd", "/dev/fd");
  (void)!symlink("/proc/self/fd/0", "/dev/stdin");
  (void)!symlink("/proc/self/fd/1", "/dev/stdout");
  (void)!symlink("/proc/self/fd/2", "/dev/stderr");
  make_groups();
  bring_up("lo");
  configure_network();
  write_text("/proc/self/oom_score_adj", "-1000");
  struct rlimit files = {65536, 65536};
  setrlimit(RLIMIT_NOFILE, &files);
}
