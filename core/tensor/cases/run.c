/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/cases/cases.h"

#include <loom/rng.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const struct loom_case *loom_case_at(size_t i)
{
    static const struct loom_case *const family[] = {loom_cases_products, loom_cases_attention, loom_cases_elements,
                                                     loom_cases_rows, loom_cases_losses};
    for (size_t f = 0; f < sizeof(family) / sizeof(family[0]); f++)
        for (const struct loom_case *c = family[f]; c->name; c++)
            if (i-- == 0)
                return c;
    return NULL;
}

const char *loom_case_title(const struct loom_case *c, char *out, size_t size)
{
    snprintf(out, size, "%s %lld x %lld x %lld (%#x)", c->name, (long long)c->rows, (long long)c->width,
             (long long)c->more, c->option);
    return out;
}

/* ---- values ---- */

static double fill_value(struct loom_rng *r, int fill)
{
    switch (fill) {
    case LOOM_FILL_EDGELESS:
        return 0.25 * floor(4 * loom_rng_normal(r)) + 0.07 + 0.11 * loom_rng_uniform(r);
    case LOOM_FILL_POSITIVE:
        return 0.5 + loom_rng_uniform(r);
    case LOOM_FILL_COUNTS:
        return loom_rng_below(r, 6);
    case LOOM_FILL_SHARE:
        return loom_rng_uniform(r);
    case LOOM_FILL_WEIGHTS:
        return loom_rng_below(r, 3) ? 0.5 + loom_rng_uniform(r) : 0;
    default:
        return loom_rng_normal(r);
    }
}

int32_t loom_case_draw(const char *name, int64_t i, int32_t n)
{
    struct loom_rng rng;
    loom_rng_init(&rng, 7, name, 0, (uint64_t)i);
    return (int32_t)loom_rng_below(&rng, (uint32_t)n);
}

static void fill_rows(loom_real *x, const char *name, int fill, int64_t rows, int64_t width, const uint64_t *key)
{
    for (int64_t r = 0; r < rows; r++) {
        struct loom_rng rng;
        loom_rng_init(&rng, 1, name, 0, key ? key[r] : (uint64_t)r);
        for (int64_t c = 0; c < width; c++)
            x[r * width + c] = (loom_real)fill_value(&rng, fill);
    }
}

/* ---- what builders use ---- */

int32_t loom_case_row(const struct loom_case_run *r, int64_t i)
{
    return r->select ? r->select[i] : (int32_t)i;
}

int64_t loom_case_rows(const struct loom_case_run *r)
{
    return r->select ? r->selected : r->c->rows;
}

void *loom_case_alloc(struct loom_case_run *r, size_t bytes)
{
    void *p = loom_graph_alloc(r->graph, bytes ? bytes : 1);
    return p ? memset(p, 0, bytes) : NULL;
}

static int64_t product(int rank, const int64_t *dim)
{
    int64_t size = 1;
    for (int i = 0; i < rank; i++)
        size *= dim[i];
    return size;
}

static loom_real *case_values(struct loom_case_run *r, const char *name, int fill, int axis, int rank,
                              const int64_t *dim)
{
    int64_t size = product(rank, dim);
    loom_real *x = loom_case_alloc(r, (size_t)size * sizeof(*x));
    if (x)
        fill_rows(x, name, fill, dim[0], product(rank - 1, dim + 1), axis == LOOM_AXIS_ROWS ? r->key : NULL);
    return x;
}

struct loom_node *loom_case_leaf(struct loom_case_run *r, const char *name, int fill, int axis, int rank,
                                 const int64_t *dim)
{
    struct loom_case_leaf *leaf = &r->leaf[r->leaves];
    leaf->name = name;
    leaf->size = product(rank, dim);
    leaf->rows = axis == LOOM_AXIS_ROWS ? dim[0] : 0;
    leaf->key = leaf->rows ? r->key : NULL;
    leaf->value = case_values(r, name, fill, axis, rank, dim);
    leaf->grad = loom_case_alloc(r, (size_t)leaf->size * sizeof(*leaf->grad));
    if (!leaf->value || !leaf->grad)
        return NULL;
    r->leaves++;
    return loom_leaf(r->graph, name, rank, dim, leaf->value, leaf->grad);
}

