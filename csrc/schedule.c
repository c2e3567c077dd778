/* SPDX-License-Identifier: MIT */
/* See schedule.h. A request is known to Lua as a light userdata, valid from when
   resume gives it until resume or deliver takes it. */
#include "schedule.h"

#include "binding.h"
#include "client.h"
#include "wait.h"

/* The client is the upvalue of every function here, except create and now. */
#define CLIENT lua_upvalueindex(1)

static struct cs_client *client_of(lua_State *L) {
  struct cs_client *client = lua_touserdata(L, CLIENT);
  if (!client->engine) (void)luaL_error(L, "the client has been collected");
  return client;
}

/* create(fn, …) -> a coroutine that will run fn(…) */
static int schedule_create(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *task = lua_newthread(L);
  luaL_argcheck(L, lua_checkstack(task, n), 1, "too many arguments");
  lua_insert(L, 1);
  lua_xmove(L, task, n);
  return 1;
}

/* running() -> whether this code is the task that was resumed last, and may yield */
static int schedule_running(lua_State *L) {
  struct cs_client *client = client_of(L);
  lua_pushboolean(L, client->task == L && lua_isyieldable(L));
  return 1;
}

/* Puts what the task will find: at the start its arguments, else its call's answer. */
static int push_values(lua_State *L, struct cs_client *client, lua_State *task,
                       struct cs_request *request) {
  if (lua_status(task) == LUA_OK) return lua_gettop(task) - 1;
  if (!request) return 0;
  cs_binding_fetch_response(L, CLIENT, request);
  int n = cs_binding_deliver(L, client, request, lua_isnil(L, -1) ? 0 : -1);
  luaL_argcheck(L, lua_checkstack(task, n), 1, "stack overflow");
  lua_xmove(L, task, n);
  return n;
}

/* Pushes a table of the values on top of the task's stack, with their number as `n`. */
static int push_results(lua_State *L, lua_State *task, int n) {
  lua_createtable(L, n, 1);
  lua_pushinteger(L, n);
  lua_setfield(L, -2, "n");
  for (int i = n; i > 0; i--) {
    lua_xmove(task, L, 1);
    lua_rawseti(L, -2, i);
  }
  return 1;
}

/* resume(coroutine, cancelled, outer coroutine or nil, request or nil): resumes a task,
   with the answer to its request if there is one. Gives
     request         it waits for the answer to this one, which is submitted now
     false           it has yielded for another reason
     true, results   it has returned; results are nil, or a table with n
     nil, error      it has raised */
static int schedule_resume(lua_State *L) {
  struct cs_client *client = client_of(L);
  lua_State *task = lua_tothread(L, 1), *outer = lua_tothread(L, 3);
  luaL_argexpected(L, task != NULL, 1, "coroutine");
  bool cancelled = lua_toboolean(L, 2) != 0;
  if (lua_status(task) == LUA_OK && lua_gettop(task) == 0) {
    /* Ended by somebody who got hold of it. lua_resume would read below its stack. */
    if (lua_touserdata(L, 4)) cs_engine_give(client->engine, lua_touserdata(L, 4));
    lua_pushnil(L);
    lua_pushliteral(L, "the task's coroutine was closed or resumed by somebody else");
    return 2;
  }
  int n = push_values(L, client, task, lua_touserdata(L, 4));
  lua_settop(L, 1);
  client->task = task;
  client->task_cancelled = cancelled;
  int status = lua_resume(task, L, n, &n);
  struct cs_request *parked = client->parked;
  client->parked = NULL;
  client->task = outer;
  client->task_cancelled = false; /* the scheduler says what holds for the outer one */
  if (status == LUA_YIELD) {
    lua_pop(task, n);
    if (parked) {
      parked->waiter = task;
      cs_engine_submit(client->engine, parked);
      lua_pushlightuserdata(L, parked);
    } else {
      lua_pushboolean(L, 0);
    }
    return 1;
  }
  if (status != LUA_OK) {
    lua_pushnil(L);
    lua_xmove(task, L, 1);
    return 2;
  }
  lua_pushboolean(L, 1);
  return n > 0 ? 1 + push_results(L, task, n) : 1;
}

