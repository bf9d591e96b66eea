/* SPDX-License-Identifier: Apache-2.0 */
/* The walk as a library of verbs: what plan and build of a plugin call.
 *
 *     full rows → plan → view │ embed → encode → ask → read → likelihood → term
 *                 host [data] │ graph [build]
 *
 * Five lifetimes; all mutable memory is the core's, so plugins have no save, load or clone code:
 *   PARAM moved by gradient · STATE moved by update() · SUM zeroed before each step or fitting pass, added to by
 * shards, joined CARRY empty at a segment's start, kept from bin to bin in a stream · NODE dies with the step Names are
 * scoped ("backbone/block0/attention.qkv.weight"); the same name twice in one build is the same memory.
 */
#ifndef LOOM_MODEL_H
#define LOOM_MODEL_H

#include <loom/graph.h>
#include <loom/plugin.h>
#include <loom/rng.h>
#include <loom/rows.h>

/* ---- memory [build] ---- */
LOOM_API struct loom_graph *loom_build_graph(struct loom_build *b);
LOOM_API void loom_scope_push(struct loom_build *b, const char *name);
LOOM_API void loom_scope_pop(struct loom_build *b);
/* Between the two, parameters are read and get no gradient. One that is never read otherwise in a stage is frozen
 * there, and the optimizer leaves it alone. */
LOOM_API void loom_freeze_push(struct loom_build *b);
LOOM_API void loom_freeze_pop(struct loom_build *b);

enum loom_param_flags {
    LOOM_NO_DECAY = 1,    /* weight decay leaves it alone: biases, gains, embeddings */
    LOOM_SPARSE_ROWS = 2, /* axis 0 is a vocabulary: few rows get gradients in a step */
};
/* Initial values, a function of (run seed, full name): "zeros", "ones", "constant:0.5", "normal:0.02", "uniform:0.1"
 * (±0.1), "fan_in" (U(±1/sqrt(last axis)), torch's default for linear layers), "xavier" (U(±sqrt(6/(in+out)))). */
LOOM_API struct loom_node *loom_param(struct loom_build *b, const char *name, int rank, const int64_t *dim,
                                      const char *init, unsigned flags);
/* The weight [out, in] of a linear layer: loom_param, which a stage of the pipeline may adapt by factors of low rank
 * (stages[].lora). What multiplies rows comes from here. */
LOOM_API struct loom_node *loom_weight(struct loom_build *b, const char *name, int64_t out, int64_t in,
                                       const char *init, unsigned flags);
/* PARAM [names, width]: one row for each name of a vocabulary, kept by name in checkpoints, so that transfer matches by
 * name. vocabulary: "session", "subject", "task", "unit" (recording/unit), or "class:COLUMN", the classes of a label
 * (loom_catalog_classes). Flags and init as above. */
LOOM_API struct loom_node *loom_table(struct loom_build *b, const char *vocabulary, const char *name, int width,
                                      const char *init, unsigned flags);
/* I32 [n] rows of that table for segments or units. Index of recording r in "session" etc.; of a recording's unit in
 * "unit". */
LOOM_API int32_t loom_table_row(const struct loom_build *b, const char *vocabulary, int32_t recording, int32_t unit);
/* STATE, REAL; no gradient flows into it. */
LOOM_API struct loom_node *loom_state(struct loom_build *b, const char *name, int rank, const int64_t *dim,
                                      const char *init);
/* Add an F64 node of any shape to SUM `name`. Ignored unless sums are being collected (training steps, fitting passes).
 */
LOOM_API void loom_sum_into(struct loom_build *b, const char *name, struct loom_node *addend);
/* Name SUM `name` without adding to it: for parts that keep one for each recording, whichever this shard holds. */
LOOM_API void loom_sum_declare(struct loom_build *b, const char *name, int rank, const int64_t *dim);
LOOM_API int loom_fitting(const struct loom_build *b);  /* 1 in a fitting pass: parts that fit call loom_sum_into */
LOOM_API int loom_training(const struct loom_build *b); /* 1: dropout and noise are on */
/* Name of a random draw: the scope, `what`, and the view now being encoded or asked. Lives in the graph. */
LOOM_API const char *loom_purpose(struct loom_build *b, const char *what);
LOOM_API uint64_t loom_seed(const struct loom_build *b);
LOOM_API uint64_t loom_step(const struct loom_build *b);
LOOM_API const struct loom_catalog *loom_build_catalog(const struct loom_build *b);

