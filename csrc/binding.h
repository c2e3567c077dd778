/* SPDX-License-Identifier: MIT */
/*
 * The one Lua function behind every endpoint: a closure over a row's number. Checks the
 * arguments along the row, writes the request, waits for it, or parks it for the
 * scheduler, and delivers what came of it.
 */
#ifndef CS_BINDING_H
#define CS_BINDING_H

#include "client.h"

#pragma GCC visibility push(hidden)

/* Pushes the table of one resource's methods, for the client at stack index `client`. */
void cs_binding_push_resource(lua_State *L, int client,
                              const struct cs_resource *resource);

/* Pushes what a done, held request gives, and gives it back to the engine; returns the
   number of values. `response` is a stack index, or 0. */
int cs_binding_deliver(lua_State *L, struct cs_client *client, struct cs_request *request,
                       int response);

/* Pushes the `response` table of a request that was parked, or nil. */
void cs_binding_fetch_response(lua_State *L, int client, struct cs_request *request);

#pragma GCC visibility pop

#endif
