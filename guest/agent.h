/* Mycelium's program inside of a virtual machine: its first process and its only service.
 *
 * It answers frames on virtio-serial ports. A frame is: length of the payload (32 bits), channel
 * (32 bits), type (8 bits), payload; numbers are little-endian. Frames towards the guest are
 * escaped so that the byte FLAG stands for nothing but "a new conversation begins": whatever a host
 * that died left half-said is forgotten. */
#ifndef MYCELIUM_AGENT_H
#define MYCELIUM_AGENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Nothing outside of these is reached by paths of files. */
#define REPOSITORY "/workspace"
#define BESIDE "/home/agent"
#define WORK_GROUP "/sys/fs/cgroup/work"

enum { FLAG = 0x7e, ESCAPE = 0x7d, ESCAPE_BIT = 0x20 };
enum { PORTS_MAX = 8, TASKS_MAX = 512 };
enum { REQUEST_BYTES_MAX = 4 << 20, FRAME_BYTES_MAX = 32 << 10, HEADER_BYTES = 9 };
/* What a port may owe its host before the output of commands has to wait. */
enum { BACKLOG_BYTES_MAX = 512 << 10 };
/* What the host may send of an input before it was taken. */
enum { INPUT_BYTES_MAX = 128 << 10 };

/* A growing queue of bytes. */
struct bytes {
  uint8_t *data;
  size_t start, end, capacity;
};

struct port {
  int fd;
  int is_greeted;
  int is_escaped;
  /* How often it was seen that nobody is there, and when to look again. */
  int away_looks;
  int64_t look_at;
  struct bytes in;
  struct bytes out;
};

/* A request, with a cursor that reads its fields. */
struct request {
  struct port *port;
  uint32_t channel;
  uint8_t type;
  const uint8_t *at, *end;
};

/* bytes.c */
void bytes_reserve(struct bytes *bytes, size_t more);
void bytes_add(struct bytes *bytes, const void *data, size_t length);
void bytes_take(struct bytes *bytes, size_t length);
void bytes_clear(struct bytes *bytes);
size_t bytes_length(const struct bytes *bytes);
uint32_t read_u32(struct request *request);
uint64_t read_u64(struct request *request);
const char *read_string(struct request *request);
void put_u32(uint8_t *to, uint32_t value);
void put_u64(uint8_t *to, uint64_t value);

/* boot.c */
void boot(void);
void configure_network(void);

/* agent.c */
void send_frame(struct port *port, uint32_t channel, uint8_t type, const void *data, size_t length);
void send_done(struct port *port, uint32_t channel, uint64_t value);
void send_error(struct port *port, uint32_t channel, const char *reason, const char *message);
void send_errno(struct port *port, uint32_t channel);
void watch(int fd, uint32_t events, uint32_t what, uint32_t index);
void rewatch(int fd, uint32_t events, uint32_t what, uint32_t index);
void flush_port(struct port *port);
int64_t now_ms(void);

enum { WATCH_PORT = 1, WATCH_SIGNALS, WATCH_STDIN, WATCH_STDOUT, WATCH_STDERR, WATCH_RELAY };

/* tasks.c: commands, attached to a port or on their own */
void start_task(struct request *request);
void give_input(struct request *request, int is_end);
void kill_task(struct request *request);
void signal_job(struct request *request);
void tell_job(struct request *request);
void task_readable(uint32_t index, int is_error);
void task_writable(uint32_t index);
void resume_tasks(struct port *port);
void end_tasks_of(struct port *port);
uint64_t end_all_tasks(void);
void reap_tasks(void);
/* Makes and removes what commands need beside them: when nobody waits for an answer. */
void tidy_groups(void);
/* Milliseconds until a task must be looked at again; -1 where none must. */
int task_patience(void);

/* files.c */
void read_file(struct request *request);
void begin_write(struct request *request);
int write_piece(struct request *request, int is_end);
void forget_writes_of(struct port *port);
/* Where a folder inside of the workspace really is; 0 and errno where it is none. */
int resolve_folder(const char *path, char *real);

void list_folder(struct request *request);

/* relays.c */
void start_relay(struct request *request);
void relay_ready(uint32_t index, uint32_t events);
int relay_piece(struct request *request, int is_end);
void end_relay(struct request *request);
void resume_relays(struct port *port);
void end_relays_of(struct port *port);

/* machine.c */
void personalize(struct request *request);
void grow_disk(struct request *request);
void settle_disk(struct request *request);

#endif
