/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/figure.h"

#include "base/hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* PNG (ISO/IEC 15948) without compression: deflate's stored blocks need no library, and the images are small. */
struct bytes {
    unsigned char *at;
    size_t n;
};

static void put(struct bytes *b, const void *from, size_t n)
{
    memcpy(b->at + b->n, from, n);
    b->n += n;
}

static void put32(struct bytes *b, uint32_t x)
{
    const unsigned char four[4] = {(unsigned char)(x >> 24), (unsigned char)(x >> 16), (unsigned char)(x >> 8),
                                   (unsigned char)x};
    put(b, four, 4);
}

static size_t chunk_begin(struct bytes *b, const char *type)
{
    size_t start = b->n;
    put32(b, 0);
    put(b, type, 4);
    return start;
}

static void chunk_end(struct bytes *b, size_t start)
{
    struct bytes length = {b->at + start, 0};
    put32(&length, (uint32_t)(b->n - start - 8));
    put32(b, loom_crc32(0, b->at + start + 4, b->n - start - 4));
}

static uint32_t adler(const unsigned char *p, size_t n)
{
    uint32_t a = 1, s = 0;
    for (size_t i = 0; i < n; i++) {
        a = (a + p[i]) % 65521;
        s = (s + a) % 65521;
    }
    return s << 16 | a;
}

/* Dark to light through blue and green, so that order survives grey printing and colour blindness. */
static void palette(struct bytes *b)
{
    static const unsigned char stop[6][3] = {{27, 24, 72},   {48, 69, 138},  {38, 119, 142},
                                             {45, 168, 120}, {148, 206, 70}, {248, 231, 60}};
    const unsigned char none[3] = {0, 0, 0};
    put(b, none, 3);
    for (int i = 0; i < 255; i++) {
        double at = i / 254.0 * 5.0;
        int k = at < 4.0 ? (int)at : 4;
        unsigned char colour[3];
        for (int c = 0; c < 3; c++)
            colour[c] = (unsigned char)lround(stop[k][c] + (at - k) * (stop[k + 1][c] - stop[k][c]));
        put(b, colour, 3);
    }
}

static void pixels(struct bytes *b, const unsigned char *raw, size_t n)
{
    put(b, "\x78\x01", 2);
    for (size_t at = 0; at < n || n == 0; at += 65535) {
        size_t here = n - at < 65535 ? n - at : 65535;
        const unsigned char head[5] = {at + here == n, (unsigned char)here, (unsigned char)(here >> 8),
                                       (unsigned char)~here, (unsigned char)(~here >> 8)};
        put(b, head, 5);
        put(b, raw + at, here);
        if (n == 0)
            break;
    }
    put32(b, adler(raw, n));
}

static void base64(struct loom_str *out, const unsigned char *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = (uint32_t)p[i] << 16 | (uint32_t)(i + 1 < n ? p[i + 1] : 0) << 8 | (i + 2 < n ? p[i + 2] : 0);
        const char four[4] = {digits[x >> 18], digits[x >> 12 & 63], i + 1 < n ? digits[x >> 6 & 63] : '=',
                              i + 2 < n ? digits[x & 63] : '='};
        loom_str_addn(out, four, 4);
    }
}

void loom_png_uri(struct loom_str *out, const uint8_t *index, uint32_t width, uint32_t height)
{
    size_t raw_size = (size_t)height * (width + 1), room = raw_size + raw_size / 65535 * 5 + 2048;
    unsigned char *raw = calloc(raw_size + 1, 1);
    struct bytes b = {malloc(room), 0};
    if (raw == NULL || b.at == NULL) {
        out->failed = 1;
        free(raw);
        free(b.at);
        return;
    }
    for (uint32_t y = 0; y < height; y++)
        memcpy(raw + (size_t)y * (width + 1) + 1, index + (size_t)y * width, width);
    put(&b, "\x89PNG\r\n\x1a\n", 8);
    size_t start = chunk_begin(&b, "IHDR");
    put32(&b, width);
    put32(&b, height);
    put(&b, "\x08\x03\0\0\0", 5);
    chunk_end(&b, start);
    start = chunk_begin(&b, "PLTE");
    palette(&b);
    chunk_end(&b, start);
    start = chunk_begin(&b, "tRNS");
    put(&b, "\0", 1);
    chunk_end(&b, start);
    start = chunk_begin(&b, "IDAT");
    pixels(&b, raw, raw_size);
    chunk_end(&b, start);
    chunk_end(&b, chunk_begin(&b, "IEND"));
    loom_str_add(out, "data:image/png;base64,");
    base64(out, b.at, b.n);
    free(raw);
    free(b.at);
}
