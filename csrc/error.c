/* SPDX-License-Identifier: MIT */
/* See error.h. */
#include "error.h"

#include <stdio.h>
#include <string.h>

#include "head.h"
#include "json.h"
#include "url.h"

static const char type_name[] = "cipherscale.error";

enum {
  SHOWN_BODY = 4096,      /* bytes of a body in an error */
  QUOTED_BODY = 200,      /* bytes of a body as a message */
  LONGEST_MESSAGE = 1000, /* bytes */
  MOST_JOINED = 50,       /* messages of a list */
  LONGEST_NAME = 64,
  KEY_WORTH_BLANKING = 4 /* characters */
};

const char *cs_error_kind_name(enum cs_kind kind) {
  static const char *const names[] = {[CS_NO_FAILURE] = "none",
                                      [CS_NETWORK] = "network",
                                      [CS_TIMEOUT] = "timeout",
                                      [CS_TLS] = "tls",
                                      [CS_HTTP] = "http",
                                      [CS_DECODE] = "decode",
                                      [CS_TOO_LARGE_ANSWER] = "too_large",
                                      [CS_CANCELLED] = "cancelled",
                                      [CS_CLOSED] = "closed",
                                      [CS_REFUSED] = "refused",
                                      [CS_JOURNAL] = "journal"};
  return names[kind];
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* How many bytes at p spell the character, the longest way that fits: escaped as in JSON
   (\u002f, \/), as in a URL (%2F), or as it is; 0 when they do not. */
static size_t spelling(const char *p, const char *end, char c) {
  size_t prefix = *p == '%' ? 1 : 0;
  if (end - p >= 4 && memcmp(p, "\\u00", 4) == 0) prefix = 4;
  if (prefix > 0 && (size_t)(end - p) >= prefix + 2) {
    int high = hex_value(p[prefix]), low = hex_value(p[prefix + 1]);
    if (high >= 0 && low >= 0 && high * 16 + low == c) return prefix + 2;
  }
  if (*p == '\\' && end - p >= 2 && p[1] == c) return 2;
  return *p == c ? 1 : 0;
}

/* How many bytes at p spell the key; 0 when they do not. */
static size_t match(const char *p, const char *end, const char *key) {
  const char *start = p;
  size_t length = strlen(key);
  if ((size_t)(end - p) >= length && memcmp(p, key, length) == 0) return length;
  for (; *key; key++) {
    size_t n = p < end ? spelling(p, end, *key) : 0;
    if (n == 0) return 0;
    p += n;
  }
  return (size_t)(p - start);
}

void cs_error_blank(char *text, size_t length, const char *key) {
  if (!text || strlen(key) < KEY_WORTH_BLANKING) return;
  const char *end = text + length;
  for (char *p = text; p < end; p++) {
    size_t n = match(p, end, key);
    if (n > 0) memset(p, '*', n);
  }
}

/* Whether what is left is the beginning of an escaped character, or nothing. */
static int may_go_on(const char *p, const char *end) {
  return p == end || (end - p < 6 && (*p == '\\' || *p == '%'));
}

void cs_error_blank_cut(char *text, size_t length, const char *key) {
  size_t most = 6 * strlen(key); /* each \u002f */
  if (!text) return;
  char *end = text + length;
  for (char *p = length > most ? end - most : text; p < end; p++) {
    const char *at = p;
    size_t n = 1, known = 0, rest = (size_t)(end - p);
    while (key[known] && at < end && (n = spelling(at, end, key[known])) > 0) {
      at += n;
      known++;
    }
    int begins = known >= KEY_WORTH_BLANKING && may_go_on(at, end);
    int plainly = rest >= KEY_WORTH_BLANKING && strncmp(p, key, rest) == 0;
    if (begins || plainly) memset(p, '*', rest);
  }
}

/* ---- Nearest names ---- */

static int least(int a, int b, int c) {
  int ab = a < b ? a : b;
  return ab < c ? ab : c;
}

/* Levenshtein's distance; names beyond a sane length are simply far. */
static int distance(const char *a, const char *b) {
  int row[LONGEST_NAME + 1];
  size_t la = strlen(a), lb = strlen(b);
  if (la > LONGEST_NAME || lb > LONGEST_NAME) return LONGEST_NAME;
  for (int j = 0; j <= (int)lb; j++) row[j] = j;
  for (int i = 1; i <= (int)la; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= (int)lb; j++) {
      int above = row[j];
      row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
      diagonal = above;
    }
  }
  return row[lb];
}

