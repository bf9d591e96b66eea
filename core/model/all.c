/* SPDX-License-Identifier: Apache-2.0 */
/* Built-in objective `all`: everything that the data do not hold out is seen; what they hold out (units, forward bins)
 * and every behaviour is asked. What fits baselines. With `shown`, what is seen is asked too: the rates that a trained
 * model gives every unit at every bin, which exports are made of. */
#include "model/builtins.h"

#include "model/internal.h"

#include <stdlib.h>

struct all {
    int held;  /* 1: the data hold something out */
    int shown; /* 1: what is seen is asked too */
};

static int all_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_catalog *c = loom_setup_catalog(s);
    struct all *all = calloc(1, sizeof *all);
    if (!all)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for an objective; free some");
    all->shown = loom_opt_bool(loom_setup_options(s), "shown");
    all->held = loom_catalog_spec(c)->forward_s > 0.0;
    for (int i = 0; i < loom_catalog_count(c); i++)
        all->held |= loom_catalog_held(c, i) != NULL;
    *self = all;
    return LOOM_OK;
}

static void all_destroy(void *self)
{
    free(self);
}

static int all_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct all *all = self;
    (void)e;
    t->needs = all->held || all->shown ? 0 : LOOM_BEHAVIOR;
    t->offers = LOOM_KEEPS_ROWS | LOOM_FITS_SHARD;
    return LOOM_OK;
}

static int all_plan(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e)
{
    const struct all *all = self;
    struct loom_view_spec spec = LOOM_VIEW_SPEC;
    uint8_t *ask = loom_plan_alloc(p, (size_t)full->elems + 1);
    if (!ask)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    for (int32_t r = 0; r < full->rows; r++)
        for (int32_t i = full->first_elem[r]; i < full->first_elem[r + 1]; i++)
            ask[i] = !loom_plan_visible(p, full->modality[r]) ? 1 : all->shown && full->held[i] == 0 ? 3 : 0;
    loom_plan_held_out(full, -1, ask);
    spec.ask = ask;
    return loom_plan_view(p, full, &spec, e);
}

static void all_build(const void *self, struct loom_build *b, const struct loom_plan *p)
{
    const struct loom_model *m = p->model;
    const struct loom_view *v = loom_plan_get(p, 0);
    (void)self;
    const struct loom_memory *memory = loom_encode(b, v, 0);
    for (int i = 0; i < m->modalities; i++) {
        struct loom_answer a = loom_ask(b, v, memory, m->modality[i].name);
        struct loom_node *params = loom_read(b, v, a, m->modality[i].name);
        loom_emit(b, m->modality[i].name, loom_nll(b, v, params, m->modality[i].name), 1.0, LOOM_LOG_ONLY);
    }
}

static const struct loom_objective all_table = {.part = {.size = sizeof(struct loom_objective),
                                                         .create = all_create,
                                                         .destroy = all_destroy,
                                                         .describe = all_describe},
                                                .plan = all_plan,
                                                .build = all_build};

static const struct loom_option all_options[] = {
    {"shown", LOOM_OPT_BOOL, 0, "false", NULL, NULL, "ask for what is seen as well: rates of every unit at every bin"},
    {0}};

const struct loom_plugin loom_builtin_all = {
    .size = sizeof(struct loom_plugin),
    .build = LOOM_BUILD_BLOCK,
    .id = "all",
    .version = "0.1",
    .summary =
        "what is not held out is seen; what is held out, and every behaviour, is asked: what baselines are fitted on",
    .license = "Apache-2.0",
    .kind = LOOM_OBJECTIVE,
    .options = all_options,
    .table = &all_table};
