/* SPDX-License-Identifier: MIT */
/* See journal.h. */
#define _DEFAULT_SOURCE /* flock */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "forked.h"

enum {
  WINDOW = 64 * 1024,  /* bytes read at once */
  PENDING = 32 * 1024, /* bytes that wait for one write */
  NUMBER = 24,         /* room for {"record":N, */
  SLICES = 8
};

static const char head[] = "{\"record\":";
static const char check_name[] = ",\"check\":\"";
enum { CHECK = sizeof check_name - 1 + 8 + 2 }; /* name, eight digits, "} */

struct cs_journal {
  int fd;
  bool writable, named_on_disk;
  struct cs_fork_mark mark;
  off_t end; /* of the last whole record in the file */
  long count;
  char *pending;
  size_t waiting;
  struct cs_journal_failure broken; /* the first failure to write */
  char *folder;                     /* of a new file, until its name is on the disk */
  uint32_t crc[SLICES][256];
};

/* ---- The check ---- */

static void make_tables(uint32_t crc[SLICES][256]) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; bit++)
      value = value & 1 ? (value >> 1) ^ UINT32_C(0x82f63b78) : value >> 1;
    crc[0][byte] = value;
  }
  for (int slice = 1; slice < SLICES; slice++) {
    for (int byte = 0; byte < 256; byte++) {
      uint32_t before = crc[slice - 1][byte];
      crc[slice][byte] = (before >> 8) ^ crc[0][before & 0xff];
    }
  }
}

static uint32_t crc_of(const struct cs_journal *journal, const char *text, size_t n) {
  const unsigned char *p = (const unsigned char *)text;
  const uint32_t(*table)[256] = journal->crc;
  uint32_t value = UINT32_MAX;
  for (; n >= SLICES; n -= SLICES, p += SLICES) {
    uint32_t low = value ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                            (uint32_t)p[3] << 24);
    value = table[7][low & 0xff] ^ table[6][(low >> 8) & 0xff] ^
            table[5][(low >> 16) & 0xff] ^ table[4][low >> 24] ^ table[3][p[4]] ^
            table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
  }
  for (; n > 0; n--, p++) value = (value >> 8) ^ table[0][(value ^ *p) & 0xff];
  return ~value;
}

/* The number of a whole record, or 0. */
static long number_of(const struct cs_journal *journal, const char *line, size_t n) {
  if (n < sizeof head + CHECK || memcmp(line, head, sizeof head - 1) != 0) return 0;
  const char *check = line + n - CHECK;
  if (memcmp(check, check_name, sizeof check_name - 1) != 0) return 0;
  if (line[n - 2] != '"' || line[n - 1] != '}') return 0;
  char digits[9];
  uint32_t crc = crc_of(journal, line, n - CHECK);
  for (int i = 7; i >= 0; i--, crc >>= 4) digits[i] = "0123456789abcdef"[crc & 15];
  if (memcmp(check + sizeof check_name - 1, digits, 8) != 0) return 0;
  long number = 0;
  const char *p = line + sizeof head - 1;
  for (; *p >= '0' && *p <= '9' && number < INT32_MAX; p++)
    number = number * 10 + *p - '0';
  return *p == ',' ? number : 0;
}

/* ---- Failures ---- */

static bool fail(struct cs_journal_failure *failure, const char *code, int number,
                 long line) {
  *failure = (struct cs_journal_failure){.code = code, .number = number, .line = line};
  return false;
}

static bool fail_errno(struct cs_journal_failure *failure) {
  const char *code = "io";
  switch (errno) {
  case EEXIST:
    code = "exists";
    break;
  case EWOULDBLOCK:
    code = "locked";
    break;
  case ENOENT:
  case ENOTDIR:
    code = "missing";
    break;
  case EACCES:
  case EPERM:
  case EROFS:
  case EISDIR:
    code = "denied";
    break;
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    code = "full";
    break;
  case ENOMEM:
    code = "memory";
    break;
  default:
    break;
  }
  return fail(failure, code, errno, 0);
}

/* ---- Reading ---- */

