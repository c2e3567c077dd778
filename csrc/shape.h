/* SPDX-License-Identifier: MIT */
/*
 * The one reader of tables. Walks a table along a field list, checks names, types and
 * ranges, and writes what it finds in the same pass: as a query, as JSON, or into a
 * struct of options. Everything is read through metamethods. What does not fit is raised
 * with its path: "users.update_roles: addedRoles[2]: non-empty string expected, got nil".
 */
#ifndef CS_SHAPE_H
#define CS_SHAPE_H

#include "buffer.h"
#include "compat.h"
#include "fields.h"

#pragma GCC visibility push(hidden)

/* `call` names the method in messages. `index` is the table's stack index, or the index
   of nil for an empty one. */

/* Appends "?a=b&c=d", or nothing. */
void cs_shape_write_query(lua_State *L, const char *call, int index,
                          const struct cs_field *fields, struct cs_buffer *out);

/* Appends a JSON object; its positional fields are on the stack from `first_positional`
   on. */
void cs_shape_write_body(lua_State *L, const char *call, int index, int first_positional,
                         const struct cs_field *fields, struct cs_buffer *out);

/* Appends such an object or, where the table is a list, an array of `most` at most. */
void cs_shape_write_bodies(lua_State *L, const char *call, int index, int most,
                           const struct cs_field *fields, struct cs_buffer *out);

/* Writes each option that is there to its offset in `into` (string: const char *,
   integer: int, number: double, boolean: bool) and pushes a table that holds the values
   by name: it keeps the strings alive, and has what no struct can hold. */
void cs_shape_read_options(lua_State *L, const char *call, int index,
                           const struct cs_field *options, void *into);

/* Whether a list has fields that are not arguments of the call. */
int cs_shape_has_named(const struct cs_field *fields);

#pragma GCC visibility pop

#endif
