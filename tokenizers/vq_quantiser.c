/* SPDX-License-Identifier: Apache-2.0 */
#include "vq_quantiser.h"

#include "vq_ops.h"

#include <loom/nn.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WARM_UP = 200 };

/* What stands in STATE health and fit. */
enum { STEPS, PERPLEXITY, USED, WARNED, HEALTH };
enum { LEVEL, ROUND, ERROR, FIT };

void vq_quantiser_init(struct vq_quantiser *t, const struct loom_setup *s, vq_content_fn content)
{
    const struct loom_options *o = loom_setup_options(s);
    *t = (struct vq_quantiser){.options = o,
                               .content = content,
                               .codes = (int32_t)loom_opt_int(o, "codes"),
                               .width = (int32_t)loom_opt_int(o, "code_width"),
                               .levels = (int32_t)loom_opt_int(o, "levels"),
                               .hidden = (int32_t)loom_opt_int(o, "hidden"),
                               .from_codes = loom_opt_is(o, "input", "codes"),
                               .kmeans = loom_opt_int(o, "kmeans")};
    snprintf(t->init, sizeof(t->init), "normal:%.4g", 1.0 / sqrt((double)t->width));
    t->book = (struct vq_book){.codes = t->codes,
                               .width = t->width,
                               .normalize = loom_opt_bool(o, "unit_codes"),
                               .smoothing = 1e-5,
                               .seed = loom_setup_seed(s)};
}

/* ---- vectors and codes ---- */

struct quantised {
    struct loom_node *code[VQ_MOST_LEVELS]; /* I32 [R] */
    struct loom_node *left[VQ_MOST_LEVELS]; /* [R, width] what each level chose for */
    struct loom_node *sum;                  /* [R, width] */
};

/* Vectors [R, width] of content x [R, n]. */
static struct loom_node *encode(const struct vq_quantiser *t, struct loom_build *b, struct loom_node *x)
{
    struct loom_node *z = loom_nn_linear(b, "encoder0", x, t->hidden, LOOM_ACT_GELU);
    z = loom_nn_linear(b, "encoder1", z, t->width, LOOM_ACT_NONE);
    return t->book.normalize ? loom_l2_normalize(loom_build_graph(b), z, 1e-6) : z;
}

/* Codes of z [R, width]; no gradient. */
static struct quantised quantise(const struct vq_quantiser *t, struct loom_build *b, struct loom_node *z)
{
    struct loom_graph *g = loom_build_graph(b);
    struct quantised q = {.sum = NULL};
    const int64_t health = HEALTH;
    struct loom_node *book =
        loom_state(b, "codebook", 2, (const int64_t[]){(int64_t)t->levels * t->codes, t->width}, t->init);
    loom_state(b, "health", 1, &health, "zeros");
    struct loom_node *left = loom_stop(g, z);
    for (int l = 0; l < t->levels; l++) {
        struct loom_node *own = t->levels > 1 ? loom_slice_rows(g, book, (int64_t)l * t->codes, t->codes) : book;
        q.left[l] = left;
        q.code[l] = vq_nearest(g, loom_matmul(g, left, own, 0, 1), own);
        struct loom_node *chosen = loom_gather(g, own, q.code[l]);
        q.sum = q.sum ? loom_add(g, q.sum, chosen) : chosen;
        left = loom_sub(g, left, chosen);
    }
    return q;
}

/* 1 for each row of which something is scored, [R]; the same for each of `width` columns in *all, divided by width. */
static struct loom_node *scored(struct loom_build *b, const struct loom_rows *ask, int32_t width,
                                struct loom_node **all)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = ask->rows;
    loom_real *one = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*one));
    loom_real *each = loom_graph_alloc(g, ((size_t)n * (size_t)width + 1) * sizeof(*each));
    for (int32_t r = 0; one && each && r < n; r++) {
        one[r] = (loom_real)loom_row_scored(ask, r);
        for (int32_t d = 0; d < width; d++)
            each[(int64_t)r * width + d] = one[r] / (loom_real)width;
    }
    *all = loom_input(g, LOOM_REAL, 2, (const int64_t[]){n, width}, each);
    return loom_input(g, LOOM_REAL, 1, &n, one);
}

/* The book's memory, and how it fares, for the log. */
static void declare_book(const struct vq_quantiser *t, struct loom_build *b)
{
    struct loom_graph *g = loom_build_graph(b);
    const int64_t all = (int64_t)t->levels * t->codes, health = HEALTH, fit = FIT;
    loom_state(b, "count", 1, &all, "zeros");
    loom_state(b, "mean", 2, (const int64_t[]){all, t->width}, "zeros");
    loom_state(b, "fit", 1, &fit, "zeros");
    struct loom_node *now =
        loom_reshape(g, loom_state(b, "health", 1, &health, "zeros"), 2, (const int64_t[]){1, HEALTH});
    loom_emit(b, "vq.perplexity", loom_sum(g, loom_slice_cols(g, now, PERPLEXITY, 1)), 1.0, LOOM_LOG_ONLY | LOOM_ONCE);
    loom_emit(b, "vq.used", loom_sum(g, loom_slice_cols(g, now, USED, 1)), 1.0, LOOM_LOG_ONLY | LOOM_ONCE);
}

