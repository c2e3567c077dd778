/* SPDX-License-Identifier: MIT */
/*
 * A set of keys of which only a hash is kept, and the order in which they came: 14 to 17
 * bytes a key, however long. The hash is SipHash-1-3 with a random key for each set, so
 * nobody outside can look for keys that collide.
 *
 * Two different keys with one hash are taken for the same key. With n keys in the set the
 * chance that this has happened anywhere is about n * n / 2^65: for 100,000 keys one in
 * 3.7 thousand million, for ten million one in 370,000. Whoever cannot bear that compares
 * the key with what he keeps under the ordinal.
 */
#ifndef CS_SEEN_H
#define CS_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

#pragma GCC visibility push(hidden)

struct cs_seen {
  uint64_t key[2];
  uint32_t count;
  uint64_t **chunks; /* the hashes by ordinal, in pieces that never move */
  size_t chunks_room;
  /* Open addressing. A slot has an ordinal and one byte of the hash, which tells nearly
     all other keys apart; `ordinals` owns the memory, `tags` lie behind it. */
  uint32_t *ordinals;
  unsigned char *tags; /* 0: free */
  uint64_t capacity;
};

/* Cannot fail and allocates nothing. */
void cs_seen_init(struct cs_seen *seen);
void cs_seen_free(struct cs_seen *seen);

/* The ordinal of a key, from 1 on; 0 when it has not been added. */
uint32_t cs_seen_find(const struct cs_seen *seen, const char *key, size_t n);

/* Adds the key if it is new. CS_OK, CS_NO_MEMORY, or CS_TOO_LARGE when no ordinal is
   left; without success the set is as it was. */
enum cs_status cs_seen_add(struct cs_seen *seen, const char *key, size_t n,
                           uint32_t *ordinal, bool *is_new);

#pragma GCC visibility pop

#endif
