/* SPDX-License-Identifier: MIT */
/* See json.h. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The code unit of an escape ("\\ud83d"); -1 when there is none at p. */
static long unit_at(const char *p, const char *end) {
  if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return -1;
  const char digits[] = {p[2], p[3], p[4], p[5], '\0'};
  if (strspn(digits, "0123456789abcdefABCDEF") < 4) return -1;
  return strtol(digits, NULL, 16);
}

/* The next escape of half a surrogate pair; NULL when there is none. */
static const char *find_half(const char *p, const char *end) {
  while (p < end && (p = memchr(p, '\\', (size_t)(end - p)))) {
    long unit = unit_at(p, end), next = unit < 0 ? -1 : unit_at(p + 6, end);
    bool pair = unit >= 0xD800 && unit < 0xDC00 && next >= 0xDC00 && next < 0xE000;
    if (unit >= 0xD800 && unit < 0xE000 && !pair) return p;
    p += pair ? 12 : 2;
  }
  return NULL;
}

/* The text below the top, mended, in the place of the top: U+FFFD for each half pair,
   which some services send where they cut a text; false when there are none. */
static bool mend(lua_State *L) {
  static const char mark[6] = {'\\', 'u', 'f', 'f', 'f', 'd'};
  size_t n;
  const char *text = lua_tolstring(L, -2, &n);
  const char *half = find_half(text, text + n);
  if (!half) return false;
  luaL_Buffer buffer;
  char *copy = luaL_buffinitsize(L, &buffer, n);
  memcpy(copy, text, n);
  for (; half; half = find_half(half + 6, text + n))
    memcpy(copy + (half - text), mark, sizeof mark);
  luaL_pushresultsize(&buffer, n);
  lua_replace(L, -2);
  return true;
}

/* The text on top becomes what lua-cjson makes of it, or a message. */
static bool parse(lua_State *L) {
  (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &decode_key);
  lua_insert(L, -2);
  int status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_ERRMEM) (void)lua_error(L); /* says nothing about the text */
  return status == LUA_OK;
}

/* The text on top becomes its value, or a message; true when it is a value. */
static int decode(lua_State *L) {
  lua_pushvalue(L, -1);
  bool parsed = parse(L) || (mend(L) && parse(L));
  lua_remove(L, -2);
  if (!parsed) return 0;
  if (lua_type(L, -1) == LUA_TTABLE) {
    clean(L);
  } else if (lua_type(L, -1) == LUA_TNUMBER && push_integer(L, -1)) {
    lua_remove(L, -2);
  }
  return 1;
}

int cs_json_decode(lua_State *L, const char *text, size_t length) {
  skip_mark(&text, &length);
  lua_pushlstring(L, text, length);
  return decode(L);
}

int cs_json_decode_string(lua_State *L) {
  size_t n;
  luaL_checktype(L, 1, LUA_TSTRING);
  lua_settop(L, 1);
  const char *text = lua_tolstring(L, 1, &n);
  bool marked = n > 0 && text[0] == '\xEF';
  if (marked ? cs_json_decode(L, text, n) : decode(L)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
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

bool cs_json_is_utf8(const char *bytes, size_t n) {
  const unsigned char *p = (const unsigned char *)bytes, *end = p + n;
  while (p < end) {
    size_t length = sequence(p, (size_t)(end - p));
    if (length == 0) return false;
    p += length;
  }
  return true;
}

static bool is_plain(unsigned char c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* How many bytes at p go out as they are. */
static size_t run_of(const unsigned char *p, const unsigned char *end) {
  const unsigned char *start = p;
  for (;;) {
    while (p < end && is_plain(*p)) p++;
    size_t length = p < end && *p >= 0x80 ? sequence(p, (size_t)(end - p)) : 0;
    if (length == 0) return (size_t)(p - start);
    p += length;
  }
}

/* Writes the escape that stands for a byte that does not go out as it is; 0 for one that
   is no part of UTF-8. */
static size_t escape(unsigned char c, char out[6]) {
  static const char hexadecimal[] = "0123456789abcdef";
  if (c >= 0x80) return 0;
  out[0] = '\\';
  out[1] = (char)c;
  if (c >= 0x20) return 2;
  out[1] = 'u';
  out[2] = out[3] = '0';
  out[4] = hexadecimal[c >> 4];
  out[5] = hexadecimal[c & 0xF];
  return 6;
}

enum cs_status cs_json_append_string(struct cs_buffer *buffer, const char *bytes,
                                     size_t n) {
  const unsigned char *p = (const unsigned char *)bytes, *end = p + n;
  char text[6];
  enum cs_status status = cs_buffer_append(buffer, "\"", 1);
  while (status == CS_OK) {
    size_t length = run_of(p, end);
    status = cs_buffer_append(buffer, p, length);
    p += length;
    if (status != CS_OK || p == end) break;
    length = escape(*p++, text);
    if (length == 0) return CS_INVALID;
    status = cs_buffer_append(buffer, text, length);
  }
  return status == CS_OK ? cs_buffer_append(buffer, "\"", 1) : status;
}

int cs_json_quote(lua_State *L) {
  size_t n;
  char text[6];
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *bytes = lua_tolstring(L, 1, &n);
  const unsigned char *p = (const unsigned char *)bytes, *end = p + n;
  bool replace = lua_toboolean(L, 2) != 0;
  luaL_Buffer out;
  (void)luaL_buffinitsize(L, &out, n + 2);
  luaL_addchar(&out, '"');
  for (;;) {
    size_t length = run_of(p, end);
    luaL_addlstring(&out, (const char *)p, length);
    p += length;
    if (p == end) break;
    length = escape(*p++, text);
    luaL_argcheck(L, length > 0 || replace, 1, "valid UTF-8 expected, got other bytes");
    luaL_addlstring(&out, length > 0 ? text : "\xEF\xBF\xBD", length > 0 ? length : 3);
  }
  luaL_addchar(&out, '"');
  luaL_pushresult(&out);
  return 1;
}

/* ---- Numbers ---- */

/* The locale's decimal point, whatever its bytes, becomes a point. */
static void put_point(char *text) {
  static const char known[] = "0123456789+-eE";
  char *end = text + strspn(text, known), *rest = end;
  if (!*rest) return;
  while (*rest && !strchr(known, *rest)) rest++;
  *end = '.';
  memmove(end + 1, rest, strlen(rest) + 1);
}

void cs_json_write_number(double number, char text[32]) {
  if (floor(number) >= number && fabs(number) <= (double)exact_limit) {
    (void)snprintf(text, 32, "%.0f", number + 0.0); /* not 1e+15, and not -0 */
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    (void)snprintf(text, 32, "%.*g", digits, number);
    double back = strtod(text, NULL);
    if (back >= number && back <= number) break;
  }
  put_point(text);
}