struct loom_node *vq_through(const struct vq_quantiser *t, struct loom_build *b, const struct loom_rows *ask,
                             struct loom_node *x, struct loom_node **commitment)
{
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node *z = encode(t, b, x);
    struct loom_node *each, *one = scored(b, ask, t->width, &each);
    struct quantised q = quantise(t, b, z);
    for (int l = 0; l < t->levels; l++) {
        char name[16];
        snprintf(name, sizeof(name), "sums%d", l);
        loom_sum_into(b, name, vq_sums(g, q.code[l], q.left[l], one, t->codes));
    }
    *commitment = loom_squared_error(g, z, loom_stop(g, q.sum), each);
    declare_book(t, b);
    return loom_add(g, z, loom_stop(g, loom_sub(g, q.sum, z)));
}

/* ---- what stands in a tokenizer's tables ---- */

int32_t vq_count(const void *self)
{
    return ((const struct vq_quantiser *)self)->codes;
}

int32_t vq_levels(const void *self)
{
    return ((const struct vq_quantiser *)self)->levels;
}

struct loom_node *vq_codes(const void *self, struct loom_build *b, const struct loom_rows *ask)
{
    const struct vq_quantiser *t = self;
    struct loom_node *x = t->content(self, b, ask);
    loom_scope_push(b, "vq");
    struct quantised q = quantise(t, b, encode(t, b, x));
    loom_scope_pop(b);
    return t->levels == 1 ? q.code[0] : vq_interleave(loom_build_graph(b), t->levels, q.code);
}

/* Rows of x [R, width], and the vector "mask" in the place of hidden ones; x NULL: it alone, for all rows. */
static struct loom_node *with_mask(struct loom_build *b, const struct loom_rows *rows, struct loom_node *x, int width)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = rows->rows;
    struct loom_node *mask =
        loom_param(b, "mask", 2, (const int64_t[]){1, width}, "normal:0.02", LOOM_NO_DECAY | LOOM_SPARSE_ROWS);
    int32_t *from = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*from));
    for (int32_t r = 0; from && r < n; r++)
        from[r] = !x ? 0 : rows->state[r] == LOOM_HIDDEN ? (int32_t)n : r;
    struct loom_node *all = x ? loom_concat_rows(g, 2, (struct loom_node *[]){x, mask}) : mask;
    return loom_gather(g, all, loom_input(g, LOOM_I32, 1, &n, from));
}

struct loom_node *vq_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    const struct vq_quantiser *t = self;
    if (rows->target) /* questions have no content */
        return with_mask(b, rows, NULL, width);
    struct loom_node *x = t->content(self, b, rows);
    if (t->from_codes) {
        loom_freeze_push(b);
        loom_scope_push(b, "vq");
        x = loom_stop(loom_build_graph(b), quantise(t, b, encode(t, b, x)).sum);
        loom_scope_pop(b);
        loom_freeze_pop(b);
    } else {
        x = loom_nn_linear(b, "patch0", x, t->hidden, LOOM_ACT_GELU);
    }
    x = loom_nn_linear(b, t->from_codes ? "code" : "patch1", x, width, LOOM_ACT_NONE);
    if (rows->rows && memchr(rows->state, LOOM_HIDDEN, (size_t)rows->rows))
        x = with_mask(b, rows, x, width);
    return loom_nn_dropout(b, "dropout", x, loom_opt_real(t->options, "dropout"), &rows->groups);
}

/* ---- the book moves ---- */

struct memory {
    loom_real *code, *count, *mean, *health, *fit;
    const double *sums[VQ_MOST_LEVELS];
    double vectors; /* of this step or pass */
};

static int find_memory(const struct vq_quantiser *t, struct loom_update *u, struct memory *m)
{
    *m = (struct memory){.code = loom_update_state(u, "vq.codebook", NULL),
                         .count = loom_update_state(u, "vq.count", NULL),
                         .mean = loom_update_state(u, "vq.mean", NULL),
                         .health = loom_update_state(u, "vq.health", NULL),
                         .fit = loom_update_state(u, "vq.fit", NULL)};
    for (int l = 0; l < t->levels; l++) {
        char name[24];
        snprintf(name, sizeof(name), "vq.sums%d", l);
        m->sums[l] = loom_update_sum(u, name, NULL);
        if (!m->sums[l])
            return 0;
    }
    for (int32_t k = 0; k < t->codes; k++)
        m->vectors += m->sums[0][(int64_t)k * (t->width + 2)];
    return m->code && m->count && m->mean && m->health && m->fit && m->vectors > 0;
}

static struct vq_book level_of(const struct vq_quantiser *t, int l)
{
    struct vq_book k = t->book;
    k.normalize = k.normalize && l == 0; /* what a level leaves has no length of its own */
    k.level = l;
    k.decay = loom_opt_real(t->options, "decay");
    k.restart = loom_opt_real(t->options, "restart");
    return k;
}

