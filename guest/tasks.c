/* Commands. Each has a control group of its own, so that all of its tree is found and ended.
 *
 * An attached command streams to the port that asked for it and ends with its conversation. A job
 * writes to files in a folder of its own, and goes on alone. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HAS_INPUT = 1, IS_JOB = 2 };
/* From SIGTERM to SIGKILL for what a command leaves running when it ends by itself. */
enum { LEFTOVER_GRACE_MS = 200, JOB_GRACE_MS = 2000, KILL_AGAIN_MS = 50 };
enum { PIPE_BYTES = 256 << 10 };

enum state { FREE, RUNNING, ENDING };

struct task {
  enum state state;
  struct port *port;
  uint32_t channel;
  uint32_t serial;
  pid_t pid;
  int status;
  int is_reaped;
  int fds[3];
  int is_paused[3];
  int is_input_over;
  struct bytes input;
  int64_t kill_at;
  int64_t deadline;
  int is_late;
  /* Its folder; NULL for an attached command. */
  char *job;
};

static struct task tasks[TASKS_MAX];
/* None beyond was ever used: what is looked at for each command is kept short. */
static int tasks_end;
static uint32_t last_serial;
/* A group that nobody is in yet, 0 for none, and groups that nobody is in any more. They are made and
 * removed while nobody waits; a machine that was just forked has the one of its source. */
static uint32_t spare;
static uint32_t doomed[TASKS_MAX];
static int doomed_count;

static void group_path(const struct task *task, const char *file, char *path, size_t size) {
  snprintf(path, size, WORK_GROUP "/%u%s", task->serial, file);
}

static void group_write(const struct task *task, const char *file, const char *text) {
  char path[128];
  group_path(task, file, path, sizeof path);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  (void)!write(fd, text, strlen(text));
  close(fd);
}

/* Calls back for every process of the group, and counts them. */
static uint64_t group_each(const struct task *task, void (*act)(pid_t, int), int argument) {
  char path[128];
  group_path(task, "/cgroup.procs", path, sizeof path);
  FILE *list = fopen(path, "re");
  uint64_t count = 0;
  int pid;
  while (list && fscanf(list, "%d", &pid) == 1) {
    count++;
    if (act) act(pid, argument);
  }
  if (list) fclose(list);
  return count;
}

