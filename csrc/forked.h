/* SPDX-License-Identifier: MIT */
/*
 * Tells a process that made something from its children after fork, which hold a copy of
 * it but must not touch it. Cheap enough to ask on every call.
 */
#ifndef CS_FORKED_H
#define CS_FORKED_H

#include <stdbool.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

struct cs_fork_mark {
  const unsigned char *page; /* 1 here, 0 in a child; NULL where the kernel cannot */
  pid_t owner;
};

/* Cannot fail; without kernel support it falls back to asking for the process id. */
void cs_fork_mark_set(struct cs_fork_mark *mark);
void cs_fork_mark_clear(struct cs_fork_mark *mark);

/* Whether this is a child of the process that set the mark. */
bool cs_forked(const struct cs_fork_mark *mark);

#pragma GCC visibility pop

#endif
