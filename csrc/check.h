/* SPDX-License-Identifier: MIT */
/*
 * What values must be, and what is raised when they are not, with the place of the value:
 * "users.update_roles: addedRoles[2]: non-empty string expected, got nil". shape.c walks
 * with these. Everything here may raise; indices are absolute.
 */
#ifndef CS_CHECK_H
#define CS_CHECK_H

#include <stdbool.h>

#include "buffer.h"
#include "compat.h"
#include "fields.h"

#pragma GCC visibility push(hidden)

/* Where the walk is: a chain of frames, turned into text only for a message. */
struct cs_place {
  const struct cs_place *parent;
  const char *call;   /* of the outermost frame */
  const char *member; /* likewise: what its keys are called, "field" or "option" */
  const char *name;   /* NULL for an element */
  lua_Integer element;
  const void *table; /* the one that is walked here, where loops are looked for */
};

/* The call that the walk is for: "users.update_roles". */
const char *cs_check_call(const struct cs_place *place);

/* "list of non-empty strings", for messages and documentation; pushed. */
const char *cs_check_push_expected(lua_State *L, const struct cs_field *field);

int cs_check_complain(lua_State *L, const struct cs_place *place, const char *expected,
                      const char *got);
int cs_check_complain_type(lua_State *L, const struct cs_place *place,
                           const struct cs_field *field, int index);

/* Raises "<call>: <path>: <text>". */
int cs_check_refuse(lua_State *L, const struct cs_place *place, const char *text);

/* Raises when a buffer could not take what was appended; CS_OK passes. `what` names the
   thing that would have been too large. */
void cs_check_status(lua_State *L, const char *call, enum cs_status status,
                     const char *what);

const char *cs_check_string(lua_State *L, const struct cs_place *place,
                            const struct cs_field *field, int index, size_t *length);
lua_Integer cs_check_integer(lua_State *L, const struct cs_place *place,
                             const struct cs_field *field, int index);
lua_Number cs_check_number(lua_State *L, const struct cs_place *place,
                           const struct cs_field *field, int index);
bool cs_check_boolean(lua_State *L, const struct cs_place *place,
                      const struct cs_field *field, int index);
void cs_check_table(lua_State *L, const struct cs_place *place, const char *expected,
                    int index);

/* A string of any length without control characters. */
const char *cs_check_text(lua_State *L, const struct cs_place *place, int index,
                          size_t *length);

/* A key that is a name: a string without control characters, and not empty. `what` says
   whose, "field" for example. */
const char *cs_check_name(lua_State *L, const struct cs_place *place, const char *what,
                          int key);

/* The field of that name in a list; NULL when there is none. */
const struct cs_field *cs_check_find(const struct cs_field *fields, const char *name);

/* Checks the names of all fields, unless `fields` is NULL, and pushes the table to look
   them up in: the view that __pairs gives, or else of all that is in tables behind it by
   __index, but their functions where any name is let through, which falls back on the
   table itself; or the table. */
void cs_check_open(lua_State *L, const struct cs_place *place,
                   const struct cs_field *fields, int index);

/* The length of a list: its border, or what __len says. */
lua_Integer cs_check_list(lua_State *L, const struct cs_place *place,
                          const struct cs_field *field, int index);

/* Pushes element i of such a list; false behind the last, which is where a list without
   holes must end. Elements that only __index shows count, too. */
bool cs_check_next_element(lua_State *L, const struct cs_place *place, int index,
                           lua_Integer length, lua_Integer i);

#pragma GCC visibility pop

#endif
