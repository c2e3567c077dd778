/* SPDX-License-Identifier: MIT */
/*
 * One record of a journal: a line of JSON with a number in front and a check at the end,
 *
 *   {"record":7,"kind":"plan","user":"u1","check":"0badcafe"}
 *
 * The check is the CRC-32C, as eight hexadecimal digits, of all bytes before `,"check"`.
 * Pure: bytes in, bytes out; what stands between the two is the caller's, but for the
 * people of a plan: they are most of every journal, and read again and again.
 */
#ifndef CS_RECORD_H
#define CS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crc32c.h"

#pragma GCC visibility push(hidden)

enum { CS_RECORD_FRAME = 64 }; /* more than number, check and newline take */

/* Writes the line with its newline, which takes n + CS_RECORD_FRAME bytes at most; gives
   how many it took. */
size_t cs_record_write(const struct cs_crc32c *crc, char *out, int64_t number,
                       const char *text, size_t n);

/* The number of the record that the line is, without its newline; 0 when it is none. */
int64_t cs_record_number(const struct cs_crc32c *crc, const char *line, size_t n);

/* The number that the line claims, unchecked; 0 when it claims none. */
int64_t cs_record_claim(const char *line, size_t n);

/* Whether the line, which had a newline, was once written whole, for all its check says;
   or has a record in it, though it is none. */
bool cs_record_was_whole(const char *line, size_t n);
bool cs_record_inside(const struct cs_crc32c *crc, const char *line, size_t n);

/* A piece of a line; no text where there is none. */
struct cs_piece {
  const char *text;
  size_t n;
};

/* What the record of a person in a plan says,
     {"record":7,"kind":"plan","person":3,"line":5,"user":"u1","email":"a@b.c","before":…
   `change` is from "before" to the end of what the record says. When something else
   stands in front of it, or what needs a JSON decoder, `other` is all that follows the
   line. */
struct cs_record_person {
  int64_t number, line;
  struct cs_piece user, email, other, change;
};

/* Whether the line, a record, is of the kind `kind`. */
bool cs_record_is(const char *line, size_t n, const char *kind);

/* Reads the record of a person; false when it is none. */
bool cs_record_person(const char *line, size_t n, struct cs_record_person *person);

#pragma GCC visibility pop

#endif
