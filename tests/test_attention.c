/* SPDX-License-Identifier: Apache-2.0 */
/* Attention against its reference, under every part of the rule, and the row law bit by bit. */
#include "tensor/kernels/kernels.h"

#include <loom/rng.h>

#include "kernel_data.h"
#include "suite.h"

#include <stdio.h>

/* Rows shuffled over groups; queries and keys have groups of their own. */
enum { Q = 150, K = 180, GROUPS = 5 };

static const struct loom_kernels *host; /* the set under test */

struct setting {
    struct loom_attention rule;
    struct loom_attention_args args;
    int32_t q_first[GROUPS + 1], k_first[GROUPS + 1], q_row[Q], k_row[K];
    uint64_t key[GROUPS];
    double q_time[Q], k_time[K];
    uint8_t q_context[Q], k_context[K];
    loom_real *q, *k, *v, *dout, *q_cos, *q_sin, *k_cos, *k_sin;
    void *scratch;
};

static void shuffle(int32_t *x, int n, uint32_t seed)
{
    for (int i = 0; i < n; i++)
        x[i] = i;
    for (int i = n - 1; i > 0; i--) {
        seed = seed * 1664525u + 1013904223u;
        const int j = (int)(seed >> 8) % (i + 1), t = x[i];
        x[i] = x[j];
        x[j] = t;
    }
}

static void angles(loom_real **cosine, loom_real **sine, int64_t n)
{
    *cosine = noise(n);
    *sine = noise(n);
    for (int64_t i = 0; i < n; i++) {
        const double a = 3 * (double)(*cosine)[i];
        (*cosine)[i] = (loom_real)cos(a);
        (*sine)[i] = (loom_real)sin(a);
    }
}

/* bits: 1 causal, 2 back, 4 ahead, 8 context, 16 rotary, 32 rotate_value, 64 dropout, 128 rows in order */
static void set(struct setting *s, int heads, int dim, int bits)
{
    static const int32_t q_first[] = {0, 3, 3, 43, 44, Q}, k_first[] = {0, 1, 33, 33, 71, K};
    *s = (struct setting){
        .rule = {.heads = heads, .width = heads * dim, .back_s = bits & 2 ? 0.2 : -1, .ahead_s = bits & 4 ? 0.1 : -1}};
    memcpy(s->q_first, q_first, sizeof q_first);
    memcpy(s->k_first, k_first, sizeof k_first);
    shuffle(s->q_row, Q, 1);
    shuffle(s->k_row, K, 2);
    for (int g = 0; g < GROUPS; g++)
        s->key[g] = 1000u + (uint64_t)g * 77;
    for (int i = 0; i < K; i++) {
        s->k_time[i] = i * 0.01;
        s->k_context[i] = i % 13 == 0;
        if (i < Q) {
            s->q_time[i] = i * 0.012;
            s->q_context[i] = i % 7 == 0;
        }
    }
    const int64_t width = heads * dim;
    s->q = noise(Q * (width + 3));
    s->k = noise(K * (width + 1));
    s->v = noise(K * (width + 2));
    s->dout = noise(Q * width);
    angles(&s->q_cos, &s->q_sin, Q * dim);
    angles(&s->k_cos, &s->k_sin, K * dim);
    struct loom_attention *r = &s->rule;
    r->q_groups = (struct loom_groups){GROUPS, s->q_first, bits & 128 ? NULL : s->q_row, s->key};
    r->k_groups = (struct loom_groups){GROUPS, s->k_first, bits & 128 ? NULL : s->k_row, NULL};
    r->causal = bits & 1;
    r->q_time = bits & 7 ? s->q_time : NULL;
    r->k_time = bits & 7 ? s->k_time : NULL;
    r->q_context = bits & 8 ? s->q_context : NULL;
    r->k_context = bits & 8 ? s->k_context : NULL;
    if (bits & 16) {
        r->q_cos = s->q_cos;
        r->q_sin = s->q_sin;
        r->k_cos = s->k_cos;
        r->k_sin = s->k_sin;
    }
    r->rotate_value = (bits & 48) == 48;
    r->dropout = bits & 64 ? 0.25 : 0;
    s->args = (struct loom_attention_args){
        .rule = r, .q_rows = Q, .k_rows = K, .q = s->q, .k = s->k, .v = s->v, .dout = s->dout};
    s->args.q_ld = width + 3;
    s->args.k_ld = width + 1;
    s->args.v_ld = width + 2;
    s->args.out_ld = width;
    s->args.key[0] = 5;
    s->args.step = 9;
    s->scratch = noise((int64_t)(host->attention_scratch(r, 1) / sizeof(loom_real)));
}

