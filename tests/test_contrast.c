/* SPDX-License-Identifier: Apache-2.0 */
/* Contrast: what it computes against two plain loops, at the ends of its range, and whom the objective pairs. */
#include "simworld.h"

#include <loom/nn.h>
#include <loom/rng.h>

enum { N = 9, WIDTH = 5 };

static struct loom_graph *graph;

/* Unit vectors, and 0 or more positives for each: the last row is nobody's. */
static void draw(loom_real z[N * WIDTH], uint8_t positive[N * N], uint64_t seed)
{
    struct loom_rng g;
    loom_rng_init(&g, seed, "contrast", 0, 0);
    for (int i = 0; i < N; i++) {
        double square = 0;
        for (int k = 0; k < WIDTH; k++) {
            double x = loom_rng_normal(&g);
            z[i * WIDTH + k] = (loom_real)x;
            square += x * x;
        }
        for (int k = 0; k < WIDTH; k++)
            z[i * WIDTH + k] /= (loom_real)sqrt(square);
        for (int j = 0; j < N; j++)
            positive[i * N + j] = j == i || (i < N - 1 && j < N - 1 && (i + j) % 3 == 0);
    }
}

static double dot(const loom_real *z, int i, int j)
{
    double sum = 0;
    for (int k = 0; k < WIDTH; k++)
        sum += (double)z[i * WIDTH + k] * (double)z[j * WIDTH + k];
    return sum;
}

/* Terms of the definition, anchor by anchor and pair by pair. */
static void plain(const loom_real *z, const uint8_t *positive, double temperature, double out[4])
{
    memset(out, 0, 4 * sizeof *out);
    for (int i = 0; i < N; i++) {
        double all = 0, near = 0, spread = 0, apart = 0;
        int count = 0;
        for (int j = 0; j < N; j++) {
            if (j == i)
                continue;
            all += exp(dot(z, i, j) / temperature);
            apart += exp(-2 * (2 - 2 * dot(z, i, j))) / (N - 1);
            count += positive[i * N + j];
        }
        for (int j = 0; j < N; j++)
            if (j != i && positive[i * N + j]) {
                near -= log(exp(dot(z, i, j) / temperature) / all) / count;
                spread += (2 - 2 * dot(z, i, j)) / count;
            }
        if (count == 0)
            continue;
        out[0] += near;
        out[1] += spread;
        out[2] += log(apart);
        out[3] += 1;
    }
}

static double sum_of(struct loom_node *const *n, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += *(const double *)loom_node_host(n[i]);
    return sum;
}

static struct loom_contrast contrast(const loom_real *z, loom_real *gradient, const uint8_t *positive,
                                     double temperature, int64_t n)
{
    struct loom_error e = {0};
    const double ones[2] = {1, 1};
    loom_graph_reset(graph);
    struct loom_node *x = loom_leaf(graph, "z", 2, (const int64_t[]){n, WIDTH}, z, gradient);
    struct loom_contrast c = loom_nn_contrast(graph, x, positive, temperature);
    ck_ok(loom_graph_error(graph, &e), &e);
    loom_graph_forward(graph);
    if (gradient) {
        memset(gradient, 0, (size_t)(n * WIDTH) * sizeof *gradient);
        loom_graph_backward(graph, 2, c.loss, ones);
    }
    return c;
}

START_TEST(two_loops)
{
    loom_real z[N * WIDTH];
    uint8_t positive[N * N];
    double due[4];
    const double temperature[] = {0.07, 0.5, 2.0};
    for (int t = 0; t < 3; t++) {
        draw(z, positive, (uint64_t)t);
        struct loom_contrast c = contrast(z, NULL, positive, temperature[t], N);
        plain(z, positive, temperature[t], due);
        ck_near(sum_of(c.loss, 2), due[0], 2e-5 * due[0]);
        ck_near(sum_of(&c.alignment, 1), due[1], 2e-5 * due[1]);
        ck_near(sum_of(c.uniformity, 2), due[2], 2e-5 * fabs(due[2]));
        ck_assert(c.anchors == due[3] && due[3] == N - 1);
    }
}
END_TEST

