/* SPDX-License-Identifier: Apache-2.0 */
/* Codebooks against NumPy and by their properties; the tokenizer's straight-through gradient; who asks for which codes.
 */
#include "simworld.h"

#include <loom/codes.h>
#include <loom/rng.h>

#include "../tokenizers/vq_book.h"
#include "golden/vq_book.h"

/* ---- books ---- */

static int64_t nearest(const struct vq_book *k, const loom_real *code, const double *x)
{
    int64_t best = 0;
    double least = INFINITY;
    for (int64_t i = 0; i < k->codes; i++) {
        double far = 0;
        for (int64_t d = 0; d < k->width; d++)
            far += (x[d] - (double)code[i * k->width + d]) * (x[d] - (double)code[i * k->width + d]);
        best = far < least ? i : best;
        least = far < least ? far : least;
    }
    return best;
}

static void add_up(const struct vq_book *k, const loom_real *code, const double *x, int64_t rows, double *sums)
{
    memset(sums, 0, (size_t)(k->codes * (k->width + 2)) * sizeof *sums);
    for (int64_t r = 0; r < rows; r++, x += k->width) {
        double *sum = sums + nearest(k, code, x) * (k->width + 2);
        sum[0] += 1;
        for (int64_t d = 0; d < k->width; d++) {
            sum[1] += x[d] * x[d];
            sum[2 + d] += x[d];
        }
    }
}

static double length_of(const loom_real *x, int64_t n)
{
    double square = 0;
    for (int64_t d = 0; d < n; d++)
        square += (double)x[d] * (double)x[d];
    return sqrt(square);
}

static void replay(int unit)
{
    const double *start = unit ? unit_start : plain_start, *vectors = unit ? unit_vectors : plain_vectors;
    const double *after = unit ? unit_after : plain_after, *sizes = unit ? unit_sizes : plain_sizes;
    const struct vq_book k = {
        .codes = BOOK_CODES, .width = BOOK_WIDTH, .normalize = unit, .decay = BOOK_DECAY, .smoothing = BOOK_SMOOTHING};
    enum { N = BOOK_CODES * BOOK_WIDTH };
    loom_real code[N], mean[N], count[BOOK_CODES], lone[BOOK_WIDTH];
    double sums[BOOK_CODES * (BOOK_WIDTH + 2)];
    for (int i = 0; i < N; i++) {
        code[i] = (loom_real)start[i];
        mean[i] = (loom_real)(start[i] * BOOK_ROWS / BOOK_CODES);
    }
    for (int i = 0; i < BOOK_CODES; i++)
        count[i] = (loom_real)BOOK_ROWS / BOOK_CODES;
    memcpy(lone, code + 5 * BOOK_WIDTH, sizeof lone);
    for (int step = 0; step < BOOK_STEPS; step++) {
        add_up(&k, code, vectors + (size_t)step * BOOK_ROWS * BOOK_WIDTH, BOOK_ROWS, sums);
        ck_assert(sums[5 * (BOOK_WIDTH + 2)] == 0);
        vq_book_average(&k, sums, code, count, mean);
        for (int i = 0; i < N; i++)
            ck_near(code[i], after[step * N + i], 2e-6 * (1 + fabs(after[step * N + i])));
        for (int i = 0; i < BOOK_CODES; i++) {
            ck_near(count[i], sizes[step * BOOK_CODES + i], 1e-5);
            if (unit)
                ck_near(length_of(code + (ptrdiff_t)i * BOOK_WIDTH, BOOK_WIDTH), 1.0, 1e-6);
        }
    }
    ck_assert(memcmp(lone, code + 5 * BOOK_WIDTH, sizeof lone) == 0);
}

START_TEST(averages_of_numpy)
{
    replay(0);
    replay(1);
}
END_TEST

START_TEST(nobody_came)
{
    const struct vq_book k = {.codes = 3, .width = 2, .normalize = 1, .decay = 0.9};
    loom_real code[6] = {1, 0, 0, 1, -1, 0}, count[3] = {2, 4, 6}, mean[6] = {0}, kept[6];
    const double sums[3 * 4] = {0};
    memcpy(kept, code, sizeof kept);
    vq_book_average(&k, sums, code, count, mean);
    ck_assert(memcmp(kept, code, sizeof kept) == 0);
    ck_near(count[1], 3.6, 1e-6);
    memset(count, 0, sizeof count);
    ck_assert(vq_book_perplexity(&k, count) == 0);
    vq_book_start(&k, sums, code);
    ck_assert(memcmp(kept, code, sizeof kept) == 0);
}
END_TEST

