/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a report share. */
#ifndef LOOM_EVAL_REPORT_H
#define LOOM_EVAL_REPORT_H

#include "base/json.h"
#include "base/str.h"
#include "eval/figure.h"

enum { LOOM_REPORT_PATH = 4096, LOOM_REPORT_SEEDS = 64, LOOM_REPORT_RUNS = 32 };

/* A page being written, and the run that it is about now. */
struct loom_page {
    struct loom_str html;
    char folder[LOOM_REPORT_PATH]; /* the page's */
    const char *run;               /* folder of the run */
    json_t *metrics;               /* of the run; NULL: none */
    int seeds;                     /* seed-N folders; 0: the run itself is the only one */
    char *seed[LOOM_REPORT_SEEDS]; /* their paths */
    int shown;                     /* number of the one that figures of predictions are of */
};

extern const char loom_report_style[]; /* the page's CSS */

/* "FOLDER/NAME" into out; 0 when it is too long. */
int loom_report_path(char out[LOOM_REPORT_PATH], const char *folder, const char *name);
/* Write report/NAME.csv beside the page, of a seed that is not the first report/SEED-NAME.csv; *href gets its path from
 * the page. */
int loom_report_csv(struct loom_page *p, const char *name, const struct loom_str *text, char href[256],
                    struct loom_error *e);
/* CSV of lines: "line,repeat,x,y", and "spread" where one of them has it. */
void loom_report_lines_csv(struct loom_str *out, const char *x, const char *y, const struct loom_line *line, int lines);

/* Make p about the run in this folder: its seeds and metrics. loom_report_close either way. LOOM_ECONFIG, LOOM_EDATA.
 */
int loom_report_open(struct loom_page *p, const char *run, struct loom_error *e);
void loom_report_close(struct loom_page *p);
const char *loom_report_name(const char *run, char buffer[64]); /* what the folder is called */
/* How the folder `to` is reached from the folder `from`. */
void loom_report_relative(char out[LOOM_REPORT_PATH], const char *from, const char *to);

/* One section each; a section without content writes nothing. */
int loom_report_curves(struct loom_page *p, struct loom_error *e);      /* log.jsonl: loss and terms of each stage */
int loom_report_predictions(struct loom_page *p, struct loom_error *e); /* predictions.h5 of one seed after the other */
void loom_report_tiles(struct loom_page *p);                            /* the figures that matter most */
void loom_report_metrics(struct loom_page *p);                          /* tables, baselines beside the model */
void loom_report_seeds(struct loom_page *p);                            /* per seed, and paired comparisons */
/* A page up to the begin of its body. */
void loom_report_head(struct loom_str *s, const char *title);
/* report.html of an ablation in its folder, out of what results.json says (train/ablate_results.c). */
int loom_report_ablation(const char *folder, const json_t *results, struct loom_error *e);
/* Parts of it for pages that have such results: tables of metrics, figures, paired comparisons; what it took. `csv` of
 * the results, where it is given, is behind the figures. */
void loom_report_results(struct loom_str *s, const json_t *results, int *tables);
void loom_report_compute(struct loom_str *s, const json_t *results, int *tables);
/* What a run's pipeline.cfg says, path → value as text, but for its name; stages and objectives under their names. *out
 * is the caller's, on failure too (json_decref). LOOM_EIO, LOOM_ECONFIG. */
int loom_report_keys(json_t **out, const char *pipeline, struct loom_error *e);
/* The body of a page that compares runs. */
int loom_report_compare(struct loom_page *page, const char *const *run, int runs, struct loom_error *e);
struct loom_report_log;
/* Curves of runs over each other. */
int loom_report_overlay(struct loom_page *p, const struct loom_report_log *const *log, const char *const *name,
                        int runs, struct loom_error *e);
/* "R²" of "r2"; what stands behind a dot is the modality. */
void loom_report_metric_name(struct loom_str *s, const char *key);

#endif
