/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of `loom bench`: what it measures, part by part, and the two forms in which it says so. */
#ifndef LOOM_CLI_BENCH_H
#define LOOM_CLI_BENCH_H

#include "train/bench.h"
#include "train/bench_stream.h"

enum loom_bench_section {
    LOOM_BENCH_MACHINE,
    LOOM_BENCH_OPS,
    LOOM_BENCH_STEPS,
    LOOM_BENCH_SCALING,
    LOOM_BENCH_STREAM,
    LOOM_BENCH_SECTIONS
};

/* Every section is opened and closed in turn, measured or not; `number` counts from 0 within one. */
struct loom_bench_form {
    void (*open)(enum loom_bench_section section, int measured);
    void (*close)(enum loom_bench_section section, int measured);
    void (*machine)(const struct loom_bench_machine *m);
    void (*op)(const struct loom_bench_op *op, int number);
    void (*step)(const struct loom_bench_step *s, const char *title, int number);
    void (*skipped)(const char *title, const char *why, int number);
    void (*curve)(const struct loom_bench_curve *c, int number);
    void (*stream)(const struct loom_bench_stream *s, const char *title, int number);
};
extern const struct loom_bench_form loom_bench_text, loom_bench_json;
void loom_bench_json_begin(const char *title, int number); /* `, "title": {` */
/* Their `stream`. */
void loom_bench_stream_json(const struct loom_bench_stream *s, const char *title, int number);
void loom_bench_stream_text(const struct loom_bench_stream *s, const char *title, int number);

#endif
