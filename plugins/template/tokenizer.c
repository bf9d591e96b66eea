/* SPDX-License-Identifier: Apache-2.0 */
/* @NAME@: a tokenizer. It turns a window of a recording into rows (tokens), rows into vectors, and answers back into
 * what was asked. This one makes a row of each bin and each patch of neighbouring units.
 *
 * When its functions are called, and what they may do (<loom/plugin.h> has the whole contract):
 *   create, describe, destroy   [setup]  one thread; may allocate and fail
 *   tokenize                    [data]   many threads at once, on host memory; no graph
 *   embed, read                 [build]  many threads at once; append nodes to a graph; cannot fail
 * The instance (`self`) is const from create to destroy. All memory that changes (weights, sums) belongs to the core
 * and has a name, so there is nothing to save, load or copy here. What create allocates destroy frees, and nothing else
 * is freed here: rows live until the step ends, nodes belong to the graph. */
#include <loom/nn.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdlib.h>

struct part {
    const struct loom_options *options; /* borrowed, valid until destroy; LIVE options are read where they are used */
    int32_t patch;                      /* units in a row */
};

/* [setup] Options were parsed and are in range: read them here. */
static int part_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct part *p = calloc(1, sizeof *p);
    if (p == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a tokenizer; free some");
    p->options = loom_setup_options(s);
    p->patch = (int32_t)loom_opt_int(p->options, "patch");
    *self = p;
    return LOOM_OK;
}

static void part_destroy(void *self)
{
    free(self);
}

/* [setup] What the other parts may count on. CONTENT: rows can be asked for; ELEMENTS: numbers in a row can be hidden
 * one by one; UNITS: each number is a unit's. `axes` are the coordinates that every row gets beside its time. */
static int part_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    static const char *const axes[] = {"space", NULL};
    (void)self, (void)e;
    t->offers = LOOM_CONTENT | LOOM_ELEMENTS | LOOM_UNITS;
    t->axes = axes;
    t->likelihood = "poisson";
    return LOOM_OK;
}

/* [data] Append the window's rows: values and coordinates. What is hidden is not a tokenizer's business: the core calls
 * it again for what the data hold out, and objectives hide rows later. A unit's patch hangs on its number in the
 * recording, not on its place in the window, for units may be dropped from a window. */
static int part_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *rows,
                         struct loom_error *e)
{
    const struct part *p = self;
    loom_real *value = loom_rows_scratch(rows, ((size_t)p->patch + 1) * sizeof *value);
    if (value == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to tokenize; use a smaller batch");
    for (int32_t bin = 0; bin < w->bins; bin++)
        for (int32_t u = 0, n; u < w->units; u += n) {
            const int64_t at = (int64_t)bin * w->units + u;
            const double space = w->unit[u] / p->patch;
            for (n = 0; u + n < w->units && w->unit[u + n] / p->patch == w->unit[u] / p->patch; n++)
                value[n] = (loom_real)w->count[at + n];
            int32_t layout = loom_rows_layout(rows, n, w->unit + u); /* which units the numbers are of */
            if (layout < 0)
                return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to tokenize; use a smaller batch");
            int rc = loom_rows_append(rows, (bin + 0.5) * w->bin_s, &space, layout, value,
                                      w->held != NULL ? w->held + at : NULL);
            if (rc != LOOM_OK)
                return rc;
        }
    return LOOM_OK;
}

/* [build] Rows to vectors [rows, width]. A row is HIDDEN when it stands there without content, a question for example:
 * it gets one learned vector, whatever its values. Errors stick to the graph, and memory from loom_graph_alloc may be
 * NULL when the graph is full: then nothing is written and the core reports it. */
static struct loom_node *part_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    const struct part *p = self;
    struct loom_graph *g = loom_build_graph(b);
    loom_real *x = loom_graph_alloc(g, ((size_t)rows->rows * (size_t)p->patch + 1) * sizeof *x);
    int32_t *hidden = loom_graph_alloc(g, ((size_t)rows->rows + 1) * sizeof *hidden);
    if (x == NULL || hidden == NULL)
        return loom_constant(g, 2, (const int64_t[]){rows->rows, width}, 0.0);
    for (int32_t r = 0; r < rows->rows; r++) {
        const struct loom_layout *l = &rows->layout_of[rows->layout[r]];
        loom_real *slot = x + (int64_t)r * p->patch;
        hidden[r] = rows->state[r] == LOOM_HIDDEN ? 0 : -1; /* -1: a row of zeros */
        for (int32_t k = 0; k < p->patch; k++)
            slot[k] = 0;
        for (int32_t k = 0; k < l->n && hidden[r] < 0; k++)
            slot[l->index[k] % p->patch] = (loom_real)log1p((double)rows->value[rows->first_elem[r] + k]);
    }
    struct loom_node *counts = loom_input(g, LOOM_REAL, 2, (const int64_t[]){rows->rows, p->patch}, x);
    struct loom_node *y =
        loom_nn_linear(b, "counts", counts, width, LOOM_ACT_NONE); /* "counts.weight", "counts.bias" */
    y = loom_add(g, y, loom_nn_embedding(b, "mask", 1, width, rows->rows, hidden, "normal:0.02"));
    return loom_nn_dropout(b, "dropout", y, loom_opt_real(p->options, "dropout"), &rows->groups);
}

/* [build] Answers [rows, W] to parameters of the likelihood [elements, 1], here log-rates, in the order of the
 * elements. Each row answers for a whole patch; the slots that hold a unit are picked. */
static struct loom_node *part_read(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                   struct loom_node *answer)
{
    const struct part *p = self;
    struct loom_graph *g = loom_build_graph(b);
    const int64_t elems = ask->elems;
    struct loom_node *y = loom_nn_linear(b, "log_rate", answer, p->patch, LOOM_ACT_NONE);
    int32_t *pick = loom_graph_alloc(g, ((size_t)elems + 1) * sizeof *pick);
    for (int32_t r = 0; pick != NULL && r < ask->rows; r++) {
        const struct loom_layout *l = &ask->layout_of[ask->layout[r]];
        for (int32_t k = 0; k < l->n; k++)
            pick[ask->first_elem[r] + k] = r * p->patch + l->index[k] % p->patch;
    }
    if (pick == NULL)
        return loom_constant(g, 2, (const int64_t[]){elems, 1}, 0.0);
    y = loom_reshape(g, y, 2, (const int64_t[]){(int64_t)ask->rows * p->patch, 1});
    return loom_gather(g, y, loom_input(g, LOOM_I32, 1, &elems, pick));
}

/* Options: parsed, checked and documented from this table. LIVE ones may change between steps. */
static const struct loom_option options[] = {
    {"patch", LOOM_OPT_INT, 0, "8", "[1,4096]", "units", "Neighbouring units in one row."},
    {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "Of row vectors."},
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};

/* `truth` and `render` are left out: targets are the counts, and what is reported is the likelihood's mean. */
static const struct loom_tokenizer table = {
    .part = {.size = sizeof table, .create = part_create, .destroy = part_destroy, .describe = part_describe},
    .tokenize = part_tokenize,
    .embed = part_embed,
    .read = part_read};

/* The id is the file's name without ".so". */
static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "@NAME@",
                                          .version = "0.1",
                                          .summary = "one row a bin and patch of units, counts by a linear layer",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .options = options,
                                          .table = &table};

/* [load] The one symbol that the file shows. */
const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
