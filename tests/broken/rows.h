/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer of bins that works: each plugin that includes it sets one macro before, and breaks one promise. */
#ifndef LOOM_TESTS_BROKEN_ROWS_H
#define LOOM_TESTS_BROKEN_ROWS_H

#include <loom/model.h>
#include <loom/nn.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef ROWS_UNITS
#define ROWS_UNITS(w) (w)->units /* units whose counts are kept */
#endif
#ifndef ROWS_VALUE
#define ROWS_VALUE(w, k, u) (loom_real)(w)->count[(int64_t)(k) * (w)->units + (u)]
#endif
#ifndef ROWS_TIME
#define ROWS_TIME(w, k) ((k) + 0.5) * (w)->bin_s
#endif
#ifndef ROWS_CONTENT
#define ROWS_CONTENT(rows, r, i) (rows)->value[i] /* what embed takes for the content of element i of row r */
#endif
#ifndef ROWS_FACTOR
#define ROWS_FACTOR(rows) 1.0 /* of every vector */
#endif
#ifndef ROWS_OFFERS
#define ROWS_OFFERS 0 /* beside what it does */
#endif
#ifndef ROWS_NAMES
#define ROWS_NAMES(w) (w)->unit /* of the elements of a row */
#endif
#ifndef ROWS_HELD
#define ROWS_HELD(w, k) ((w)->held ? (w)->held + (int64_t)(k) * (w)->units : NULL)
#endif
#ifndef ROWS_PICK
#define ROWS_PICK(name) (name) % 16 /* which of a row's answers is the element's of this name */
#endif
#ifndef ROWS_READ
#define ROWS_READ(g, y, index) loom_gather(g, y, index)
#endif
#ifndef ROWS_AFTER
#define ROWS_AFTER(g, x) (x) /* done to the vectors at last */
#endif

static int rows_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)s, (void)e;
    *self = NULL;
    return LOOM_OK;
}

static int rows_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self, (void)e;
    t->offers = LOOM_STEPS | LOOM_ELEMENTS | LOOM_CONTENT | LOOM_UNITS | ROWS_OFFERS;
    t->likelihood = "poisson";
    return LOOM_OK;
}

static int rows_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *b,
                         struct loom_error *e)
{
    (void)self;
    loom_real *value = loom_rows_scratch(b, ((size_t)w->units + 1) * sizeof *value);
    int32_t layout = loom_rows_layout(b, w->units, ROWS_NAMES(w));
    int status = value ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a bin; use fewer units");
    for (int32_t k = 0; k < w->bins && status == LOOM_OK; k++) {
        for (int32_t u = 0; u < w->units; u++)
            value[u] = u < ROWS_UNITS(w) ? ROWS_VALUE(w, k, u) : 0;
        status = loom_rows_append(b, ROWS_TIME(w, k), NULL, layout, value, ROWS_HELD(w, k));
    }
    return status;
}

/* Each count as a number times a vector of its unit, all added up. */
static struct loom_node *rows_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = rows->rows, units = 16;
    (void)self;
    loom_real *x = loom_graph_alloc(g, ((size_t)(n * units) + 1) * sizeof *x);
    if (x)
        memset(x, 0, ((size_t)(n * units) + 1) * sizeof *x);
    for (int32_t r = 0; x && r < rows->rows; r++)
        for (int32_t i = rows->first_elem[r]; i < rows->first_elem[r + 1]; i++)
            x[r * units + rows->layout_of[rows->layout[r]].index[i - rows->first_elem[r]] % units] +=
                ROWS_CONTENT(rows, r, i);
    struct loom_node *w = loom_param(b, "weight", 2, (const int64_t[]){width, units}, "fan_in", 0);
    struct loom_node *y =
        loom_linear(g, loom_input(g, LOOM_REAL, 2, (const int64_t[]){n, units}, x), w, NULL, LOOM_ACT_NONE);
    int32_t *hidden = loom_graph_alloc(g, ((size_t)n + 1) * sizeof *hidden);
    for (int32_t r = 0; hidden && r < rows->rows; r++)
        hidden[r] = rows->state[r] == LOOM_HIDDEN ? 0 : -1;
    y = loom_add(g, y, loom_nn_embedding(b, "mask", 1, width, n, hidden, "normal:0.02"));
    return ROWS_AFTER(g, loom_scale(g, y, ROWS_FACTOR(rows), 0.0));
}

static struct loom_node *rows_read(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                   struct loom_node *answer)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t slots = (int64_t)ask->rows * 16, elems = ask->elems;
    (void)self;
    struct loom_node *y =
        loom_reshape(g, loom_nn_linear(b, "rate", answer, 16, LOOM_ACT_NONE), 2, (const int64_t[]){slots, 1});
    int32_t *index = loom_graph_alloc(g, ((size_t)elems + 1) * sizeof *index);
    for (int32_t r = 0; index && r < ask->rows; r++)
        for (int32_t i = ask->first_elem[r]; i < ask->first_elem[r + 1]; i++)
            index[i] = r * 16 + ROWS_PICK(ask->layout_of[ask->layout[r]].index[i - ask->first_elem[r]]);
    return ROWS_READ(g, y, loom_input(g, LOOM_I32, 1, &elems, index));
}

static const struct loom_tokenizer rows_table = {
    .part = {.size = sizeof(struct loom_tokenizer), .create = rows_create, .describe = rows_describe},
    .tokenize = rows_tokenize,
    .embed = rows_embed,
    .read = rows_read};

#define ROWS_ENTRY(name)                                                                                               \
    static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),                                      \
                                              .build = LOOM_BUILD_BLOCK,                                               \
                                              .id = name,                                                              \
                                              .version = "1.0",                                                        \
                                              .summary = "bins, with one promise broken",                              \
                                              .license = "Apache-2.0",                                                 \
                                              .kind = LOOM_TOKENIZER,                                                  \
                                              .table = &rows_table};                                                   \
    const struct loom_plugin *loom_plugin_entry(uint32_t index)                                                        \
    {                                                                                                                  \
        return index == 0 ? &plugin : NULL;                                                                            \
    }

#endif
