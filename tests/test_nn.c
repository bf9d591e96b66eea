/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: names and numbers of parameters, and what they compute against plain loops that share no code with them. */
#include "layers.h"

#include <loom/config.h>
#include <loom/encoder.h>

/* ---- plain loops ---- */

static void plain_linear(const char *name, int with_bias, const double *x, int64_t rows, int64_t in, int64_t out,
                         double *y)
{
    char full[128];
    snprintf(full, sizeof(full), "%s.weight", name);
    const loom_real *w = param(full), *b = NULL;
    snprintf(full, sizeof(full), "%s.bias", name);
    if (with_bias)
        b = param(full);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t o = 0; o < out; o++) {
            double sum = b ? b[o] : 0;
            for (int64_t i = 0; i < in; i++)
                sum += x[r * in + i] * w[o * in + i];
            y[r * out + o] = sum;
        }
}

static void plain_norm(const char *name, const double *x, int64_t rows, int64_t width, double *y)
{
    char full[128];
    snprintf(full, sizeof(full), "%s.weight", name);
    const loom_real *gain = param(full);
    snprintf(full, sizeof(full), "%s.bias", name);
    const loom_real *bias = param(full);
    for (int64_t r = 0; r < rows; r++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < width; i++)
            mean += x[r * width + i] / (double)width;
        for (int64_t i = 0; i < width; i++)
            square += (x[r * width + i] - mean) * (x[r * width + i] - mean) / (double)width;
        for (int64_t i = 0; i < width; i++)
            y[r * width + i] = (x[r * width + i] - mean) / sqrt(square + 1e-5) * gain[i] + bias[i];
    }
}

/* Softmax over the keys that `seen` allows, per head; q, k, v packed by head. */
static void plain_attention(const double *q, int64_t q_ld, const double *k, const double *v, int64_t k_ld, int64_t rows,
                            int64_t keys, int heads, int64_t width, const uint8_t *seen, double *out)
{
    int64_t dim = width / heads;
    for (int h = 0; h < heads; h++)
        for (int64_t i = 0; i < rows; i++) {
            double sum = 0, score[64];
            for (int64_t j = 0; j < keys; j++) {
                double dot = 0;
                for (int64_t d = 0; d < dim; d++)
                    dot += q[i * q_ld + h * dim + d] * k[j * k_ld + h * dim + d];
                score[j] = seen[i * keys + j] ? exp(dot / sqrt((double)dim)) : 0;
                sum += score[j];
            }
            for (int64_t d = 0; d < dim; d++) {
                double o = 0;
                for (int64_t j = 0; j < keys; j++)
                    o += score[j] / sum * v[j * k_ld + h * dim + d];
                out[i * width + h * dim + d] = o;
            }
        }
}

/* ---- a block over two segments of rows, causal by time ---- */

enum { ROWS = 9, WIDTH = 12, HEADS = 3, HIDDEN = 18, MEMORY = 7, MEMORY_WIDTH = 5 };

static const int32_t segments[3] = {0, 5, ROWS}, memory_segments[3] = {0, 4, MEMORY};
static const double times[ROWS] = {0, 0, 1, 2, 2, 0, 1, 1, 3};

struct block_case {
    struct loom_block_spec spec;
    int cross, alone; /* alone: the second segment only */
};

static struct loom_node *block_layer(struct loom_build *b, const void *payload)
{
    static const int32_t one[2] = {0, ROWS - 5};
    static const uint64_t keys[2] = {71, 72};
    const struct block_case *c = payload;
    struct loom_attention see = {.causal = !c->cross, .back_s = -1, .ahead_s = -1};
    struct loom_groups rows = {2, segments, NULL, keys};
    struct loom_node *x = input(b, ROWS, WIDTH, 0);
    see.q_time = see.k_time = times;
    if (c->alone) {
        rows = (struct loom_groups){1, one, NULL, keys + 1};
        see.q_time = see.k_time = times + 5;
        x = loom_slice_rows(loom_build_graph(b), x, 5, ROWS - 5);
    }
    see.q_groups = see.k_groups = rows;
    if (!c->cross)
        return loom_nn_block(b, "block0", x, &c->spec, &see, &rows);
    see.k_groups = (struct loom_groups){2, memory_segments, NULL, NULL};
    return loom_nn_cross_block(b, "block0", x, input(b, MEMORY, MEMORY_WIDTH, 500), &c->spec, &see, &rows);
}

