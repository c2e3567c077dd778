/* SPDX-License-Identifier: MIT */
/*
 * What the scheduler of lua/cipherscale/tasks.lua needs from C. It resumes a task between
 * enter and leave; a call in the task parks its request and yields; leave submits it. So a
 * yield that cannot happen has sent nothing.
 */
#ifndef CS_SCHEDULE_H
#define CS_SCHEDULE_H

#include "compat.h"

/* Adds the functions to the module table on top of the stack. */
void cs_schedule_open(lua_State *L);

#endif