/* request_of(coroutine) -> the request that it waits for, or nil */
static int schedule_request_of(lua_State *L) {
  struct cs_request *request = cs_engine_find(client_of(L)->engine, lua_tothread(L, 1));
  if (!request) return 0;
  lua_pushlightuserdata(L, request);
  return 1;
}

/* refuse(whether): the running task may start no calls any more, or may again. */
static int schedule_refuse(lua_State *L) {
  client_of(L)->task_cancelled = lua_toboolean(L, 1) != 0;
  return 0;
}

/* reset(): no task is running; after an interrupt. */
static int schedule_reset(lua_State *L) {
  struct cs_client *client = client_of(L);
  client->task = NULL;
  client->task_cancelled = false;
  return 0;
}

/* step(seconds): waits until something is done, at most that long. */
static int schedule_step(lua_State *L) {
  struct cs_client *client = client_of(L);
  double seconds = (double)luaL_checknumber(L, 1);
  struct cs_wait wait = cs_wait_begin(L);
  cs_wait_step(L, CLIENT, client, &wait, seconds);
  return 0;
}

/* tell(quietly): calls on_event for what has happened since the last step. */
static int schedule_tell(lua_State *L) {
  struct cs_client *client = client_of(L);
  if (lua_toboolean(L, 1)) {
    cs_client_tell_quietly(L, CLIENT);
  } else {
    cs_client_tell(L, CLIENT, client);
  }
  return 0;
}

/* next_done() -> a request that is done, or nil */
static int schedule_next_done(lua_State *L) {
  struct cs_client *client = client_of(L);
  struct cs_request *request = cs_engine_next_done(client->engine);
  if (!request) return 0;
  lua_pushlightuserdata(L, request);
  return 1;
}

/* deliver(request) -> what the call returns */
static int schedule_deliver(lua_State *L) {
  struct cs_client *client = client_of(L);
  luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
  struct cs_request *request = lua_touserdata(L, 1);
  cs_binding_fetch_response(L, CLIENT, request);
  return cs_binding_deliver(L, client, request, lua_isnil(L, -1) ? 0 : -1);
}

/* cancel(request): ends it with the failure "cancelled". True when next_done will
   still give it, false when it has been taken from there already. */
static int schedule_cancel(lua_State *L) {
  struct cs_client *client = client_of(L);
  luaL_checktype(L, 1, LUA_TLIGHTUSERDATA);
  struct cs_request *request = lua_touserdata(L, 1);
  cs_engine_cancel(client->engine, request);
  lua_pushboolean(L, cs_engine_is_done(client->engine, request));
  return 1;
}

static int schedule_now(lua_State *L) {
  lua_pushnumber(L, cs_engine_now());
  return 1;
}

/* schedule(client) -> the functions above for one client, and its max_in_flight as
   `limit` */
static int schedule(lua_State *L) {
  static const luaL_Reg functions[] = {{"resume", schedule_resume},
                                       {"running", schedule_running},
                                       {"reset", schedule_reset},
                                       {"refuse", schedule_refuse},
                                       {"request_of", schedule_request_of},
                                       {"step", schedule_step},
                                       {"cancel", schedule_cancel},
                                       {"next_done", schedule_next_done},
                                       {"deliver", schedule_deliver},
                                       {"tell", schedule_tell},
                                       {NULL, NULL}};
  struct cs_client *client = cs_client_check(L, 1);
  lua_settop(L, 1);
  lua_createtable(L, 0, 8);
  lua_pushvalue(L, 1);
  luaL_setfuncs(L, functions, 1);
  lua_pushinteger(L, client->max_in_flight);
  lua_setfield(L, -2, "limit");
  return 1;
}

/* in_use(client) -> how many requests are with callers, queued, active, waiting or done;
   for specs. */
static int schedule_in_use(lua_State *L) {
  struct cs_client *client = cs_client_check(L, 1);
  lua_pushinteger(L, client->engine ? cs_engine_in_use(client->engine) : 0);
  return 1;
}

void cs_schedule_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"schedule", schedule},
                                       {"create", schedule_create},
                                       {"in_use", schedule_in_use},
                                       {"now", schedule_now},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}

#undef CLIENT