static struct block_case block_case(int pre_norm)
{
    return (struct block_case){
        .spec = {
            .heads = HEADS, .pre_norm = pre_norm, .feed_forward = (double)HIDDEN / WIDTH, .activation = LOOM_ACT_GELU}};
}

static void plain_mlp(const double *x, double *y)
{
    double hidden[ROWS * HIDDEN];
    plain_linear("block0.mlp.in", 1, x, ROWS, WIDTH, HIDDEN, hidden);
    for (int i = 0; i < ROWS * HIDDEN; i++)
        hidden[i] *= 0.5 * erfc(-hidden[i] / sqrt(2));
    plain_linear("block0.mlp.out", 1, hidden, ROWS, HIDDEN, WIDTH, y);
}

static void plain_self(const double *x, double *y)
{
    double qkv[ROWS * 3 * WIDTH], mixed[ROWS * WIDTH];
    uint8_t seen[ROWS * ROWS];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < ROWS; j++)
            seen[i * ROWS + j] = (i < 5) == (j < 5) && times[j] <= times[i];
    plain_linear("block0.attention.qkv", 1, x, ROWS, WIDTH, 3 * WIDTH, qkv);
    plain_attention(qkv, 3 * WIDTH, qkv + WIDTH, qkv + 2 * WIDTH, 3 * WIDTH, ROWS, ROWS, HEADS, WIDTH, seen, mixed);
    plain_linear("block0.attention.out", 1, mixed, ROWS, WIDTH, WIDTH, y);
}

static void plain_cross(const double *x, const double *memory, double *y)
{
    double q[ROWS * WIDTH], kv[MEMORY * 2 * WIDTH], mixed[ROWS * WIDTH];
    uint8_t seen[ROWS * MEMORY];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < MEMORY; j++)
            seen[i * MEMORY + j] = (i < 5) == (j < 4);
    plain_linear("block0.attention.q", 1, x, ROWS, WIDTH, WIDTH, q);
    plain_linear("block0.attention.kv", 1, memory, MEMORY, MEMORY_WIDTH, 2 * WIDTH, kv);
    plain_attention(q, WIDTH, kv, kv + WIDTH, 2 * WIDTH, ROWS, MEMORY, HEADS, WIDTH, seen, mixed);
    plain_linear("block0.attention.out", 1, mixed, ROWS, WIDTH, WIDTH, y);
}

static void plain_block(const struct block_case *c, double *x)
{
    double h[ROWS * WIDTH], y[ROWS * WIDTH], memory[MEMORY * MEMORY_WIDTH];
    for (int i = 0; i < ROWS * WIDTH; i++)
        x[i] = value(i);
    for (int i = 0; i < MEMORY * MEMORY_WIDTH; i++)
        memory[i] = value(i + 500);
    if (c->spec.norm_memory)
        plain_norm("block0.norm_memory", memory, MEMORY, MEMORY_WIDTH, memory);
    for (int sub = 0; sub < 2; sub++) {
        const char *norm = sub ? "block0.norm2" : "block0.norm1";
        memcpy(h, x, sizeof(h));
        if (c->spec.pre_norm)
            plain_norm(norm, x, ROWS, WIDTH, h);
        if (sub)
            plain_mlp(h, y);
        else if (c->cross)
            plain_cross(h, memory, y);
        else
            plain_self(h, y);
        const loom_real *scale = c->spec.layer_scale > 0 ? param(sub ? "block0.scale2" : "block0.scale1") : NULL;
        for (int i = 0; i < ROWS * WIDTH; i++)
            x[i] += (scale ? (double)scale[i % WIDTH] : 1) * y[i];
        if (!c->spec.pre_norm)
            plain_norm(norm, x, ROWS, WIDTH, x);
    }
}

