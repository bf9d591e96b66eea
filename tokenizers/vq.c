/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of patches of activity: some bins of some neighbouring units are one row, and one word of a learnt book
 * (VQ-VAE, van den Oord et al. 2017; unit vectors as in LaBraM, Jiang et al. 2024; levels as in residual quantisation,
 * Zeghidour et al. 2021).
 *
 *     √counts → encoder → z (→ unit) → nearest code of each level, of what the levels before it left → Σ codes q
 *     z + stop(q − z) → decoder + log-rate of the unit → log-rates of the patch
 *
 * The objective `quantize` trains encoder, decoder and book: gradients go straight through the codes, and the book
 * follows the vectors by moving averages, after k-means before the first step. For any other objective the tokenizer
 * is an input like others: patches through a small network, or, with input = "codes", the codes' vectors. */
#include "vq_book.h"
#include "vq_ops.h"

#include <loom/codes.h>
#include <loom/nn.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_LEVELS = 8, WARM_UP = 200 };

struct vq {
    const struct loom_options *options;
    int32_t units, bins, slots; /* of a patch; slots = units × bins */
    int32_t codes, width, hidden, levels;
    int from_codes;
    int64_t kmeans;
    char init[32];
    struct vq_book book;
};

/* What stands in STATE health and fit. */
enum { STEPS, PERPLEXITY, USED, WARNED, HEALTH };
enum { LEVEL, ROUND, ERROR, FIT };

/* ---- setup ---- */

static int vq_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct vq *t = calloc(1, sizeof(*t));
    if (!t)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a tokenizer");
    t->options = o;
    t->units = (int32_t)loom_opt_int(o, "patch_units");
    t->bins = (int32_t)loom_opt_int(o, "patch_bins");
    t->slots = t->units * t->bins;
    t->codes = (int32_t)loom_opt_int(o, "codes");
    t->width = (int32_t)loom_opt_int(o, "code_width");
    t->hidden = (int32_t)loom_opt_int(o, "hidden");
    t->levels = (int32_t)loom_opt_int(o, "levels");
    t->from_codes = loom_opt_is(o, "input", "codes");
    t->kmeans = loom_opt_int(o, "kmeans");
    snprintf(t->init, sizeof(t->init), "normal:%.4g", 1.0 / sqrt((double)t->width));
    t->book = (struct vq_book){.codes = t->codes,
                               .width = t->width,
                               .normalize = loom_opt_bool(o, "unit_codes"),
                               .smoothing = 1e-5,
                               .seed = loom_setup_seed(s)};
    *self = t;
    return LOOM_OK;
}

static void vq_destroy(void *self)
{
    free(self);
}

static int vq_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    static const char *const axes[] = {"space", NULL};
    const struct vq *q = self;
    (void)e;
    t->offers = LOOM_CONTENT | LOOM_ELEMENTS | LOOM_CODES | (q->bins == 1 ? LOOM_UNITS : 0);
    t->axes = axes;
    t->likelihood = "poisson";
    return LOOM_OK;
}

/* ---- rows ---- */

/* A patch's elements bin by bin: unit × bins + bin is what a layout says of one, so that with one bin it is the unit.
 */
struct patch {
    int32_t *index;
    loom_real *value;
    uint8_t *held;
};

static int append_patch(const struct vq *t, const struct loom_window *w, struct loom_rows_builder *b, struct patch *p,
                        int32_t first_bin, int32_t first_unit, int32_t last_unit)
{
    int32_t bins = w->bins - first_bin < t->bins ? w->bins - first_bin : t->bins, n = 0;
    double space = (double)(w->unit[first_unit] / t->units);
    for (int32_t k = 0; k < bins; k++)
        for (int32_t u = first_unit; u < last_unit; u++, n++) {
            int64_t at = (int64_t)(first_bin + k) * w->units + u;
            p->index[n] = w->unit[u] * t->bins + k;
            p->value[n] = (loom_real)w->count[at];
            p->held[n] = w->held ? w->held[at] : 0;
        }
    return loom_rows_append(b, (first_bin + 0.5 * bins) * w->bin_s, &space, loom_rows_layout(b, n, p->index), p->value,
                            p->held);
}

