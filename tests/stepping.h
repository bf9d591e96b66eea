/* SPDX-License-Identifier: Apache-2.0 */
/* A small real model on two recordings: what tests of steps and of checkpoints share. */
#ifndef LOOM_TESTS_STEPPING_H
#define LOOM_TESTS_STEPPING_H

#include "fake.h"
#include "suite.h"

#include "model/internal.h"

#include <loom/config.h>

#include <stdlib.h>

enum { RECORDINGS = 2, WINDOWS = 10 };
static struct fake *fakes[RECORDINGS];
static struct loom_error e;

struct world {
    struct loom_catalog *catalog;
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_model *model;
    struct loom_selection selection;
    struct loom_windows windows;
};

static const char pipeline[] =
    "tokenizer: { plugin = \"ndt2\"; patch_units = 8; };"
    "backbone: { plugin = \"vit\"; width = 16; depth = 1; heads = 2; decoder_depth = 1; dropout = 0.1;"
    " context = ( \"session\" ); };"
    "objectives: ( { plugin = \"mae\"; hide = 0.5; }, { plugin = \"decode\"; target = \"position\"; } );";

static inline void open_world(struct world *w, int recordings, int with_shadow)
{
    const struct loom_recording *all[RECORDINGS];
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    spec.bin_s = 0.05;
    spec.window_s = 0.5;
    for (int i = 0; i < recordings; i++)
        all[i] = &fakes[i]->r;
    ck_ok(loom_catalog_new(&w->catalog, all, recordings, &spec, &e), &e);
    ck_ok(loom_registry_new(&w->registry, NULL, &e), &e);
    ck_ok(loom_config_parse(&w->config, pipeline, "test.cfg", 0, NULL, &e), &e);
    struct loom_model_spec m = {.registry = w->registry,
                                .catalog = w->catalog,
                                .root = loom_config_root(w->config),
                                .stage = loom_config_root(w->config),
                                .seed = 5,
                                .with_shadow = with_shadow};
    ck_ok(loom_model_new(&w->model, &m, &e), &e);
    ck_ok(loom_selection_init(&w->selection, w->catalog, LOOM_TRAIN, (struct loom_words){0, NULL}, &e), &e);
    ck_ok(loom_windows_init(&w->windows, &w->selection, &(struct loom_tiling){0}, &e), &e);
    ck_assert_int_ge(w->windows.n, WINDOWS + 8);
}

static inline void close_world(struct world *w)
{
    loom_model_free(w->model);
    loom_windows_release(&w->windows);
    loom_selection_release(&w->selection);
    loom_config_free(w->config);
    loom_registry_free(w->registry);
    loom_catalog_free(w->catalog);
}

static inline int run_on_fakes(const char *name, int n, const TTest *const *tests)
{
    for (int i = 0; i < RECORDINGS; i++)
        fakes[i] = fake_new(4, i, 0.05);
    int code = run_suite(name, n, tests, 120);
    for (int i = 0; i < RECORDINGS; i++)
        free(fakes[i]);
    return code;
}

#endif