START_TEST(block_is_its_loops)
{
    for (int k = 0; k < 4; k++) {
        struct block_case c = block_case(k % 2);
        double expected[ROWS * WIDTH];
        c.cross = k / 2;
        c.spec.norm_memory = k == 3;
        c.spec.layer_scale = k < 2 ? 0.3 : 0;
        start(block_layer, &c);
        stir();
        plain_block(&c, expected);
        same(run(LOOM_EVALUATE, 0), expected, ROWS * WIDTH);
        check_gradient();
        stop();
    }
}
END_TEST

START_TEST(block_names_its_parameters)
{
    struct block_case c = {.spec = {.heads = 4, .feed_forward = 1, .activation = LOOM_ACT_GELU}};
    static const char *const names[] = {
        "block0.attention.qkv.weight", "block0.attention.qkv.bias", "block0.attention.out.weight",
        "block0.attention.out.bias",   "block0.norm1.weight",       "block0.norm1.bias",
        "block0.mlp.in.weight",        "block0.mlp.in.bias",        "block0.mlp.out.weight",
        "block0.mlp.out.bias",         "block0.norm2.weight",       "block0.norm2.bias",
    };
    c.spec.heads = HEADS;
    start(block_layer, &c);
    const int64_t w = WIDTH;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        param(names[i]);
    ck_assert_int_eq(bench.model.store->count, sizeof(names) / sizeof(names[0]));
    ck_assert_int_eq(loom_store_parameters(bench.model.store), 6 * w * w + 10 * w);
    stop();
}
END_TEST

static struct loom_node *wide_layer(struct loom_build *b, const void *payload)
{
    static const int32_t first[2] = {0, 3};
    const struct loom_groups rows = {1, first, NULL, NULL};
    struct loom_attention see = {.q_groups = rows, .k_groups = rows, .back_s = -1, .ahead_s = -1};
    return loom_nn_block(b, "block", input(b, 3, 256, 0), payload, &see, &rows);
}

START_TEST(published_counts)
{
    const struct loom_block_spec ndt2 = {.heads = 4, .feed_forward = 1, .activation = LOOM_ACT_GELU};
    const struct loom_block_spec poyo = {
        .heads = 8, .head_width = 64, .plain_qkv = 1, .pre_norm = 1, .gated = 1, .feed_forward = 4};
    start(wide_layer, &ndt2);
    ck_assert_int_eq(loom_store_parameters(bench.model.store), 395776);
    stop();
    start(wide_layer, &poyo);
    const int64_t attention = 3 * 512 * 256 + 512 * 256 + 256, mlp = 8 * 256 * 257 + 256 * 4 * 256 + 256;
    ck_assert_int_eq(loom_store_parameters(bench.model.store), attention + mlp + 2 * 512);
    stop();
}
END_TEST

START_TEST(dropout_is_for_training)
{
    struct block_case c = block_case(1);
    loom_real kept[ROWS * WIDTH], plain[ROWS * WIDTH];
    c.spec.dropout = 0.3;
    c.spec.attention_dropout = 0.2;
    start(block_layer, &c);
    stir();
    memcpy(plain, run(LOOM_EVALUATE, 1), sizeof(plain));
    ck_assert(memcmp(run(LOOM_EVALUATE, 2), plain, sizeof(plain)) == 0);
    memcpy(kept, run(LOOM_STEP, 1), sizeof(kept));
    ck_assert(memcmp(kept, plain, sizeof(kept)) != 0);
    ck_assert(memcmp(run(LOOM_STEP, 1), kept, sizeof(kept)) == 0);
    ck_assert(memcmp(run(LOOM_STEP, 2), kept, sizeof(kept)) != 0);
    check_gradient();
    stop();
}
END_TEST

