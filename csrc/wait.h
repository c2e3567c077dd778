/* SPDX-License-Identifier: MIT */
/*
 * Waiting from Lua: lets the engine step, tells events, and lets the interpreter's debug
 * hook strike, which is how Ctrl-C arrives (lua.c's signal handler only sets a hook).
 */
#ifndef CS_WAIT_H
#define CS_WAIT_H

#include "client.h"

#pragma GCC visibility push(hidden)

struct cs_wait {
  lua_State *main; /* the main thread, on which the handler sets its hook */
  lua_Hook before; /* that thread's hook when the wait began */
};

struct cs_wait cs_wait_begin(lua_State *L);

/* Waits at most `seconds`, or until something is done. `index` is the client's. May
   raise: an interrupt, or what on_event raises. */
void cs_wait_step(lua_State *L, int index, struct cs_client *client,
                  const struct cs_wait *wait, double seconds);

#pragma GCC visibility pop

#endif
