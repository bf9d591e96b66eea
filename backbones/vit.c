/* SPDX-License-Identifier: Apache-2.0 */
/* A transformer over rows, asked through small transformers of its own, one for each modality (NDT2, Ye et al. 2023;
 * masked autoencoders, He et al. 2022).
 *
 *     encode:  x + time + space, context rows behind → depth blocks → memory
 *     answer:  [memory (pooled over time) ; questions] + time + space, context → decoder_depth blocks → the questions'
 * rows
 *
 * Encoder and each decoder have time and space tables of their own. Context rows (session, subject, task) see context
 * alone and are seen by all. With decoder_depth 0 a question is answered by the row of the view that it stands on
 * (NDT1). */
#include <loom/nn.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXTS = 3 };

struct vit {
    const struct loom_options *options;
    int32_t width, depth, decoder_depth, heads, bins, space, contexts;
    const char *context[CONTEXTS];
    int learned, rotary, pool, causal, pre_norm;
    double back_s, ahead_s, bin_s;
    struct loom_block_spec block;
};

/* ---- setup ---- */

static int check(const struct vit *v, struct loom_error *e)
{
    if (v->width % v->heads != 0)
        return loom_opt_fail(v->options, "heads", e, "width %d is not a multiple of heads %d", v->width, v->heads);
    if (v->width / v->heads % 2 != 0)
        return loom_opt_fail(v->options, "heads", e, "width %d / heads %d = %d must be even", v->width, v->heads,
                             v->width / v->heads);
    return LOOM_OK;
}

static int vit_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    const struct loom_catalog *c = loom_setup_catalog(s);
    struct vit *v = calloc(1, sizeof(*v));
    if (!v)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a backbone");
    v->options = o;
    v->width = (int32_t)loom_opt_int(o, "width");
    v->depth = (int32_t)loom_opt_int(o, "depth");
    v->decoder_depth = (int32_t)loom_opt_int(o, "decoder_depth");
    v->heads = (int32_t)loom_opt_int(o, "heads");
    v->space = (int32_t)loom_opt_int(o, "max_space");
    v->learned = loom_opt_is(o, "time", "learned");
    v->rotary = loom_opt_is(o, "time", "rotary");
    v->pool = loom_opt_is(o, "pool", "time");
    v->causal = loom_opt_bool(o, "causal");
    v->pre_norm = loom_opt_bool(o, "pre_norm");
    v->back_s = 1e-3 * loom_opt_real(o, "back_ms");
    v->ahead_s = 1e-3 * loom_opt_real(o, "ahead_ms");
    v->bin_s = loom_catalog_bin_s(c);
    v->bins = (int32_t)ceil(loom_catalog_window_s(c) / v->bin_s + 0.5) + 1;
    for (size_t i = 0; i < loom_opt_count(o, "context") && i < CONTEXTS; i++)
        v->context[v->contexts++] = loom_opt_string_at(o, "context", i);
    v->block = (struct loom_block_spec){.heads = v->heads,
                                        .pre_norm = v->pre_norm,
                                        .feed_forward = loom_opt_real(o, "feed_forward"),
                                        .activation = LOOM_ACT_GELU};
    int status = check(v, e);
    if (status != LOOM_OK) {
        free(v);
        return status;
    }
    *self = v;
    return LOOM_OK;
}

static void vit_destroy(void *self)
{
    free(self);
}

static int vit_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    static const char *const axes[] = {"time", "space", NULL};
    const struct vit *v = self;
    (void)e;
    t->axes = axes;
    t->width = v->width;
    t->offers = LOOM_HOLES | LOOM_BLANKS | LOOM_IN_PLACE | LOOM_CAUSAL | LOOM_OPEN;
    if (v->decoder_depth > 0)
        t->offers |= LOOM_ANYWHERE | LOOM_AHEAD;
    return LOOM_OK;
}

/* ---- coordinates ---- */

/* Rows of a table at real-valued places: between two rows the mean of both, weighed by distance. A row at a bin's
 * centre takes that bin's vector; a question between bins takes from both. */
struct between {
    int64_t rows;
    const double *at; /* [rows] in units of table rows */
};

