/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/lone.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Predictions in data units, which are there in evaluation alone; else parameters. */
static int64_t numbers_in(const struct loom_reading *r)
{
    return (int64_t)r->ask->elems * (r->predicted ? 1 : r->params_n);
}

static int take_readings(struct loom_bits *b, const struct loom_shard *s)
{
    int64_t n = 0;
    for (int i = 0; i < loom_shard_readings(s); i++)
        n += numbers_in(loom_shard_reading(s, i));
    b->reading = malloc(((size_t)n + 1) * sizeof *b->reading);
    if (!b->reading)
        return LOOM_ENOMEM;
    for (int i = 0; i < loom_shard_readings(s); i++) {
        const struct loom_reading *r = loom_shard_reading(s, i);
        memcpy(b->reading + b->readings, r->predicted ? r->predicted : r->params,
               (size_t)numbers_in(r) * sizeof *b->reading);
        b->readings += numbers_in(r);
    }
    return LOOM_OK;
}

int loom_bits_take(struct loom_bits *b, const struct loom_pass *p, const struct loom_store *store, struct loom_error *e)
{
    *b = (struct loom_bits){.loss = p->loss, .n = store->size[LOOM_LIFE_PARAM]};
    b->grad = malloc(((size_t)b->n + 1) * sizeof *b->grad);
    if (b->grad)
        memcpy(b->grad, p->block.grad, (size_t)b->n * sizeof *b->grad);
    if (!b->grad || take_readings(b, p->shard) != LOOM_OK) {
        loom_bits_release(b);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to keep a pass: free some");
    }
    return LOOM_OK;
}

void loom_bits_release(struct loom_bits *b)
{
    free(b->grad);
    free(b->reading);
    *b = (struct loom_bits){0};
}

/* The element that differs most, by bits: a NaN that appeared differs more than any number. -1: none. */
static int64_t worst(const loom_real *a, const loom_real *b, int64_t n)
{
    int64_t at = -1;
    double most = -1;
    for (int64_t i = 0; i < n; i++) {
        double d = memcmp(&a[i], &b[i], sizeof *a) == 0 ? -1 : fabs((double)a[i] - (double)b[i]);
        if (isnan(d))
            d = INFINITY;
        if (d > most) {
            most = d;
            at = i;
        }
    }
    return at;
}

const char *loom_bits_differ(const struct loom_bits *a, const struct loom_bits *b, const struct loom_store *store,
                             char out[256])
{
    int64_t at = a->n == b->n ? worst(a->grad, b->grad, a->n) : -1;
    if (a->n != b->n || a->readings != b->readings) {
        snprintf(out, 256, "%lld gradients and %lld readings against %lld and %lld", (long long)a->n,
                 (long long)a->readings, (long long)b->n, (long long)b->readings);
        return out;
    }
    for (int i = 0; i < store->count && at >= 0; i++) {
        const struct loom_entry *x = &store->entry[i];
        if (x->lifetime == LOOM_LIFE_PARAM && at >= x->offset && at < x->offset + x->size) {
            snprintf(out, 256, "the gradient of %.100s[%lld] is %.9g against %.9g", x->name,
                     (long long)(at - x->offset), (double)a->grad[at], (double)b->grad[at]);
            return out;
        }
    }
    at = worst(a->reading, b->reading, a->readings);
    if (at >= 0) {
        snprintf(out, 256, "reading %lld is %.9g against %.9g", (long long)at, (double)a->reading[at],
                 (double)b->reading[at]);
        return out;
    }
    if (memcmp(&a->loss, &b->loss, sizeof a->loss) == 0)
        return NULL;
    snprintf(out, 256, "the loss is %.17g against %.17g", a->loss, b->loss);
    return out;
}
