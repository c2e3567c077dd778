/* SPDX-License-Identifier: MIT */
/*
 * Module entry of cipherscale.sandbox.core, in the user's Lua state: a handle on a
 * server, and the reading of its log into tables. The handle owns the server. What
 * options mean, and how texts are made of tables, is Lua's business
 * (cipherscale/sandbox/init.lua).
 */
#define _GNU_SOURCE /* getentropy */
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat.h"
#include "server.h"

static const char HANDLE[] = "cipherscale.sandbox.core.handle";
static const char BYTES[] = "cipherscale.sandbox.core.bytes";

struct handle {
  struct sb_server *server;
};

/* Memory that outlives an error: each owner is a userdata before it owns anything. */

static void set_type(lua_State *L, const char *type) {
  luaL_getmetatable(L, type);
  lua_setmetatable(L, -2);
}

static struct sb_bytes *push_bytes(lua_State *L) {
  struct sb_bytes *bytes = lua_newuserdata(L, sizeof *bytes);
  *bytes = (struct sb_bytes){0};
  set_type(L, BYTES);
  return bytes;
}

static int bytes_gc(lua_State *L) {
  sb_bytes_release(luaL_checkudata(L, 1, BYTES));
  return 0;
}

static struct handle *check_handle(lua_State *L) { return luaL_checkudata(L, 1, HANDLE); }

static struct sb_server *check_server(lua_State *L) {
  struct sb_server *server = check_handle(L)->server;
  if (server == NULL || !sb_server_is_ours(server))
    luaL_error(L, "this sandbox belongs to another process");
  return server;
}

static int handle_gc(lua_State *L) {
  struct handle *handle = check_handle(L);
  sb_server_free(handle->server);
  handle->server = NULL;
  return 0;
}

static int handle_stop(lua_State *L) {
  struct handle *handle = check_handle(L);
  if (handle->server != NULL) sb_server_stop(handle->server);
  return 0;
}

static int handle_port(lua_State *L) {
  lua_pushinteger(L, sb_server_port(check_server(L)));
  return 1;
}

static int push_reply(lua_State *L, bool ok, struct sb_bytes *reply) {
  if (reply->failed) return luaL_error(L, "not enough memory");
  if (!ok) lua_pushnil(L);
  lua_pushlstring(L, reply->size ? reply->data : "", reply->size);
  sb_bytes_release(reply);
  return ok ? 1 : 2;
}

/* handle:control(name, text) → text, or nil and the service's error text */
static int handle_control(lua_State *L) {
  struct sb_server *server = check_server(L);
  const char *name = luaL_checkstring(L, 2);
  size_t size;
  const char *text = luaL_checklstring(L, 3, &size);
  struct sb_bytes *reply = push_bytes(L);
  bool ok = sb_server_control(server, name, text, size, reply);
  return push_reply(L, ok, reply);
}

static void set_text(lua_State *L, const char *field, const char *text, size_t size) {
  lua_pushlstring(L, text, size);
  lua_setfield(L, -2, field);
}

/* The target of the request line: the path below the base path, and the query without
 * its "?". */
static void set_target(lua_State *L, const char *uri, size_t size, const char *base,
                       size_t base_size) {
  const char *mark = memchr(uri, '?', size);
  size_t path_size = mark ? (size_t)(mark - uri) : size;
  if (mark != NULL)
    set_text(L, "query", mark + 1, size - path_size - 1);
  else
    set_text(L, "query", "", 0);
  if (path_size > base_size && memcmp(uri, base, base_size) == 0 && uri[base_size] == '/')
    set_text(L, "path", uri + base_size, path_size - base_size);
  else
    set_text(L, "path", uri, path_size);
}

static void set_fate(lua_State *L, const struct sb_record_head *head) {
  static const char *const flags[] = {[SB_ANSWERED] = NULL,
                                      [SB_CUT] = "cut",
                                      [SB_LOST] = "lost",
                                      [SB_STALLED] = "stalled",
                                      [SB_RESET] = "reset"};
  if (head->fate == SB_ANSWERED || head->fate == SB_CUT) {
    lua_pushinteger(L, head->status);
    lua_setfield(L, -2, "status");
  }
  if (flags[head->fate] != NULL) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, flags[head->fate]);
  }
}

static void set_headers(lua_State *L, const char *at, const char *end) {
  const char *name, *value;
  size_t name_size, value_size;
  lua_newtable(L);
  while (sb_record_text(&at, end, &name, &name_size) &&
         sb_record_text(&at, end, &value, &value_size)) {
    lua_pushlstring(L, name, name_size);
    lua_pushlstring(L, value, value_size);
    lua_rawset(L, -3);
  }
  lua_setfield(L, -2, "headers");
}

static void push_request(lua_State *L, const struct sb_record_head *head, const char *at,
                         const char *base, size_t base_size) {
  const char *end = at + head->size;
  const char *text;
  size_t size;
  lua_createtable(L, 0, 7);
  if (sb_record_text(&at, end, &text, &size)) set_text(L, "method", text, size);
  if (sb_record_text(&at, end, &text, &size)) set_target(L, text, size, base, base_size);
  if (sb_record_text(&at, end, &text, &size)) set_text(L, "body", text, size);
  set_headers(L, at, end);
  set_fate(L, head);
}