static int between_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct between *p = loom_node_attr(n);
    (void)e;
    *out =
        (struct loom_shape){.dtype = LOOM_REAL, .rank = 2, .dim = {p->rows, loom_node_dim(loom_node_input(n, 0), 1)}};
    return LOOM_OK;
}

/* The two table rows around place `x` and the share of the second. */
static void around(double x, int64_t count, int64_t *low, int64_t *high, loom_real *share)
{
    x = x < 0.0 ? 0.0 : x > (double)(count - 1) ? (double)(count - 1) : x;
    *low = (int64_t)x;
    double rest = x - (double)*low;
    if (rest < 1e-6 || *low + 1 >= count)
        rest = 0.0;
    *high = rest > 0.0 ? *low + 1 : *low;
    *share = (loom_real)rest;
}

static void between_part(const struct loom_node *n, int64_t first, int64_t end, void *scratch)
{
    const struct between *p = loom_node_attr(n);
    const struct loom_node *table = loom_node_input(n, 0);
    const loom_real *t = loom_node_host(table);
    int64_t width = loom_node_dim(table, 1), low, high;
    loom_real *out = (loom_real *)loom_node_out(n) + first * width, share;
    (void)scratch;
    for (int64_t r = first; r < end; r++, out += width) {
        around(p->at[r], loom_node_dim(table, 0), &low, &high, &share);
        for (int64_t i = 0; i < width; i++)
            out[i] = (1 - share) * t[low * width + i] + share * t[high * width + i];
    }
}

static void between_backward(const struct loom_node *n, void *scratch)
{
    const struct between *p = loom_node_attr(n);
    const struct loom_node *table = loom_node_input(n, 0);
    const loom_real *out = loom_node_host_grad(n);
    int64_t count = loom_node_dim(table, 0), width = loom_node_dim(table, 1), low, high;
    int fresh = 0;
    loom_real *g = loom_node_grad_in(n, 0, &fresh), share;
    (void)scratch;
    if (!g)
        return;
    if (fresh)
        memset(g, 0, (size_t)(count * width) * sizeof(*g));
    for (int64_t r = 0; r < p->rows; r++, out += width) {
        around(p->at[r], count, &low, &high, &share);
        for (int64_t i = 0; i < width; i++) {
            g[low * width + i] += (1 - share) * out[i];
            if (share != 0)
                g[high * width + i] += share * out[i];
        }
    }
}

static const struct loom_op between_op = {.size = sizeof(struct loom_op),
                                          .name = "between",
                                          .infer = between_infer,
                                          .forward_part = between_part,
                                          .backward = between_backward};

/* Rows of the net, whatever they came from: the view's, pooled ones, questions. Context rows stand behind them all. */
struct places {
    int32_t rows, segments;
    const int32_t *segment; /* [rows] */
    const double *time;     /* [rows] seconds */
    const double *space;    /* [rows] */
};

static struct loom_node *position(struct loom_build *b, const char *name, int64_t count, int32_t width,
                                  const double *at, int32_t rows)
{
    struct between attr = {.rows = rows, .at = at};
    struct loom_node *table = loom_param(b, name, 2, (const int64_t[]){count, width}, "normal:0.2", LOOM_NO_DECAY);
    return loom_apply(loom_build_graph(b), &between_op, 1, &table, &attr, sizeof(attr));
}

/* sin and cos of time over periods from two bins to 10000 times that (Vaswani et al. 2017). */
static struct loom_node *sinusoid(const struct vit *v, struct loom_build *b, const struct places *p)
{
    struct loom_graph *g = loom_build_graph(b);
    loom_real *x = loom_graph_alloc(g, ((size_t)p->rows * (size_t)v->width + 1) * sizeof(*x));
    for (int32_t r = 0; x && r < p->rows; r++)
        for (int32_t i = 0; i < v->width / 2; i++) {
            double angle = p->time[r] / v->bin_s * pow(10000.0, -2.0 * i / v->width);
            x[(int64_t)r * v->width + 2 * i] = (loom_real)sin(angle);
            x[(int64_t)r * v->width + 2 * i + 1] = (loom_real)cos(angle);
        }
    return loom_input(g, LOOM_REAL, 2, (const int64_t[]){p->rows, v->width}, x);
}

