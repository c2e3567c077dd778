/* SPDX-License-Identifier: MIT */
/* See crc32c.h. table[k][b] is what byte b does to the sum when k bytes follow it. */
#include "crc32c.h"

static const uint32_t polynomial = 0x82F63B78; /* reflected */

void cs_crc32c_init(struct cs_crc32c *crc) {
  for (uint32_t b = 0; b < 256; b++) {
    uint32_t sum = b;
    for (int bit = 0; bit < 8; bit++) sum = (sum >> 1) ^ (sum & 1 ? polynomial : 0);
    crc->table[0][b] = sum;
  }
  for (int k = 1; k < 8; k++) {
    for (int b = 0; b < 256; b++) {
      uint32_t sum = crc->table[k - 1][b];
      crc->table[k][b] = (sum >> 8) ^ crc->table[0][sum & 0xFF];
    }
  }
}

/* One load where the machine is little-endian. */
static uint32_t word(const unsigned char *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
         (uint32_t)p[3] << 24;
}

uint32_t cs_crc32c(const struct cs_crc32c *crc, const void *bytes, size_t n) {
  const uint32_t(*table)[256] = crc->table;
  const unsigned char *p = bytes;
  uint32_t sum = 0xFFFFFFFF;
  for (; n >= 8; n -= 8, p += 8) {
    uint32_t low = sum ^ word(p), high = word(p + 4);
    sum = table[7][low & 0xFF] ^ table[6][low >> 8 & 0xFF] ^ table[5][low >> 16 & 0xFF] ^
          table[4][low >> 24] ^ table[3][high & 0xFF] ^ table[2][high >> 8 & 0xFF] ^
          table[1][high >> 16 & 0xFF] ^ table[0][high >> 24];
  }
  for (; n > 0; n--) sum = (sum >> 8) ^ table[0][(sum ^ *p++) & 0xFF];
  return ~sum;
}
