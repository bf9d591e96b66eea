/* SPDX-License-Identifier: Apache-2.0 */
/* The recordings of a catalogue with some of their content replaced, for checks that ask what a model's numbers hang
 * on. Names, units, spans, splits and trials, but for their classes, stay, so samples of one catalogue are samples of
 * the other. */
#ifndef LOOM_TRAIN_ALTERED_H
#define LOOM_TRAIN_ALTERED_H

#include "data/catalog.h"

enum loom_altered_series { LOOM_SERIES_KEEP, LOOM_SERIES_NOISE, LOOM_SERIES_NAN };

struct loom_alteration {
    /* 1: what `unit` (-1 = series) did at this time of the recording's clock is replaced by noise. NULL: nothing is. */
    int (*here)(const void *payload, int32_t recording, int32_t unit, int64_t t_ns);
    const void *payload;
    const char *const *spared;       /* series that are left as they are, NULL-ended; NULL: none */
    enum loom_altered_series series; /* what stands in the place of behaviours, and of the classes of trials */
    int silent;                      /* 1: no spikes in the place of spikes, instead of noise */
    int32_t units;                   /* > 0: that many units, the first, of each recording alone; -1: none */
    int32_t only;                    /* > 0: `units` is of this recording alone, counted from 1 */
    int reverse;                     /* 1: units in the opposite order */
    uint64_t seed;
};

struct loom_altered;
/* `from` must outlive it. LOOM_ENOMEM, and what loom_catalog_new says. The caller calls loom_altered_free. */
int loom_altered_new(struct loom_altered **out, const struct loom_catalog *from, const struct loom_alteration *how,
                     struct loom_error *e);
void loom_altered_free(struct loom_altered *a);
struct loom_catalog *loom_altered_catalog(const struct loom_altered *a);

#endif
