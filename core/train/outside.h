/* SPDX-License-Identifier: Apache-2.0 */
/* Which times no window of the train split may read: what a check replaces to see whether training knows of it. */
#ifndef LOOM_TRAIN_OUTSIDE_H
#define LOOM_TRAIN_OUTSIDE_H

#include "data/catalog.h"

struct loom_outside_stretch {
    int32_t recording;
    int64_t begin, end;
};

struct loom_outside {
    struct loom_outside_stretch *train; /* [stretches] by recording and time, none touching another */
    int32_t stretches;
};

/* LOOM_ENOMEM: nothing to release. */
int loom_outside_init(struct loom_outside *o, const struct loom_catalog *c, struct loom_error *e);
void loom_outside_release(struct loom_outside *o);
/* 1 where no span of the train split holds nanosecond t of the recording; `unit` does not matter. As `here` of struct
 * loom_alteration, with a struct loom_outside. */
int loom_is_outside(const void *outside, int32_t recording, int32_t unit, int64_t t);

#endif
