/* SPDX-License-Identifier: Apache-2.0 */
/* Fast kernels against the reference, the row law bit by bit, and the accuracy of the vector functions. */
#include "tensor/kernels/numerics.h"

#include <loom/rng.h>

#include "kernel_data.h"
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct loom_kernels *host;                             /* under test */
static const struct loom_kernels *define = &loom_kernels_reference; /* what it is compared with */
static const int64_t lengths[] = {1, 2, 3, 7, 15, 16, 17, 31, 33, 64, 97, 131, 257};
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static double slack = 1; /* libraries add in an order of their own */

static void check_gemm(int64_t r, int64_t n, int64_t k, int transposed, struct loom_epilogue e)
{
    const int64_t ldx = k + 3, ldb = (transposed ? k : n) + 5, ldy = n + 2;
    loom_real *x = noise(r * ldx), *b = noise((transposed ? n : k) * ldb), *bias = noise(n);
    loom_real *want = noise(r * ldy), *got = copy(want, r * ldy), *want_pre = noise(r * ldy),
              *got_pre = copy(want_pre, r * ldy);
    loom_real *packed = noise((int64_t)((host->packed_bytes(k, n) + define->packed_bytes(k, n)) / sizeof(loom_real)));
    e.bias = e.bias ? bias : NULL;
    loom_real *pre = e.pre;
    e.pre = pre ? want_pre : NULL;
    define->gemm_pack(packed, k, n, b, ldb, transposed);
    define->gemm(r, n, k, x, ldx, packed, want, ldy, &e);
    e.pre = pre ? got_pre : NULL;
    host->gemm_pack(packed, k, n, b, ldb, transposed);
    host->gemm(r, n, k, x, ldx, packed, got, ldy, &e);
    check_close(got, want, r * ldy, slack, "gemm");
    check_close(got_pre, want_pre, r * ldy, slack, "gemm, before the activation");
    release(8, x, b, bias, want, got, want_pre, got_pre, packed);
}

static void check_gemms(void)
{
    loom_real wanted = 0;
    const struct loom_epilogue plain = {0},
                               all = {.bias = &wanted, .pre = &wanted, .activation = LOOM_ACT_GELU, .accumulate = 1};
    const struct loom_epilogue bias = {.bias = &wanted, .activation = LOOM_ACT_TANH};
    for (int i = 0; i < COUNT(lengths); i++)
        for (int j = 0; j < COUNT(lengths); j++) {
            check_gemm(lengths[i], lengths[j], lengths[(i + j) % COUNT(lengths)], (i + j) % 2, plain);
            check_gemm(lengths[i], lengths[j], lengths[(i * 5 + j) % COUNT(lengths)], i % 2, j % 2 ? all : bias);
        }
    check_gemm(37, 40, 1024, 1, all); /* over slabs */
    check_gemm(2, 300, 1100, 0, all);
    check_gemm(0, 5, 5, 0, plain);
}

START_TEST(gemm_is_the_reference)
{
    check_gemms();
}
END_TEST

static void check_row_law(int64_t n, int64_t k, int64_t ldx)
{
    const int64_t r = 61;
    loom_real *x = noise(r * ldx), *b = noise(k * n), *bias = noise(n),
              *packed = noise((int64_t)(host->packed_bytes(k, n) / sizeof(loom_real)));
    loom_real *all = noise(r * n), *part = noise(r * n), *start = noise(r * n);
    const struct loom_epilogue e = {.bias = bias, .activation = LOOM_ACT_SILU, .accumulate = 1};
    host->gemm_pack(packed, k, n, b, n, 0);
    memcpy(all, start, (size_t)(r * n) * sizeof *all);
    host->gemm(r, n, k, x, ldx, packed, all, n, &e);
    for (int64_t count = 1; count <= 17; count += count < 4 ? 1 : 3)
        for (int64_t first = 0; first + count <= r; first += count) {
            memcpy(part, start + first * n, (size_t)(count * n) * sizeof *part);
            host->gemm(count, n, k, x + first * ldx, ldx, packed, part, n, &e);
            ck_assert_mem_eq(part, all + first * n, (size_t)(count * n) * sizeof *part);
        }
    release(7, x, b, bias, packed, all, part, start);
}

