/* SPDX-License-Identifier: MIT */
/*
 * core.journal: journal.h for Lua. Operations give a value, or nil and an error record of
 * kind "journal" whose `code` says what is wrong; a closed one gives kind "closed".
 *
 *   create(path), open(path), read(path)  -> journal
 *   journal:append(text)                  -> the record's number; text is a JSON object's inside
 *   journal:flush(), :sync(), :close()    -> true
 *   journal:records([first])              -> iterator over line, number; raises what fails
 *   journal:count(), :path()
 *   pid()                                 -> this process's id
 */
#ifndef CS_JOURNAL_LUA_H
#define CS_JOURNAL_LUA_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* Sets the field `journal` of the table on top. */
void cs_journal_lua_open(lua_State *L);

#pragma GCC visibility pop

#endif