static int vq_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *b, struct loom_error *e)
{
    const struct vq *t = self;
    size_t most = (size_t)t->slots + 1;
    struct patch p = {loom_rows_scratch(b, most * sizeof(*p.index)), loom_rows_scratch(b, most * sizeof(*p.value)),
                      loom_rows_scratch(b, most)};
    (void)e;
    if (!p.index || !p.value || !p.held)
        return LOOM_ENOMEM;
    for (int32_t k = 0; k < w->bins; k += t->bins)
        for (int32_t u = 0, next; u < w->units; u = next) {
            for (next = u; next < w->units && w->unit[next] / t->units == w->unit[u] / t->units;)
                next++;
            int status = append_patch(t, w, b, &p, k, u, next);
            if (status != LOOM_OK)
                return status;
        }
    return LOOM_OK;
}

/* Place of element k of row r in its patch. */
static int32_t slot_of(const struct vq *t, const struct loom_rows *rows, int32_t r, int32_t k)
{
    int32_t index = rows->layout_of[rows->layout[r]].index[k];
    return index % t->bins * t->units + index / t->bins % t->units;
}

/* ---- graph ---- */

/* Content of the rows, as √counts in the patch's slots [R, slots]. Of questions their truth, without what is held out.
 */
static struct loom_node *content(const struct vq *t, struct loom_build *b, const struct loom_rows *rows)
{
    struct loom_graph *g = loom_build_graph(b);
    size_t n = (size_t)rows->rows * (size_t)t->slots;
    loom_real *x = loom_graph_alloc(g, (n + 1) * sizeof(*x));
    const loom_real *value = rows->target ? rows->target : rows->value;
    if (x)
        memset(x, 0, n * sizeof(*x));
    for (int32_t r = 0; x && r < rows->rows; r++)
        for (int32_t i = rows->first_elem[r]; i < rows->first_elem[r + 1]; i++)
            if (!rows->held[i] && (double)value[i] > 0 && isfinite((double)value[i]))
                x[(int64_t)r * t->slots + slot_of(t, rows, r, i - rows->first_elem[r])] =
                    (loom_real)sqrt((double)value[i]);
    return loom_input(g, LOOM_REAL, 2, (const int64_t[]){rows->rows, t->slots}, x);
}

static struct loom_node *encode(const struct vq *t, struct loom_build *b, const struct loom_rows *rows)
{
    struct loom_node *z = loom_nn_linear(b, "encoder0", content(t, b, rows), t->hidden, LOOM_ACT_GELU);
    z = loom_nn_linear(b, "encoder1", z, t->width, LOOM_ACT_NONE);
    return t->book.normalize ? loom_l2_normalize(loom_build_graph(b), z, 1e-6) : z;
}

struct quantised {
    struct loom_node *code[MOST_LEVELS]; /* I32 [R] */
    struct loom_node *left[MOST_LEVELS]; /* [R, width] what each level chose for */
    struct loom_node *sum;               /* [R, width] */
};

static struct quantised quantise(const struct vq *t, struct loom_build *b, struct loom_node *z)
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

/* Log-rates of the elements [E, 1]: their slot's of y [R, slots], and their unit's own, a row of table `name`. */
static struct loom_node *elements(const struct vq *t, struct loom_build *b, const struct loom_rows *ask,
                                  struct loom_node *y, const char *name)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = ask->elems;
    struct loom_node *table = loom_table(b, "unit", name, 1, "zeros", LOOM_NO_DECAY);
    int32_t *slot = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*slot));
    int32_t *unit = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*unit));
    for (int32_t r = 0; slot && unit && r < ask->rows; r++) {
        const struct loom_layout *l = &ask->layout_of[ask->layout[r]];
        int32_t recording = ask->segment[ask->segment_of[r]].recording, first = ask->first_elem[r];
        for (int32_t k = 0; k < l->n; k++) {
            slot[first + k] = r * t->slots + slot_of(t, ask, r, k);
            unit[first + k] = loom_table_row(b, "unit", recording, l->index[k] / t->bins);
        }
    }
    y = loom_reshape(g, y, 2, (const int64_t[]){(int64_t)ask->rows * t->slots, 1});
    return loom_add(g, loom_gather(g, y, loom_input(g, LOOM_I32, 1, &n, slot)),
                    loom_gather(g, table, loom_input(g, LOOM_I32, 1, &n, unit)));
}

