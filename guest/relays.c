/* Connections to what listens on the guest's loopback, joined to channels of the host. */
#define _GNU_SOURCE
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RELAYS_MAX = 64 };

struct relay {
  struct port *port;
  uint32_t channel;
  int fd;
  uint32_t events;
  int is_connected;
  int is_paused;
  /* The host has said all; the guest's program has. */
  int is_input_over, is_output_over;
  struct bytes input;
};

static struct relay relays[RELAYS_MAX];

static struct relay *find_relay(const struct port *port, uint32_t channel) {
  for (int i = 0; i < RELAYS_MAX; i++)
    if (relays[i].port == port && (!port || relays[i].channel == channel)) return &relays[i];
  return NULL;
}

static void close_relay(struct relay *relay) {
  close(relay->fd);
  bytes_clear(&relay->input);
  relay->port = NULL;
}

/* Watches for what there is to do: a descriptor that nothing is wanted of must not be watched. */
static void want(struct relay *relay) {
  int reads = relay->is_connected && !relay->is_paused && !relay->is_output_over;
  int writes = !relay->is_connected || bytes_length(&relay->input) > 0;
  uint32_t events = (reads ? EPOLLIN : 0u) | (writes ? EPOLLOUT : 0u);
  if (events == relay->events) return;
  if (relay->events) rewatch(relay->fd, 0, 0, 0);
  if (events) rewatch(relay->fd, events, WATCH_RELAY, (uint32_t)(relay - relays));
  relay->events = events;
}

/* Port of the guest's loopback. */
void start_relay(struct request *request) {
  uint32_t number = read_u32(request);
  struct relay *relay = find_relay(NULL, 0);
  if (!relay) return send_error(request->port, request->channel, "EBUSY", "too many connections");
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0) return send_errno(request->port, request->channel);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
    send_errno(request->port, request->channel);
    close(fd);
    return;
  }
  *relay = (struct relay){.port = request->port, .channel = request->channel, .fd = fd};
  want(relay);
}

static int is_lost(struct relay *relay) {
  int code = 0;
  socklen_t size = sizeof code;
  getsockopt(relay->fd, SOL_SOCKET, SO_ERROR, &code, &size);
  if (!code) return 0;
  errno = code;
  send_errno(relay->port, relay->channel);
  close_relay(relay);
  return 1;
}

/* 0 where the relay is closed by it. */
static int pass_input(struct relay *relay) {
  size_t length = bytes_length(&relay->input);
  if (length == 0) return 1;
  ssize_t wrote = send(relay->fd, relay->input.data + relay->input.start, length, MSG_NOSIGNAL);
  if (wrote < 0 && errno == EAGAIN) return 1;
  if (wrote < 0) {
    send_frame(relay->port, relay->channel, 'X', NULL, 0);
    close_relay(relay);
    return 0;
  }
  uint8_t credit[4];
  put_u32(credit, (uint32_t)wrote);
  bytes_take(&relay->input, (size_t)wrote);
  send_frame(relay->port, relay->channel, 'C', credit, sizeof credit);
  return 1;
}

static void pass_output(struct relay *relay) {
  static uint8_t piece[FRAME_BYTES_MAX];
  if (bytes_length(&relay->port->out) > BACKLOG_BYTES_MAX) {
    relay->is_paused = 1;
    return;
  }
  ssize_t got = recv(relay->fd, piece, sizeof piece, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got > 0) {
    send_frame(relay->port, relay->channel, '1', piece, (size_t)got);
    flush_port(relay->port);
    return;
  }
  relay->is_output_over = 1;
  send_frame(relay->port, relay->channel, 'X', NULL, 0);
}

static void settle(struct relay *relay) {
  int is_said = relay->is_input_over && bytes_length(&relay->input) == 0;
  if (is_said && relay->is_connected) shutdown(relay->fd, SHUT_WR);
  if (is_said && relay->is_output_over) close_relay(relay);
  else want(relay);
}

void relay_ready(uint32_t index, uint32_t events) {
  struct relay *relay = &relays[index];
  if (!relay->port) return;
  if (!relay->is_connected) {
    if (is_lost(relay)) return;
    relay->is_connected = 1;
    send_done(relay->port, relay->channel, 0);
  }
  if (!pass_input(relay)) return;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !relay->is_output_over && !relay->is_paused)
    pass_output(relay);
  settle(relay);
}

/* 0 where the channel is no relay's. */
int relay_piece(struct request *request, int is_end) {
  struct relay *relay = find_relay(request->port, request->channel);
  size_t length = (size_t)(request->end - request->at);
  if (!relay) return 0;
  if (bytes_length(&relay->input) + length > INPUT_BYTES_MAX) return 1;
  bytes_add(&relay->input, request->at, length);
  relay->is_input_over |= is_end;
  if (!relay->is_connected || pass_input(relay)) settle(relay);
  return 1;
}

void end_relay(struct request *request) {
  struct relay *relay = find_relay(request->port, request->channel);
  if (relay) close_relay(relay);
}

void resume_relays(struct port *port) {
  for (int i = 0; i < RELAYS_MAX; i++) {
    if (relays[i].port != port || !relays[i].is_paused) continue;
    relays[i].is_paused = 0;
    want(&relays[i]);
  }
}

void end_relays_of(struct port *port) {
  for (int i = 0; i < RELAYS_MAX; i++)
    if (relays[i].port == port) close_relay(&relays[i]);
}
