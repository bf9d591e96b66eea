/* SPDX-License-Identifier: Apache-2.0 */
/* A run's scalars as TensorBoard reads them: events.out.tfevents.loom in its folder.
 *
 * TFRecord: length u64, masked CRC-32C of it, bytes, masked CRC-32C of them, all little-endian; mask: rotated right by
 * 15 bits, plus 0xa282ead8. The bytes are protobuf messages `Event` {wall_time 1: double, step 2: int64, file_version
 * 3: string, summary 5: {value 1: {tag 1: string, simple_value 2: float}}}; the first names version "brain.Event:2".
 *
 * Tags are STAGE/NAME: what log.jsonl says of a step, and STAGE/SPLIT/METRIC at step 0 of an evaluation. The file is
 * cut back together with the log, so a run that was killed and resumed says every step once. */
#ifndef LOOM_TRAIN_EVENTS_H
#define LOOM_TRAIN_EVENTS_H

#include "base/json.h"
#include "train/rundir.h"

enum { LOOM_EVENT_TAG = 256 };

struct loom_event {
    double wall_s;
    int64_t step;
    char tag[LOOM_EVENT_TAG]; /* of its first value; "" when it has none */
    float value;
};

/* Append the numbers of one line of the log to the file, which is begun if need be. LOOM_EIO. */
int loom_events_log(const struct loom_rundir *d, const char *line, struct loom_error *e);
/* The means of an evaluation stage's metrics, {SPLIT: {METRIC: {"mean"}, "baselines": …}}. LOOM_EIO. */
int loom_events_metrics(const struct loom_rundir *d, const char *stage, json_t *metrics, struct loom_error *e);
/* Cut the file off at the first record that is damaged, or that says of `stage` something behind `step`. A run without
 * the file is left alone. LOOM_EIO. */
int loom_events_rewind(const struct loom_rundir *d, const char *stage, int64_t step, struct loom_error *e);
/* One record at *at of `bytes` [size], *at moved behind it: 1, or 0 when no whole and sound one stands there. */
int loom_events_read(const char *bytes, size_t size, size_t *at, struct loom_event *out);

#endif
