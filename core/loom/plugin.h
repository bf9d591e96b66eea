/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins: one shared object, one exported symbol, one or more descriptors.
 *
 * Phases, named in brackets at each function:
 *   [load]   any thread, once, before anything else: descriptors are static and const
 *   [setup]  one thread; may allocate, read options, fail with an error
 *   [data]   any thread, many at once; host memory only, no graph
 *   [build]  any worker, many at once; appends nodes; cannot fail (errors stick to the graph)
 *   [update] one thread, between steps
 * An instance (`self`) is const from create to destroy: all mutable memory is the core's, in five lifetimes
 * (loom/model.h). Strings in descriptors are static. What create allocates destroy frees. Nobody frees memory of the
 * other side.
 *
 * What `loom conform` holds a plugin to beside what stands at each function:
 *  - A function that fails returns what loom_fail returned, and so has said why. Nothing prints, exits, aborts or
 *    crashes, whatever admitted values options have, whatever a file holds, and when memory is exhausted.
 *  - Where create fails *self is NULL, or something that destroy frees.
 *  - Of a structure that begins with `size` only the members that the author's header has are read and written: the
 *    host's may be longer.
 *  - Instances are independent of each other and of time, address, thread and process: what they compute is a function
 *    of options, catalogue, seed and what they are handed. There are no static variables that change.
 *  - What a process has once is left as it is: working folder, environment, locale, floating-point modes, signal
 *    handlers, umask, streams, threads. After dlclose nothing calls back into the file.
 */
#ifndef LOOM_PLUGIN_H
#define LOOM_PLUGIN_H

#include <loom/data.h>
#include <loom/graph.h>
#include <loom/options.h>
#include <loom/rows.h>

#define LOOM_ABI_MAJOR 0u /* a change refuses every older plugin */
#define LOOM_ABI_MINOR 3u /* additions only; under major 0 a change refuses as well */

/* Layout frozen for ever: it is what lets a host refuse politely. Compared field by field. */
struct loom_build_block {
    uint32_t abi_major, abi_minor;
    uint32_t real_size, max_rank;
    uint32_t option_size, window_size, rows_size, traits_size;
};
#define LOOM_BUILD_BLOCK                                                                                               \
    {                                                                                                                  \
        LOOM_ABI_MAJOR, LOOM_ABI_MINOR, (uint32_t)sizeof(loom_real), LOOM_MAX_RANK,                                    \
            (uint32_t)sizeof(struct loom_option), (uint32_t)sizeof(struct loom_window),                                \
            (uint32_t)sizeof(struct loom_rows), (uint32_t)sizeof(struct loom_traits)                                   \
    }

enum loom_kind { LOOM_SOURCE = 1, LOOM_TOKENIZER, LOOM_BACKBONE, LOOM_OBJECTIVE, LOOM_BASELINE };

struct loom_setup; /* what create may ask about: below */
struct loom_update;
struct loom_build;
struct loom_plan;

