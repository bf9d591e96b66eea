/* SPDX-License-Identifier: Apache-2.0 */
/* Supervised decoding: a behaviour is asked for at its own times, or the class of a trial at its end. In training it is
 * asked of the view that an objective before it left (joint infill and decoding on one encoder pass, NDT2), else of
 * everything; in evaluation always of everything, so that what is reported is what would be deployed. */
#include <loom/model.h>
#include <loom/plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct decode {
    const struct loom_options *options;
    const struct loom_catalog *catalog;
    const char *target;
    char term[80], mass[96];
    int shared, causal;
    double lag_s;
};

static int check_table(const struct decode *d, const char *option, const char *table, struct loom_error *e)
{
    for (int r = 0; r < loom_catalog_count(d->catalog); r++)
        if (loom_recording_intervals(loom_catalog_recording(d->catalog, r), table))
            return LOOM_OK;
    return loom_opt_fail(d->options, option, e,
                         "no recording has a table of intervals '%s'; loom data info lists what they have", table);
}

static int check_weights(const struct decode *d, struct loom_error *e)
{
    size_t tables = loom_opt_count(d->options, "weigh"), weights = loom_opt_count(d->options, "weigh_by");
    if (tables != weights)
        return loom_opt_fail(d->options, "weigh_by", e, "weigh names %zu tables and weigh_by %zu weights: one for each",
                             tables, weights);
    int status = LOOM_OK;
    for (size_t i = 0; i < tables && status == LOOM_OK; i++)
        status = check_table(d, "weigh", loom_opt_string_at(d->options, "weigh", i), e);
    if (status == LOOM_OK && *loom_opt_string(d->options, "score"))
        status = check_table(d, "score", loom_opt_string(d->options, "score"), e);
    return status;
}

static int decode_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct decode *d = calloc(1, sizeof(*d));
    if (!d)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for an objective");
    d->options = o;
    d->catalog = loom_setup_catalog(s);
    d->target = loom_opt_string(o, "target");
    d->shared = loom_opt_is(o, "view", "shared");
    d->causal = loom_opt_bool(o, "causal");
    snprintf(d->term, sizeof(d->term), "decode.%s", d->target);
    snprintf(d->mass, sizeof(d->mass), "%s.elements", d->term);
    d->lag_s = 1e-3 * loom_opt_real(o, "lag_ms");
    int status = loom_setup_behavior(s, d->target, d->lag_s, e);
    if (status == LOOM_OK)
        status = check_weights(d, e);
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

/* ---- weights of times ---- */

/* Multiply by `inside` the weights of a segment's rows of `modality` that stand in an interval of `table`, and by
 * `outside` the others'. */
static void weigh_segment(const struct decode *d, const struct loom_rows *full, int modality, int32_t s,
                          const char *table, loom_real inside, loom_real outside, loom_real *weight)
{
    const struct loom_segment *segment = &full->segment[s];
    const struct loom_intervals *t =
        loom_recording_intervals(loom_catalog_recording(d->catalog, segment->recording), table);
    for (int32_t r = full->first_row[s]; r < full->first_row[s + 1]; r++) {
        double at = 1e-9 * (double)segment->origin_ns + full->axis[0][r] + d->lag_s;
        int in = 0;
        if (full->modality[r] != modality)
            continue;
        for (int32_t k = 0; t && k < t->rows && !in; k++)
            in = at >= t->start_s[k] && at < t->stop_s[k];
        for (int32_t i = full->first_elem[r]; i < full->first_elem[r + 1]; i++)
            weight[i] *= in ? inside : outside;
    }
}

/* Weights [E], or NULL where all are 1. In training those of `weigh`; else what is weighed 0 and, where `score` names a
 * table, all that is outside of it is left out: a score is a mean over times, each counted once. */
