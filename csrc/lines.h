/* SPDX-License-Identifier: MIT */
/*
 * Reads a file, or bytes in memory that stand for one, line by line: with pread, so that
 * neither its offset nor anybody who writes to it is disturbed. Holds one line and what
 * was read beyond it; a line that is longer than CS_LINES_MOST comes in pieces.
 */
#ifndef CS_LINES_H
#define CS_LINES_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { CS_LINES_MOST = 1024 * 1024 }; /* bytes of a line, its newline included */

enum cs_line {
  CS_LINE,        /* one with its newline, which is not part of the text */
  CS_LINE_CUT,    /* the last one, without a newline */
  CS_LINE_PIECE,  /* of one that is too long; the rest follows */
  CS_LINE_END,    /* nothing is left before the limit */
  CS_LINE_FAILED, /* errno says why */
  CS_LINE_NO_MEMORY
};

struct cs_lines {
  const char *memory; /* read instead of the file; may be another at each call */
  char *buffer;
  size_t capacity, start, searched, end; /* start: the next line; end: what was read */
  int64_t position;                      /* in the file, of buffer[end] */
};

/* Cannot fail and allocates nothing. */
void cs_lines_init(struct cs_lines *lines);
void cs_lines_free(struct cs_lines *lines);

/* Goes on at this position of the file. */
void cs_lines_seek(struct cs_lines *lines, int64_t position);

/* The position of the next line. */
int64_t cs_lines_tell(const struct cs_lines *lines);

/* The next line before the position `limit`. The text is valid until the next call. */
enum cs_line cs_lines_next(struct cs_lines *lines, int fd, int64_t limit,
                           const char **text, size_t *n);

#pragma GCC visibility pop

#endif