static void unset(struct setting *s)
{
    release(9, s->q, s->k, s->v, s->dout, s->q_cos, s->q_sin, s->k_cos, s->k_sin, s->scratch);
}

static void check_case(int heads, int dim, int bits)
{
    struct setting s;
    set(&s, heads, dim, bits);
    struct loom_attention_args a = s.args, b = s.args;
    const int64_t width = heads * dim;
    a.out = noise(Q * width);
    b.out = noise(Q * width);
    a.lse = noise(Q * heads);
    b.lse = noise(Q * heads);
    loom_ref_attention(&a, s.scratch);
    host->attention(&b, s.scratch);
    check_close(b.out, a.out, Q * width, 1, "attention");
    for (int i = 0; i < Q * heads; i++)
        if (!isinf(a.lse[i]) || !isinf(b.lse[i]))
            check_close(b.lse + i, a.lse + i, 1, 1, "log-sum-exp");
    a.dq = noise(Q * a.q_ld);
    a.dk = noise(K * a.k_ld);
    a.dv = noise(K * a.v_ld);
    b.dq = copy(a.dq, Q * a.q_ld);
    b.dk = copy(a.dk, K * a.k_ld);
    b.dv = copy(a.dv, K * a.v_ld);
    a.dq_accumulate = b.dq_accumulate = bits & 1;
    a.dk_accumulate = b.dk_accumulate = bits & 2;
    a.dv_accumulate = b.dv_accumulate = bits & 4;
    loom_ref_attention_back(&a, s.scratch);
    host->attention_back(&b, s.scratch);
    check_close(b.dq, a.dq, Q * a.q_ld, 4, "dq");
    check_close(b.dk, a.dk, K * a.k_ld, 4, "dk");
    check_close(b.dv, a.dv, K * a.v_ld, 4, "dv");
    release(10, a.out, b.out, a.lse, b.lse, a.dq, b.dq, a.dk, b.dk, a.dv, b.dv);
    unset(&s);
}

START_TEST(attention_is_the_reference)
{
    static const int shapes[][2] = {{1, 32}, {2, 16}, {3, 10}, {1, 64}, {2, 2}, {1, 40}, {1, 7}};
    for (int bits = 0; bits < 256; bits++) {
        const int *shape = shapes[bits % (bits & 16 ? 6 : 7)];
        check_case(shape[0], shape[1], bits);
    }
}
END_TEST

/* A query that sees no key: 0, and no gradient. */
START_TEST(nothing_to_see_is_zero)
{
    struct setting s;
    set(&s, 2, 16, 1 | 128);
    for (int i = 0; i < K; i++)
        s.k_time[i] = 1e9;
    s.args.out = noise(Q * 32);
    s.args.lse = noise(Q * 2);
    s.args.dq = noise(Q * s.args.q_ld);
    s.args.dk = noise(K * s.args.k_ld);
    s.args.dv = noise(K * s.args.v_ld);
    host->attention(&s.args, s.scratch);
    host->attention_back(&s.args, s.scratch);
    for (int i = 0; i < Q; i++)
        for (int j = 0; j < 32; j++)
            ck_assert(s.args.out[i * 32 + j] == 0 && s.args.dq[i * s.args.q_ld + j] == 0);
    for (int i = 0; i < K; i++)
        for (int j = 0; j < 32; j++)
            ck_assert(s.args.dk[i * s.args.k_ld + j] == 0 && s.args.dv[i * s.args.v_ld + j] == 0);
    release(5, s.args.out, s.args.lse, s.args.dq, s.args.dk, s.args.dv);
    unset(&s);
}
END_TEST