static int group_is_empty(const struct task *task) {
  char path[128], text[64] = "";
  group_path(task, "/cgroup.events", path, sizeof path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 1;
  (void)!read(fd, text, sizeof text - 1);
  close(fd);
  return strstr(text, "populated 0") != NULL;
}

static void send_signal(pid_t pid, int number) {
  if (pid > 1) kill(pid, number);
}

static void close_stream(struct task *task, int stream) {
  if (task->fds[stream] >= 0) close(task->fds[stream]);
  task->fds[stream] = -1;
}

static void release(struct task *task) {
  for (int stream = 0; stream < 3; stream++) close_stream(task, stream);
  bytes_clear(&task->input);
  if (doomed_count < TASKS_MAX) doomed[doomed_count++] = task->serial;
  free(task->job);
  task->job = NULL;
  task->state = FREE;
}

/* Once what there was to say is said. */
void tidy_groups(void) {
  char path[128];
  struct task group = {0};
  while (doomed_count > 0) {
    group.serial = doomed[--doomed_count];
    group_path(&group, "", path, sizeof path);
    rmdir(path);
  }
  for (int i = 0; i < tasks_end; i++)
    if (tasks[i].state == RUNNING) return;
  if (spare) return;
  group.serial = ++last_serial;
  group_path(&group, "", path, sizeof path);
  if (mkdir(path, 0755) == 0) spare = group.serial;
}

static void begin_ending(struct task *task, int64_t grace_ms) {
  if (task->state != RUNNING) return;
  task->state = ENDING;
  task->kill_at = now_ms() + grace_ms;
  if (grace_ms > 0) group_each(task, send_signal, SIGTERM);
}

/* --- starting --- */

struct launch {
  char **arguments, **environment;
  const char *folder;
  int inputs[2], outputs[2], errors[2], failure[2];
};

static void become(struct launch *launch) {
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (score >= 0 && write(score, "0", 1) == 1) close(score);
  if (dup2(launch->inputs[0], 0) >= 0 && dup2(launch->outputs[1], 1) >= 0 &&
      dup2(launch->errors[1], 2) >= 0 && chdir(launch->folder) == 0)
    execvpe(launch->arguments[0], launch->arguments, launch->environment);
  int code = errno;
  (void)!write(launch->failure[1], &code, sizeof code);
  _exit(127);
}

static int pipe_for(int ends[2], int is_wide) {
  if (pipe2(ends, O_CLOEXEC) < 0) return 0;
  if (is_wide) fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
  return 1;
}

static int open_job_file(const char *job, const char *name, int flags) {
  char path[PATH_MAX + 16];
  snprintf(path, sizeof path, "%s/%s", job, name);
  return open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int open_streams(struct launch *launch, const struct task *task, int has_input) {
  int *none = launch->inputs;
  for (int i = 0; i < 8; i++) none[i] = -1;
  if (!pipe_for(launch->failure, 0)) return 0;
  if (has_input && task->job) launch->inputs[0] = open_job_file(task->job, "stdin", O_RDONLY);
  else if (!has_input) launch->inputs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  else if (!pipe_for(launch->inputs, 0)) return 0;
  if (task->job) {
    launch->outputs[1] = open_job_file(task->job, "stdout", O_WRONLY | O_CREAT | O_APPEND);
    launch->errors[1] = open_job_file(task->job, "stderr", O_WRONLY | O_CREAT | O_APPEND);
    return launch->outputs[1] >= 0 && launch->errors[1] >= 0;
  }
  return pipe_for(launch->outputs, 1) && pipe_for(launch->errors, 0);
}

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* A child that is born in its group: moving it there later would cost a grace period. */
static pid_t fork_into_group(struct task *task) {
  char path[128];
  int is_made = spare != 0;
  task->serial = is_made ? spare : ++last_serial;
  spare = 0;
  group_path(task, "", path, sizeof path);
  if (!is_made && mkdir(path, 0755) < 0) return -1;
  int group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  /* Whoever is root here may have taken the spare one away. */
  if (group < 0 && is_made && mkdir(path, 0755) == 0)
    group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (group < 0) return -1;
  struct clone_args how = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)group};
  pid_t pid = (pid_t)syscall(SYS_clone3, &how, sizeof how);
  int code = errno;
  close(group);
  errno = code;
  return pid;
}

/* What exec failed of; 0 where it did not. */
static int await_exec(struct launch *launch) {
  int code = 0;
  close_fd(&launch->failure[1]);
  ssize_t got;
  while ((got = read(launch->failure[0], &code, sizeof code)) < 0 && errno == EINTR) continue;
  close_fd(&launch->failure[0]);
  return got == sizeof code ? code : 0;
}

static void adopt_stream(struct task *task, int stream, int *fd, uint32_t events, uint32_t what) {
  if (*fd < 0) return;
  fcntl(*fd, F_SETFL, O_NONBLOCK);
  task->fds[stream] = *fd;
  *fd = -1;
  if (events) watch(task->fds[stream], events, what, (uint32_t)(task - tasks));
}

/* 0, or the error that kept the command from starting. */
static int launch_task(struct task *task, struct launch *launch, int has_input) {
  int failure = 0;
  if (!open_streams(launch, task, has_input)) failure = errno;
  if (!failure) {
    task->pid = fork_into_group(task);
    if (task->pid == 0) become(launch);
    if (task->pid < 0) failure = errno;
  }
  close_fd(&launch->inputs[0]);
  close_fd(&launch->outputs[1]);
  close_fd(&launch->errors[1]);
  if (!failure && (failure = await_exec(launch)) != 0) waitpid(task->pid, NULL, 0);
  if (!failure) {
    adopt_stream(task, 0, &launch->inputs[1], 0, WATCH_STDIN);
    adopt_stream(task, 1, &launch->outputs[0], EPOLLIN, WATCH_STDOUT);
    adopt_stream(task, 2, &launch->errors[0], EPOLLIN, WATCH_STDERR);
  }
  int *fds = launch->inputs;
  for (int i = 0; i < 8; i++) close_fd(&fds[i]);
  return failure;
}

