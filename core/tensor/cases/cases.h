/* SPDX-License-Identifier: Apache-2.0 */
/* One list of op cases feeds the comparison with the reference kernels, the gradient checks, the row law and `loom
 * bench`.
 *
 * A case builds one op from leaves whose values are functions of (leaf name, place), so that a selection of rows gets
 * the values those rows have in the whole. */
#ifndef LOOM_TENSOR_CASES_H
#define LOOM_TENSOR_CASES_H

#include <loom/graph.h>

enum loom_case_flags {
    LOOM_CASE_ROWS = 1,   /* obeys the row law; a selection picks rows */
    LOOM_CASE_GROUPS = 2, /* obeys it group by group; a selection picks groups */
    LOOM_CASE_STOPS = 4,  /* passes no gradient */
    LOOM_CASE_TIMING = 8, /* large: for benchmarks, not for gradient checks */
};

struct loom_case_run;

struct loom_case {
    const char *name; /* "linear.gelu": the op, then the variant */
    struct loom_node *(*build)(struct loom_case_run *r);
    int64_t rows, width, more; /* what `more` means, the builder says */
    uint32_t option;           /* bits that the builder reads */
    uint32_t flags;            /* enum loom_case_flags */
};

/* A leaf of a case; memory lives until the graph is reset. */
struct loom_case_leaf {
    const char *name;
    loom_real *value, *grad;
    int64_t size;
    int64_t rows;        /* that a selection picks; 0 where axis 0 is plain */
    const uint64_t *key; /* [rows] their names, the same in the whole and in a selection */
};

enum { LOOM_CASE_LEAVES = 6 };

struct loom_case_run {
    const struct loom_case *c;
    struct loom_graph *graph;
    const int32_t *select; /* [selected] rows or groups of the whole case, in the order they stand; NULL = the whole */
    int64_t selected;
    struct loom_case_leaf leaf[LOOM_CASE_LEAVES];
    int leaves;
    const uint64_t *key;     /* names of the rows of the leaves made next; set by builders that select groups */
    const uint64_t *out_key; /* names of the output's rows; NULL where they have none */
    struct loom_node *out;   /* of the op */
    struct loom_node *root;  /* F64 [1]: the output, or its sum weighted by fixed random numbers */
};

const struct loom_case *loom_case_at(size_t i); /* NULL behind the last */
/* Reset the graph and build case c in it. Returns the graph's status. */
int loom_case_build(struct loom_case_run *r, struct loom_graph *g, const struct loom_case *c, const int32_t *select,
                    int64_t selected);
/* "linear.gelu 17 x 33 x 5" */
const char *loom_case_title(const struct loom_case *c, char *out, size_t size);

/* ---- for builders ---- */
enum loom_case_fill {
    LOOM_FILL_NORMAL,   /* N(0,1) */
    LOOM_FILL_EDGELESS, /* like it, but 0.07 or more away from each multiple of 1/4: no kink is near */
    LOOM_FILL_POSITIVE, /* 0.5 … 1.5 */
    LOOM_FILL_COUNTS,   /* 0, 1, … 5 */
    LOOM_FILL_SHARE,    /* 0 … 1 */
    LOOM_FILL_WEIGHTS,  /* 0.5 … 1.5, a third of them 0 */
};
/* What axis 0 of a leaf is: plain, or rows that the selection picks. */
enum loom_case_axis { LOOM_AXIS_PLAIN, LOOM_AXIS_ROWS };

struct loom_node *loom_case_leaf(struct loom_case_run *r, const char *name, int fill, int axis, int rank,
                                 const int64_t *dim);
struct loom_node *loom_case_input(struct loom_case_run *r, const char *name, int fill, int axis, int rank,
                                  const int64_t *dim);
/* Number in the whole of row (or group) i of this run, and how many there are. */
int32_t loom_case_row(const struct loom_case_run *r, int64_t i);
int64_t loom_case_rows(const struct loom_case_run *r);
void *loom_case_alloc(struct loom_case_run *r, size_t bytes); /* zeroed; NULL when the graph is full */
enum loom_case_order {
    LOOM_GROUPS_SHUFFLED = 1, /* rows stand in another order in memory, and one belongs to no group */
    LOOM_GROUPS_EVEN = 2,     /* every group has `most` rows */
};
/* Groups of a run that selects groups: whole group i has loom_case_draw(name, i, most + 1) rows, or `most` for i = 0.
 * Their rows are named in *key. order: bits of enum loom_case_order. */
void loom_case_groups(struct loom_case_run *r, const char *name, int32_t most, int order, struct loom_groups *groups,
                      const uint64_t **key, int64_t *rows);
/* A draw in 0 … n-1 as a function of (name, i). */
int32_t loom_case_draw(const char *name, int64_t i, int32_t n);

/* Cases of one family, for loom_case_at; the last has no name. */
extern const struct loom_case loom_cases_products[], loom_cases_attention[], loom_cases_elements[], loom_cases_rows[],
    loom_cases_losses[];

#endif