/* Makes room and reads on; false at the end of the file (no code) and on failure. */
static bool refill(const struct cs_journal *journal, struct cs_journal_cursor *cursor,
                   struct cs_journal_failure *failure) {
  if (cursor->start > 0) {
    memmove(cursor->window, cursor->window + cursor->start, cursor->length);
    cursor->start = 0;
  }
  if (cursor->capacity - cursor->length < WINDOW / 2) {
    size_t capacity = cursor->capacity ? cursor->capacity * 2 : WINDOW;
    char *window = realloc(cursor->window, capacity);
    if (!window) return fail(failure, "memory", ENOMEM, 0);
    cursor->window = window;
    cursor->capacity = capacity;
  }
  ssize_t n;
  do {
    n = pread(journal->fd, cursor->window + cursor->length,
              cursor->capacity - cursor->length, cursor->offset);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno(failure);
  cursor->offset += n;
  cursor->length += (size_t)n;
  return n > 0;
}

/* The next line that ends with a newline. One that is longer than a record can be is
   given as empty, in pieces: it is none. */
static bool next_line(const struct cs_journal *journal, struct cs_journal_cursor *cursor,
                      const char **line, size_t *n, struct cs_journal_failure *failure) {
  size_t looked = 0;
  failure->code = NULL;
  for (;;) {
    const char *from = cursor->window + cursor->start;
    const char *newline = cursor->length > looked
                            ? memchr(from + looked, '\n', cursor->length - looked)
                            : NULL;
    if (newline || cursor->length > CS_JOURNAL_MAX_RECORD) {
      size_t taken = newline ? (size_t)(newline - from) + 1 : cursor->length;
      *line = from;
      *n = newline ? taken - 1 : 0;
      cursor->start += taken;
      cursor->length -= taken;
      cursor->line++;
      return true;
    }
    looked = cursor->length;
    if (!refill(journal, cursor, failure)) return false;
  }
}

/* Reads it all: counts the whole records, and finds where they end. */
static bool scan(struct cs_journal *journal, struct cs_journal_failure *failure) {
  struct cs_journal_cursor cursor = {.window = NULL};
  const char *line;
  size_t n;
  long damaged = 0;
  while (next_line(journal, &cursor, &line, &n, failure)) {
    long number = number_of(journal, line, n);
    if (number == 0) {
      if (damaged == 0) damaged = cursor.line;
    } else if (damaged != 0 || number != journal->count + 1) {
      (void)fail(failure, "damaged", 0, damaged ? damaged : cursor.line);
      break;
    } else {
      journal->count++;
      journal->end += (off_t)n + 1;
    }
  }
  cs_journal_cursor_free(&cursor);
  if (!failure->code && journal->count == 0) (void)fail(failure, "empty", 0, 0);
  return failure->code == NULL;
}

bool cs_journal_next(struct cs_journal *journal, struct cs_journal_cursor *cursor,
                     const char **line, size_t *length,
                     struct cs_journal_failure *failure) {
  failure->code = NULL;
  if (cursor->line >= journal->count) return false;
  if (journal->waiting > 0 && !cs_journal_flush(journal, failure)) return false;
  if (!next_line(journal, cursor, line, length, failure)) {
    /* Somebody has cut the file under the reader. */
    return failure->code ? false : fail(failure, "damaged", 0, cursor->line + 1);
  }
  if (number_of(journal, *line, *length) != cursor->line)
    return fail(failure, "damaged", 0, cursor->line);
  return true;
}

void cs_journal_cursor_free(struct cs_journal_cursor *cursor) {
  free(cursor->window);
  *cursor = (struct cs_journal_cursor){.window = NULL};
}

/* ---- Life ---- */

static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return strdup(".");
  return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static bool open_file(struct cs_journal *journal, const char *path,
                      enum cs_journal_mode mode, struct cs_journal_failure *failure) {
  static const int flags[] = {[CS_JOURNAL_CREATE] = O_RDWR | O_CREAT | O_EXCL,
                              [CS_JOURNAL_OPEN] = O_RDWR,
                              [CS_JOURNAL_READ] = O_RDONLY};
  do {
    journal->fd = open(path, flags[mode] | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR);
  } while (journal->fd < 0 && errno == EINTR);
  if (journal->fd < 0) return fail_errno(failure);
  struct stat info;
  if (fstat(journal->fd, &info) != 0) return fail_errno(failure);
  if (!S_ISREG(info.st_mode)) return fail(failure, "denied", 0, 0);
  journal->writable = mode != CS_JOURNAL_READ;
  if (!journal->writable) return true;
  int status;
  do status = flock(journal->fd, LOCK_EX | LOCK_NB);
  while (status != 0 && errno == EINTR);
  if (status != 0) return fail_errno(failure);
  /* A umask can only take away; this takes nothing for granted. */
  if (mode == CS_JOURNAL_CREATE && fchmod(journal->fd, S_IRUSR | S_IWUSR) != 0)
    return fail_errno(failure);
  return true;
}

struct cs_journal *cs_journal_open(const char *path, enum cs_journal_mode mode,
                                   struct cs_journal_failure *failure) {
  failure->code = NULL;
  struct cs_journal *journal = calloc(1, sizeof *journal);
  if (!journal) {
    (void)fail(failure, "memory", ENOMEM, 0);
    return NULL;
  }
  journal->fd = -1;
  cs_fork_mark_set(&journal->mark);
  make_tables(journal->crc);
  bool ready = open_file(journal, path, mode, failure);
  if (ready && mode != CS_JOURNAL_CREATE) ready = scan(journal, failure);
  if (ready && mode == CS_JOURNAL_OPEN && ftruncate(journal->fd, journal->end) != 0)
    ready = fail_errno(failure);
  if (ready && journal->writable) {
    journal->pending = malloc(PENDING);
    if (mode == CS_JOURNAL_CREATE) journal->folder = folder_of(path);
    if (!journal->pending || (mode == CS_JOURNAL_CREATE && !journal->folder))
      ready = fail(failure, "memory", ENOMEM, 0);
  }
  if (ready) return journal;
  cs_journal_free(journal);
  return NULL;
}

void cs_journal_free(struct cs_journal *journal) {
  if (!journal) return;
  /* The lock belongs to the open file, so a child that closes its copy leaves it held. */
  if (journal->fd >= 0) (void)close(journal->fd);
  cs_fork_mark_clear(&journal->mark);
  free(journal->pending);
  free(journal->folder);
  free(journal);
}

bool cs_journal_forked(const struct cs_journal *journal) {
  return cs_forked(&journal->mark);
}

long cs_journal_count(const struct cs_journal *journal) { return journal->count; }

/* ---- Writing ---- */

/* Takes back what is not a whole record, so that the file stays readable. */
static bool break_off(struct cs_journal *journal, size_t written,
                      struct cs_journal_failure *failure) {
  (void)fail_errno(&journal->broken);
  size_t kept = 0;
  for (size_t i = 0; i < written; i++) {
    if (journal->pending[i] == '\n') kept = i + 1;
  }
  for (size_t i = kept; i < journal->waiting; i++) {
    if (journal->pending[i] == '\n') journal->count--;
  }
  journal->end += (off_t)kept;
  journal->waiting = 0;
  /* If this fails, too, the next one to open it finds a torn tail. */
  while (ftruncate(journal->fd, journal->end) != 0 && errno == EINTR) continue;
  *failure = journal->broken;
  return false;
}

static bool usable(const struct cs_journal *journal, struct cs_journal_failure *failure) {
  *failure = journal->broken;
  return failure->code == NULL;
}

bool cs_journal_flush(struct cs_journal *journal, struct cs_journal_failure *failure) {
  if (!usable(journal, failure)) return false;
  size_t written = 0;
  while (written < journal->waiting) {
    ssize_t n = pwrite(journal->fd, journal->pending + written,
                       journal->waiting - written, journal->end + (off_t)written);
    if (n > 0) {
      written += (size_t)n;
    } else if (n == 0) {
      errno = ENOSPC;
      return break_off(journal, written, failure);
    } else if (errno != EINTR) {
      return break_off(journal, written, failure);
    }
  }
  journal->end += (off_t)written;
  journal->waiting = 0;
  return true;
}

/* A record that is longer than all that may wait goes out alone. */
static bool make_room(struct cs_journal *journal, size_t needed, char **own,
                      struct cs_journal_failure *failure) {
  *own = NULL;
  if (journal->waiting + needed > PENDING && !cs_journal_flush(journal, failure))
    return false;
  if (needed <= PENDING) return true;
  *own = malloc(needed);
  return *own ? true : fail(failure, "memory", ENOMEM, 0);
}

static size_t write_record(const struct cs_journal *journal, char *into, const char *text,
                           size_t length) {
  size_t n = (size_t)snprintf(into, NUMBER, "%s%ld,", head, journal->count + 1);
  memcpy(into + n, text, length);
  n += length;
  uint32_t crc = crc_of(journal, into, n);
  memcpy(into + n, check_name, sizeof check_name - 1);
  n += sizeof check_name - 1;
  for (int i = 7; i >= 0; i--, crc >>= 4)
    into[n + (size_t)i] = "0123456789abcdef"[crc & 15];
  n += 8;
  memcpy(into + n, "\"}\n", 3);
  return n + 3;
}

bool cs_journal_append(struct cs_journal *journal, const char *text, size_t length,
                       struct cs_journal_failure *failure) {
  if (!usable(journal, failure)) return false;
  size_t needed = NUMBER + length + CHECK + 1;
  if (needed > CS_JOURNAL_MAX_RECORD) return fail(failure, "too_large", 0, 0);
  char *own;
  if (!make_room(journal, needed, &own, failure)) return false;
  if (!own) {
    journal->waiting +=
      write_record(journal, journal->pending + journal->waiting, text, length);
    journal->count++;
    return true;
  }
  char *pending = journal->pending;
  journal->pending = own;
  journal->waiting = write_record(journal, own, text, length);
  journal->count++;
  bool ok = cs_journal_flush(journal, failure);
  journal->pending = pending;
  free(own);
  return ok;
}

/* The name of a new file is on the disk when its folder is. */
static bool sync_folder(struct cs_journal *journal, struct cs_journal_failure *failure) {
  int fd = open(journal->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno(failure);
  int status = fsync(fd);
  int number = errno;
  (void)close(fd);
  errno = number;
  if (status != 0 && errno != EINVAL) return fail_errno(failure); /* cannot: no need to */
  free(journal->folder);
  journal->folder = NULL;
  return true;
}

bool cs_journal_sync(struct cs_journal *journal, struct cs_journal_failure *failure) {
  if (!cs_journal_flush(journal, failure)) return false;
  int status;
  do status = fsync(journal->fd);
  while (status != 0 && errno == EINTR);
  if (status != 0) {
    (void)fail_errno(&journal->broken); /* what is on the disk is not known any more */
    *failure = journal->broken;
    return false;
  }
  return journal->folder ? sync_folder(journal, failure) : true;
}