/* Group 4 alone, and single queries of it with all its keys, give the bits they have in company. */
START_TEST(attention_obeys_the_row_law)
{
    for (int bits = 0; bits < 64; bits += 5) {
        struct setting s;
        set(&s, 2, 32, bits);
        loom_real *all = noise(Q * 64), *part = noise(Q * 64), *lse = noise(Q * 2);
        s.args.out = all;
        s.args.lse = lse;
        host->attention(&s.args, s.scratch);
        s.args.out = part;
        int32_t first[2] = {s.q_first[4], s.q_first[5]}, *keys = s.k_first + 4;
        s.rule.q_groups = (struct loom_groups){1, first, s.q_row, s.key + 4};
        s.rule.k_groups = (struct loom_groups){1, keys, s.k_row, NULL};
        if (bits & 128)
            s.rule.q_groups.row = s.rule.k_groups.row = NULL;
        host->attention(&s.args, s.scratch);
        for (int i = s.q_first[4]; i < s.q_first[5]; i++)
            ck_assert_mem_eq(part + s.q_row[i] * 64, all + s.q_row[i] * 64, 64 * sizeof *all);
        for (int i = s.q_first[4]; i < s.q_first[5]; i++) {
            first[0] = i;
            first[1] = i + 1 + i % 3 < Q ? i + 1 + i % 3 : Q;
            host->attention(&s.args, s.scratch);
            ck_assert_mem_eq(part + s.q_row[i] * 64, all + s.q_row[i] * 64, 64 * sizeof *all);
        }
        release(3, all, part, lse);
        unset(&s);
    }
}
END_TEST

/* Streaming: with a causal rule, keys that come later change no bit of a query that cannot see them. */
START_TEST(later_keys_change_nothing)
{
    struct setting s;
    set(&s, 2, 32, 1 | 16 | 128);
    loom_real *all = noise(Q * 64), *part = noise(Q * 64), *lse = noise(Q * 2);
    int32_t q_first[2] = {0, Q}, k_first[2] = {0, Q};
    s.rule.q_groups = (struct loom_groups){1, q_first, NULL, NULL};
    s.rule.k_groups = (struct loom_groups){1, k_first, NULL, NULL};
    memcpy(s.q_time, s.k_time, sizeof s.q_time);
    release(1, s.scratch);
    s.scratch = noise((int64_t)(host->attention_scratch(&s.rule, 0) / sizeof(loom_real)));
    s.args.lse = lse;
    s.args.out = all;
    host->attention(&s.args, s.scratch);
    s.args.out = part;
    for (int i = 0; i < Q; i++) {
        q_first[0] = i;
        q_first[1] = k_first[1] = i + 1;
        host->attention(&s.args, s.scratch);
    }
    ck_assert_mem_eq(part, all, Q * 64 * sizeof *all);
    release(3, all, part, lse);
    unset(&s);
}
END_TEST