static void check_row_laws(void)
{
    check_row_law(1, 7, 7);
    check_row_law(17, 64, 64);
    check_row_law(100, 257, 300);
    check_row_law(256, 128, 128);
    check_row_law(40, 1100, 2048);
}

START_TEST(gemm_obeys_the_row_law)
{
    check_row_laws();
}
END_TEST

static void check_weight_gradients(void)
{
    for (int i = 0; i < COUNT(lengths); i++)
        for (int j = 0; j < COUNT(lengths); j++) {
            const int64_t rows = i % 3 ? lengths[(i + 2 * j) % COUNT(lengths)] : 700, m = lengths[i], n = lengths[j];
            loom_real *a = noise(rows * (m + 1)), *b = noise(rows * (n + 2)), *want = noise(m * (n + 3)),
                      *got = copy(want, m * (n + 3));
            loom_real *sums = noise(n), *got_sums = copy(sums, n);
            void *scratch = noise((int64_t)(host->gemm_tn_scratch(rows, m, n) / sizeof(loom_real)));
            define->gemm_tn(rows, m, n, a, m + 1, b, n + 2, want, n + 3, j % 2, scratch);
            host->gemm_tn(rows, m, n, a, m + 1, b, n + 2, got, n + 3, j % 2, scratch);
            check_close(got, want, m * (n + 3), 4, "gemm_tn");
            loom_ref_column_sums(rows, n, b, n + 2, sums, j % 2);
            host->column_sums(rows, n, b, n + 2, got_sums, j % 2);
            check_close(got_sums, sums, n, 4, "column_sums");
            release(7, a, b, want, got, sums, got_sums, scratch);
        }
}

START_TEST(weight_gradient_is_the_reference)
{
    check_weight_gradients();
}
END_TEST

START_TEST(fast_products_are_the_reference)
{
    struct loom_error e = {0};
    host = loom_kernels_numeric(host, LOOM_NUMERICS_FAST, &e);
    ck_assert_msg(host != NULL, "%s", e.message);
    slack = 4;
    check_gemms();
    check_weight_gradients();
}
END_TEST

/* Rounded operands differ from plain ones in the third digit, so that the definition of one is no match for the other;
 * where the processor has no such products the refusal says so. */
START_TEST(bf16_products_are_the_reference)
{
    struct loom_error e = {0};
    const struct loom_kernels *bf16 = loom_kernels_numeric(host, LOOM_NUMERICS_BF16, &e);
    define = loom_kernels_numeric(define, LOOM_NUMERICS_BF16, &e);
    ck_assert_ptr_nonnull(define);
    if (!bf16) {
        ck_assert_int_eq(e.code, LOOM_ECONFIG);
        ck_assert_ptr_nonnull(strstr(e.message, "float32"));
        return;
    }
    host = bf16;
    check_gemms();
    check_weight_gradients();
    check_row_laws();
}
END_TEST

/* Ties go to even; what is below half a step falls back; infinity stays, and what would round beyond becomes it. */
START_TEST(bf16_rounds_to_the_nearest)
{
    const double in[] = {1, 1 + 0x1p-8, 1 + 0x3p-8, 1 + 0x1.1p-8, 1 + 0x0.ffp-8, -(1 + 0x3p-8), 0x1.ffp127, INFINITY};
    const double out[] = {1, 1, 1 + 0x1p-6, 1 + 0x1p-7, 1, -(1 + 0x1p-6), INFINITY, INFINITY};
    const struct loom_kernels *tables[] = {loom_kernels_numeric(host, LOOM_NUMERICS_BF16, NULL),
                                           loom_kernels_numeric(define, LOOM_NUMERICS_BF16, NULL)};
    loom_real one = 1, *packed = noise(4096);
    for (int t = 0; t < 2; t++)
        for (int i = 0; tables[t] && i < COUNT(in); i++) {
            loom_real x = (loom_real)in[i], y;
            tables[t]->gemm_pack(packed, 1, 1, &one, 1, 0);
            tables[t]->gemm(1, 1, 1, &x, 1, packed, &y, 1, NULL);
            ck_assert_msg((double)y == out[i], "%s: %a becomes %a, not %a", tables[t]->set, in[i], (double)y, out[i]);
            tables[t]->gemm_pack(packed, 1, 1, &x, 1, 0);
            tables[t]->gemm(1, 1, 1, &one, 1, packed, &y, 1, NULL);
            ck_assert_msg((double)y == out[i], "%s: a weight of %a becomes %a", tables[t]->set, in[i], (double)y);
        }
    release(1, packed);
}
END_TEST

