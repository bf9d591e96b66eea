/* SPDX-License-Identifier: Apache-2.0 */
/* Contrast of windows: encodings of the same window under two masks (SimCLR, Chen et al. 2020), or of two windows that
 * lie near each other in time (van den Oord et al. 2018), are pulled together, and apart from those of the other
 * windows of the shard. With `label`, windows of trials of one label are positives of each other as well (Khosla et
 * al. 2020).
 *
 *     view(s) → encode → mean over a window's rows → projection → l2 → loom_nn_contrast
 *
 * Nothing is asked, so it stands alone or beside objectives that ask. */
#include <loom/mask.h>
#include <loom/nn.h>
#include <loom/plugin.h>
#include <loom/rng.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct contrastive {
    const struct loom_options *options;
    const struct loom_catalog *catalog;
    const char *modality, *label; /* label "" = none */
    int64_t projection, hidden;
    int over_time;
};

/* What plan leaves for build. Rows of the contrast: segments of the first view, then those of the second. */
struct pairs {
    int view[2], views;
    uint8_t *positive; /* [views × segments]² */
};

/* ---- setup ---- */

static const struct loom_intervals *trials_of(const struct loom_catalog *c, int recording)
{
    return loom_recording_intervals(loom_catalog_recording(c, recording), "trials");
}

static int check_labels(const struct contrastive *x, struct loom_error *e)
{
    for (int i = 0; *x->label && i < loom_catalog_count(x->catalog); i++) {
        const struct loom_intervals *t = trials_of(x->catalog, i);
        char have[256] = "";
        if (t && loom_intervals_column(t, x->label))
            continue;
        for (int32_t k = 0; t && k < t->columns && strlen(have) + strlen(t->column[k].name) + 3 < sizeof(have); k++) {
            strcat(have, k ? ", " : "");
            strcat(have, t->column[k].name);
        }
        return loom_opt_fail(x->options, "label", e,
                             "the trials of %s have no column '%s'; they have %s: name one of these",
                             loom_catalog_recording(x->catalog, i)->id, x->label, *have ? have : "none");
    }
    return LOOM_OK;
}

static int contrastive_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct contrastive *x = calloc(1, sizeof(*x));
    if (!x)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for an objective");
    x->options = o;
    x->catalog = loom_setup_catalog(s);
    x->modality = loom_opt_string(o, "modality");
    x->label = loom_opt_string(o, "label");
    x->over_time = loom_opt_is(o, "pairs", "time");
    x->projection = loom_opt_int(o, "projection");
    x->hidden = loom_opt_int(o, "hidden");
    int status = loom_mask_check(o, e);
    if (status == LOOM_OK)
        status = check_labels(x, e);
    if (status != LOOM_OK) {
        free(x);
        return status;
    }
    *self = x;
    return LOOM_OK;
}

static void contrastive_destroy(void *self)
{
    free(self);
}

static int contrastive_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct contrastive *x = self;
    (void)e;
    /* Questions are what a mask needs an answering backbone for, and there are none. */
    t->needs = loom_mask_needs(x->options) & ~(uint64_t)(LOOM_ANYWHERE | LOOM_IN_PLACE);
    if (*x->label)
        t->needs |= LOOM_TRIALS;
    t->offers = LOOM_FITS_SHARD | LOOM_COUPLES;
    if (!loom_opt_is(x->options, "hide_how", "drop"))
        t->offers |= LOOM_KEEPS_ROWS;
    t->arity = x->over_time ? 2 : 1;
    return LOOM_OK;
}

/* ---- positives ---- */

/* Label of the trial that the middle of a window lies in, as a number that is never 0; 0 = none. */
static uint64_t label_of(const struct contrastive *x, const struct loom_segment *s)
{
    const struct loom_intervals *t = *x->label ? trials_of(x->catalog, s->recording) : NULL;
    const struct loom_column *c = t ? loom_intervals_column(t, x->label) : NULL;
    double at = 1e-9 * (double)s->origin_ns + 0.5 * (s->begin_s + s->end_s);
    for (int32_t i = 0; c && i < t->rows; i++) {
        if (!(at >= t->start_s[i] && at < t->stop_s[i]))
            continue;
        if (c->text)
            return loom_hash(c->text[i], strlen(c->text[i]), 1) | 1u;
        double number = c->number[i] + 0.0; /* −0 is 0 */
        return isnan(number) ? 0 : loom_hash(&number, sizeof(number), 2) | 1u;
    }
    return 0;
}

/* May windows a and b of views i and j be pulled together? */
static int is_positive(const struct contrastive *x, const struct loom_segment *a, const struct loom_segment *b,
                       int same, const uint64_t *label, int32_t i, int32_t j)
{
    if (label[i] && label[i] == label[j])
        return 1;
    return x->over_time ? a->tuple == b->tuple && a->slot != b->slot && a->recording == b->recording : same;
}

static int find_positives(const struct contrastive *x, const struct loom_rows *full, struct loom_plan *p,
                          struct pairs *out)
{
    int32_t n = full->segments, m = n * out->views;
    uint64_t *label = loom_plan_alloc(p, ((size_t)n + 1) * sizeof(*label));
    out->positive = loom_plan_alloc(p, (size_t)m * (size_t)m + 1);
    if (!label || !out->positive)
        return LOOM_ENOMEM;
    for (int32_t i = 0; i < n; i++)
        label[i] = label_of(x, &full->segment[i]);
    for (int32_t i = 0; i < m; i++)
        for (int32_t j = 0; j < m; j++)
            out->positive[(int64_t)i * m + j] = i != j && is_positive(x, &full->segment[i % n], &full->segment[j % n],
                                                                      i % n == j % n, label, i % n, j % n);
    return LOOM_OK;
}

