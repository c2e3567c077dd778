/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli; RFC 3720 B.4), eight bytes a step. It finds every damage of up to
 * 32 bits in a row; it is no protection from somebody who means to deceive.
 */
#ifndef CS_CRC32C_H
#define CS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

struct cs_crc32c {
  uint32_t table[8][256];
};

/* Computes the tables; takes some microseconds. */
void cs_crc32c_init(struct cs_crc32c *crc);

uint32_t cs_crc32c(const struct cs_crc32c *crc, const void *bytes, size_t n);

#pragma GCC visibility pop

#endif