START_TEST(bmm_is_the_reference)
{
    for (int trial = 0; trial < 64; trial++) {
        const int64_t m = lengths[trial % COUNT(lengths)], n = lengths[trial * 7 % COUNT(lengths)],
                      k = lengths[trial * 5 % COUNT(lengths)];
        struct loom_bmm p = {.batch = 3,
                             .m = m,
                             .n = n,
                             .k = k,
                             .trans_a = trial & 1,
                             .trans_b = trial >> 1 & 1,
                             .accumulate = trial >> 2 & 1};
        p.lda = (p.trans_a ? m : k) + 1;
        p.ldb = (p.trans_b ? k : n) + 2;
        p.ldc = n + 1;
        p.stride_a = (m + k + 1) * p.lda;
        p.stride_b = trial & 8 ? 0 : (n + k) * p.ldb;
        p.stride_c = m * p.ldc;
        loom_real *a = noise(3 * p.stride_a), *b = noise(3 * (n + k) * p.ldb), *want = noise(3 * p.stride_c),
                  *got = copy(want, 3 * p.stride_c);
        void *scratch = noise((int64_t)(host->bmm_scratch(&p) / sizeof(loom_real)));
        p.a = a;
        p.b = b;
        p.c = want;
        loom_ref_bmm(&p, scratch);
        p.c = got;
        host->bmm(&p, scratch);
        check_close(got, want, 3 * p.stride_c, 1, "bmm");
        release(5, a, b, want, got, scratch);
    }
}
END_TEST

START_TEST(norms_are_the_reference)
{
    for (int i = 0; i < COUNT(lengths); i++) {
        const int64_t rows = 5, w = lengths[i], n = rows * w;
        const int with = i % 3 != 0, accumulate = i % 2;
        loom_real *x = noise(n), *gain = noise(w), *bias = noise(w), *dy = noise(n), *y = noise(n), *want = noise(n);
        loom_real *m = noise(rows), *s = noise(rows), *wm = noise(rows), *ws = noise(rows);
        loom_real *dx = noise(n), *wdx = copy(dx, n), *dg = noise(w), *wdg = copy(dg, w), *db = noise(w),
                  *wdb = copy(db, w);
        loom_ref_layer_norm(rows, w, x, with ? gain : NULL, with ? bias : NULL, 1e-3, want, wm, ws);
        host->layer_norm(rows, w, x, with ? gain : NULL, with ? bias : NULL, 1e-3, y, m, s);
        check_close(y, want, n, 4, "layer_norm");
        check_close(m, wm, rows, 1, "mean");
        check_close(s, ws, rows, 4, "rstd");
        loom_ref_layer_norm_back(rows, w, x, with ? gain : NULL, wm, ws, dy, wdx, accumulate, wdg, wdb);
        host->layer_norm_back(rows, w, x, with ? gain : NULL, wm, ws, dy, dx, accumulate, dg, db);
        check_close(dx, wdx, n, 40, "layer_norm_back");
        loom_ref_rms_norm(rows, w, x, with ? gain : NULL, 1e-3, want, ws);
        host->rms_norm(rows, w, x, with ? gain : NULL, 1e-3, y, s);
        check_close(y, want, n, 4, "rms_norm");
        loom_ref_rms_norm_back(rows, w, x, with ? gain : NULL, ws, dy, wdx, 1, wdg);
        host->rms_norm_back(rows, w, x, with ? gain : NULL, ws, dy, dx, 1, dg);
        check_close(dx, wdx, n, 40, "rms_norm_back");
        check_close(dg, wdg, w, 10, "dgain");
        check_close(db, wdb, w, 10, "dbias");
        loom_ref_l2_normalize(rows, w, x, i % 4 ? 1e-6 : 10, want, ws);
        host->l2_normalize(rows, w, x, i % 4 ? 1e-6 : 10, y, s);
        check_close(y, want, n, 4, "l2_normalize");
        loom_ref_l2_normalize_back(rows, w, want, ws, i % 4 ? 1e-6 : 10, dy, wdx, accumulate);
        host->l2_normalize_back(rows, w, want, ws, i % 4 ? 1e-6 : 10, dy, dx, accumulate);
        check_close(dx, wdx, n, 40, "l2_normalize_back");
        loom_ref_softmax(rows, w, x, want);
        host->softmax(rows, w, x, y);
        check_close(y, want, n, 1, "softmax");
        loom_ref_softmax_back(rows, w, want, dy, wdx, accumulate);
        host->softmax_back(rows, w, want, dy, dx, accumulate);
        check_close(dx, wdx, n, 4, "softmax_back");
        release(16, x, gain, bias, dy, y, want, m, s, wm, ws, dx, wdx, dg, wdg, db, wdb);
    }
}
END_TEST

