/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/ops/ops.h"

#include <string.h>

static const char *dtype_name(int dtype)
{
    return dtype == LOOM_REAL ? "REAL" : dtype == LOOM_F64 ? "F64" : "I32";
}

int loom_need_dtype(const struct loom_node *n, int i, int dtype, struct loom_error *e)
{
    if (n->in[i]->shape.dtype == dtype)
        return LOOM_OK;
    return loom_fail(e, LOOM_ESHAPE, NULL, 0, "input %d is %s: it must be %s", i, dtype_name(n->in[i]->shape.dtype),
                     dtype_name(dtype));
}

int loom_need_real(const struct loom_node *n, int first, int count, struct loom_error *e)
{
    for (int i = first; i < first + count; i++)
        if (loom_need_dtype(n, i, LOOM_REAL, e) != LOOM_OK)
            return e->code;
    return LOOM_OK;
}

int loom_need_rank(const struct loom_node *n, int i, int rank, struct loom_error *e)
{
    if (n->in[i]->shape.rank == rank)
        return LOOM_OK;
    return loom_fail(e, LOOM_ESHAPE, NULL, 0, "input %d has %d axes: it must have %d", i, n->in[i]->shape.rank, rank);
}

int loom_need_same(const struct loom_node *n, int i, int j, struct loom_error *e)
{
    const struct loom_shape *a = &n->in[i]->shape, *b = &n->in[j]->shape;
    if (a->rank == b->rank && memcmp(a->dim, b->dim, sizeof(a->dim)) == 0)
        return LOOM_OK;
    return loom_fail(e, LOOM_ESHAPE, NULL, 0, "inputs %d and %d must have the same shape", i, j);
}

int loom_need_width(const struct loom_node *n, int i, int64_t width, struct loom_error *e)
{
    const struct loom_shape *s = &n->in[i]->shape;
    if (s->rank == 1 && s->dim[0] == width)
        return LOOM_OK;
    return loom_fail(e, LOOM_ESHAPE, NULL, 0, "input %d must be [%lld], one value a feature", i, (long long)width);
}

int loom_need_features(const struct loom_node *n, int i, struct loom_error *e)
{
    if (loom_width(n->in[i]) >= 1)
        return LOOM_OK;
    return loom_fail(e, LOOM_ESHAPE, NULL, 0, "input %d has no features: its last axis must be at least 1", i);
}

int loom_need_drop(double p, const char *purpose, struct loom_error *e)
{
    if (!(p >= 0 && p <= LOOM_DROP_MAX))
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "dropout of %g: give a probability from 0 to %g", p, LOOM_DROP_MAX);
    if (!purpose)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "dropout without a purpose: name the draw, as in \"dropout.block2\"");
    return LOOM_OK;
}

int loom_need_indices(const struct loom_node *n, int i, int64_t count, struct loom_error *e)
{
    const struct loom_node *index = n->in[i];
    const int32_t *at = index->value;
    for (int64_t r = 0; index->host && r < index->size; r++)
        if (at[r] < -1 || at[r] >= count)
            return loom_fail(e, LOOM_EINVAL, NULL, 0,
                             "index %d at position %lld: there are %lld, so stay within 0 … %lld, or -1", at[r],
                             (long long)r, (long long)count, (long long)count - 1);
    return LOOM_OK;
}

int loom_need_groups(const struct loom_groups *g, int64_t rows, const char *what, struct loom_error *e)
{
    if (g->n < 0 || !g->first || g->first[0] < 0)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "%s: give n >= 0 groups and their offsets first[0..n], first[0] >= 0",
                         what);
    for (int32_t i = 0; i < g->n; i++)
        if (g->first[i + 1] < g->first[i])
            return loom_fail(e, LOOM_EINVAL, NULL, 0, "%s: group %d ends before it starts: offsets must ascend", what,
                             i);
    if (!g->row && g->first[g->n] > rows)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%s end at row %d of %lld: make groups of the rows there are", what,
                         g->first[g->n], (long long)rows);
    for (int32_t i = g->first[0]; g->row && i < g->first[g->n]; i++)
        if (g->row[i] < 0 || g->row[i] >= rows)
            return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%s name row %d of %lld: make groups of the rows there are", what,
                             g->row[i], (long long)rows);
    return LOOM_OK;
}

int loom_infer_like(const struct loom_node *n, int i, struct loom_shape *out)
{
    size_t saved = out->saved;
    *out = n->in[i]->shape;
    out->saved = saved;
    return LOOM_OK;
}

int loom_infer_sum(struct loom_shape *out)
{
    out->dtype = LOOM_F64;
    out->rank = 1;
    out->dim[0] = 1;
    return LOOM_OK;
}
