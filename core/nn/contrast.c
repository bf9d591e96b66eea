/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/nn.h>

#include <math.h>
#include <string.h>

/* Below every similarity, and no infinity: it is added, and its exponential is 0. */
#define NEVER (-1e30)

/* Constants of one contrast, all [n, n] but for the first two. */
struct tables {
    int32_t *pivot;    /* [n] an anchor's first positive, -1 = no anchor */
    loom_real *weight; /* [n] 1 for an anchor */
    loom_real *self;   /* NEVER on the diagonal */
    loom_real *first;  /* 1 at an anchor's first positive */
    loom_real *share;  /* 1 / positives of the anchor, at each of them */
    loom_real *rest;   /* first − share */
    double anchors, negatives;
};

static int positives_of(const uint8_t *positive, int64_t n, int64_t i, int32_t *pivot)
{
    int count = 0;
    *pivot = -1;
    for (int64_t j = n - 1; j >= 0; j--)
        if (j != i && positive[i * n + j]) {
            *pivot = (int32_t)j;
            count++;
        }
    return count;
}

/* An anchor has a positive, and a row that is none: without the latter there is nothing to tell apart. */
static int fill(struct tables *t, const uint8_t *positive, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int count = positives_of(positive, n, i, &t->pivot[i]);
        t->self[i * n + i] = (loom_real)NEVER;
        t->weight[i] = count > 0 && count < n - 1;
        if (t->weight[i] == 0) {
            t->pivot[i] = -1;
            continue;
        }
        t->anchors += 1;
        t->negatives += (double)(n - 1 - count);
        t->first[i * n + t->pivot[i]] = 1;
        for (int64_t j = 0; j < n; j++) {
            if (j != i && positive[i * n + j])
                t->share[i * n + j] = (loom_real)(1.0 / count);
            t->rest[i * n + j] = t->first[i * n + j] - t->share[i * n + j];
        }
    }
    return 1;
}

static int make(struct tables *t, struct loom_graph *g, const uint8_t *positive, int64_t n)
{
    size_t one = ((size_t)n + 1) * sizeof(loom_real), square = (size_t)(n * n + 1) * sizeof(loom_real);
    memset(t, 0, sizeof(*t));
    t->pivot = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*t->pivot));
    t->weight = loom_graph_alloc(g, one);
    loom_real **table[] = {&t->self, &t->first, &t->share, &t->rest};
    int there = t->pivot && t->weight;
    for (int i = 0; i < 4; i++) {
        *table[i] = loom_graph_alloc(g, square);
        there = there && *table[i];
        if (*table[i])
            memset(*table[i], 0, square);
    }
    return there && fill(t, positive, n);
}

static struct loom_node *square_of(struct loom_graph *g, int64_t n, const loom_real *x)
{
    return loom_input(g, LOOM_REAL, 2, (const int64_t[]){n, n}, x);
}

/* Σ over anchors of ln Σ_{a ≠ i} exp(s_ia): what cross-entropy says of the first positive, and what it took off for
 * it. Cross-entropy subtracts each row's maximum. */
static void log_sums(struct loom_graph *g, struct loom_node *s, const struct tables *t, int64_t n,
                     const loom_real *give_back, double offset, struct loom_node *out[2])
{
    struct loom_node *label = loom_input(g, LOOM_I32, 1, &n, t->pivot);
    struct loom_node *weight = loom_input(g, LOOM_REAL, 1, &n, t->weight);
    out[0] = loom_cross_entropy(g, loom_add(g, s, square_of(g, n, t->self)), label, weight, 0.0);
    out[1] = loom_sum(g, loom_mul(g, loom_scale(g, s, 1.0, offset), square_of(g, n, give_back)));
}

struct loom_contrast loom_nn_contrast(struct loom_graph *g, struct loom_node *z, const uint8_t *positive,
                                      double temperature)
{
    struct loom_contrast out = {0};
    struct tables t;
    int64_t n = loom_node_dim(z, 0);
    if (!(temperature > 0.0)) {
        loom_graph_fail(g, LOOM_EINVAL, "a contrast of temperature %g: give a number above 0", temperature);
        return out;
    }
    if (n < 2 || !make(&t, g, positive, n))
        return out;
    struct loom_node *s = loom_matmul(g, z, z, 0, 1);
    log_sums(g, loom_scale(g, s, 1.0 / temperature, 0.0), &t, n, t.rest, 0.0, out.loss);
    log_sums(g, loom_scale(g, s, 4.0, 0.0), &t, n, t.first, -4.0 - log((double)(n - 1)), out.uniformity);
    out.alignment = loom_sum(g, loom_mul(g, loom_scale(g, s, -2.0, 2.0), square_of(g, n, t.share)));
    out.anchors = t.anchors;
    out.negatives = t.negatives;
    return out;
}
