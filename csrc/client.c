/* SPDX-License-Identifier: MIT */
/* See client.h. */
#define _POSIX_C_SOURCE 200809L /* strdup */
#include "client.h"

#include <stdlib.h>
#include <string.h>

#include "binding.h"
#include "direct.h"
#include "endpoints.h"
#include "error.h"
#include "names.h"
#include "transport.h"
#include "version.h"
#include "words.h"

static const char type_name[] = "cipherscale.client";
static const char type_key = 0;     /* its address: what a client's metatable holds */
static const char on_event_key = 0; /* its address: a key of the members table */

struct cs_client *cs_client_check(lua_State *L, int index) {
  struct cs_client *client = NULL;
  if (lua_type(L, index) == LUA_TUSERDATA && lua_getmetatable(L, index)) {
    if (lua_rawgetp(L, -1, &type_key) != LUA_TNIL) client = lua_touserdata(L, index);
    lua_pop(L, 2);
  }
  luaL_argexpected(L, client != NULL, index, type_name);
  return client;
}

void cs_client_push_members(lua_State *L, int index) {
  (void)lua_getiuservalue(L, index, 1);
}

/* ---- Life ---- */

static int client_close(lua_State *L) {
  struct cs_client *client = cs_client_check(L, 1);
  if (!client->engine || !cs_engine_usable(client->engine)) return 0;
  cs_engine_close(client->engine);
  cs_client_tell(L, 1, client);
  return 0;
}

static int client_gc(lua_State *L) {
  struct cs_client *client = cs_client_check(L, 1);
  cs_engine_free(client->engine);
  free(client->base);
  free(client->key);
  free(client->proxy_password);
  *client = (struct cs_client){.engine = NULL};
  return 0;
}

/* ---- Fields ---- */

/* (members, name): the members' own __index, for what is not there. */
static int unknown_member(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  if (strncmp(lua_tostring(L, 2), "__", 2) == 0) return 0; /* libraries look for these */
  const struct cs_names names = cs_names_of(L, 1);
  cs_error_push_unknown(L, "resource or method", lua_tostring(L, 2), cs_names_get, &names,
                        (int)names.count);
  return cs_error_raise_at(L, 1);
}

static int client_newindex(lua_State *L) {
  return luaL_error(L, "a client's fields cannot be set");
}

/* Appends "client:run(fn)  Runs …", "client.protect", or the first line of what the
   member says of itself. */
static void add_member(lua_State *L, luaL_Buffer *text, int members, const char *name) {
  int type = lua_getfield(L, members, name), member = lua_gettop(L);
  if (type == LUA_TFUNCTION) {
    cs_words_push(L);
    lua_pushfstring(L, "\n  client:%s%s", name, lua_tostring(L, -1));
  } else if (luaL_getmetafield(L, -1, "__tostring") == LUA_TNIL) {
    lua_pushfstring(L, "\n  client.%s", name);
  } else {
    lua_settop(L, member);
    const char *line = luaL_tolstring(L, -1, NULL);
    lua_pushliteral(L, "\n  ");
    lua_pushlstring(L, line, strcspn(line, "\n"));
    lua_concat(L, 2);
    lua_remove(L, -2);
  }
  lua_remove(L, -2);
  luaL_addvalue(text);
}

/* What is there, a line each. The key is not in it. */
static int client_tostring(lua_State *L) {
  struct cs_client *client = cs_client_check(L, 1);
  bool closed = !client->engine || !cs_engine_usable(client->engine);
  lua_settop(L, 1);
  cs_client_push_members(L, 1);
  struct cs_names names = {.count = 0};
  if (lua_istable(L, 2)) names = cs_names_of(L, 2);
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  luaL_addstring(&text, "cipherscale client for ");
  luaL_addstring(&text, client->base ? client->base : "nothing");
  if (closed) luaL_addstring(&text, " (closed)");
  for (size_t i = 0; i < names.count; i++) add_member(L, &text, 2, names.sorted[i]);
  luaL_pushresult(&text);
  return 1;
}