/* What a part needs from the others and offers to them. Legal = every need is offered (see loom check). */
enum loom_power {
    /* offered by data */
    LOOM_REGIONS = 1u << 0,    /* units carry a region */
    LOOM_ELECTRODES = 1u << 1, /* units carry positions */
    LOOM_TRIALS = 1u << 2,     /* an interval table named "trials" */
    LOOM_BEHAVIOR = 1u << 3,   /* the series that the objective names exists in every recording */
    LOOM_LABELS = 1u << 4,     /* a column of the trials is asked for: the class of a trial */
    /* offered by the tokenizer of spikes, or in a model of signals alone by that of the first */
    LOOM_STEPS = 1u << 8,      /* one row a bin, no gaps */
    LOOM_ELEMENTS = 1u << 9,   /* elements of a row may be hidden one by one */
    LOOM_CONTENT = 1u << 10,   /* rows have a likelihood and can be asked */
    LOOM_UNITS = 1u << 11,     /* elements are units: a layout's index is the unit's number in its recording */
    LOOM_UNORDERED = 1u << 12, /* what belongs to a unit hangs on its name: the order of units changes nothing */
    LOOM_CODES = 1u << 13,     /* rows have codes (loom/codes.h); of any modality */
    /* offered by the backbone */
    LOOM_HOLES = 1u << 16,        /* rows may be missing */
    LOOM_BLANKS = 1u << 17,       /* rows may be hidden in place */
    LOOM_IN_PLACE = 1u << 18,     /* answers questions that stand on a row of the view */
    LOOM_ANYWHERE = 1u << 19,     /* … on none */
    LOOM_AHEAD = 1u << 20,        /* … after the last row */
    LOOM_LATENT = 1u << 21,       /* answers carry `latent` */
    LOOM_OPEN = 1u << 22,         /* answers see the memory through `x` alone */
    LOOM_CAUSAL = 1u << 23,       /* can hold to the past; a baseline: does */
    LOOM_CARRY = 1u << 24,        /* streams bin by bin with carried state */
    LOOM_TARGET_SPACE = 1u << 25, /* answers in data units: no head, truth or render is put on top */
    /* offered by the objective */
    LOOM_ESTIMATES = 1u << 27,  /* its gradient is not the loss's slope: straight-through estimates */
    LOOM_KEEPS_ROWS = 1u << 28, /* never drops a row */
    LOOM_FITS_SHARD = 1u << 29, /* couples samples inside a shard at most */
    LOOM_COUPLES = 1u << 30,    /* and does so: its loss hangs on which samples share a shard */
};

struct loom_traits {
    uint32_t size;
    uint64_t needs, offers; /* enum loom_power */
    const char *const
        *axes; /* tokenizer: coordinates it supplies, NULL-ended; backbone: those it wants ("time" is always there) */
    const char *likelihood; /* tokenizer: of its elements ("poisson", "gaussian", "categorical", "bernoulli"); NULL =
                               cannot be asked */
    int32_t width;          /* backbone: W, the width of x, q and answers */
    int32_t elems;          /* tokenizer: elements a row, 0 = ragged */
    int32_t classes;        /* tokenizer, categorical: number of classes */
    int32_t events;         /* tokenizer: 1 = wants spike times (window.spike_s), not counts alone */
    int32_t arity;          /* objective: windows in a tuple, 0 and 1 = single windows */
};

/* First member of every table. */
struct loom_part {
    uint32_t size;                                                                /* sizeof of the whole table */
    int (*create)(const struct loom_setup *s, void **self, struct loom_error *e); /* [setup] */
    void (*destroy)(void *self); /* [setup] of NULL is a no-op; may be absent */
    int (*describe)(const void *self, struct loom_traits *t,
                    struct loom_error *e); /* [setup] after create; NULL for sources */
    /* [update] after the sums of a step or of a fitting pass are joined; NULL = none. Returns 0, 1 = one more fitting
     * pass wanted (ignored in training steps), or a negative status. */
    int (*update)(const void *self, struct loom_update *u, struct loom_error *e);
    const void *(*extension)(const void *self,
                             const char *id); /* optional powers by name, "loom.codes/1"; NULL = none */
};

struct loom_source {
    struct loom_part part;
    /* [ingest child] Read `file` (NULL: the source needs none) and fill the sink. */
    int (*read)(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e);
    /* [setup] Write a recording as a new file of this format, whole or not at all; NULL: it only reads. LOOM_EIO. */
    int (*write)(const struct loom_recording *r, const char *file, struct loom_error *e);
};

/* Content to vectors and back, for one modality. Parameters hang under the modality's scope. */
struct loom_tokenizer {
    struct loom_part part;
    /* [data] Append the window's rows. Values and coordinates only; what is hidden is not its business. */
    int (*tokenize)(const void *self, const struct loom_window *w, struct loom_rows_builder *rows,
                    struct loom_error *e);
    /* [build] → [R, width]. A HIDDEN row gets the modality's mask vector, whatever its value. */
    struct loom_node *(*embed)(const void *self, struct loom_build *b, const struct loom_rows *rows, int width);
    /* [build] answer [R, W] → parameters of the likelihood [E, params], in the order of the ask's elements. NULL = the
     * core's linear head by element index (only where every row has the same layout). */
    struct loom_node *(*read)(const void *self, struct loom_build *b, const struct loom_rows *ask,
                              struct loom_node *answer);
    /* [build] targets [E] in the likelihood's space; NULL = the rows' `target` as it is. */
    struct loom_node *(*truth)(const void *self, struct loom_build *b, const struct loom_rows *ask);
    /* [build] parameters [E, params] → what the data would read, [E] in data units; NULL = the likelihood's mean. */
    struct loom_node *(*render)(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                struct loom_node *params);
};

