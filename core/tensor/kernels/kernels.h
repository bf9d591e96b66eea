/* SPDX-License-Identifier: Apache-2.0 */
/* Compute kernels of the tensor engine on raw arrays of loom_real: single-threaded, no allocation, no global state, no
 * failure.
 *
 * Each kernel exists several times with one signature. loom_ref_X, plain loops, is the definition. loom_host_X is what
 * runs: one source, compiled once for each instruction set (set.h). Callers go through a table, struct loom_kernels,
 * whose members are the kernels by name.
 * Matrices are row-major; `ld` is the distance between rows in elements, so a column slice of a wider matrix is a
 * pointer and its ld. Where no ld is given rows are contiguous. Scratch comes from the caller, aligned to 64 bytes,
 * sizes in bytes.
 *
 * Row law: kernels marked [row] compute each output row from its own input rows alone, in an order fixed by index, so a
 * row has the same bits alone, in any subset of rows and at any place. Products are one chain of multiply-adds over k
 * ascending.
 *
 * `accumulate` = 1 adds to the output, 0 overwrites it (it may then hold rubbish). Gradients of parameters always add,
 * and NULL leaves them out. */
#ifndef LOOM_TENSOR_KERNELS_H
#define LOOM_TENSOR_KERNELS_H

#include <loom/graph.h>

#include "tensor/kernels/set.h"

/* ---- products ---- */

/* Bytes that a packed b[k,n] needs; a packed matrix belongs to the table of kernels that packed it. */
LOOM_KERNEL(size_t, packed_bytes, (int64_t k, int64_t n));
/* Pack b[k,n]; transposed = 1: b is stored as [n,k].
 * For weights w[out,in]: forward y = x wᵀ is pack(k = in, n = out, transposed = 1), input gradient dx = dy w is pack(k
 * = out, n = in, 0). Where the table says `by_columns`, the columns from a multiple c of LOOM_PACK_COLUMNS on begin
 * packed_bytes(k, c) behind the first, and a product may take some of them. */
enum { LOOM_PACK_COLUMNS = 64 };
LOOM_KERNEL(void, gemm_pack, (void *packed, int64_t k, int64_t n, const loom_real *b, int64_t ldb, int transposed));

struct loom_epilogue {
    const loom_real *bias; /* [n] or NULL */
    loom_real *pre;        /* [r,n], ld = ldy: the value before the activation, or NULL */
    int activation;        /* enum loom_activation */
    int accumulate;        /* the chain of each element starts at y instead of 0 */
};
/* [row] y[r,n] = act(x[r,k] · b + bias). e = NULL: plain product. y, pre and x do not overlap. */
LOOM_KERNEL(void, gemm,
            (int64_t r, int64_t n, int64_t k, const loom_real *x, int64_t ldx, const void *packed, loom_real *y,
             int64_t ldy, const struct loom_epilogue *e));

/* Weight gradient: c[m,n] (+)= aᵀ · b with a[rows,m], b[rows,n]. Sums over rows, so not row-local; same shape, same
 * bits. */
LOOM_KERNEL(size_t, gemm_tn_scratch, (int64_t rows, int64_t m, int64_t n)); /* bytes */
LOOM_KERNEL(void, gemm_tn,
            (int64_t rows, int64_t m, int64_t n, const loom_real *a, int64_t lda, const loom_real *b, int64_t ldb,
             loom_real *c, int64_t ldc, int accumulate, void *scratch));
/* Bias gradient: out[n] (+)= Σ_rows x[rows,n], in row order. */
LOOM_KERNEL(void, column_sums,
            (int64_t rows, int64_t n, const loom_real *x, int64_t ld, loom_real *out, int accumulate));

/* c[i] (+)= op(a[i]) · op(b[i]) for i < batch; op(a) is [m,k], op(b) is [k,n]. A stride of 0 repeats the matrix; a
 * stride_c of 0 sums over the batch (with accumulate = 1). Row-local in the rows of op(a) given b. */
struct loom_bmm {
    int64_t batch, m, n, k;
    const loom_real *a, *b;
    loom_real *c;
    int64_t lda, ldb, ldc;                /* of the matrices as stored */
    int64_t stride_a, stride_b, stride_c; /* elements from one matrix of the batch to the next */
    int trans_a, trans_b;                 /* a stored as [k,m], b stored as [n,k] */
    int accumulate;
};
LOOM_KERNEL(size_t, bmm_scratch, (const struct loom_bmm *p)); /* bytes */
LOOM_KERNEL(void, bmm, (const struct loom_bmm *p, void *scratch));

/* ---- random masks ----
 * Draws are addressed, never kept: Philox4x32-10 with key (seed, purpose), counter {block, step, sample key}. One block
 * makes eight 16-bit draws; draw j of a block is bits 16(j%2)… of word j/2; an element is dropped when its draw <
 * round(65536 p). */
