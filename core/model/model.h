/* SPDX-License-Identifier: Apache-2.0 */
/* A model of one stage: parts, objectives, store; and shards, which take windows through the walk.
 *
 *   step:  every shard plan [data, any thread] → masses joined in shard order → every shard build, forward, backward
 * into a block → blocks joined over a fixed tree → clip, optimizer → loom_model_update
 */
#ifndef LOOM_MODEL_MODEL_H
#define LOOM_MODEL_MODEL_H

#include "base/str.h"
#include "data/catalog.h"
#include "model/store.h"
#include "plugin/registry.h"
#include <loom/config.h>
#include <loom/model.h>

struct loom_model;
struct loom_shard;
struct loom_kernels;
struct loom_packs;
struct loom_pool;

enum loom_mode {
    LOOM_DECLARE,  /* names parameters, runs nothing (inside loom_model_new) */
    LOOM_FIT,      /* fitting pass: sums are collected, no gradient, no dropout */
    LOOM_STEP,     /* training step */
    LOOM_EVALUATE, /* no dropout; draws hang on a draw number; reads are recorded */
};

/* Low-rank adaptation of weights (LoRA, Hu et al. 2022): what loom_weight gives for a matrix whose full name matches
 * is W + alpha / rank · B A, with parameters lora.NAME.a [rank, in] "fan_in" and lora.NAME.b [out, rank] zeros. */
struct loom_lora {
    int32_t rank; /* 0: none */
    double alpha;
    struct loom_words match;
};

struct loom_model_spec {
    struct loom_registry *registry;
    const struct loom_catalog *catalog;
    const struct loom_group
        *root; /* holds `tokenizer` or `modalities`, and `backbone`; borrowed for the model's life */
    const struct loom_group *stage; /* holds `objectives`, a list of groups */
    const char *baseline; /* not NULL: the id of a baseline that takes the backbone's place, spikes come from `bins`,
                             and the only objective asks the behaviours of `stage`; `baseline_options` may be NULL */
    const struct loom_group *baseline_options;
    uint64_t seed;
    int with_shadow;              /* keep a moving average of the parameters */
    const struct loom_lora *lora; /* NULL: none; must outlive the model */
};
/* Create parts, check needs against offers, name all memory, draw initial values. LOOM_ECONFIG, LOOM_EDATA,
 * LOOM_EPLUGIN. */
int loom_model_new(struct loom_model **out, const struct loom_model_spec *spec, struct loom_error *e);
void loom_model_free(struct loom_model *m);
struct loom_store *loom_model_store(const struct loom_model *m);
int loom_model_arity(const struct loom_model *m); /* windows in a tuple that its objectives want; 1 = single windows */
int loom_model_modalities(const struct loom_model *m);
const char *loom_model_modality(const struct loom_model *m, int i);
const char *loom_model_likelihood(const struct loom_model *m, int modality); /* NULL: cannot be asked */
int loom_model_visible(const struct loom_model *m, int modality);            /* its rows may stand in a view's input */
int loom_model_causal(const struct loom_model *m); /* its answers hold to the past: the backbone's option `causal` is
                                                    * true, or a baseline offers LOOM_CAUSAL */
/* What the part of that kind said of itself: the tokenizer of spikes, the backbone or baseline, the first objective.
 * NULL: there is none. */
const struct loom_traits *loom_model_traits(const struct loom_model *m, uint32_t kind);
/* Run every part's update over joined sums, in pipeline order. fitting 1: pass number `pass`; returns 1 = another pass
 * wanted. */
int loom_model_update(struct loom_model *m, const double *sums, int fitting, int pass, struct loom_error *e);
int loom_model_wants_fitting(const struct loom_model *m); /* some part has an update */
/* Who needs what, who offers it; parts, shapes, parameters: text for `loom check`. */
int loom_model_describe(const struct loom_model *m, struct loom_str *out);

/* Denominators by name. Fixed capacity: no heap. */
enum { LOOM_MASSES = 32 };
struct loom_masses {
    int n;
    const char *name[LOOM_MASSES];
    double amount[LOOM_MASSES];
};
void loom_masses_add(struct loom_masses *to, const struct loom_masses *from);