/* Tiles of queries and hidden stretches of keys do not show: long groups against the reference. */
START_TEST(long_groups_are_the_reference)
{
    enum { T = 1500, W = 32 };
    static double time[T];
    static int32_t first[] = {0, T};
    for (int i = 0; i < T; i++)
        time[i] = i * 1e-3;
    for (int windowed = 0; windowed < 2; windowed++) {
        struct loom_attention rule = {
            .heads = 1, .width = W, .causal = windowed, .back_s = windowed ? 0.1 : -1, .ahead_s = -1};
        rule.q_groups = rule.k_groups = (struct loom_groups){1, first, NULL, NULL};
        rule.q_time = rule.k_time = time;
        struct loom_attention_args a = {
            .rule = &rule, .q_rows = T, .k_rows = T, .q_ld = W, .k_ld = W, .v_ld = W, .out_ld = W};
        loom_real *q = noise(T * W), *k = noise(T * W), *v = noise(T * W), *dout = noise(T * W), *lse = noise(T),
                  *lse_too = noise(T);
        a.q = q;
        a.k = k;
        a.v = v;
        a.dout = dout;
        void *scratch = noise((int64_t)(host->attention_scratch(&rule, 1) / sizeof(loom_real)));
        loom_real *want[4], *got[4];
        for (int i = 0; i < 4; i++) {
            want[i] = noise(T * W);
            got[i] = noise(T * W);
        }
        a.out = want[0], a.lse = lse, a.dq = want[1], a.dk = want[2], a.dv = want[3];
        loom_ref_attention(&a, scratch);
        loom_ref_attention_back(&a, scratch);
        a.out = got[0], a.lse = lse_too, a.dq = got[1], a.dk = got[2], a.dv = got[3];
        host->attention(&a, scratch);
        host->attention_back(&a, scratch);
        for (int i = 0; i < 4; i++) {
            check_close(got[i], want[i], T * W, 4, "a long group");
            release(2, want[i], got[i]);
        }
        release(7, q, k, v, dout, lse, lse_too, scratch);
    }
}
END_TEST

/* Where rows lie changes no bit: in order, where kernels read them in place, and shuffled, where they are copied. */
START_TEST(place_changes_no_bit)
{
    enum { HEADS = 2, DIM = 64, WIDTH = HEADS * DIM };
    struct setting s;
    set(&s, HEADS, DIM, 64 | 128);
    static int32_t row[Q];
    shuffle(row, Q, 3);
    static const int32_t first[] = {0, 3, 40, 41, 120, Q};
    memcpy(s.q_first, first, sizeof first);
    s.rule.k_groups = s.rule.q_groups;
    loom_real *in[2] = {noise(Q * 4 * WIDTH), noise(Q * 4 * WIDTH)}; /* q, k, v, dout side by side */
    loom_real *out[2], *lse = noise(Q * HEADS), *grad[2];
    release(1, s.scratch);
    s.scratch = noise((int64_t)(host->attention_scratch(&s.rule, 1) / sizeof(loom_real)));
    for (int i = 0; i < Q; i++)
        memcpy(in[1] + row[i] * 4 * WIDTH, in[0] + i * 4 * WIDTH, 4 * WIDTH * sizeof(loom_real));
    for (int shuffled = 0; shuffled < 2; shuffled++) {
        struct loom_attention_args a = s.args;
        out[shuffled] = noise(Q * 4 * WIDTH);
        grad[shuffled] = noise(Q * 4 * WIDTH);
        s.rule.q_groups.row = s.rule.k_groups.row = shuffled ? row : NULL;
        a.k_rows = Q;
        a.q = in[shuffled], a.k = a.q + WIDTH, a.v = a.k + WIDTH, a.dout = a.v + WIDTH;
        a.q_ld = a.k_ld = a.v_ld = a.out_ld = 4 * WIDTH;
        a.out = out[shuffled], a.lse = lse;
        a.dq = grad[shuffled], a.dk = a.dq + WIDTH, a.dv = a.dk + WIDTH;
        host->attention(&a, s.scratch);
        host->attention_back(&a, s.scratch);
    }
    for (int i = 0; i < Q; i++) {
        ck_assert_mem_eq(out[0] + i * 4 * WIDTH, out[1] + row[i] * 4 * WIDTH, WIDTH * sizeof(loom_real));
        ck_assert_mem_eq(grad[0] + i * 4 * WIDTH, grad[1] + row[i] * 4 * WIDTH, 3 * WIDTH * sizeof(loom_real));
    }
    release(7, in[0], in[1], out[0], out[1], grad[0], grad[1], lse);
    unset(&s);
}
END_TEST

