/* SPDX-License-Identifier: MIT */
/* The module's own version (semver.org). */
#ifndef CS_VERSION_H
#define CS_VERSION_H

static const char cs_version[] = "0.1.0-dev";

#endif