/* x + time + space. */
static struct loom_node *place(const struct vit *v, struct loom_build *b, struct loom_node *x, const struct places *p)
{
    struct loom_graph *g = loom_build_graph(b);
    double *at = loom_graph_alloc(g, ((size_t)p->rows + 1) * sizeof(*at));
    for (int32_t r = 0; at && r < p->rows; r++) {
        at[r] = p->time[r] / v->bin_s - 0.5;
        if (p->space[r] >= v->space)
            loom_graph_fail(g, LOOM_ECONFIG,
                            "space coordinate %g is beyond max_space = %d of the vit; set max_space = %d", p->space[r],
                            v->space, (int)p->space[r] + 1);
    }
    if (!at)
        return x;
    if (v->learned)
        x = loom_add(g, x, position(b, "time", v->bins, v->width, at, p->rows));
    else if (!v->rotary)
        x = loom_add(g, x, sinusoid(v, b, p));
    return loom_add(g, x, position(b, "space", v->space, v->width, p->space, p->rows));
}

static int32_t bin_of(const struct vit *v, double time_s)
{
    return (int32_t)floor(time_s / v->bin_s + 1e-9);
}

/* ---- who sees whom ---- */

/* Groups of one forward pass: rows of a segment, its context rows behind; with the attention rule over them. */
static void see(const struct vit *v, struct loom_build *b, const struct places *p, const struct loom_view *view,
                const uint64_t *key, int32_t contexts, struct loom_attention *out)
{
    struct loom_graph *g = loom_build_graph(b);
    int32_t n = p->rows + contexts * p->segments;
    int32_t *first = loom_graph_alloc(g, ((size_t)p->segments + 2) * sizeof(*first));
    int32_t *row = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*row));
    double *time = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*time));
    uint8_t *context = loom_graph_alloc(g, (size_t)n + 1);
    memset(out, 0, sizeof(*out));
    if (!first || !row || !time || !context)
        return;
    memset(first, 0, ((size_t)p->segments + 2) * sizeof(*first));
    for (int32_t r = 0; r < p->rows; r++)
        first[p->segment[r] + 1]++;
    for (int32_t s = 0; s < p->segments; s++)
        first[s + 1] += first[s] + contexts;
    for (int32_t s = 0; s < p->segments; s++)
        for (int32_t c = 0; c < contexts; c++)
            row[first[s + 1] - contexts + c] = p->rows + s * contexts + c;
    int32_t *next = loom_graph_alloc(g, ((size_t)p->segments + 1) * sizeof(*next));
    if (!next)
        return;
    memcpy(next, first, ((size_t)p->segments + 1) * sizeof(*next));
    for (int32_t r = 0; r < n; r++) {
        if (r < p->rows)
            row[next[p->segment[r]]++] = r;
        time[r] = r < p->rows ? bin_of(v, p->time[r]) * v->bin_s : 0.0;
        context[r] = r >= p->rows;
    }
    struct loom_groups groups = {.n = p->segments, .first = first, .row = row, .key = key};
    out->q_groups = out->k_groups = groups;
    out->q_time = out->k_time = time;
    out->q_context = out->k_context = contexts ? context : NULL;
    out->causal = v->causal || view->causal;
    /* Half a bin of slack keeps the limits of sight clear of rounding. */
    double back = v->back_s < 0.0 ? view->back_s : v->back_s, ahead = v->ahead_s < 0.0 ? view->ahead_s : v->ahead_s;
    out->back_s = back < 0.0 ? -1.0 : back + 0.25 * v->bin_s;
    out->ahead_s = ahead < 0.0 ? -1.0 : ahead + 0.25 * v->bin_s;
}