/* Whether the weight of a query and a key is dropped, by the address in tensor/kernels/kernels.h. */
static int dropped(const struct setting *s, int group, int head, int query, int key)
{
    const int queries = s->q_first[group + 1] - s->q_first[group], keys = s->k_first[group + 1] - s->k_first[group];
    const uint64_t sample = s->key[group];
    const uint32_t block = (uint32_t)((head * queries + query) * ((keys + 7) / 8) + key / 8);
    const uint32_t counter[4] = {block, s->args.step, (uint32_t)sample, (uint32_t)(sample >> 32)};
    uint32_t word[4];
    loom_philox(s->args.key, counter, word);
    return (word[key % 8 / 2] >> (key % 2 ? 16 : 0) & 0xffff) < 65536 * 0.25;
}

/* Queries of 0 weigh all keys alike; values and output gradients of unit vectors then show each single weight. */
START_TEST(draws_are_where_the_header_says)
{
    enum { HEADS = 2, DIM = 64, WIDTH = HEADS * DIM };
    for (int causal = 0; causal < 2; causal++) {
        struct setting s;
        set(&s, HEADS, DIM, 64 | 128);
        static const int32_t first[] = {0, 9, 49, 50, 113, Q};
        memcpy(s.q_first, first, sizeof first);
        memcpy(s.k_first, first, sizeof first);
        s.rule.causal = causal;
        memcpy(s.q_time, s.k_time, sizeof s.q_time);
        s.rule.q_time = s.q_time, s.rule.k_time = s.k_time;
        memset(s.q, 0, sizeof(loom_real) * (size_t)(Q * s.args.q_ld));
        memset(s.v, 0, sizeof(loom_real) * (size_t)(K * s.args.v_ld));
        memset(s.dout, 0, sizeof(loom_real) * (size_t)(Q * WIDTH));
        for (int g = 0; g < GROUPS; g++)
            for (int i = first[g]; i < first[g + 1]; i++)
                for (int h = 0; h < HEADS; h++)
                    s.v[i * s.args.v_ld + h * DIM + i - first[g]] = s.dout[i * WIDTH + h * DIM + i - first[g]] = 1;
        s.args.out = noise(Q * WIDTH), s.args.lse = noise(Q * HEADS), s.args.dv = noise(K * s.args.v_ld);
        release(1, s.scratch);
        s.scratch = noise((int64_t)(host->attention_scratch(&s.rule, 1) / sizeof(loom_real)));
        host->attention(&s.args, s.scratch);
        host->attention_back(&s.args, s.scratch);
        for (int g = 0; g < GROUPS; g++)
            for (int i = 0; i < first[g + 1] - first[g]; i++)
                for (int j = 0; j < first[g + 1] - first[g]; j++)
                    for (int h = 0; h < HEADS; h++) {
                        const int seen = causal ? i + 1 : first[g + 1] - first[g];
                        const double want = j >= seen || dropped(&s, g, h, i, j) ? 0 : 1 / 0.75 / seen;
                        const double got[] = {s.args.out[(first[g] + i) * WIDTH + h * DIM + j],
                                              s.args.dv[(first[g] + j) * s.args.v_ld + h * DIM + i]};
                        for (int k = 0; k < 2; k++)
                            ck_assert_msg(fabs(got[k] - want) <= 1e-5 * want, "%g for %g", got[k], want);
                    }
        release(3, s.args.out, s.args.lse, s.args.dv);
        unset(&s);
    }
}
END_TEST

int main(void)
{
    struct loom_error e = {0};
    host = loom_kernels_default(&e);
    if (!host) {
        fprintf(stderr, "%s\n", e.message);
        return EXIT_FAILURE;
    }
    const TTest *tests[] = {attention_is_the_reference,     nothing_to_see_is_zero,        attention_obeys_the_row_law,
                            later_keys_change_nothing,      long_groups_are_the_reference, place_changes_no_bit,
                            draws_are_where_the_header_says};
    return run_suite("attention", 7, tests, 60);
}
