/* SPDX-License-Identifier: MIT */
/* See seen.h. Each of the tables grows alone, so that growing needs little memory
   besides, and they begin with different sizes, so that they do not all grow at once: the
   memory stays near its mean, 16 bytes a key, instead of going from 13 to 20. */
#define _DEFAULT_SOURCE /* getentropy */
#include "seen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Linear probing looks at 50 slots before it grows, eight in a cache line. */
enum { LEAST_CAPACITY = 8, FULL_TENTHS = 9 };

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

/* SipHash-1-3 (Aumasson and Bernstein); never 0, which marks a free slot. */
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
  uint64_t hash = v[0] ^ v[1] ^ v[2] ^ v[3];
  return hash ? hash : 1;
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
  for (int i = 0; i < CS_SEEN_TABLES; i++) {
    free(seen->tables[i].hashes);
    seen->tables[i] = (struct cs_seen_table){.hashes = NULL};
  }
  seen->count = 0;
}

static unsigned table_of(uint64_t hash) { return (unsigned)(hash >> 56); }

/* Where the hash is, or the free slot where it belongs; a table is never full. */
static uint32_t slot_of(const struct cs_seen_table *table, uint64_t hash) {
  uint64_t within = hash >> 24 & 0xFFFFFFFF; /* 32 bits behind those of the table */
  uint32_t i = (uint32_t)(within * table->capacity >> 32);
  while (table->hashes[i] != 0 && table->hashes[i] != hash)
    if (++i == table->capacity) i = 0;
  return i;
}

static bool is_full(const struct cs_seen_table *table) {
  return (uint64_t)(table->count + 1) * 10 > (uint64_t)table->capacity * FULL_TENTHS;
}

static bool grow(struct cs_seen_table *table, unsigned number) {
  uint32_t first = LEAST_CAPACITY + LEAST_CAPACITY * number / (2 * CS_SEEN_TABLES);
  struct cs_seen_table grown = {
    .capacity = table->capacity ? table->capacity + table->capacity / 2 : first,
    .count = table->count};
  size_t slot = sizeof *grown.hashes + sizeof *grown.ordinals;
  grown.hashes = calloc(grown.capacity, slot);
  if (!grown.hashes) return false;
  grown.ordinals = (uint32_t *)(grown.hashes + grown.capacity);
  for (uint32_t i = 0; i < table->capacity; i++) {
    if (table->hashes[i] == 0) continue;
    uint32_t to = slot_of(&grown, table->hashes[i]);
    grown.hashes[to] = table->hashes[i];
    grown.ordinals[to] = table->ordinals[i];
  }
  free(table->hashes);
  *table = grown;
  return true;
}

uint32_t cs_seen_find(const struct cs_seen *seen, const char *key, size_t n) {
  uint64_t hash = hash_of(seen, key, n);
  const struct cs_seen_table *table = &seen->tables[table_of(hash)];
  return table->capacity ? table->ordinals[slot_of(table, hash)] : 0;
}

enum cs_status cs_seen_add(struct cs_seen *seen, const char *key, size_t n,
                           uint32_t *ordinal, bool *is_new) {
  uint64_t hash = hash_of(seen, key, n);
  unsigned number = table_of(hash);
  struct cs_seen_table *table = &seen->tables[number];
  *ordinal = table->capacity ? table->ordinals[slot_of(table, hash)] : 0;
  *is_new = *ordinal == 0;
  if (!*is_new) return CS_OK;
  if (seen->count == UINT32_MAX) return CS_TOO_LARGE;
  if (is_full(table) && !grow(table, number)) return CS_NO_MEMORY;
  uint32_t i = slot_of(table, hash);
  table->hashes[i] = hash;
  table->ordinals[i] = *ordinal = ++seen->count;
  table->count++;
  return CS_OK;
}
