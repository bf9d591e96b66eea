/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums of files and blocks. For naming random streams see loom_hash() in <loom/rng.h>. */
#ifndef LOOM_BASE_HASH_H
#define LOOM_BASE_HASH_H

#include <loom/types.h>

/* CRC-32C (Castagnoli), as in iSCSI and ext4. Begin with crc = 0; feed the result back to go on. */
uint32_t loom_crc32c(uint32_t crc, const void *bytes, size_t n);
/* The same without the instruction that some processors have for it: its reference. */
uint32_t loom_crc32c_portable(uint32_t crc, const void *bytes, size_t n);
/* CRC-32 as in ZIP, PNG and Ethernet. */
uint32_t loom_crc32(uint32_t crc, const void *bytes, size_t n);

/* SHA-256 (FIPS 180-4). */
struct loom_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    unsigned char block[64];
};

void loom_sha256_init(struct loom_sha256 *h);
void loom_sha256_add(struct loom_sha256 *h, const void *bytes, size_t n);
void loom_sha256_hex(struct loom_sha256 *h, char out[65]); /* ends the sum, lower-case hex */

#endif
