/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/cases/cases.h"

/* rows = rows picked, width, more = rows of the table (gather) or of the output (scatter). One index in five is -1. */
static struct loom_node *index_input(struct loom_case_run *r, int64_t n, int64_t count, int stride)
{
    int32_t *index = loom_case_alloc(r, (size_t)n * sizeof(*index));
    for (int64_t i = 0; index && i < n; i++) {
        int64_t at = loom_case_row(r, i);
        index[i] = count == 0 || at % 5 == 4 ? -1 : (int32_t)(at * stride % count);
    }
    return index ? loom_input(r->graph, LOOM_I32, 1, &n, index) : NULL;
}

static struct loom_node *build_gather(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    struct loom_node *table =
        loom_case_leaf(r, "table", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){c->more, c->width});
    struct loom_node *index = index_input(r, loom_case_rows(r), c->more, 3);
    return loom_gather(r->graph, loom_scale(r->graph, table, 2, 0), index);
}

/* rows places between, on, before and behind the `more` rows of a table. */
static struct loom_node *build_between(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    int64_t rows = loom_case_rows(r);
    struct loom_node *table =
        loom_case_leaf(r, "table", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){c->more, c->width});
    double *at = loom_case_alloc(r, ((size_t)rows + 1) * sizeof(*at));
    for (int64_t i = 0; at && i < rows; i++)
        at[i] = 0.25 * (double)(loom_case_row(r, i) * 7 % (4 * c->more + 8)) - 1.0;
    return at ? loom_between(r->graph, loom_scale(r->graph, table, 2, 0), rows, at) : NULL;
}

static struct loom_node *build_scatter(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    struct loom_node *x = loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){c->rows, c->width});
    struct loom_node *index = index_input(r, c->rows, c->more, 3), *inner = loom_scale(r->graph, x, 2, 0);
    return loom_add(r->graph, loom_scatter(r->graph, inner, index, c->more),
                    loom_scatter(r->graph, inner, index, c->more));
}

/* ---- joining and cutting: three pieces, one of them twice ---- */

static struct loom_node *build_concat_rows(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    struct loom_node *x[4];
    x[0] = loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){c->rows, c->width});
    x[1] = loom_case_leaf(r, "y", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){c->more, c->width});
    x[2] = x[0];
    x[3] = loom_scale(r->graph, x[1], 2, 0);
    return loom_concat_rows(r->graph, 4, x);
}

static struct loom_node *build_concat_cols(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    int64_t rows = loom_case_rows(r);
    struct loom_node *x[4];
    x[0] = loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){rows, c->width});
    x[1] = loom_case_leaf(r, "y", LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){rows, c->more});
    x[2] = x[0];
    x[3] = loom_scale(r->graph, x[1], 2, 0);
    return loom_concat_cols(r->graph, 4, x);
}

/* rows x width, cut at more; the pieces overlap by one. */
static struct loom_node *build_slice_rows(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    struct loom_node *x = loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){c->rows, c->width});
    struct loom_node *inner = loom_scale(r->graph, x, 2, 0);
    struct loom_node *piece[2] = {loom_slice_rows(r->graph, inner, c->more, c->rows - c->more),
                                  loom_slice_rows(r->graph, inner, 0, c->more ? c->more + 1 : 0)};
    return loom_concat_rows(r->graph, 2, piece);
}

static struct loom_node *build_slice_cols(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    struct loom_node *x =
        loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){loom_case_rows(r), c->width});
    struct loom_node *inner = loom_scale(r->graph, x, 2, 0);
    struct loom_node *piece[2] = {loom_slice_cols(r->graph, inner, c->more, c->width - c->more),
                                  loom_slice_cols(r->graph, inner, 0, c->more ? c->more + 1 : 0)};
    return loom_concat_cols(r->graph, 2, piece);
}

static struct loom_node *build_reshape(struct loom_case_run *r)
{
    const struct loom_case *c = r->c;
    const int64_t flat[1] = {c->rows * c->width}, deep[3] = {c->width, 1, c->rows};
    struct loom_node *x = loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_PLAIN, 2, (int64_t[]){c->rows, c->width});
    struct loom_node *y = loom_reshape(r->graph, x, 3, deep);
    return loom_mul(r->graph, loom_reshape(r->graph, y, 1, flat), loom_reshape(r->graph, x, 1, flat));
}