/* Rows of x, and the mask vector in the place of hidden ones: those that `hidden` says, or all. */
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

static struct loom_node *vq_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    const struct vq *t = self;
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node *x;
    if (rows->target) /* questions have no content */
        return with_mask(b, rows, NULL, width);
    if (t->from_codes) {
        loom_freeze_push(b);
        loom_scope_push(b, "vq");
        x = loom_stop(g, quantise(t, b, encode(t, b, rows)).sum);
        loom_scope_pop(b);
        loom_freeze_pop(b);
    } else {
        x = loom_nn_linear(b, "patch0", content(t, b, rows), t->hidden, LOOM_ACT_GELU);
    }
    x = loom_nn_linear(b, t->from_codes ? "code" : "patch1", x, width, LOOM_ACT_NONE);
    if (rows->rows && memchr(rows->state, LOOM_HIDDEN, (size_t)rows->rows))
        x = with_mask(b, rows, x, width);
    return loom_nn_dropout(b, "dropout", x, loom_opt_real(t->options, "dropout"), &rows->groups);
}

static struct loom_node *vq_read(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                 struct loom_node *answer)
{
    const struct vq *t = self;
    return elements(t, b, ask, loom_nn_linear(b, "log_rate", answer, t->slots, LOOM_ACT_NONE), "unit_log_rate");
}

/* ---- codes ---- */

static int32_t vq_count(const void *self)
{
    return ((const struct vq *)self)->codes;
}

static int32_t vq_levels(const void *self)
{
    return ((const struct vq *)self)->levels;
}

