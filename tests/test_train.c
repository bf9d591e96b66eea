/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optimizer.h"
#include "train/schedule.h"

#include <loom/model.h>

#include <math.h>
#include <string.h>

#include "golden/sparse_lamb.h"
#include "suite.h"

static struct loom_error e;

/* A store of entries that lie one behind the other, without its own code. */
static struct loom_entry entries[3];
static loom_real values[64], grads[64];
static struct loom_store store = {.count = 3, .entry = entries, .param = values};

static void fill_store(void)
{
    static const double start[3] = {0.5, -1.25, 2.0};
    static char *names[3] = {"head.weight", "head.bias", "backbone.weight"};
    for (int i = 0; i < 3; i++) {
        entries[i] = (struct loom_entry){.name = names[i],
                                         .lifetime = LOOM_LIFE_PARAM,
                                         .rank = 1,
                                         .dim = {3},
                                         .offset = 16 * i,
                                         .size = 3,
                                         .lr_scale = 1};
        for (int k = 0; k < 3; k++)
            values[16 * i + k] = (loom_real)start[k];
    }
    entries[1].flags = LOOM_NO_DECAY;
    store.size[LOOM_LIFE_PARAM] = 48;
}

static const double gradient[3][3] = {{0.1, -2.0, 0.003}, {-0.4, 1.5, 0.0}, {0.25, 0.5, -7.0}};
/* torch.optim.AdamW's equations (decay first, then the step; ε outside the root) worked out in Python, lr 0.01, betas
 * (0.9, 0.999), eps 1e-8, weight_decay 0.1: the parameters after each of three steps. */
static const double expected[3][3] = {{0.489500001000, -1.238750000050, 1.988000033333},
                                      {0.494605535748, -1.236617999981, 1.979311482353},
                                      {0.494495281930, -1.235958132334, 1.983718088668}};
static const struct loom_optimizer_spec adamw = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};

START_TEST(adamw_by_hand)
{
    struct loom_pool *pool;
    struct loom_optimizer o;
    double norm;
    fill_store();
    loom_store_scale(&store, "backbone.*", 0);
    ck_ok(loom_pool_new(&pool, 2, &e), &e);
    ck_ok(loom_optimizer_init(&o, &store, &adamw, &e), &e);
    for (int t = 0; t < 3; t++) {
        double sum = 0;
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++)
                grads[16 * i + k] = (loom_real)(2 * gradient[t][k]);
        ck_ok(loom_optimizer_step(&o, grads, 0.5, 0.01, pool, &norm, &e), &e);
        for (int k = 0; k < 3; k++) {
            ck_near(values[k], expected[t][k], 2e-7);
            sum += 2 * gradient[t][k] * gradient[t][k];
        }
        ck_near(norm, sqrt(sum), 1e-5); /* the frozen entry does not count */
    }
    ck_assert(values[16] > values[0]); /* no decay */
    ck_near(values[32], 0.5, 0);       /* frozen */
    ck_near(o.m[32], 0, 0);
    loom_optimizer_release(&o);
    loom_pool_free(pool);
}
END_TEST

START_TEST(clipping_scales_the_whole_gradient)
{
    struct loom_pool *pool;
    struct loom_optimizer o;
    struct loom_optimizer_spec spec = adamw;
    double norm;
    fill_store();
    spec.clip = 1;
    ck_ok(loom_pool_new(&pool, 1, &e), &e);
    ck_ok(loom_optimizer_init(&o, &store, &spec, &e), &e);
    for (int i = 0; i < 48; i++)
        grads[i] = 0;
    grads[0] = 3;
    grads[17] = 4;
    ck_ok(loom_optimizer_step(&o, grads, 1, 0.01, pool, &norm, &e), &e);
    ck_near(norm, 5, 1e-6);
    ck_near(o.m[0], 0.1 * 3.0 / 5.0, 1e-7); /* after clipping to norm 1 */
    ck_near(o.v[17], 0.001 * 0.64, 1e-9);
    loom_optimizer_release(&o);
    loom_pool_free(pool);
}
END_TEST

