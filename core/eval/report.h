/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a report share. */
#ifndef LOOM_EVAL_REPORT_H
#define LOOM_EVAL_REPORT_H

#include "base/json.h"
#include "base/str.h"
#include "eval/figure.h"

enum { LOOM_REPORT_PATH = 4096, LOOM_REPORT_SEEDS = 64 };

/* A page being written, and the run that it is about now. */
struct loom_page {
    struct loom_str html;
    char folder[LOOM_REPORT_PATH]; /* the page's */
    const char *run;               /* folder of the run */
    char tag[64];                  /* begins the names of its CSV files; "" when the page has one run */
    json_t *metrics;               /* of the run; NULL: none */
    int seeds;                     /* seed-N folders; 0: the run itself is the only one */
    char *seed[LOOM_REPORT_SEEDS]; /* their paths */
};

extern const char loom_report_style[]; /* the page's CSS */

/* "FOLDER/NAME" into out; 0 when it is too long. */
int loom_report_path(char out[LOOM_REPORT_PATH], const char *folder, const char *name);
/* Write report/TAG-NAME.csv beside the page; *href gets its path from the page. */
int loom_report_csv(struct loom_page *p, const char *name, const struct loom_str *text, char href[256],
                    struct loom_error *e);
/* Text as CSV has it, with its quotes. */
void loom_report_csv_text(struct loom_str *s, const char *text);
/* CSV of lines: "line,x,y". */
void loom_report_lines_csv(struct loom_str *out, const char *x, const char *y, const struct loom_line *line, int lines);

/* One section each; a section without content writes nothing. */
int loom_report_curves(struct loom_page *p, struct loom_error *e);      /* log.jsonl: loss and terms of each stage */
int loom_report_predictions(struct loom_page *p, struct loom_error *e); /* predictions.h5: traces and rasters */
void loom_report_tiles(struct loom_page *p);                            /* the figures that matter most */
void loom_report_metrics(struct loom_page *p);                          /* tables, baselines beside the model */
void loom_report_seeds(struct loom_page *p);                            /* per seed, and paired comparisons */
/* A page up to the begin of its body. */
void loom_report_head(struct loom_str *s, const char *title);
/* report.html of an ablation in its folder, out of what results.json says (train/ablate_results.c). */
int loom_report_ablation(const char *folder, const json_t *results, struct loom_error *e);
/* "R²" of "r2"; what stands behind a dot is the modality. */
void loom_report_metric_name(struct loom_str *s, const char *key);
/* Metrics of several runs side by side: [runs] metrics.json (NULL = none) and names. */
void loom_report_side_by_side(struct loom_str *html, json_t *const *metrics, const char *const *name, int runs);

#endif
