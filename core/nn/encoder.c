/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/encoder.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- setup ---- */

int loom_encoder_init(struct loom_encoder *n, const struct loom_setup *s, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    const struct loom_catalog *c = loom_setup_catalog(s);
    *n = (struct loom_encoder){.options = o};
    n->width = (int32_t)loom_opt_int(o, "width");
    n->depth = (int32_t)loom_opt_int(o, "depth");
    n->heads = (int32_t)loom_opt_int(o, "heads");
    n->max_space = (int32_t)loom_opt_int(o, "max_space");
    n->learned = loom_opt_is(o, "time", "learned");
    n->rotary = loom_opt_is(o, "time", "rotary");
    n->causal = loom_opt_bool(o, "causal");
    n->pre_norm = loom_opt_bool(o, "pre_norm");
    n->back_s = 1e-3 * loom_opt_real(o, "back_ms");
    n->ahead_s = 1e-3 * loom_opt_real(o, "ahead_ms");
    n->bin_s = loom_catalog_bin_s(c);
    n->bins = (int32_t)ceil(loom_catalog_window_s(c) / n->bin_s + 0.5) + 1;
    for (size_t i = 0; i < loom_opt_count(o, "context") && i < LOOM_CONTEXTS; i++)
        n->context[n->contexts++] = loom_opt_string_at(o, "context", i);
    n->block = (struct loom_block_spec){.heads = n->heads,
                                        .pre_norm = n->pre_norm,
                                        .feed_forward = loom_opt_real(o, "feed_forward"),
                                        .activation = LOOM_ACT_GELU,
                                        .layer_scale = loom_opt_real(o, "layer_scale")};
    if (n->width % n->heads != 0)
        return loom_opt_fail(o, "heads", e, "width %d is not a multiple of heads %d", n->width, n->heads);
    if (n->width / n->heads % 2 != 0)
        return loom_opt_fail(o, "heads", e, "width %d / heads %d = %d must be even", n->width, n->heads,
                             n->width / n->heads);
    return LOOM_OK;
}

const char *const *loom_encoder_axes(void)
{
    static const char *const axes[] = {"time", "space", NULL};
    return axes;
}

struct loom_block_spec loom_encoder_block(const struct loom_encoder *n, int32_t i, int32_t depth)
{
    struct loom_block_spec spec = n->block;
    spec.dropout = loom_opt_real(n->options, "dropout");
    spec.attention_dropout = loom_opt_real(n->options, "attention_dropout");
    if (depth > 1)
        spec.drop_path = loom_opt_real(n->options, "drop_path") * i / (depth - 1);
    return spec;
}

/* ---- context ---- */

struct loom_node *loom_encoder_context(const struct loom_encoder *n, struct loom_build *b, const struct loom_view *view,
                                       int32_t *contexts)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t segments = view->in.segments;
    struct loom_node *part[LOOM_CONTEXTS + LOOM_PROMPTS];
    *contexts = n->contexts + view->prompts;
    for (int c = 0; c < *contexts; c++) {
        int32_t *index = loom_graph_alloc(g, ((size_t)segments + 1) * sizeof(*index));
        const char *name = c < n->contexts ? n->context[c] : view->prompt_table[c - n->contexts];
        struct loom_node *table;
        if (c < n->contexts)
            table = loom_table(b, name, name, n->width, "normal:0.2", LOOM_NO_DECAY);
        else
            table = loom_param(b, name, 2, (const int64_t[]){64, n->width}, "normal:0.2", LOOM_NO_DECAY);
        for (int64_t s = 0; index && s < segments; s++)
            index[s] = c < n->contexts ? loom_table_row(b, name, view->in.segment[s].recording, 0)
                                       : view->prompt[c - n->contexts];
        part[c] = loom_gather(g, table, loom_input(g, LOOM_I32, 1, &segments, index));
    }
    if (*contexts < 2)
        return *contexts ? part[0] : NULL;
    struct loom_node *x = loom_concat_cols(g, *contexts, part); /* [segments, contexts × width] */
    return loom_reshape(g, x, 2, (const int64_t[]){segments * *contexts, n->width});
}

/* What tells context rows of different kinds apart, added in the encoder alone. */
static struct loom_node *flags(const struct loom_encoder *n, struct loom_build *b, struct loom_node *context,
                               int contexts)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t rows = loom_node_dim(context, 0);
    int32_t *index = loom_graph_alloc(g, ((size_t)rows + 1) * sizeof(*index));
    for (int64_t r = 0; index && r < rows; r++)
        index[r] = (int32_t)(r % contexts);
    struct loom_node *flag = loom_nn_embedding(b, "flag", contexts, n->width, rows, index, "normal:0.06");
    return loom_add(g, context, flag);
}

/* ---- passes ---- */

static struct loom_node *blocks(const struct loom_encoder *n, struct loom_build *b, struct loom_node *x, int32_t depth,
                                const struct loom_attention *rule)
{
    char name[32];
    for (int32_t i = 0; i < depth; i++) {
        struct loom_block_spec spec = loom_encoder_block(n, i, depth);
        snprintf(name, sizeof(name), "block%d", (int)i);
        x = loom_nn_block(b, name, x, &spec, rule, &rule->q_groups);
    }
    return n->pre_norm && depth > 0 ? loom_nn_layer_norm(b, "norm", x) : x;
}

struct loom_node *loom_encoder_pass(const struct loom_encoder *n, struct loom_build *b, const struct loom_view *view,
                                    struct loom_node *x, const struct loom_places *p, struct loom_node *context,
                                    int32_t contexts, int32_t depth)
{
    struct loom_graph *g = loom_build_graph(b);
    struct loom_attention rule;
    struct loom_node *time = loom_encoder_time(n, b, p);
    if (time)
        x = loom_add(g, x, time);
    x = loom_add(g, x, loom_encoder_space(n, b, p));
    if (context) {
        struct loom_node *both[2] = {x, context};
        x = loom_concat_rows(g, 2, both);
    }
    loom_encoder_rule(n, b, view, p, p, context ? contexts : 0, &rule);
    return blocks(n, b, x, depth, &rule);
}

struct loom_memory loom_encoder_view(const struct loom_encoder *n, struct loom_build *b, const struct loom_view *view,
                                     struct loom_node *x)
{
    const struct loom_rows *in = &view->in;
    struct loom_places p = loom_places_of(in);
    int32_t contexts;
    struct loom_node *context = loom_encoder_context(n, b, view, &contexts);
    struct loom_node *flagged = context ? flags(n, b, context, contexts) : NULL;
    struct loom_node *y = loom_encoder_pass(n, b, view, x, &p, flagged, contexts, n->depth);
    if (contexts)
        y = loom_slice_rows(loom_build_graph(b), y, 0, in->rows);
    y = loom_nn_dropout(b, "dropout", y, loom_opt_real(n->options, "dropout"), &in->groups);
    return (struct loom_memory){.rows = in, .x = y, .own = context};
}