/* A segment has the same bits alone and beside another, dropout included. */
START_TEST(segments_do_not_meet)
{
    struct block_case c = block_case(1);
    loom_real kept[ROWS * WIDTH];
    c.spec.dropout = c.spec.attention_dropout = c.spec.drop_path = 0.25;
    start(block_layer, &c);
    stir();
    memcpy(kept, run(LOOM_STEP, 4), sizeof(kept));
    c.alone = 1;
    ck_assert(memcmp(run(LOOM_STEP, 4), kept + (ptrdiff_t)5 * WIDTH, (ROWS - 5) * WIDTH * sizeof(*kept)) == 0);
    stop();
}
END_TEST

/* ---- recurrence ---- */

enum { IN = 4, UNITS = 6, GROUPS = 4, STEPS = 10 };

static const int32_t gru_first[GROUPS + 1] = {0, 3, 3, 8, 9};
static const int32_t gru_row[9] = {4, 1, 7, 0, 2, 9, 3, 5, 8}; /* row 6 is in no group */

struct gru_case {
    int reverse, with_h0;
};

static struct loom_node *gru_layer(struct loom_build *b, const void *payload)
{
    const struct gru_case *c = payload;
    const struct loom_groups groups = {GROUPS, gru_first, gru_row, NULL};
    struct loom_node *h0 = c->with_h0 ? input(b, GROUPS, UNITS, 300) : NULL;
    return loom_nn_gru(b, "gru", input(b, STEPS, IN, 0), UNITS, &groups, h0, c->reverse);
}

static void plain_cell(const double *x, double *h)
{
    double in[3 * UNITS], hidden[3 * UNITS];
    plain_linear("gru.input", 1, x, 1, IN, 3 * UNITS, in);
    plain_linear("gru.hidden", 1, h, 1, UNITS, 3 * UNITS, hidden);
    for (int u = 0; u < UNITS; u++) {
        double r = 1 / (1 + exp(-in[u] - hidden[u]));
        double z = 1 / (1 + exp(-in[UNITS + u] - hidden[UNITS + u]));
        double n = tanh(in[2 * UNITS + u] + r * hidden[2 * UNITS + u]);
        h[u] = (1 - z) * n + z * h[u];
    }
}

static void plain_gru(const struct gru_case *c, double *y)
{
    memset(y, 0, STEPS * UNITS * sizeof(*y));
    for (int g = 0; g < GROUPS; g++) {
        double h[UNITS] = {0};
        int n = gru_first[g + 1] - gru_first[g];
        for (int u = 0; c->with_h0 && u < UNITS; u++)
            h[u] = value(300 + g * UNITS + u);
        for (int t = 0; t < n; t++) {
            int row = gru_row[gru_first[g] + (c->reverse ? n - 1 - t : t)];
            double x[IN];
            for (int i = 0; i < IN; i++)
                x[i] = value(row * IN + i);
            plain_cell(x, h);
            memcpy(y + (ptrdiff_t)row * UNITS, h, sizeof(h));
        }
    }
}

START_TEST(gru_is_its_loops)
{
    for (int k = 0; k < 4; k++) {
        struct gru_case c = {k % 2, k / 2};
        double expected[STEPS * UNITS];
        start(gru_layer, &c);
        ck_assert_int_eq(loom_store_parameters(bench.model.store), 3 * UNITS * (IN + UNITS + 2));
        stir();
        plain_gru(&c, expected);
        same(run(LOOM_EVALUATE, 0), expected, STEPS * UNITS);
        check_gradient();
        stop();
    }
}
END_TEST

static struct loom_node *cells_layer(struct loom_build *b, const void *payload)
{
    struct loom_node *h = input(b, 1, UNITS, 40);
    (void)payload;
    for (int t = 0; t < 3; t++)
        h = loom_nn_gru_cell(b, "gru", input(b, 1, IN, t * IN), h);
    return h;
}

START_TEST(cells_chain)
{
    double h[UNITS], x[IN];
    start(cells_layer, NULL);
    stir();
    for (int u = 0; u < UNITS; u++)
        h[u] = value(40 + u);
    for (int t = 0; t < 3; t++) {
        for (int i = 0; i < IN; i++)
            x[i] = value(t * IN + i);
        plain_cell(x, h);
    }
    same(run(LOOM_EVALUATE, 0), h, UNITS);
    check_gradient();
    stop();
}
END_TEST

