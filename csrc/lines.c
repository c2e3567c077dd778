/* SPDX-License-Identifier: MIT */
/* See lines.h. */
#define _POSIX_C_SOURCE 200809L /* pread */
#define _FILE_OFFSET_BITS 64
#include "lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_CAPACITY = 64 * 1024 };

void cs_lines_init(struct cs_lines *lines) { *lines = (struct cs_lines){.buffer = NULL}; }

void cs_lines_free(struct cs_lines *lines) {
  free(lines->buffer);
  cs_lines_init(lines);
}

void cs_lines_seek(struct cs_lines *lines, int64_t position) {
  lines->start = lines->searched = lines->end = 0;
  lines->position = position;
}

int64_t cs_lines_tell(const struct cs_lines *lines) {
  return lines->position - (int64_t)(lines->end - lines->start);
}

/* Moves the line that has begun to the front, and doubles the buffer if it fills it. */
static bool make_room(struct cs_lines *lines) {
  size_t begun = lines->end - lines->start;
  if (lines->start > 0 && begun > 0)
    memmove(lines->buffer, lines->buffer + lines->start, begun);
  lines->searched -= lines->start;
  lines->start = 0;
  lines->end = begun;
  if (begun < lines->capacity) return true;
  size_t capacity = lines->capacity ? 2 * lines->capacity : FIRST_CAPACITY;
  char *grown = realloc(lines->buffer, capacity);
  if (!grown) return false;
  lines->buffer = grown;
  lines->capacity = capacity;
  return true;
}

static ssize_t get(struct cs_lines *lines, int fd, size_t room) {
  ssize_t got;
  if (lines->memory) {
    memcpy(lines->buffer + lines->end, lines->memory + lines->position, room);
    return (ssize_t)room;
  }
  do {
    got = pread(fd, lines->buffer + lines->end, room, (off_t)lines->position);
  } while (got < 0 && errno == EINTR);
  return got;
}

/* How many bytes came; 0 at the limit and at the end of the file, negative on failure. */
static ssize_t fill(struct cs_lines *lines, int fd, int64_t limit) {
  size_t room = lines->capacity - lines->end;
  if (limit - lines->position < (int64_t)room)
    room = limit > lines->position ? (size_t)(limit - lines->position) : 0;
  if (room == 0) return 0;
  ssize_t got = get(lines, fd, room);
  if (got > 0) {
    lines->end += (size_t)got;
    lines->position += got;
  }
  return got;
}

/* Gives what lies between start and `stop`, and goes on at `next`. */
static enum cs_line give(struct cs_lines *lines, size_t stop, size_t next,
                         enum cs_line kind, const char **text, size_t *n) {
  *text = lines->buffer + lines->start;
  *n = stop - lines->start;
  lines->start = lines->searched = next;
  return kind;
}

enum cs_line cs_lines_next(struct cs_lines *lines, int fd, int64_t limit,
                           const char **text, size_t *n) {
  *text = NULL;
  *n = 0;
  for (;;) {
    const char *newline = NULL;
    size_t end = lines->end;
    if (end > lines->searched)
      newline = memchr(lines->buffer + lines->searched, '\n', end - lines->searched);
    if (newline) {
      size_t stop = (size_t)(newline - lines->buffer);
      return give(lines, stop, stop + 1, CS_LINE, text, n);
    }
    lines->searched = end;
    if (end - lines->start >= CS_LINES_MOST)
      return give(lines, end, end, CS_LINE_PIECE, text, n);
    if (!make_room(lines)) return CS_LINE_NO_MEMORY;
    ssize_t got = fill(lines, fd, limit);
    if (got < 0) return CS_LINE_FAILED;
    if (got > 0) continue;
    if (lines->end == lines->start) return CS_LINE_END;
    return give(lines, lines->end, lines->end, CS_LINE_CUT, text, n);
  }
}