/* Shares of the last pass become counts, as if one vector came a step. */
static void settle(const struct vq_quantiser *t, struct memory *m)
{
    for (int32_t i = 0; i < t->levels * t->codes; i++) {
        const double *sum = m->sums[i / t->codes] + (int64_t)(i % t->codes) * (t->width + 2);
        m->count[i] = (loom_real)(sum[0] / m->vectors);
        for (int32_t d = 0; d < t->width; d++)
            m->mean[(int64_t)i * t->width + d] = m->count[i] * m->code[(int64_t)i * t->width + d];
    }
}

/* One fitting pass: a level starts from moments, then moves until its error stands or its rounds are over; then the
 * next one, on what is left. A last pass counts. */
static int fit(const struct vq_quantiser *t, struct memory *m, int pass)
{
    if (pass == 0)
        memset(m->fit, 0, FIT * sizeof(*m->fit));
    int l = (int)m->fit[LEVEL], round = (int)m->fit[ROUND];
    if (t->kmeans == 0 || l >= t->levels) {
        settle(t, m);
        return 0;
    }
    struct vq_book k = level_of(t, l);
    loom_real *code = m->code + (int64_t)l * t->codes * t->width;
    int64_t empty = 0;
    double error = INFINITY, before = round > 1 ? (double)m->fit[ERROR] : INFINITY;
    if (round == 0)
        vq_book_start(&k, m->sums[l], code);
    else
        error = vq_book_lloyd(&k, m->sums[l], pass, code, &empty);
    int done = round >= t->kmeans || (round > 1 && empty == 0 && !(error < 0.999 * before));
    m->fit[LEVEL] = (loom_real)(l + done);
    m->fit[ROUND] = (loom_real)(done ? 0 : round + 1);
    m->fit[ERROR] = round > 0 ? (loom_real)error : 0;
    return 1;
}

/* Before the first step counts are shares (or nothing, where nothing was fitted): a step's worth of each. */
static void begin(const struct vq_quantiser *t, struct memory *m)
{
    int64_t n = (int64_t)t->levels * t->codes;
    double all = 0;
    for (int64_t i = 0; i < n; i++)
        all += (double)m->count[i];
    for (int64_t i = 0; i < n; i++) {
        m->count[i] = (loom_real)((all > 0 ? (double)m->count[i] : 1.0 / t->codes) * m->vectors);
        for (int32_t d = 0; d < t->width; d++)
            m->mean[i * t->width + d] = m->count[i] * m->code[i * t->width + d];
    }
}

static void look(const struct vq_quantiser *t, struct memory *m)
{
    double perplexity = 0, used = 0;
    for (int l = 0; l < t->levels; l++) {
        struct vq_book k = level_of(t, l);
        const loom_real *count = m->count + (int64_t)l * t->codes;
        double all = 0;
        for (int32_t i = 0; i < t->codes; i++)
            all += (double)count[i];
        for (int32_t i = 0; i < t->codes; i++)
            used += (double)count[i] * t->codes > 0.1 * all;
        perplexity += vq_book_perplexity(&k, count) / t->levels;
    }
    m->health[PERPLEXITY] = (loom_real)perplexity;
    m->health[USED] = (loom_real)(used / ((double)t->levels * t->codes));
    if (m->health[STEPS] < WARM_UP || m->health[WARNED] != 0 || perplexity >= 0.1 * t->codes)
        return;
    m->health[WARNED] = 1;
    loom_log(LOOM_WARN,
             "the codebook has collapsed: after %d steps its perplexity is %.3g of %d codes; use fewer codes, a larger "
             "restart, a smaller commitment or learning rate",
             (int)m->health[STEPS], perplexity, (int)t->codes);
}

int vq_quantiser_update(const struct vq_quantiser *t, struct loom_update *u, int pass)
{
    struct memory m;
    if (!find_memory(t, u, &m)) {
        if (loom_update_fitting(u) && pass == 0 && m.code && m.health && m.health[STEPS] == 0)
            loom_log(LOOM_WARN, "codes are those of a book that nothing has trained: let a stage with the objective "
                                "\"quantize\" come before, and name it in `from`");
        return 0;
    }
    if (loom_update_fitting(u)) {
        m.health[STEPS] = m.health[WARNED] = 0;
        int more = fit(t, &m, pass);
        look(t, &m);
        return more;
    }
    if (m.health[STEPS] == 0)
        begin(t, &m);
    for (int l = 0; l < t->levels; l++) {
        struct vq_book k = level_of(t, l);
        int64_t at = (int64_t)l * t->codes;
        vq_book_average(&k, m.sums[l], m.code + at * t->width, m.count + at, m.mean + at * t->width);
        vq_book_restart(&k, (int64_t)m.health[STEPS], m.code + at * t->width, m.count + at, m.mean + at * t->width);
    }
    m.health[STEPS] += 1;
    look(t, &m);
    return 0;
}