static void read_strings(struct request *request, uint32_t count, char **strings) {
  for (uint32_t i = 0; i < count; i++) strings[i] = (char *)read_string(request);
  strings[count] = NULL;
}

static struct task *free_task(void) {
  for (int i = 0; i < TASKS_MAX; i++) {
    if (tasks[i].state != FREE) continue;
    if (i >= tasks_end) tasks_end = i + 1;
    return &tasks[i];
  }
  return NULL;
}

static void refuse(struct request *request, const char *what, const char *why) {
  char message[512];
  int length = snprintf(message, sizeof message, "cannot start %.200s: %s", what, why);
  send_frame(request->port, request->channel, 'U', message, (size_t)length);
}

/* Flags, timeout (jobs only; ms), counts, folder, job's folder, arguments, NAME=value. */
void start_task(struct request *request) {
  uint32_t flags = read_u32(request), timeout = read_u32(request);
  uint32_t argc = read_u32(request), envc = read_u32(request);
  const char *folder = read_string(request), *job = read_string(request);
  char real[PATH_MAX];
  struct task *task = free_task();
  if (argc < 1 || argc + (uint64_t)envc > REQUEST_BYTES_MAX) return refuse(request, "it", "nonsense");
  if (!task) return refuse(request, "it", "too many commands run already");
  if (!resolve_folder(folder, real)) return refuse(request, "it", strerror(errno));
  char **strings = calloc(argc + envc + 2, sizeof *strings);
  if (!strings) return refuse(request, "it", strerror(errno));
  read_strings(request, argc, strings);
  read_strings(request, envc, strings + argc + 1);
  *task = (struct task){.state = RUNNING, .port = request->port, .channel = request->channel};
  for (int stream = 0; stream < 3; stream++) task->fds[stream] = -1;
  if (flags & IS_JOB) {
    task->job = strdup(job);
    task->port = NULL;
    task->deadline = now_ms() + timeout;
  }
  for (char **variable = strings + argc + 1; *variable; variable++)
    if (strncmp(*variable, "PATH=", 5) == 0) setenv("PATH", *variable + 5, 1);
  struct launch launch = {.arguments = strings, .environment = strings + argc + 1, .folder = real};
  int failure = launch_task(task, &launch, flags & HAS_INPUT);
  if (failure) refuse(request, strings[0], strerror(failure));
  else send_done(request->port, request->channel, task->serial);
  if (failure) release(task);
  free(strings);
}

/* --- streams --- */

static struct task *find_task(struct request *request) {
  for (int i = 0; i < tasks_end; i++) {
    struct task *task = &tasks[i];
    if (task->state != FREE && task->port == request->port && task->channel == request->channel)
      return task;
  }
  return NULL;
}

static void send_ending(struct task *task) {
  uint8_t payload[5];
  int is_signal = WIFSIGNALED(task->status);
  payload[0] = (uint8_t)is_signal;
  put_u32(payload + 1, (uint32_t)(is_signal ? WTERMSIG(task->status) : WEXITSTATUS(task->status)));
  send_frame(task->port, task->channel, 'X', payload, sizeof payload);
}

