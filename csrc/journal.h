/* SPDX-License-Identifier: MIT */
/*
 * An append-only file of JSON lines that survives whatever happens to its writer. Every
 * line is a record with a number, counting from 1, and a check: CRC-32C (RFC 3720, B.4)
 * of the bytes before it.
 *
 *   {"record":7,"kind":"plan","user":"u1","check":"0badcafe"}
 *
 * Opening reads it all. A torn tail, which is what follows the last whole record, is no
 * part of it; a line that is not whole with a whole one behind it is damage, and an error.
 * One writer at a time (flock). After fork a child can only close it.
 */
#ifndef CS_JOURNAL_H
#define CS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

enum { CS_JOURNAL_MAX_RECORD = 1024 * 1024 }; /* bytes of one line */

enum cs_journal_mode { CS_JOURNAL_CREATE, CS_JOURNAL_OPEN, CS_JOURNAL_READ };

/* What failed: code is NULL while all is well. */
struct cs_journal_failure {
  const char *code; /* "exists", "locked", "missing", "denied", "full", "damaged", … */
  int number;       /* errno, or 0 */
  long line;        /* of what is damaged, or 0 */
};

struct cs_journal;

/* Where a reader is; zeroed at first, freed with cs_journal_cursor_free. */
struct cs_journal_cursor {
  off_t offset; /* of the file, of what follows the window */
  char *window;
  size_t start, length, capacity;
  long line;
};

/* CREATE makes a new file (mode 0600) and locks it, OPEN locks one and cuts its torn tail
   off, READ changes nothing and needs no lock. NULL and a failure otherwise. */
struct cs_journal *cs_journal_open(const char *path, enum cs_journal_mode mode,
                                   struct cs_journal_failure *failure);

/* Gives the descriptor and the memory back; what is not flushed is lost. */
void cs_journal_free(struct cs_journal *journal);

/* Whether this is a child of the process that opened it. */
bool cs_journal_forked(const struct cs_journal *journal);

/* Adds a record, `text` being the inside of a JSON object; it may wait in memory. Every
   failure to write is final: all later calls fail alike. */
bool cs_journal_append(struct cs_journal *journal, const char *text, size_t length,
                       struct cs_journal_failure *failure);

/* Hands what waits to the kernel, which keeps it if the process is killed. */
bool cs_journal_flush(struct cs_journal *journal, struct cs_journal_failure *failure);

/* Flushes, and waits until it is on the disk. */
bool cs_journal_sync(struct cs_journal *journal, struct cs_journal_failure *failure);

/* The number of whole records. */
long cs_journal_count(const struct cs_journal *journal);

/* The next line without its newline, valid until the next call; false at the end, and on
   a failure, which has a code then. */
bool cs_journal_next(struct cs_journal *journal, struct cs_journal_cursor *cursor,
                     const char **line, size_t *length,
                     struct cs_journal_failure *failure);

void cs_journal_cursor_free(struct cs_journal_cursor *cursor);

#pragma GCC visibility pop

#endif
