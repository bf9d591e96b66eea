/* SPDX-License-Identifier: Apache-2.0 */
#include "latents.h"

#include <math.h>
#include <string.h>

static int64_t features(const struct regression *r, const struct loom_recording *of)
{
    const struct latents *p = (const struct latents *)r;
    (void)of;
    return (int64_t)p->dims * p->lags;
}

/* Latents change slowly: before the first bin stand those of the first. */
static int fill(const struct regression *r, const struct loom_sequence *s, int64_t bin, const double *mean, double *x)
{
    const struct latents *p = (const struct latents *)r;
    const int there = bin >= 0 && bin < s->bins;
    for (int64_t lag = 0; lag < p->lags; lag++)
        for (int64_t i = 0; i < p->dims; i++, x++) {
            const int64_t at = bin > lag ? bin - lag : 0;
            *x = there ? (double)s->x[at * s->width + i] : mean != NULL ? mean[lag * p->dims + i] : 0.0;
        }
    return there;
}

int latents_init(struct latents *p, const struct loom_setup *s, const struct loom_estimator *model,
                 struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    p->regression.features = features;
    p->regression.fill = fill;
    p->model = model;
    p->catalog = loom_setup_catalog(s);
    p->dims = (int32_t)loom_opt_int(o, "dims");
    p->lags = (int32_t)loom_opt_int(o, "lags");
    p->iterations = (int32_t)loom_opt_int(o, "iterations");
    p->roots = loom_opt_is(o, "transform", "sqrt");
    p->tolerance = loom_opt_real(o, "tolerance");
    int rc = regression_init(&p->regression, s, e);
    return rc == LOOM_OK ? regression_counts(&p->regression, s, e) : rc;
}

void latents_release(struct latents *p)
{
    regression_release(&p->regression);
}

void latents_read(const struct latents *p, const struct loom_sequence *s, int64_t bin, double *y, uint8_t *seen)
{
    memset(y, 0, (size_t)s->of->units * sizeof *y);
    loom_sequence_units(s, bin, seen);
    loom_sequence_add(s, bin, 1.0, y);
    for (int32_t u = 0; p->roots && u < s->of->units; u++)
        y[u] = sqrt(fmax(y[u], 0.0));
}

int latents_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct latents *p = self;
    int rc = regression_describe(self, t, e);
    t->width = p->dims;
    return rc;
}

struct loom_memory latents_encode(const void *self, struct loom_build *b, const struct loom_view *v,
                                  struct loom_node *x)
{
    const struct latents *p = self;
    (void)x;
    return (struct loom_memory){.rows = &v->in, .x = loom_estimator_encode(p->model, p, b, v, p->dims)};
}

int latents_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    const struct latents *p = self;
    int rc = loom_estimator_update(p->model, p, 1, 0, u, e);
    return rc != LOOM_OK ? rc : regression_update(self, u, e);
}