/* Each client has a metatable of its own, so that its fields are found in its members
   without a call. It is out of reach: __gc must not be called by hand. */
static void push_metatable(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", client_gc},
                                         {"__close", client_close},
                                         {"__newindex", client_newindex},
                                         {"__tostring", client_tostring},
                                         {NULL, NULL}};
  lua_createtable(L, 0, 8);
  luaL_setfuncs(L, metamethods, 0);
  lua_pushboolean(L, 1);
  lua_rawsetp(L, -2, &type_key);
  lua_pushstring(L, type_name);
  lua_setfield(L, -2, "__metatable");
  lua_pushstring(L, type_name);
  lua_setfield(L, -2, "__name");
}

static void open_engine(lua_State *L, struct cs_client *client,
                        const struct cs_options *options) {
  char agent[512];
  cs_transport_user_agent(agent, sizeof agent, options->app);
  struct cs_engine_settings settings = {
    .transport = {.api_key = options->api_key,
                  .user_agent = agent,
                  .ca_file = options->ca_file,
                  .ca_path = options->ca_path,
                  .proxy = options->proxy,
                  .no_proxy = options->no_proxy,
                  .connect_timeout = options->connect_timeout,
                  .loopback = options->loopback,
                  .http2 = options->http2,
                  .max_response_bytes = (size_t)options->max_response_bytes},
    .max_in_flight = options->max_in_flight,
    .rate = options->rate,
    .events = client->has_on_event,
  };
  client->base = strdup(options->base_url);
  client->key = strdup(options->api_key);
  client->proxy_password = strdup(options->proxy_password ? options->proxy_password : "");
  client->engine = cs_engine_new(&settings);
  if (!client->engine || !client->base || !client->key || !client->proxy_password)
    (void)luaL_error(L, "cipherscale.new: not enough memory or descriptors");
  client->answers = (struct cs_answer_context){.key = client->key,
                                               .proxy_password = client->proxy_password,
                                               .base_length = strlen(client->base)};
}

/* Pushes the members table of the client at index 1: a field per resource, and close. */
static void push_members(lua_State *L, int values) {
  lua_newtable(L);
  int members = lua_gettop(L);
  for (int i = 0; i < cs_resource_count; i++) {
    cs_binding_push_resource(L, 1, &cs_resources[i]);
    lua_setfield(L, members, cs_resources[i].name);
  }
  lua_pushcfunction(L, client_close);
  cs_words_set(L, "()  Ends what is under way, and lets the connections go.");
  lua_setfield(L, members, "close");
  cs_direct_push_method(L, 1);
  cs_words_set(L, "(request, options)  Any call that has no method yet: "
                  "{ method =, path =, query =, body =, repeat_class = }.");
  lua_setfield(L, members, "request");
  lua_getfield(L, values, "base_url");
  lua_setfield(L, members, "base_url");
  if (lua_getfield(L, values, "protect") == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
  }
  lua_setfield(L, members, "protect");
  lua_getfield(L, values, "on_event");
  lua_rawsetp(L, members, &on_event_key);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, unknown_member);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, members);
}

/* (options) -> client, members */
static int new_client(lua_State *L) {
  lua_settop(L, 1);
  struct cs_client *client = lua_newuserdatauv(L, sizeof *client, 1);
  *client = (struct cs_client){.engine = NULL};
  push_metatable(L);
  lua_setmetatable(L, -2);
  lua_insert(L, 1); /* client, options */
  struct cs_options options;
  cs_options_read(L, 2, &options);
  int values = lua_gettop(L);
  client->defaults = options.call;
  client->read_only = options.read_only;
  client->loose = !options.validate;
  client->max_in_flight = options.max_in_flight;
  client->has_on_event = lua_getfield(L, values, "on_event") != LUA_TNIL;
  lua_pop(L, 1);
  open_engine(L, client, &options);
  push_members(L, values);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 1, 1);
  (void)lua_getmetatable(L, 1);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_pushvalue(L, 1);
  lua_insert(L, -2);
  return 2;
}

