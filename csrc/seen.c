/* SPDX-License-Identifier: MIT */
/* See seen.h. */
#include "seen.h"

#include <stdlib.h>
#include <string.h>

static uint64_t rotate(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

struct sip {
  uint64_t a, b, c, d;
};

static void sip_round(struct sip *s) {
  s->a += s->b;
  s->b = rotate(s->b, 13) ^ s->a;
  s->a = rotate(s->a, 32);
  s->c += s->d;
  s->d = rotate(s->d, 16) ^ s->c;
  s->a += s->d;
  s->d = rotate(s->d, 21) ^ s->a;
  s->c += s->b;
  s->b = rotate(s->b, 17) ^ s->c;
  s->c = rotate(s->c, 32);
}

/* SipHash-1-3; the bytes are taken in the machine's order, since hashes stay here. */
static uint64_t hash(const struct cs_seen *seen, const char *key, size_t length) {
  struct sip s = {seen->key[0] ^ UINT64_C(0x736f6d6570736575),
                  seen->key[1] ^ UINT64_C(0x646f72616e646f6d),
                  seen->key[0] ^ UINT64_C(0x6c7967656e657261),
                  seen->key[1] ^ UINT64_C(0x7465646279746573)};
  uint64_t word;
  size_t left = length;
  for (; left >= sizeof word; left -= sizeof word, key += sizeof word) {
    memcpy(&word, key, sizeof word);
    s.d ^= word;
    sip_round(&s);
    s.a ^= word;
  }
  word = 0;
  if (left > 0) memcpy(&word, key, left);
  word ^= (uint64_t)length << 56;
  s.d ^= word;
  sip_round(&s);
  s.a ^= word;
  s.c ^= 0xff;
  for (int i = 0; i < 3; i++) sip_round(&s);
  return s.a ^ s.b ^ s.c ^ s.d;
}

void cs_seen_init(struct cs_seen *seen, uint64_t key0, uint64_t key1) {
  *seen = (struct cs_seen){.key = {key0, key1}};
}

void cs_seen_free(struct cs_seen *seen) {
  for (int i = 0; i < CS_SEEN_PARTS; i++) {
    free(seen->parts[i].hashes);
    free(seen->parts[i].numbers);
  }
  cs_seen_init(seen, seen->key[0], seen->key[1]);
}

/* The high bits chose the part, so the low ones choose the slot. */
static uint32_t slot_of(const struct cs_seen_part *part, uint64_t code) {
  uint32_t slot = (uint32_t)(((code & UINT32_MAX) * part->capacity) >> 32);
  while (part->numbers[slot] != 0 && part->hashes[slot] != code)
    slot = slot + 1 == part->capacity ? 0 : slot + 1;
  return slot;
}

static bool grow(struct cs_seen_part *part) {
  struct cs_seen_part bigger = {.used = part->used,
                                .capacity = part->capacity + part->capacity / 4 + 16};
  bigger.hashes = malloc(bigger.capacity * sizeof *bigger.hashes);
  bigger.numbers = calloc(bigger.capacity, sizeof *bigger.numbers);
  if (!bigger.hashes || !bigger.numbers) {
    free(bigger.hashes);
    free(bigger.numbers);
    return false;
  }
  for (uint32_t i = 0; i < part->capacity; i++) {
    if (part->numbers[i] == 0) continue;
    uint32_t slot = slot_of(&bigger, part->hashes[i]);
    bigger.hashes[slot] = part->hashes[i];
    bigger.numbers[slot] = part->numbers[i];
  }
  free(part->hashes);
  free(part->numbers);
  *part = bigger;
  return true;
}

uint32_t cs_seen_add(struct cs_seen *seen, const char *key, size_t length, bool *is_new) {
  uint64_t code = hash(seen, key, length);
  struct cs_seen_part *part = &seen->parts[code >> 56];
  *is_new = false;
  if (part->used + part->used / 8 >= part->capacity && !grow(part)) return 0;
  uint32_t slot = slot_of(part, code);
  if (part->numbers[slot] != 0) return part->numbers[slot];
  if (seen->count == UINT32_MAX) return 0;
  part->hashes[slot] = code;
  part->numbers[slot] = ++seen->count;
  part->used++;
  *is_new = true;
  return seen->count;
}

uint32_t cs_seen_find(const struct cs_seen *seen, const char *key, size_t length) {
  uint64_t code = hash(seen, key, length);
  const struct cs_seen_part *part = &seen->parts[code >> 56];
  return part->capacity ? part->numbers[slot_of(part, code)] : 0;
}
