/* SPDX-License-Identifier: MIT */
/*
 * What lua/cipherscale/scheduler.lua needs from C. A call in a task parks its request and
 * yields; resume submits it when the yield has happened. So a yield that cannot happen
 * has sent nothing.
 */
#ifndef CS_SCHEDULE_H
#define CS_SCHEDULE_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* Adds the functions to the module table on top of the stack. */
void cs_schedule_open(lua_State *L);

#pragma GCC visibility pop

#endif
