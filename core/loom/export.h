/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that leave neuroloom, or come from elsewhere to be compared: what `loom export` and `loom eval --nlb` call.
 */
#ifndef LOOM_EXPORT_H
#define LOOM_EXPORT_H

#include <loom/types.h>

enum loom_export_what {
    LOOM_EXPORT_RATES = 1, /* expected spikes of every unit at every bin, held-out units and bins to come included */
    LOOM_EXPORT_PREDICTIONS = 2, /* what the evaluation stage asks: targets and answers of each modality */
    LOOM_EXPORT_LATENTS = 4,     /* what the backbone answers for spikes at each bin, before it is read as rates */
};
enum loom_export_format { LOOM_EXPORT_H5, LOOM_EXPORT_NPZ, LOOM_EXPORT_SAFETENSORS };

struct loom_export_spec {
    uint32_t size;           /* sizeof(struct loom_export_spec) */
    const char *run;         /* folder of a finished run */
    const char *stage;       /* evaluation stage that says whose weights and which splits; NULL: the first */
    const char *split;       /* this split alone; NULL: the stage's, and for a submission `test` if there is one, else
                              * `valid` */
    const char *out;         /* file */
    unsigned what;           /* enum loom_export_what */
    int format;              /* enum loom_export_format */
    int nlb;                 /* 1: a submission to the Neural Latents Benchmark, which is HDF5, instead of `what` */
    const char *dataset;     /* its name there ("mc_maze"); NULL: what the pipeline's data.nlb says */
    const char *plugin_path; /* as in struct loom_run_spec */
    int threads;
    int overrides;
    const char *const *override;
};

/* Evaluate the run's model once more, as loom_run_evaluate does, and write what it answers as named arrays:
 *
 *   SPLIT/RECORDING/MODALITY/{predicted,target} [trial, bin, element] where windows are trials of one length, else
 *                                               [bin, element]; NaN = not asked, not recorded
 *   SPLIT/RECORDING/MODALITY/{time_s,trial}     [trial, bin] or [bin]: seconds on the recording's clock, row of the
 *                                               table of trials
 *   SPLIT/RECORDING/rates/…                     the same of LOOM_EXPORT_RATES, where elements are all units
 *
 *   SPLIT/RECORDING/latents/{value,time_s}      [bin, latent] and [bin], window by window: where windows overlap, or
 *                                               the stage has several draws, a time stands there again
 *
 * with axes and units at each array, and the run, the stage, names of recordings and elements in the metadata. A
 * submission holds group DATASET with {train,eval}_rates_{heldin,heldout}[_forward] [trial, bin, unit], trials in the
 * order of their table; a file that is there keeps its other groups, as the scaled sets need. LOOM_ECONFIG, LOOM_EDATA
 * names what the model was not asked, LOOM_EIO. */
LOOM_API int loom_export(const struct loom_export_spec *spec, struct loom_error *e);

struct loom_nlb_target_spec {
    uint32_t size;       /* sizeof(struct loom_nlb_target_spec) */
    const char *file;    /* the benchmark's NWB file, with behaviour and held-out units */
    const char *dataset; /* "mc_maze_small" */
    int bin_ms;          /* 5 or 20; 0 = 5 */
    const char *eval;    /* value of column `split` that is scored: "val", with "train" trained on (NULL), or "test",
                          * with both */
    int inputs;          /* 1: what a model may see as well: {train,eval}_spikes_{heldin,heldout} */
    const char *out;     /* HDF5 file; what it holds of other datasets stays */
    const char *plugin_path; /* as in struct loom_run_spec */
};

/* What a submission is scored against, made of a file that has it, as nlb_tools makes it (loom_nlb_score_files takes
 * it). LOOM_ECONFIG, LOOM_EDATA names what the file lacks, LOOM_EIO. */
LOOM_API int loom_nlb_target_file(const struct loom_nlb_target_spec *spec, struct loom_error *e);

/* Score a submission to the Neural Latents Benchmark against targets, both HDF5 files as nlb_tools lays them out, as
 * the benchmark's server does. *text is malloc'ed, the caller frees it: a table, or (`json` 1) a list such as
 * [{"mc_maze_split": {"co-bps": …}}]. LOOM_EDATA names the dataset and array that is missing or does not fit; LOOM_EIO;
 * LOOM_ECONFIG in a build without HDF5. A damaged file can end the process: where files come from strangers, call it in
 * one that may. */
LOOM_API int loom_nlb_score_files(const char *submission, const char *targets, int json, char **text,
                                  struct loom_error *e);

#endif