/* handle:requests(base path) → list */
static int handle_requests(lua_State *L) {
  struct sb_server *server = check_server(L);
  size_t base_size;
  const char *base = luaL_checklstring(L, 2, &base_size);
  struct sb_bytes *copy = push_bytes(L);
  sb_server_copy_log(server, copy);
  if (copy->failed) return luaL_error(L, "not enough memory");
  /* An empty log has no data; an offset from NULL, even 0, is undefined (C11 6.5.6). */
  const char *at = copy->size > 0 ? copy->data : "", *end = at + copy->size;
  struct sb_record_head head;
  lua_newtable(L);
  for (int n = 1; copy->size > 0 && sb_record_head(&at, end, &head); n++) {
    push_request(L, &head, at, base, base_size);
    lua_rawseti(L, -2, n);
    at += head.size;
  }
  sb_bytes_release(copy);
  return 1;
}

static int handle_clear(lua_State *L) {
  sb_server_clear_log(check_server(L));
  return 0;
}

/* start(config, package.path, package.cpath, port, log limit) → handle, or nil and a
 * text */
static int core_start(lua_State *L) {
  size_t config_size;
  const char *config = luaL_checklstring(L, 1, &config_size);
  const char *path = luaL_checkstring(L, 2);
  const char *cpath = luaL_checkstring(L, 3);
  lua_Integer port = luaL_checkinteger(L, 4);
  lua_Integer log_limit = luaL_checkinteger(L, 5);
  luaL_argcheck(L, port >= 0 && port <= 65535, 4, "port out of range");
  luaL_argcheck(L, log_limit >= 0, 5, "limit out of range");
  struct handle *handle = lua_newuserdata(L, sizeof *handle);
  handle->server = NULL;
  set_type(L, HANDLE);
  struct sb_bytes *problem = push_bytes(L);
  char *text = NULL;
  struct sb_rules *rules = sb_rules_new(path, cpath, config, config_size, &text);
  if (rules != NULL) {
    char why[SB_PROBLEM_SIZE];
    handle->server = sb_server_new(rules, (uint16_t)port, (size_t)log_limit, why);
    if (handle->server == NULL) sb_bytes_add(problem, why, strlen(why));
  } else {
    const char *why = text ? text : "not enough memory";
    sb_bytes_add(problem, why, strlen(why));
    free(text);
  }
  if (handle->server == NULL) return push_reply(L, false, problem);
  lua_pop(L, 1);
  return 1;
}

/* random() → 32 hexadecimal digits */
static int core_random(lua_State *L) {
  unsigned char bytes[16];
  char digits[2 * sizeof bytes + 1];
  if (getentropy(bytes, sizeof bytes) != 0)
    return luaL_error(L, "the system gives no random bytes");
  for (size_t i = 0; i < sizeof bytes; i++) snprintf(digits + 2 * i, 3, "%02x", bytes[i]);
  lua_pushstring(L, digits);
  return 1;
}

static void fill_signals(sigset_t *set) {
  sigemptyset(set);
  sigaddset(set, SIGINT);
  sigaddset(set, SIGTERM);
}

/* hold_signals(): SIGINT and SIGTERM wait from here on for wait_for_signal(). For the
 * command. */
static int core_hold_signals(lua_State *L) {
  sigset_t set;
  fill_signals(&set);
  int problem = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (problem != 0) return luaL_error(L, "cannot hold signals: %s", strerror(problem));
  return 0;
}

/* wait_for_signal() → its number */
static int core_wait_for_signal(lua_State *L) {
  sigset_t set;
  int number = 0;
  fill_signals(&set);
  int problem = sigwait(&set, &number);
  if (problem != 0)
    return luaL_error(L, "cannot wait for signals: %s", strerror(problem));
  lua_pushinteger(L, number);
  return 1;
}

static const luaL_Reg handle_methods[] = {
  {"port", handle_port},         {"control", handle_control}, {"stop", handle_stop},
  {"requests", handle_requests}, {"clear", handle_clear},     {NULL, NULL},
};

static const luaL_Reg functions[] = {
  {"start", core_start},
  {"random", core_random},
  {"hold_signals", core_hold_signals},
  {"wait_for_signal", core_wait_for_signal},
  {NULL, NULL},
};

static void new_type(lua_State *L, const char *type, lua_CFunction gc,
                     const luaL_Reg *methods) {
  luaL_newmetatable(L, type);
  lua_pushcfunction(L, gc);
  lua_setfield(L, -2, "__gc");
  if (methods != NULL) {
    lua_newtable(L);
    sb_set_functions(L, methods);
    lua_setfield(L, -2, "__index");
  }
  lua_pushliteral(L, "hidden");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

#pragma GCC visibility push(default)
int luaopen_cipherscale_sandbox_core(lua_State *L);
#pragma GCC visibility pop

int luaopen_cipherscale_sandbox_core(lua_State *L) {
  sb_check_version(L);
  new_type(L, HANDLE, handle_gc, handle_methods);
  new_type(L, BYTES, bytes_gc, NULL);
  lua_newtable(L);
  sb_set_functions(L, functions);
  return 1;
}
