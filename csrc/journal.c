/* SPDX-License-Identifier: MIT */
/* See journal.h. Files are written by position, so nobody who shares the descriptor can
   move us; a child closes but never unlocks, since that would unlock for its parent. */
#define _DEFAULT_SOURCE /* flock, fchmod, fdatasync */
#define _FILE_OFFSET_BITS 64
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"

enum { ROOM = 32 * 1024 };

static enum cs_journal_code code_of(int error) {
  switch (error) {
  case EEXIST:
    return CS_JOURNAL_EXISTS;
  case ENOENT:
  case ENOTDIR:
    return CS_JOURNAL_MISSING;
  case EACCES:
  case EPERM:
  case EROFS:
    return CS_JOURNAL_DENIED;
  case EISDIR:
  case ENXIO:
    return CS_JOURNAL_NO_FILE;
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    return CS_JOURNAL_FULL;
  case EWOULDBLOCK:
    return CS_JOURNAL_LOCKED;
  case ENOMEM:
    return CS_JOURNAL_NO_MEMORY;
  default:
    return CS_JOURNAL_IO;
  }
}

static bool fail(struct cs_journal_failure *failure, const char *action, int error) {
  *failure =
    (struct cs_journal_failure){.code = code_of(error), .action = action, .error = error};
  return false;
}

static bool fail_with(struct cs_journal_failure *failure, enum cs_journal_code code,
                      int64_t line) {
  *failure = (struct cs_journal_failure){.code = code, .line = line};
  return false;
}

/* ---- Life ---- */

void cs_journal_init(struct cs_journal *journal) {
  *journal = (struct cs_journal){.fd = -1, .directory = -1};
}

static bool has_begun(const struct cs_journal *journal) {
  return journal->fd >= 0 || journal->in_memory;
}

bool cs_journal_is_open(const struct cs_journal *journal) {
  return has_begun(journal) && !cs_forked(&journal->mark);
}

/* What close(2) says; an interrupted one has closed, too. */
static int close_descriptor(int *fd) {
  int error = 0;
  if (*fd >= 0 && close(*fd) != 0 && errno != EINTR) error = errno;
  *fd = -1;
  return error;
}

static int release(struct cs_journal *journal) {
  int error = close_descriptor(&journal->fd);
  (void)close_descriptor(&journal->directory);
  free(journal->waiting);
  journal->waiting = NULL;
  journal->waiting_size = journal->waiting_room = 0;
  journal->in_memory = false;
  cs_fork_mark_clear(&journal->mark);
  return error;
}

bool cs_journal_close(struct cs_journal *journal, struct cs_journal_failure *failure) {
  if (!has_begun(journal)) return true;
  if (cs_forked(&journal->mark)) {
    (void)release(journal);
    return true;
  }
  bool flushed = cs_journal_flush(journal, failure);
  /* A child of ours may still have the descriptor, and with it the lock. */
  if (journal->writable && journal->fd >= 0) (void)flock(journal->fd, LOCK_UN);
  int error = release(journal);
  if (flushed && error != 0) return fail(failure, "close", error);
  return flushed;
}

/* ---- Scanning ---- */

static bool is_evidence(const struct cs_crc32c *crc, enum cs_line kind, const char *text,
                        size_t n) {
  return cs_record_number(crc, text, n) > 0 || cs_record_inside(crc, text, n) ||
         (kind == CS_LINE && cs_record_was_whole(text, n));
}

static bool fail_reading(struct cs_journal_failure *failure, enum cs_line kind) {
  if (kind == CS_LINE_NO_MEMORY) return fail_with(failure, CS_JOURNAL_NO_MEMORY, 0);
  return fail(failure, "read", errno);
}

/* A last line without its newline that is whole but for that is torn, too, if it is the
   first that is not whole: no record has an end without one. */
