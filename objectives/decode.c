/* SPDX-License-Identifier: Apache-2.0 */
/* Supervised decoding: a behaviour is asked for at its own times. In training it is asked of the view that an objective
 * before it left (joint infill and decoding on one encoder pass, NDT2), else of everything; in evaluation always of
 * everything, so that what is reported is what would be deployed. */
#include <loom/model.h>
#include <loom/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct decode {
    const struct loom_options *options;
    const char *target;
    char term[80], mass[96];
    int shared, causal;
};

static int decode_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct decode *d = calloc(1, sizeof(*d));
    if (!d)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for an objective");
    d->options = o;
    d->target = loom_opt_string(o, "target");
    d->shared = loom_opt_is(o, "view", "shared");
    d->causal = loom_opt_bool(o, "causal");
    snprintf(d->term, sizeof(d->term), "decode.%s", d->target);
    snprintf(d->mass, sizeof(d->mass), "%s.elements", d->term);
    int status = loom_setup_behavior(s, d->target, 1e-3 * loom_opt_real(o, "lag_ms"), e);
    if (status != LOOM_OK) {
        free(d);
        return status;
    }
    *self = d;
    return LOOM_OK;
}

static void decode_destroy(void *self)
{
    free(self);
}

static int decode_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct decode *d = self;
    (void)e;
    t->needs = LOOM_BEHAVIOR | LOOM_ANYWHERE | (d->causal ? LOOM_CAUSAL : 0);
    t->offers = LOOM_FITS_SHARD | LOOM_KEEPS_ROWS;
    return LOOM_OK;
}

static int decode_plan(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e)
{
    const struct decode *d = self;
    int modality = loom_plan_modality(p, d->target), view;
    uint8_t *ask = loom_plan_alloc(p, (size_t)full->elems + 1);
    int *kept = loom_plan_alloc(p, sizeof(*kept));
    if (!ask || !kept)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    for (int32_t r = 0; r < full->rows; r++)
        if (full->modality[r] == modality)
            memset(ask + full->first_elem[r], 1, (size_t)(full->first_elem[r + 1] - full->first_elem[r]));
    if (d->shared && loom_plan_training(p) && loom_plan_views(p) > 0) {
        view = loom_plan_ask(p, 0, full, ask, e);
    } else {
        struct loom_view_spec spec = LOOM_VIEW_SPEC;
        spec.ask = ask;
        spec.causal = d->causal;
        view = loom_plan_view(p, full, &spec, e);
    }
    if (view < 0)
        return view;
    *kept = view;
    loom_plan_keep(p, kept);
    loom_plan_mass(p, d->mass, loom_rows_scored(&loom_plan_get(p, view)->ask[modality]));
    return LOOM_OK;
}

static void decode_build(const void *self, struct loom_build *b, const struct loom_plan *p)
{
    const struct decode *d = self;
    const struct loom_view *v = loom_plan_get(p, *(const int *)loom_plan_kept(p));
    double mass = loom_mass(b, d->mass), weight = loom_opt_real(d->options, "weight");
    struct loom_answer a = loom_ask(b, v, loom_encode(b, v, 0), d->target);
    struct loom_node *mean = loom_read(b, v, a, d->target);
    loom_emit(b, d->term, loom_nll(b, v, mean, d->target), mass > 0.0 ? weight / mass : 0.0, 0);
}

static const struct loom_option options[] = {
    {"target", LOOM_OPT_STRING, LOOM_OPT_REQUIRED, NULL, NULL, NULL,
     "the behaviour to decode: a series of the recordings"},
    {"lag_ms", LOOM_OPT_REAL, 0, "0", "[-1000,1000]", "ms",
     "neural activity at time t is asked for the behaviour at t + lag_ms"},
    {"view", LOOM_OPT_STRING, 0, "shared", "shared|own", NULL,
     "in training: ask of what an objective before it left visible, or of everything in a pass of its own"},
    {"causal", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "an answer for time t uses neural activity up to its bin alone"},
    {"weight", LOOM_OPT_REAL, LOOM_OPT_LIVE, "1.0", "[0,inf)", NULL, "of this term in the loss"},
    {0}};

static const struct loom_objective table = {.part = {.size = sizeof(struct loom_objective),
                                                     .create = decode_create,
                                                     .destroy = decode_destroy,
                                                     .describe = decode_describe},
                                            .plan = decode_plan,
                                            .build = decode_build};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "decode",
                                          .version = "0.1",
                                          .summary = "supervised decoding of a behaviour at its own times",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_OBJECTIVE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
