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