static bool scan_lines(struct cs_journal *journal, struct cs_lines *lines,
                       struct cs_journal_failure *failure) {
  int64_t bad = 0, line = 1;
  for (;; line++) {
    const char *text;
    size_t n;
    enum cs_line kind = cs_lines_next(lines, journal->fd, INT64_MAX, &text, &n);
    if (kind == CS_LINE_END) break;
    if (kind == CS_LINE_FAILED || kind == CS_LINE_NO_MEMORY)
      return fail_reading(failure, kind);
    if (bad == 0 && kind == CS_LINE && cs_record_number(&journal->crc, text, n) == line) {
      journal->count = line;
      journal->size += (int64_t)n + 1;
      continue;
    }
    if (bad == 0 && kind == CS_LINE_CUT &&
        cs_record_number(&journal->crc, text, n) == line)
      continue;
    if (bad == 0) bad = line;
    if (is_evidence(&journal->crc, kind, text, n))
      return fail_with(failure, CS_JOURNAL_DAMAGED, bad);
  }
  journal->written = journal->count;
  if (journal->count == 0) return fail_with(failure, CS_JOURNAL_EMPTY, 0);
  return true;
}

static int cut(int fd, int64_t size) {
  int status;
  do {
    status = ftruncate(fd, (off_t)size);
  } while (status != 0 && errno == EINTR);
  return status;
}

static bool scan(struct cs_journal *journal, struct cs_journal_failure *failure) {
  struct cs_lines lines;
  cs_lines_init(&lines);
  bool fine = scan_lines(journal, &lines, failure);
  int64_t end = cs_lines_tell(&lines);
  cs_lines_free(&lines);
  if (!fine) return false;
  if (journal->writable && end > journal->size && cut(journal->fd, journal->size) != 0)
    return fail(failure, "cut", errno);
  return true;
}

/* ---- Opening ---- */

/* Opens the folder that the file is in. One that may not be read cannot be synced. */
static bool open_directory(struct cs_journal *journal, const char *path,
                           struct cs_journal_failure *failure) {
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) + 1 : 1;
  char *directory = malloc(n + 1);
  if (!directory) return fail_with(failure, CS_JOURNAL_NO_MEMORY, 0);
  memcpy(directory, slash ? path : ".", n);
  directory[n] = '\0';
  journal->directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int error = errno;
  free(directory);
  if (journal->directory >= 0 || error == EACCES) return true;
  return fail(failure, "open the folder of", error);
}

static bool open_file(struct cs_journal *journal, enum cs_journal_mode mode,
                      const char *path, struct cs_journal_failure *failure) {
  static const int flags[] = {[CS_JOURNAL_CREATE] = O_RDWR | O_CREAT | O_EXCL,
                              [CS_JOURNAL_APPEND] = O_RDWR,
                              [CS_JOURNAL_READ] = O_RDONLY,
                              [CS_JOURNAL_MEMORY] = 0};
  const char *action = mode == CS_JOURNAL_CREATE ? "create" : "open";
  struct stat status;
  do { /* O_NONBLOCK: opening a pipe must not wait for its other end */
    journal->fd =
      open(path, flags[mode] | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, S_IRUSR | S_IWUSR);
  } while (journal->fd < 0 && errno == EINTR);
  if (journal->fd < 0 || fstat(journal->fd, &status) != 0)
    return fail(failure, action, errno);
  if (!S_ISREG(status.st_mode)) return fail_with(failure, CS_JOURNAL_NO_FILE, 0);
  return true;
}

/* flock keeps others out, also within a process, but names nobody. A record lock beside
   it, which keeps nobody out, tells others whose it is. */
static bool lock(struct cs_journal *journal, struct cs_journal_failure *failure) {
  struct flock mark = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  int status;
  do {
    status = flock(journal->fd, LOCK_EX | LOCK_NB);
  } while (status != 0 && errno == EINTR);
  if (status == 0) {
    (void)fcntl(journal->fd, F_SETLK, &mark);
    return true;
  }
  (void)fail(failure, "lock", errno);
  if (fcntl(journal->fd, F_GETLK, &mark) == 0 && mark.l_type != F_UNLCK)
    failure->holder = mark.l_pid;
  return false;
}

/* A new file is ours to remove when it cannot be used. */
static bool set_up(struct cs_journal *journal, enum cs_journal_mode mode,
                   const char *path, struct cs_journal_failure *failure) {
  if (mode == CS_JOURNAL_READ) return scan(journal, failure);
  if (mode == CS_JOURNAL_APPEND) return lock(journal, failure) && scan(journal, failure);
  bool fine = lock(journal, failure);
  if (fine && fchmod(journal->fd, S_IRUSR | S_IWUSR) != 0)
    fine = fail(failure, "restrict", errno);
  if (!fine) (void)unlink(path);
  return fine;
}

/* The standard's own temporary file knows where such files go; only its descriptor is
   kept. */
