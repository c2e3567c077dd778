/* SPDX-License-Identifier: MIT */
/*
 * The names in a table that no list of fields describes, in an order that does not depend
 * on how Lua keeps them.
 */
#ifndef CS_NAMES_H
#define CS_NAMES_H

#include "check.h"

#pragma GCC visibility push(hidden)

struct cs_names {
  const char *const *sorted; /* by their bytes */
  size_t count;
};

/* Reads the keys of the plain table at an absolute index, all of which must be names
   (`what` says of what), and pushes two values that keep them alive. */
struct cs_names cs_names_push(lua_State *L, const struct cs_place *place,
                              const char *what, int table);

/* The same of all keys that are strings. */
struct cs_names cs_names_of(lua_State *L, int table);

/* The i-th of a struct cs_names: see cs_error_push_unknown. */
const char *cs_names_get(const void *names, int i);

#pragma GCC visibility pop

#endif