START_TEST(perplexity)
{
    const struct vq_book k = {.codes = 8};
    loom_real even[8], lone[8] = {0, 0, 5};
    for (int i = 0; i < 8; i++)
        even[i] = (loom_real)0.3;
    ck_near(vq_book_perplexity(&k, even), 8.0, 1e-5);
    ck_near(vq_book_perplexity(&k, lone), 1.0, 1e-6);
}
END_TEST

/* A dead code goes beside the most used one and takes half of what it had; the living stay. */
START_TEST(dead_codes_restart)
{
    const struct vq_book k = {.codes = 4, .width = 2, .normalize = 1, .restart = 0.1, .seed = 3};
    loom_real code[8] = {1, 0, 0, 1, -1, 0, 0, -1}, count[4] = {10, 30, (loom_real)0.1, 20};
    loom_real mean[8] = {10, 0, 0, 30, (loom_real)-0.1, 0, 0, -20};
    ck_assert_int_eq(vq_book_restart(&k, 7, code, count, mean), 1);
    ck_assert(code[4] > -0.1 && code[5] > 0.99);
    ck_near(length_of(code + 4, 2), 1.0, 1e-6);
    ck_assert(count[1] == 15 && count[2] == 15 && mean[5] == 15 && mean[3] == 15 && code[3] == 1 && count[0] == 10);
    ck_assert(code[4] != 0);
    ck_assert_int_eq(vq_book_restart(&k, 8, code, count, mean), 0);
}
END_TEST

enum { POINTS = 400, BLOBS = 5, BLOB_WIDTH = 3 };

/* Points around five places; what k-means leaves of their variance. */
static double cluster(int64_t codes, int rounds, loom_real *code)
{
    static double x[POINTS * BLOB_WIDTH], sums[64 * (BLOB_WIDTH + 2)];
    const struct vq_book k = {.codes = codes, .width = BLOB_WIDTH, .seed = 9};
    struct loom_rng g;
    int64_t empty = 0;
    double error = 0;
    loom_rng_init(&g, 4, "blobs", 0, 0);
    for (int i = 0; i < POINTS; i++)
        for (int d = 0; d < BLOB_WIDTH; d++)
            x[i * BLOB_WIDTH + d] = 8.0 * ((i % BLOBS >> d) & 1) + 3.0 * (i % BLOBS == 4) + 0.1 * loom_rng_normal(&g);
    memset(code, 0, (size_t)(codes * BLOB_WIDTH) * sizeof *code);
    add_up(&k, code, x, POINTS, sums);
    vq_book_start(&k, sums, code);
    for (int round = 0; round < rounds; round++) {
        add_up(&k, code, x, POINTS, sums);
        error = vq_book_lloyd(&k, sums, round, code, &empty);
    }
    ck_assert(empty == 0);
    return error / POINTS;
}

START_TEST(k_means)
{
    loom_real code[64 * BLOB_WIDTH], again[64 * BLOB_WIDTH];
    ck_assert(cluster(BLOBS, 30, code) < 3.5 * 0.01); /* the noise: 3 × 0.1² */
    ck_assert(cluster(40, 30, code) < 0.5 * 0.03);    /* empty codes went where the error was */
    cluster(40, 30, again);
    ck_assert(memcmp(code, again, sizeof(loom_real) * 40 * BLOB_WIDTH) == 0);
}
END_TEST

/* ---- the tokenizer in training ---- */

#define WORLD(tokenizer, objective)                                                                                    \
    SIM_DATA "tokenizer: { plugin = \"vq\"; patch_units = 8; patch_bins = 2; code_width = 6; hidden = 24;" tokenizer   \
             " }; backbone: { plugin = \"vit\"; width = 16; depth = 1; heads = 2; dropout = 0.0;"                      \
             " attention_dropout = 0.0; }; objectives: ( { plugin = " objective " } );"
#define SCOPE "tokenizer.spikes.vq."

enum { BATCH = 6 };

START_TEST(fits_in_passes)
{
    struct simworld w;
    simworld_open(&w, WORLD("codes = 24;", "\"quantize\";"));
    int64_t n;
    loom_real *code = simworld_state(&w, SCOPE "codebook", &n), *first = malloc((size_t)n * sizeof *first);
    int passes = simworld_fit(&w);
    ck_assert(passes >= 4 && passes <= 12);
    for (int64_t i = 0; i < 24; i++)
        ck_near(length_of(code + i * 6, 6), 1.0, 1e-6);
    ck_assert(simworld_state(&w, SCOPE "health", NULL)[1] > 8);
    ck_assert(simworld_state(&w, SCOPE "health", NULL)[1] <= 24);
    memcpy(first, code, (size_t)n * sizeof *first);
    ck_assert_int_eq(simworld_fit(&w), passes);
    ck_assert(memcmp(first, code, (size_t)n * sizeof *first) == 0);
    free(first);
    simworld_close(&w);
}
END_TEST

