/* SPDX-License-Identifier: MIT */
/*
 * Journals for the Lua layer: core.journal.create(path), open(path), read(path), and
 * without a name temporary() and memory(), each giving a journal or nil, err. A journal
 * owns its file; close, __close and __gc are one idempotent function, but only close, and
 * __close at the end of a block that nothing interrupts, tell of a failure.
 */
#ifndef CS_JOURNAL_LUA_H
#define CS_JOURNAL_LUA_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* Makes the types and sets `journal` in the module table on top of the stack. */
void cs_journal_lua_open(lua_State *L);

#pragma GCC visibility pop

#endif