/* ---- plan and build ---- */

/* Rows that a contrast has nothing to tell apart with, a lone window's, do not count. */
static double anchors_of(const uint8_t *positive, int64_t n)
{
    double anchors = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t count = 0;
        for (int64_t j = 0; j < n; j++)
            count += positive[i * n + j];
        anchors += count > 0 && count < n - 1;
    }
    return anchors;
}

static int masked_view(const struct contrastive *x, const struct loom_rows *full, struct loom_plan *p, int modality,
                       const char *purpose, struct loom_error *e)
{
    struct loom_view_spec spec = LOOM_VIEW_SPEC;
    uint8_t *how = loom_plan_alloc(p, (size_t)full->elems + 1), *hidden = loom_plan_alloc(p, (size_t)full->elems + 1);
    if (!how || !hidden)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    loom_mask_draw(x->options, p, full, modality, purpose, how, hidden);
    spec.how = how;
    return loom_plan_view(p, full, &spec, e);
}

static int contrastive_plan(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e)
{
    static const char *const purpose[2] = {"contrastive.first", "contrastive.second"};
    const struct contrastive *x = self;
    struct pairs *kept = loom_plan_alloc(p, sizeof(*kept));
    int modality = loom_plan_chosen(p, x->options, "modality", e);
    if (modality < 0)
        return modality;
    if (!kept)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    kept->views = x->over_time ? 1 : 2;
    for (int v = 0; v < kept->views; v++) {
        kept->view[v] = masked_view(x, full, p, modality, purpose[v], e);
        if (kept->view[v] < 0)
            return kept->view[v];
    }
    if (find_positives(x, full, p, kept) != LOOM_OK)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the pairs of a shard; use a smaller batch");
    loom_plan_keep(p, kept);
    loom_plan_mass(p, "contrastive.anchors", anchors_of(kept->positive, (int64_t)full->segments * kept->views));
    return LOOM_OK;
}

/* One vector a window: its rows' mean, through the head that is thrown away afterwards. */
static struct loom_node *project(const struct contrastive *x, struct loom_build *b, struct loom_node *pooled)
{
    if (x->projection > 0) {
        int64_t hidden = x->hidden > 0 ? x->hidden : loom_node_dim(pooled, -1);
        pooled = loom_nn_linear(b, "project0", pooled, hidden, LOOM_ACT_GELU);
        pooled = loom_nn_linear(b, "project1", pooled, x->projection, LOOM_ACT_NONE);
    }
    return loom_l2_normalize(loom_build_graph(b), pooled, 1e-6);
}

static void contrastive_build(const void *self, struct loom_build *b, const struct loom_plan *p)
{
    const struct contrastive *x = self;
    const struct pairs *kept = loom_plan_kept(p);
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node *pooled[2];
    double mass = loom_mass(b, "contrastive.anchors"), mean = mass > 0.0 ? 1.0 / mass : 0.0;
    double scale = mean * loom_opt_real(x->options, "weight");
    for (int v = 0; v < kept->views; v++) {
        const struct loom_memory *m = loom_encode(b, loom_plan_get(p, kept->view[v]), 0);
        pooled[v] = loom_group_mean(g, m->x, &m->rows->groups);
    }
    struct loom_node *z = project(x, b, kept->views > 1 ? loom_concat_rows(g, 2, pooled) : pooled[0]);
    struct loom_contrast c = loom_nn_contrast(g, z, kept->positive, loom_opt_real(x->options, "temperature"));
    const int64_t one = 1;
    struct loom_node *negatives = loom_sum(g, loom_constant(g, 1, &one, c.negatives));
    for (int i = 0; i < 2; i++) {
        loom_emit(b, "contrastive", c.loss[i], scale, 0);
        loom_emit(b, "contrastive.uniformity", c.uniformity[i], mean, LOOM_LOG_ONLY);
    }
    loom_emit(b, "contrastive.alignment", c.alignment, mean, LOOM_LOG_ONLY);
    loom_emit(b, "contrastive.negatives", negatives, mean, LOOM_LOG_ONLY);
}

static const struct loom_option options[] = {
    LOOM_HIDE_OPTIONS("0.5", "drop"),
    {"modality", LOOM_OPT_STRING, 0, "spikes", NULL, NULL, "what is hidden in part"},
    {"pairs", LOOM_OPT_STRING, 0, "masks", "masks|time", NULL,
     "positives: a window under two masks, or two windows of one stretch, at most partner_s apart"},
    {"label", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "column of the trials: windows whose middles lie in trials of one value are positives too"},
    {"temperature", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "(0,inf)", NULL,
     "of the similarities; low: hard negatives count most"},
    {"projection", LOOM_OPT_INT, 0, "64", "[0,4096]", NULL,
     "width in which windows are compared, behind a hidden layer; 0 = encodings themselves"},
    {"hidden", LOOM_OPT_INT, 0, "0", "[0,16384]", NULL, "width of that hidden layer; 0 = the backbone's"},
    {"weight", LOOM_OPT_REAL, LOOM_OPT_LIVE, "1.0", "[0,inf)", NULL, "of this term in the loss"},
    {0}};

static const struct loom_objective table = {.part = {.size = sizeof(struct loom_objective),
                                                     .create = contrastive_create,
                                                     .destroy = contrastive_destroy,
                                                     .describe = contrastive_describe},
                                            .plan = contrastive_plan,
                                            .build = contrastive_build};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "contrastive",
                                          .version = "0.1",
                                          .summary =
                                              "contrast of windows of a shard: two masks of one, or neighbours in time",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_OBJECTIVE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
