/* SPDX-License-Identifier: Apache-2.0 */
/* A model on a simulated experiment, from the text of a pipeline whose root holds the objectives too: for tests of
 * plugins that look into what the walk computes. */
#ifndef LOOM_TESTS_SIMWORLD_H
#define LOOM_TESTS_SIMWORLD_H

#include "model/internal.h"

#include <loom/config.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "suite.h"

#define SIM_DATA                                                                                                       \
    "data: { source = \"sim\"; kind = \"reach\"; sessions = 2; units = 20; trials = 12; bin_ms = 50.0;"                \
    " window_ms = 600.0; split: { by = \"trial\"; train = 0.7; valid = 0.1; test = 0.2; }; };"

struct simworld {
    struct loom_catalog *catalog;
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_model *model;
    struct loom_store *store;
    struct loom_shard *shard;
    struct loom_block block;
    struct loom_selection selection;
    struct loom_windows windows;
    struct loom_error e;
};

static inline int simworld_try(struct simworld *w, const char *pipeline)
{
    memset(w, 0, sizeof *w);
    ck_ok(loom_registry_new(&w->registry, NULL, &w->e), &w->e);
    ck_ok(loom_config_parse(&w->config, pipeline, "test.cfg", 0, NULL, &w->e), &w->e);
    ck_ok(loom_catalog_open(&w->catalog, loom_config_group(w->config, "data"), w->registry, &w->e), &w->e);
    struct loom_model_spec m = {.registry = w->registry,
                                .catalog = w->catalog,
                                .root = loom_config_root(w->config),
                                .stage = loom_config_root(w->config),
                                .seed = 5};
    return loom_model_new(&w->model, &m, &w->e);
}

static inline void simworld_open(struct simworld *w, const char *pipeline)
{
    ck_ok(simworld_try(w, pipeline), &w->e);
    w->store = loom_model_store(w->model);
    ck_ok(loom_shard_new(&w->shard, w->model, (size_t)1 << 28, &w->e), &w->e);
    ck_ok(loom_block_init(&w->block, w->store, &w->e), &w->e);
    ck_ok(loom_selection_init(&w->selection, w->catalog, LOOM_TRAIN, (struct loom_words){0, NULL}, &w->e), &w->e);
    ck_ok(loom_windows_init(&w->windows, &w->selection, &(struct loom_tiling){0}, &w->e), &w->e);
}

static inline void simworld_close(struct simworld *w)
{
    loom_shard_free(w->shard);
    loom_block_release(&w->block);
    loom_model_free(w->model);
    loom_windows_release(&w->windows);
    loom_selection_release(&w->selection);
    loom_config_free(w->config);
    loom_catalog_free(w->catalog);
    loom_registry_free(w->registry);
}

/* Plan, build and run n samples in one shard; the loss, Σ of terms with a gradient. */
static inline double simworld_pass(struct simworld *w, const struct loom_sample *sample, int n, enum loom_mode mode,
                                   uint64_t step)
{
    double loss = 0;
    ck_ok(loom_shard_plan(w->shard, sample, n, mode, step, &w->e), &w->e);
    loom_block_zero(&w->block, w->store);
    ck_ok(loom_shard_build(w->shard, loom_shard_masses(w->shard), &w->block, 1, &w->e), &w->e);
    loom_shard_run(w->shard);
    for (int i = 0; i < w->store->count; i++)
        if (w->store->entry[i].lifetime == LOOM_LIFE_TERM && !(w->store->entry[i].flags & LOOM_LOG_ONLY))
            loss += w->block.term[w->store->entry[i].offset];
    return loss;
}

static inline const struct loom_entry *simworld_entry(const struct simworld *w, int lifetime, const char *name)
{
    const struct loom_entry *n = loom_store_find(w->store, lifetime, name);
    if (!n)
        ck_abort_msg("there is no '%s'", name);
    return n;
}

static inline double simworld_term(const struct simworld *w, const char *name)
{
    return w->block.term[simworld_entry(w, LOOM_LIFE_TERM, name)->offset];
}

/* Fitting passes over all windows, as a run makes them; how many. */
static inline int simworld_fit(struct simworld *w)
{
    int pass = 0, more = 1;
    for (; more == 1 && pass < 100; pass++) {
        simworld_pass(w, w->windows.sample, w->windows.n, LOOM_FIT, (uint64_t)pass);
        more = loom_model_update(w->model, w->block.sum, 1, pass, &w->e);
        ck_ok(more < 0 ? more : LOOM_OK, &w->e);
    }
    ck_assert_int_eq(more, 0);
    return pass;
}

/* Numbers of a STATE; *n (may be NULL): how many. */
static inline loom_real *simworld_state(const struct simworld *w, const char *name, int64_t *n)
{
    const struct loom_entry *entry = simworld_entry(w, LOOM_LIFE_STATE, name);
    if (n)
        *n = entry->size;
    return w->store->state + entry->offset;
}

#endif
