/* SPDX-License-Identifier: Apache-2.0 */
/* What catalog.c, split.c, window.c and sampler.c share: the catalogue's inside. */
#ifndef LOOM_DATA_SPANS_H
#define LOOM_DATA_SPANS_H

#include "data/catalog.h"

#include <math.h>

struct loom_ingested;
struct loom_label;

struct loom_catalog {
    struct loom_data_spec spec; /* texts point into `memory` */
    struct loom_arena memory;
    int64_t bin_ns, forward_ns;
    int32_t recordings;
    const struct loom_recording **recording; /* in byte order of ids */
    const uint8_t **held;                    /* [recordings][units], entry NULL = none */
    int32_t spans;
    struct loom_span *span; /* by recording, split, time; malloc'ed */
    int32_t max_units, max_bins;
    int32_t labels;
    struct loom_label *label; /* [labels] see columns.h; none unless windows are of trials */
    const char **names[4];    /* by vocabulary, see catalog.c */
    int32_t names_n[4];
    int32_t *row[3];     /* session, subject, task of a recording */
    int32_t *first_unit; /* [recordings+1] row of a recording's unit 0 in "unit" */
    void (*release)(void *owned);
    void *owned; /* what ingest gave */
};

/* The one place where seconds become nanoseconds. */
static inline int64_t loom_ns(double seconds)
{
    return (int64_t)floor(seconds * 1e9 + 0.5);
}

static inline int64_t loom_floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static inline int64_t loom_ceil_div(int64_t a, int64_t b)
{
    return -loom_floor_div(-a, b);
}

/* Nearest edge of a stored bin for recordings that come binned; `t` itself where spike times are known. */
int64_t loom_stored_edge(const struct loom_recording *r, int64_t t_ns);
/* Block of stored bins that holds t (the last one that starts at or before it), or -1. */
int32_t loom_counts_block(const struct loom_counts *n, int64_t t_ns);
/* Number of the stored bin of that block whose begin is nearest to t. */
int64_t loom_counts_bin(const struct loom_counts *n, int32_t block, int64_t t_ns);

int loom_words_match(const struct loom_words *patterns, const char *name); /* no patterns: nothing matches */
/* First number i in [0, n) with time(i) >= t, of ascending seconds. */
int64_t loom_lower_bound(const double *time_s, int64_t n, int64_t t_ns);

/* The sample's name: see struct loom_sample. [windows.c] */
uint64_t loom_sample_key(const struct loom_catalog *c, const struct loom_sample *s, int64_t draw);

/* Fills c->span and c->spans. LOOM_EDATA, LOOM_ECONFIG, LOOM_ENOMEM. [split.c] */
int loom_spans_make(struct loom_catalog *c, struct loom_error *e);

#endif