START_TEST(wild_gradients_are_named_and_change_nothing)
{
    struct loom_pool *pool;
    struct loom_optimizer o;
    double norm;
    fill_store();
    ck_ok(loom_pool_new(&pool, 1, &e), &e);
    ck_ok(loom_optimizer_init(&o, &store, &adamw, &e), &e);
    memset(grads, 0, sizeof grads);
    grads[18] = (loom_real)NAN;
    ck_fails(loom_optimizer_step(&o, grads, 1, 0.01, pool, &norm, &e), LOOM_ENUMERIC, &e, "head.bias");
    ck_assert_int_eq(o.step, 0);
    ck_near(values[0], 0.5, 0);
    loom_optimizer_release(&o);
    loom_pool_free(pool);
}
END_TEST

START_TEST(shadow_follows)
{
    struct loom_pool *pool;
    struct loom_optimizer o;
    struct loom_optimizer_spec spec = adamw;
    loom_real shadow[64] = {0};
    double norm;
    fill_store();
    store.shadow = shadow;
    spec.shadow_decay = 0.75;
    memset(grads, 0, sizeof grads);
    ck_ok(loom_pool_new(&pool, 1, &e), &e);
    ck_ok(loom_optimizer_init(&o, &store, &spec, &e), &e);
    ck_ok(loom_optimizer_step(&o, grads, 1, 0.01, pool, &norm, &e), &e);
    ck_near(shadow[16], 0.25 * values[16], 1e-7);
    store.shadow = NULL;
    loom_optimizer_release(&o);
    loom_pool_free(pool);
}
END_TEST

/* ---- SparseLamb ---- */

static const struct loom_optimizer_spec lamb = {
    .kind = LOOM_SPARSE_LAMB, .beta1 = 0.95, .beta2 = 0.999, .eps = 1e-6, .weight_decay = 1e-4};
enum { LAMB_ENTRIES = 4 };
static struct loom_entry lamb_entry[LAMB_ENTRIES];
static loom_real lamb_value[LAMB_SIZE], lamb_gradient[LAMB_SIZE];
static struct loom_store lamb_store = {.count = LAMB_ENTRIES, .entry = lamb_entry, .param = lamb_value};

static void fill_lamb(void)
{
    static const int64_t shape[LAMB_ENTRIES][2] = {{3, 4}, {2, 4}, {1, 4}, {5, 3}};
    static char *names[LAMB_ENTRIES] = {"weight", "large", "bias", "table"};
    int64_t at = 0;
    for (int i = 0; i < LAMB_ENTRIES; at += lamb_entry[i++].size)
        lamb_entry[i] = (struct loom_entry){.name = names[i],
                                            .lifetime = LOOM_LIFE_PARAM,
                                            .rank = 2,
                                            .dim = {shape[i][0], shape[i][1]},
                                            .offset = at,
                                            .size = shape[i][0] * shape[i][1],
                                            .flags = i == 3 ? LOOM_SPARSE_ROWS | LOOM_NO_DECAY : LOOM_NO_DECAY,
                                            .lr_scale = 1};
    for (int k = 0; k < LAMB_SIZE; k++)
        lamb_value[k] = (loom_real)lamb_start[k];
    lamb_store.size[LOOM_LIFE_PARAM] = LAMB_SIZE;
}

/* Against tests/golden/sparse_lamb.py: trust ratios of tensors and whole tables, the bound on ‖p‖, tensors that start
 * at 0, rows that go and come back. */
START_TEST(sparse_lamb_by_hand)
{
    struct loom_pool *pool;
    struct loom_optimizer o;
    double norm;
    fill_lamb();
    ck_ok(loom_pool_new(&pool, 2, &e), &e);
    ck_ok(loom_optimizer_init(&o, &lamb_store, &lamb, &e), &e);
    for (int t = 0; t < LAMB_STEPS; t++) {
        for (int k = 0; k < LAMB_SIZE; k++)
            lamb_gradient[k] = (loom_real)(2 * lamb_grad[t][k]);
        o.spec.beta1 = lamb_beta1[t];
        ck_ok(loom_optimizer_step(&o, lamb_gradient, 0.5, lamb_rate[t], pool, &norm, &e), &e);
        for (int k = 0; k < LAMB_SIZE; k++)
            ck_near(lamb_value[k], lamb_param[t][k],
                    sizeof(loom_real) == 8 ? 1e-12 : 1e-6 * fmax(1, fabs(lamb_start[k])));
        for (int k = 24; k < LAMB_SIZE && t == 4; k++) /* only row 4 of the table was met */
            ck_assert_int_eq(o.m[k] == 0 && o.v[k] == 0, k < 36);
    }
    loom_optimizer_release(&o);
    loom_pool_free(pool);
}
END_TEST