/* Groups of rows in a shuffled order, one of them empty. */
static const int32_t first_row[] = {0, 3, 3, 7, 11}, row_order[] = {4, 2, 9, 0, 1, 10, 5, 3, 8, 7, 6};
static const uint64_t row_keys[] = {99, 5, 0x123456789abcdefu, 7};
static const struct loom_groups groups = {4, first_row, row_order, row_keys};

START_TEST(dropout_is_the_reference)
{
    for (int i = 0; i < COUNT(lengths); i++) {
        const int64_t rows = 11, w = lengths[i], n = rows * w;
        const struct loom_draw draw = {i % 5 ? 0.3 : 0, {17, 4}, (uint32_t)i, i % 2 ? &groups : NULL};
        loom_real *res = noise(n), *x = noise(n), *gain = noise(w), *bias = noise(w), *sum = noise(n), *wsum = noise(n),
                  *y = noise(n);
        loom_real *want = noise(n), *m = noise(rows), *s = noise(rows), *wm = noise(rows), *ws = noise(rows),
                  *dy = noise(n);
        loom_real *dr = noise(n), *wdr = copy(dr, n), *dx = noise(n), *wdx = copy(dx, n), *dg = noise(w),
                  *wdg = copy(dg, w);
        loom_ref_dropout(rows, w, i % 3 ? res : NULL, x, &draw, want);
        host->dropout(rows, w, i % 3 ? res : NULL, x, &draw, y);
        check_close(y, want, n, 1, "dropout");
        loom_ref_dropout_norm(rows, w, res, x, &draw, gain, bias, 1e-3, wsum, want, wm, ws);
        host->dropout_norm(rows, w, res, x, &draw, gain, bias, 1e-3, sum, y, m, s);
        check_close(sum, wsum, n, 1, "sum");
        check_close(y, want, n, 10, "dropout_norm");
        struct loom_dropout_norm_grad d = {i % 3 ? res : NULL, dy, wdr, wdx, wdg, NULL, i % 2, i % 4 == 1};
        loom_ref_dropout_norm_back(rows, w, wsum, &draw, gain, wm, ws, &d);
        d.dresidual = dr;
        d.dx = dx;
        d.dgain = dg;
        host->dropout_norm_back(rows, w, wsum, &draw, gain, wm, ws, &d);
        check_close(dr, wdr, n, 40, "dresidual");
        check_close(dx, wdx, n, 40, "dx");
        check_close(dg, wdg, w, 10, "dgain");
        release(19, res, x, gain, bias, sum, wsum, y, want, m, s, wm, ws, dy, dr, wdr, dx, wdx, dg, wdg);
    }
}
END_TEST

