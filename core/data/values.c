/* SPDX-License-Identifier: Apache-2.0 */
/* Comparisons are gathered in vectors and looked at once, at the end: what is asked is nearly always so. Vectors of 16
 * bytes, which every processor has; four at a time, since each waits for its like. */
#include "data/values.h"

#include <stdint.h>
#include <string.h>

typedef double doubles __attribute__((vector_size(16), aligned(1), may_alias));
typedef int64_t verdicts __attribute__((vector_size(16)));
typedef uint32_t words __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint32_t marks __attribute__((vector_size(16)));

enum { DOUBLES = sizeof(doubles) / sizeof(double), WORDS = sizeof(words) / sizeof(uint32_t), WIDE = 4 };

#define INFINITE 0xff000000u /* the bits of an infinite float without its sign, shifted up by one */

static double double_at(const unsigned char *at, size_t i)
{
    double x;
    memcpy(&x, at + i * sizeof x, sizeof x);
    return x;
}

int loom_times_ascend(const void *times, size_t n, double before)
{
    const unsigned char *at = times;
    verdicts all[WIDE];
    int ascend = n == 0 || double_at(at, 0) >= before;
    size_t i = 1;
    for (size_t k = 0; k < WIDE; k++)
        all[k] = (verdicts){-1, -1};
    for (; i + WIDE * DOUBLES <= n; i += WIDE * DOUBLES) {
        const doubles *x = (const void *)(at + i * sizeof(double));
        const doubles *last = (const void *)(at + (i - 1) * sizeof(double));
        for (size_t k = 0; k < WIDE; k++)
            all[k] &= x[k] >= last[k];
    }
    for (size_t k = 0; k < WIDE; k++)
        ascend &= all[k][0] != 0 && all[k][1] != 0;
    for (; i < n; i++)
        ascend &= double_at(at, i) >= double_at(at, i - 1);
    return ascend;
}

int loom_floats_any_infinite(const void *values, size_t n)
{
    const unsigned char *at = values;
    marks any[WIDE] = {0};
    uint32_t found = 0;
    size_t i = 0;
    for (; i + WIDE * WORDS <= n; i += WIDE * WORDS) {
        const words *x = (const void *)(at + i * sizeof(uint32_t));
        for (size_t k = 0; k < WIDE; k++)
            any[k] |= (marks)(x[k] << 1 == INFINITE);
    }
    for (size_t k = 0; k < WIDE * WORDS; k++)
        found |= any[k / WORDS][k % WORDS];
    for (; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, at + i * sizeof bits, sizeof bits);
        found |= bits << 1 == INFINITE;
    }
    return found != 0;
}
