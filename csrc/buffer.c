/* SPDX-License-Identifier: MIT */
/* Growth is by doubling; see buffer.h for the contract. */
#include "buffer.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 256, KEPT_CAPACITY = 64 * 1024 };

void cs_buffer_init(struct cs_buffer *buffer, size_t limit) {
  buffer->data = NULL;
  buffer->length = 0;
  buffer->capacity = 0;
  buffer->limit = limit;
}

void cs_buffer_free(struct cs_buffer *buffer) {
  free(buffer->data);
  cs_buffer_init(buffer, buffer->limit);
}

void cs_buffer_clear(struct cs_buffer *buffer) {
  if (buffer->capacity > KEPT_CAPACITY) {
    cs_buffer_free(buffer);
    return;
  }
  buffer->length = 0;
  if (buffer->data) buffer->data[0] = '\0';
}

static enum cs_status fail(struct cs_buffer *buffer, enum cs_status status) {
  cs_buffer_free(buffer);
  return status;
}

enum cs_status cs_buffer_append(struct cs_buffer *buffer, const void *bytes, size_t n) {
  if (n > buffer->limit - buffer->length) return fail(buffer, CS_TOO_LARGE);
  size_t need = buffer->length + n + 1;
  if (need > buffer->capacity) {
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    while (capacity < need) capacity += capacity;
    char *grown = realloc(buffer->data, capacity);
    if (!grown) return fail(buffer, CS_NO_MEMORY);
    buffer->data = grown;
    buffer->capacity = capacity;
  }
  if (n) memcpy(buffer->data + buffer->length, bytes, n);
  buffer->length += n;
  buffer->data[buffer->length] = '\0';
  return CS_OK;
}

enum cs_status cs_buffer_append_text(struct cs_buffer *buffer, const char *text) {
  return cs_buffer_append(buffer, text, strlen(text));
}

const char *cs_buffer_text(const struct cs_buffer *buffer) {
  return buffer->data ? buffer->data : "";
}
