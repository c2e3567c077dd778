/* SPDX-License-Identifier: MIT */
/*
 * What a function says of itself where what it belongs to is printed: its arguments and a
 * sentence, "(fn)  Runs fn(tasks) …". Kept as long as the function is.
 */
#ifndef CS_WORDS_H
#define CS_WORDS_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* Makes the table that keeps them. */
void cs_words_open(lua_State *L);

/* Gives the function on top its words. */
void cs_words_set(lua_State *L, const char *words);

/* Replaces the value on top by its words, or by "(…)". */
void cs_words_push(lua_State *L);

/* Lua: core.tell(fn, words) -> fn */
int cs_words_tell(lua_State *L);

#pragma GCC visibility pop

#endif