static double term_at(struct simworld *w, const char *term)
{
    simworld_pass(w, w->windows.sample, BATCH, LOOM_STEP, 1);
    return simworld_term(w, term);
}

/* (term at x + ε) − (term at x − ε) over 2 ε, for x element d of z's bias, and, with `codes`, of every code as well, so
 * that each vector keeps its own. */
static double slope(struct simworld *w, int codes, int d, const char *term)
{
    const double eps = sizeof(loom_real) == 8 ? 1e-5 : 2e-3;
    loom_real *bias = w->store->param + simworld_entry(w, LOOM_LIFE_PARAM, SCOPE "encoder1.bias")->offset;
    loom_real *code = simworld_state(w, SCOPE "codebook", NULL), kept[16 * 6], was = bias[d];
    double side[2];
    memcpy(kept, code, sizeof kept);
    for (int s = 0; s < 2; s++) {
        double by = s ? -eps : eps;
        for (int i = 0; i < codes; i++)
            code[i * 6 + d] = (loom_real)((double)kept[i * 6 + d] + by);
        bias[d] = (loom_real)((double)was + by);
        side[s] = term_at(w, term);
    }
    memcpy(code, kept, sizeof kept);
    bias[d] = was;
    return (side[0] - side[1]) / (2 * eps);
}

/* What goes back into z is the decoder's gradient at the codes, which a shift of codes and vectors shows, and that of
 * the commitment, which a shift of vectors alone shows. The bias before z gathers both. */
START_TEST(straight_through)
{
    double rebuild[6], both[6], apart = 0;
    for (int with = 0; with < 2; with++) {
        struct simworld w;
        simworld_open(&w, with ? WORLD("codes = 16; unit_codes = false;", "\"quantize\"; commitment = 1.0;")
                               : WORLD("codes = 16; unit_codes = false;", "\"quantize\"; commitment = 0.0;"));
        simworld_fit(&w);
        const struct loom_entry *bias = simworld_entry(&w, LOOM_LIFE_PARAM, SCOPE "encoder1.bias");
        for (int d = 0; d < 6; d++) {
            double through = slope(&w, 16, d, "quantize.rebuild"), commitment = slope(&w, 0, d, "quantize.commitment");
            simworld_pass(&w, w.windows.sample, BATCH, LOOM_STEP, 1);
            double is = (double)w.block.grad[bias->offset + d];
            (with ? both : rebuild)[d] = is;
            ck_near(is, through + commitment, 0.03 * fabs(is) + 2e-4);
            ck_assert(with || commitment == 0);
        }
        simworld_close(&w);
    }
    for (int d = 0; d < 6; d++)
        apart += fabs(both[d] - rebuild[d]);
    ck_assert(apart > 1e-3);
}
END_TEST

/* Of a unit vector's gradient nothing points along it. */
START_TEST(unit_gradient)
{
    struct loom_graph *g;
    struct loom_error e = {0};
    const loom_real z[6] = {1, -2, 3, (loom_real)0.1, (loom_real)0.2, (loom_real)-0.05}, w[6] = {3, 1, -1, 2, 5, 7};
    loom_real d[6] = {0};
    const double one = 1;
    ck_ok(loom_graph_new(&g, (size_t)16 << 20, &e), &e);
    struct loom_node *x = loom_l2_normalize(g, loom_leaf(g, "z", 2, (const int64_t[]){2, 3}, z, d), 1e-6);
    struct loom_node *root = loom_sum(g, loom_mul(g, x, loom_input(g, LOOM_REAL, 2, (const int64_t[]){2, 3}, w)));
    loom_graph_forward(g);
    loom_graph_backward(g, 1, &root, &one);
    for (int r = 0; r < 2; r++) {
        double along = 0;
        for (int i = 0; i < 3; i++)
            along += (double)(z[3 * r + i] * d[3 * r + i]);
        ck_near(along, 0.0, 1e-5);
        ck_assert(length_of(d + (ptrdiff_t)3 * r, 3) > 0.1);
    }
    loom_graph_free(g);
}
END_TEST

