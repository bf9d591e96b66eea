/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin as it was built against an older header: sound, and shorter than what is there today. One row a bin, whose
 * one element is the count of the whole population. */
#include "plugin_0_0.h"

#include "verbs_0_0.h"

#ifndef OLDER_MAJOR
#define OLDER_MAJOR LOOM_ABI_MAJOR
#define OLDER_ID "older"
#endif

/* Bits of enum loom_power as they were, and as they stay. */
enum { STEPS = 1 << 8, CONTENT = 1 << 10 };

static int older_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)s, (void)e;
    *self = NULL;
    return LOOM_OK;
}

static int older_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self, (void)e;
    t->offers = STEPS | CONTENT;
    t->likelihood = "poisson";
    t->elems = 1;
    return LOOM_OK;
}

static int older_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *rows,
                          struct loom_error *e)
{
    const int32_t all = 0;
    const int32_t layout = loom_rows_layout(rows, 1, &all);
    int status = LOOM_OK;
    (void)self, (void)e;
    for (int32_t k = 0; k < w->bins && status == LOOM_OK; k++) {
        loom_real sum = 0;
        for (int32_t u = 0; u < w->units; u++)
            sum += (loom_real)w->count[(int64_t)k * w->units + u];
        status = loom_rows_append(rows, (k + 0.5) * w->bin_s, NULL, layout, &sum, NULL);
    }
    return status;
}

/* count × a vector + a vector, the second another one where the count is hidden. */
static struct loom_node *older_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    struct loom_graph *g = loom_build_graph(b);
    const int64_t n = rows->rows;
    int32_t *which = loom_graph_alloc(g, ((size_t)n + 1) * sizeof *which);
    (void)self;
    for (int64_t r = 0; which != NULL && r < n; r++)
        which[r] = rows->state[r] == 1;
    struct loom_node *gain = loom_param(b, "gain", 2, (const int64_t[]){1, width}, "normal:0.1", 0);
    struct loom_node *base = loom_param(b, "base", 2, (const int64_t[]){2, width}, "normal:0.02", LOOM_NO_DECAY);
    struct loom_node *count = loom_input(g, LOOM_REAL, 2, (const int64_t[]){n, 1}, rows->value);
    return loom_add(g, loom_matmul(g, count, gain, 0, 0), loom_gather(g, base, loom_input(g, LOOM_I32, 1, &n, which)));
}

static const struct loom_tokenizer table = {
    .part = {.size = sizeof table, .create = older_create, .describe = older_describe},
    .tokenize = older_tokenize,
    .embed = older_embed};

static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = {OLDER_MAJOR, LOOM_ABI_MINOR, sizeof(loom_real), LOOM_MAX_RANK,
                                                    sizeof(struct loom_option), sizeof(struct loom_window),
                                                    sizeof(struct loom_rows), sizeof(struct loom_traits)},
                                          .id = OLDER_ID,
                                          .version = "1.0",
                                          .summary = "built against an older header",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
