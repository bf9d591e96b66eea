/* SPDX-License-Identifier: Apache-2.0 */
/* Running pipelines: what `loom run`, `loom check` and `loom eval` call, and any C program may.
 *
 *     struct loom_run_spec spec = {.size = sizeof spec, .pipeline = "ndt2.cfg"};
 *     struct loom_error e = {0};
 *     if (loom_run(&spec, &e) != LOOM_OK)
 *         fprintf(stderr, "%s\n", e.message);
 *
 * A run's folder holds pipeline.cfg (resolved, with the origin of each value), log.jsonl, metrics.json, env.json,
 * status (running, done, stopped or "failed: …"), identity.json (what it was tested on), predictions.h5, report.html,
 * checkpoints/STAGE/{last,previous,best}.safetensors, and, with several seeds, one such folder seed-N for each. */
#ifndef LOOM_RUN_H
#define LOOM_RUN_H

#include <loom/types.h>

#include <signal.h>

enum loom_note_kind {
    LOOM_NOTE_TEXT,  /* something worth a line: `text` */
    LOOM_NOTE_STAGE, /* a stage begins; text: one line about it */
    LOOM_NOTE_STEP,  /* after every optimizer step */
    LOOM_NOTE_VALID, /* after a validation */
    LOOM_NOTE_DONE,  /* a stage ended; text: one line about how */
};

/* What a running pipeline tells its caller. Valid during the call alone. */
struct loom_run_note {
    int kind; /* enum loom_note_kind */
    const char *stage, *text;
    int64_t step, steps; /* done, and of the stage */
    double loss;         /* running average */
    double valid, best;  /* last and best value of `monitor`; NaN before the first */
    double lr, norm;     /* learning rate; norm of the gradient before clipping */
    double tokens_per_s; /* rows of views and questions */
    double wait;         /* share of time spent on reading and planning */
    double eta_s;        /* until the stage's last step */
};

struct loom_run_spec {
    uint32_t size;               /* sizeof(struct loom_run_spec) */
    int overrides;               /* "path.to.key=value", see loom_config_open */
    const char *const *override; /* [overrides] */
    const char *pipeline;        /* file; not read when resuming */
    const char *out;             /* folder to make; NULL: runs/NAME-DATE-N */
    const char *resume;          /* folder of a run that stopped; NULL: a new run */
    const char *plugin_path;     /* folders, ':'-separated; NULL: the usual ones alone */
    int threads;                 /* > 0: instead of the pipeline's */
    int careful;                 /* 1: plugins that are not installed are loaded by a process of their own first, so
                                  * that one that crashes or hangs there is an error: LOOM_EPLUGIN */
    int dry;                     /* 1: stop before the first step; nothing is written */
    const volatile sig_atomic_t
        *stop; /* not NULL: when it becomes non-zero, finish the step, save, return LOOM_ESTOP */
    void (*note)(void *payload, const struct loom_run_note *n); /* may be NULL */
    void *payload;
    char *folder; /* not NULL: receives the run's folder */
    size_t folder_size;
    /* Evaluation alone. */
    const char *weights;     /* safetensors file whose tensors are taken by name; NULL: the run's checkpoints */
    int partial;             /* 1: of `weights`, what is missing or too much is left */
    const char *predictions; /* HDF5 file to write predictions into; NULL: none */
};

/* LOOM_OK, LOOM_ESTOP (saved; resume goes on with the same bits), or the first error; the folder's status says the
 * same. A folder that exists and is not empty is never written into, unless it is resumed: LOOM_ECONFIG. */
LOOM_API int loom_run(const struct loom_run_spec *spec, struct loom_error *e);

/* Resolve and validate the pipeline, build every model, take one step of each training stage without changing anything,
 * look for leaks of splits, masks, held-out data, the future and neighbours in a batch. *text is malloc'ed, the caller
 * frees it: parts, needs and offers, parameters by group, memory, FLOPs, sizes of splits, what leaks. A leak is
 * LOOM_EPLUGIN, with *text. Uses pipeline, override, plugin_path, threads, note. */
LOOM_API int loom_run_check(const struct loom_run_spec *spec, char **text, struct loom_error *e);

/* Parameters and states of each training stage's model: names, shapes, counts, and for tables the vocabulary that their
 * rows have names in. As text, or (`json` 1) as STAGE → [{"name", "shape", "count", "kind", "vocabulary", "rows"}].
 * *text is malloc'ed, the caller frees it. Uses pipeline, override, plugin_path. */
LOOM_API int loom_run_parameters(const struct loom_run_spec *spec, int json, char **text, struct loom_error *e);

/* Every key of a pipeline file with type, default, range and meaning, group by group, in Markdown. *out is malloc'ed,
 * the caller frees it. What plugins take beside these: loom plugins describe. LOOM_ENOMEM. */
LOOM_API int loom_run_keys(char **out, struct loom_error *e);

/* The name of an evaluation stage of a run (its folder) or of a pipeline (its file): `stage` if it is one, or (NULL)
 * the first. LOOM_ECONFIG where there is none. */
enum { LOOM_EVALUATION_NAME = 64 };
LOOM_API int loom_run_evaluation(const char *run, const char *stage, char out[LOOM_EVALUATION_NAME],
                                 struct loom_error *e);

/* Evaluate: all evaluation stages, or stage `stage` alone (NULL = all), on split `split` (NULL = the stage's).
 * spec->resume is the folder of a finished run, whose checkpoints are taken, or spec->pipeline a pipeline and
 * spec->weights its weights: parameters and states by name; states that the file lacks are fitted on the training
 * split. With both, the file goes over the checkpoints. Nothing is written but spec->predictions; the metrics come back
 * as JSON in *json (malloc'ed). LOOM_EDATA names what does not fit of the weights. */
LOOM_API int loom_run_evaluate(const struct loom_run_spec *spec, const char *stage, const char *split, char **json,
                               struct loom_error *e);

#endif
