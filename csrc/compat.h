/* SPDX-License-Identifier: MIT */
/* Lua's headers. Differences between Lua versions belong here, and nothing else; today
   there is one version, 5.4. */
#ifndef CS_COMPAT_H
#define CS_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#endif