static struct loom_node *build_group_mean(struct loom_case_run *r)
{
    struct loom_groups groups;
    const uint64_t *names = r->key;
    int64_t rows;
    const uint64_t *key = NULL;
    loom_case_groups(r, "groups", 6, (int)r->c->option, &groups, &key, &rows);
    r->key = key;
    struct loom_node *x = loom_case_leaf(r, "x", LOOM_FILL_NORMAL, LOOM_AXIS_ROWS, 2, (int64_t[]){rows, r->c->width});
    r->out_key = names;
    struct loom_node *inner = loom_scale(r->graph, x, 2, 0);
    return loom_mul(r->graph, loom_group_mean(r->graph, x, &groups), loom_group_mean(r->graph, inner, &groups));
}

#define PICK(title, build, rows, width, more)                                                                          \
    {                                                                                                                  \
        title, build, rows, width, more, 0, LOOM_CASE_ROWS                                                             \
    }
#define PLAIN(title, build, rows, width, more)                                                                         \
    {                                                                                                                  \
        title, build, rows, width, more, 0, 0                                                                          \
    }

const struct loom_case loom_cases_rows[] = {
    PICK("gather", build_gather, 0, 4, 3),
    PICK("gather", build_gather, 1, 1, 1),
    PICK("gather", build_gather, 13, 7, 5),
    PICK("gather", build_gather, 6, 3, 0),
    PICK("between", build_between, 0, 4, 3),
    PICK("between", build_between, 3, 1, 1),
    PICK("between", build_between, 23, 7, 5),
    PLAIN("scatter", build_scatter, 0, 4, 3),
    PLAIN("scatter", build_scatter, 13, 7, 5),
    PLAIN("scatter", build_scatter, 3, 1, 0),
    PLAIN("concat_rows", build_concat_rows, 0, 4, 0),
    PLAIN("concat_rows", build_concat_rows, 1, 1, 3),
    PLAIN("concat_rows", build_concat_rows, 5, 7, 0),
    PICK("concat_cols", build_concat_cols, 0, 4, 2),
    PICK("concat_cols", build_concat_cols, 1, 1, 3),
    PICK("concat_cols", build_concat_cols, 5, 7, 0),
    PLAIN("slice_rows", build_slice_rows, 1, 3, 0),
    PLAIN("slice_rows", build_slice_rows, 7, 5, 3),
    PICK("slice_cols", build_slice_cols, 0, 3, 1),
    PICK("slice_cols", build_slice_cols, 5, 11, 4),
    PLAIN("reshape", build_reshape, 3, 5, 0),
    PLAIN("reshape", build_reshape, 0, 5, 0),
    {"group_mean", build_group_mean, 1, 1, 0, 0, LOOM_CASE_GROUPS},
    {"group_mean", build_group_mean, 5, 7, 0, 0, LOOM_CASE_GROUPS},
    {"group_mean.shuffled", build_group_mean, 5, 7, 0, 1, LOOM_CASE_GROUPS},
    {"gather.counts", build_gather, 19200, 8, 21, 0, LOOM_CASE_ROWS | LOOM_CASE_TIMING},
    {"gather.counts", build_gather, 2560, 4, 21, 0, LOOM_CASE_ROWS | LOOM_CASE_TIMING},
    {"gather.seen", build_gather, 6945, 1, 7680, 0, LOOM_CASE_ROWS | LOOM_CASE_TIMING},
    {"gather.mask", build_gather, 600, 256, 1, 0, LOOM_CASE_ROWS | LOOM_CASE_TIMING},
    {"scatter", build_scatter, 600, 256, 1200, 0, LOOM_CASE_TIMING},
    {"concat_rows", build_concat_rows, 600, 256, 0, 0, LOOM_CASE_TIMING},
    {"concat_rows", build_concat_rows, 80, 128, 4, 0, LOOM_CASE_TIMING},
    {"group_mean", build_group_mean, 80, 128, 0, 0, LOOM_CASE_GROUPS | LOOM_CASE_TIMING},
    {0},
};
