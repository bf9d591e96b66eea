/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin as it was built against an older header: sound, and shorter than what is there today. */
#include "plugin_0_0.h"

static int older_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)s, (void)e;
    *self = NULL;
    return LOOM_OK;
}

static int older_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self, (void)e;
    t->likelihood = "poisson";
    return LOOM_OK;
}

static int older_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *rows,
                          struct loom_error *e)
{
    (void)self, (void)w, (void)rows, (void)e;
    return LOOM_OK;
}

static struct loom_node *older_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    (void)self, (void)b, (void)rows, (void)width;
    return NULL;
}

static const struct loom_tokenizer table = {
    .part = {.size = sizeof table, .create = older_create, .describe = older_describe},
    .tokenize = older_tokenize,
    .embed = older_embed};

static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = {LOOM_ABI_MAJOR, LOOM_ABI_MINOR, sizeof(loom_real), LOOM_MAX_RANK,
                                                    sizeof(struct loom_option), sizeof(struct loom_window),
                                                    sizeof(struct loom_rows), sizeof(struct loom_traits)},
                                          .id = "older",
                                          .version = "1.0",
                                          .summary = "built against an older header",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
