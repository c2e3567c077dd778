/* SPDX-License-Identifier: MIT */
/* See forked.h. Linux gives a child zeros for a page marked so (madvise(2)), which saves
   the system call that getpid is. */
#define _DEFAULT_SOURCE /* madvise, MAP_ANONYMOUS */
#include "forked.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void cs_fork_mark_set(struct cs_fork_mark *mark) {
  mark->owner = getpid();
  mark->page = NULL;
#ifdef MADV_WIPEONFORK
  size_t size = (size_t)sysconf(_SC_PAGESIZE);
  void *page =
    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (madvise(page, size, MADV_WIPEONFORK) != 0) {
    (void)munmap(page, size);
    return;
  }
  *(unsigned char *)page = 1;
  mark->page = page;
#endif
}

void cs_fork_mark_clear(struct cs_fork_mark *mark) {
  if (mark->page)
    (void)munmap((void *)(uintptr_t)mark->page, (size_t)sysconf(_SC_PAGESIZE));
  mark->page = NULL;
}

bool cs_forked(const struct cs_fork_mark *mark) {
  return mark->page ? *mark->page == 0 : mark->owner != getpid();
}
