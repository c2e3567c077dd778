/* SPDX-License-Identifier: MIT */
/*
 * The two kinds of wrong. A failed operation becomes an error record: a table with fields
 * (kind, message, operation, …) and a readable __tostring. Wrong usage is raised, with
 * the names that the user wrote. The API key is blanked out of everything that is shown.
 */
#ifndef CS_ERROR_H
#define CS_ERROR_H

#include "compat.h"
#include "endpoints.h"
#include "request.h"

#pragma GCC visibility push(hidden)

/* Makes the metatable of error records. */
void cs_error_open(lua_State *L);

/* Pushes the record of a failed request. `base_length` is what the URL begins with before
   the path; the key has been blanked in the request's buffers already. */
void cs_error_push(lua_State *L, const struct cs_request *request,
                   const struct cs_endpoint *row, size_t base_length);

/* Pushes a record that no request stands behind. */
void cs_error_push_kind(lua_State *L, enum cs_kind kind, const struct cs_endpoint *row,
                        const char *message);

/* Lua: core.error{ kind =, message =, … } -> the same table as an error record. */
int cs_error_new(lua_State *L);

/* The word for a kind; "network" … */
const char *cs_error_kind_name(enum cs_kind kind);

/* Overwrites every occurrence of the key with asterisks, escaped ones, too. */
void cs_error_blank(char *text, size_t length, const char *key);

/* Overwrites a beginning of the key at the end of a text that was cut off, from four
   characters on. */
void cs_error_blank_cut(char *text, size_t length, const char *key);

/* Pushes "unknown <what> '<name>'", with the nearest of `count` known names. */
const char *cs_error_push_unknown(lua_State *L, const char *what, const char *name,
                                  const char *(*known)(const void *list, int i),
                                  const void *list, int count);

/* The message on top is raised with the position of the function at `level` before it;
   any other value is raised as it is. */
int cs_error_raise_at(lua_State *L, int level);

/* What a value is, for "expected …, got …": its type, or more where that helps. */
const char *cs_error_got(lua_State *L, int index);

#pragma GCC visibility pop

#endif
