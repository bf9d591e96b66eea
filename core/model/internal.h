/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of core/model share; nobody else includes it. */
#ifndef LOOM_MODEL_INTERNAL_H
#define LOOM_MODEL_INTERNAL_H

#include "base/arena.h"
#include "model/model.h"
#include "model/rows.h"

/* A distribution by name. `params` per element; -1 = one per class. */
struct loom_likelihood {
    const char *name;
    int params;
    struct loom_node *(*nll)(struct loom_graph *g, struct loom_node *params, struct loom_node *target,
                             struct loom_node *weight, int32_t elems);
    struct loom_node *(*mean)(struct loom_graph *g, struct loom_node *params, int32_t elems);
    /* Parameters [n, params] under which the targets [n] are about as likely as can be; NULL: the targets themselves */
    void (*likeliest)(loom_real *params_out, const loom_real *target, int64_t n, int64_t params);
};
const struct loom_likelihood *loom_likelihood_find(const char *name); /* NULL: unknown */
const char *const *loom_likelihood_names(void);

/* A part of a model: a plugin's instance with its place in the pipeline. */
struct loom_instance {
    const struct loom_plugin *plugin;
    const struct loom_part *part;
    void *self;
    struct loom_options *options;
    struct loom_traits traits;
    char scope[96]; /* "tokenizer.spikes", "backbone", "objective.mae" */
};

struct loom_modality {
    char name[64];
    struct loom_instance at; /* its tokenizer */
    const struct loom_tokenizer *tokenizer;
    const struct loom_likelihood *likelihood; /* NULL: cannot be asked */
    int visible;
    int behavior; /* a series of the recordings, wanted from `need` */
    double lag_s;
    int axes;
    int axis[LOOM_AXES]; /* model's axis of each of the tokenizer's own, -1 = the backbone does not want it */
};

enum { LOOM_OBJECTIVES = 8, LOOM_VIEWS = 8, LOOM_TERMS = 64, LOOM_READS = 32, LOOM_SUMS = 64, LOOM_DEPTH = 32 };

struct loom_model {
    struct loom_registry *registry;
    const struct loom_catalog *catalog;
    const struct loom_group *root;
    uint64_t seed;
    const struct loom_lora *lora; /* or NULL */
    struct loom_store *store;
    int modalities;
    struct loom_modality modality[LOOM_MODALITIES];
    struct loom_instance backbone_at;
    const struct loom_backbone *backbone;
    int objectives;
    struct loom_instance objective_at[LOOM_OBJECTIVES];
    int axes;
    const char *axis_name[LOOM_AXES];
    int needs;
    struct loom_series_want need[LOOM_MODALITIES];
};

/* What objectives leave for build; memory of one shard and one step. */
struct loom_plan {
    struct loom_model *model;
    struct loom_arena *arena;
    enum loom_mode mode;
    uint64_t step;
    const struct loom_rows *full;
    int views;
    struct loom_view *view[LOOM_VIEWS];
    int objective; /* now planning or building */
    void *kept[LOOM_OBJECTIVES];
    struct loom_masses masses;
};
int loom_plan_begin(struct loom_plan *p, struct loom_model *m, struct loom_arena *a, enum loom_mode mode, uint64_t step,
                    const struct loom_rows *full);

struct loom_emitted {
    const struct loom_entry *entry;
    struct loom_node *sum;
    double scale;
    unsigned flags;
};
struct loom_summed {
    const struct loom_entry *entry;
    struct loom_node *node;
};
struct loom_read_note {
    int modality;
    const struct loom_rows *ask;
    struct loom_node *params, *rendered, *answers; /* answers: before they were read; NULL in target space */
};

struct loom_build {
    struct loom_model *model;
    struct loom_graph *graph;
    struct loom_plan *plan;
    enum loom_mode mode;
    uint64_t step;
    const struct loom_masses *masses;
    struct loom_block *block;
    int first;
    int stop, shadow; /* no gradients; moving averages: inside an encode with these flags, or a freeze */
    const struct loom_stand_in *stand_in; /* NULL: none */
    int view_tag; /* number of the view being encoded or asked: part of the names of random draws */
    char path[512];
    size_t path_length;
    int depth, lost; /* scopes open; scopes refused for depth, whose pops count for nothing */
    size_t length_at[LOOM_DEPTH];
    int terms, sums, reads, memories;
    struct loom_emitted term[LOOM_TERMS];
    struct loom_summed sum[LOOM_SUMS];
    struct loom_read_note read[LOOM_READS];
    struct {
        const struct loom_view *view;
        unsigned flags;
        struct loom_memory memory;
    } memory[LOOM_VIEWS * 4];
};
void loom_build_begin(struct loom_build *b, struct loom_model *m, struct loom_graph *g, struct loom_plan *p,
                      const struct loom_masses *masses, struct loom_block *block, int first);
/* Walk every objective's build. */
void loom_build_objectives(struct loom_build *b);

struct loom_update {
    struct loom_model *model;
    const char *scope;
    const double *sums;
    int fitting, pass;
};

int loom_model_modality_number(const struct loom_model *m, const char *name); /* -1: none */
/* Check that every need is offered. LOOM_ECONFIG with who needs what, who was expected to offer it, and the remedy. */
int loom_model_legal(const struct loom_model *m, struct loom_error *e);
/* Tokenize the windows of `sample` into the table of all rows. */
int loom_shard_tokenize(struct loom_model *m, const struct loom_sample *sample, int n, enum loom_mode mode,
                        uint64_t step, struct loom_arena *a, struct loom_rows *full, struct loom_error *e);

#endif
