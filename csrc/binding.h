/* SPDX-License-Identifier: MIT */
/*
 * The one Lua function behind every endpoint: a closure over a row's number. Checks the
 * arguments along the row, writes the request, waits for it, or parks it for the
 * scheduler, and delivers what came of it. direct.c has calls without a row go the same
 * way.
 */
#ifndef CS_BINDING_H
#define CS_BINDING_H

#include "check.h"
#include "client.h"

#pragma GCC visibility push(hidden)

/* A call until its request is submitted; lives on its C stack. */
struct cs_call {
  struct cs_client *client;
  const struct cs_endpoint *row;
  int operation;    /* the row's number: see cs_direct_row */
  bool as_page;     /* takes limit and offset, and gives a page, whatever the row says */
  const char *name; /* what messages call it; NULL for the row's own */
  struct cs_request *request;
};

/* The upvalue of every method that holds its client. */
enum { CS_BINDING_CLIENT = 1 };

/* What every method does: (self, arguments…) at the bottom of the stack, its upvalues.
   `prepare` is called as (call, arguments…) -> response table or nil; it writes the
   request and raises, with nothing sent, what is wrong. Returns the number of values. */
int cs_binding_run(lua_State *L, struct cs_call *call, lua_CFunction prepare);

/* For `prepare`: brings the arguments, from stack index 2 on, to the number `most`; more
   than that are an error unless they are nil. */
void cs_binding_check_arguments(lua_State *L, const struct cs_place *root, int most);

/* For `prepare`, at its end: reads the options at a stack index and copies what the row
   says. Pushes the response table, where there is one, and returns how many. */
int cs_binding_finish(lua_State *L, struct cs_call *call, int options);

/* Pushes the table of one resource's methods, for the client at stack index `client`. */
void cs_binding_push_resource(lua_State *L, int client,
                              const struct cs_resource *resource);

/* Lua: core.pager(client, resource, i) -> a method of the resource that gives pages of
   the list that row i of operations() promises whole; it takes what `page` takes. */
int cs_binding_pager(lua_State *L);

/* Lua: core.check(client, i, name, …): raises, at its caller's caller, what is wrong with
   the arguments of row i, which messages call `name`. Nothing is sent. */
int cs_binding_check(lua_State *L);

/* Pushes what a done, held request gives, and gives it back to the engine; returns the
   number of values. `response` is a stack index, or 0. */
int cs_binding_deliver(lua_State *L, struct cs_client *client, struct cs_request *request,
                       int response);

/* Pushes the `response` table of a request that was parked, or nil. */
void cs_binding_fetch_response(lua_State *L, int client, struct cs_request *request);

#pragma GCC visibility pop

#endif
