/* SPDX-License-Identifier: Apache-2.0 */
#include "filters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FEATURES = 6000 }; /* a part's moments are then 144 MB */

static int64_t features(const struct regression *r, const struct loom_recording *of)
{
    return (int64_t)of->units * ((const struct filtered *)r)->filters;
}

static int fill(const struct regression *r, const struct loom_sequence *s, int64_t bin, const double *mean, double *x)
{
    const struct filtered *p = (const struct filtered *)r;
    const int64_t units = s->of->units;
    int whole = 1;
    memset(x, 0, (size_t)(p->filters * units) * sizeof *x);
    for (int32_t f = 0; f < p->filters; f++, x += units) {
        const struct filter *k = &p->filter[f];
        double found = 0.0, all = 0.0;
        for (int32_t t = 0; t < k->taps; t++) {
            int64_t at = bin - k->first_lag - t;
            all += k->weight[t];
            if (!loom_sequence_seen(s, at))
                continue;
            loom_sequence_add(s, at, k->weight[t], x);
            found += k->weight[t];
        }
        for (int64_t u = 0; u < units && found != all; u++)
            x[u] = found > 0.0 ? x[u] * (all / found) : mean != NULL ? mean[f * units + u] : 0.0;
        whole &= found > 0.0;
    }
    return whole;
}

static int too_many(const struct loom_catalog *c, int32_t filters, struct loom_error *e)
{
    for (int i = 0; i < loom_catalog_count(c); i++) {
        const struct loom_recording *of = loom_catalog_recording(c, i);
        if ((int64_t)of->units * filters > MOST_FEATURES)
            return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                             "%d units of %s with %d lags are more than %d features; use fewer lags or wider bins",
                             (int)of->units, of->id, (int)filters, MOST_FEATURES);
    }
    return LOOM_OK;
}

int filtered_new(void **self, const struct loom_setup *s, size_t size, int32_t filters, int32_t taps,
                 struct loom_error *e)
{
    struct filtered *p = calloc(1, size);
    if (p != NULL) {
        p->regression.features = features;
        p->regression.fill = fill;
        p->filters = filters;
        p->filter = calloc((size_t)filters, sizeof *p->filter);
        p->weight = calloc((size_t)taps, sizeof *p->weight);
    }
    int rc = p == NULL || p->filter == NULL || p->weight == NULL
                 ? loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some")
                 : too_many(loom_setup_catalog(s), filters, e);
    if (rc == LOOM_OK)
        rc = regression_init(&p->regression, s, e);
    if (rc != LOOM_OK)
        filtered_free(p);
    *self = rc == LOOM_OK ? p : NULL;
    return rc;
}

int filtered_gaussian(void **self, const struct loom_setup *s, size_t size, double sigma_ms, int causal,
                      struct loom_error *e)
{
    double sigma = sigma_ms / 1000.0 / loom_catalog_bin_s(loom_setup_catalog(s));
    int32_t reach = (int32_t)ceil(4.0 * sigma), before = causal ? 0 : reach, taps = before + reach + 1;
    int rc = filtered_new(self, s, size, 1, taps, e);
    struct filtered *p = *self;
    if (rc != LOOM_OK)
        return rc;
    double sum = 0.0;
    for (int32_t t = 0; t < taps; t++) {
        double at = (t - before) / sigma;
        p->weight[t] = exp(-0.5 * at * at);
        sum += p->weight[t];
    }
    for (int32_t t = 0; t < taps; t++)
        p->weight[t] /= sum;
    p->filter[0] = (struct filter){-before, taps, p->weight};
    p->regression.causal = causal;
    return LOOM_OK;
}

int filtered_lags(void **self, const struct loom_setup *s, size_t size, int32_t lags, int32_t ahead,
                  struct loom_error *e)
{
    int rc = filtered_new(self, s, size, lags + ahead, lags + ahead, e);
    struct filtered *p = *self;
    for (int32_t f = 0; p != NULL && f < p->filters; f++) {
        p->weight[f] = 1.0;
        p->filter[f] = (struct filter){f - ahead, 1, &p->weight[f]};
    }
    if (p != NULL)
        p->regression.causal = ahead == 0;
    return rc;
}

void filtered_free(void *self)
{
    struct filtered *p = self;
    if (p == NULL)
        return;
    regression_release(&p->regression);
    free(p->filter);
    free(p->weight);
    free(p);
}
