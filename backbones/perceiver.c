/* SPDX-License-Identifier: Apache-2.0 */
/* A perceiver over events (POYO, Azabou et al. 2023; PerceiverIO, Jaegle et al. 2022).
 *
 *     encode:  latents ← attend rows → depth blocks of self-attention → memory
 *     answer:  questions ← attend memory → the questions' rows
 *
 * Latents stand on a grid of times, `latents` of them at each, the same vectors at all: nothing but rotation tells
 * times apart (rotary embedding, Su et al. 2021). Going in and among latents values are rotated too, by their own time
 * and back by their reader's, so that what is carried says when in relation to the reader; going out they are not.
 * Cost does not hang on the rows but for the way in, and that is linear in them. */
#include <loom/nn.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct perceiver {
    const struct loom_options *options;
    int32_t width, depth, latents, steps, head_width, space;
    int32_t cross_heads, self_heads;
    double step_s;
    float *omega; /* [head_width / 4] rad/s */
};

/* ---- setup ---- */

static void perceiver_destroy(void *self)
{
    struct perceiver *p = self;
    if (p)
        free(p->omega);
    free(p);
}

/* Angular frequencies of periods spaced evenly in the logarithm, both ends included, 2π / T.
 *
 * Rounded to float where torch rounds (linspace and lerp in one rounding each, 2π times the reciprocal): at periods of
 * 0.1 ms the last bit of a frequency is a milliradian of phase after a second, so weights trained there answer alike
 * here only with the same bits. */
static void set_omega(float *omega, int32_t n, double t_min, double t_max)
{
    const double low = (double)logf((float)t_min), high = (double)logf((float)t_max);
    const double range = (double)(float)(high - low), step = (double)(1.0f / (float)(n - 1));
    for (int32_t i = 0; i < n; i++) {
        double share = (double)(float)(i < n / 2 ? step * i : 1.0 - step * (n - 1 - i));
        double log_period = share < 0.5 ? low + share * range : high - range * (double)(float)(1.0 - share);
        float period = (float)exp((double)(float)log_period);
        omega[i] = 6.2831855f * (1.0f / period);
    }
}

static int check(const struct perceiver *p, struct loom_error *e)
{
    const struct loom_options *o = p->options;
    if (p->head_width % 4 != 0 || p->head_width < 8)
        return loom_opt_fail(o, "head_width", e,
                             "head_width %d: a quarter of it are pairs that rotate, at two periods or more; choose a "
                             "multiple of 4 from 8 on",
                             p->head_width);
    if (!(loom_opt_real(o, "t_min_ms") < loom_opt_real(o, "t_max_ms")))
        return loom_opt_fail(o, "t_min_ms", e, "the shortest period, %g ms, must be below the longest, t_max_ms = %g",
                             loom_opt_real(o, "t_min_ms"), loom_opt_real(o, "t_max_ms"));
    return LOOM_OK;
}

static int perceiver_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct perceiver *p = calloc(1, sizeof(*p));
    if (!p)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a backbone");
    p->options = o;
    p->width = (int32_t)loom_opt_int(o, "width");
    p->depth = (int32_t)loom_opt_int(o, "depth");
    p->latents = (int32_t)loom_opt_int(o, "latents");
    p->head_width = (int32_t)loom_opt_int(o, "head_width");
    p->cross_heads = (int32_t)loom_opt_int(o, "cross_heads");
    p->self_heads = (int32_t)loom_opt_int(o, "self_heads");
    p->space = (int32_t)loom_opt_int(o, "max_space");
    p->step_s = 1e-3 * loom_opt_real(o, "latent_step_ms");
    p->steps = (int32_t)ceil(loom_catalog_window_s(loom_setup_catalog(s)) / p->step_s - 1e-6);
    int status = check(p, e);
    if (status == LOOM_OK && !(p->omega = calloc((size_t)p->head_width / 4, sizeof(*p->omega))))
        status = loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a backbone");
    if (status != LOOM_OK) {
        perceiver_destroy(p);
        return status;
    }
    set_omega(p->omega, p->head_width / 4, 1e-3 * loom_opt_real(o, "t_min_ms"), 1e-3 * loom_opt_real(o, "t_max_ms"));
    *self = p;
    return LOOM_OK;
}