/* ---- update [update] ---- */
LOOM_API const double *loom_update_sum(const struct loom_update *u, const char *name,
                                       size_t *n); /* joined; NULL: nobody added */
LOOM_API loom_real *loom_update_state(struct loom_update *u, const char *name, size_t *n); /* NULL: not declared */
LOOM_API loom_real *loom_update_param(struct loom_update *u, const char *name,
                                      size_t *n); /* fitting passes alone; else NULL */
LOOM_API int loom_update_fitting(const struct loom_update *u);
LOOM_API int loom_update_pass(const struct loom_update *u); /* 0, 1, … of this fit */
/* Names above are relative to the part's own scope, as in its build. */

/* ---- plan [data] ---- */
/* What becomes of an element in a view's input. DROP and REPLACE act on whole rows: all elements of a row must say so.
 */
enum loom_how {
    LOOM_LEAVE = 0,
    LOOM_DROP = 1,    /* the row is not in the view */
    LOOM_REPLACE = 2, /* the row stands there HIDDEN: a mask token */
    LOOM_ZERO = 3,
    LOOM_RANDOM = 4, /* a value of that modality and segment, drawn from those that are left as they are */
    LOOM_SCALE = 5,  /* multiplied by the plan's scale (coordinated dropout) */
};
/* Rows of a modality that is never visible (behaviour, codes) are dropped whatever `how` says. What the data hold is
 * zeroed before. */
struct loom_view_spec {
    const uint8_t *how; /* [E] enum loom_how; NULL = all LEAVE */
    /* [E] 1 = asked and scored, 2 = asked, not scored (weight 0), 3 = asked and scored though the view shows it, as an
     * autoencoder does (`shown` in the question); NULL = nothing */
    const uint8_t *ask;
    const loom_real *weight; /* [E] of asked elements; NULL = 1 */
    double scale;            /* for LOOM_SCALE */
    int32_t causal;
    double back_s, ahead_s; /* < 0 = unlimited; an all-zero spec means 0 s: set them */
};
#define LOOM_VIEW_SPEC                                                                                                 \
    {                                                                                                                  \
        NULL, NULL, NULL, 1.0, 0, -1.0, -1.0                                                                           \
    }
/* Ask for what the data hold out, in `modality` (-1: in all): ask [E] becomes 1 there, and is left elsewhere. What was
 * not recorded is asked too in evaluation, where a model's answer is all that is wanted; it weighs nothing. */
LOOM_API void loom_plan_held_out(const struct loom_rows *full, int modality, uint8_t *ask);
/* Make a view of the shard's rows. Returns its number or a negative status. Buffers are copied. */
LOOM_API int loom_plan_view(struct loom_plan *p, const struct loom_rows *full, const struct loom_view_spec *spec,
                            struct loom_error *e);
/* Ask more of a view that is already there (decode on the visible half that mae left): returns the view's number or a
 * negative status. */
LOOM_API int loom_plan_ask(struct loom_plan *p, int view, const struct loom_rows *full, const uint8_t *ask,
                           struct loom_error *e);
/* The same with weights of the asked elements, as in loom_view_spec. */
LOOM_API int loom_plan_ask_weighed(struct loom_plan *p, int view, const struct loom_rows *full, const uint8_t *ask,
                                   const loom_real *weight, struct loom_error *e);
/* A view that shows nothing and asks for the whole of one modality; what the data hold out stands in it unscored. For
 * parts that look at content only to name it. Number or negative status. */