static void write_ending(struct task *task) {
  char from[PATH_MAX + 16], to[PATH_MAX + 16], text[64];
  int is_signal = WIFSIGNALED(task->status);
  snprintf(text, sizeof text, "%s %d\n",
           task->is_late ? "timed-out" : is_signal ? "signalled" : "exited",
           is_signal ? WTERMSIG(task->status) : WEXITSTATUS(task->status));
  snprintf(from, sizeof from, "%s/ending.new", task->job);
  snprintf(to, sizeof to, "%s/ending", task->job);
  int fd = open(from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  (void)!write(fd, text, strlen(text));
  close(fd);
  rename(from, to);
}

/* Tells the end once the tree is gone and its output is out. */
static void finish_if_over(struct task *task) {
  if (task->state != ENDING || !task->is_reaped || !group_is_empty(task)) return;
  if (task->fds[1] >= 0 || task->fds[2] >= 0) return;
  if (task->job) write_ending(task);
  else send_ending(task);
  release(task);
}

void task_readable(uint32_t index, int is_error) {
  static uint8_t piece[FRAME_BYTES_MAX];
  struct task *task = &tasks[index];
  int stream = is_error ? 2 : 1;
  if (task->state == FREE || task->fds[stream] < 0) return;
  if (task->port && bytes_length(&task->port->out) > BACKLOG_BYTES_MAX) {
    task->is_paused[stream] = 1;
    rewatch(task->fds[stream], 0, is_error ? WATCH_STDERR : WATCH_STDOUT, index);
    return;
  }
  ssize_t got = read(task->fds[stream], piece, sizeof piece);
  if (got > 0) {
    send_frame(task->port, task->channel, is_error ? '2' : '1', piece, (size_t)got);
    if (task->port) flush_port(task->port);
  } else if (got == 0 || errno != EAGAIN) {
    close_stream(task, stream);
    finish_if_over(task);
  } else if (task->state == ENDING && task->is_reaped && group_is_empty(task)) {
    /* Somebody outside of the tree holds the other end. */
    close_stream(task, stream);
    finish_if_over(task);
  }
}

void resume_tasks(struct port *port) {
  for (uint32_t i = 0; i < (uint32_t)tasks_end; i++) {
    for (int stream = 1; stream < 3; stream++) {
      struct task *task = &tasks[i];
      if (task->state == FREE || task->port != port || !task->is_paused[stream]) continue;
      task->is_paused[stream] = 0;
      if (task->fds[stream] >= 0)
        rewatch(task->fds[stream], EPOLLIN, stream == 2 ? WATCH_STDERR : WATCH_STDOUT, i);
    }
  }
}

void task_writable(uint32_t index) {
  struct task *task = &tasks[index];
  if (task->state == FREE || task->fds[0] < 0) return;
  size_t length = bytes_length(&task->input);
  ssize_t wrote = 0;
  if (length > 0) wrote = write(task->fds[0], task->input.data + task->input.start, length);
  if (wrote < 0 && errno != EAGAIN) {
    close_stream(task, 0);
    wrote = (ssize_t)length;
  }
  if (wrote > 0) {
    uint8_t credit[4];
    put_u32(credit, (uint32_t)wrote);
    bytes_take(&task->input, (size_t)wrote);
    send_frame(task->port, task->channel, 'C', credit, sizeof credit);
  }
  int is_empty = bytes_length(&task->input) == 0;
  if (is_empty && task->is_input_over) close_stream(task, 0);
  if (task->fds[0] >= 0) rewatch(task->fds[0], is_empty ? 0 : EPOLLOUT, WATCH_STDIN, index);
}

void give_input(struct request *request, int is_end) {
  struct task *task = find_task(request);
  if (!task || task->is_input_over) return;
  size_t length = (size_t)(request->end - request->at);
  if (task->fds[0] < 0) {
    uint8_t credit[4];
    put_u32(credit, (uint32_t)length);
    send_frame(request->port, request->channel, 'C', credit, sizeof credit);
    return;
  }
  if (task->port && bytes_length(&task->input) + length > INPUT_BYTES_MAX) return;
  bytes_add(&task->input, request->at, length);
  task->is_input_over = is_end;
  task_writable((uint32_t)(task - tasks));
}

/* --- endings --- */

void kill_task(struct request *request) {
  struct task *task = find_task(request);
  uint32_t grace_ms = read_u32(request);
  if (task) begin_ending(task, grace_ms);
  reap_tasks();
}

static struct task *find_job(const char *job) {
  for (int i = 0; i < tasks_end; i++)
    if (tasks[i].state != FREE && tasks[i].job && strcmp(tasks[i].job, job) == 0) return &tasks[i];
  return NULL;
}

/* Number of the signal, the job's folder. Ends with how many processes got it. */
void signal_job(struct request *request) {
  uint32_t number = read_u32(request);
  struct task *task = find_job(read_string(request));
  if (task && number == SIGKILL) {
    begin_ending(task, 0);
    task->kill_at = 0;
  }
  uint64_t count = task ? group_each(task, send_signal, (int)number) : 0;
  send_done(request->port, request->channel, count);
  reap_tasks();
}

/* The job's folder. Ends with 0 while it runs; otherwise says what was written about its end. */
void tell_job(struct request *request) {
  const char *job = read_string(request);
  char text[64];
  struct stat found;
  if (find_job(job)) return send_done(request->port, request->channel, 0);
  if (lstat(job, &found) < 0)
    return send_error(request->port, request->channel, "missing", strerror(errno));
  int fd = open_job_file(job, "ending", O_RDONLY);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text);
  if (fd >= 0) close(fd);
  if (length > 0) send_frame(request->port, request->channel, 'B', text, (size_t)length);
  send_done(request->port, request->channel, 1);
}