/* Angles of rotary time: periods from two bins to the longest window, in geometric steps (Su et al. 2021). */
static void rotate(const struct vit *v, struct loom_build *b, const struct places *p, int32_t rows,
                   struct loom_attention *a)
{
    int32_t half = v->width / v->heads / 2;
    size_t n = (size_t)rows * (size_t)half + 1;
    loom_real *c = loom_graph_alloc(loom_build_graph(b), n * sizeof(*c));
    loom_real *s = loom_graph_alloc(loom_build_graph(b), n * sizeof(*s));
    if (!c || !s)
        return;
    double shortest = 2.0 * v->bin_s, ratio = (double)v->bins / 2.0 > 1.0 ? (double)v->bins / 2.0 : 2.0;
    for (int32_t r = 0; r < rows; r++)
        for (int32_t i = 0; i < half; i++) {
            double period = shortest * pow(ratio, half > 1 ? (double)i / (half - 1) : 0.0);
            double angle = r < p->rows ? 6.283185307179586 * p->time[r] / period : 0.0;
            c[(int64_t)r * half + i] = (loom_real)cos(angle);
            s[(int64_t)r * half + i] = (loom_real)sin(angle);
        }
    a->q_cos = a->k_cos = c;
    a->q_sin = a->k_sin = s;
}

/* ---- context ---- */

/* One row for each context and segment, segment by segment: [segments × contexts, width]; prompts are contexts too. */
static struct loom_node *context_rows(const struct vit *v, struct loom_build *b, const struct loom_view *view)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = view->in.segments;
    int contexts = v->contexts + view->prompts;
    struct loom_node *part[CONTEXTS + LOOM_PROMPTS];
    for (int c = 0; c < contexts; c++) {
        int32_t *index = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*index));
        const char *name = c < v->contexts ? v->context[c] : view->prompt_table[c - v->contexts];
        struct loom_node *table;
        if (c < v->contexts)
            table = loom_table(b, name, name, v->width, "normal:0.2", LOOM_NO_DECAY);
        else
            table = loom_param(b, name, 2, (const int64_t[]){64, v->width}, "normal:0.2", LOOM_NO_DECAY);
        for (int64_t s = 0; index && s < n; s++)
            index[s] = c < v->contexts ? loom_table_row(b, name, view->in.segment[s].recording, 0)
                                       : view->prompt[c - v->contexts];
        part[c] = loom_gather(g, table, loom_input(g, LOOM_I32, 1, &n, index));
    }
    if (contexts == 1)
        return part[0];
    struct loom_node *x = loom_concat_cols(g, contexts, part); /* [segments, contexts × width] */
    return loom_reshape(g, x, 2, (const int64_t[]){n * contexts, v->width});
}

/* What tells context rows of different kinds apart, added in the encoder alone. */
static struct loom_node *flags(const struct vit *v, struct loom_build *b, struct loom_node *context, int contexts)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = loom_node_dim(context, 0);
    int32_t *index = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*index));
    for (int64_t r = 0; index && r < n; r++)
        index[r] = (int32_t)(r % contexts);
    struct loom_node *flag = loom_nn_embedding(b, "flag", contexts, v->width, n, index, "normal:0.06");
    return loom_add(g, context, flag);
}

/* ---- passes ---- */

static struct loom_node *blocks(const struct vit *v, struct loom_build *b, struct loom_node *x, int32_t depth,
                                const struct loom_attention *rule)
{
    struct loom_block_spec spec = v->block;
    char name[32];
    spec.dropout = loom_opt_real(v->options, "dropout");
    spec.attention_dropout = loom_opt_real(v->options, "attention_dropout");
    for (int32_t i = 0; i < depth; i++) {
        snprintf(name, sizeof(name), "block%d", (int)i);
        x = loom_nn_block(b, name, x, &spec, rule, &rule->q_groups);
    }
    return v->pre_norm && depth > 0 ? loom_nn_layer_norm(b, "norm", x) : x;
}

/* Rows of the net at their places, context behind, through `depth` blocks; all rows come back, context rows included.
 */
static struct loom_node *pass(const struct vit *v, struct loom_build *b, const struct loom_view *view,
                              struct loom_node *x, const struct places *p, struct loom_node *context, int32_t contexts,
                              int32_t depth)
{
    struct loom_attention rule;
    x = place(v, b, x, p);
    if (contexts) {
        struct loom_node *both[2] = {x, context};
        x = loom_concat_rows(loom_build_graph(b), 2, both);
    }
    see(v, b, p, view, view->in.groups.key, contexts, &rule);
    if (v->rotary)
        rotate(v, b, p, p->rows + contexts * p->segments, &rule);
    return blocks(v, b, x, depth, &rule);
}

static const double *axis(const struct loom_rows *rows, const char *name)
{
    for (int32_t a = 0; a < rows->axes; a++)
        if (strcmp(rows->axis_name[a], name) == 0)
            return rows->axis[a];
    return NULL;
}

