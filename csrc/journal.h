/* SPDX-License-Identifier: MIT */
/*
 * An append-only file of records (record.h), one a line, numbered from 1 without gaps, so
 * that a record's number is its line's. One process at a time has it open for writing.
 *
 * What is found at the end of a file decides what a crash may have left:
 * - A torn tail is what follows the last whole record when it can have come from a write
 *   that did not finish: a line cut anywhere, blocks that were never written (NULs), or
 *   anything else in which no record and no line that was once whole can be found. It is
 *   no record, and is cut off when the file is opened for writing.
 * - A record behind something that is none means damage, at the first bad line. Dropping
 *   it would be forgetting what may have been synced and acted on. A hole of NULs before
 *   a whole record is damage for the same reason.
 * - So is a line with its newline that begins or ends as records do, holds no NUL and
 *   fails its check: no unfinished write leaves that, even at the very end. The last two
 *   bytes of the file are the only ones whose change passes for a torn tail.
 * - A record with the wrong number is damage.
 * Memory: the tables, what waits to be written, and the longest line; never the file.
 *
 * Where nothing shall last there are two kinds without a name, both new and empty: one
 * whose file is gone when it is closed, and one that is in memory from end to end.
 */
#ifndef CS_JOURNAL_H
#define CS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crc32c.h"
#include "forked.h"
#include "lines.h"

#pragma GCC visibility push(hidden)

enum cs_journal_code {
  CS_JOURNAL_FINE,
  CS_JOURNAL_EXISTS,
  CS_JOURNAL_MISSING,
  CS_JOURNAL_DENIED,
  CS_JOURNAL_LOCKED,
  CS_JOURNAL_NO_FILE, /* a folder, a pipe, a device */
  CS_JOURNAL_EMPTY,   /* no whole record, and no trace of one */
  CS_JOURNAL_DAMAGED,
  CS_JOURNAL_FULL,      /* disk, quota, or a limit on the size of files */
  CS_JOURNAL_TOO_LARGE, /* a record */
  CS_JOURNAL_IO,
  CS_JOURNAL_CLOSED,
  CS_JOURNAL_NO_MEMORY
};

struct cs_journal_failure {
  enum cs_journal_code code;
  const char *action; /* "write to": what failed, where `error` says how */
  int error;          /* errno, or 0 */
  int64_t line;       /* of the damage */
  int64_t holder;     /* id of the process that has locked it, 0 when it is not known */
};

struct cs_journal {
  int fd;        /* -1: closed */
  int directory; /* the file's, until it has been synced once; -1 when there is none */
  bool writable, unsynced;
  bool in_memory; /* then all of it waits for ever */
  struct cs_fork_mark mark;
  struct cs_journal_failure failure; /* of a write or sync: every later one fails, too */
  int64_t count;                     /* of records, those that wait included */
  int64_t written, size;             /* of records and bytes in the file that are whole */
  char *waiting;                     /* whole lines, not written yet */
  size_t waiting_size, waiting_room;
  struct cs_crc32c crc;
};

enum cs_journal_mode {
  CS_JOURNAL_CREATE,
  CS_JOURNAL_APPEND,
  CS_JOURNAL_READ,
  CS_JOURNAL_TEMPORARY, /* no path is needed */
  CS_JOURNAL_MEMORY
};

/* Makes it closed and owner of nothing. */
void cs_journal_init(struct cs_journal *journal);

/* Every function that gives a bool says in *failure what went wrong when it is false.
   Opens a closed journal: a new file, which only its owner may read; or one that exists,
   scanned from end to end. Without success it stays closed and no file is changed. */
bool cs_journal_open(struct cs_journal *journal, enum cs_journal_mode mode,
                     const char *path, struct cs_journal_failure *failure);

/* Whether it can be used here: in a child after fork it cannot. */
bool cs_journal_is_open(const struct cs_journal *journal);

/* Adds a record; its number is the count afterwards. The text is the inside of a JSON
   object, without newline and NUL. */
bool cs_journal_append(struct cs_journal *journal, const char *text, size_t n,
                       struct cs_journal_failure *failure);

/* Hands what waits to the kernel; sync also waits until it is on the disk. After a write
   that failed the file ends with its last whole record. */
bool cs_journal_flush(struct cs_journal *journal, struct cs_journal_failure *failure);
bool cs_journal_sync(struct cs_journal *journal, struct cs_journal_failure *failure);

/* Flushes and closes; frees everything in any case. In a child after fork it flushes
   nothing and leaves the lock to the parent. */
bool cs_journal_close(struct cs_journal *journal, struct cs_journal_failure *failure);

/* ---- Reading records ---- */

struct cs_journal_reader {
  struct cs_lines lines;
  int64_t next; /* the number of the record that comes */
  bool placed;
  bool closed; /* freed: whoever owns it must not read on */
};

void cs_journal_reader_init(struct cs_journal_reader *reader, int64_t first);
void cs_journal_reader_free(struct cs_journal_reader *reader);

/* The next record, without its newline, valid until the next call; NULL behind the last
   one that the journal has now. */
bool cs_journal_read(struct cs_journal *journal, struct cs_journal_reader *reader,
                     const char **line, size_t *n, struct cs_journal_failure *failure);

#pragma GCC visibility pop

#endif
