/* SPDX-License-Identifier: MIT */
/*
 * client:request{ method=, path=, query=, body=, repeat_class= }: a call that no row of
 * the table describes. The caller says what a row would; from there it goes the way of
 * any other call.
 */
#ifndef CS_DIRECT_H
#define CS_DIRECT_H

#include "compat.h"
#include "endpoints.h"

#pragma GCC visibility push(hidden)

/* Pushes the method for the client at stack index `client`. */
void cs_direct_push_method(lua_State *L, int client);

/* The row behind a request's number: of the table, or one of those for such calls. */
const struct cs_endpoint *cs_direct_row(int operation);

#pragma GCC visibility pop

#endif