static int find_weights(const struct decode *d, const struct loom_rows *full, struct loom_plan *p, int modality,
                        loom_real **out, struct loom_error *e)
{
    const int training = loom_plan_training(p);
    const size_t weighed = loom_opt_count(d->options, "weigh");
    const char *score = loom_opt_string(d->options, "score");
    *out = NULL;
    if (weighed == 0 && (training || !*score))
        return LOOM_OK;
    loom_real *weight = loom_plan_alloc(p, ((size_t)full->elems + 1) * sizeof(*weight));
    if (!weight)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    for (int32_t i = 0; i < full->elems; i++)
        weight[i] = 1;
    for (int32_t s = 0; s < full->segments; s++) {
        for (size_t k = 0; k < weighed; k++) {
            loom_real by = (loom_real)loom_opt_real_at(d->options, "weigh_by", k);
            weigh_segment(d, full, modality, s, loom_opt_string_at(d->options, "weigh", k),
                          training ? by : (loom_real)(by != 0), 1, weight);
        }
        if (!training && *score)
            weigh_segment(d, full, modality, s, score, 1, 0, weight);
    }
    *out = weight;
    return LOOM_OK;
}

static int decode_plan(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e)
{
    const struct decode *d = self;
    int modality = loom_plan_modality(p, d->target), view;
    uint8_t *ask = loom_plan_alloc(p, (size_t)full->elems + 1), *how = loom_plan_alloc(p, (size_t)full->elems + 1);
    int *kept = loom_plan_alloc(p, sizeof(*kept));
    loom_real *weight;
    if (!ask || !how || !kept)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    for (int32_t r = 0; r < full->rows; r++)
        if (full->modality[r] == modality) {
            memset(ask + full->first_elem[r], 1, (size_t)(full->first_elem[r + 1] - full->first_elem[r]));
            memset(how + full->first_elem[r], LOOM_DROP, (size_t)(full->first_elem[r + 1] - full->first_elem[r]));
        }
    int status = find_weights(d, full, p, modality, &weight, e);
    if (status != LOOM_OK)
        return status;
    if (d->shared && loom_plan_training(p) && loom_plan_views(p) > 0) {
        view = loom_plan_ask_weighed(p, 0, full, ask, weight, e);
    } else {
        struct loom_view_spec spec = LOOM_VIEW_SPEC;
        spec.ask = ask;
        spec.how = how; /* a signal that is seen elsewhere is not seen where it is decoded */
        spec.weight = weight;
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
     "what to decode: a series of the recordings (a behaviour), or a column of the table of trials (the class of each "
     "trial)"},
    {"lag_ms", LOOM_OPT_REAL, 0, "0", "[-1000,1000]", "ms",
     "neural activity at time t is asked for the behaviour at t + lag_ms"},
    {"view", LOOM_OPT_STRING, 0, "shared", "shared|own", NULL,
     "in training: ask of what an objective before it left visible, or of everything in a pass of its own"},
    {"causal", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "an answer for time t uses neural activity up to its bin alone"},
    {"weight", LOOM_OPT_REAL, LOOM_OPT_LIVE, "1.0", "[0,inf)", NULL, "of this term in the loss"},
    {"weigh", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "tables of intervals of the recordings: times inside weigh in training as weigh_by says, several multiply"},
    {"weigh_by", LOOM_OPT_REALS, 0, "", "[0,inf)", NULL,
     "a weight for each table of weigh; times that weigh 0 are not scored in evaluation either"},
    {"score", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "in evaluation: score only times inside intervals of this table; empty = all times"},
    {0}};

static const struct loom_objective table = {.part = {.size = sizeof(struct loom_objective),
                                                     .create = decode_create,
                                                     .destroy = decode_destroy,
                                                     .describe = decode_describe},
                                            .plan = decode_plan,
                                            .build = decode_build};

static const struct loom_plugin plugin = {
    .size = sizeof(struct loom_plugin),
    .build = LOOM_BUILD_BLOCK,
    .id = "decode",
    .version = "0.1",
    .summary = "supervised decoding of a behaviour at its own times, or of the class of a trial",
    .license = "Apache-2.0",
    .kind = LOOM_OBJECTIVE,
    .options = options,
    .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