int cs_client_new(lua_State *L) {
  lua_settop(L, 1);
  lua_pushcfunction(L, new_client);
  lua_insert(L, 1);
  if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
    /* Level 1 is the Lua layer's `new`; the user wrote level 2. */
    return cs_error_raise_at(L, 2);
  }
  return 2;
}

/* ---- Events ---- */

static void push_event(lua_State *L, const struct cs_event *event) {
  const struct cs_endpoint *row = cs_direct_row(event->operation);
  lua_createtable(L, 0, 10);
  lua_pushstring(L, row->call);
  lua_setfield(L, -2, "operation");
  lua_pushstring(L, cs_verb_name(row->verb));
  lua_setfield(L, -2, "method");
  lua_pushstring(L, row->path); /* the template: ids do not belong in logs */
  lua_setfield(L, -2, "path");
  if (event->status) {
    lua_pushinteger(L, event->status);
    lua_setfield(L, -2, "status");
  }
  if (event->kind != CS_NO_FAILURE) {
    lua_pushstring(L, cs_error_kind_name(event->kind));
    lua_setfield(L, -2, "kind");
  }
  lua_pushinteger(L, event->attempt);
  lua_setfield(L, -2, "attempt");
  lua_pushnumber(L, event->elapsed);
  lua_setfield(L, -2, "elapsed");
  lua_pushstring(L, event->again ? "again" : "end");
  lua_setfield(L, -2, "next");
  if (event->again) {
    lua_pushnumber(L, event->delay);
    lua_setfield(L, -2, "delay");
  }
  lua_pushstring(L, event->reason);
  lua_setfield(L, -2, "reason");
}

static void tell_all(lua_State *L, int index, struct cs_client *client, bool quietly) {
  struct cs_event event;
  if (!client->has_on_event || client->telling) return;
  while (cs_engine_next_event(client->engine, &event)) {
    luaL_checkstack(L, 8, "on_event");
    cs_client_push_members(L, index);
    (void)lua_rawgetp(L, -1, &on_event_key);
    lua_remove(L, -2);
    push_event(L, &event);
    client->telling = true;
    int status = lua_pcall(L, 1, 0, 0);
    client->telling = false;
    if (status == LUA_OK) continue;
    if (quietly) {
      lua_pop(L, 1);
      continue;
    }
    /* Nobody is told anything once `close` has returned. */
    while (!cs_engine_usable(client->engine) &&
           cs_engine_next_event(client->engine, &event))
      continue;
    (void)lua_error(L);
  }
}

void cs_client_tell(lua_State *L, int index, struct cs_client *client) {
  tell_all(L, index, client, false);
}

static int tell_quietly(lua_State *L) {
  tell_all(L, 1, cs_client_check(L, 1), true);
  return 0;
}

void cs_client_tell_quietly(lua_State *L, int index) {
  lua_pushvalue(L, index);
  lua_pushcfunction(L, tell_quietly);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1); /* no memory for more */
}

/* ---- Pace ---- */

static struct cs_pace *pace_of(lua_State *L) {
  struct cs_client *client = cs_client_check(L, 1);
  if (!client->engine) (void)luaL_error(L, "the client has been collected");
  return cs_engine_pace(client->engine);
}

static void push_pace(lua_State *L, const struct cs_pace *pace, enum cs_class class) {
  double now = cs_engine_now();
  double rate = cs_pace_rate(pace, class, now);
  if (rate > 0) {
    lua_pushnumber(L, rate);
  } else {
    lua_pushnil(L);
  }
  lua_pushnumber(L, cs_pace_delay(pace, class, now));
}

int cs_client_pace(lua_State *L) {
  const struct cs_pace *pace = pace_of(L);
  push_pace(L, pace, CS_WRITES);
  push_pace(L, pace, CS_READS);
  if (pace->rate > 0) {
    lua_pushnumber(L, pace->rate);
  } else {
    lua_pushnil(L);
  }
  return 5;
}