static struct loom_node *bad_gru_layer(struct loom_build *b, const void *payload)
{
    const struct loom_groups groups = {GROUPS, gru_first, payload, NULL};
    return loom_nn_gru(b, "gru", input(b, 8, IN, 0), UNITS, &groups, NULL, 0);
}

START_TEST(recurrence_checks_its_groups)
{
    struct loom_error e = {0};
    bench = (struct bench){.model.seed = 5};
    ck_assert_int_eq(loom_graph_new(&bench.graph, (size_t)1 << 20, &e), LOOM_OK);
    ck_assert_int_eq(loom_store_new(&bench.model.store, 5, &e), LOOM_OK);
    for (int k = 0; k < 2; k++) {
        loom_graph_reset(bench.graph);
        loom_build_begin(&bench.build, &bench.model, bench.graph, &bench.plan, NULL, NULL, 1);
        bad_gru_layer(&bench.build, k ? gru_row : NULL);
        ck_assert_int_eq(loom_graph_error(bench.graph, NULL), LOOM_ESHAPE);
    }
    stop();
}
END_TEST

/* ---- small layers ---- */

static struct loom_node *small_layer(struct loom_build *b, const void *payload)
{
    static const int32_t index[4] = {2, -1, 0, 2};
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node *x = loom_nn_embedding(b, "unit", 3, WIDTH, 4, index, "normal:1");
    (void)payload;
    x = loom_add(g, x, input(b, 4, WIDTH, 0));
    x = loom_nn_project(b, "map", loom_nn_rms_norm(b, "rms", x), 5);
    return loom_nn_linear(b, "head", x, 2, LOOM_ACT_TANH);
}

START_TEST(small_layers)
{
    start(small_layer, NULL);
    ck_assert_int_eq(loom_store_parameters(bench.model.store), 3 * WIDTH + WIDTH + 5 * WIDTH + 5 * 2 + 2);
    stir();
    double x[4 * WIDTH], y[4 * 5], z[4 * 2];
    const loom_real *table = param("unit.weight"), *gain = param("rms.weight");
    const int row[4] = {2, -1, 0, 2};
    for (int r = 0; r < 4; r++) {
        double square = 0;
        for (int i = 0; i < WIDTH; i++) {
            x[r * WIDTH + i] = value(r * WIDTH + i) + (row[r] < 0 ? 0 : table[row[r] * WIDTH + i]);
            square += x[r * WIDTH + i] * x[r * WIDTH + i] / WIDTH;
        }
        for (int i = 0; i < WIDTH; i++)
            x[r * WIDTH + i] *= gain[i] / sqrt(square + 1e-6);
    }
    plain_linear("map", 0, x, 4, WIDTH, 5, y);
    plain_linear("head", 1, y, 4, 5, 2, z);
    for (int i = 0; i < 8; i++)
        z[i] = tanh(z[i]);
    same(run(LOOM_EVALUATE, 0), z, 8);
    check_gradient();
    stop();
}
END_TEST

static struct loom_node *skipped_layer(struct loom_build *b, const void *payload)
{
    const struct loom_groups rows = {2, segments, NULL, NULL};
    struct loom_node *x = loom_nn_layer_scale(b, "scale", input(b, ROWS, WIDTH, 0), 0.5);
    return loom_nn_drop_path(b, "path", x, *(const double *)payload, &rows);
}

START_TEST(paths_drop_by_segment)
{
    const double p = 0.3;
    int gone = 0, differ = 0;
    start(skipped_layer, &p);
    for (uint64_t step = 0; step < 600; step++) {
        const loom_real *y = run(LOOM_STEP, step);
        int none[2] = {y[0] == 0, y[5 * WIDTH] == 0};
        for (int i = 0; i < ROWS * WIDTH; i++)
            ck_assert(fabs((double)y[i] - (none[i >= 5 * WIDTH] ? 0 : 0.5 / 0.7 * value(i))) < 1e-6);
        gone += none[0] + none[1];
        differ += none[0] != none[1];
    }
    ck_assert_msg(abs(gone - 360) < 60 && differ > 180 && differ < 330, "%d of 1200 gone, %d differ", gone, differ);
    ck_assert(fabs((double)run(LOOM_EVALUATE, 0)[1] - 0.5 * value(1)) < 1e-6);
    check_gradient();
    stop();
}
END_TEST

