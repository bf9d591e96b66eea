/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

/* Eight bytes a round from eight tables (Kounavis and Berry, A systematic approach to building high performance
 * software-based CRC generators, 2005). tables[p][k][b] is the CRC by polynomial p of byte b followed by k zeros. */
enum { CASTAGNOLI, ZIP };
static uint32_t tables[2][8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    static const uint32_t reversed[2] = {0x82F63B78u, 0xEDB88320u};
    for (int p = 0; p < 2; p++) {
        for (uint32_t b = 0; b < 256; b++) {
            uint32_t crc = b;
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1 ? reversed[p] : 0);
            tables[p][0][b] = crc;
        }
        for (int k = 1; k < 8; k++)
            for (int b = 0; b < 256; b++)
                tables[p][k][b] = tables[p][k - 1][b] >> 8 ^ tables[p][0][tables[p][k - 1][b] & 255];
    }
}

static uint32_t add_crc(const uint32_t t[8][256], uint32_t crc, const unsigned char *b, size_t n)
{
    crc = ~crc;
    for (; n >= 8; n -= 8, b += 8) {
        crc ^= (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        crc = t[7][crc & 255] ^ t[6][crc >> 8 & 255] ^ t[5][crc >> 16 & 255] ^ t[4][crc >> 24] ^ t[3][b[4]] ^
              t[2][b[5]] ^ t[1][b[6]] ^ t[0][b[7]];
    }
    for (; n > 0; n--, b++)
        crc = crc >> 8 ^ t[0][(crc ^ *b) & 255];
    return ~crc;
}

#if defined(__x86_64__)
/* The processor's own instruction answers three cycles after it was asked and takes a question each cycle, so three
 * blocks go side by side (Gopal et al., Fast CRC computation for iSCSI polynomial using CRC32 instruction, 2011). A CRC
 * is linear in its state: what a block of zeros makes of a state is the sum of what it makes of the state's four bytes,
 * behind[k][byte]. */
enum { BLOCK = 1024 };
static uint32_t behind[4][256];
static pthread_once_t behind_once = PTHREAD_ONCE_INIT;

__attribute__((target("sse4.2"))) static uint64_t add_words(uint64_t crc, const unsigned char *b, size_t words)
{
    for (uint64_t x; words > 0; words--, b += sizeof x) {
        memcpy(&x, b, sizeof x);
        crc = _mm_crc32_u64(crc, x);
    }
    return crc;
}

static void make_behind(void)
{
    static const unsigned char zeros[BLOCK];
    for (int bit = 0; bit < 32; bit++)
        behind[bit / 8][1 << bit % 8] = (uint32_t)add_words((uint64_t)1 << bit, zeros, BLOCK / 8);
    for (int k = 0; k < 4; k++)
        for (int b = 1; b < 256; b++)
            behind[k][b] = behind[k][b & (b - 1)] ^ behind[k][b & -b];
}

static uint64_t pass_block(uint64_t crc)
{
    return behind[0][crc & 255] ^ behind[1][crc >> 8 & 255] ^ behind[2][crc >> 16 & 255] ^ behind[3][crc >> 24 & 255];
}

__attribute__((target("sse4.2"))) static uint32_t add_crc_fast(uint32_t crc, const unsigned char *b, size_t n)
{
    uint64_t state = (uint32_t)~crc;
    for (; n >= 3 * BLOCK; n -= 3 * BLOCK, b += 3 * BLOCK) {
        uint64_t x[3], second = 0, third = 0;
        for (size_t i = 0; i < BLOCK; i += 8) {
            for (size_t k = 0; k < 3; k++)
                memcpy(&x[k], b + k * BLOCK + i, 8);
            state = _mm_crc32_u64(state, x[0]);
            second = _mm_crc32_u64(second, x[1]);
            third = _mm_crc32_u64(third, x[2]);
        }
        state = pass_block(pass_block(state) ^ second) ^ third;
    }
    state = add_words(state, b, n / 8);
    for (b += n & ~(size_t)7, n &= 7; n > 0; n--, b++)
        state = _mm_crc32_u8((uint32_t)state, *b);
    return ~(uint32_t)state;
}
#endif

uint32_t loom_crc32c(uint32_t crc, const void *bytes, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        pthread_once(&behind_once, make_behind);
        return add_crc_fast(crc, bytes, n);
    }
#endif
    return loom_crc32c_portable(crc, bytes, n);
}

uint32_t loom_crc32c_portable(uint32_t crc, const void *bytes, size_t n)
{
    pthread_once(&tables_once, make_tables);
    return add_crc(tables[CASTAGNOLI], crc, bytes, n);
}

uint32_t loom_crc32(uint32_t crc, const void *bytes, size_t n)
{
    pthread_once(&tables_once, make_tables);
    return add_crc(tables[ZIP], crc, bytes, n);
}

/* First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t rounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void add_block(uint32_t state[8], const unsigned char *block)
{
    uint32_t w[64], s[8];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8 |
               block[4 * t + 3];
    for (int t = 16; t < 64; t++) {
        uint32_t a = w[t - 15], b = w[t - 2];
        w[t] =
            w[t - 16] + w[t - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int t = 0; t < 64; t++) {
        uint32_t high = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
        uint32_t first = s[7] + high + ((s[4] & s[5]) ^ (~s[4] & s[6])) + rounds[t] + w[t];
        uint32_t low = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
        uint32_t second = low + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += first;
        s[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

void loom_sha256_init(struct loom_sha256 *h)
{
    /* First 32 bits of the fractional parts of the square roots of the first 8 primes. */
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(h->state, start, sizeof start);
    h->bytes = 0;
}

void loom_sha256_add(struct loom_sha256 *h, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    while (n > 0) {
        size_t held = h->bytes % 64, take = 64 - held < n ? 64 - held : n;
        if (take == 64) {
            add_block(h->state, b);
        } else {
            memcpy(h->block + held, b, take);
            if (held + take == 64)
                add_block(h->state, h->block);
        }
        h->bytes += take;
        b += take;
        n -= take;
    }
}

void loom_sha256_hex(struct loom_sha256 *h, char out[65])
{
    unsigned char tail[72] = {0x80};
    uint64_t bits = h->bytes * 8;
    size_t pad = 64 - (h->bytes + 8) % 64;
    for (int i = 0; i < 8; i++)
        tail[pad + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
    loom_sha256_add(h, tail, pad + 8);
    for (int i = 0; i < 8; i++)
        snprintf(out + 8 * i, 9, "%08x", h->state[i]);
}