/* A table larger than what one worker takes at a time: rows that lie across its border are whole. */
START_TEST(sparse_rows_may_lie_across_spans)
{
    enum { ROWS = 40, WIDTH = 1001 };
    struct loom_entry table = {.name = "table",
                               .lifetime = LOOM_LIFE_PARAM,
                               .rank = 2,
                               .dim = {ROWS, WIDTH},
                               .size = ROWS * WIDTH,
                               .flags = LOOM_SPARSE_ROWS,
                               .lr_scale = 1};
    struct loom_store one = {.count = 1, .entry = &table, .size[LOOM_LIFE_PARAM] = ROWS * WIDTH};
    struct loom_pool *pool;
    struct loom_optimizer o;
    double norm;
    loom_real *grad = calloc(ROWS * WIDTH, sizeof *grad);
    one.param = calloc(ROWS * WIDTH, sizeof *one.param);
    ck_assert(grad && one.param);
    for (int i = 0; i < ROWS * WIDTH; i++)
        one.param[i] = 1;
    grad[16 * WIDTH] = 1;             /* row 16 holds elements 16016 to 17016; a span ends at 16384 */
    grad[32 * WIDTH + WIDTH - 1] = 1; /* row 32 begins before 32768 and its only gradient stands behind it */
    ck_ok(loom_pool_new(&pool, 2, &e), &e);
    ck_ok(loom_optimizer_init(&o, &one, &lamb, &e), &e);
    ck_ok(loom_optimizer_step(&o, grad, 1, 0.5, pool, &norm, &e), &e);
    for (int i = 0; i < ROWS * WIDTH; i++)
        ck_assert_msg((one.param[i] != 1) == (i / WIDTH == 16 || i / WIDTH == 32), "element %d of row %d is %.9g", i,
                      i / WIDTH, (double)one.param[i]);
    loom_optimizer_release(&o);
    loom_pool_free(pool);
    free(grad);
    free(one.param);
}
END_TEST

START_TEST(one_cycle)
{
    const struct loom_schedule_spec spec = {.kind = LOOM_SCHEDULE_HOLD,
                                            .lr = 0.05,
                                            .floor = 1e-4,
                                            .steps = LAMB_STEPS,
                                            .hold = 0.5,
                                            .beta1 = 0.95,
                                            .beta1_low = 0.85};
    struct loom_schedule_state s;
    loom_schedule_start(&s);
    for (int t = 0; t < LAMB_STEPS; t++) {
        ck_near(loom_schedule_lr(&spec, &s, t), lamb_rate[t], 1e-15);
        ck_near(loom_schedule_beta1(&spec, t), lamb_beta1[t], 1e-15);
    }
    ck_near(lamb_beta1[3], 0.85, 1e-15);
    ck_near(lamb_beta1[7], 0.95, 1e-15);
    const struct loom_schedule_spec plain = {.kind = LOOM_SCHEDULE_COSINE, .steps = 9, .beta1 = 0.9};
    ck_near(loom_schedule_beta1(&plain, 4), 0.9, 0);
}
END_TEST

/* ---- freezing for a while ---- */

