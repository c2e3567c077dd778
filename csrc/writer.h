/* SPDX-License-Identifier: MIT */
/*
 * Writes JSON: pieces of it for shape.c, which knows what belongs there, and values that
 * no list of fields describes, by their Lua type. A table with element 1 is an array, one
 * with names an object whose names are sorted, an empty one an empty array; a metafield
 * __jsontype ("object" or "array") decides instead. Everything here may raise.
 */
#ifndef CS_WRITER_H
#define CS_WRITER_H

#include "buffer.h"
#include "check.h"

#pragma GCC visibility push(hidden)

struct cs_writer {
  lua_State *L;
  struct cs_buffer *out;
  bool open;  /* fields that a list does not know pass through */
  bool loose; /* nor is it checked what those that it knows hold */
};

enum cs_table_kind { CS_TABLE_EMPTY, CS_TABLE_LIST, CS_TABLE_OBJECT };

/* What the table at an absolute index is written as. */
enum cs_table_kind cs_writer_kind(lua_State *L, int index);

void cs_writer_put(const struct cs_writer *w, const struct cs_place *place,
                   const char *text);

void cs_writer_put_string(const struct cs_writer *w, const struct cs_place *place,
                          const char *text, size_t n);

/* `"name":`, after a comma unless it is the first. */
void cs_writer_put_name(const struct cs_writer *w, const struct cs_place *place,
                        bool *first, const char *name);

/* The value at an absolute index, whatever it is. */
void cs_writer_put_value(const struct cs_writer *w, const struct cs_place *place,
                         int index);

/* Whether it is cipherscale.null. */
bool cs_writer_is_null(lua_State *L, int index);

/* What the plain table at an absolute index holds beside `fields` (NULL for none), after
   the fields that are written already. */
void cs_writer_put_others(const struct cs_writer *w, const struct cs_place *place,
                          const struct cs_field *fields, int table, bool *first);

/* Raises when the table of this place is one of those around it, or lies too deep. */
void cs_writer_check_nesting(lua_State *L, const struct cs_place *place);

/* Raises for a table whose fields only __index knows: they cannot be listed. */
void cs_writer_check_listable(lua_State *L, const struct cs_place *place, int index);

/* The text of the integer or finite float at an absolute index. */
void cs_writer_number(lua_State *L, const struct cs_place *place, int index,
                      char text[32]);

#pragma GCC visibility pop

#endif