static struct loom_memory vit_encode(const void *self, struct loom_build *b, const struct loom_view *view,
                                     struct loom_node *x)
{
    const struct vit *v = self;
    struct loom_graph *g = loom_build_graph(b);
    const struct loom_rows *in = &view->in;
    int32_t contexts = v->contexts + view->prompts;
    struct places p = {.rows = in->rows,
                       .segments = in->segments,
                       .segment = in->segment_of,
                       .time = axis(in, "time"),
                       .space = axis(in, "space")};
    struct loom_node *context = contexts ? context_rows(v, b, view) : NULL;
    struct loom_node *y = pass(v, b, view, x, &p, context ? flags(v, b, context, contexts) : NULL, contexts, v->depth);
    if (contexts)
        y = loom_slice_rows(g, y, 0, in->rows);
    y = loom_nn_dropout(b, "dropout", y, loom_opt_real(v->options, "dropout"), &in->groups);
    return (struct loom_memory){.rows = in, .x = y, .own = context};
}

/* Memory rows of one time, averaged: what a behaviour needs of a bin. Fills places of the means. */
static struct loom_node *pool_time(const struct vit *v, struct loom_build *b, const struct loom_memory *m,
                                   struct places *p)
{
    struct loom_graph *g = loom_build_graph(b);
    const struct loom_rows *rows = m->rows;
    size_t n = (size_t)rows->rows + 1;
    int32_t *first = loom_graph_alloc(g, (n + 1) * sizeof(*first)),
            *segment = loom_graph_alloc(g, n * sizeof(*segment));
    double *time = loom_graph_alloc(g, n * sizeof(*time)), *space = loom_graph_alloc(g, n * sizeof(*space));
    const double *t = axis(rows, "time");
    struct loom_groups groups = {.n = 0, .first = first, .row = NULL, .key = NULL};
    if (!first || !segment || !time || !space)
        return m->x;
    for (int32_t r = 0; r < rows->rows; r++) {
        int same = r > 0 && rows->segment_of[r] == rows->segment_of[r - 1] && bin_of(v, t[r]) == bin_of(v, t[r - 1]);
        if (same)
            continue;
        first[groups.n] = r;
        segment[groups.n] = rows->segment_of[r];
        time[groups.n] = t[r];
        space[groups.n++] = 0.0;
    }
    first[groups.n] = rows->rows;
    *p =
        (struct places){.rows = groups.n, .segments = rows->segments, .segment = segment, .time = time, .space = space};
    return loom_group_mean(g, m->x, &groups);
}

/* `a` and then `b`, as places of one pass. */
static int join_places(struct loom_build *b, const struct places *memory, const struct loom_rows *ask,
                       struct places *out)
{
    struct loom_graph *g = loom_build_graph(b);
    size_t n = (size_t)memory->rows + (size_t)ask->rows + 1;
    int32_t *segment = loom_graph_alloc(g, n * sizeof(*segment));
    double *time = loom_graph_alloc(g, n * sizeof(*time)), *space = loom_graph_alloc(g, n * sizeof(*space));
    if (!segment || !time || !space)
        return 0;
    memcpy(segment, memory->segment, (size_t)memory->rows * sizeof(*segment));
    memcpy(segment + memory->rows, ask->segment_of, (size_t)ask->rows * sizeof(*segment));
    memcpy(time, memory->time, (size_t)memory->rows * sizeof(*time));
    memcpy(time + memory->rows, axis(ask, "time"), (size_t)ask->rows * sizeof(*time));
    memcpy(space, memory->space, (size_t)memory->rows * sizeof(*space));
    memcpy(space + memory->rows, axis(ask, "space"), (size_t)ask->rows * sizeof(*space));
    *out = (struct places){.rows = memory->rows + ask->rows,
                           .segments = memory->segments,
                           .segment = segment,
                           .time = time,
                           .space = space};
    return 1;
}