static int perceiver_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    static const char *const time[] = {"time", NULL}, *const place[] = {"time", "space", NULL};
    const struct perceiver *p = self;
    (void)e;
    t->axes = p->space ? place : time;
    t->width = p->width;
    t->offers = LOOM_HOLES | LOOM_BLANKS | LOOM_IN_PLACE | LOOM_ANYWHERE | LOOM_AHEAD | LOOM_OPEN;
    return LOOM_OK;
}

/* ---- times ---- */

static const double *axis(const struct loom_rows *rows, const char *name)
{
    for (int32_t a = 0; a < rows->axes; a++)
        if (strcmp(rows->axis_name[a], name) == 0)
            return rows->axis[a];
    return NULL;
}

struct turns {
    const loom_real *cos, *sin; /* [rows, head_width / 2] */
};

/* Phases in double: at the shortest period they reach tens of thousands of radians. The upper half of the pairs stays
 * where it is. */
static struct turns turns(const struct perceiver *p, struct loom_build *b, const struct loom_rows *rows)
{
    struct loom_graph *g = loom_build_graph(b);
    const int32_t half = p->head_width / 2, turning = p->head_width / 4;
    const double *time = axis(rows, "time");
    size_t n = (size_t)rows->rows * (size_t)half + 1;
    loom_real *c = loom_graph_alloc(g, n * sizeof(*c)), *s = loom_graph_alloc(g, n * sizeof(*s));
    if (!c || !s)
        return (struct turns){NULL, NULL};
    for (int32_t r = 0; r < rows->rows; r++)
        for (int32_t i = 0; i < half; i++) {
            int64_t at = (int64_t)r * half + i;
            double phase = i < turning ? (double)p->omega[i] * time[r] : 0.0;
            c[at] = i < turning ? (loom_real)cos(phase) : 1;
            s[at] = i < turning ? (loom_real)sin(phase) : 0;
        }
    return (struct turns){c, s};
}

/* The rule by which rows q read rows k of their own segment. */
static struct loom_attention rule(const struct loom_rows *q, struct turns at_q, const struct loom_rows *k,
                                  struct turns at_k, int rotate_value)
{
    return (struct loom_attention){.q_groups = q->groups,
                                   .k_groups = k->groups,
                                   .back_s = -1.0,
                                   .ahead_s = -1.0,
                                   .rotate_value = rotate_value,
                                   .q_cos = at_q.cos,
                                   .q_sin = at_q.sin,
                                   .k_cos = at_k.cos,
                                   .k_sin = at_k.sin};
}

/* x + a vector for the row's place (patches), where the pipeline wants one. */
static struct loom_node *place(const struct perceiver *p, struct loom_build *b, struct loom_node *x,
                               const struct loom_rows *rows)
{
    struct loom_graph *g = loom_build_graph(b);
    const double *space = axis(rows, "space");
    int64_t n = rows->rows;
    if (!p->space || !space)
        return x;
    struct loom_node *table =
        loom_param(b, "space", 2, (const int64_t[]){p->space, p->width}, "normal:0.02", LOOM_NO_DECAY);
    int32_t *index = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*index));
    for (int32_t r = 0; index && r < n; r++) {
        index[r] = (int32_t)space[r];
        if (!(space[r] >= 0.0 && space[r] < p->space))
            loom_graph_fail(g, LOOM_ECONFIG,
                            "space coordinate %g is beyond max_space = %d of the perceiver; set max_space = %d",
                            space[r], p->space, (int)space[r] + 1);
    }
    return loom_add(g, x, loom_gather(g, table, loom_input(g, LOOM_I32, 1, &n, index)));
}