/* A share of about p is dropped, the rest is scaled so that the mean stays; the draws go with the sample's key. */
START_TEST(dropout_follows_the_sample)
{
    enum { W = 1000, ROWS = 11 };
    static loom_real ones[ROWS * W], a[ROWS * W], b[ROWS * W];
    for (int i = 0; i < ROWS * W; i++)
        ones[i] = 1;
    const struct loom_draw draw = {0.1, {1, 2}, 3, &groups};
    host->dropout(ROWS, W, NULL, ones, &draw, a);
    ck_near(host->sum(ROWS * W, a) / (ROWS * W), 1, 0.02);
    int dropped = 0;
    for (int i = 0; i < ROWS * W; i++)
        dropped += a[i] == 0;
    ck_near(dropped / (double)(ROWS * W), 0.1, 0.01);
    const int32_t moved_first[] = {0, 4}, moved_order[] = {2, 0, 1, 3};
    const struct loom_groups moved = {1, moved_first, moved_order, row_keys + 2};
    const struct loom_draw again = {0.1, {1, 2}, 3, &moved};
    host->dropout(4, W, NULL, ones, &again, b);
    for (int i = 0; i < 4; i++)
        ck_assert_mem_eq(a + row_order[3 + i] * W, b + moved_order[i] * W, W * sizeof *a);
    ck_assert_mem_ne(a, a + W, W * sizeof *a);
}
END_TEST

START_TEST(rows_by_index_are_the_reference)
{
    const int32_t index[] = {3, -1, 0, 3, 10, 3};
    for (int i = 0; i < COUNT(lengths); i++) {
        const int64_t w = lengths[i], n = 11 * (w + 2);
        loom_real *x = noise(n), *y = noise(n), *want = copy(y, n);
        loom_ref_gather_rows(6, w, x, w + 2, index, want);
        host->gather_rows(6, w, x, w + 2, index, y);
        check_close(y, want, n, 0, "gather_rows");
        loom_ref_scatter_add_rows(6, w, x, index, want, w + 2);
        host->scatter_add_rows(6, w, x, index, y, w + 2);
        check_close(y, want, n, 1, "scatter_add_rows");
        loom_ref_group_mean(&groups, w, x, want);
        host->group_mean(&groups, w, x, y);
        check_close(y, want, n, 1, "group_mean");
        loom_ref_group_mean_back(&groups, w, x, want);
        host->group_mean_back(&groups, w, x, y);
        check_close(y, want, n, 1, "group_mean_back");
        loom_ref_add_bias(7, w, x, x + 3, want);
        host->add_bias(7, w, x, x + 3, y);
        check_close(y, want, 7 * w, 0, "add_bias");
        release(3, x, y, want);
    }
}
END_TEST

START_TEST(elementwise_is_the_reference)
{
    for (int i = 0; i < COUNT(lengths) * 6; i++) {
        const int64_t n = lengths[i / 6];
        const int act = i % 6, acc = i % 2;
        loom_real *a = noise(2 * n), *b = noise(n), *dy = noise(n), *y = noise(2 * n), *want = copy(y, 2 * n),
                  *v = noise(n), *wv = copy(v, n);
        for (int64_t j = 0; j < 2 * n; j++)
            a[j] *= 8;
        loom_ref_activate(n, act, a, want);
        host->activate(n, act, a, y);
        check_close(y, want, 2 * n, 1, "activate");
        loom_ref_activate_back(n, act, a, want, dy, wv, acc);
        host->activate_back(n, act, a, want, dy, v, acc);
        check_close(v, wv, n, 4, "activate_back");
        loom_ref_geglu(1, n, a, wv);
        host->geglu(1, n, a, v);
        check_close(v, wv, n, 4, "geglu");
        loom_ref_geglu_back(1, n, a, dy, want, acc);
        host->geglu_back(1, n, a, dy, y, acc);
        check_close(y, want, 2 * n, 4, "geglu_back");
        loom_ref_add(n, a, b, want), loom_ref_sub(n, want, dy, want), loom_ref_mul(n, a, b, want, acc),
            loom_ref_axpy(n, 0.3, a, want);
        host->add(n, a, b, y), host->sub(n, y, dy, y), host->mul(n, a, b, y, acc), host->axpy(n, 0.3, a, y);
        check_close(y, want, n, 4, "add, sub, mul, axpy");
        loom_ref_scale(n, 0.7, -2, want, want), loom_ref_clamp(n, -1, 1.5, want, wv),
            loom_ref_clamp_back(n, -1, 1.5, want, dy, wv, acc);
        host->scale(n, 0.7, -2, want, y), host->scale(n, 0.7, -2, y, y);
        loom_ref_scale(n, 0.7, -2, want, want);
        check_close(y + n, want + n, n, 4, "scale");
        host->clamp(n, -1, 1.5, a, v), loom_ref_clamp(n, -1, 1.5, a, wv);
        check_close(v, wv, n, 0, "clamp");
        host->clamp_back(n, -1, 1.5, a, dy, v, acc), loom_ref_clamp_back(n, -1, 1.5, a, dy, wv, acc);
        check_close(v, wv, n, 1, "clamp_back");
        release(7, a, b, dy, y, want, v, wv);
    }
}
END_TEST

