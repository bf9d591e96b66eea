/* SPDX-License-Identifier: Apache-2.0 */
/* Context autoencoding (Chen et al. 2022): rows are left out and asked for, and the backbone's latent answer is held to
 * the encoding of what was left out.
 *
 *     view 0: the rows that stay, asked for the others → loss of what is read
 *     view 1: the others, encoded without gradient     → squared error of view 0's latents against it
 *
 * Both are weighed row by row, as published: `align` × a row's mean squared error stands beside the sum of its
 * elements' losses, and all is divided by the elements. Beside the loss of one element, the same weight drowns what the
 * spikes say: encoder and regressor then agree on place and session alone, which both know anyway.
 *
 * The second encoding goes through the stage's moving average of the weights (`shadow`), or through the weights
 * themselves where there is none, without dropout: the target is what the encoder says, not one draw of it. */
#include "../backbones/cae.h"

#include <loom/mask.h>

#include <stdlib.h>
#include <string.h>

struct cae {
    const struct loom_options *options;
    const char *modality;
};

struct kept {
    int seen, left_out;
};

static int check(const struct cae *c, struct loom_error *e)
{
    if (!loom_opt_is(c->options, "hide_how", "drop"))
        return loom_opt_fail(c->options, "hide_how", e,
                             "hide_how = \"%s\" leaves a row in its place, and this objective encodes seen and hidden "
                             "rows apart: set hide_how = \"drop\", or plugin = \"mae\"",
                             loom_opt_string(c->options, "hide_how"));
    return loom_mask_check(c->options, e);
}

static int cae_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct cae *c = calloc(1, sizeof(*c));
    if (!c)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for an objective");
    c->options = loom_setup_options(s);
    c->modality = loom_opt_string(c->options, "modality");
    int status = check(c, e);
    if (status != LOOM_OK) {
        free(c);
        return status;
    }
    *self = c;
    return LOOM_OK;
}

static void cae_destroy(void *self)
{
    free(self);
}

static int cae_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct cae *c = self;
    (void)e;
    t->needs = LOOM_CONTENT | LOOM_LATENT | loom_mask_needs(c->options);
    t->offers = LOOM_FITS_SHARD;
    return LOOM_OK;
}

/* A view of what another left out of a modality, and of nothing else. */
static int complement(struct loom_plan *p, const struct loom_rows *full, const struct loom_view *seen, int modality,
                      struct loom_error *e)
{
    struct loom_view_spec spec = LOOM_VIEW_SPEC;
    uint8_t *how = loom_plan_alloc(p, (size_t)full->elems + 1);
    if (!how)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    for (int32_t r = 0, k = 0; r < full->rows; r++) {
        while (k < seen->in.rows && seen->in.source[k] < full->source[r])
            k++;
        int there = k < seen->in.rows && seen->in.source[k] == full->source[r];
        if (there || full->modality[r] != modality)
            memset(how + full->first_elem[r], LOOM_DROP, (size_t)(full->first_elem[r + 1] - full->first_elem[r]));
    }
    spec.how = how;
    spec.causal = seen->causal;
    spec.back_s = seen->back_s;
    spec.ahead_s = seen->ahead_s;
    return loom_plan_view(p, full, &spec, e);
}

static int cae_plan(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e)
{
    const struct cae *c = self;
    int modality = loom_plan_chosen(p, c->options, "modality", e);
    struct kept *kept = loom_plan_alloc(p, sizeof(*kept));
    if (modality < 0)
        return modality;
    if (!kept)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    kept->seen = loom_mask_view(c->options, p, full, modality, "cae.mask", e);
    if (kept->seen < 0)
        return kept->seen;
    const struct loom_view *seen = loom_plan_get(p, kept->seen);
    kept->left_out = complement(p, full, seen, modality, e);
    if (kept->left_out < 0)
        return kept->left_out;
    for (int i = 0; i < seen->prompts; i++)
        loom_plan_prompt(p, kept->left_out, seen->prompt_table[i], seen->prompt[i]);
    loom_plan_keep(p, kept);
    loom_plan_mass(p, "cae.elements", loom_rows_scored(&seen->ask[modality]));
    loom_plan_mass(p, "cae.rows", loom_plan_get(p, kept->left_out)->in.rows);
    return LOOM_OK;
}

/* The latents of the rows that were left out, in the order of their encoding: held-out units are asked of rows that
 * were seen as well. */