/* bytes: size of each of the shard's three arenas (rows now and ahead, graph); reserved, touched as used. */
int loom_shard_new(struct loom_shard **out, struct loom_model *m, size_t bytes, struct loom_error *e);
void loom_shard_free(struct loom_shard *s);
/* Share packed weights with other shards of this model (tensor/packs.h) from the next build on; NULL = pack alone. */
void loom_shard_share(struct loom_shard *s, struct loom_packs *packs);
/* What the shard's own graph runs from the next build on (tensor/kernels/numerics.h). */
void loom_shard_set_kernels(struct loom_shard *s, const struct loom_kernels *kernels);
/* From the next build on all workers of `pool` make the shard's forward together (tensor/node.h); NULL: one thread. */
void loom_shard_threads(struct loom_shard *s, struct loom_pool *pool);
struct loom_graph *loom_shard_graph(const struct loom_shard *s); /* its own, for profiles */
/* From the next build on use `graph` (NULL = the shard's own), which may serve other shards once this one has run:
 * loom_shard_readings is 0 then. */
void loom_shard_lend(struct loom_shard *s, struct loom_graph *graph);
/* [data] Read windows, tokenize, let every objective plan. mode STEP: `step` names the draws; EVALUATE: `step` is the
 * draw number. */
int loom_shard_plan(struct loom_shard *s, const struct loom_sample *sample, int n, enum loom_mode mode, uint64_t step,
                    struct loom_error *e);
/* [data] The same, with `alter` let at the table of all rows before any objective sees it: how tests put values where
 * no data have them. */
int loom_shard_plan_altered(struct loom_shard *s, const struct loom_sample *sample, int n, enum loom_mode mode,
                            uint64_t step, void (*alter)(void *payload, struct loom_rows *full), void *payload,
                            struct loom_error *e);
/* What was planned: views in the order of their numbers; NULL beyond the last. */
const struct loom_view *loom_shard_view(const struct loom_shard *s, int view);
const struct loom_rows *loom_shard_rows(const struct loom_shard *s); /* all rows of its windows */
/* [data] The same into memory of its own, while another thread builds and runs what was planned before; loom_shard_turn
 * makes it the plan of the next build, and what was planned before is gone. */
int loom_shard_plan_ahead(struct loom_shard *s, const struct loom_sample *sample, int n, enum loom_mode mode,
                          uint64_t step, struct loom_error *e);
void loom_shard_turn(struct loom_shard *s);
const struct loom_masses *loom_shard_masses(const struct loom_shard *s);
/* [build] Build the graph of the planned windows. `first`: this shard counts ONCE terms. block NULL: no gradients, sums
 * or terms are kept. */
int loom_shard_build(struct loom_shard *s, const struct loom_masses *joined, struct loom_block *block, int first,
                     struct loom_error *e);
/* From the next build on every loom_read gives keep × what was answered + right × the parameters under which the
 * targets are likeliest (nothing, where a tokenizer has targets of its own that are no means) + by; NULL: what was
 * answered. Borrowed until the next call. How checks hold objectives to answers that no model gives. */
struct loom_stand_in {
    double keep, right, by;
};
void loom_shard_stand_in(struct loom_shard *s, const struct loom_stand_in *x);
void loom_shard_run(struct loom_shard *s); /* forward; in STEP also backward; adds terms and sums to the block */
double loom_shard_flops(const struct loom_shard *s);
size_t loom_shard_peak(const struct loom_shard *s);    /* bytes of all arenas, highest ever */
int64_t loom_shard_tokens(const struct loom_shard *s); /* rows planned in views' inputs and questions */

/* After loom_shard_run in EVALUATE, or in STEP on a graph of its own: what was read, one entry for each loom_read in
 * build order. Valid until the next plan, turn or build. */
struct loom_reading {
    int modality;
    const char *likelihood;
    const struct loom_rows *ask;
    const loom_real *target;    /* [elems] in data units, NaN = missing */
    const loom_real *weight;    /* [elems] */
    const loom_real *predicted; /* [elems] in data units (expected counts, cm/s); NULL in STEP */
    const loom_real *params;    /* [elems, params] */
    int params_n;
    const loom_real *answers; /* [rows, width] what the backbone answered, before it was read; NULL in STEP, and of a
                                 baseline that answers in target space */
    int width;
};
int loom_shard_readings(const struct loom_shard *s);
const struct loom_reading *loom_shard_reading(const struct loom_shard *s, int i);

#endif