struct loom_node *loom_case_input(struct loom_case_run *r, const char *name, int fill, int axis, int rank,
                                  const int64_t *dim)
{
    loom_real *x = case_values(r, name, fill, axis, rank, dim);
    return x ? loom_input(r->graph, LOOM_REAL, rank, dim, x) : NULL;
}

/* Shuffled rows are dealt out by stepping through 0 … rows-1 with a stride prime to their number. */
static int32_t shuffle_stride(int64_t rows)
{
    static const int32_t prime[] = {7, 11, 13, 17, 19, 23, 29, 31};
    for (size_t i = 0; i < sizeof(prime) / sizeof(prime[0]); i++)
        if (rows % prime[i])
            return prime[i];
    return 1;
}

void loom_case_groups(struct loom_case_run *r, const char *name, int32_t most, int order, struct loom_groups *groups,
                      const uint64_t **key, int64_t *rows)
{
    int shuffled = (order & LOOM_GROUPS_SHUFFLED) != 0, even = (order & LOOM_GROUPS_EVEN) != 0;
    int64_t n = loom_case_rows(r), used = 0;
    int32_t *first = loom_case_alloc(r, (size_t)(n + 1) * sizeof(*first));
    int32_t *row = loom_case_alloc(r, (size_t)(n * most + 1) * sizeof(*row));
    uint64_t *group_key = loom_case_alloc(r, (size_t)n * sizeof(*group_key));
    uint64_t *row_key = loom_case_alloc(r, (size_t)(n * most + 1) * sizeof(*row_key));
    *groups = (struct loom_groups){0};
    *rows = 0;
    if (!first || !row || !group_key || !row_key)
        return;
    for (int64_t g = 0; g < n; g++) {
        int32_t whole = loom_case_row(r, g);
        group_key[g] = (uint64_t)whole + 1000;
        used += whole == 0 || even ? most : loom_case_draw(name, whole, most + 1);
        first[g + 1] = (int32_t)used;
    }
    *rows = used + (shuffled ? 1 : 0); /* the stranger is the row that nothing names */
    int64_t stride = shuffled ? shuffle_stride(*rows) : 1;
    row_key[shuffled ? used * stride % *rows : 0] = UINT64_MAX;
    for (int64_t g = 0; g < n; g++)
        for (int32_t i = first[g]; i < first[g + 1]; i++) {
            row[i] = (int32_t)(i * stride % *rows);
            row_key[row[i]] = (uint64_t)loom_case_row(r, g) << 32 | (uint64_t)(i - first[g]);
        }
    *groups = (struct loom_groups){(int32_t)n, first, shuffled ? row : NULL, group_key};
    *key = row_key;
}

/* ---- a run ---- */

static struct loom_node *weighted_sum(struct loom_case_run *r, struct loom_node *out)
{
    int64_t dim[LOOM_MAX_RANK];
    int rank = loom_node_rank(out);
    for (int i = 0; i < rank; i++)
        dim[i] = loom_node_dim(out, i);
    r->key = r->out_key;
    struct loom_node *w =
        loom_case_input(r, "cotangent", LOOM_FILL_NORMAL, r->out_key ? LOOM_AXIS_ROWS : LOOM_AXIS_PLAIN, rank, dim);
    return w ? loom_sum(r->graph, loom_mul(r->graph, out, w)) : NULL;
}

int loom_case_build(struct loom_case_run *r, struct loom_graph *g, const struct loom_case *c, const int32_t *select,
                    int64_t selected)
{
    *r = (struct loom_case_run){.c = c, .graph = g, .select = select, .selected = selected};
    loom_graph_reset(g);
    int64_t n = loom_case_rows(r);
    uint64_t *key = loom_case_alloc(r, (size_t)n * sizeof(*key));
    for (int64_t i = 0; key && i < n; i++)
        key[i] = (uint64_t)loom_case_row(r, i);
    r->key = key;
    r->out_key = c->flags & LOOM_CASE_ROWS ? key : NULL;
    r->out = c->build(r);
    if (loom_node_ok(r->out))
        r->root = loom_node_dtype(r->out) == LOOM_F64 ? r->out : weighted_sum(r, r->out);
    return loom_graph_error(g, NULL);
}
