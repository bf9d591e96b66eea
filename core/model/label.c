/* SPDX-License-Identifier: Apache-2.0 */
/* Built-in tokenizer `label`: the class of a window's trial by a column of the table of trials, one question a window
 * with one logit a class. */
#include "model/builtins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct label {
    const char *name; /* borrowed from the model */
    int32_t classes;
    int by_session;
};

static int label_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct label *l = calloc(1, sizeof *l);
    if (l == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a label");
    l->name = loom_setup_modality(s);
    l->by_session = loom_opt_is(loom_setup_options(s), "query", "session");
    if (loom_catalog_classes(loom_setup_catalog(s), l->name, &l->classes) == NULL) {
        int rc = loom_fail(e, LOOM_EDATA, NULL, 0,
                           "\"%s\" is no column that sorts trials into classes; tokenizer 'label' serves one that is",
                           l->name);
        free(l);
        return rc;
    }
    *self = l;
    return LOOM_OK;
}

static void label_destroy(void *self)
{
    free(self);
}

static int label_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct label *l = self;
    (void)e;
    t->offers = LOOM_CONTENT;
    t->likelihood = "categorical";
    t->elems = 1;
    t->classes = l->classes;
    return LOOM_OK;
}

static int label_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *b,
                          struct loom_error *e)
{
    const struct label *l = self;
    const int32_t layout = loom_rows_layout(b, 1, &(int32_t){0});
    int status = LOOM_OK;
    (void)e;
    for (int32_t i = 0; i < w->series_count; i++)
        for (int32_t k = 0; strcmp(w->series[i].name, l->name) == 0 && status == LOOM_OK && k < w->series[i].samples;
             k++)
            status = loom_rows_append(b, w->series[i].time_s[k], NULL, layout, &w->series[i].value[k], NULL);
    return status;
}

static struct loom_node *label_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    return loom_query_embed(b, rows, width, ((const struct label *)self)->by_session);
}

/* A row of weights and a bias for each class by its name, so that a run goes on, and is evaluated, where classes are
 * others or stand in another order. */
static struct loom_node *label_read(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                    struct loom_node *answer)
{
    const struct label *l = self;
    const int64_t classes = l->classes;
    char vocabulary[128];
    (void)ask;
    snprintf(vocabulary, sizeof vocabulary, "class:%s", l->name);
    struct loom_node *weight = loom_table(b, vocabulary, "weight", (int)loom_node_dim(answer, -1), "fan_in", 0);
    struct loom_node *bias = loom_table(b, vocabulary, "bias", 1, "zeros", LOOM_NO_DECAY);
    bias = loom_reshape(loom_build_graph(b), bias, 1, &classes);
    return loom_linear(loom_build_graph(b), answer, weight, bias, LOOM_ACT_NONE);
}

static const struct loom_option label_options[] = {LOOM_QUERY_OPTION, {0}};

static const struct loom_tokenizer label_table = {.part = {.size = sizeof(struct loom_tokenizer),
                                                           .create = label_create,
                                                           .destroy = label_destroy,
                                                           .describe = label_describe},
                                                  .tokenize = label_tokenize,
                                                  .embed = label_embed,
                                                  .read = label_read};

const struct loom_plugin loom_builtin_label = {.size = sizeof(struct loom_plugin),
                                               .build = LOOM_BUILD_BLOCK,
                                               .id = "label",
                                               .version = "0.1",
                                               .summary = "the class of a trial, by a column of the table of trials",
                                               .license = "Apache-2.0",
                                               .kind = LOOM_TOKENIZER,
                                               .options = label_options,
                                               .table = &label_table};