/* The memory's rows that the questions stand on. */
static struct loom_node *in_place(struct loom_build *b, const struct loom_memory *m, const struct loom_rows *ask)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = ask->rows;
    int32_t *index = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*index));
    for (int32_t r = 0, k = 0; index && r < ask->rows; r++) {
        while (k < m->rows->rows && m->rows->source[k] < ask->source[r])
            k++;
        if (k == m->rows->rows || m->rows->source[k] != ask->source[r]) {
            loom_graph_fail(g, LOOM_ECONFIG,
                            "a vit with decoder_depth = 0 answers only questions that stand on a row of the view; set "
                            "decoder_depth >= 1");
            return m->x;
        }
        index[r] = k;
    }
    return loom_gather(g, m->x, loom_input(g, LOOM_I32, 1, &n, index));
}

static int seen_modality(const struct loom_rows *in, int32_t modality)
{
    for (int32_t r = 0; r < in->rows; r++)
        if (in->modality[r] == modality)
            return 1;
    return 0;
}

static struct loom_answer vit_answer(const void *self, struct loom_build *b, const struct loom_view *view,
                                     const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    const struct vit *v = self;
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node *context = m->own;
    int32_t contexts = context ? v->contexts + view->prompts : 0;
    if (v->decoder_depth == 0)
        return (struct loom_answer){.out = in_place(b, m, ask)};
    struct places memory = {.rows = m->rows->rows,
                            .segments = m->rows->segments,
                            .segment = m->rows->segment_of,
                            .time = axis(m->rows, "time"),
                            .space = axis(m->rows, "space")};
    struct places all = memory;
    struct loom_node *both[2] = {m->x, q};
    if (v->pool && m->rows->rows && !seen_modality(&view->in, ask->modality[0]))
        both[0] = pool_time(v, b, m, &memory);
    if (!join_places(b, &memory, ask, &all))
        return (struct loom_answer){.out = q};
    struct loom_node *x = loom_concat_rows(g, 2, both);
    x = pass(v, b, view, x, &all, context, contexts, v->decoder_depth);
    return (struct loom_answer){.out = loom_slice_rows(g, x, memory.rows, ask->rows)};
}

static const struct loom_option options[] = {
    {"width", LOOM_OPT_INT, 0, "256", "[8,8192]", NULL, "of every row's vector"},
    {"depth", LOOM_OPT_INT, 0, "6", "[0,128]", "blocks", "of the encoder"},
    {"decoder_depth", LOOM_OPT_INT, 0, "2", "[0,64]", "blocks",
     "of each asked modality's decoder; 0 = answers stand on rows of the encoder"},
    {"heads", LOOM_OPT_INT, 0, "4", "[1,256]", NULL, "of attention; width is a multiple"},
    {"feed_forward", LOOM_OPT_REAL, 0, "1.0", "(0,16]", NULL, "hidden width of each MLP over width"},
    {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "of sublayers, MLPs and the encoder's output"},
    {"attention_dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "of attention weights"},
    {"pre_norm", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "normalise before each sublayer, and once at the end"},
    {"time", LOOM_OPT_STRING, 0, "learned", "learned|sinusoid|rotary", NULL, "how a row knows when it stands"},
    {"max_space", LOOM_OPT_INT, 0, "64", "[1,65536]", NULL, "rows of the table for the space coordinate (patches)"},
    {"context", LOOM_OPT_STRINGS, 0, "", "session|subject|task", NULL,
     "context rows in every segment; transfer matches them by name"},
    {"pool", LOOM_OPT_STRING, 0, "time", "time|none", NULL,
     "what a modality that is never seen is asked of: means over the rows of one bin, or all rows"},
    {"causal", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "rows see rows of their own bin and before"},
    {"back_ms", LOOM_OPT_REAL, 0, "-1", "[-1,inf)", "ms", "how far back a row sees; -1 = without limit"},
    {"ahead_ms", LOOM_OPT_REAL, 0, "-1", "[-1,inf)", "ms", "how far ahead a row sees; -1 = without limit"},
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = vit_create,
                                                    .destroy = vit_destroy,
                                                    .describe = vit_describe},
                                           .encode = vit_encode,
                                           .answer = vit_answer};

static const struct loom_op *const ops[] = {&between_op, NULL};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "vit",
                                          .version = "0.1",
                                          .summary = "transformer encoder with a small decoder for each asked modality",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BACKBONE,
                                          .options = options,
                                          .table = &table,
                                          .ops = ops};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
