/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer that keeps the contract, in pieces: each plugin beside it breaks one of them. */
#ifndef LOOM_TESTS_BROKEN_PART_H
#define LOOM_TESTS_BROKEN_PART_H

#include <loom/plugin.h>

static int part_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    *self = NULL;
    return s != NULL ? LOOM_OK : loom_fail(e, LOOM_EINVAL, NULL, 0, "nothing to set up from; pass a setup");
}

static void part_destroy(void *self)
{
    (void)self;
}

static int part_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self, (void)e;
    t->likelihood = "poisson";
    return LOOM_OK;
}

static int part_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *rows,
                         struct loom_error *e)
{
    (void)self, (void)w, (void)rows, (void)e;
    return LOOM_OK;
}

static struct loom_node *part_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    (void)self, (void)b, (void)rows, (void)width;
    return NULL;
}

#define PART                                                                                                           \
    {                                                                                                                  \
        sizeof(struct loom_tokenizer), part_create, part_destroy, part_describe, NULL, NULL                            \
    }
#define PART_TABLE                                                                                                     \
    {                                                                                                                  \
        PART, part_tokenize, part_embed, NULL, NULL, NULL                                                              \
    }

static const struct loom_tokenizer part_table __attribute__((unused)) = PART_TABLE;
static const struct loom_option part_options[] __attribute__((unused)) = {
    {"patch", LOOM_OPT_INT, 0, "32", "[1,inf)", "units", "Units in a patch."}, {NULL, 0, 0, NULL, NULL, NULL, NULL}};

/* Every member of a sound descriptor. */
#define PART_PLUGIN(name)                                                                                              \
    .size = sizeof(struct loom_plugin), .build = LOOM_BUILD_BLOCK, .id = name, .version = "1.0",                       \
    .summary = "a tokenizer for tests", .license = "Apache-2.0", .kind = LOOM_TOKENIZER, .options = part_options,      \
    .table = &part_table

#define PART_ENTRY(descriptor)                                                                                         \
    const struct loom_plugin *loom_plugin_entry(uint32_t index)                                                        \
    {                                                                                                                  \
        return index == 0 ? &(descriptor) : NULL;                                                                      \
    }

#endif