/* Every stretch of a longer array gives the same bits as the whole. */
START_TEST(elementwise_obeys_the_row_law)
{
    enum { N = 83 };
    loom_real *x = noise(N), *dy = noise(N), *all = noise(N), *part = noise(N), *all_back = noise(N),
              *part_back = noise(N);
    for (int act = LOOM_ACT_NONE; act <= LOOM_ACT_SIGMOID; act++) {
        host->activate(N, act, x, all);
        host->activate_back(N, act, x, all, dy, all_back, 0);
        for (int count = 1; count < 20; count++)
            for (int first = 0; first + count <= N; first += 5) {
                host->activate(count, act, x + first, part);
                ck_assert_mem_eq(part, all + first, (size_t)count * sizeof *part);
                host->activate_back(count, act, x + first, part, dy + first, part_back, 0);
                ck_assert_mem_eq(part_back, all_back + first, (size_t)count * sizeof *part);
            }
    }
    release(6, x, dy, all, part, all_back, part_back);
}
END_TEST

START_TEST(row_kernels_obey_the_row_law)
{
    enum { R = 7 };
    for (int i = 0; i < COUNT(lengths); i++) {
        const int64_t w = lengths[i], n = R * w;
        loom_real *x = noise(n + 3), *dy = noise(n), *gain = noise(w), *a = noise(n), *b = noise(n), *s = noise(R),
                  *t = noise(R), *u = noise(1), *v = noise(1);
        for (int64_t r = 0; r < R; r++) {
            host->layer_norm(R, w, x, gain, gain, 1e-5, a, s, t);
            host->layer_norm(1, w, x + r * w, gain, gain, 1e-5, b, u, v);
            ck_assert_mem_eq(a + r * w, b, (size_t)w * sizeof *a);
            host->layer_norm_back(R, w, x, gain, s, t, dy, a, 0, NULL, NULL);
            host->layer_norm_back(1, w, x + r * w, gain, u, v, dy + r * w, b, 0, NULL, NULL);
            ck_assert_mem_eq(a + r * w, b, (size_t)w * sizeof *a);
            host->rms_norm(R, w, x, gain, 1e-5, a, s);
            host->rms_norm(1, w, x + r * w, gain, 1e-5, b, u);
            ck_assert_mem_eq(a + r * w, b, (size_t)w * sizeof *a);
            host->rms_norm_back(R, w, x, gain, s, dy, a, 0, NULL);
            host->rms_norm_back(1, w, x + r * w, gain, u, dy + r * w, b, 0, NULL);
            ck_assert_mem_eq(a + r * w, b, (size_t)w * sizeof *a);
            host->l2_normalize(R, w, x, 1e-6, a, s);
            host->l2_normalize(1, w, x + r * w, 1e-6, b, u);
            ck_assert_mem_eq(a + r * w, b, (size_t)w * sizeof *a);
            host->softmax(R, w, x, a);
            host->softmax(1, w, x + r * w, b);
            ck_assert_mem_eq(a + r * w, b, (size_t)w * sizeof *a);
        }
        release(9, x, dy, gain, a, b, s, t, u, v);
    }
}
END_TEST