/* What encode leaves for answer. `rows` may be latents and need not be the view's rows; NULL = the view's. `own` lives
 * in the graph. */
struct loom_memory {
    const struct loom_rows *rows;
    struct loom_node *x; /* [rows, W] */
    void *own;
};
struct loom_answer {
    struct loom_node *out;    /* [ask rows, W], or [ask elements, params] with TARGET_SPACE; there NULL: not answered */
    struct loom_node *latent; /* [ask rows, W] in the space of memory.x, or NULL */
};

/* Owns every coordinate and all mixing. Kind `baseline` uses this table too, with TARGET_SPACE. */
struct loom_backbone {
    struct loom_part part;
    /* [build] x [view.in rows, W]; NULL for TARGET_SPACE parts, which read view->in themselves. */
    struct loom_memory (*encode)(const void *self, struct loom_build *b, const struct loom_view *v,
                                 struct loom_node *x);
    /* [build] Once per asked modality, inside a scope of its name. q [ask rows, W]: the questions as the tokenizer
     * embeds them (NULL with TARGET_SPACE). */
    struct loom_answer (*answer)(const void *self, struct loom_build *b, const struct loom_view *v,
                                 const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q);
};

/* What is hidden, what is asked, what it costs. */
struct loom_objective {
    struct loom_part part;
    /* [data] For one shard: make views of `full` (all rows of its windows), name masses. */
    int (*plan)(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e);
    /* [build] Call verbs, emit terms. */
    void (*build)(const void *self, struct loom_build *b, const struct loom_plan *p);
};

struct loom_plugin {
    uint32_t size;                 /* sizeof(struct loom_plugin) as its author saw it */
    struct loom_build_block build; /* LOOM_BUILD_BLOCK */
    const char *id;                /* short name, as the file is called: "ndt2" in ndt2.so. [a-z][a-z0-9_-]* */
    const char *version, *summary, *license;
    uint32_t kind;                     /* enum loom_kind */
    const struct loom_option *options; /* ends with a NULL name; NULL = none */
    const void *table;                 /* struct loom_source, loom_tokenizer, loom_backbone, loom_objective */
    const struct loom_op *const *ops;  /* ops that it defines, NULL-ended, or NULL: tested like the core's */
};

/* The one exported symbol. index 0, 1, …; NULL ends. [load] */
LOOM_EXTERN __attribute__((visibility("default"))) const struct loom_plugin *loom_plugin_entry(uint32_t index);

/* ---- what create may ask [setup] ---- */
LOOM_API const struct loom_options *loom_setup_options(const struct loom_setup *s);
LOOM_API const struct loom_catalog *loom_setup_catalog(const struct loom_setup *s); /* NULL for sources */
LOOM_API uint64_t loom_setup_seed(const struct loom_setup *s);
LOOM_API const char *loom_setup_modality(const struct loom_setup *s); /* tokenizer: the modality it serves */
/* Objective: this behaviour will be asked. Creates the built-in modality `series` of that name, unless the pipeline
 * names another tokenizer for it. A name that is no series but a column of the table of trials is a label, the class of
 * a whole trial (loom_catalog_classes): the built-in modality `label`, one question a window, without a lag. Tokenizer,
 * of its own modality (loom_setup_modality): windows hold that series. Baseline: it sees that series, one row a sample
 * in data units, in the place of binned spikes. lag_s: the value asked for at time t is the one
 * recorded at t + lag_s. LOOM_EDATA when a recording lacks it. */
LOOM_API int loom_setup_behavior(const struct loom_setup *s, const char *series, double lag_s, struct loom_error *e);

#endif
