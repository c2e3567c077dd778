/* SPDX-License-Identifier: MIT */
/*
 * The client userdata: owns one engine, and the table of what `client.<name>` finds
 * (resources, close, and what the Lua layer adds). It exists, typed and closed, before it
 * owns anything; close, __close and __gc are one idempotent function.
 */
#ifndef CS_CLIENT_H
#define CS_CLIENT_H

#include "answer.h"
#include "compat.h"
#include "engine.h"
#include "options.h"

#pragma GCC visibility push(hidden)

struct cs_client {
  struct cs_engine *engine; /* NULL before it is opened */
  struct cs_call_options defaults;
  struct cs_answer_context answers;
  char *base, *key, *proxy_password; /* copies, freed with the client */
  int max_in_flight;
  bool read_only, has_on_event;
  bool loose; /* validate = false: what the lists of fields do not know passes through */
  bool telling; /* on_event is being called: do not call it from within */

  /* Tasks: see schedule.h. */
  lua_State *task;           /* the coroutine that the scheduler resumed last, or NULL */
  bool task_cancelled;       /* it may start nothing more, in nested coroutines neither */
  struct cs_request *parked; /* prepared by a call that has yielded, not submitted yet */
};

/* Lua: core.new(options) -> client, members. `members` is the table behind the client's
   fields, for the Lua layer to add to. Raises what is wrong with the options. */
int cs_client_new(lua_State *L);

/* The client at `index`; raises for anything else. */
struct cs_client *cs_client_check(lua_State *L, int index);

/* Pushes the table of members of the client at `index`. */
void cs_client_push_members(lua_State *L, int index);

/* Lua: core.pace(client) -> write_rate or nil, write_wait, read_rate or nil, read_wait,
   rate or nil: starts a second that the service's refusals have taught, and seconds until
   the next start is allowed; at last the client's own bound for both. */
int cs_client_pace(lua_State *L);

/* Calls on_event for each event that the engine has recorded; raises what that raises. */
void cs_client_tell(lua_State *L, int index, struct cs_client *client);

/* The same where another error is about to be raised: drops what on_event raises. */
void cs_client_tell_quietly(lua_State *L, int index);

#pragma GCC visibility pop

#endif
