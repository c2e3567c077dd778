/* SPDX-License-Identifier: MIT */
/*
 * A set of keys that remembers the order in which they came, in about 16 bytes a key
 * whatever their length: of a key only 64 bits of a keyed hash (SipHash-1-3, Aumasson and
 * Bernstein) are kept. Two different keys are taken for one with a probability of n^2 / 2^65:
 * among a million keys that is one chance in 37 million.
 */
#ifndef CS_SEEN_H
#define CS_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { CS_SEEN_PARTS = 256 };

/* Open addressing; a slot whose number is 0 is free. Small parts grow one at a time, so
   growing needs next to no memory beside what is there. */
struct cs_seen_part {
  uint64_t *hashes;
  uint32_t *numbers;
  uint32_t used, capacity;
};

struct cs_seen {
  uint64_t key[2];
  uint32_t count;
  struct cs_seen_part parts[CS_SEEN_PARTS];
};

/* The set is empty and needs no memory yet; `key` should not be guessable. */
void cs_seen_init(struct cs_seen *seen, uint64_t key0, uint64_t key1);
void cs_seen_free(struct cs_seen *seen);

/* The number of a key, from 1 on in the order of first coming; 0 for want of memory. */
uint32_t cs_seen_add(struct cs_seen *seen, const char *key, size_t length, bool *is_new);

/* The number of a key, or 0. */
uint32_t cs_seen_find(const struct cs_seen *seen, const char *key, size_t length);

#pragma GCC visibility pop

#endif