START_TEST(losses_are_the_reference)
{
    for (int i = 0; i < COUNT(lengths) * 2; i++) {
        const int64_t n = lengths[i / 2], rows = 3;
        const int acc = i % 2;
        loom_real *z = noise(n * rows), *y = noise(n), *weights = noise(n), *d = noise(n * rows),
                  *wd = copy(d, n * rows);
        loom_real *lse = noise(rows), *wlse = noise(rows), *w = acc ? weights : NULL;
        for (int64_t j = 0; j < n; j++)
            y[j] = (loom_real)(j % 5 == 4 ? 40 : j % 3) + (loom_real)(j % 7 == 6) / 2;
        if (w) {
            w[0] = 0;
            y[0] = (loom_real)NAN;
        }
        ck_near(host->poisson_nll(n, z, y, w, i % 3), loom_ref_poisson_nll(n, z, y, w, i % 3), 1e-4);
        loom_ref_poisson_nll_back(n, z, y, w, 0.7, wd, acc);
        host->poisson_nll_back(n, z, y, w, 0.7, d, acc);
        check_close(d, wd, n, 4, "poisson_nll_back");
        ck_near(host->squared_error(n, z, y, w) / 1e3, loom_ref_squared_error(n, z, y, w) / 1e3, 1e-4);
        loom_ref_squared_error_back(n, z, y, w, 0.7, wd, acc);
        host->squared_error_back(n, z, y, w, 0.7, d, acc);
        check_close(d, wd, n, 4, "squared_error_back");
        ck_near(host->bce(n, z, y, w), loom_ref_bce(n, z, y, w), 1e-4);
        loom_ref_bce_back(n, z, y, w, 0.7, wd, acc);
        host->bce_back(n, z, y, w, 0.7, d, acc);
        check_close(d, wd, n, 4, "bce_back");
        const int32_t label[] = {(int32_t)n - 1, -1, 0};
        const loom_real row_weight[] = {(loom_real)0.5, 1, 2};
        ck_near(host->cross_entropy(rows, n, z, label, acc ? row_weight : NULL, 0.1, lse),
                loom_ref_cross_entropy(rows, n, z, label, acc ? row_weight : NULL, 0.1, wlse), 1e-5);
        check_close(lse, wlse, rows, 1, "lse");
        loom_ref_cross_entropy_back(rows, n, z, label, acc ? row_weight : NULL, 0.1, wlse, 0.7, wd, acc);
        host->cross_entropy_back(rows, n, z, label, acc ? row_weight : NULL, 0.1, wlse, 0.7, d, acc);
        check_close(d, wd, n * rows, 4, "cross_entropy_back");
        ck_near(host->sum(n * rows, z), loom_ref_sum(n * rows, z), 1e-12);
        ck_near(host->sum_squares(n * rows, z), loom_ref_sum_squares(n * rows, z), 1e-12);
        release(7, z, y, weights, d, wd, lse, wlse);
    }
}
END_TEST

START_TEST(adamw_is_the_reference)
{
    enum { N = 133 };
    for (int with_shadow = 0; with_shadow < 2; with_shadow++) {
        loom_real *g = noise(N), *p = noise(N), *m = noise(N), *v = noise(N), *s = noise(N);
        for (int i = 0; i < N; i++)
            v[i] *= v[i];
        loom_real *wp = copy(p, N), *wm = copy(m, N), *wv = copy(v, N), *ws = copy(s, N);
        for (int step = 1; step < 4; step++) {
            const struct loom_adamw h = {.lr = 1e-2,
                                         .beta1 = 0.9,
                                         .beta2 = 0.99,
                                         .eps = 1e-8,
                                         .decay = 0.1,
                                         .grad_scale = 0.5,
                                         .keep = 0.75,
                                         .step = step};
            loom_ref_adamw(&h, N, g, wp, wm, wv, with_shadow ? ws : NULL);
            host->adamw(&h, N, g, p, m, v, with_shadow ? s : NULL);
        }
        check_close(p, wp, N, 4, "value");
        check_close(m, wm, N, 1, "m");
        check_close(v, wv, N, 1, "v");
        check_close(s, ws, N, 4, "shadow");
        release(9, g, p, m, v, s, wp, wm, wv, ws);
    }
}
END_TEST