static struct loom_node *latents_of(struct loom_build *b, const struct loom_rows *left_out, const struct loom_rows *ask,
                                    struct loom_node *latent)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = left_out->rows;
    if (n == ask->rows)
        return latent;
    int32_t *index = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*index));
    for (int32_t r = 0, k = 0; index && r < n; r++) {
        while (k < ask->rows && ask->source[k] < left_out->source[r])
            k++;
        index[r] = k < ask->rows && ask->source[k] == left_out->source[r] ? k : -1;
    }
    return loom_gather(g, latent, loom_input(g, LOOM_I32, 1, &n, index));
}

/* What tells of a collapse: the cosine between latents and targets, and the targets' variance about their mean in the
 * shard, both means over all rows. */
static void health(struct loom_build *b, struct loom_node *latent, struct loom_node *target, double mass)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t rows = loom_node_dim(target, 0), width = loom_node_dim(target, 1);
    int32_t *first = loom_graph_alloc(g, 2 * sizeof(*first));
    int32_t *zero = loom_graph_alloc(g, ((size_t)rows + 1) * sizeof(*zero));
    if (!first || !zero)
        return;
    memset(zero, 0, (size_t)rows * sizeof(*zero));
    first[0] = 0;
    first[1] = (int32_t)rows;
    struct loom_groups all = {.n = 1, .first = first};
    struct loom_node *mean = loom_gather(g, loom_group_mean(g, target, &all), loom_input(g, LOOM_I32, 1, &rows, zero));
    struct loom_node *dot =
        loom_mul(g, loom_l2_normalize(g, loom_stop(g, latent), 1e-6), loom_l2_normalize(g, target, 1e-6));
    loom_emit(b, "cae.cosine", loom_sum(g, dot), 1.0 / mass, LOOM_LOG_ONLY);
    loom_emit(b, "cae.variance", loom_squared_error(g, target, mean, NULL), 1.0 / (mass * (double)width),
              LOOM_LOG_ONLY);
}

static void cae_build(const void *self, struct loom_build *b, const struct loom_plan *p)
{
    const struct cae *c = self;
    const struct kept *kept = loom_plan_kept(p);
    const struct loom_view *seen = loom_plan_get(p, kept->seen), *left_out = loom_plan_get(p, kept->left_out);
    double elements = loom_mass(b, "cae.elements"), rows = loom_mass(b, "cae.rows");
    double weight = loom_opt_real(c->options, "weight"), align = loom_opt_real(c->options, "align");
    int modality = loom_plan_modality(p, c->modality);
    struct loom_answer a = loom_ask(b, seen, loom_encode(b, seen, 0), c->modality);
    struct loom_node *params = loom_read(b, seen, a, c->modality), *error = NULL;
    loom_emit(b, "cae", loom_nll(b, seen, params, c->modality), elements > 0.0 ? weight / elements : 0.0, 0);
    const struct loom_memory *truth = loom_encode(b, left_out, LOOM_STOP | LOOM_SHADOW);
    if (truth->rows != &left_out->in)
        loom_graph_fail(loom_build_graph(b), LOOM_EPLUGIN,
                        "the backbone's memory has other rows than its view: choose one that keeps them apart");
    double width = truth->x ? (double)loom_node_dim(truth->x, -1) : 1.0;
    if (a.latent && left_out->in.rows && rows > 0.0) {
        struct loom_node *latent = latents_of(b, &left_out->in, &seen->ask[modality], a.latent);
        error = loom_squared_error(loom_build_graph(b), latent, truth->x, NULL);
        health(b, latent, truth->x, rows);
    }
    /* Published beside one loss for each row; what is read is a mean over elements, of which a row has many. */
    loom_emit(b, "cae.align", error, elements > 0.0 ? weight * align / (elements * width) : 0.0, 0);
}

static const struct loom_option options[] = {
    LOOM_HIDE_OPTIONS("0.5", "drop"),
    {"align", LOOM_OPT_REAL, LOOM_OPT_LIVE, "2.0", "[0,inf)", NULL,
     "weight of a row's mean squared error of its latent beside the loss of all that is read of the row; the stage's "
     "shadow makes its targets slow"},
    {"modality", LOOM_OPT_STRING, 0, "spikes", NULL, NULL, "what is hidden and reconstructed"},
    {"weight", LOOM_OPT_REAL, LOOM_OPT_LIVE, "1.0", "[0,inf)", NULL, "of both terms in the loss"},
    {0}};

static const struct loom_objective table = {.part = {.size = sizeof(struct loom_objective),
                                                     .create = cae_create,
                                                     .destroy = cae_destroy,
                                                     .describe = cae_describe},
                                            .plan = cae_plan,
                                            .build = cae_build};

const struct loom_plugin cae_objective = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "cae",
                                          .version = "0.1",
                                          .summary = "context autoencoding: reconstruct what is left out, and predict "
                                                     "its encoding",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_OBJECTIVE,
                                          .options = options,
                                          .table = &table};
