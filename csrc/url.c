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

static bool is_dot_segment(const char *part, size_t length) {
  return (length == 1 && part[0] == '.') ||
         (length == 2 && part[0] == '.' && part[1] == '.');
}

/* A proxy that decodes %2F before it resolves dot segments would turn such an id into
   another path, so encoding alone is not enough. */
const char *cs_url_id_problem(const char *id, size_t length) {
  if (length == 0) return "an empty string";
  const char *part = id;
  for (const char *p = id; p <= id + length; p++) {
    if (p == id + length || *p == '/' || *p == '\\') {
      if (is_dot_segment(part, (size_t)(p - part))) return "one with a dot segment";
      part = p + 1;
    } else if ((unsigned char)*p < 0x20 || *p == 0x7f) {
      return "one with a control character";
    }
  }
  return NULL;
}

static bool is_unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         c == '-' || c == '.' || c == '_' || c == '~';
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* The byte at *p, with its escape resolved; steps behind it. -1 for half an escape. */
static int next_byte(const char **p) {
  const char *at = (*p)++;
  if (*at != '%') return (unsigned char)*at;
  int high = hex_value(at[1]), low = high < 0 ? -1 : hex_value(at[2]);
  *p = at + 3;
  return low < 0 ? -1 : high * 16 + low;
}

/* A segment ends where some server could see its end: parameters (RFC 3986 3.3) are cut
   off before dot segments are resolved, and a backslash is taken for a slash. */
static bool ends_segment(int c) { return c == '/' || c == '\\' || c == ';' || c == '\0'; }

const char *cs_url_path_problem(const char *path) {
  if (path[0] != '/') return "one that does not begin with '/'";
  if (strpbrk(path, "?#")) return "one with '?' or '#' (a query has its own field)";
  if (strstr(path, "//")) return "one with '//'";
  if (strchr(path, '\\')) return "one with a backslash";
  if (strpbrk(path, "{}")) return "one with braces, whose ids are missing";
  int length = 0, dots = 0, c = 0;
  for (const char *p = path;;) {
    bool end = *p == '\0';
    c = end ? 0 : next_byte(&p);
    if (c < 0) return "one with a '%' that begins no escape";
    if (!end && (c < 0x20 || c == 0x7f)) return "one with a control character";
    if (ends_segment(c)) {
      if (dots == length && (dots == 1 || dots == 2)) return "one with a dot segment";
      length = dots = 0;
    } else {
      length++;
      if (c == '.') dots++;
    }
    if (end) return NULL;
  }
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
