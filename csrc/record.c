/* SPDX-License-Identifier: MIT */
/* See record.h. */
#include "record.h"

#include <string.h>

static const char head[] = "{\"record\":";
static const char tail[] = ",\"check\":\"";
static const char hexadecimal[] = "0123456789abcdef";

enum {
  HEAD = sizeof head - 1,
  TAIL = sizeof tail - 1,
  DIGITS = 8,              /* of the check */
  END = TAIL + DIGITS + 2, /* `,"check":"0badcafe"}` */
  MOST_DIGITS = 18         /* of a number */
};

static size_t put_number(char *out, int64_t number) {
  char digits[MOST_DIGITS + 2];
  size_t n = 0;
  do {
    digits[n++] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  for (size_t i = 0; i < n; i++) out[i] = digits[n - 1 - i];
  return n;
}

static void put_check(char *out, uint32_t check) {
  for (int i = DIGITS - 1; i >= 0; i--, check >>= 4) out[i] = hexadecimal[check & 0xF];
}

size_t cs_record_write(const struct cs_crc32c *crc, char *out, int64_t number,
                       const char *text, size_t n) {
  size_t length = HEAD;
  memcpy(out, head, HEAD);
  length += put_number(out + length, number);
  out[length++] = ',';
  memcpy(out + length, text, n);
  length += n;
  uint32_t check = cs_crc32c(crc, out, length);
  memcpy(out + length, tail, TAIL);
  put_check(out + length + TAIL, check);
  length += END;
  out[length - 2] = '"';
  out[length - 1] = '}';
  out[length++] = '\n';
  return length;
}

int64_t cs_record_claim(const char *line, size_t n) {
  int64_t number = 0;
  if (n < HEAD + 2 || memcmp(line, head, HEAD) != 0) return 0;
  for (size_t i = HEAD; i < n && i <= HEAD + MOST_DIGITS; i++) {
    if (line[i] == ',') return number;
    if (line[i] < '0' || line[i] > '9') return 0;
    number = number * 10 + (line[i] - '0');
  }
  return 0;
}

static bool has_tail(const char *line, size_t n) {
  return n > HEAD + END && memcmp(line + n - END, tail, TAIL) == 0 &&
         memcmp(line + n - 2, "\"}", 2) == 0;
}

int64_t cs_record_number(const struct cs_crc32c *crc, const char *line, size_t n) {
  char check[DIGITS];
  if (!has_tail(line, n)) return 0;
  put_check(check, cs_crc32c(crc, line, n - END));
  if (memcmp(check, line + n - DIGITS - 2, DIGITS) != 0) return 0;
  return cs_record_claim(line, n);
}

bool cs_record_was_whole(const char *line, size_t n) {
  if (memchr(line, '\0', n)) return false; /* blocks that were never written */
  if (n > 0 && line[n - 1] == '\r') n--;   /* an editor's doing */
  if (has_tail(line, n)) return true;
  return n > HEAD && memcmp(line, head, HEAD) == 0 && line[n - 1] == '}';
}

/* Looks at the last place where one may begin. */
bool cs_record_inside(const struct cs_crc32c *crc, const char *line, size_t n) {
  for (size_t i = n > HEAD ? n - HEAD : 0; i > 0; i--) {
    if (line[i] == '{' && memcmp(line + i, head, HEAD) == 0)
      return cs_record_number(crc, line + i, n - i) > 0;
  }
  return false;
}

/* ---- People ---- */

/* What is left of a line. */
struct cursor {
  const char *at, *end;
};

static bool skip(struct cursor *cursor, const char *text) {
  size_t n = strlen(text);
  if ((size_t)(cursor->end - cursor->at) < n || memcmp(cursor->at, text, n) != 0)
    return false;
  cursor->at += n;
  return true;
}

static bool skip_number(struct cursor *cursor, int64_t *number) {
  int digits = 0;
  *number = 0;
  for (; cursor->at < cursor->end && digits <= MOST_DIGITS; cursor->at++, digits++) {
    if (*cursor->at < '0' || *cursor->at > '9') break;
    *number = *number * 10 + (*cursor->at - '0');
  }
  return digits > 0 && digits <= MOST_DIGITS;
}

/* A field `"name":"text",` whose text needs no decoder. */
static bool skip_text(struct cursor *cursor, const char *name, struct cs_piece *piece) {
  struct cursor after = *cursor;
  if (!skip(&after, name)) return false;
  const char *quote = memchr(after.at, '"', (size_t)(after.end - after.at));
  if (!quote) return false;
  size_t n = (size_t)(quote - after.at);
  if (memchr(after.at, '\\', n)) return false;
  *piece = (struct cs_piece){after.at, n};
  after.at = quote + 1;
  if (!skip(&after, ",")) return false;
  *cursor = after;
  return true;
}

bool cs_record_is(const char *line, size_t n, const char *kind) {
  struct cursor cursor = {line, line + n};
  int64_t number;
  return skip(&cursor, head) && skip_number(&cursor, &number) &&
         skip(&cursor, ",\"kind\":\"") && skip(&cursor, kind) && skip(&cursor, "\"");
}

bool cs_record_person(const char *line, size_t n, struct cs_record_person *person) {
  static const char before[] = "\"before\":[";
  struct cursor cursor = {line, line + n - (has_tail(line, n) ? END : 1)};
  int64_t number;
  *person = (struct cs_record_person){.number = 0};
  if (!skip(&cursor, head) || !skip_number(&cursor, &number) ||
      !skip(&cursor, ",\"kind\":\"plan\",\"person\":") ||
      !skip_number(&cursor, &person->number) || !skip(&cursor, ",\"line\":") ||
      !skip_number(&cursor, &person->line) || !skip(&cursor, ","))
    return false;
  const char *rest = cursor.at;
  if (skip_text(&cursor, "\"user\":\"", &person->user))
    (void)skip_text(&cursor, "\"email\":\"", &person->email);
  const char *change = cursor.at;
  if (!skip(&cursor, before)) {
    while (change < cursor.end && !skip(&(struct cursor){change, cursor.end}, before))
      change++;
    if (change == cursor.end) return false;
    person->other = (struct cs_piece){rest, (size_t)(change - rest) - 1};
  }
  person->change = (struct cs_piece){change, (size_t)(cursor.end - change)};
  return true;
}