void end_tasks_of(struct port *port) {
  for (int i = 0; i < tasks_end; i++) {
    struct task *task = &tasks[i];
    if (task->state == FREE || task->port != port) continue;
    task->port = NULL;
    for (int stream = 0; stream < 3; stream++) close_stream(task, stream);
    if (task->state == RUNNING) begin_ending(task, 0);
    task->kill_at = 0;
  }
}

uint64_t end_all_tasks(void) {
  uint64_t count = 0;
  for (int i = 0; i < tasks_end; i++) {
    if (tasks[i].state == FREE) continue;
    count += group_each(&tasks[i], NULL, 0);
    begin_ending(&tasks[i], 0);
    tasks[i].kill_at = 0;
    group_write(&tasks[i], "/cgroup.kill", "1");
  }
  return count;
}

static struct task *task_of(pid_t pid) {
  for (int i = 0; i < tasks_end; i++)
    if (tasks[i].state != FREE && tasks[i].pid == pid && !tasks[i].is_reaped) return &tasks[i];
  return NULL;
}

static void advance(struct task *task) {
  int64_t now = now_ms();
  if (task->state == RUNNING && task->job && now >= task->deadline) {
    task->is_late = 1;
    begin_ending(task, JOB_GRACE_MS);
  }
  if (task->state == RUNNING && task->is_reaped)
    begin_ending(task, group_is_empty(task) ? 0 : LEFTOVER_GRACE_MS);
  if (task->state != ENDING) return;
  if (now >= task->kill_at && !group_is_empty(task)) {
    group_write(task, "/cgroup.kill", "1");
    task->kill_at = now + KILL_AGAIN_MS;
  }
  if (task->is_reaped && group_is_empty(task)) {
    uint32_t index = (uint32_t)(task - tasks);
    for (int stream = 1; stream < 3; stream++)
      if (task->fds[stream] >= 0) task_readable(index, stream == 2);
  }
  finish_if_over(task);
}

/* Waits for children of our own and for orphans, and takes every command a step further. */
void reap_tasks(void) {
  pid_t pid;
  int status;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    struct task *task = task_of(pid);
    if (!task) continue;
    task->status = status;
    task->is_reaped = 1;
  }
  for (int i = 0; i < tasks_end; i++)
    if (tasks[i].state != FREE) advance(&tasks[i]);
}

int task_patience(void) {
  int64_t soonest = -1, now = now_ms();
  for (int i = 0; i < tasks_end; i++) {
    const struct task *task = &tasks[i];
    if (task->state == FREE) continue;
    int64_t at = task->state == ENDING ? task->kill_at : task->job ? task->deadline : -1;
    if (at < 0) continue;
    int64_t left = at > now ? at - now : 1;
    if (soonest < 0 || left < soonest) soonest = left;
  }
  return soonest > INT_MAX ? INT_MAX : (int)soonest;
}