START_TEST(what_thaws_begins_anew)
{
    struct loom_pool *pool;
    struct loom_optimizer o, alone;
    loom_real thawed[3];
    double norm;
    fill_store();
    memset(grads, 0, sizeof grads);
    grads[0] = grads[32] = (loom_real)0.3;
    ck_ok(loom_pool_new(&pool, 1, &e), &e);
    loom_store_scale(&store, "backbone.*", 0);
    ck_ok(loom_optimizer_init(&o, &store, &adamw, &e), &e);
    for (int t = 0; t < 5; t++)
        ck_ok(loom_optimizer_step(&o, grads, 1, 0.01, pool, &norm, &e), &e);
    ck_near(values[32], 0.5, 0);
    entries[2].lr_scale = 1;
    loom_optimizer_refresh(&o, o.step);
    ck_ok(loom_optimizer_step(&o, grads, 1, 0.01, pool, &norm, &e), &e);
    memcpy(thawed, values + 32, sizeof thawed);
    fill_store();
    ck_ok(loom_optimizer_init(&alone, &store, &adamw, &e), &e);
    ck_ok(loom_optimizer_step(&alone, grads, 1, 0.01, pool, &norm, &e), &e);
    for (int k = 0; k < 3; k++)
        ck_near(thawed[k], values[32 + k], 0); /* its first step is a first step */
    loom_optimizer_release(&alone);
    loom_optimizer_release(&o);
    loom_pool_free(pool);
}
END_TEST

START_TEST(names_match_patterns)
{
    fill_store();
    ck_assert_int_eq(loom_store_scale(&store, "head.*", 10), 2);
    ck_near(entries[0].lr_scale, 10, 0);
    ck_near(entries[2].lr_scale, 1, 0);
    ck_assert_int_eq(loom_store_scale(&store, "nothing", 10), 0);
    ck_assert(loom_name_match("*.bias", "backbone.block0.bias"));
}
END_TEST

START_TEST(schedules)
{
    struct loom_schedule_state s;
    struct loom_schedule_spec cosine = {
        .kind = LOOM_SCHEDULE_COSINE, .lr = 1, .floor = 0.1, .start = 0, .warmup = 10, .steps = 111};
    loom_schedule_start(&s);
    ck_near(loom_schedule_lr(&cosine, &s, 0), 0.1, 1e-12);
    ck_near(loom_schedule_lr(&cosine, &s, 9), 1, 1e-12);
    ck_near(loom_schedule_lr(&cosine, &s, 10), 1, 1e-12);
    ck_near(loom_schedule_lr(&cosine, &s, 60), 0.55, 1e-12);
    ck_near(loom_schedule_lr(&cosine, &s, 110), 0.1, 1e-12);

    struct loom_schedule_spec plateau = {
        .kind = LOOM_SCHEDULE_PLATEAU, .lr = 1, .floor = 0.2, .factor = 0.5, .patience = 2};
    static const double seen[] = {5, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3};
    static const double rate[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2};
    for (int i = 0; i < 11; i++) {
        loom_schedule_observe(&plateau, &s, seen[i]);
        ck_near(loom_schedule_lr(&plateau, &s, i), rate[i], 1e-12);
    }
}
END_TEST

START_TEST(averages_and_stopping)
{
    struct loom_average a = {.keep = 0.9};
    struct loom_stopping s;
    ck_assert(isnan(loom_average_value(&a)));
    loom_average_add(&a, 3);
    ck_near(loom_average_value(&a), 3, 1e-12);
    loom_average_add(&a, 5);
    ck_near(loom_average_value(&a), (0.9 * 3 + 5) / 1.9, 1e-12);
    loom_stopping_start(&s);
    ck_assert_int_eq(loom_stopping_observe(&s, NAN, 1), 0);
    ck_assert_int_eq(loom_stopping_observe(&s, 2, 2), 1);
    ck_assert_int_eq(loom_stopping_observe(&s, 2, 3), 0);
    ck_assert_int_eq(s.worse, 1);
    ck_assert_int_eq(s.best_step, 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {adamw_by_hand,
                                  clipping_scales_the_whole_gradient,
                                  wild_gradients_are_named_and_change_nothing,
                                  shadow_follows,
                                  sparse_lamb_by_hand,
                                  sparse_rows_may_lie_across_spans,
                                  one_cycle,
                                  what_thaws_begins_anew,
                                  names_match_patterns,
                                  schedules,
                                  averages_and_stopping};
    return run_suite("train", sizeof tests / sizeof *tests, tests, 60);
}
