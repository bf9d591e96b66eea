/* SPDX-License-Identifier: Apache-2.0 */
/* A context autoencoder (Chen et al. 2022): what is hidden is predicted in the encoder's own space before it is
 * decoded, so that the encoder alone must carry what the rows mean.
 *
 *     encode:   x + time + space, context rows behind → depth blocks → memory
 *     regress:  questions attend [memory ; questions ; context] → regressor_depth blocks → latent
 *     decode:   latent + time + space → decoder_depth blocks over the questions alone → out
 *
 * The decoder never sees a visible row: what it knows of them has gone through `latent`, which an objective may hold to
 * the encoding of what was hidden. The regressor never changes the memory. Each asked modality has a regressor and a
 * decoder of its own. */
#include "cae.h"

#include <loom/encoder.h>

#include <stdio.h>
#include <stdlib.h>

struct cae {
    struct loom_encoder net;
    int32_t regressor_depth, decoder_depth, pool;
};

static int cae_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct cae *c = calloc(1, sizeof(*c));
    if (!c)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a backbone");
    c->regressor_depth = (int32_t)loom_opt_int(o, "regressor_depth");
    c->decoder_depth = (int32_t)loom_opt_int(o, "decoder_depth");
    c->pool = loom_opt_is(o, "pool", "time");
    int status = loom_encoder_init(&c->net, s, e);
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
    t->axes = loom_encoder_axes();
    t->width = c->net.width;
    t->offers =
        LOOM_HOLES | LOOM_BLANKS | LOOM_IN_PLACE | LOOM_ANYWHERE | LOOM_AHEAD | LOOM_LATENT | LOOM_CAUSAL | LOOM_OPEN;
    return LOOM_OK;
}

static struct loom_memory cae_encode(const void *self, struct loom_build *b, const struct loom_view *view,
                                     struct loom_node *x)
{
    const struct cae *c = self;
    return loom_encoder_view(&c->net, b, view, x);
}

/* What every block of the regressor attends: rows and context stay, questions change. */
struct sight {
    struct loom_node *memory, *context; /* context NULL: none */
    struct loom_node *place, *place_q;  /* of memory and questions [both], and of questions alone */
    struct loom_attention rule;
    const struct loom_groups *rows; /* the questions' */
};

static struct loom_node *behind(struct loom_build *b, struct loom_node *x, struct loom_node *context)
{
    struct loom_node *both[2] = {x, context};
    return context ? loom_concat_rows(loom_build_graph(b), 2, both) : x;
}

/* Places are added to queries and keys, not to values. */
static struct loom_node *attend(struct loom_build *b, struct loom_node *x, const struct sight *s,
                                const struct loom_block_spec *spec)
{
    struct loom_graph *g = loom_build_graph(b);
    struct loom_attention rule = s->rule;
    struct loom_node *both[2] = {s->memory, x}, *all = loom_concat_rows(g, 2, both);
    int64_t width = loom_node_dim(x, 1);
    struct loom_node *q = loom_nn_layer_norm(b, "norm_q", loom_add(g, x, s->place_q));
    struct loom_node *k = loom_nn_layer_norm(b, "norm_k", behind(b, loom_add(g, all, s->place), s->context));
    struct loom_node *v = loom_nn_layer_norm(b, "norm_v", behind(b, all, s->context));
    rule.heads = spec->heads;
    rule.width = (int32_t)width;
    rule.dropout = loom_training(b) ? spec->attention_dropout : 0;
    rule.seed = loom_seed(b);
    rule.step = loom_step(b);
    rule.purpose = rule.dropout != 0 ? loom_purpose(b, "weights") : NULL;
    struct loom_node *y =
        loom_attention(g, loom_nn_linear(b, "q", q, width, LOOM_ACT_NONE), loom_nn_project(b, "k", k, width),
                       loom_nn_linear(b, "v", v, width, LOOM_ACT_NONE), &rule);
    return loom_nn_linear(b, "out", y, width, LOOM_ACT_NONE);
}

