/* SPDX-License-Identifier: MIT */
/* See json.h. */
#include "json.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 100 };

static const char decode_key = 0, null_key = 0; /* their addresses: registry keys */
static const lua_Number exact_limit = 9007199254740992.0; /* 2^53 */

static void set(lua_State *L, int module, const char *name, int value, int is_boolean) {
  lua_getfield(L, module, name);
  if (lua_isnil(L, -1)) { /* a lua-cjson without that setting */
    lua_pop(L, 1);
    return;
  }
  if (is_boolean) {
    lua_pushboolean(L, value);
  } else {
    lua_pushinteger(L, value);
  }
  lua_call(L, 1, 0);
}

void cs_json_open(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_call(L, 0, 1);
  int module = lua_gettop(L);
  set(L, module, "decode_max_depth", MAX_DEPTH, 0);
  set(L, module, "decode_invalid_numbers", 0, 1);
  lua_getfield(L, module, "decode");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &decode_key);
  lua_getfield(L, module, "null");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &null_key);
  lua_pop(L, 2);
}

void cs_json_push_null(lua_State *L) {
  (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
}

/* A whole number that a double holds exactly becomes an integer; true if it does. */
static int push_integer(lua_State *L, int index) {
  lua_Number number = lua_tonumber(L, index);
  if (lua_isinteger(L, index) || floor(number) < number || fabs(number) > exact_limit)
    return 0;
  lua_pushinteger(L, (lua_Integer)number);
  return 1;
}

/* Walks the table on top, whose depth the decoder has bounded. Existing fields may be
   changed and cleared during the traversal. Keys of objects are strings, those of arrays
   are not: that is how a null to drop is told from a null that keeps its place. */
static void clean(lua_State *L) {
  int table = lua_gettop(L);
  luaL_checkstack(L, 4, "JSON is nested too deep");
  lua_pushnil(L);
  while (lua_next(L, table)) {
    int replaced = 0;
    switch (lua_type(L, -1)) {
    case LUA_TTABLE:
      clean(L);
      break;
    case LUA_TNUMBER:
      replaced = push_integer(L, -1);
      break;
    case LUA_TLIGHTUSERDATA:
      if (lua_type(L, -2) == LUA_TSTRING) {
        lua_pushnil(L);
        replaced = 1;
      }
      break;
    default:
      break;
    }
    if (replaced) {
      lua_pushvalue(L, -3); /* key, value, new -> key, value, new, key */
      lua_insert(L, -2);
      lua_rawset(L, table);
    }
    lua_pop(L, 1);
  }
}

/* A byte order mark is not JSON (RFC 8259 8.1), but some servers send one. */
static void skip_mark(const char **text, size_t *length) {
  if (*length >= 3 && memcmp(*text, "\xEF\xBB\xBF", 3) == 0) {
    *text += 3;
    *length -= 3;
  }
}

int cs_json_decode(lua_State *L, const char *text, size_t length) {
  skip_mark(&text, &length);
  (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &decode_key);
  lua_pushlstring(L, text, length);
  int status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_ERRMEM) return lua_error(L); /* says nothing about the text */
  if (status != LUA_OK) return 0;
  if (lua_type(L, -1) == LUA_TTABLE) {
    clean(L);
  } else if (lua_type(L, -1) == LUA_TNUMBER && push_integer(L, -1)) {
    lua_remove(L, -2);
  }
  return 1;
}

/* ---- Strings ---- */

/* Length of the UTF-8 sequence at p (RFC 3629), 0 when there is none. */
static size_t sequence(const unsigned char *p, size_t left) {
  unsigned char c = p[0];
  size_t n = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
  if (n == 0 || n > left) return 0;
  for (size_t i = 1; i < n; i++) {
    if ((p[i] & 0xC0) != 0x80) return 0;
  }
  if (c == 0xE0 && p[1] < 0xA0) return 0; /* overlong */
  if (c == 0xED && p[1] > 0x9F) return 0; /* surrogate */
  if (c == 0xF0 && p[1] < 0x90) return 0; /* overlong */
  if (c == 0xF4 && p[1] > 0x8F) return 0; /* beyond U+10FFFF */
  return n;
}

static bool is_plain(unsigned char c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

int cs_json_quote(lua_State *L) {
  static const char hex[] = "0123456789abcdef";
  size_t n;
  const unsigned char *p = (const unsigned char *)luaL_checklstring(L, 1, &n);
  const unsigned char *end = p + n;
  luaL_Buffer text;
  char *out = luaL_buffinitsize(L, &text, 6 * n + 2), *at = out;
  *at++ = '"';
  while (p < end) {
    size_t length = is_plain(*p) ? 1 : sequence(p, (size_t)(end - p));
    if (length == 0) { /* U+FFFD, the replacement character */
      memcpy(at, "\xEF\xBF\xBD", 3);
      at += 3;
      p++;
    } else if (*p >= 0x80 || is_plain(*p)) {
      memcpy(at, p, length);
      at += length;
      p += length;
    } else if (*p >= 0x20) {
      *at++ = '\\';
      *at++ = (char)*p++;
    } else {
      memcpy(at, "\\u00", 4);
      at[4] = hex[*p >> 4];
      at[5] = hex[*p++ & 15];
      at += 6;
    }
  }
  *at++ = '"';
  luaL_pushresultsize(&text, (size_t)(at - out));
  return 1;
}

int cs_json_decode_text(lua_State *L) {
  size_t n;
  const char *text = luaL_checklstring(L, 1, &n);
  if (cs_json_decode(L, text, n)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

enum cs_status cs_json_append_string(struct cs_buffer *buffer, const char *bytes,
                                     size_t n) {
  const unsigned char *p = (const unsigned char *)bytes, *end = p + n, *run = p;
  enum cs_status status = cs_buffer_append(buffer, "\"", 1);
  while (p < end && status == CS_OK) {
    if (is_plain(*p)) {
      p++;
      continue;
    }
    size_t length = sequence(p, (size_t)(end - p));
    if (length == 0) return CS_INVALID;
    unsigned char c = *p;
    if (c >= 0x80) {
      p += length;
      continue;
    }
    char escape[8];
    int width = c >= 0x20 ? snprintf(escape, sizeof escape, "\\%c", c)
                          : snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
    status = cs_buffer_append(buffer, run, (size_t)(p - run));
    if (status == CS_OK) status = cs_buffer_append(buffer, escape, (size_t)width);
    run = ++p;
  }
  if (status == CS_OK) status = cs_buffer_append(buffer, run, (size_t)(p - run));
  if (status == CS_OK) status = cs_buffer_append(buffer, "\"", 1);
  return status;
}