static struct loom_node *vq_codes(const void *self, struct loom_build *b, const struct loom_rows *ask)
{
    const struct vq *t = self;
    loom_scope_push(b, "vq");
    struct quantised q = quantise(t, b, encode(t, b, ask));
    loom_scope_pop(b);
    return t->levels == 1 ? q.code[0] : vq_interleave(loom_build_graph(b), t->levels, q.code);
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

/* Σ w (y − y ln y): the Poisson cost of log-rates that are right. */
static double least_cost(const struct loom_rows *ask)
{
    double sum = 0;
    for (int32_t i = 0; i < ask->elems; i++)
        if (ask->weight[i] != 0 && ask->target[i] > 0)
            sum += (double)ask->weight[i] * (double)ask->target[i] * (1 - log((double)ask->target[i]));
    return sum;
}

/* The book's memory, and how it fares, for the log. */
static void declare_book(const struct vq *t, struct loom_build *b)
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

static struct loom_rebuilt vq_rebuild(const void *self, struct loom_build *b, const struct loom_rows *ask)
{
    const struct vq *t = self;
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node *each, *one = scored(b, ask, t->width, &each);
    loom_scope_push(b, "vq");
    struct loom_node *z = encode(t, b, ask);
    struct quantised q = quantise(t, b, z);
    for (int l = 0; l < t->levels; l++) {
        char name[16];
        snprintf(name, sizeof(name), "sums%d", l);
        loom_sum_into(b, name, vq_sums(g, q.code[l], q.left[l], one, t->codes));
    }
    struct loom_node *through = loom_add(g, z, loom_stop(g, loom_sub(g, q.sum, z)));
    struct loom_node *y = loom_nn_linear(b, "decoder0", through, t->hidden, LOOM_ACT_GELU);
    y = loom_nn_linear(b, "decoder1", y, t->slots, LOOM_ACT_NONE);
    struct loom_rebuilt out = {.params = elements(t, b, ask, y, "unit"),
                               .commitment = loom_squared_error(g, z, loom_stop(g, q.sum), each),
                               .least = least_cost(ask)};
    declare_book(t, b);
    loom_scope_pop(b);
    return out;
}

/* ---- the book moves ---- */

struct memory {
    loom_real *code, *count, *mean, *health, *fit;
    const double *sums[MOST_LEVELS];
    double vectors; /* of this step or pass */
};

static int find_memory(const struct vq *t, struct loom_update *u, struct memory *m)
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

static struct vq_book level_of(const struct vq *t, int l)
{
    struct vq_book k = t->book;
    k.normalize = k.normalize && l == 0; /* what a level leaves has no length of its own */
    k.level = l;
    k.decay = loom_opt_real(t->options, "decay");
    k.restart = loom_opt_real(t->options, "restart");
    return k;
}

/* Shares of the last pass become counts, as if one vector came a step. */
static void settle(const struct vq *t, struct memory *m)
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
static int fit(const struct vq *t, struct memory *m, int pass)
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
static void begin(const struct vq *t, struct memory *m)
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

static void look(const struct vq *t, struct memory *m)
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

static int vq_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    const struct vq *t = self;
    struct memory m;
    (void)e;
    if (!find_memory(t, u, &m)) {
        if (loom_update_fitting(u) && loom_update_pass(u) == 0 && m.code && m.health && m.health[STEPS] == 0)
            loom_log(LOOM_WARN, "codes are those of a book that nothing has trained: let a stage with the objective "
                                "\"quantize\" come before, and name it in `from`");
        return 0;
    }
    if (loom_update_fitting(u)) {
        m.health[STEPS] = m.health[WARNED] = 0;
        int more = fit(t, &m, loom_update_pass(u));
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

static const void *vq_extension(const void *self, const char *id)
{
    static const struct loom_codes codes = {.size = sizeof(struct loom_codes),
                                            .count = vq_count,
                                            .levels = vq_levels,
                                            .codes = vq_codes,
                                            .rebuild = vq_rebuild};
    (void)self;
    return strcmp(id, LOOM_CODES_ID) == 0 ? &codes : NULL;
}

static const struct loom_option options[] = {
    {"patch_units", LOOM_OPT_INT, 0, "16", "[1,4096]", "units", "neighbouring units in one row"},
    {"patch_bins", LOOM_OPT_INT, 0, "4", "[1,1024]", "bins", "neighbouring bins in one row"},
    {"input", LOOM_OPT_STRING, 0, "patch", "patch|codes", NULL,
     "what a backbone sees of a row: its counts through a small network, or the vectors of its codes"},
    {"codes", LOOM_OPT_INT, 0, "256", "[2,8192]", NULL, "in the book of one level"},
    {"code_width", LOOM_OPT_INT, 0, "16", "[1,256]", NULL, "of a code's vector"},
    {"levels", LOOM_OPT_INT, 0, "1", "[1,8]", NULL, "codes of a row, each of what those before it left"},
    {"unit_codes", LOOM_OPT_BOOL, 0, "true", NULL, NULL,
     "vectors and the codes of the first level have length 1, so that these are chosen by angle"},
    {"hidden", LOOM_OPT_INT, 0, "128", "[1,4096]", NULL, "width of the hidden layers of encoder, decoder and input"},
    {"decay", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.99", "[0,1)", NULL, "of the moving averages that codes follow"},
    {"kmeans", LOOM_OPT_INT, 0, "10", "[0,64]", "rounds",
     "most rounds of k-means that each level starts with; 0 = random codes"},
    {"restart", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.02", "[0,1)", NULL,
     "a code whose average use falls below this part of an even share begins anew beside the most used one; 0 = never"},
    {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "of token vectors"},
    {0}};

static const struct loom_tokenizer table = {.part = {.size = sizeof(struct loom_tokenizer),
                                                     .create = vq_create,
                                                     .destroy = vq_destroy,
                                                     .describe = vq_describe,
                                                     .update = vq_update,
                                                     .extension = vq_extension},
                                            .tokenize = vq_tokenize,
                                            .embed = vq_embed,
                                            .read = vq_read};

static const struct loom_op *const ops[] = {&vq_nearest_op, &vq_interleave_op, &vq_sums_op, NULL};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "vq",
                                          .version = "0.1",
                                          .summary = "patches of bins and units with codes of a learnt book",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .options = options,
                                          .table = &table,
                                          .ops = ops};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