/* Steps as a run makes them: what comes back gets better, codes keep their length, and none dies. */
START_TEST(learns)
{
    struct simworld w;
    simworld_open(&w, WORLD("codes = 24;", "\"quantize\";"));
    simworld_fit(&w);
    double first = 0, last = 0;
    for (int i = 0; i < 150; i++) {
        simworld_pass(&w, w.windows.sample, w.windows.n, LOOM_STEP, (uint64_t)i);
        last = simworld_term(&w, "quantize.rebuild");
        first = i == 0 ? last : first;
        for (int64_t k = 0; k < w.store->size[LOOM_LIFE_PARAM]; k++)
            w.store->param[k] -= (loom_real)0.02 * w.block.grad[k] / (loom_real)(1e-3 + fabs((double)w.block.grad[k]));
        ck_ok(loom_model_update(w.model, w.block.sum, 0, 0, &w.e), &w.e);
        for (int64_t k = 0; k < 24; k++)
            ck_near(length_of(simworld_state(&w, SCOPE "codebook", NULL) + k * 6, 6), 1.0, 1e-6);
    }
    ck_assert(last < 0.7 * first);
    const loom_real *health = simworld_state(&w, SCOPE "health", NULL);
    ck_assert(health[0] == 150 && health[1] > 6 && health[2] > 0.5);
    simworld_close(&w);
}
END_TEST

/* A second level takes off what the first one left. */
START_TEST(levels)
{
    double left[2];
    for (int two = 0; two < 2; two++) {
        struct simworld w;
        simworld_open(&w, two ? WORLD("codes = 8; levels = 2;", "\"quantize\"; commitment = 1.0;")
                              : WORLD("codes = 8;", "\"quantize\"; commitment = 1.0;"));
        simworld_fit(&w);
        simworld_pass(&w, w.windows.sample, w.windows.n, LOOM_EVALUATE, 0);
        left[two] = simworld_term(&w, "quantize.commitment");
        simworld_close(&w);
    }
    ck_assert(left[1] < 0.7 * left[0] && left[1] > 0);
}
END_TEST

static char said[512];

static void listen(void *payload, int level, const char *message)
{
    (void)payload;
    if (level == LOOM_WARN)
        snprintf(said, sizeof said, "%s", message);
}

/* One code does it all: said once, after the warm-up. */
START_TEST(collapse_is_named)
{
    struct simworld w;
    simworld_open(&w, WORLD("codes = 40; restart = 0.0; decay = 0.999;", "\"quantize\";"));
    int64_t n;
    loom_real *count = simworld_state(&w, SCOPE "count", &n), *health = simworld_state(&w, SCOPE "health", NULL);
    loom_log_set(listen, NULL);
    for (int i = 0; i < 3; i++) {
        const int early = i == 0;
        memset(count, 0, (size_t)n * sizeof *count);
        count[3] = 1e7;
        health[0] = early ? 5 : 5000;
        said[0] = '\0';
        simworld_pass(&w, w.windows.sample, BATCH, LOOM_STEP, 1);
        ck_ok(loom_model_update(w.model, w.block.sum, 0, 0, &w.e), &w.e);
        ck_assert_int_eq(strstr(said, "collapsed") != NULL, i == 1);
        ck_near(health[1], 1.0, 1e-2);
    }
    loom_log_set(NULL, NULL);
    simworld_close(&w);
}
END_TEST

/* Codes of a book that no stage has trained are asked for: said before the first step. */
START_TEST(untrained_is_named)
{
    struct simworld w;
    simworld_open(&w, WORLD("codes = 32;", "\"code\";"));
    loom_log_set(listen, NULL);
    for (int trained = 0; trained < 2; trained++) {
        said[0] = '\0';
        simworld_state(&w, SCOPE "health", NULL)[0] = (loom_real)(100 * trained);
        simworld_pass(&w, w.windows.sample, BATCH, LOOM_FIT, 0);
        ck_assert_int_eq(loom_model_update(w.model, w.block.sum, 1, 0, &w.e), 0);
        ck_assert_int_eq(strstr(said, "nothing has trained") != NULL, !trained);
    }
    loom_log_set(NULL, NULL);
    simworld_close(&w);
}
END_TEST

/* ---- asking for codes ---- */

static int32_t rows_in(const struct loom_view *v)
{
    return v->in.rows;
}