const char *cs_error_push_unknown(lua_State *L, const char *what, const char *name,
                                  const char *(*known)(const void *list, int i),
                                  const void *list, int count) {
  const char *best = NULL;
  int best_distance = LONGEST_NAME;
  for (int i = 0; i < count; i++) {
    const char *candidate = known(list, i);
    int d = distance(name, candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  /* Beyond a third of the name it is a guess, not a correction. */
  if (best && best_distance * 3 <= (int)strlen(best) + 2)
    return lua_pushfstring(L, "unknown %s '%s' (did you mean '%s'?)", what, name, best);
  return lua_pushfstring(L, "unknown %s '%s'", what, name);
}

/* "file.lua:12: …": what a function of the user's has raised says already where. */
static bool has_position(const char *message) {
  for (const char *p = strchr(message, ':'); p; p = strchr(p + 1, ':')) {
    size_t digits = strspn(p + 1, "0123456789");
    if (digits > 0 && p[1 + digits] == ':') return true;
  }
  return false;
}

int cs_error_raise_at(lua_State *L, int level) {
  if (lua_type(L, -1) == LUA_TSTRING && !has_position(lua_tostring(L, -1))) {
    luaL_where(L, level);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

const char *cs_error_got(lua_State *L, int index) {
  switch (lua_type(L, index)) {
  case LUA_TSTRING:
    return lua_rawlen(L, index) == 0 ? "an empty string" : "string";
  case LUA_TNONE:
    return "nothing";
  case LUA_TLIGHTUSERDATA: {
    cs_json_push_null(L);
    bool null = lua_rawequal(L, index, -1) != 0;
    lua_pop(L, 1);
    return null ? "null" : "userdata";
  }
  default:
    return luaL_typename(L, index);
  }
}

/* ---- What the API says about an error ---- */

/* Pushes the start of a text as one printable line: no control characters, which could
   forge a line of a log or drive a terminal, and no character cut in two. */
static void push_line(lua_State *L, const char *text, size_t length, size_t limit) {
  luaL_Buffer line;
  char *out = luaL_buffinitsize(L, &line, limit);
  size_t n = 0, i = 0;
  int space = 1;
  for (; i < length && n < limit; i++) {
    int blank = (unsigned char)text[i] <= 0x20 || text[i] == 0x7f;
    if (blank && space) continue;
    out[n++] = text[i];
    if (blank) out[n - 1] = ' ';
    space = blank;
  }
  if (i < length) {
    while (n > 0 && ((unsigned char)out[n - 1] & 0xC0) == 0x80) n--;
    if (n > 0 && (unsigned char)out[n - 1] >= 0xC0) n--;
  }
  while (n > 0 && out[n - 1] == ' ') n--;
  luaL_pushresultsize(&line, n);
}

/* Joins the strings of the list on top; replaces it. */
static void join(lua_State *L) {
  int list = lua_gettop(L), n = 0;
  luaL_checkstack(L, 4, "a long message");
  lua_pushliteral(L, "");
  for (lua_Integer i = 1; i <= MOST_JOINED; i++) {
    if (lua_rawgeti(L, list, i) == LUA_TSTRING) {
      lua_pushstring(L, n++ ? "; " : "");
      lua_insert(L, -2);
      lua_concat(L, 3);
    } else {
      lua_pop(L, 1);
    }
  }
  lua_replace(L, list);
}

/* Replaces a string, a number, or a list of strings on top by a line; pops what is none
   of them, or says nothing. */
static int to_message(lua_State *L) {
  if (lua_type(L, -1) == LUA_TTABLE) join(L);
  size_t length = 0;
  const char *text = lua_tolstring(L, -1, &length);
  if (text) {
    push_line(L, text, length, LONGEST_MESSAGE);
    lua_remove(L, -2);
    if (lua_rawlen(L, -1) > 0) return 1;
  }
  lua_pop(L, 1);
  return 0;
}

static int raw_field(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  return lua_rawget(L, table);
}

/* Copies the first of some fields of `from` that says something to field `name`. */
static int copy_first(lua_State *L, int from, int to, const char *name,
                      const char *const *candidates, int keep_number) {
  for (; *candidates; candidates++) {
    int type = raw_field(L, from, *candidates);
    if ((type == LUA_TNUMBER && keep_number) || to_message(L)) {
      lua_setfield(L, to, name);
      return 1;
    }
  }
  return 0;
}

/* Understands the body shapes that services use: {"message"}, {"message":[…]},
   {"error","statusCode"}, {"error":{"code","message"}}, problem details (RFC 9457). */
static int understand(lua_State *L, int body, int record) {
  static const char *const codes[] = {"code", "errorCode", NULL};
  static const char *const messages[] = {"message", "detail",      "title",
                                         "errors",  "description", NULL};
  static const char *const last_messages[] = {"error", "error_description", NULL};
  if (lua_type(L, body) != LUA_TTABLE) return 0;
  (void)copy_first(L, body, record, "code", codes, 1);
  int understood = copy_first(L, body, record, "message", messages, 0);
  if (raw_field(L, body, "error") == LUA_TTABLE) {
    int inner = lua_gettop(L);
    (void)copy_first(L, inner, record, "code", codes, 1);
    understood = copy_first(L, inner, record, "message", messages, 0) || understood;
  }
  lua_pop(L, 1);
  return understood || copy_first(L, body, record, "message", last_messages, 0);
}

/* Fills code and message of an HTTP error's record from its body. */
static void describe_http(lua_State *L, const struct cs_request *request, int record) {
  const char *body = cs_buffer_text(&request->answer);
  size_t length = request->answer.length;
  char first = request->first_visible;
  int top = lua_gettop(L);
  if (length > 0 && (first == '{' || first == '[')) {
    int understood =
      cs_json_decode(L, body, length) && understand(L, lua_gettop(L), record);
    lua_settop(L, top);
    if (understood) return;
  }
  push_line(L, body, length, QUOTED_BODY);
  if (lua_rawlen(L, -1) == 0) {
    lua_pop(L, 1);
    cs_head_push_reason(L, request);
  }
  lua_setfield(L, record, "message");
}

/* ---- Records ---- */

static void set_string(lua_State *L, const char *name, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void push_record(lua_State *L, enum cs_kind kind, const struct cs_endpoint *row,
                        const char *message) {
  lua_createtable(L, 0, 12);
  luaL_setmetatable(L, type_name);
  set_string(L, "kind", cs_error_kind_name(kind));
  if (row) {
    set_string(L, "operation", row->call);
    set_string(L, "method", cs_verb_name(row->verb));
  }
  if (message) set_string(L, "message", message);
}

void cs_error_push_kind(lua_State *L, enum cs_kind kind, const struct cs_endpoint *row,
                        const char *message) {
  push_record(L, kind, row, message);
}

/* Whose id a parameter of the row's path is: "id" is the resource's own, "userId" a
   user's. NULL for none that is known. */
static const struct cs_resource *owner_of(const struct cs_endpoint *row,
                                          const struct cs_url_param *param) {
  if (param->length == 2) return cs_resource_named(row->resource);
  for (int i = 0; i < cs_resource_count; i++) {
    size_t n = strlen(cs_resources[i].noun);
    if (param->length == n + 2 && memcmp(param->name, cs_resources[i].noun, n) == 0)
      return &cs_resources[i];
  }
  return NULL;
}

/* An e-mail where the id of one who is known by it is expected is a common slip. */
static void hint_at_ids(lua_State *L, const struct cs_endpoint *row, const char *path,
                        int record) {
  const char *template = row->path, *cursor = template;
  struct cs_url_param param;
  while (cs_url_next_param(&cursor, &param)) {
    const struct cs_resource *owner = owner_of(row, &param);
    for (; template <param.name - 1; template ++) {
      if (*template == '/') path = strchr(path, '/');
      if (!path) return; /* blanked, with the key in it */
      if (*template == '/') path++;
    }
    const char *at = strstr(path, "%40");
    if (!owner || !owner->known_by || !at || at > path + strcspn(path, "/?")) continue;
    lua_pushfstring(L,
                    "an id is expected, and this looks like the %s: %s:find(%s) gives "
                    "the %s",
                    owner->known_by, owner->name, owner->known_by, owner->noun);
    lua_setfield(L, record, "hint");
    return;
  }
}

void cs_error_push(lua_State *L, const struct cs_request *request,
                   const struct cs_endpoint *row, size_t base_length) {
  enum cs_kind kind = request->failure.kind;
  push_record(L, kind, row, kind == CS_HTTP ? NULL : request->failure.text);
  int record = lua_gettop(L);
  set_string(L, "path", cs_buffer_text(&request->url) + base_length);
  lua_pushinteger(L, request->attempts);
  lua_setfield(L, record, "attempts");
  if (request->ambiguous) {
    lua_pushboolean(L, 1);
    lua_setfield(L, record, "ambiguous");
  }
  if (request->retry_after >= 0) {
    lua_pushnumber(L, request->retry_after);
    lua_setfield(L, record, "retry_after");
  }
  if (!request->head_complete) return;
  lua_pushinteger(L, request->status);
  lua_setfield(L, record, "status");
  if (cs_head_push_request_id(L, request)) lua_setfield(L, record, "request_id");
  if (request->answer.length > 0) {
    size_t n = request->answer.length;
    lua_pushlstring(L, request->answer.data, n > SHOWN_BODY ? SHOWN_BODY : n);
    lua_setfield(L, record, "body");
  }
  if (kind != CS_HTTP) return;
  describe_http(L, request, record);
  if (request->status == 404 && row)
    hint_at_ids(L, row, cs_buffer_text(&request->url) + base_length, record);
}

int cs_error_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_setmetatable(L, type_name);
  return 1;
}

/* As people say it: 500 rather than 499.99995945. */
static void push_wait(lua_State *L, lua_Number seconds) {
  lua_Integer unit = seconds < 10 ? 1000 : 1;
  bool usual = seconds >= 0 && seconds < 1e9;
  lua_Integer units = usual ? (lua_Integer)(seconds * (lua_Number)unit + 0.5) : 0;
  if (usual && units % unit == 0) {
    lua_pushfstring(L, "; the server asks to wait %I s", units / unit);
  } else {
    if (usual) seconds = (lua_Number)units / (lua_Number)unit;
    lua_pushfstring(L, "; the server asks to wait %f s", seconds);
  }
}

/* "users.invite: HTTP 404: user not found", with what else a reader must know. */
static int record_tostring(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_Buffer text;
  const char *operation = raw_field(L, 1, "operation") ? lua_tostring(L, -1) : NULL;
  const char *kind = raw_field(L, 1, "kind") ? lua_tostring(L, -1) : NULL;
  int has_status = raw_field(L, 1, "status") == LUA_TNUMBER;
  int is_http = kind && strcmp(kind, "http") == 0;
  luaL_buffinit(L, &text);
  if (operation) {
    luaL_addstring(&text, operation);
    luaL_addstring(&text, ": ");
  }
  if (is_http && has_status) {
    lua_pushfstring(L, "HTTP %d", (int)lua_tointeger(L, 4));
    luaL_addvalue(&text);
  } else {
    luaL_addstring(&text, kind ? kind : "error");
  }
  if (raw_field(L, 1, "message") == LUA_TSTRING) {
    luaL_addstring(&text, ": ");
    luaL_addvalue(&text);
  } else {
    lua_pop(L, 1);
  }
  if (raw_field(L, 1, "hint") == LUA_TSTRING) {
    luaL_addstring(&text, " (");
    luaL_addvalue(&text);
    luaL_addstring(&text, ")");
  } else {
    lua_pop(L, 1);
  }
  if (raw_field(L, 1, "attempts") == LUA_TNUMBER && lua_tointeger(L, -1) > 1) {
    lua_pushfstring(L, " (after %d attempts)", (int)lua_tointeger(L, -1));
    lua_remove(L, -2);
    luaL_addvalue(&text);
  } else {
    lua_pop(L, 1);
  }
  if (raw_field(L, 1, "retry_after") == LUA_TNUMBER) {
    push_wait(L, lua_tonumber(L, -1));
    lua_remove(L, -2);
    luaL_addvalue(&text);
  } else {
    lua_pop(L, 1);
  }
  int ambiguous = raw_field(L, 1, "ambiguous") != LUA_TNIL && lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (ambiguous) luaL_addstring(&text, "; the service may have done it");
  luaL_pushresult(&text);
  return 1;
}

void cs_error_open(lua_State *L) {
  luaL_newmetatable(L, type_name); /* sets __name, too */
  lua_pushcfunction(L, record_tostring);
  lua_setfield(L, -2, "__tostring");
  set_string(L, "__metatable", type_name);
  lua_pop(L, 1);
}