static bool open_temporary(struct cs_journal *journal,
                           struct cs_journal_failure *failure) {
  FILE *file = tmpfile();
  if (!file) return fail(failure, "create", errno);
  journal->fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
  int error = errno;
  (void)fclose(file);
  return journal->fd >= 0 || fail(failure, "create", error);
}

bool cs_journal_open(struct cs_journal *journal, enum cs_journal_mode mode,
                     const char *path, struct cs_journal_failure *failure) {
  cs_journal_init(journal);
  journal->writable = journal->unsynced = mode != CS_JOURNAL_READ;
  journal->in_memory = mode == CS_JOURNAL_MEMORY;
  cs_crc32c_init(&journal->crc);
  cs_fork_mark_set(&journal->mark);
  if (journal->in_memory) return true;
  bool fine = mode == CS_JOURNAL_TEMPORARY
                ? open_temporary(journal, failure)
                : (!journal->writable || open_directory(journal, path, failure)) &&
                    open_file(journal, mode, path, failure) &&
                    set_up(journal, mode, path, failure);
  if (!fine) (void)release(journal);
  return fine;
}

/* ---- Writing ---- */

/* Whether writing is still possible here; a failure is for ever. */
static bool is_fine(const struct cs_journal *journal,
                    struct cs_journal_failure *failure) {
  if (!cs_journal_is_open(journal)) return fail_with(failure, CS_JOURNAL_CLOSED, 0);
  if (journal->failure.code == CS_JOURNAL_FINE) return true;
  *failure = journal->failure;
  return false;
}

/* `done` bytes of what waits are in the file: keeps the whole lines among them. Where the
   file cannot be cut it has a torn tail, which nobody takes for a record. */
static bool give_up(struct cs_journal *journal, size_t done, int error,
                    struct cs_journal_failure *failure) {
  size_t kept = done;
  while (kept > 0 && journal->waiting[kept - 1] != '\n') kept--;
  for (size_t i = kept; i < journal->waiting_size; i++)
    if (journal->waiting[i] == '\n') journal->count--;
  journal->written = journal->count;
  journal->size += (int64_t)kept;
  journal->waiting_size = 0;
  (void)cut(journal->fd, journal->size);
  (void)fail(&journal->failure, "write to", error);
  *failure = journal->failure;
  return false;
}

