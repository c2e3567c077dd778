/* SPDX-License-Identifier: MIT */
/* See wait.h. */
#include "wait.h"

#include "error.h"

/* A signal that comes just before the wait does not cut it short; this does. */
static const double longest_slice = 0.25; /* seconds */

static lua_State *main_thread(lua_State *L) {
#ifdef LUA_RIDX_MAINTHREAD
  (void)lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *main = lua_tothread(L, -1);
  lua_pop(L, 1);
  return main ? main : L;
#else
  return L;
#endif
}

/* lua.c's handler asks for every event there is. Such a hook was not there to stay: it
   was set just before the wait began, and strikes when the main thread runs again. */
static bool is_interrupt(lua_State *L) {
  const int all = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
  return lua_gethookmask(L) == all && lua_gethookcount(L) == 1;
}

struct cs_wait cs_wait_begin(lua_State *L) {
  lua_State *main = main_thread(L);
  lua_Hook hook = is_interrupt(main) ? NULL : lua_gethook(main);
  return (struct cs_wait){.main = main, .before = hook};
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* Calling any function runs the call hook; the error it raises comes out of the pcall. */
static int poke(lua_State *L) {
  lua_pushcfunction(L, nothing);
  return lua_pcall(L, 0, 0, 0);
}

/* Hooks are per coroutine, and the handler knows the main thread only: a hook that has
   appeared there since the wait began is lent to the running coroutine for one call. */
static int poke_with_hook_of(lua_State *L, const struct cs_wait *wait) {
  lua_Hook own = lua_gethook(L);
  int own_mask = lua_gethookmask(L), own_count = lua_gethookcount(L);
  lua_Hook lent = lua_gethook(wait->main);
  lua_sethook(L, lent, lua_gethookmask(wait->main), lua_gethookcount(wait->main));
  int status = poke(L);
  lua_sethook(L, own, own_mask, own_count);
  /* It has struck here; it need not strike the main thread again. */
  if (status != LUA_OK && lua_gethook(wait->main) == lent)
    lua_sethook(wait->main, NULL, 0, 0);
  return status;
}

void cs_wait_step(lua_State *L, int index, struct cs_client *client,
                  const struct cs_wait *wait, double seconds) {
  cs_engine_step(client->engine, seconds < longest_slice ? seconds : longest_slice);
  cs_client_tell(L, index, client);
  int status = LUA_OK;
  if (L != wait->main && lua_gethook(wait->main) != wait->before) {
    status = poke_with_hook_of(L, wait);
  } else if (lua_gethook(L)) {
    status = poke(L);
  }
  if (status != LUA_OK) (void)lua_error(L);
}