/* ---- latents ---- */

/* What answer needs of encode. */
struct latents {
    struct loom_rows rows;
    struct turns at;
};

/* The grid of latents as rows: `latents` at the middle of each step, in every segment. */
static struct latents *grid(const struct perceiver *p, struct loom_build *b, const struct loom_rows *in)
{
    struct loom_graph *g = loom_build_graph(b);
    const int32_t each = p->latents * p->steps, n = each * in->segments;
    struct latents *l = loom_graph_alloc(g, sizeof(*l));
    int32_t *zeros = loom_graph_alloc(g, ((size_t)n + 2) * sizeof(*zeros));
    int32_t *segment = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*segment));
    int32_t *first = loom_graph_alloc(g, ((size_t)in->segments + 1) * sizeof(*first));
    uint8_t *state = loom_graph_alloc(g, (size_t)n + 1);
    double *time = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*time));
    double *other = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*other));
    const double **column = loom_graph_alloc(g, ((size_t)in->axes + 1) * sizeof(double *));
    if (!l || !zeros || !segment || !first || !state || !time || !other || !column)
        return NULL;
    memset(zeros, 0, ((size_t)n + 2) * sizeof(*zeros));
    memset(state, LOOM_SEEN, (size_t)n + 1);
    memset(other, 0, ((size_t)n + 1) * sizeof(*other));
    for (int32_t s = 0; s <= in->segments; s++)
        first[s] = s * each;
    for (int32_t r = 0; r < n; r++) {
        segment[r] = r / each;
        time[r] = (r % each / p->latents + 0.5) * p->step_s;
    }
    for (int32_t a = 0; a < in->axes; a++)
        column[a] = strcmp(in->axis_name[a], "time") == 0 ? time : other;
    *l = (struct latents){.rows = *in};
    l->rows.rows = n;
    l->rows.elems = 0;
    l->rows.first_row = first;
    l->rows.first_elem = l->rows.modality = l->rows.layout = l->rows.source = zeros;
    l->rows.segment_of = segment;
    l->rows.state = state;
    l->rows.axis = column;
    l->rows.held = NULL;
    l->rows.value = l->rows.target = l->rows.weight = NULL;
    l->rows.groups = (struct loom_groups){.n = in->segments, .first = first, .key = in->groups.key};
    l->at = turns(p, b, &l->rows);
    return l;
}

static struct loom_node *latent_vectors(const struct perceiver *p, struct loom_build *b, const struct loom_rows *rows)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = rows->rows;
    struct loom_node *table =
        loom_param(b, "latent", 2, (const int64_t[]){p->latents, p->width}, "normal:0.02", LOOM_NO_DECAY);
    int32_t *index = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*index));
    for (int32_t r = 0; index && r < n; r++)
        index[r] = r % p->latents;
    return loom_gather(g, table, loom_input(g, LOOM_I32, 1, &n, index));
}

/* ---- passes ---- */

/* POYO drops what sublayers add to latents, but not what comes in or goes out, and starts biases as torch does. */
static struct loom_block_spec block(const struct perceiver *p, int32_t heads, double dropout)
{
    const double hidden = loom_opt_real(p->options, "hidden_dropout");
    return (struct loom_block_spec){.heads = heads,
                                    .head_width = p->head_width,
                                    .plain_qkv = 1,
                                    .pre_norm = 1,
                                    .norm_memory = 1,
                                    .gated = 1,
                                    .feed_forward = 4.0,
                                    .dropout = dropout,
                                    .hidden_dropout = hidden > 0.0 ? hidden : -1.0,
                                    .attention_dropout = loom_opt_real(p->options, "attention_dropout"),
                                    .init = {.bias = "fan_in"}};
}