/* Against differences of the plain loops. */
START_TEST(gradient)
{
    loom_real z[N * WIDTH], g[N * WIDTH];
    uint8_t positive[N * N];
    const double eps = sizeof(loom_real) == 8 ? 1e-6 : 1e-3;
    double up[4], down[4];
    draw(z, positive, 7);
    contrast(z, g, positive, 0.3, N);
    for (int i = 0; i < N * WIDTH; i++) {
        loom_real kept = z[i];
        z[i] = (loom_real)((double)kept + eps);
        double step = (double)z[i];
        plain(z, positive, 0.3, up);
        z[i] = (loom_real)((double)kept - eps);
        step -= (double)z[i];
        plain(z, positive, 0.3, down);
        z[i] = kept;
        ck_near(g[i], (up[0] - down[0]) / step, 1e-3);
    }
}
END_TEST

/* Nothing alike: every candidate is as likely, of which there are n − 1. */
START_TEST(chance)
{
    loom_real z[N * WIDTH] = {0};
    uint8_t positive[N * N] = {0};
    for (int i = 0; i + 1 < N; i += 2)
        positive[i * N + i + 1] = positive[(i + 1) * N + i] = 1;
    struct loom_contrast c = contrast(z, NULL, positive, 0.1, N);
    ck_assert(c.anchors == N - 1);
    ck_near(sum_of(c.loss, 2) / c.anchors, log(N - 1), 1e-6);
    ck_assert(c.negatives == (N - 1) * (N - 2));
}
END_TEST

/* Similarities of ±1e4: right answers cost nothing, wrong ones 2e4, and nothing overflows. */
START_TEST(far_apart)
{
    loom_real z[4 * WIDTH] = {0}, g[4 * WIDTH];
    uint8_t near[16] = {0}, far[16] = {0};
    z[0] = z[WIDTH] = 1;
    z[2 * WIDTH] = z[3 * WIDTH] = -1;
    near[1] = near[4] = near[11] = near[14] = 1;
    far[2] = far[8] = far[7] = far[13] = 1;
    struct loom_contrast c = contrast(z, g, near, 1e-4, 4);
    ck_near(sum_of(c.loss, 2), 0.0, 1e-6);
    c = contrast(z, g, far, 1e-4, 4);
    ck_near(sum_of(c.loss, 2), 4 * 2e4, 1.0);
    for (int i = 0; i < 4 * WIDTH; i++)
        ck_assert(isfinite((double)g[i]));
}
END_TEST

START_TEST(nobody_to_tell_apart)
{
    loom_real z[2 * WIDTH] = {1};
    const uint8_t both[4] = {0, 1, 1, 0};
    ck_assert(contrast(z, NULL, both, 0.1, 1).loss[0] == NULL);
    struct loom_contrast c = contrast(z, NULL, both, 0.1, 2);
    ck_assert(c.anchors == 0);
    ck_near(sum_of(c.loss, 2), 0.0, 0.0);
}
END_TEST

/* ---- the objective ---- */

#define PARTS                                                                                                          \
    SIM_DATA "tokenizer: { plugin = \"ndt2\"; patch_units = 8; };"                                                     \
             "backbone: { plugin = \"vit\"; width = 16; depth = 1; heads = 2; };"
#define CONTRASTIVE(more) PARTS "objectives: ( { plugin = \"contrastive\"; " more " } );"

/* Each of n windows has one positive, itself under the other mask. */
START_TEST(two_masks)
{
    struct simworld w;
    simworld_open(&w, CONTRASTIVE("hide = 0.25; temperature = 0.2;"));
    simworld_pass(&w, w.windows.sample, 5, LOOM_STEP, 3);
    ck_near(simworld_term(&w, "contrastive.negatives"), 8.0, 1e-6);
    const struct loom_view *a = loom_shard_view(w.shard, 0), *b = loom_shard_view(w.shard, 1);
    ck_assert(a && b && !loom_shard_view(w.shard, 2));
    ck_assert_int_eq(a->in.rows, b->in.rows);
    ck_assert(memcmp(a->in.source, b->in.source, (size_t)a->in.rows * sizeof *a->in.source) != 0);
    double loss = simworld_term(&w, "contrastive");
    ck_assert(loss > 0 && loss < 12);
    ck_near(simworld_pass(&w, w.windows.sample, 1, LOOM_STEP, 3), 0.0, 0.0); /* nothing to tell apart */
    simworld_close(&w);
}
END_TEST

