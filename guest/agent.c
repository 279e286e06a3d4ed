/* The loop: ports in, requests dispatched, frames out. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 64, READ_BYTES = 64 << 10, NONCE_BYTES = 16, HELLO_BYTES = 17 };
enum { AWAY_MS = 20, AWAY_LOOKS = 5, PORT_WAIT_MS = 10000, DEVICES_MAX = 16 };

static struct port ports[PORTS_MAX];
static int poller;
static int signals;

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void control(int operation, int fd, uint32_t events, uint32_t what, uint32_t index) {
  struct epoll_event event = {.events = events, .data.u64 = (uint64_t)what << 32 | index};
  epoll_ctl(poller, operation, fd, &event);
}

void watch(int fd, uint32_t events, uint32_t what, uint32_t index) {
  control(EPOLL_CTL_ADD, fd, events, what, index);
}

/* Without events the file is not watched at all: its hanging up would be told again and again. */
void rewatch(int fd, uint32_t events, uint32_t what, uint32_t index) {
  control(events ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, events, what, index);
}

void send_frame(struct port *port, uint32_t channel, uint8_t type, const void *data, size_t length) {
  if (!port || !port->is_greeted) return;
  uint8_t header[HEADER_BYTES];
  put_u32(header, (uint32_t)length);
  put_u32(header + 4, channel);
  header[8] = type;
  bytes_add(&port->out, header, sizeof header);
  bytes_add(&port->out, data, length);
}

void send_done(struct port *port, uint32_t channel, uint64_t value) {
  uint8_t payload[8];
  put_u64(payload, value);
  send_frame(port, channel, 'D', payload, sizeof payload);
}

void send_error(struct port *port, uint32_t channel, const char *reason, const char *message) {
  char payload[1024];
  int length = snprintf(payload, sizeof payload, "%s\n%s", reason, message);
  if (length >= (int)sizeof payload) length = sizeof payload - 1;
  send_frame(port, channel, '!', payload, (size_t)length);
}

void send_errno(struct port *port, uint32_t channel) {
  const char *name = strerrorname_np(errno);
  send_error(port, channel, name ? name : "unknown", strerror(errno));
}

static void end_conversation(struct port *port) {
  end_tasks_of(port);
  end_relays_of(port);
  forget_writes_of(port);
  bytes_clear(&port->in);
  bytes_clear(&port->out);
  port->is_greeted = 0;
  port->is_escaped = 0;
  port->away_looks = 0;
}

static void greet(struct request *request) {
  if (request->end - request->at != HELLO_BYTES - 1) return;
  request->port->is_greeted = 1;
  send_frame(request->port, 0, 'H', request->at, NONCE_BYTES);
}

static void take_input(struct request *request, int is_end) {
  if (!write_piece(request, is_end) && !relay_piece(request, is_end)) give_input(request, is_end);
}

static void answer(struct request *request) {
  if (request->type == 'H') return greet(request);
  if (!request->port->is_greeted) return;
  switch (request->type) {
    case 'X': return start_task(request);
    case 'I': return take_input(request, 0);
    case 'E': return take_input(request, 1);
    case 'K': end_relay(request); return kill_task(request);
    case 'S': return signal_job(request);
    case 'J': return tell_job(request);
    case 'L': return list_folder(request);
    case 'T': return start_relay(request);
    case 'R': return read_file(request);
    case 'W': return begin_write(request);
    case 'P': return personalize(request);
    case 'G': return grow_disk(request);
    case 'Q': return settle_disk(request);
    case 'Z': return send_done(request->port, request->channel, end_all_tasks());
    default: return send_error(request->port, request->channel, "unknown", "no such request");
  }
}

