/* SPDX-License-Identifier: Apache-2.0 */
/* One recording on its way to spans: between split.c (time) and trials.c (rows of an interval table). */
#ifndef LOOM_DATA_SPLIT_H
#define LOOM_DATA_SPLIT_H

#include "data/spans.h"

struct loom_stretch {
    int64_t begin, end;
};
/* A part of one observed interval that belongs to one split. */
struct loom_piece {
    int64_t begin, end;
    int split;              /* -1: to none */
    int cut_begin, cut_end; /* 1: another split, or a gap, lies on that side */
};
/* A row of the interval table on its way to a span. */
struct loom_trial {
    int64_t begin, end; /* its window */
    int64_t low, high;  /* what it may read */
    int64_t event;
    int32_t row;
    int split;
};

struct loom_list {
    void *at;
    size_t n, capacity, size;
    int failed;
};

struct loom_splitter {
    struct loom_catalog *c;
    const struct loom_recording *r;
    int32_t number; /* of r */
    struct loom_list observed, pieces, trials, spans;
    const struct loom_intervals *table;
    struct loom_error *e;
};

/* 1: split.limit applies to the recording. */
int loom_split_limited(const struct loom_splitter *m);
/* Appends a copy; failure is sticky. */
void loom_list_push(struct loom_list *l, const void *item);

/* The rows of the table as trials with their windows, by begin. LOOM_EDATA, LOOM_ENOMEM. */
int loom_trials_find(struct loom_splitter *m);
/* Gives each trial its split, by share, order and column, and takes away what exceeds the limit. */
int loom_trials_deal(struct loom_splitter *m);

#endif
