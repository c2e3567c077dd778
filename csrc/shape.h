/* SPDX-License-Identifier: MIT */
/*
 * The reader of bodies and options; query.c is that of queries. Walks a table along a
 * field list, checks names, types and ranges, and writes what it finds in the same pass:
 * as JSON, or into a struct of options. Everything is read through metamethods. What does
 * not fit is raised with its path:
 * "users.update_roles: addedRoles[2]: non-empty string expected, got nil".
 */
#ifndef CS_SHAPE_H
#define CS_SHAPE_H

#include "writer.h"

#pragma GCC visibility push(hidden)

/* `place` names the call and, where it has a parent, the field that holds the table.
   `index` is the table's absolute stack index, or the index of nil for an empty one. */

/* Writes a JSON object; its positional fields are on the stack from `first_positional`
   on. An open writer passes through fields that the list does not know, behind those
   that it does; for a loose one nothing is required, and values may be others, too; the
   body itself may, unless it has positional fields. */
void cs_shape_write_body(const struct cs_writer *w, const struct cs_place *place,
                         int index, int first_positional, const struct cs_field *fields);

/* Appends such an object or, where the table is a list, an array of `most` at most. */
void cs_shape_write_bodies(const struct cs_writer *w, const struct cs_place *place,
                           int index, int most, const struct cs_field *fields);

/* Writes each option that is there to its offset in `into` (string: const char *,
   integer: int, number: double, boolean: bool) and pushes a table that holds the values
   by name: it keeps the strings alive, and has what no struct can hold. */
void cs_shape_read(lua_State *L, const struct cs_place *place, int index,
                   const struct cs_field *options, void *into);

/* Whether a list has fields that are not arguments of the call. */
int cs_shape_has_named(const struct cs_field *fields);

#pragma GCC visibility pop

#endif
