/* SPDX-License-Identifier: Apache-2.0 */
/* Built-in tokenizer `bins`: one row a bin, one element a unit (NDT1's token). A unit is a row of a table kept by name,
 * on the way in and on the way out, so a session's read-in and read-out matrices are just its units' rows. */
#include "model/builtins.h"

#include "model/internal.h"

#include <stddef.h>

static int bins_create(const struct loom_setup *setup, void **self, struct loom_error *e)
{
    (void)setup;
    (void)e;
    *self = NULL;
    return LOOM_OK;
}

static int bins_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self;
    (void)e;
    t->offers = LOOM_STEPS | LOOM_ELEMENTS | LOOM_CONTENT | LOOM_UNITS | LOOM_UNORDERED;
    t->likelihood = "poisson";
    return LOOM_OK;
}

static int bins_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *b,
                         struct loom_error *e)
{
    (void)self;
    int32_t layout = loom_rows_layout(b, w->units, w->unit);
    loom_real *value = loom_rows_scratch(b, ((size_t)w->units + 1) * sizeof(*value));
    int status = value ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a bin");
    for (int32_t k = 0; k < w->bins && status == LOOM_OK; k++) {
        int64_t at = (int64_t)k * w->units;
        for (int32_t u = 0; u < w->units; u++)
            value[u] = (loom_real)w->count[at + u];
        status = loom_rows_append(b, (k + 0.5) * w->bin_s, NULL, layout, value, w->held ? w->held + at : NULL);
    }
    return status;
}

/* Rows of one recording and layout share their units: one dense product each. Calls `each` for every such run, in the
 * rows' order, and joins what it returns. */
struct run {
    int32_t first, count, recording;
    const struct loom_layout *layout;
    struct loom_node *unit; /* I32 [units] rows of the table */
};

static struct loom_node *over_runs(struct loom_build *b, const struct loom_rows *rows, struct loom_node *x,
                                   int64_t empty,
                                   struct loom_node *(*each)(struct loom_build *, const struct loom_rows *,
                                                             struct loom_node *, const struct run *))
{
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node **part = loom_graph_alloc(g, ((size_t)rows->rows + 1) * sizeof(struct loom_node *));
    int parts = 0;
    for (int32_t r = 0; part && r < rows->rows;) {
        struct run run = {.first = r,
                          .recording = rows->segment[rows->segment_of[r]].recording,
                          .layout = &rows->layout_of[rows->layout[r]]};
        while (r < rows->rows && rows->layout[r] == rows->layout[run.first] &&
               rows->segment[rows->segment_of[r]].recording == run.recording)
            r++;
        run.count = r - run.first;
        int64_t n = run.layout->n;
        int32_t *unit = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*unit));
        for (int64_t i = 0; unit && i < n; i++)
            unit[i] = loom_table_row(b, "unit", run.recording, run.layout->index[i]);
        run.unit = loom_input(g, LOOM_I32, 1, &n, unit);
        part[parts++] = each(b, rows, x, &run);
    }
    if (parts == 0)
        return loom_constant(g, 2, (const int64_t[]){0, empty}, 0.0);
    return parts == 1 ? part[0] : loom_concat_rows(g, parts, part);
}

static struct loom_node *embed_run(struct loom_build *b, const struct loom_rows *rows, struct loom_node *table,
                                   const struct run *run)
{
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node *count = loom_input(g, LOOM_REAL, 2, (const int64_t[]){run->count, run->layout->n},
                                         rows->value + rows->first_elem[run->first]);
    return loom_matmul(g, count, loom_gather(g, table, run->unit), 0, 0);
}

static struct loom_node *bins_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = rows->rows;
    (void)self;
    struct loom_node *table = loom_table(b, "unit", "read_in", width, "uniform:0.1", 0);
    struct loom_node *x = over_runs(b, rows, table, width, embed_run);
    int32_t *hidden = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*hidden));
    for (int64_t r = 0; hidden && r < n; r++)
        hidden[r] = rows->state[r] == LOOM_HIDDEN ? 0 : -1;
    struct loom_node *mask =
        loom_param(b, "mask", 2, (const int64_t[]){1, width}, "normal:0.02", LOOM_NO_DECAY | LOOM_SPARSE_ROWS);
    return loom_add(g, x, loom_gather(g, mask, loom_input(g, LOOM_I32, 1, &n, hidden)));
}

static struct loom_node *read_run(struct loom_build *b, const struct loom_rows *ask, struct loom_node *answer,
                                  const struct run *run)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t units = run->layout->n, elems = units * run->count;
    (void)ask;
    struct loom_node *w = loom_table(b, "unit", "read_out", (int)loom_node_dim(answer, -1), "uniform:0.1", 0);
    struct loom_node *bias = loom_table(b, "unit", "log_rate", 1, "zeros", LOOM_NO_DECAY);
    struct loom_node *y =
        loom_linear(g, loom_slice_rows(g, answer, run->first, run->count), loom_gather(g, w, run->unit),
                    loom_reshape(g, loom_gather(g, bias, run->unit), 1, &units), LOOM_ACT_NONE);
    return loom_reshape(g, y, 2, (const int64_t[]){elems, 1});
}

static struct loom_node *bins_read(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                   struct loom_node *answer)
{
    (void)self;
    return over_runs(b, ask, answer, 1, read_run);
}

static const struct loom_tokenizer bins_table = {
    .part = {.size = sizeof(struct loom_tokenizer), .create = bins_create, .describe = bins_describe},
    .tokenize = bins_tokenize,
    .embed = bins_embed,
    .read = bins_read};

const struct loom_plugin loom_builtin_bins = {
    .size = sizeof(struct loom_plugin),
    .build = LOOM_BUILD_BLOCK,
    .id = "bins",
    .version = "0.1",
    .summary = "one row a bin, one element a unit; units are rows of a table by name",
    .license = "Apache-2.0",
    .kind = LOOM_TOKENIZER,
    .table = &bins_table};