/* The norm after the attention is the stream that the MLP adds to, as published. */
static struct loom_node *regress(const struct cae *c, struct loom_build *b, struct loom_node *x, const struct sight *s)
{
    struct loom_graph *g = loom_build_graph(b);
    char name[32];
    for (int32_t i = 0; i < c->regressor_depth; i++) {
        struct loom_block_spec spec = loom_encoder_block(&c->net, i, c->regressor_depth);
        snprintf(name, sizeof(name), "block%d", (int)i);
        loom_scope_push(b, name);
        struct loom_node *sum, *y = loom_nn_layer_scale(b, "scale1", attend(b, x, s, &spec), spec.layer_scale);
        y = loom_nn_drop_path(b, "path1", y, spec.drop_path, s->rows);
        x = loom_nn_add_layer_norm(b, "drop1", "norm", x, y, spec.dropout, s->rows, &sum);
        y = loom_nn_layer_scale(b, "scale2", loom_nn_mlp(b, "mlp", x, &spec, s->rows), spec.layer_scale);
        y = loom_nn_drop_path(b, "path2", y, spec.drop_path, s->rows);
        x = loom_add(g, x, loom_nn_dropout(b, "drop2", y, spec.dropout, s->rows));
        loom_scope_pop(b);
    }
    return loom_nn_layer_norm(b, "norm", x);
}

static int seen_modality(const struct loom_rows *in, int32_t modality)
{
    for (int32_t r = 0; r < in->rows; r++)
        if (in->modality[r] == modality)
            return 1;
    return 0;
}

static struct loom_answer cae_answer(const void *self, struct loom_build *b, const struct loom_view *view,
                                     const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    const struct cae *c = self;
    struct loom_graph *g = loom_build_graph(b);
    struct sight s = {.memory = m->x, .context = m->own, .rows = &ask->groups};
    struct loom_places memory = loom_places_of(m->rows), asked = loom_places_of(ask), all;
    struct loom_node *latent = q, *out = q;
    int32_t contexts = s.context ? c->net.contexts + view->prompts : 0;
    if (c->pool && memory.rows && !seen_modality(&view->in, ask->modality[0]))
        s.memory = loom_places_pool(&c->net, b, m->x, &memory);
    loom_scope_push(b, "regressor");
    if (c->regressor_depth > 0 && loom_places_join(b, &memory, &asked, &all)) {
        struct loom_node *time = loom_encoder_time(&c->net, b, &all);
        s.place = loom_encoder_space(&c->net, b, &all);
        if (time)
            s.place = loom_add(g, time, s.place);
        s.place_q = loom_slice_rows(g, s.place, memory.rows, asked.rows);
        loom_encoder_rule(&c->net, b, view, &asked, &all, contexts, &s.rule);
    }
    latent = regress(c, b, q, &s);
    loom_scope_pop(b);
    loom_scope_push(b, "decoder");
    out = loom_encoder_pass(&c->net, b, view, latent, &asked, NULL, 0, c->decoder_depth);
    loom_scope_pop(b);
    return (struct loom_answer){.out = out, .latent = latent};
}

static const struct loom_option options[] = {
    LOOM_ENCODER_OPTIONS("256", "6", "0.1", "0.1"),
    {"regressor_depth", LOOM_OPT_INT, 0, "2", "[0,64]", "blocks",
     "of each asked modality's regressor, which predicts the encoding of what is hidden; 0 = of its place alone"},
    {"decoder_depth", LOOM_OPT_INT, 0, "1", "[0,64]", "blocks",
     "of each asked modality's decoder, which sees the regressor's answers alone"},
    {"pool", LOOM_OPT_STRING, 0, "time", "time|none", NULL,
     "what a modality that is never seen is asked of: means over the rows of one bin, or all rows"},
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = cae_create,
                                                    .destroy = cae_destroy,
                                                    .describe = cae_describe},
                                           .encode = cae_encode,
                                           .answer = cae_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "cae",
                                          .version = "0.1",
                                          .summary = "transformer encoder, latent regressor, and a decoder that sees "
                                                     "nothing else",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BACKBONE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : index == 1 ? &cae_objective : NULL;
}
