/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/settings.h"

#include "config/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int word_of(const char *words, uint32_t k, char *out, size_t size)
{
    for (; k > 0; k--)
        words = strchr(words, '|') + 1;
    return snprintf(out, size, "\"%.*s\"", (int)strcspn(words, "|"), words);
}

static uint32_t words_in(const char *words)
{
    uint32_t n = 1;
    for (; *words; words++)
        n += *words == '|';
    return n;
}

static double drawn_number(const struct loom_option *o, struct loom_rng *rng)
{
    double x = o->dflt ? strtod(o->dflt, NULL) : 1.0, u = 2.0 * loom_rng_uniform(rng) - 1.0;
    x = x == 0 ? loom_rng_below(rng, 2) : x * (u < 0 ? 1.0 + 0.5 * u : 1.0 + u);
    return o->type == LOOM_OPT_INT ? (double)(int64_t)(x + 0.5) : x;
}

int loom_settings_small(const struct loom_option *table, char line[][256], int most)
{
    static const struct {
        const char *name;
        int value;
    } small[] = {{"width", 32},      {"depth", 2},      {"layers", 2},     {"heads", 2},
                 {"sessions", 2},    {"units", 12},     {"trials", 12},    {"latents", 4},
                 {"cross_heads", 1}, {"self_heads", 2}, {"head_width", 16}};
    int n = 0;
    for (const struct loom_option *o = table; o && o->name && n < most; o++)
        for (size_t i = 0; i < sizeof small / sizeof *small; i++)
            if (strcmp(o->name, small[i].name) == 0 && o->type == LOOM_OPT_INT && o->dflt &&
                loom_value_in_range(o, small[i].value)) {
                const long usual = strtol(o->dflt, NULL, 10);
                if (usual == 0 || usual > small[i].value)
                    snprintf(line[n++], 256, "%s=%d", o->name, small[i].value);
            }
    return n;
}

int loom_settings_draw(const struct loom_option *table, struct loom_rng *rng, char line[][256], int most)
{
    int n = 0;
    for (const struct loom_option *o = table; o && o->name && n < most; o++) {
        char value[128] = "";
        const int wanted = loom_rng_below(rng, 2) || (o->flags & LOOM_OPT_REQUIRED);
        const double x = drawn_number(o, rng);
        const uint32_t k = loom_rng_u32(rng);
        if (o->type == LOOM_OPT_BOOL)
            snprintf(value, sizeof value, "%s", k & 1 ? "true" : "false");
        else if ((o->type == LOOM_OPT_STRING || o->type == LOOM_OPT_STRINGS) && o->range)
            word_of(o->range, k % words_in(o->range), value, sizeof value);
        else if ((o->type == LOOM_OPT_INT || o->type == LOOM_OPT_REAL) && loom_value_in_range(o, x))
            snprintf(value, sizeof value, o->type == LOOM_OPT_INT ? "%.0f" : "%.6f", x);
        if (wanted && value[0])
            snprintf(line[n++], 256, "%s=%s", o->name, value);
    }
    return n;
}
