/* SPDX-License-Identifier: MIT */
/*
 * The list of received requests, packed, one block each, oldest first. The log owns its
 * records. Not locked: the server guards it. No Lua and no HTTP library enter here.
 */
#ifndef CIPHERSCALE_SANDBOX_LOG_H
#define CIPHERSCALE_SANDBOX_LOG_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* What became of a request; `status` is meaningless for the last three. */
enum sb_fate { SB_ANSWERED, SB_CUT, SB_LOST, SB_STALLED, SB_RESET };

/* Growable bytes that remember a failed allocation until they are released. */
struct sb_bytes {
  char *data;
  size_t size;
  size_t room;
  bool failed;
};

void sb_bytes_add(struct sb_bytes *bytes, const void *data, size_t size);
/* A length and the text itself, as sb_record_text reads it. NULL counts as "". */
void sb_bytes_add_text(struct sb_bytes *bytes, const char *text, size_t size);
void sb_bytes_release(struct sb_bytes *bytes);

/* A record: status, fate, then the texts method, URI, body, and names and values of the
 * headers. */
struct sb_record_head {
  size_t size; /* of the texts that follow */
  int status;
  enum sb_fate fate;
};

struct sb_log {
  struct sb_record **ring;
  size_t limit; /* records kept; 0 keeps none */
  size_t room;
  size_t first;
  size_t count;
  size_t bytes; /* of all records */
};

void sb_log_init(struct sb_log *log, size_t limit);
/* Copies `texts`; past the limit the oldest record goes. False when memory is out. */
bool sb_log_add(struct sb_log *log, int status, enum sb_fate fate,
                const struct sb_bytes *texts);
void sb_log_clear(struct sb_log *log);
/* Appends every record to `copy`. */
void sb_log_copy(const struct sb_log *log, struct sb_bytes *copy);

/* Read a copy from the front: each moves *at on. False at the end. */
bool sb_record_head(const char **at, const char *end, struct sb_record_head *head);
bool sb_record_text(const char **at, const char *end, const char **text, size_t *size);

#pragma GCC visibility pop

#endif
