/* SPDX-License-Identifier: MIT */
/*
 * JSON. Reading is lua-cjson's, through a private instance whose settings nobody shares,
 * followed by one walk that makes the result native: null fields are dropped, whole
 * numbers up to 2^53 are integers. Escapes of half a surrogate pair, which lua-cjson
 * refuses, are read as U+FFFD. Writing is shape.c's and writer.c's, except for
 * strings and numbers.
 */
#ifndef CS_JSON_H
#define CS_JSON_H

#include <stdbool.h>

#include "buffer.h"
#include "compat.h"

#pragma GCC visibility push(hidden)

/* Makes the private instance and keeps it in the registry. May raise. */
void cs_json_open(lua_State *L);

/* Pushes the decoded and cleaned value, or a message; true when it is a value.
   Raises only for want of memory or stack. */
int cs_json_decode(lua_State *L, const char *text, size_t length);

/* Lua: core.decode(text) -> value, or nil and a message. */
int cs_json_decode_string(lua_State *L);

/* Lua: core.quote(string, replace) -> its JSON string. Raises when the bytes are not
   UTF-8; with `replace`, U+FFFD stands for each bad byte. */
int cs_json_quote(lua_State *L);

/* Pushes lua-cjson's null. */
void cs_json_push_null(lua_State *L);

/* Whether bytes are UTF-8 (RFC 3629): what a JSON string may hold. */
bool cs_json_is_utf8(const char *bytes, size_t n);

/* Appends a JSON string with its quotes; CS_INVALID when the bytes are not UTF-8. */
enum cs_status cs_json_append_string(struct cs_buffer *buffer, const char *bytes,
                                     size_t n);

/* Writes a finite number with as few digits as give it back, whatever the locale; whole
   ones up to 2^53 without an exponent. */
void cs_json_write_number(double number, char text[32]);

#pragma GCC visibility pop

#endif