/* What one pass shows the other asks for; both start at chance. */
START_TEST(mask_and_complement)
{
    struct simworld w;
    simworld_open(&w, WORLD("codes = 32;", "\"code\"; hide = 0.4; hide_how = \"drop\";"));
    simworld_pass(&w, w.windows.sample, BATCH, LOOM_STEP, 2);
    const struct loom_view *a = loom_shard_view(w.shard, 0), *b = loom_shard_view(w.shard, 1);
    const struct loom_rows *full = loom_shard_rows(w.shard), *one = &a->ask[0], *other = &b->ask[0];
    ck_assert_int_eq(one->rows + other->rows, full->rows);
    ck_assert_int_eq(rows_in(a), other->rows);
    ck_assert_int_eq(rows_in(b), one->rows);
    ck_assert(memcmp(a->in.source, other->source, (size_t)other->rows * sizeof *other->source) == 0);
    ck_assert(memcmp(b->in.source, one->source, (size_t)one->rows * sizeof *one->source) == 0);
    int32_t due = 0;
    for (int s = 0; s < full->segments; s++)
        due += (int32_t)floor(0.4 * (full->first_row[s + 1] - full->first_row[s]));
    ck_assert_int_eq(one->rows, due);
    ck_assert(rows_in(loom_shard_view(w.shard, 2)) == 0);
    ck_near(simworld_term(&w, "code"), log(32), 0.35);
    ck_near(simworld_term(&w, "code.complement"), log(32), 0.35);
    simworld_close(&w);
}
END_TEST

/* The tokenizer that names the codes is read and not trained: no gradient, no step, no decay. */
START_TEST(teacher_is_frozen)
{
    struct simworld w;
    simworld_open(&w, WORLD("codes = 32;", "\"code\";"));
    simworld_pass(&w, w.windows.sample, BATCH, LOOM_STEP, 2);
    int frozen = 0;
    for (int i = 0; i < w.store->count; i++) {
        const struct loom_entry *n = &w.store->entry[i];
        if (n->lifetime != LOOM_LIFE_PARAM)
            continue;
        int teacher = strncmp(n->name, SCOPE, strlen(SCOPE)) == 0;
        ck_assert_msg((n->lr_scale == 0) == teacher, "%s", n->name);
        for (int64_t k = n->offset; teacher && k < n->offset + n->size; k++)
            ck_assert(w.block.grad[k] == 0);
        frozen += teacher;
    }
    ck_assert_int_eq(frozen, 4);
    double before = simworld_term(&w, "code");
    int64_t n;
    loom_real *code = simworld_state(&w, SCOPE "codebook", &n);
    for (int64_t i = 0; i < n; i++)
        code[i] = -code[i];
    simworld_pass(&w, w.windows.sample, BATCH, LOOM_STEP, 2);
    ck_assert(simworld_term(&w, "code") != before);
    simworld_close(&w);
}
END_TEST

START_TEST(two_levels_two_labels)
{
    struct simworld w;
    simworld_open(&w, WORLD("codes = 16; levels = 2; input = \"codes\";", "\"code\"; symmetric = false;"));
    double first = 0, last = 0;
    for (int i = 0; i < 60; i++) {
        last = simworld_pass(&w, w.windows.sample, BATCH, LOOM_STEP, 2);
        first = i == 0 ? last : first;
        for (int64_t k = 0; k < w.store->size[LOOM_LIFE_PARAM]; k++)
            w.store->param[k] -= (loom_real)0.02 * w.block.grad[k] / (loom_real)(0.01 + fabs((double)w.block.grad[k]));
    }
    ck_near(first, log(16), 0.35);
    ck_assert(last < 0.8 * first);
    ck_assert(!loom_store_find(w.store, LOOM_LIFE_TERM, "code.complement"));
    simworld_close(&w);
}
END_TEST

START_TEST(needs_codes)
{
    struct simworld w;
    ck_assert_int_eq(simworld_try(&w, SIM_DATA
                                  "tokenizer: { plugin = \"bins\"; }; backbone: { plugin = \"vit\"; width = 16; "
                                  "heads = 2; }; objectives: ( { plugin = \"code\"; } );"),
                     LOOM_ECONFIG);
    ck_assert(strstr(w.e.message, "plugin = \"vq\"") != NULL);
    simworld_close(&w);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {averages_of_numpy,
                                  nobody_came,
                                  perplexity,
                                  dead_codes_restart,
                                  k_means,
                                  fits_in_passes,
                                  straight_through,
                                  unit_gradient,
                                  learns,
                                  levels,
                                  collapse_is_named,
                                  untrained_is_named,
                                  mask_and_complement,
                                  teacher_is_frozen,
                                  two_levels_two_labels,
                                  needs_codes};
    return run_suite("vq", (int)(sizeof(tests) / sizeof(tests[0])), tests, 60.0);
}
