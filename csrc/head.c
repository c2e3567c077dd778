/* SPDX-License-Identifier: MIT */
/* See head.h. */
#define _POSIX_C_SOURCE 200809L /* strncasecmp */
#include "head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct header {
  const char *name, *value; /* not terminated */
  size_t name_length, value_length;
};

/* Steps to the next "Name: value" line; others, like the status line, are skipped. */
static bool next_header(const char **cursor, const char *end, struct header *header) {
  while (*cursor < end) {
    const char *line = *cursor;
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop) stop = end;
    *cursor = stop < end ? stop + 1 : end;
    const char *colon = memchr(line, ':', (size_t)(stop - line));
    if (!colon || colon == line) continue;
    const char *value = colon + 1;
    while (value < stop && (*value == ' ' || *value == '\t')) value++;
    while (stop > value && isspace((unsigned char)stop[-1])) stop--;
    *header =
      (struct header){line, value, (size_t)(colon - line), (size_t)(stop - value)};
    return true;
  }
  return false;
}

int cs_head_push_request_id(lua_State *L, const struct cs_request *request) {
  static const char *const names[] = {"x-request-id", "request-id", "x-correlation-id"};
  const char *cursor = cs_buffer_text(&request->head);
  const char *end = cursor + request->head.length;
  struct header header;
  while (next_header(&cursor, end, &header)) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
      if (header.name_length == strlen(names[i]) && header.value_length > 0 &&
          strncasecmp(header.name, names[i], header.name_length) == 0) {
        lua_pushlstring(L, header.value, header.value_length);
        return 1;
      }
    }
  }
  return 0;
}

void cs_head_push_reason(lua_State *L, const struct cs_request *request) {
  const char *line = cs_buffer_text(&request->head);
  const char *end = line + strcspn(line, "\r\n");
  const char *code = memchr(line, ' ', (size_t)(end - line));
  const char *reason = code ? memchr(code + 1, ' ', (size_t)(end - code - 1)) : NULL;
  while (reason && end > reason && end[-1] == ' ') end--;
  if (reason && end > reason) {
    lua_pushlstring(L, reason + 1, (size_t)(end - reason - 1));
  } else {
    lua_pushliteral(L, "no reason given");
  }
}

static void push_lower(lua_State *L, const char *text, size_t n) {
  luaL_Buffer lower;
  char *p = luaL_buffinitsize(L, &lower, n);
  for (size_t i = 0; i < n; i++) p[i] = (char)tolower((unsigned char)text[i]);
  luaL_pushresultsize(&lower, n);
}

void cs_head_push(lua_State *L, const struct cs_request *request) {
  const char *cursor = cs_buffer_text(&request->head);
  const char *end = cursor + request->head.length;
  struct header header;
  lua_newtable(L);
  while (next_header(&cursor, end, &header)) {
    push_lower(L, header.name, header.name_length);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TSTRING) {
      lua_pushliteral(L, ", ");
      lua_pushlstring(L, header.value, header.value_length);
      lua_concat(L, 3);
    } else {
      lua_pop(L, 1);
      lua_pushlstring(L, header.value, header.value_length);
    }
    lua_rawset(L, -3);
  }
}
