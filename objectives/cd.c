/* SPDX-License-Identifier: Apache-2.0 */
/* Coordinated dropout (Keshtkaran & Pandarinath 2019; LFADS): each element of the input is kept with a chance and
 * scaled up, else zeroed, and only what was zeroed teaches. A model that sees what it is asked for learns to copy it,
 * and its validation loss falls below that of the true rates; what it did not see it cannot copy.
 *
 * In training everything is asked: the loss is of what was hidden, and the value over all is logged as cd.all. With
 * rate 0 nothing is hidden and everything teaches: the autoencoder that this cures. */
#include <loom/model.h>
#include <loom/plugin.h>
#include <loom/rng.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cd {
    const struct loom_options *options;
    const struct loom_catalog *catalog;
    const char *modality;
    uint64_t seed;
    double sample;
    int evaluate_seen, over_hidden;
};

struct kept {
    int view;
    double rate;
};

static int cd_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct cd *c = calloc(1, sizeof(*c));
    if (!c)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for an objective");
    c->options = o;
    c->catalog = loom_setup_catalog(s);
    c->modality = loom_opt_string(o, "modality");
    c->seed = loom_setup_seed(s);
    c->sample = loom_opt_real(o, "sample");
    c->evaluate_seen = loom_opt_is(o, "evaluate", "seen");
    c->over_hidden = loom_opt_is(o, "over", "hidden");
    *self = c;
    return LOOM_OK;
}

static void cd_destroy(void *self)
{
    free(self);
}

static int cd_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self;
    (void)e;
    t->needs = LOOM_CONTENT | LOOM_ELEMENTS | LOOM_IN_PLACE;
    t->offers = LOOM_FITS_SHARD | LOOM_KEEPS_ROWS;
    return LOOM_OK;
}

/* Sample validation: the same elements of a recording in every step and every window, so that training never meets
 * them. */
static int sampled(const struct cd *c, const struct loom_rows *full, int32_t r, int32_t element)
{
    struct loom_rng rng;
    const struct loom_segment *s = &full->segment[full->segment_of[r]];
    const char *id = loom_catalog_recording(c->catalog, s->recording)->id;
    int64_t bin = llround(((double)s->origin_ns * 1e-9 + full->axis[0][r]) / loom_catalog_bin_s(c->catalog) * 2.0);
    if (c->sample <= 0.0)
        return 0;
    loom_rng_init(&rng, c->seed, "cd.sample", (uint64_t)bin, loom_hash(id, strlen(id), (uint64_t)element));
    return loom_rng_uniform(&rng) < c->sample;
}

/* What becomes of one element: `hidden` is its draw. */
static void decide(const struct cd *c, int training, int sample, int hidden, uint8_t *how, uint8_t *ask)
{
    if (sample) {
        *how = LOOM_ZERO;
        *ask = !training;
    } else if (hidden) {
        *how = LOOM_ZERO;
        *ask = 1;
    } else {
        *how = LOOM_SCALE;
        *ask = training || c->evaluate_seen ? 3 : 2;
    }
}

static void draw(const struct cd *c, const struct loom_rows *full, struct loom_plan *p, int modality, double rate,
                 uint8_t *how, uint8_t *ask)
{
    int training = loom_plan_training(p);
    for (int32_t s = 0; s < full->segments; s++) {
        struct loom_rng rng;
        loom_plan_rng(p, full, s, "cd.keep", &rng);
        for (int32_t r = full->first_row[s]; r < full->first_row[s + 1]; r++) {
            const struct loom_layout *l = &full->layout_of[full->layout[r]];
            for (int32_t i = full->first_elem[r], k = 0; full->modality[r] == modality && k < l->n; i++, k++) {
                int hidden = loom_rng_uniform(&rng) < rate;
                if (!(full->held[i] & LOOM_HELD_OUT))
                    decide(c, training, sampled(c, full, r, l->index[k]), hidden, &how[i], &ask[i]);
            }
        }
    }
}

/* What of the asked teaches. */
static double hidden_mass(const struct loom_rows *ask)
{
    double mass = 0.0;
    for (int32_t i = 0; i < ask->elems; i++)
        mass += ask->shown[i] ? 0.0 : (double)ask->weight[i];
    return mass;
}