/* Tuples of two: what lies near in time is the positive, everybody else a negative. */
START_TEST(neighbours_in_time)
{
    struct simworld w;
    struct loom_sampler *sampler;
    struct loom_sample sample[8];
    simworld_open(&w, CONTRASTIVE("pairs = \"time\"; hide = 0.0;"));
    ck_assert_int_eq(loom_model_arity(w.model), 2);
    struct loom_sampler_spec spec = {.seed = 1, .batch = 4, .arity = 2, .partner_s = 0.2};
    ck_ok(loom_sampler_new(&sampler, &w.selection, &spec, &w.e), &w.e);
    for (int i = 0; i < 8; i++)
        loom_sampler_draw(sampler, 0, i / 2, i % 2, &sample[i]);
    simworld_pass(&w, sample, 8, LOOM_STEP, 0);
    ck_near(simworld_term(&w, "contrastive.negatives"), 6.0, 1e-6);
    /* A window beside itself: the positive could not be nearer. */
    for (int i = 1; i < 8; i += 2) {
        int32_t tuple = sample[i].tuple;
        sample[i] = sample[i - 1];
        sample[i].tuple = tuple;
        sample[i].slot = 1;
    }
    simworld_pass(&w, sample, 8, LOOM_EVALUATE, 0);
    ck_near(simworld_term(&w, "contrastive.alignment"), 0.0, 1e-5);
    loom_sampler_free(sampler);
    simworld_close(&w);
}
END_TEST

/* The direction of the trial that a window's middle lies in, found again with no code of the objective's. */
static double direction(const struct simworld *w, const struct loom_sample *s)
{
    const struct loom_intervals *t =
        loom_recording_intervals(loom_catalog_recording(w->catalog, s->recording), "trials");
    const double *number = loom_intervals_column(t, "target")->number,
                 at = 1e-9 * (double)s->origin_ns + s->length_s / 2;
    for (int i = 0; i < t->rows; i++)
        if (at >= t->start_s[i] && at < t->stop_s[i])
            return number[i];
    return NAN;
}

START_TEST(positives_by_label)
{
    struct simworld w;
    simworld_open(&w, CONTRASTIVE("label = \"target\";"));
    const int n = w.windows.n < 12 ? w.windows.n : 12;
    double negatives = 0, alike = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            int same = i == j || direction(&w, &w.windows.sample[i]) == direction(&w, &w.windows.sample[j]);
            negatives += same ? 0 : 4; /* two views of each */
            alike += same && i != j;
        }
    ck_assert(alike > 0);
    simworld_pass(&w, w.windows.sample, n, LOOM_STEP, 0);
    ck_near(simworld_term(&w, "contrastive.negatives"), negatives / (2 * n), 1e-6);
    simworld_close(&w);
    ck_assert_int_eq(simworld_try(&w, CONTRASTIVE("label = \"targe\";")), LOOM_ECONFIG);
    ck_assert(strstr(w.e.message, "target_x") != NULL);
    simworld_close(&w);
}
END_TEST

/* Plain descent: windows are told apart better than by chance, and the head learns as well. */
START_TEST(learns)
{
    struct simworld w;
    simworld_open(&w, CONTRASTIVE("hide = 0.25;"));
    double first = 0, last = 0;
    for (int i = 0; i < 80; i++) {
        last = simworld_pass(&w, w.windows.sample, 6, LOOM_STEP, (uint64_t)i % 4);
        first = i == 0 ? last : first;
        for (int64_t k = 0; k < w.store->size[LOOM_LIFE_PARAM]; k++)
            w.store->param[k] -= (loom_real)0.02 * w.block.grad[k] / (loom_real)(0.1 + fabs((double)w.block.grad[k]));
    }
    ck_assert(last < 0.6 * first && last < log(11));
    simworld_close(&w);
}
END_TEST

int main(void)
{
    struct loom_error e = {0};
    if (loom_graph_new(&graph, (size_t)64 << 20, &e) != LOOM_OK)
        return EXIT_FAILURE;
    const TTest *const tests[] = {
        two_loops,          gradient,           chance, far_apart, nobody_to_tell_apart, two_masks,
        neighbours_in_time, positives_by_label, learns};
    int status = run_suite("contrast", (int)(sizeof(tests) / sizeof(tests[0])), tests, 60.0);
    loom_graph_free(graph);
    return status;
}
