/* SPDX-License-Identifier: Apache-2.0 */
/* Training of a tokenizer that quantises (loom/codes.h): content goes through its codes and back (VQ-VAE, van den Oord
 * et al. 2017). The backbone has no part in it.
 *
 *     loss = cost of what came back, above the least possible + what else the tokenizer rebuilds of rows
 *          + commitment × |vector − its code|² */
#include <loom/codes.h>
#include <loom/plugin.h>

#include <stdlib.h>

struct quantize {
    const struct loom_options *options;
    const char *modality;
};

static int quantize_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct quantize *q = calloc(1, sizeof(*q));
    if (!q)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for an objective");
    q->options = loom_setup_options(s);
    q->modality = loom_opt_string(q->options, "modality");
    *self = q;
    return LOOM_OK;
}

static void quantize_destroy(void *self)
{
    free(self);
}

static int quantize_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self;
    (void)e;
    t->needs = LOOM_CODES;
    t->offers = LOOM_FITS_SHARD | LOOM_KEEPS_ROWS | LOOM_ESTIMATES;
    return LOOM_OK;
}

static int quantize_plan(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e)
{
    const struct quantize *q = self;
    int modality = loom_plan_chosen(p, q->options, "modality", e);
    int *kept = loom_plan_alloc(p, sizeof(*kept));
    if (modality < 0)
        return modality;
    if (!kept)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    *kept = loom_plan_whole(p, full, modality, e);
    if (*kept < 0)
        return *kept;
    const struct loom_rows *asked = &loom_plan_get(p, *kept)->ask[modality];
    loom_plan_keep(p, kept);
    loom_plan_mass(p, "quantize.elements", loom_rows_scored(asked));
    loom_plan_mass(p, "quantize.rows", loom_rows_count_scored(asked));
    return LOOM_OK;
}

static void quantize_build(const void *self, struct loom_build *b, const struct loom_plan *p)
{
    const struct quantize *q = self;
    const struct loom_view *v = loom_plan_get(p, *(const int *)loom_plan_kept(p));
    double elements = loom_mass(b, "quantize.elements"), rows = loom_mass(b, "quantize.rows");
    double weight = loom_opt_real(q->options, "weight"), commitment = loom_opt_real(q->options, "commitment");
    double scale = elements > 0.0 ? weight / elements : 0.0;
    struct loom_rebuilt r = loom_codes_rebuild(b, v, q->modality);
    if (!r.params)
        return;
    const int64_t one = 1;
    struct loom_graph *g = loom_build_graph(b);
    loom_emit(b, "quantize.rebuild", loom_nll(b, v, r.params, q->modality), scale, 0);
    loom_emit(b, "quantize.rebuild", loom_sum(g, loom_constant(g, 1, &one, -r.least)), scale, 0);
    if (r.further)
        loom_emit(b, "quantize.further", r.further, rows > 0.0 ? weight / rows : 0.0, 0);
    loom_emit(b, "quantize.commitment", r.commitment, rows > 0.0 ? weight * commitment / rows : 0.0, 0);
}

static const struct loom_option options[] = {
    {"modality", LOOM_OPT_STRING, 0, "spikes", NULL, NULL, "whose tokenizer is trained"},
    {"commitment", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.25", "[0,inf)", NULL,
     "weight of the squared distance of a row's vector to its code"},
    {"weight", LOOM_OPT_REAL, LOOM_OPT_LIVE, "1.0", "[0,inf)", NULL, "of all terms in the loss"},
    {0}};

static const struct loom_objective table = {.part = {.size = sizeof(struct loom_objective),
                                                     .create = quantize_create,
                                                     .destroy = quantize_destroy,
                                                     .describe = quantize_describe},
                                            .plan = quantize_plan,
                                            .build = quantize_build};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "quantize",
                                          .version = "0.1",
                                          .summary = "trains a tokenizer's codes: content through them and back",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_OBJECTIVE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
