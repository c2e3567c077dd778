/* SPDX-License-Identifier: MIT */
/* What stands before the body of an answer, in Lua: read when somebody looks. */
#ifndef CS_HEAD_H
#define CS_HEAD_H

#include "compat.h"
#include "request.h"

#pragma GCC visibility push(hidden)

/* Pushes a table of headers by lower-case name; repeated ones joined (RFC 9110 5.3). */
void cs_head_push(lua_State *L, const struct cs_request *request);

/* Pushes the id that the service gave the request in a header; pushes nothing and returns
   0 when there is none. */
int cs_head_push_request_id(lua_State *L, const struct cs_request *request);

/* Pushes the reason phrase of the status line, "Not Found"; HTTP/2 has none. */
void cs_head_push_reason(lua_State *L, const struct cs_request *request);

#pragma GCC visibility pop

#endif
