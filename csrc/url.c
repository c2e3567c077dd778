/* SPDX-License-Identifier: MIT */
/* See url.h. */
#include "url.h"

#include <string.h>

bool cs_url_next_param(const char **cursor, struct cs_url_param *param) {
  const char *open = strchr(*cursor, '{');
  const char *close = open ? strchr(open, '}') : NULL;
  if (!close) return false;
  param->name = open + 1;
  param->length = (size_t)(close - param->name);
  *cursor = close + 1;
  return true;
}

static bool is_unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         c == '-' || c == '.' || c == '_' || c == '~';
}

static int hex_value(int c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

enum { DEPTH = 4 }; /* how often the digits of an escape may be escaped themselves */

/* The byte at *p as the last of many decoders would see it: %252E is a dot, too, for a
   server behind a proxy that both decode. Steps behind it; half an escape is a '%'. */
static int decoded_byte(const char **p, const char *end, int depth) {
  int c = (unsigned char)*(*p)++;
  while (c == '%' && depth > 0) {
    const char *at = *p;
    int high = at < end ? hex_value(decoded_byte(&at, end, depth - 1)) : -1;
    int low = high >= 0 && at < end ? hex_value(decoded_byte(&at, end, depth - 1)) : -1;
    if (low < 0) break;
    *p = at;
    c = high * 16 + low;
  }
  return c;
}

static bool is_slash(int c) { return c == '/' || c == '\\'; }

/* A segment ends where some server could see its end: parameters (RFC 3986 3.3) are cut
   off before dot segments are resolved, and a backslash is taken for a slash. */
static bool ends_segment(int c) { return is_slash(c) || c == ';' || c == '\0'; }

/* A proxy that decodes %2F before it resolves dot segments would turn them into another
   path, so encoding alone is not enough. */
static const char *segment_problem(const char *text, size_t n, bool may_be_empty) {
  const char *p = text, *end = text + n;
  int length = 0, dots = 0, begun_by = 0;
  for (;;) {
    bool last = p == end;
    int c = last ? 0 : decoded_byte(&p, end, DEPTH);
    if (!ends_segment(c)) {
      length++;
      if (c == '.') dots++;
      continue;
    }
    if (dots == length && (dots == 1 || dots == 2)) return "one with a dot segment";
    if (last) return NULL;
    if (length == 0 && is_slash(begun_by) && !may_be_empty)
      return "one with an empty segment";
    begun_by = c;
    length = dots = 0;
  }
}

static bool is_control(int c) { return c < 0x20 || c == 0x7f; }

const char *cs_url_id_problem(const char *id, size_t length) {
  if (length == 0) return "an empty string";
  for (size_t i = 0; i < length; i++) {
    if (is_control((unsigned char)id[i])) return "one with a control character";
  }
  return segment_problem(id, length, true);
}

const char *cs_url_path_problem(const char *path) {
  if (path[0] != '/') return "one that does not begin with '/'";
  if (strpbrk(path, "?#")) return "one with '?' or '#' (a query has its own field)";
  if (strstr(path, "//")) return "one with '//'";
  if (strchr(path, '\\')) return "one with a backslash";
  if (strpbrk(path, "{}")) return "one with braces, whose ids are missing";
  for (const char *p = path; *p; p++) {
    int c = (unsigned char)*p;
    if (c == '%') {
      int high = hex_value(p[1]), low = high < 0 ? -1 : hex_value(p[2]);
      if (low < 0) return "one with a '%' that begins no escape";
      c = high * 16 + low;
    }
    if (is_control(c)) return "one with a control character";
  }
  return segment_problem(path, strlen(path), false);
}

enum cs_status cs_url_append_encoded(struct cs_buffer *buffer, const char *bytes,
                                     size_t n) {
  static const char hex[] = "0123456789ABCDEF";
  const char *run = bytes;
  for (const char *p = bytes; p < bytes + n; p++) {
    unsigned char c = (unsigned char)*p;
    if (is_unreserved(c)) continue;
    char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
    enum cs_status status = cs_buffer_append(buffer, run, (size_t)(p - run));
    if (status == CS_OK) status = cs_buffer_append(buffer, escape, sizeof escape);
    if (status != CS_OK) return status;
    run = p + 1;
  }
  return cs_buffer_append(buffer, run, (size_t)(bytes + n - run));
}

enum cs_status cs_url_append_path(struct cs_buffer *buffer, const char *path) {
  static const char kept[] = "/%!$&'()*+,;=:@"; /* beside unreserved ones */
  enum cs_status status = CS_OK;
  while (*path && status == CS_OK) {
    size_t n = 0;
    while (path[n] && (is_unreserved((unsigned char)path[n]) || strchr(kept, path[n])))
      n++;
    status = cs_buffer_append(buffer, path, n);
    path += n;
    if (status == CS_OK && *path) status = cs_url_append_encoded(buffer, path++, 1);
  }
  return status;
}

enum cs_status cs_url_append_query(struct cs_buffer *buffer, bool first, const char *name,
                                   const char *value, size_t length) {
  enum cs_status status = cs_buffer_append(buffer, first ? "?" : "&", 1);
  if (status == CS_OK) status = cs_url_append_encoded(buffer, name, strlen(name));
  if (status == CS_OK) status = cs_buffer_append(buffer, "=", 1);
  if (status == CS_OK) status = cs_url_append_encoded(buffer, value, length);
  return status;
}