static bool write_waiting(struct cs_journal *journal,
                          struct cs_journal_failure *failure) {
  size_t done = 0;
  if (journal->in_memory) return true;
  while (done < journal->waiting_size) {
    ssize_t n = pwrite(journal->fd, journal->waiting + done, journal->waiting_size - done,
                       (off_t)(journal->size + (int64_t)done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return give_up(journal, done, n < 0 ? errno : ENOSPC, failure);
    done += (size_t)n;
  }
  if (done > 0) journal->unsynced = true;
  journal->size += (int64_t)done;
  journal->written = journal->count;
  journal->waiting_size = 0;
  return true;
}

bool cs_journal_flush(struct cs_journal *journal, struct cs_journal_failure *failure) {
  return is_fine(journal, failure) && write_waiting(journal, failure);
}

static bool make_room(struct cs_journal *journal, size_t need,
                      struct cs_journal_failure *failure) {
  if (need <= journal->waiting_room - journal->waiting_size) return true;
  if (!write_waiting(journal, failure)) return false;
  size_t used = journal->waiting_size; /* nothing, but in memory */
  if (need <= journal->waiting_room - used) return true;
  size_t room = used + need + used / 2;
  if (room < ROOM) room = ROOM;
  char *waiting = realloc(journal->waiting, room);
  if (!waiting) return fail_with(failure, CS_JOURNAL_NO_MEMORY, 0);
  journal->waiting = waiting;
  journal->waiting_room = room;
  return true;
}

bool cs_journal_append(struct cs_journal *journal, const char *text, size_t n,
                       struct cs_journal_failure *failure) {
  if (!is_fine(journal, failure)) return false;
  if (n > CS_LINES_MOST - CS_RECORD_FRAME)
    return fail_with(failure, CS_JOURNAL_TOO_LARGE, 0);
  if (!make_room(journal, n + CS_RECORD_FRAME, failure)) return false;
  journal->waiting_size += cs_record_write(
    &journal->crc, journal->waiting + journal->waiting_size, ++journal->count, text, n);
  return true;
}

static int wait_for_disk(int fd, int (*sync)(int)) {
  int status;
  do {
    status = sync(fd);
  } while (status != 0 && errno == EINTR);
  return status;
}

/* After a failed sync nobody knows what is on the disk, nor can another sync tell. */
bool cs_journal_sync(struct cs_journal *journal, struct cs_journal_failure *failure) {
  if (!cs_journal_flush(journal, failure)) return false;
  if (!journal->unsynced || journal->in_memory) return true;
  bool fine = wait_for_disk(journal->fd, fdatasync) == 0;
  if (fine && journal->directory >= 0) /* EINVAL: this file system has no such sync */
    fine = wait_for_disk(journal->directory, fsync) == 0 || errno == EINVAL;
  if (!fine) {
    (void)fail(&journal->failure, "sync", errno);
    *failure = journal->failure;
    return false;
  }
  (void)close_descriptor(&journal->directory);
  journal->unsynced = false;
  return true;
}

/* ---- Reading records ---- */

void cs_journal_reader_init(struct cs_journal_reader *reader, int64_t first) {
  *reader = (struct cs_journal_reader){.next = first};
  cs_lines_init(&reader->lines);
}

void cs_journal_reader_free(struct cs_journal_reader *reader) {
  cs_lines_free(&reader->lines);
}

/* A line of the part that is known to be whole; anything else there is damage, and by
   `number` it is said where. */
static bool next_line(struct cs_journal *journal, struct cs_journal_reader *reader,
                      int64_t number, const char **line, size_t *n,
                      struct cs_journal_failure *failure) {
  if (journal->in_memory) reader->lines.memory = journal->waiting;
  int64_t size = journal->in_memory ? (int64_t)journal->waiting_size : journal->size;
  enum cs_line kind = cs_lines_next(&reader->lines, journal->fd, size, line, n);
  if (kind == CS_LINE_FAILED || kind == CS_LINE_NO_MEMORY)
    return fail_reading(failure, kind);
  return kind == CS_LINE || fail_with(failure, CS_JOURNAL_DAMAGED, number);
}

/* Halves the part of the file in which record `next` begins until a few reads are as
   quick, and leaves the lines at a record before it, whose number it gives. What looks
   odd on the way is left to those who read every line. */
static int64_t approach(struct cs_journal *journal, struct cs_journal_reader *reader) {
  enum { NEAR = 64 * 1024 };
  struct cs_journal_failure ignored;
  const char *line;
  size_t n;
  int64_t low = 0, at = 1, high = journal->size;
  while (high - low > NEAR) {
    int64_t middle = low + (high - low) / 2, begin, number;
    cs_lines_seek(&reader->lines, middle);
    if (!next_line(journal, reader, at, &line, &n, &ignored)) break;
    begin = cs_lines_tell(&reader->lines);
    if (begin >= high) {
      high = middle + 1;
      continue;
    }
    if (!next_line(journal, reader, at, &line, &n, &ignored)) break;
    number = cs_record_claim(line, n);
    if (number <= at) break;
    if (number > reader->next) {
      high = middle + 1;
    } else {
      low = begin;
      at = number;
    }
  }
  cs_lines_seek(&reader->lines, low);
  return at;
}

static bool place(struct cs_journal *journal, struct cs_journal_reader *reader,
                  struct cs_journal_failure *failure) {
  const char *line;
  size_t n;
  for (int64_t at = approach(journal, reader); at < reader->next; at++)
    if (!next_line(journal, reader, at, &line, &n, failure)) return false;
  reader->placed = true;
  return true;
}

bool cs_journal_read(struct cs_journal *journal, struct cs_journal_reader *reader,
                     const char **line, size_t *n, struct cs_journal_failure *failure) {
  *line = NULL;
  if (!cs_journal_is_open(journal)) return fail_with(failure, CS_JOURNAL_CLOSED, 0);
  if (reader->next > journal->count) return true;
  if (reader->next > journal->written && !cs_journal_flush(journal, failure))
    return false;
  if (!reader->placed && !place(journal, reader, failure)) return false;
  if (!next_line(journal, reader, reader->next, line, n, failure)) return false;
  if (!journal->in_memory && cs_record_number(&journal->crc, *line, *n) != reader->next)
    return fail_with(failure, CS_JOURNAL_DAMAGED, reader->next);
  reader->next++;
  return true;
}
