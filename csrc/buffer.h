/* SPDX-License-Identifier: MIT */
/*
 * Growable bytes with a compulsory limit. A buffer is usable from cs_buffer_init on,
 * which cannot fail and allocates nothing; a failed append leaves it empty and safe.
 * The content is always followed by a NUL that length does not count.
 */
#ifndef CS_BUFFER_H
#define CS_BUFFER_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

enum cs_status { CS_OK, CS_NO_MEMORY, CS_TOO_LARGE, CS_INVALID };

struct cs_buffer {
  char *data;
  size_t length;
  size_t capacity;
  size_t limit; /* bytes that length may reach */
};

void cs_buffer_init(struct cs_buffer *buffer, size_t limit);

/* CS_OK, CS_NO_MEMORY or CS_TOO_LARGE; on failure the buffer is empty. */
enum cs_status cs_buffer_append(struct cs_buffer *buffer, const void *bytes, size_t n);
enum cs_status cs_buffer_append_text(struct cs_buffer *buffer, const char *text);

/* Empties it and keeps a small allocation for the next use; a large one is returned. */
void cs_buffer_clear(struct cs_buffer *buffer);
void cs_buffer_free(struct cs_buffer *buffer);

/* The content as a C string; "" when nothing was ever appended. */
const char *cs_buffer_text(const struct cs_buffer *buffer);

#pragma GCC visibility pop

#endif
