/* Queues of bytes, and numbers in them. */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

void bytes_reserve(struct bytes *bytes, size_t more) {
  if (bytes->capacity - bytes->end >= more) return;
  size_t length = bytes_length(bytes);
  if (bytes->start > 0) memmove(bytes->data, bytes->data + bytes->start, length);
  bytes->start = 0;
  bytes->end = length;
  size_t capacity = bytes->capacity ? bytes->capacity : 4096;
  while (capacity - length < more) capacity *= 2;
  if (capacity == bytes->capacity) return;
  bytes->data = realloc(bytes->data, capacity);
  if (!bytes->data) abort();
  bytes->capacity = capacity;
}

void bytes_add(struct bytes *bytes, const void *data, size_t length) {
  if (length == 0) return;
  bytes_reserve(bytes, length);
  memcpy(bytes->data + bytes->end, data, length);
  bytes->end += length;
}

void bytes_take(struct bytes *bytes, size_t length) {
  bytes->start += length;
  if (bytes->start == bytes->end) bytes->start = bytes->end = 0;
}

void bytes_clear(struct bytes *bytes) {
  free(bytes->data);
  *bytes = (struct bytes){0};
}

size_t bytes_length(const struct bytes *bytes) {
  return bytes->end - bytes->start;
}

static uint64_t read_number(struct request *request, size_t width) {
  uint64_t value = 0;
  if ((size_t)(request->end - request->at) < width) {
    request->at = request->end;
    return 0;
  }
  for (size_t i = 0; i < width; i++) value |= (uint64_t)request->at[i] << (8 * i);
  request->at += width;
  return value;
}

uint32_t read_u32(struct request *request) {
  return (uint32_t)read_number(request, 4);
}

uint64_t read_u64(struct request *request) {
  return read_number(request, 8);
}

/* The empty string where the request holds no more. */
const char *read_string(struct request *request) {
  const uint8_t *end = memchr(request->at, 0, (size_t)(request->end - request->at));
  if (!end) {
    request->at = request->end;
    return "";
  }
  const char *string = (const char *)request->at;
  request->at = end + 1;
  return string;
}

void put_u32(uint8_t *to, uint32_t value) {
  for (int i = 0; i < 4; i++) to[i] = (uint8_t)(value >> (8 * i));
}

void put_u64(uint8_t *to, uint64_t value) {
  for (int i = 0; i < 8; i++) to[i] = (uint8_t)(value >> (8 * i));
}
