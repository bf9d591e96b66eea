/* SPDX-License-Identifier: Apache-2.0 */
/* A check at work, in its own process: the plugin, and a world to use it in. */
#ifndef LOOM_CONFORM_TRIAL_H
#define LOOM_CONFORM_TRIAL_H

#include "conform/conform.h"
#include "plugin/load.h"
#include "train/probe.h"
#include "train/run.h"

struct loom_trial {
    const struct loom_conform_spec *spec;
    const struct loom_check *check;
    const char *file; /* NULL: built in */
    const char *kind, *id;
    const char *probe; /* not NULL: a check started this process for its own ends, and wants the result in this file */
    const char *data;  /* of a source: the file to read; NULL: none was given */
    uint64_t seed;
    char plugin_path[4608];         /* the plugin's own folder before those that the suite was given */
    char baseline_prefix[128];      /* "stages.1.baselines.ID" */
    int partners;                   /* 0: worlds try all; else 1 + the number of those in loom_world.partners */
    int quiet;                      /* 1: partners in worlds draw no random numbers: no masks, no dropout */
    int whole;                      /* 1: the plugin at its usual size, where worlds make it small otherwise */
    const char *serves;             /* of a tokenizer: the behaviour or column of trials that it serves, NULL = spikes;
                                     * known once a world is open */
    char serves_prefix[64];         /* "modalities.NAME" of it */
    const char *place;              /* the folder in which `folder` is made; NULL: $TMPDIR or /tmp */
    char folder[256];               /* of its own, empty at the start, removed at the end */
    struct loom_registry *registry; /* after loom_trial_load */
    const struct loom_plugin *plugin; /* after loom_trial_load */
    struct loom_error e;
    char reason[2048];
    int child;       /* 1: in a process of its own, which hears what follows */
    char doing[512]; /* what the check was last at, for the reason when the process dies */
};

/* Verdicts: `return loom_trial_fail(t, "…")`. Messages say what was seen and what is due. */
int loom_trial_pass(struct loom_trial *t);
int loom_trial_fail(struct loom_trial *t, const char *fmt, ...) LOOM_PRINTF(2, 3);
int loom_trial_skip(struct loom_trial *t, const char *fmt, ...) LOOM_PRINTF(2, 3);
int loom_trial_warn(struct loom_trial *t, const char *fmt, ...) LOOM_PRINTF(2, 3);
/* The error in t->e, with `doing` in front. */
int loom_trial_fail_error(struct loom_trial *t, const char *doing);
/* What is tried next, in words that a reader can act on: said with the reason if the plugin crashes or hangs at it. */
void loom_trial_doing(struct loom_trial *t, const char *fmt, ...) LOOM_PRINTF(2, 3);

/* Load the plugin as a run does; LOOM_OK or t->e. Called by checks that need more than the file. */
int loom_trial_load(struct loom_trial *t);

/* A small simulated experiment in which the plugin has partners that suit it: the first of
 * {ndt2, bins} × {vit, vit in place} × {mae, mae that keeps rows, decode} with which it is legal. A baseline stands for
 * the backbone of a decoding. Same seed, same world. */
struct loom_world {
    char pipeline[320]; /* its file */
    struct loom_run_spec spec;
    struct loom_running running;
    const struct loom_stage *stage; /* the one that asks */
    struct loom_model *model;
    struct loom_selection selection; /* of training windows */
    struct loom_windows windows;
    int partners; /* which it came about with */
};
/* `extra`: lines of "path.to.key=value", as on the command line, n of them; "key=value" is one of the plugin's own
 * options. A required option that nobody set is given the name of the one behaviour if it is a text, which is what it
 * mostly asks for; a backbone is made small (loom_settings_small) where it admits that, and t->whole is 0. LOOM_OK, or
 * t->e; a world that failed to open is released. Sources have no world. */
int loom_world_open(struct loom_world *w, struct loom_trial *t, const char *const *extra, int n);
void loom_world_release(struct loom_world *w);
/* "tokenizer", "backbone", "stages.0.objectives.0", …: where the plugin's options stand in the pipeline. */
const char *loom_world_prefix(const struct loom_trial *t);
/* The value that a world gives to a required option that nobody set, as it stands in a pipeline; NULL: none. */
const char *loom_world_required(const struct loom_trial *t, const struct loom_option *o);

/* A world, and a probe of its model (of the baseline, for a baseline). Both are released by the caller, or by a
 * failure. */
int loom_world_probe(struct loom_trial *t, struct loom_world *w, struct loom_probe *p, const char *const *extra, int n);

/* One pass over the first `n` windows: plan, build, run. */
struct loom_pass {
    struct loom_shard *shard;
    struct loom_block block;
    double loss; /* Σ of terms that have a gradient */
};
int loom_pass_open(struct loom_pass *p, struct loom_world *w, struct loom_error *e);
void loom_pass_release(struct loom_pass *p);
/* mode STEP: gradients in p->block.grad. */
int loom_pass_run(struct loom_pass *p, struct loom_world *w, const struct loom_sample *sample, int n,
                  enum loom_mode mode, uint64_t step, struct loom_error *e);

/* ---- the checks, by family; listed in checks.c ---- */
#define LOOM_ANY_KIND 0x3eu
#define LOOM_KIND(k) (1u << (k))
/* Parts of a model: all but sources. */
#define LOOM_MODEL_KINDS                                                                                               \
    (LOOM_KIND(LOOM_TOKENIZER) | LOOM_KIND(LOOM_BACKBONE) | LOOM_KIND(LOOM_OBJECTIVE) | LOOM_KIND(LOOM_BASELINE))

#endif