struct loom_draw {
    double p;                         /* chance to drop, [0,1); 0 = nothing is drawn */
    uint32_t key[2];                  /* loom_rng.key of (seed, purpose) */
    uint32_t step;                    /* loom_rng.counter[1] */
    const struct loom_groups *groups; /* every row in exactly one group; NULL: one group, key 0 */
};

/* ---- attention ---- */

enum { LOOM_HEAD_DIM_MAX = 512 }; /* width / heads at most; even with rotary tables */

/* Operands of loom_attention (loom/graph.h has the rule and its meaning). `q`, `k`, `v` point at the first column of
 * head 0. */
struct loom_attention_args {
    const struct loom_attention *rule;
    int64_t q_rows, k_rows;
    const loom_real *q, *k, *v;
    int64_t q_ld, k_ld, v_ld;
    loom_real *out; /* [q_rows, width]; written by forward, read by backward */
    int64_t out_ld;
    loom_real
        *lse; /* [q_rows, heads] log Σ exp(score): kept from forward to backward; +inf where a query sees no key */
    /* of the dropout draws: the query group's key names the sample; query i and key j of the group in a head have draw
     * j % 8 of block (head · queries + i) · ceil(keys/8) + j/8 */
    uint32_t key[2];
    uint32_t step;
    int64_t first, end; /* forward only: pieces that this call makes, as loom_attention_share counts; 0, 0: all */
    /* backward only */
    const loom_real *dout;   /* [q_rows, width], ld = out_ld */
    loom_real *dq, *dk, *dv; /* added to or written, ld as q, k, v; NULL leaves one out. dk and dv of rows in no group
                                become 0 when written */
    int dq_accumulate, dk_accumulate, dv_accumulate;
};
/* Pieces that threads may share: heads of a group in turn, of each LOOM_ATTENTION_PIECE queries at a time. */
enum { LOOM_ATTENTION_PIECE = 16 };
/* Queries [*from, *to) of a group's next head that this call makes; 0: none. *piece: its first piece, 0 before the
 * first head; becomes that of the next. */
static inline int loom_attention_share(const struct loom_attention_args *a, int64_t queries, int64_t *piece,
                                       int64_t *from, int64_t *to)
{
    const int64_t begin = *piece, end = begin + (queries + LOOM_ATTENTION_PIECE - 1) / LOOM_ATTENTION_PIECE;
    const int64_t low = a->first > begin ? a->first : begin, high = a->end && a->end < end ? a->end : end;
    *piece = end;
    *from = (low - begin) * LOOM_ATTENTION_PIECE;
    *to = (high - begin) * LOOM_ATTENTION_PIECE;
    *to = *to < queries ? *to : queries;
    return *from < *to;
}
/* Bytes; linear in the largest group. */
LOOM_KERNEL(size_t, attention_scratch, (const struct loom_attention *rule, int backward));
/* [row] given the group's keys: sums run over keys in the order of their index in the group. */
LOOM_KERNEL(void, attention, (const struct loom_attention_args *a, void *scratch));
LOOM_KERNEL(void, attention_back, (const struct loom_attention_args *a, void *scratch));

/* ---- rows (all [row]; gain, bias and their gradients [width], may be NULL) ---- */

/* y = (x − mean) · rstd · gain + bias, rstd = 1/sqrt(var + eps), biased variance. mean, rstd [rows] are kept for
 * backward. */
LOOM_KERNEL(void, layer_norm,
            (int64_t rows, int64_t width, const loom_real *x, const loom_real *gain, const loom_real *bias, double eps,
             loom_real *y, loom_real *mean, loom_real *rstd));
LOOM_KERNEL(void, layer_norm_back,
            (int64_t rows, int64_t width, const loom_real *x, const loom_real *gain, const loom_real *mean,
             const loom_real *rstd, const loom_real *dy, loom_real *dx, int accumulate, loom_real *dgain,
             loom_real *dbias));
/* y = x · rrms · gain, rrms = 1/sqrt(mean(x²) + eps). */
LOOM_KERNEL(void, rms_norm,
            (int64_t rows, int64_t width, const loom_real *x, const loom_real *gain, double eps, loom_real *y,
             loom_real *rrms));
LOOM_KERNEL(void, rms_norm_back,
            (int64_t rows, int64_t width, const loom_real *x, const loom_real *gain, const loom_real *rrms,
             const loom_real *dy, loom_real *dx, int accumulate, loom_real *dgain));
LOOM_KERNEL(void, softmax, (int64_t rows, int64_t width, const loom_real *x, loom_real *y));
LOOM_KERNEL(void, softmax_back,
            (int64_t rows, int64_t width, const loom_real *y, const loom_real *dy, loom_real *dx, int accumulate));
