/* SPDX-License-Identifier: Apache-2.0 */
/* Rates of the compute kernels beside OpenBLAS, one thread, in alternation: medians in GFLOP/s and their ratio; and how
 * fast products of few rows read their weights, beside the machine's own reading.
 * Usage: bench/kernels [rounds [exact|fast|bf16]] */
#include "tensor/kernels/numerics.h"
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef LOOM_DOUBLE
#define cblas_gemm cblas_dgemm
#else
#define cblas_gemm cblas_sgemm
#endif

enum { MAX_ROUNDS = 101 };
static int rounds = 21;
static const struct loom_kernels *host;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static loom_real *noise(size_t n)
{
    loom_real *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64);
    for (size_t i = 0; x && i < n; i++)
        x[i] = (loom_real)(rand() / (double)RAND_MAX - 0.5);
    return x;
}

static int ascending(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

/* Median seconds of two functions called in turn; `b` may be NULL. */
static void pair(void *payload, void (*a)(void *), void (*b)(void *), double out[2])
{
    double time[2][MAX_ROUNDS];
    a(payload);
    for (int i = 0; i < rounds; i++) {
        double t0 = now();
        a(payload);
        double t1 = now();
        if (b)
            b(payload);
        time[0][i] = t1 - t0;
        time[1][i] = now() - t1;
    }
    for (int i = 0; i < 2; i++) {
        qsort(time[i], (size_t)rounds, sizeof **time, ascending);
        out[i] = time[i][rounds / 2];
    }
}

/* The operands of one linear layer. */
struct layer {
    int r, in, out;
    loom_real *x, *w, *dy, *y, *dx, *dw, *packed, *packed_back, *scratch;
};

static void forward(void *payload)
{
    struct layer *l = payload;
    host->gemm(l->r, l->out, l->in, l->x, l->in, l->packed, l->y, l->out, NULL);
}

static void forward_blas(void *payload)
{
    struct layer *l = payload;
    cblas_gemm(CblasRowMajor, CblasNoTrans, CblasTrans, l->r, l->out, l->in, 1, l->x, l->in, l->w, l->in, 0, l->y,
               l->out);
}

static void dgrad(void *payload)
{
    struct layer *l = payload;
    host->gemm(l->r, l->in, l->out, l->dy, l->out, l->packed_back, l->dx, l->in, NULL);
}

static void dgrad_blas(void *payload)
{
    struct layer *l = payload;
    cblas_gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, l->r, l->in, l->out, 1, l->dy, l->out, l->w, l->in, 0, l->dx,
               l->in);
}

static void wgrad(void *payload)
{
    struct layer *l = payload;
    host->gemm_tn(l->r, l->out, l->in, l->dy, l->out, l->x, l->in, l->dw, l->in, 1, l->scratch);
}

static void wgrad_blas(void *payload)
{
    struct layer *l = payload;
    cblas_gemm(CblasRowMajor, CblasTrans, CblasNoTrans, l->out, l->in, l->r, 1, l->dy, l->out, l->x, l->in, 1, l->dw,
               l->in);
}

static void layers(int r, int in, int out)
{
    const size_t x = (size_t)r * (size_t)in, y = (size_t)r * (size_t)out, w = (size_t)in * (size_t)out;
    struct layer l = {r, in, out, noise(x), noise(w), noise(y), noise(y), noise(x), noise(w), NULL, NULL, NULL};
    l.packed = noise(host->packed_bytes(in, out) / sizeof(loom_real));
    l.packed_back = noise(host->packed_bytes(out, in) / sizeof(loom_real));
    l.scratch = noise(host->gemm_tn_scratch(r, out, in) / sizeof(loom_real));
    host->gemm_pack(l.packed, in, out, l.w, in, 1);
    host->gemm_pack(l.packed_back, out, in, l.w, in, 0);
    static const struct {
        const char *name;
        void (*own)(void *), (*blas)(void *);
    } ops[] = {{"forward", forward, forward_blas}, {"dgrad", dgrad, dgrad_blas}, {"wgrad", wgrad, wgrad_blas}};
    const double flops = 2e-9 * r * in * out;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        double s[2];
        pair(&l, ops[i].own, ops[i].blas, s);
        printf("%-8s %5d x %4d -> %4d  own %7.1f  blas %7.1f  ratio %.3f\n", ops[i].name, r, in, out, flops / s[0],
               flops / s[1], s[1] / s[0]);
    }
    loom_real *all[] = {l.x, l.w, l.dy, l.y, l.dx, l.dw, l.packed, l.packed_back, l.scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* ---- few rows: what costs is reading the weights ---- */

/* Layers of 256 x 768, one behind the other in memory; all of them are passed by `rows` rows. */
struct few {
    int layers, rows;
    size_t bytes; /* of a layer, packed */
    char *packed;
    loom_real *x, *y;
};

static void products_of_few(void *payload)
{
    const struct few *f = payload;
    for (int i = 0; i < f->layers; i++)
        host->gemm(f->rows, 768, 256, f->x, 256, f->packed + (size_t)i * f->bytes, f->y, 768, NULL);
}

/* Reads all of them once, with sums enough side by side that only the memory is waited for. */
static void read_only(void *payload)
{
    const struct few *f = payload;
    const size_t n = (size_t)f->layers * f->bytes / sizeof(loom_real);
    host->column_sums((int64_t)n / 128, 128, (const loom_real *)f->packed, 128, f->y, 0);
}

static void few_rows(void)
{
    static const int layers[] = {1, 9, 128};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        struct few f = {.layers = layers[i], .bytes = host->packed_bytes(256, 768), .x = noise(256 * 8)};
        f.y = noise(768 * 8);
        f.packed = (char *)noise((size_t)f.layers * f.bytes / sizeof(loom_real));
        const double bytes = 1e-9 * (double)f.layers * (double)f.bytes;
        for (f.rows = 1; f.rows <= 8; f.rows++) {
            double s[2];
            pair(&f, products_of_few, read_only, s);
            printf(
                "few rows %d x 256 ->  768, %5.1f MB of weights  %6.1f GB/s, %6.1f GFLOP/s  reading alone %6.1f GB/s\n",
                f.rows, 1e3 * bytes, bytes / s[0], 2e-9 * f.rows * f.layers * 256 * 768 / s[0], bytes / s[1]);
        }
        free(f.x);
        free(f.y);
        free(f.packed);
    }
}

