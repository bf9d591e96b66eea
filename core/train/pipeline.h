/* SPDX-License-Identifier: Apache-2.0 */
/* A pipeline file as training reads it: the root's keys, and the stages in their order. */
#ifndef LOOM_TRAIN_PIPELINE_H
#define LOOM_TRAIN_PIPELINE_H

#include "data/catalog.h"
#include "model/model.h"
#include "train/optimizer.h"
#include "train/schedule.h"

#include <loom/config.h>

/* The options of the root, of a stage, of its `optimizer`, and of its `lora`, and of the elements of `lr_scale` and
 * `compare`: read there what each means. */
extern const struct loom_option loom_root_options[];
extern const struct loom_option loom_stage_options[];
extern const struct loom_option loom_optimizer_options[];
extern const struct loom_option loom_sparse_lamb_options[];
extern const struct loom_option loom_lr_scale_options[];
extern const struct loom_option loom_lora_options[];
extern const struct loom_option loom_compare_options[];

enum { LOOM_STAGES = 64, LOOM_STAGE_NAME = 64, LOOM_LORA_MATCHES = 32 };

struct loom_stage {
    const char *name;
    int index;
    int evaluates; /* 1: has metrics; 0: trains */
    int from;      /* number of the stage whose weights it starts from; -1: fresh ones */
    int asks;      /* number of the stage whose objectives it uses: itself, or, for an evaluation without, `from` */
    const struct loom_group *group;
    struct loom_options *options, *optimizer; /* optimizer NULL when it evaluates */
    int lr_scales;
    struct loom_options **lr_scale;
    struct loom_options *lora_options; /* its own; NULL: none */
    struct loom_lora lora;             /* its own, or that of the stage it starts from */
    const char *lora_word[LOOM_LORA_MATCHES];
};

struct loom_pipeline {
    struct loom_config *config; /* borrowed */
    const struct loom_group *root;
    struct loom_options *options;
    const char *name;
    uint64_t seed;
    int shards;
    size_t arena;
    int stages;
    struct loom_stage stage[LOOM_STAGES];
    int compares;
    struct loom_options **compare;
};

/* Read and check all of it; `data` and the parts are left to their owners. LOOM_ECONFIG. */
int loom_pipeline_init(struct loom_pipeline *p, struct loom_config *config, struct loom_error *e);
void loom_pipeline_release(struct loom_pipeline *p);
int loom_pipeline_stage(const struct loom_pipeline *p, const char *name); /* number, or -1 */
int loom_pipeline_is_name(const char *text); /* fit for a folder: letters, digits, - and _, not too long */
/* The kernels that the stage's `numerics` and `precision` ask for. LOOM_ECONFIG, at the option's place, where this
 * processor or this build has none. */
int loom_stage_kernels(const struct loom_stage *s, const struct loom_kernels **out, struct loom_error *e);
/* What a training stage's options say, in the optimizer's and the schedule's words. */
struct loom_optimizer_spec loom_stage_optimizer(const struct loom_stage *s);
struct loom_schedule_spec loom_stage_schedule(const struct loom_stage *s, int64_t steps);
/* Freeze and scale as the stage says; thawed 1: leave out what `freeze` says. LOOM_ECONFIG for a pattern that matches
 * no parameter, with the nearest names. */
int loom_stage_scale(const struct loom_stage *s, struct loom_store *store, int thawed, struct loom_error *e);
/* A list of text as words; `word` has room for as many as the list has. */
struct loom_words loom_option_words(const struct loom_options *o, const char *name, const char **word, size_t room);

/* keys.c: groups of a file with what each is, in Markdown. *out is malloc'ed, the caller frees it. LOOM_ENOMEM. */
struct loom_key_group {
    const char *path, *says; /* "stages[].optimizer" */
    const struct loom_option *table;
};
int loom_key_groups_describe(const struct loom_key_group *group, size_t n, char **out, struct loom_error *e);

#endif