/* Largest distance in units in the last place of the result, over [low, high]; `floor` is where results stop counting.
 */
static double worst_ulp(int activation, double low, double high, double (*exact)(double), double floor)
{
    enum { N = 200000 };
    static loom_real x[N], y[N];
    double worst = 0;
    for (int i = 0; i < N; i++)
        x[i] = (loom_real)(low + (high - low) * (i + 0.5) / N);
    if (activation < 0)
        host->exp(N, x, y);
    else
        host->activate(N, activation, x, y);
    for (int i = 0; i < N; i++) {
        const double want = exact((double)x[i]);
        int exponent;
        frexp(want, &exponent);
        if (fabs(want) < floor)
            continue;
        const double ulp = ldexp(1, exponent - (sizeof(loom_real) == 4 ? 24 : 53)),
                     gap = fabs((double)y[i] - want) / ulp;
        worst = gap <= worst ? worst : gap;
    }
    return worst;
}

static double exact_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double exact_gelu(double x)
{
    return 0.5 * x * erfc(-x * M_SQRT1_2);
}

START_TEST(vector_functions_are_accurate)
{
    const double tiny = sizeof(loom_real) == 4 ? 1.2e-38 : 1e-300;
    ck_near(worst_ulp(-1, -87, 88.7, exp, tiny), 0, 1.5);
    ck_near(worst_ulp(-1, -1, 1, exp, tiny), 0, 1.5);
    ck_near(worst_ulp(LOOM_ACT_TANH, -10, 10, tanh, tiny), 0, 2);
    ck_near(worst_ulp(LOOM_ACT_TANH, -0.7, 0.7, tanh, tiny), 0, 2);
    ck_near(worst_ulp(LOOM_ACT_SIGMOID, -80, 20, exact_sigmoid, tiny), 0, 3);
    ck_near(worst_ulp(LOOM_ACT_GELU, -1, 6, exact_gelu, tiny), 0, 8);
    ck_near(worst_ulp(LOOM_ACT_GELU, -9, -1, exact_gelu, tiny), 0, 40);
}
END_TEST

START_TEST(exp_knows_its_limits)
{
    const loom_real x[] = {0,   (loom_real)-0.0, (loom_real)-INFINITY, (loom_real)INFINITY, (loom_real)NAN, -1e4f, 1e4f,
                           -100};
    loom_real y[COUNT(x)];
    host->exp(COUNT(x), x, y);
    ck_assert(y[0] == 1 && y[1] == 1 && y[2] == 0 && y[5] == 0);
    ck_assert(isinf(y[3]) && isinf(y[6]) && isnan(y[4]));
    ck_near(y[7] / exp(-100), 1, sizeof(loom_real) == 4 ? 0.02 : 1e-14);
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
    const TTest *tests[] = {
        gemm_is_the_reference,
        gemm_obeys_the_row_law,
        weight_gradient_is_the_reference,
        fast_products_are_the_reference,
        bf16_products_are_the_reference,
        bf16_rounds_to_the_nearest,
        bmm_is_the_reference,
        norms_are_the_reference,
        dropout_is_the_reference,
        dropout_follows_the_sample,
        rows_by_index_are_the_reference,
        elementwise_is_the_reference,
        elementwise_obeys_the_row_law,
        row_kernels_obey_the_row_law,
        losses_are_the_reference,
        adamw_is_the_reference,
        vector_functions_are_accurate,
        exp_knows_its_limits,
    };
    return run_suite("kernels", COUNT(tests), tests, 60);
}