/* y = x · rnorm, rnorm = 1/max(‖x‖, eps); below eps the gradient treats rnorm as constant. */
LOOM_KERNEL(void, l2_normalize,
            (int64_t rows, int64_t width, const loom_real *x, double eps, loom_real *y, loom_real *rnorm));
LOOM_KERNEL(void, l2_normalize_back,
            (int64_t rows, int64_t width, const loom_real *y, const loom_real *rnorm, double eps, const loom_real *dy,
             loom_real *dx, int accumulate));
/* y = residual + x ∘ mask / (1 − p); residual NULL = 0. Its own backward: dx = dropout(dy). The address of an element
 * is block (ordinal of the row in its group) · ceil(width/8) + column/8, draw column % 8. y may be x or residual. */
LOOM_KERNEL(void, dropout,
            (int64_t rows, int64_t width, const loom_real *residual, const loom_real *x, const struct loom_draw *draw,
             loom_real *y));
/* sum = residual + dropout(x); y = layer_norm(sum), one pass. `sum` is kept: the next residual of a pre-norm block, and
 * what backward reads. */
LOOM_KERNEL(void, dropout_norm,
            (int64_t rows, int64_t width, const loom_real *residual, const loom_real *x, const struct loom_draw *draw,
             const loom_real *gain, const loom_real *bias, double eps, loom_real *sum, loom_real *y, loom_real *mean,
             loom_real *rstd));
/* dsum = layer_norm_back(dy) + dsum_in (NULL = 0); dresidual (+)= dsum; dx (+)= dropout(dsum). */
struct loom_dropout_norm_grad {
    const loom_real *dsum_in, *dy;
    loom_real *dresidual, *dx, *dgain, *dbias; /* NULL leaves one out */
    int dresidual_accumulate, dx_accumulate;
};
LOOM_KERNEL(void, dropout_norm_back,
            (int64_t rows, int64_t width, const loom_real *sum, const struct loom_draw *draw, const loom_real *gain,
             const loom_real *mean, const loom_real *rstd, const struct loom_dropout_norm_grad *d));
/* y[r,:] = x[r,:] + b; y may be x. */
LOOM_KERNEL(void, add_bias, (int64_t rows, int64_t width, const loom_real *x, const loom_real *b, loom_real *y));
/* x [rows, 2 width] → y [rows, width]: first half × gelu(second half). */
LOOM_KERNEL(void, geglu, (int64_t rows, int64_t width, const loom_real *x, loom_real *y));
LOOM_KERNEL(void, geglu_back,
            (int64_t rows, int64_t width, const loom_real *x, const loom_real *dy, loom_real *dx, int accumulate));

/* ---- rows by index ---- */
/* y[i,:] = table[index[i],:], a zero row where index < 0. */
LOOM_KERNEL(void, gather_rows,
            (int64_t n, int64_t width, const loom_real *table, int64_t ld, const int32_t *index, loom_real *y));
/* y[index[i],:] += x[i,:] for i ascending; index < 0 is skipped. */
LOOM_KERNEL(void, scatter_add_rows,
            (int64_t n, int64_t width, const loom_real *x, const int32_t *index, loom_real *y, int64_t ld));
/* y[g,:] = mean of the group's rows of x in group order; an empty group gives 0. [row] given the group. */
LOOM_KERNEL(void, group_mean, (const struct loom_groups *groups, int64_t width, const loom_real *x, loom_real *y));
/* dx[row,:] += dy[g,:] / (rows of g); always adds. */
LOOM_KERNEL(void, group_mean_back,
            (const struct loom_groups *groups, int64_t width, const loom_real *dy, loom_real *dx));

/* ---- elementwise (all [row]; y may be an input) ---- */
LOOM_KERNEL(void, add, (int64_t n, const loom_real *a, const loom_real *b, loom_real *y));
LOOM_KERNEL(void, sub, (int64_t n, const loom_real *a, const loom_real *b, loom_real *y));
LOOM_KERNEL(void, mul,
            (int64_t n, const loom_real *a, const loom_real *b, loom_real *y, int accumulate)); /* y (+)= a b */
LOOM_KERNEL(void, scale,
            (int64_t n, double factor, double offset, const loom_real *x, loom_real *y)); /* factor x + offset */
LOOM_KERNEL(void, axpy, (int64_t n, double factor, const loom_real *x, loom_real *y));    /* y += factor x */
LOOM_KERNEL(void, clamp, (int64_t n, double low, double high, const loom_real *x, loom_real *y));
LOOM_KERNEL(void, clamp_back,
            (int64_t n, double low, double high, const loom_real *x, const loom_real *dy, loom_real *dx,
             int accumulate));