static void attend(void *payload)
{
    void **p = payload;
    host->attention(p[0], p[1]);
}

static void attend_back(void *payload)
{
    void **p = payload;
    host->attention_back(p[0], p[1]);
}

/* `groups` groups of t rows; causal = 2: causal with dropout 0.1. */
static void attention(int groups, int t, int heads, int dim, int causal)
{
    const int rows = groups * t, width = heads * dim;
    int32_t *first = malloc(((size_t)groups + 1) * sizeof *first);
    double *time = malloc((size_t)rows * sizeof *time);
    for (int i = 0; i <= groups; i++)
        first[i] = i * t;
    for (int i = 0; i < rows; i++)
        time[i] = i % t;
    struct loom_attention rule = {.heads = heads, .width = width, .causal = causal > 0, .back_s = -1, .ahead_s = -1};
    rule.q_groups = rule.k_groups = (struct loom_groups){groups, first, NULL, NULL};
    rule.q_time = rule.k_time = time;
    rule.dropout = causal > 1 ? 0.1 : 0;
    const size_t n = (size_t)rows * (size_t)width;
    loom_real *qkv = noise(3 * n), *grad = noise(3 * n), *out = noise(n), *dout = noise(n);
    struct loom_attention_args a = {.rule = &rule, .q_rows = rows, .k_rows = rows, .q = qkv, .k = qkv + width};
    a.v = qkv + 2 * width;
    a.q_ld = a.k_ld = a.v_ld = 3 * width;
    a.out = out;
    a.out_ld = width;
    a.lse = noise((size_t)rows * (size_t)heads);
    a.dout = dout;
    a.dq = grad;
    a.dk = grad + width;
    a.dv = grad + 2 * width;
    void *p[] = {&a, noise(host->attention_scratch(&rule, 1) / sizeof(loom_real))};
    const double flops = 4e-9 * groups * t * t * width;
    double forth[2], back[2];
    pair(p, attend, NULL, forth);
    pair(p, attend_back, NULL, back);
    printf("attention %3d x %4d rows, %d x %d%-18s forward %7.1f  backward %7.1f\n", groups, t, heads, dim,
           causal > 1 ? ", causal, dropout"
           : causal   ? ", causal"
                      : "",
           flops / forth[0], 2.5 * flops / back[0]);
    void *all[] = {first, time, qkv, grad, out, dout, a.lse, p[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

int main(int argc, char **argv)
{
    static const int shapes[][3] = {{600, 256, 768},  {600, 256, 256},  {600, 128, 512},   {4800, 256, 768},
                                    {4800, 256, 256}, {4800, 128, 128}, {1000, 1024, 256}, {1, 256, 768},
                                    {2, 256, 768},    {3, 256, 256},    {8, 256, 768}};
    if (argc > 1)
        rounds = atoi(argv[1]);
    if (rounds < 1 || rounds > MAX_ROUNDS)
        return 2;
    struct loom_error e = {0};
    const char *word = argc > 2 ? argv[2] : "exact";
    host = loom_kernels_default(&e);
    if (host)
        host = loom_kernels_numeric(host,
                                    strcmp(word, "fast") == 0   ? LOOM_NUMERICS_FAST
                                    : strcmp(word, "bf16") == 0 ? LOOM_NUMERICS_BF16
                                                                : LOOM_NUMERICS_EXACT,
                                    &e);
    if (!host) {
        fprintf(stderr, "%s\n", e.message);
        return 2;
    }
    openblas_set_num_threads(1);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        layers(shapes[i][0], shapes[i][1], shapes[i][2]);
    few_rows();
    for (int causal = 0; causal < 3; causal++) {
        attention(30, 40, 8, 32, causal);
        attention(12, 100, 8, 32, causal);
        attention(8, 160, 4, 64, causal);
    }
    attention(1, 4096, 1, 32, 0);
    return 0;
}