LOOM_API int loom_plan_whole(struct loom_plan *p, const struct loom_rows *full, int modality, struct loom_error *e);
LOOM_API int loom_plan_views(const struct loom_plan *p); /* views made so far in this shard, by all objectives */
LOOM_API const struct loom_view *loom_plan_get(const struct loom_plan *p, int view);
LOOM_API int loom_plan_prompt(struct loom_plan *p, int view, const char *table, int32_t row); /* MtM's prompt */
/* Scratch that lives until the step ends; also what an objective remembers from plan to build: see loom_plan_keep. */
LOOM_API void *loom_plan_alloc(struct loom_plan *p, size_t bytes); /* zeroed; NULL when full (return LOOM_ENOMEM) */
LOOM_API void loom_plan_keep(struct loom_plan *p, void *memory);   /* of the objective now planning */
LOOM_API void *loom_plan_kept(const struct loom_plan *p);          /* … in its build */
/* Random draws: of one segment, or (segment -1) the same for every shard of the step. */
LOOM_API void loom_plan_rng(const struct loom_plan *p, const struct loom_rows *full, int32_t segment,
                            const char *purpose, struct loom_rng *out);
/* Denominators. Summed over all shards before anything is built. "segments" is always there. */
LOOM_API void loom_plan_mass(struct loom_plan *p, const char *name, double amount);
/* Weighed elements of a question: the mass that its loss is a mean over. */
LOOM_API double loom_rows_scored(const struct loom_rows *ask);
/* 1 when an element of row r of a question weighs something; and how many such rows there are. */
LOOM_API int loom_row_scored(const struct loom_rows *ask, int32_t r);
LOOM_API int32_t loom_rows_count_scored(const struct loom_rows *ask);
LOOM_API int loom_plan_modality(const struct loom_plan *p, const char *name); /* number, or -1 */
/* The number of the modality that the option names, or LOOM_ECONFIG with the names that there are. */
LOOM_API int loom_plan_chosen(const struct loom_plan *p, const struct loom_options *o, const char *option,
                              struct loom_error *e);
LOOM_API int loom_plan_visible(const struct loom_plan *p, int modality); /* may be seen at all */
LOOM_API int
loom_plan_training(const struct loom_plan *p); /* 0: evaluation; draws hang on a draw number, not on the step */

/* ---- verbs [build] ---- */
enum loom_encode_flags {
    LOOM_STOP = 1 /* no gradient */,
    LOOM_SHADOW = 2 /* through the moving average of the weights */
};
/* Embed and encode a view; a second call with the same view and flags returns the first's memory. */
LOOM_API const struct loom_memory *loom_encode(struct loom_build *b, const struct loom_view *v, unsigned flags);
/* Put the view's questions of one modality. Zero rows asked: answer.out is NULL. */
LOOM_API struct loom_answer loom_ask(struct loom_build *b, const struct loom_view *v, const struct loom_memory *m,
                                     const char *modality);
/* Read the answer with the modality's tokenizer or the core's head: likelihood parameters [E, params]. */
LOOM_API struct loom_node *loom_read(struct loom_build *b, const struct loom_view *v, struct loom_answer a,
                                     const char *modality);
/* Weighted negative log-likelihood of the asked elements, a sum: F64 [1]. params as loom_read gave them. */
LOOM_API struct loom_node *loom_nll(struct loom_build *b, const struct loom_view *v, struct loom_node *params,
                                    const char *modality);
/* The same with other weights [asked elements] than the question's; NULL = the question's. */
LOOM_API struct loom_node *loom_nll_weighed(struct loom_build *b, const struct loom_view *v, struct loom_node *params,
                                            const char *modality, const loom_real *weight);
LOOM_API double loom_mass(const struct loom_build *b, const char *name); /* of the whole batch; >= 0 */
enum loom_emit_flags {
    LOOM_LOG_ONLY = 1, /* no gradient */
    LOOM_ONCE = 2,     /* a term without data (L2): counted on one shard */
};
/* loss += scale × sum. Values of one name are summed over shards for the log. sum NULL counts as 0. */
LOOM_API void loom_emit(struct loom_build *b, const char *term, struct loom_node *sum, double scale, unsigned flags);

#endif