static struct loom_memory perceiver_encode(const void *self, struct loom_build *b, const struct loom_view *view,
                                           struct loom_node *x)
{
    const struct perceiver *p = self;
    struct latents *l = grid(p, b, &view->in);
    if (!l)
        return (struct loom_memory){.rows = &view->in, .x = x};
    struct loom_block_spec cross = block(p, p->cross_heads, 0.0);
    struct loom_block_spec among = block(p, p->self_heads, loom_opt_real(p->options, "dropout"));
    struct loom_attention in = rule(&l->rows, l->at, &view->in, turns(p, b, &view->in), 1);
    struct loom_attention own = rule(&l->rows, l->at, &l->rows, l->at, 1);
    x = place(p, b, x, &view->in);
    struct loom_node *y = latent_vectors(p, b, &l->rows);
    y = loom_nn_cross_block(b, "encoder", y, x, &cross, &in, &l->rows.groups);
    for (int32_t i = 0; i < p->depth; i++) {
        char name[32];
        snprintf(name, sizeof(name), "block%d", (int)i);
        y = loom_nn_block(b, name, y, &among, &own, &l->rows.groups);
    }
    return (struct loom_memory){.rows = &l->rows, .x = y, .own = l};
}

static struct loom_answer perceiver_answer(const void *self, struct loom_build *b, const struct loom_view *view,
                                           const struct loom_memory *m, const struct loom_rows *ask,
                                           struct loom_node *q)
{
    const struct perceiver *p = self;
    const struct latents *l = m->own;
    (void)view;
    if (!l)
        return (struct loom_answer){.out = q};
    struct loom_block_spec cross = block(p, p->cross_heads, 0.0);
    struct loom_attention out = rule(ask, turns(p, b, ask), &l->rows, l->at, 0);
    q = place(p, b, q, ask);
    return (struct loom_answer){.out = loom_nn_cross_block(b, "decoder", q, m->x, &cross, &out, &ask->groups)};
}

static const struct loom_option options[] = {
    {"width", LOOM_OPT_INT, 0, "64", "[8,8192]", NULL,
     "of every row's vector (POYO: 64 for one session, 128 for many)"},
    {"depth", LOOM_OPT_INT, 0, "6", "[0,128]", "blocks", "of self-attention among latents (POYO: 6 and 24)"},
    {"latents", LOOM_OPT_INT, 0, "16", "[1,4096]", NULL, "at each step of the grid (POYO: 16 and 32)"},
    {"latent_step_ms", LOOM_OPT_REAL, 0, "125", "(0,inf)", "ms", "between steps of the grid of latents"},
    {"cross_heads", LOOM_OPT_INT, 0, "2", "[1,256]", NULL, "of attention on the way in and out (POYO: 2 and 4)"},
    {"self_heads", LOOM_OPT_INT, 0, "8", "[1,256]", NULL, "of attention among latents"},
    {"head_width", LOOM_OPT_INT, 0, "64", "[8,1024]", NULL,
     "of each head, whatever the width; a multiple of 4, half of it rotates"},
    {"t_min_ms", LOOM_OPT_REAL, 0, "0.1", "(0,inf)", "ms", "shortest period of rotary time"},
    {"t_max_ms", LOOM_OPT_REAL, 0, "2062.7", "(0,inf)", "ms", "longest period of rotary time"},
    {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.4", "[0,1)", NULL, "of what each sublayer adds to latents"},
    {"hidden_dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.2", "[0,1)", NULL, "of the MLPs' hidden layers"},
    {"attention_dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.2", "[0,1)", NULL, "of attention weights"},
    {"max_space", LOOM_OPT_INT, 0, "0", "[0,65536]", NULL,
     "rows of a table for the space coordinate of tokenizers with patches; 0 = rows know their time alone"},
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = perceiver_create,
                                                    .destroy = perceiver_destroy,
                                                    .describe = perceiver_describe},
                                           .encode = perceiver_encode,
                                           .answer = perceiver_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "perceiver",
                                          .version = "0.1",
                                          .summary = "latents on a grid of times read events and are asked at any time",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BACKBONE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
