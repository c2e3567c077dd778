/* SPDX-License-Identifier: MIT */
/*
 * Records are whole blocks in a ring that grows to its limit. Each is one allocation
 * and no Lua value, so that a long benchmark against the sandbox neither slows down nor
 * fills a collector.
 */
#include "log.h"

#include <stdlib.h>
#include <string.h>

struct sb_record {
  struct sb_record_head head;
  char texts[];
};

void sb_bytes_add(struct sb_bytes *bytes, const void *data, size_t size) {
  if (bytes->failed || size == 0) return;
  if (size > bytes->room - bytes->size) {
    size_t room = bytes->room ? bytes->room : 512;
    while (room - bytes->size < size) {
      if (room > (size_t)-1 / 2) {
        bytes->failed = true;
        return;
      }
      room *= 2;
    }
    char *grown = realloc(bytes->data, room);
    if (grown == NULL) {
      bytes->failed = true;
      return;
    }
    bytes->data = grown;
    bytes->room = room;
  }
  memcpy(bytes->data + bytes->size, data, size);
  bytes->size += size;
}

void sb_bytes_add_text(struct sb_bytes *bytes, const char *text, size_t size) {
  if (text == NULL) size = 0;
  sb_bytes_add(bytes, &size, sizeof size);
  sb_bytes_add(bytes, text, size);
}

void sb_bytes_release(struct sb_bytes *bytes) {
  free(bytes->data);
  *bytes = (struct sb_bytes){0};
}

void sb_log_init(struct sb_log *log, size_t limit) {
  *log = (struct sb_log){.limit = limit};
}

static size_t record_size(const struct sb_record *record) {
  return sizeof record->head + record->head.size;
}

static void drop_oldest(struct sb_log *log) {
  struct sb_record *oldest = log->ring[log->first];
  log->bytes -= record_size(oldest);
  free(oldest);
  log->first = (log->first + 1) % log->room;
  log->count--;
}

/* Called only when the ring is full, with `first` at any place. */
static bool grow(struct sb_log *log) {
  size_t room = log->room ? log->room * 2 : 64;
  if (room > log->limit) room = log->limit;
  struct sb_record **ring = calloc(room, sizeof *ring);
  if (ring == NULL) return false;
  for (size_t i = 0; i < log->count; i++)
    ring[i] = log->ring[(log->first + i) % log->room];
  free(log->ring);
  log->ring = ring;
  log->room = room;
  log->first = 0;
  return true;
}

bool sb_log_add(struct sb_log *log, int status, enum sb_fate fate,
                const struct sb_bytes *texts) {
  if (log->limit == 0) return true;
  if (texts->failed) return false;
  struct sb_record *record = malloc(sizeof *record + texts->size);
  if (record == NULL) return false;
  record->head =
    (struct sb_record_head){.size = texts->size, .status = status, .fate = fate};
  if (texts->size > 0) memcpy(record->texts, texts->data, texts->size);
  if (log->count == log->limit) drop_oldest(log);
  if (log->count == log->room && !grow(log)) {
    free(record);
    return false;
  }
  log->ring[(log->first + log->count) % log->room] = record;
  log->count++;
  log->bytes += record_size(record);
  return true;
}

void sb_log_clear(struct sb_log *log) {
  while (log->count > 0) drop_oldest(log);
  free(log->ring);
  sb_log_init(log, log->limit);
}

void sb_log_copy(const struct sb_log *log, struct sb_bytes *copy) {
  for (size_t i = 0; i < log->count; i++) {
    const struct sb_record *record = log->ring[(log->first + i) % log->room];
    sb_bytes_add(copy, &record->head, sizeof record->head);
    sb_bytes_add(copy, record->texts, record->head.size);
  }
}

static bool take(const char **at, const char *end, void *to, size_t size) {
  if ((size_t)(end - *at) < size) return false;
  memcpy(to, *at, size);
  *at += size;
  return true;
}

bool sb_record_head(const char **at, const char *end, struct sb_record_head *head) {
  return take(at, end, head, sizeof *head);
}

bool sb_record_text(const char **at, const char *end, const char **text, size_t *size) {
  if (!take(at, end, size, sizeof *size) || (size_t)(end - *at) < *size) return false;
  *text = *at;
  *at += *size;
  return true;
}
