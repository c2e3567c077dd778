/* SPDX-License-Identifier: MIT */
/*
 * What a done request becomes in Lua: the value that its row promises, or nil and an
 * error record; and what `response = t` is filled with. Never lets a surprise in an
 * answer hide what the server did: a change that was answered 2xx is a success, whatever
 * its body.
 */
#ifndef CS_ANSWER_H
#define CS_ANSWER_H

#include "compat.h"
#include "endpoints.h"
#include "request.h"

#pragma GCC visibility push(hidden)

struct cs_answer_context {
  const char *key, *proxy_password; /* are blanked out of whatever is shown */
  size_t base_length;               /* what the URL begins with before the path */
};

/* Pushes what the call gives and returns how many values that is. `response` is the stack
   index of the table to fill, or 0. Raises only for want of memory. */
int cs_answer_push(lua_State *L, struct cs_request *request,
                   const struct cs_endpoint *row, const struct cs_answer_context *context,
                   int response);

#pragma GCC visibility pop

#endif