/* A block's two branches are left out apart: both at once in a quarter of the steps, not in half of them. */
START_TEST(branches_drop_apart)
{
    struct block_case c = block_case(1);
    int both = 0;
    c.spec.drop_path = 0.5;
    start(block_layer, &c);
    stir();
    for (uint64_t step = 0; step < 300; step++)
        both += fabs((double)run(LOOM_STEP, step)[0] - value(0)) < 1e-6;
    ck_assert_msg(both > 45 && both < 110, "%d of 300", both);
    stop();
}
END_TEST

/* From nothing at the first block to the whole at the last, as stochastic depth was published (Huang et al. 2016). */
START_TEST(paths_drop_more_with_depth)
{
    static const struct loom_option table[] = {LOOM_ENCODER_OPTIONS("16", "2", "0.0", "0.3"), {0}};
    struct loom_encoder n = {.block = {.heads = 2}};
    struct loom_config *config;
    struct loom_options *options;
    struct loom_error e = {0};
    ck_ok(loom_config_parse(&config, "dropout = 0.125;", "test.cfg", 0, NULL, &e), &e);
    ck_ok(loom_options_parse(&options, table, loom_config_root(config), "part", NULL, &e), &e);
    n.options = options;
    for (int i = 0; i < 4; i++)
        ck_near(loom_encoder_block(&n, i, 4).drop_path, 0.1 * i, 1e-12);
    ck_near(loom_encoder_block(&n, 0, 1).drop_path, 0, 0);
    ck_near(loom_encoder_block(&n, 1, 4).dropout, 0.125, 0);
    ck_assert_int_eq(loom_encoder_block(&n, 1, 4).heads, 2);
    loom_options_free(options);
    loom_config_free(config);
}
END_TEST

static struct loom_node *begun_layer(struct loom_build *b, const void *payload)
{
    return loom_nn_linear_from(b, "map", input(b, 2, 16, 0), 400, LOOM_ACT_NONE, payload);
}

START_TEST(linear_layers_start_as_told)
{
    const struct loom_linear_init torch = {NULL, "fan_in"}, other = {"normal:2", "ones"};
    double sum = 0, square = 0;
    start(begun_layer, &torch);
    for (int i = 0; i < 400; i++) {
        ck_assert(fabs((double)param("map.bias")[i]) <= 0.25);
        square += (double)param("map.bias")[i] * param("map.bias")[i] / 400;
        sum += (double)param("map.weight")[i] * param("map.weight")[i] / 400;
    }
    ck_assert_msg(fabs(square - 1.0 / 48) < 0.004 && fabs(sum - 1.0 / 48) < 0.004, "%g, %g", square, sum);
    stop();
    start(begun_layer, &other);
    ck_assert(param("map.bias")[7] == 1 && fabs((double)param("map.weight")[0]) > 0.25);
    stop();
    start(begun_layer, NULL);
    ck_assert(param("map.bias")[7] == 0);
    ck_assert(loom_store_find(bench.model.store, LOOM_LIFE_PARAM, "map.bias")->flags & LOOM_NO_DECAY);
    ck_assert(!(loom_store_find(bench.model.store, LOOM_LIFE_PARAM, "map.weight")->flags & LOOM_NO_DECAY));
    stop();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        block_is_its_loops,
        block_names_its_parameters,
        published_counts,
        dropout_is_for_training,
        segments_do_not_meet,
        gru_is_its_loops,
        cells_chain,
        recurrence_checks_its_groups,
        small_layers,
        paths_drop_by_segment,
        branches_drop_apart,
        paths_drop_more_with_depth,
        linear_layers_start_as_told,
    };
    Suite *s = suite_create("nn");
    TCase *t = tcase_create("layers");
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(t, tests[i]);
    suite_add_tcase(s, t);
    return run_tap(s);
}