static int cd_plan(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e)
{
    const struct cd *c = self;
    struct loom_view_spec spec = LOOM_VIEW_SPEC;
    int modality = loom_plan_chosen(p, c->options, "modality", e), training = loom_plan_training(p);
    size_t n = (size_t)full->elems + 1;
    uint8_t *how = loom_plan_alloc(p, n), *ask = loom_plan_alloc(p, n);
    struct kept *kept = loom_plan_alloc(p, sizeof(*kept));
    if (modality < 0)
        return modality;
    if (!how || !ask || !kept)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    /* An evaluation that scores what is hidden hides the samples, or, without any, what training would. */
    kept->rate = training || (!c->evaluate_seen && c->sample <= 0.0) ? loom_opt_real(c->options, "rate") : 0.0;
    draw(c, full, p, modality, kept->rate, how, ask);
    loom_plan_held_out(full, modality, ask);
    spec.how = how;
    spec.ask = ask;
    spec.scale = 1.0 / ((1.0 - kept->rate) * (1.0 - c->sample));
    kept->view = loom_plan_view(p, full, &spec, e);
    if (kept->view < 0)
        return kept->view;
    loom_plan_keep(p, kept);
    const struct loom_rows *asked = &loom_plan_get(p, kept->view)->ask[modality];
    loom_plan_mass(p, "cd.asked", loom_rows_scored(asked));
    loom_plan_mass(p, "cd.hidden", asked->rows ? hidden_mass(asked) : 0.0);
    return LOOM_OK;
}

/* Weights of what was hidden alone; NULL = the question's own. */
static const loom_real *teaching(struct loom_build *b, const struct loom_rows *ask)
{
    loom_real *weight = loom_graph_alloc(loom_build_graph(b), ((size_t)ask->elems + 1) * sizeof(*weight));
    for (int32_t i = 0; weight && i < ask->elems; i++)
        weight[i] = ask->shown[i] ? 0 : ask->weight[i];
    return weight;
}

static void cd_build(const void *self, struct loom_build *b, const struct loom_plan *p)
{
    const struct cd *c = self;
    const struct kept *kept = loom_plan_kept(p);
    const struct loom_view *v = loom_plan_get(p, kept->view);
    const struct loom_rows *ask = &v->ask[loom_plan_modality(p, c->modality)];
    int parted = loom_plan_training(p) && kept->rate > 0.0;
    double all = loom_mass(b, "cd.asked"), mass = parted && c->over_hidden ? loom_mass(b, "cd.hidden") : all;
    double weight = loom_opt_real(c->options, "weight");
    struct loom_answer a = loom_ask(b, v, loom_encode(b, v, 0), c->modality);
    struct loom_node *params = loom_read(b, v, a, c->modality);
    struct loom_node *sum = loom_nll_weighed(b, v, params, c->modality, parted ? teaching(b, ask) : NULL);
    loom_emit(b, "cd", sum, mass > 0.0 ? weight / mass : 0.0, 0);
    loom_emit(b, "cd.all", loom_nll(b, v, params, c->modality), all > 0.0 ? 1.0 / all : 0.0, LOOM_LOG_ONLY);
}

static const struct loom_option options[] = {
    {"rate", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.3", "[0,1)", NULL,
     "chance of each element to be hidden in a training step; what is kept is scaled up by 1/(1-rate)"},
    {"sample", LOOM_OPT_REAL, 0, "0", "[0,1)", NULL,
     "sample validation: chance of each element of the recordings never to be shown or asked in training; evaluation "
     "asks for these"},
    {"evaluate", LOOM_OPT_STRING, 0, "hidden", "hidden|seen", NULL,
     "what evaluation scores: elements that it hides (samples, or a draw as in training), or, as LFADS does, all that "
     "it shows as well, where a model that copies looks better than the truth"},
    {"over", LOOM_OPT_STRING, 0, "all", "all|hidden", NULL,
     "what the training loss is a mean over: all that is asked (LFADS), or what was hidden, which makes it a loss for "
     "each element whatever the rate"},
    {"modality", LOOM_OPT_STRING, 0, "spikes", NULL, NULL, "what is dropped out and asked for"},
    {"weight", LOOM_OPT_REAL, LOOM_OPT_LIVE, "1.0", "[0,inf)", NULL, "of this term in the loss"},
    {0}};

static const struct loom_objective table = {.part = {.size = sizeof(struct loom_objective),
                                                     .create = cd_create,
                                                     .destroy = cd_destroy,
                                                     .describe = cd_describe},
                                            .plan = cd_plan,
                                            .build = cd_build};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "cd",
                                          .version = "0.1",
                                          .summary = "coordinated dropout: what a step hides of each bin teaches, what "
                                                     "it shows does not",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_OBJECTIVE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
