/* SPDX-License-Identifier: Apache-2.0 */
/* A small world for tests of models: two recordings, their windows, and a model that a pipeline names. */
#ifndef LOOM_TESTS_WORLD_H
#define LOOM_TESTS_WORLD_H

#include "suite.h"

#include "model/internal.h"
#include <loom/config.h>
#include <loom/rng.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { UNITS = 40, FRONT = 24, BINS = 400, RECORDINGS = 2, BATCH = 4 };

/* A hand that goes in circles, and units tuned to it; the first FRONT units lie in one region, the others in another.
 */
struct world {
    struct loom_recording r[RECORDINGS];
    struct loom_unit unit[UNITS];
    char name[UNITS][16];
    struct loom_counts counts[RECORDINGS];
    double start;
    int64_t first[2];
    uint16_t count[RECORDINGS][BINS * UNITS];
    struct loom_series series[RECORDINGS];
    float value[RECORDINGS][BINS * 2];
    double observed[2];
    struct loom_catalog *catalog;
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_model *model;
    struct loom_windows windows;
    struct loom_selection selection;
    struct loom_error e;
};

static const char *const dims[] = {"x", "y"};
static const char *const ids[] = {"monday", "tuesday"};

static inline void make_recording(struct world *w, int k)
{
    struct loom_rng g;
    loom_rng_init(&g, 7, ids[k], 0, 0);
    for (int t = 0; t < BINS; t++) {
        double phase = 0.2 * t + k;
        w->value[k][2 * t] = (float)(10.0 * cos(phase) + 3.0);
        w->value[k][2 * t + 1] = (float)(10.0 * sin(phase));
        for (int u = 0; u < UNITS; u++)
            w->count[k][t * UNITS + u] = (uint16_t)loom_rng_poisson(&g, exp(-0.5 + cos(phase - 0.4 * u)));
    }
    w->counts[k] = (struct loom_counts){0.02, 1, &w->start, w->first, w->count[k]};
    w->series[k] = (struct loom_series){"vel", "cm/s", 2, dims, BINS, 50.0, 0.01, NULL, w->value[k]};
    w->r[k] = (struct loom_recording){.id = ids[k],
                                      .subject = "s",
                                      .session = ids[k],
                                      .task = "t",
                                      .date = "",
                                      .file = "",
                                      .stop_s = BINS * 0.02,
                                      .units = UNITS,
                                      .unit = w->unit,
                                      .counts = &w->counts[k],
                                      .series_count = 1,
                                      .series = &w->series[k],
                                      .observed_count = 1,
                                      .observed_s = w->observed};
}

/* shadow 1: the model keeps a moving average of its weights. */
static inline struct world *world_shadowed(const char *pipeline, double held_out, int shadow)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    w.first[1] = BINS;
    w.observed[1] = BINS * 0.02;
    const struct loom_recording *all[RECORDINGS];
    for (int u = 0; u < UNITS; u++) {
        snprintf(w.name[u], sizeof(w.name[u]), "u%d", u);
        w.unit[u] =
            (struct loom_unit){.name = w.name[u], .group = "", .region = u < FRONT ? "front" : "back", .electrode = u};
    }
    for (int k = 0; k < RECORDINGS; k++) {
        make_recording(&w, k);
        all[k] = &w.r[k];
    }
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    spec.bin_s = 0.02;
    spec.window_s = 0.4;
    spec.held_out = held_out;
    spec.held_out_seed = 3;
    ck_ok(loom_catalog_new(&w.catalog, all, RECORDINGS, &spec, &w.e), &w.e);
    ck_ok(loom_registry_new(&w.registry, NULL, &w.e), &w.e);
    ck_ok(loom_config_parse(&w.config, pipeline, "test.cfg", 0, NULL, &w.e), &w.e);
    struct loom_model_spec m = {.registry = w.registry,
                                .catalog = w.catalog,
                                .root = loom_config_root(w.config),
                                .stage = loom_config_root(w.config),
                                .seed = 5,
                                .with_shadow = shadow};
    ck_ok(loom_model_new(&w.model, &m, &w.e), &w.e);
    struct loom_words none = {0, NULL};
    struct loom_tiling tiling = {0};
    ck_ok(loom_selection_init(&w.selection, w.catalog, LOOM_TRAIN, none, &w.e), &w.e);
    ck_ok(loom_windows_init(&w.windows, &w.selection, &tiling, &w.e), &w.e);
    return &w;
}

static inline struct world *world_new(const char *pipeline, double held_out)
{
    return world_shadowed(pipeline, held_out, 0);
}

static inline void world_free(struct world *w)
{
    loom_model_free(w->model);
    loom_windows_release(&w->windows);
    loom_selection_release(&w->selection);
    loom_config_free(w->config);
    loom_registry_free(w->registry);
    loom_catalog_free(w->catalog);
}

/* Loss of `n` windows from `first` on; gradients go to `block`. */
static inline double run(struct world *w, struct loom_shard *s, int first, int n, enum loom_mode mode, uint64_t step,
                         struct loom_block *block)
{
    ck_ok(loom_shard_plan(s, w->windows.sample + first, n, mode, step, &w->e), &w->e);
    ck_ok(loom_shard_build(s, loom_shard_masses(s), block, 1, &w->e), &w->e);
    loom_block_zero(block, loom_model_store(w->model));
    loom_shard_run(s);
    double loss = 0.0;
    for (int i = 0; i < loom_model_store(w->model)->count; i++) {
        const struct loom_entry *n_i = &loom_model_store(w->model)->entry[i];
        if (n_i->lifetime == LOOM_LIFE_TERM)
            loss += block->term[n_i->offset];
    }
    return loss;
}

#endif
