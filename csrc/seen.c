/* SPDX-License-Identifier: MIT */
/* See seen.h. The slots can be filled again from the hashes alone. So they grow in place,
   which for large blocks is a matter of the page table (mremap(2)) and not of a copy, and
   there is never a second set of them. */
#define _DEFAULT_SOURCE /* getentropy */
#include "seen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* At nine tenths linear probing looks at some 50 slots, whose tags are a cache line. The
   capacity must stay below 2^32. */
enum { FIRST_CAPACITY = 64, FULL_TENTHS = 9, CHUNK = 1024, MOST_KEYS = INT32_MAX };

static uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static void sip_round(uint64_t v[4]) {
  v[0] += v[1];
  v[2] += v[3];
  v[1] = rotate(v[1], 13) ^ v[0];
  v[3] = rotate(v[3], 16) ^ v[2];
  v[0] = rotate(v[0], 32);
  v[2] += v[1];
  v[0] += v[3];
  v[1] = rotate(v[1], 17) ^ v[2];
  v[3] = rotate(v[3], 21) ^ v[0];
  v[2] = rotate(v[2], 32);
}

static uint64_t word(const unsigned char *p, size_t n) {
  uint64_t value = 0;
  for (size_t i = 0; i < n; i++) value |= (uint64_t)p[i] << (8 * i);
  return value;
}

/* SipHash-1-3 (Aumasson and Bernstein). */
static uint64_t hash_of(const struct cs_seen *seen, const char *key, size_t n) {
  const unsigned char *p = (const unsigned char *)key;
  size_t left = n;
  uint64_t v[4] = {seen->key[0] ^ 0x736f6d6570736575, seen->key[1] ^ 0x646f72616e646f6d,
                   seen->key[0] ^ 0x6c7967656e657261, seen->key[1] ^ 0x7465646279746573};
  for (; left >= 8; left -= 8, p += 8) {
    uint64_t m = word(p, 8);
    v[3] ^= m;
    sip_round(v);
    v[0] ^= m;
  }
  uint64_t last = word(p, left) | (uint64_t)n << 56;
  v[3] ^= last;
  sip_round(v);
  v[0] ^= last;
  v[2] ^= 0xFF;
  for (int i = 0; i < 3; i++) sip_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void cs_seen_init(struct cs_seen *seen) {
  *seen = (struct cs_seen){.count = 0};
  if (getentropy(seen->key, sizeof seen->key) == 0) return;
  struct timespec now; /* a kernel without: hard to guess will have to do */
  (void)clock_gettime(CLOCK_REALTIME, &now);
  seen->key[0] = (uint64_t)now.tv_sec << 32 ^ (uint64_t)now.tv_nsec;
  seen->key[1] = (uint64_t)(uintptr_t)seen ^ (uint64_t)getpid() << 40;
}

void cs_seen_free(struct cs_seen *seen) {
  for (uint32_t used = 0; used < seen->count; used += CHUNK)
    free(seen->chunks[used / CHUNK]);
  free(seen->chunks);
  free(seen->ordinals);
  *seen = (struct cs_seen){.key = {seen->key[0], seen->key[1]}};
}

/* ---- Hashes by ordinal ---- */

static uint64_t *hash_at(const struct cs_seen *seen, uint32_t ordinal) {
  return &seen->chunks[(ordinal - 1) / CHUNK][(ordinal - 1) % CHUNK];
}

/* Makes place for the next ordinal's. */
static bool add_chunk(struct cs_seen *seen) {
  size_t used = seen->count / CHUNK;
  if (used == seen->chunks_room) {
    size_t room = used ? 2 * used : 8;
    uint64_t **chunks = realloc(seen->chunks, room * sizeof *chunks);
    if (!chunks) return false;
    seen->chunks = chunks;
    seen->chunks_room = room;
  }
  seen->chunks[used] = malloc(CHUNK * sizeof **seen->chunks);
  return seen->chunks[used] != NULL;
}

/* ---- Slots ---- */

static uint64_t place_of(const struct cs_seen *seen, uint64_t hash) {
  return (hash >> 32) * seen->capacity >> 32;
}

static unsigned char tag_of(uint64_t hash) {
  return (unsigned char)((hash & 0xFF) % 255 + 1);
}

static uint64_t next_place(const struct cs_seen *seen, uint64_t i) {
  return i + 1 == seen->capacity ? 0 : i + 1;
}

static void put(struct cs_seen *seen, uint32_t ordinal) {
  uint64_t hash = *hash_at(seen, ordinal), i = place_of(seen, hash);
  while (seen->tags[i] != 0) i = next_place(seen, i);
  seen->tags[i] = tag_of(hash);
  seen->ordinals[i] = ordinal;
}

static uint32_t find(const struct cs_seen *seen, uint64_t hash) {
  if (seen->capacity == 0) return 0;
  unsigned char tag = tag_of(hash);
  for (uint64_t i = place_of(seen, hash); seen->tags[i] != 0; i = next_place(seen, i))
    if (seen->tags[i] == tag && *hash_at(seen, seen->ordinals[i]) == hash)
      return seen->ordinals[i];
  return 0;
}

static bool is_full(const struct cs_seen *seen) {
  return ((uint64_t)seen->count + 1) * 10 > seen->capacity * FULL_TENTHS;
}

static bool grow(struct cs_seen *seen) {
  uint64_t capacity =
    seen->capacity ? seen->capacity + seen->capacity / 2 : FIRST_CAPACITY;
  size_t slot = sizeof *seen->ordinals + sizeof *seen->tags;
  if (capacity > SIZE_MAX / slot) return false;
  uint32_t *ordinals = realloc(seen->ordinals, (size_t)capacity * slot);
  if (!ordinals) return false;
  seen->ordinals = ordinals;
  seen->tags = (unsigned char *)(ordinals + capacity);
  seen->capacity = capacity;
  memset(seen->tags, 0, (size_t)capacity);
  for (uint32_t ordinal = 1; ordinal <= seen->count; ordinal++) put(seen, ordinal);
  return true;
}

/* ---- The set ---- */

uint32_t cs_seen_find(const struct cs_seen *seen, const char *key, size_t n) {
  return find(seen, hash_of(seen, key, n));
}

enum cs_status cs_seen_add(struct cs_seen *seen, const char *key, size_t n,
                           uint32_t *ordinal, bool *is_new) {
  uint64_t hash = hash_of(seen, key, n);
  *ordinal = find(seen, hash);
  *is_new = *ordinal == 0;
  if (!*is_new) return CS_OK;
  if (seen->count == MOST_KEYS) return CS_TOO_LARGE;
  if (is_full(seen) && !grow(seen)) return CS_NO_MEMORY;
  if (seen->count % CHUNK == 0 && !add_chunk(seen)) return CS_NO_MEMORY;
  *ordinal = ++seen->count;
  *hash_at(seen, *ordinal) = hash;
  put(seen, *ordinal);
  return CS_OK;
}
