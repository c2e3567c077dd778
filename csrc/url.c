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

enum cs_status cs_url_append_query(struct cs_buffer *buffer, bool first, const char *name,
                                   const char *value, size_t length) {
  enum cs_status status = cs_buffer_append(buffer, first ? "?" : "&", 1);
  if (status == CS_OK) status = cs_url_append_encoded(buffer, name, strlen(name));
  if (status == CS_OK) status = cs_buffer_append(buffer, "=", 1);
  if (status == CS_OK) status = cs_url_append_encoded(buffer, value, length);
  return status;
}
