/* SPDX-License-Identifier: MIT */
/* See schedule.h. A request is known to Lua as a light userdata, valid from leave until
   deliver. */
#include "schedule.h"

#include "binding.h"
#include "client.h"
#include "wait.h"

static struct cs_client *check_open(lua_State *L) {
  struct cs_client *client = cs_client_check(L, 1);
  luaL_argcheck(L, client->engine != NULL, 1, "the client is closed");
  return client;
}

/* enter(client, coroutine or nil, cancelled): that coroutine is the task from now on. */
static int schedule_enter(lua_State *L) {
  struct cs_client *client = check_open(L);
  client->task = lua_tothread(L, 2);
  client->task_cancelled = lua_toboolean(L, 3) != 0;
  return 0;
}

/* leave(client) -> the request that the task waits for, or nil */
static int schedule_leave(lua_State *L) {
  struct cs_client *client = check_open(L);
  struct cs_request *request = client->parked;
  client->task = NULL;
  client->parked = NULL;
  if (!request) return 0;
  cs_engine_submit(client->engine, request);
  lua_pushlightuserdata(L, request);
  return 1;
}

/* step(client, seconds): waits until something is done, at most that long. */
static int schedule_step(lua_State *L) {
  struct cs_client *client = check_open(L);
  double seconds = (double)luaL_checknumber(L, 2);
  struct cs_wait wait = cs_wait_begin(L);
  cs_wait_step(L, 1, client, &wait, seconds);
  return 0;
}

/* next_done(client) -> a request that is done, or nil */
static int schedule_next_done(lua_State *L) {
  struct cs_client *client = check_open(L);
  struct cs_request *request = cs_engine_next_done(client->engine);
  if (!request) return 0;
  lua_pushlightuserdata(L, request);
  return 1;
}

/* deliver(client, request) -> what the call returns */
static int schedule_deliver(lua_State *L) {
  struct cs_client *client = check_open(L);
  luaL_checktype(L, 2, LUA_TLIGHTUSERDATA);
  struct cs_request *request = lua_touserdata(L, 2);
  cs_binding_fetch_response(L, 1, request);
  return cs_binding_deliver(L, client, request, lua_isnil(L, -1) ? 0 : -1);
}

/* cancel(client, request): ends it with the failure "cancelled". True when next_done will
   still give it, false when it has been taken from there already. */
static int schedule_cancel(lua_State *L) {
  struct cs_client *client = check_open(L);
  luaL_checktype(L, 2, LUA_TLIGHTUSERDATA);
  struct cs_request *request = lua_touserdata(L, 2);
  cs_engine_cancel(client->engine, request);
  lua_pushboolean(L, cs_engine_is_done(client->engine, request));
  return 1;
}

/* in_use(client) -> how many requests are with callers, queued, active, waiting or done;
   for specs. */
static int schedule_in_use(lua_State *L) {
  lua_pushinteger(L, cs_engine_in_use(check_open(L)->engine));
  return 1;
}

/* limit(client) -> max_in_flight */
static int schedule_limit(lua_State *L) {
  lua_pushinteger(L, cs_client_check(L, 1)->max_in_flight);
  return 1;
}

static int schedule_now(lua_State *L) {
  lua_pushnumber(L, cs_engine_now());
  return 1;
}

void cs_schedule_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"enter", schedule_enter},     {"leave", schedule_leave},
    {"step", schedule_step},       {"next_done", schedule_next_done},
    {"deliver", schedule_deliver}, {"cancel", schedule_cancel},
    {"in_use", schedule_in_use},   {"limit", schedule_limit},
    {"now", schedule_now},         {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
