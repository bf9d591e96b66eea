/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of baselines share: a model of one baseline, fitted on the train split of a catalogue. */
#ifndef LOOM_TESTS_FITTING_H
#define LOOM_TESTS_FITTING_H

#include "suite.h"

#include "data/catalog.h"
#include "model/model.h"

#include <loom/config.h>

#include <string.h>

static struct loom_error error;

struct fitted {
    struct loom_registry *registry;
    struct loom_config *config;
    struct loom_model *model;
    struct loom_shard *shard;
    struct loom_block block;
};

static inline void fit_windows(struct loom_windows *w, const struct loom_catalog *c, enum loom_split split, int folds)
{
    struct loom_selection s;
    ck_ok(loom_selection_init(&s, c, split, (struct loom_words){0, NULL}, &error), &error);
    ck_ok(loom_windows_init(w, &s, &(struct loom_tiling){.length_s = -1, .folds = folds}, &error), &error);
    loom_selection_release(&s);
}

/* A model of the baseline, not fitted yet. */
static inline void fit_open(struct fitted *f, const struct loom_catalog *c, const char *text, const char *baseline)
{
    ck_ok(loom_registry_new(&f->registry, NULL, &error), &error);
    ck_ok(loom_config_parse(&f->config, text, "test", 0, NULL, &error), &error);
    struct loom_model_spec spec = {.registry = f->registry,
                                   .catalog = c,
                                   .root = loom_config_root(f->config),
                                   .stage = loom_config_group(f->config, "stage"),
                                   .baseline = baseline,
                                   .baseline_options = loom_config_group(f->config, baseline),
                                   .seed = 1};
    ck_ok(loom_model_new(&f->model, &spec, &error), &error);
    ck_ok(loom_shard_new(&f->shard, f->model, (size_t)1 << 34, &error), &error);
    ck_ok(loom_block_init(&f->block, loom_model_store(f->model), &error), &error);
}

/* One fitting pass over whole training spans in five parts; 1 = another is wanted. */
static inline int fit_pass(struct fitted *f, const struct loom_catalog *c, int pass)
{
    struct loom_windows w;
    fit_windows(&w, c, LOOM_TRAIN, 5);
    ck_assert_int_ge(w.n, 5);
    ck_assert_int_lt(pass, 200);
    loom_block_zero(&f->block, loom_model_store(f->model));
    for (int i = 0; i < w.n; i++) {
        ck_ok(loom_shard_plan(f->shard, &w.sample[i], 1, LOOM_FIT, (uint64_t)pass, &error), &error);
        ck_ok(loom_shard_build(f->shard, loom_shard_masses(f->shard), &f->block, 1, &error), &error);
        loom_shard_run(f->shard);
    }
    loom_windows_release(&w);
    int more = loom_model_update(f->model, f->block.sum, 1, pass, &error);
    ck_assert_int_ge(more, 0);
    return more;
}

static inline void fit_all(struct fitted *f, const struct loom_catalog *c, const char *text, const char *baseline)
{
    fit_open(f, c, text, baseline);
    for (int pass = 0; fit_pass(f, c, pass); pass++)
        ;
}

static inline void fit_release(struct fitted *f)
{
    loom_block_release(&f->block);
    loom_shard_free(f->shard);
    loom_model_free(f->model);
    loom_config_free(f->config);
    loom_registry_free(f->registry);
}

static inline const loom_real *fit_state(const struct fitted *f, const char *name)
{
    const struct loom_store *s = loom_model_store(f->model);
    const struct loom_entry *n = loom_store_find(s, LOOM_LIFE_STATE, name);
    ck_assert_msg(n != NULL, "there is no state %s", name);
    return s->state + n->offset;
}

/* Number i of an estimator's state, in double precision: its two halves. */
static inline double fit_number(const struct fitted *f, const char *name, int64_t i)
{
    const struct loom_store *s = loom_model_store(f->model);
    const struct loom_entry *n = loom_store_find(s, LOOM_LIFE_STATE, name);
    ck_assert_msg(n != NULL && i < n->size / 2, "there is no state %s with number %d", name, (int)i);
    return (double)s->state[n->offset + i] + (double)s->state[n->offset + n->size / 2 + i];
}

#endif