LOOM_KERNEL(void, exp, (int64_t n, const loom_real *x, loom_real *y)); /* backward is mul(dy, y) */
/* y = act(x), enum loom_activation. */
LOOM_KERNEL(void, activate, (int64_t n, int activation, const loom_real *x, loom_real *y));
/* dx (+)= act'(x) dy. RELU, TANH and SIGMOID read y alone (x may be NULL), GELU and SILU read x alone; dx may be dy. */
LOOM_KERNEL(void, activate_back,
            (int64_t n, int activation, const loom_real *x, const loom_real *y, const loom_real *dy, loom_real *dx,
             int accumulate));

/* ---- losses: Σ in double, in an order fixed by index; w NULL = 1; an element of weight 0 adds exactly nothing, NaN
 * included. _back: dz (+)= scale · d/dz. ---- */
LOOM_KERNEL(double, poisson_nll,
            (int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, int log_factorial));
LOOM_KERNEL(void, poisson_nll_back,
            (int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, double scale, loom_real *dz,
             int accumulate));
LOOM_KERNEL(double, squared_error, (int64_t n, const loom_real *z, const loom_real *y, const loom_real *w));
LOOM_KERNEL(void, squared_error_back,
            (int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, double scale, loom_real *dz,
             int accumulate));
LOOM_KERNEL(double, bce, (int64_t n, const loom_real *z, const loom_real *y, const loom_real *w));
LOOM_KERNEL(void, bce_back,
            (int64_t n, const loom_real *z, const loom_real *y, const loom_real *w, double scale, loom_real *dz,
             int accumulate));
/* Σ_r w_r (lse_r − (1−s) z[r,label] − s mean_c z[r,c]); label < 0 skips the row. lse [rows] is kept for backward. */
LOOM_KERNEL(double, cross_entropy,
            (int64_t rows, int64_t classes, const loom_real *z, const int32_t *label, const loom_real *w,
             double smoothing, loom_real *lse));
LOOM_KERNEL(void, cross_entropy_back,
            (int64_t rows, int64_t classes, const loom_real *z, const int32_t *label, const loom_real *w,
             double smoothing, const loom_real *lse, double scale, loom_real *dz, int accumulate));
LOOM_KERNEL(double, sum, (int64_t n, const loom_real *x));
LOOM_KERNEL(double, sum_squares, (int64_t n, const loom_real *x));

/* ---- optimizer ---- */
/* AdamW (Loshchilov & Hutter 2019): decay is decoupled and multiplied by lr. One span of a parameter block with one lr
 * and decay. The kernel goes over all of it once; shadow may be NULL. */
struct loom_adamw {
    double lr, beta1, beta2, eps, decay;
    double grad_scale; /* multiplies the gradient first: clipping */
    double keep;       /* of the moving average: shadow ← keep·shadow + (1−keep)·value */
    int64_t step;      /* 1 at the first step */
};
LOOM_KERNEL(void, adamw,
            (const struct loom_adamw *h, int64_t n, const loom_real *grad, loom_real *value, loom_real *m, loom_real *v,
             loom_real *shadow));

/* ---- tables ---- */

/* Every kernel above. */
/* clang-format off */
#define LOOM_KERNEL_NAMES(X) \
    X(packed_bytes) X(gemm_pack) X(gemm) X(gemm_tn_scratch) X(gemm_tn) X(column_sums) X(bmm_scratch) X(bmm) \
    X(attention_scratch) X(attention) X(attention_back) X(layer_norm) X(layer_norm_back) X(rms_norm) \
    X(rms_norm_back) X(softmax) X(softmax_back) X(l2_normalize) X(l2_normalize_back) X(dropout) X(dropout_norm) \
    X(dropout_norm_back) X(add_bias) X(geglu) X(geglu_back) X(gather_rows) X(scatter_add_rows) X(group_mean) \
    X(group_mean_back) X(add) X(sub) X(mul) X(scale) X(axpy) X(clamp) X(clamp_back) X(exp) X(activate) \
    X(activate_back) X(poisson_nll) X(poisson_nll_back) X(squared_error) X(squared_error_back) X(bce) X(bce_back) \
    X(cross_entropy) X(cross_entropy_back) X(sum) X(sum_squares) X(adamw)
/* clang-format on */

#define LOOM_KERNEL_MEMBER(name) __typeof__(loom_ref_##name) *name;
struct loom_kernels {
    const char *set; /* "avx512" */
    int by_columns;  /* see gemm_pack */
    LOOM_KERNEL_NAMES(LOOM_KERNEL_MEMBER)
};

/* The kernels that this build holds and this processor runs, fastest first, "reference" last; NULL ends the list. */
const struct loom_kernels *const *loom_kernels_all(void);
/* By name; NULL or "": the fastest. NULL and LOOM_ECONFIG where there is none of that name here. */
const struct loom_kernels *loom_kernels_named(const char *set, struct loom_error *e);
/* What $LOOM_KERNELS names, or the fastest. */
const struct loom_kernels *loom_kernels_default(struct loom_error *e);

#endif