static uint32_t peek_u32(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void answer_all(struct port *port) {
  while (bytes_length(&port->in) >= HEADER_BYTES) {
    const uint8_t *frame = port->in.data + port->in.start;
    uint32_t length = peek_u32(frame);
    if (length > REQUEST_BYTES_MAX) return end_conversation(port);
    if (bytes_length(&port->in) < HEADER_BYTES + length) return;
    struct request request = {
        .port = port,
        .channel = peek_u32(frame + 4),
        .type = frame[8],
        .at = frame + HEADER_BYTES,
        .end = frame + HEADER_BYTES + length,
    };
    answer(&request);
    /* Greeting failed or the answer ended the conversation: what was read is gone. */
    if (bytes_length(&port->in) == 0) return;
    bytes_take(&port->in, HEADER_BYTES + length);
  }
}

/* Takes the escapes out. A flag begins everything anew. */
static void take_raw(struct port *port, const uint8_t *raw, size_t length) {
  bytes_reserve(&port->in, length);
  for (size_t i = 0; i < length; i++) {
    uint8_t byte = raw[i];
    if (byte == FLAG) {
      end_conversation(port);
      bytes_reserve(&port->in, length);
    } else if (byte == ESCAPE) {
      port->is_escaped = 1;
    } else {
      port->in.data[port->in.end++] = port->is_escaped ? byte ^ ESCAPE_BIT : byte;
      port->is_escaped = 0;
    }
  }
  answer_all(port);
}

void flush_port(struct port *port) {
  size_t length;
  while ((length = bytes_length(&port->out)) > 0) {
    ssize_t wrote = write(port->fd, port->out.data + port->out.start, length);
    if (wrote <= 0) break;
    bytes_take(&port->out, (size_t)wrote);
  }
  if (bytes_length(&port->out) < BACKLOG_BYTES_MAX / 2) {
    resume_tasks(port);
    resume_relays(port);
  }
}

static void see_away(struct port *port) {
  port->away_looks++;
  port->look_at = now_ms() + AWAY_MS;
}

/* The port is watched by its edges: a host that is away makes no noise. */
static void port_ready(struct port *port) {
  static uint8_t raw[READ_BYTES];
  ssize_t got;
  while ((got = read(port->fd, raw, sizeof raw)) > 0) take_raw(port, raw, (size_t)got);
  int is_away = got == 0 && port->is_greeted;
  if (!is_away) port->away_looks = 0;
  else if (!port->away_looks) see_away(port);
}

/* A new host's first words can be read before the news that it is there. Between the looks this
 * program sleeps, so that the kernel gets to its news: only a host that stays away is gone. */
static void check_away(struct port *port) {
  if (!port->away_looks || now_ms() < port->look_at) return;
  int looks = port->away_looks;
  port_ready(port);
  if (!port->away_looks) return;
  if (looks >= AWAY_LOOKS) end_conversation(port);
  else see_away(port);
}

static int patience(int count) {
  int wait = task_patience();
  for (int i = 0; i < count; i++)
    if (ports[i].away_looks && (wait < 0 || wait > AWAY_MS)) wait = AWAY_MS;
  return wait;
}

static void drain_signals(void) {
  struct signalfd_siginfo info[16];
  while (read(signals, info, sizeof info) > 0) continue;
  reap_tasks();
}

/* The kernel numbers ports by their device, whose own number depends on its neighbours. */
static int open_port(int number) {
  for (int device = 0; device < DEVICES_MAX; device++) {
    char path[32];
    snprintf(path, sizeof path, "/dev/vport%dp%d", device, number);
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) return fd;
  }
  return -1;
}

static void open_ports(int count) {
  int64_t deadline = now_ms() + PORT_WAIT_MS;
  for (int i = 0; i < count; i++) {
    while ((ports[i].fd = open_port(i + 1)) < 0 && now_ms() < deadline) {
      struct timespec pause = {0, 2000000};
      nanosleep(&pause, NULL);
    }
    if (ports[i].fd < 0) fprintf(stderr, "agent: port %d: %m\n", i + 1);
    else watch(ports[i].fd, EPOLLIN | EPOLLOUT | EPOLLET, WATCH_PORT, (uint32_t)i);
  }
}

static void dispatch(uint32_t what, uint32_t index, uint32_t events) {
  if (what == WATCH_PORT) port_ready(&ports[index]);
  if (what == WATCH_SIGNALS) drain_signals();
  if (what == WATCH_STDIN) task_writable(index);
  if (what == WATCH_STDOUT) task_readable(index, 0);
  if (what == WATCH_STDERR) task_readable(index, 1);
  if (what == WATCH_RELAY) relay_ready(index, events);
}

static int count_ports(void) {
  const char *text = getenv("mycelium_ports");
  int count = text ? atoi(text) : 1;
  return count < 1 ? 1 : count > PORTS_MAX ? PORTS_MAX : count;
}

int main(void) {
  boot();
  poller = epoll_create1(EPOLL_CLOEXEC);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigprocmask(SIG_BLOCK, &wanted, NULL);
  signal(SIGPIPE, SIG_IGN);
  signals = signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
  watch(signals, EPOLLIN, WATCH_SIGNALS, 0);
  int count = count_ports();
  open_ports(count);
  tidy_groups();
  for (;;) {
    struct epoll_event events[EVENTS_MAX];
    int ready = epoll_wait(poller, events, EVENTS_MAX, patience(count));
    for (int i = 0; i < ready; i++) {
      uint64_t data = events[i].data.u64;
      dispatch((uint32_t)(data >> 32), (uint32_t)data, events[i].events);
    }
    if (ready == 0) reap_tasks();
    for (int i = 0; i < count; i++) {
      check_away(&ports[i]);
      flush_port(&ports[i]);
    }
    tidy_groups();
  }
}
