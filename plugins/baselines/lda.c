/* SPDX-License-Identifier: Apache-2.0 */
/* The class of a trial from how often each unit fired in its window: linear discriminant analysis of square roots of
 * rates, whose variance hangs least on their mean (Anscombe 1948). Every recording has its own. */
#include "discriminant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct lda {
    double shrinkage;
    int32_t parts;
};

/* Features: each unit in each part of the window. */
static int64_t features(const struct lda *l, const struct loom_recording *of)
{
    return (int64_t)of->units * l->parts;
}

static int64_t lda_states(const void *self, const struct loom_recording *of, int32_t dims)
{
    return 1 + discriminant_states(features(self, of), dims);
}

static int64_t lda_sums(const void *self, const struct loom_recording *of, int32_t dims)
{
    return discriminant_sums(features(self, of), dims);
}

static int64_t lda_scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t bins)
{
    (void)bins;
    return features(self, of) + dims + 1;
}

/* √(rate in Hz) in each part, over the bins that were observed. */
static void find_features(const struct lda *l, const struct loom_sequence *s, double *x)
{
    const int64_t units = s->of->units;
    memset(x, 0, (size_t)features(l, s->of) * sizeof *x);
    for (int32_t p = 0; p < l->parts; p++) {
        const int64_t from = (int64_t)s->bins * p / l->parts, to = (int64_t)s->bins * (p + 1) / l->parts;
        double seen = 0.0;
        for (int64_t k = from; k < to; k++)
            if (loom_sequence_seen(s, k)) {
                loom_sequence_add(s, k, 1.0, x + p * units);
                seen += s->bin_s;
            }
        for (int64_t u = 0; u < units; u++)
            x[p * units + u] = seen > 0.0 ? sqrt(x[p * units + u] / seen) : 0.0;
    }
}

static void lda_add(const void *self, const struct loom_sequence *s, const double *state, double *sums, double *scratch)
{
    const struct lda *l = self;
    const int64_t n = features(l, s->of);
    double *answer = scratch + n;
    (void)state;
    if (s->asks == 0 || loom_sequence_target(s, 0, answer) == 0 || !(answer[0] >= 0.0 && answer[0] < s->dims))
        return;
    find_features(l, s, scratch);
    discriminant_add(sums, scratch, n, s->dims, (int64_t)answer[0]);
}

static void lda_predict(const void *self, const struct loom_sequence *s, const double *state, double *out,
                        double *scratch)
{
    const struct lda *l = self;
    if (state[0] == 0.0)
        return;
    find_features(l, s, scratch);
    for (int32_t q = 0; q < s->asks; q++)
        discriminant_say(state + 1, scratch, features(l, s->of), s->dims, out + (int64_t)q * s->dims);
}

static int lda_solve(const void *self, const struct loom_estimate *x, struct loom_error *e)
{
    const struct lda *l = self;
    double cases = 0.0;
    if (x->sums[0] == NULL)
        return LOOM_OK;
    for (int32_t k = 0; k < x->dims; k++)
        cases += x->sums[0][k];
    if (cases == 0.0)
        loom_log(LOOM_WARN, "%s of %s is not fitted: no training trial has a class", x->asked, x->of->id);
    x->state[0] = cases > 0.0;
    return discriminant_solve(x->sums[0], features(l, x->of), x->dims, l->shrinkage, x->state + 1, e);
}

static const struct loom_estimator discriminant = {.name = "discriminant",
                                                   .states = lda_states,
                                                   .sums = lda_sums,
                                                   .scratch = lda_scratch,
                                                   .add = lda_add,
                                                   .predict = lda_predict,
                                                   .solve = lda_solve};

static int lda_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct lda *l = calloc(1, sizeof *l);
    if (l == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some");
    l->shrinkage = loom_opt_real(o, "shrinkage");
    l->parts = (int32_t)loom_opt_int(o, "parts");
    *self = l;
    return LOOM_OK;
}

static void lda_destroy(void *self)
{
    free(self);
}

static int lda_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self, (void)e;
    t->needs = LOOM_LABELS | LOOM_STEPS | LOOM_UNITS | LOOM_KEEPS_ROWS;
    t->offers = LOOM_TARGET_SPACE | LOOM_IN_PLACE | LOOM_ANYWHERE | LOOM_CAUSAL; /* it is asked at the window's end */
    t->width = 1;
    return LOOM_OK;
}

static struct loom_memory lda_encode(const void *self, struct loom_build *b, const struct loom_view *v,
                                     struct loom_node *x)
{
    (void)self, (void)b, (void)x;
    return (struct loom_memory){.rows = &v->in};
}

static struct loom_answer lda_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                     const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    (void)m, (void)q;
    return loom_estimator_classes(&discriminant, self, 1, b, v, ask);
}

static int lda_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    return loom_estimator_update(&discriminant, self, 1, 1, u, e);
}

static const struct loom_option options[] = {
    {"shrinkage", LOOM_OPT_REAL, 0, "0.2", "[0,1]", NULL,
     "Of the covariance within classes: a share that goes to independent features of the same variance."},
    {"parts", LOOM_OPT_INT, 0, "1", "[1,64]", NULL, "Parts of the window in which spikes are counted apart."},
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = lda_create,
                                                    .destroy = lda_destroy,
                                                    .describe = lda_describe,
                                                    .update = lda_update},
                                           .encode = lda_encode,
                                           .answer = lda_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "lda",
                                          .version = "1.0.0",
                                          .summary =
                                              "linear discriminant on rates of units: the class of a trial from spikes",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
