/* SPDX-License-Identifier: Apache-2.0 */
/* What rows hold, and where they stand. */
#include "conform/families.h"
#include "conform/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int spikes_of(const struct loom_probe *p)
{
    for (int m = 0; m < loom_model_modalities(p->model); m++)
        if (strcmp(loom_model_modality(p->model, m), "spikes") == 0)
            return m;
    return -1;
}

static int64_t ns(double seconds)
{
    return (int64_t)floor(seconds * 1e9 + 0.5);
}

/* The counts of one window, as the core reads them. */
static int fill(const struct loom_probe *p, int s, struct loom_arena *a, struct loom_window *w, struct loom_error *e)
{
    const struct loom_window_ask ask = {.seed = 1};
    struct loom_window truth;
    loom_arena_rewind(a, 0);
    return loom_window_fill(p->runner.catalog, &p->sample[s], &ask, a, w, &truth, e);
}

struct tally {
    double *sum;    /* [bins, units] of values */
    int *times;     /* [bins, units] elements that hold it */
    double all;     /* Σ of values */
    int64_t places; /* elements whose unit and bin are in the window */
    int64_t elems;
};

static void count_rows(const struct loom_rows *full, int modality, int s, const struct loom_window *w, struct tally *x)
{
    for (int32_t r = full->first_row[s]; r < full->first_row[s + 1]; r++) {
        const struct loom_layout *l = &full->layout_of[full->layout[r]];
        int64_t k = ns(full->axis[0][r]) / ns(w->bin_s);
        for (int32_t i = 0; full->modality[r] == modality && i < l->n; i++) {
            double value = (double)full->value[full->first_elem[r] + i];
            int32_t u = 0;
            x->all += value;
            x->elems++;
            while (u < w->units && w->unit[u] != l->index[i])
                u++;
            if (k < 0 || k >= w->bins || u == w->units)
                continue;
            x->sum[k * w->units + u] += value;
            x->times[k * w->units + u]++;
            x->places++;
        }
    }
}

static int compare_units(struct loom_trial *t, const struct loom_window *w, const struct tally *x)
{
    const int one_each = x->elems == (int64_t)w->bins * w->units;
    for (int32_t u = 0; u < w->units; u++) {
        double is = 0, due = 0;
        for (int32_t k = 0; k < w->bins; k++) {
            int64_t at = (int64_t)k * w->units + u;
            is += x->sum[at];
            due += w->count[at];
            if (one_each && (x->times[at] != 1 || !(x->sum[at] == w->count[at])))
                return loom_trial_fail(t,
                                       "unit %d has %u spikes in bin %d; its rows hold %g there, in %d elements: every "
                                       "bin of every unit is in exactly one element",
                                       w->unit[u], w->count[at], k, x->sum[at], x->times[at]);
        }
        if (!(fabs(is - due) <= 1e-4 * (1 + due)))
            return loom_trial_fail(t,
                                   "unit %d has %g spikes in the window, and its rows hold %g: append every bin of "
                                   "every unit, the last ones too",
                                   w->unit[u], due, is);
    }
    return LOOM_PASSED;
}

static int compare_window(struct loom_trial *t, const struct loom_probe *p, int s, const struct loom_window *w)
{
    const struct loom_traits *traits = loom_model_traits(p->model, LOOM_TOKENIZER);
    struct tally x = {0};
    size_t n = (size_t)w->bins * (size_t)w->units + 1;
    double due = 0;
    int outcome = LOOM_PASSED;
    x.sum = calloc(n, sizeof *x.sum);
    x.times = calloc(n, sizeof *x.times);
    if (x.sum && x.times)
        count_rows(loom_shard_rows(p->shard), spikes_of(p), s, w, &x);
    for (int64_t i = 0; i < (int64_t)w->bins * w->units; i++)
        due += w->count[i];
    if (!x.sum || !x.times)
        outcome = loom_trial_fail(t, "no memory to count spikes: free some");
    else if (!(fabs(x.all - due) <= 1e-4 * (1 + due)))
        outcome = loom_trial_fail(t,
                                  "the window holds %g spikes, and its rows %g: append every bin of every unit once, "
                                  "the last ones too, and value as counted",
                                  due, x.all);
    else if (traits->offers & LOOM_UNITS)
        outcome = compare_units(t, w, &x);
    free(x.sum);
    free(x.times);
    return outcome;
}

/* Every window of a world with its rows, at several lengths. */
static int over_windows(struct loom_trial *t,
                        int (*compare)(struct loom_trial *, const struct loom_probe *, int, const struct loom_window *))
{
    static const int bins[] = {12, 1, 7, 11};
    struct loom_world w;
    struct loom_probe p;
    struct loom_window window;
    struct loom_arena a = {0};
    struct loom_said said = {0};
    int outcome = LOOM_PASSED;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    if (t->behavior) {
        loom_probe_release(&p);
        loom_world_release(&w);
        return loom_trial_skip(t, "it serves behaviours, not spikes");
    }
    int code = loom_arena_init(&a, (size_t)64 << 20, &t->e);
    for (int s = 0; s < p.n; s++) {
        double length = bins[s] * loom_catalog_bin_s(p.runner.catalog);
        p.sample[s].length_s = p.sample[s].end_s = length < p.sample[s].length_s ? length : p.sample[s].length_s;
    }
    if (code == LOOM_OK)
        code = loom_probe_pass(&p, p.sample, p.n, LOOM_EVALUATE, 0, NULL, NULL, &said, &t->e);
    for (int s = 0; s < p.n && code == LOOM_OK && outcome == LOOM_PASSED; s++) {
        code = fill(&p, s, &a, &window, &t->e);
        if (code == LOOM_OK)
            outcome = compare(t, &p, s, &window);
    }
    loom_said_release(&said);
    loom_arena_release(&a);
    loom_probe_release(&p);
    loom_world_release(&w);
    return code == LOOM_OK ? outcome : loom_trial_fail_error(t, "windows of 12, 1, 7 and 11 bins");
}

static int roundtrip(struct loom_trial *t)
{
    struct loom_world w;
    struct loom_probe p;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    const char *likelihood = loom_model_traits(p.model, LOOM_TOKENIZER)->likelihood;
    const int counts = likelihood && strcmp(likelihood, "poisson") == 0;
    loom_probe_release(&p);
    loom_world_release(&w);
    return counts ? over_windows(t, compare_window) : loom_trial_skip(t, "its elements are no counts");
}
const struct loom_check loom_check_tok_roundtrip = {
    .id = "tok-roundtrip",
    .kinds = LOOM_KIND(LOOM_TOKENIZER),
    .level = LOOM_REQUIRED,
    .what = "Where elements are counts (likelihood \"poisson\"): the rows of windows of 12, 1, 7 and 11 bins must hold "
            "the spikes of the window, no fewer and no more; with LOOM_UNITS those of each unit; and where there are "
            "as many elements as bins and units, each bin of each unit in exactly one.",
    .run = roundtrip,
};

static int compare_times(struct loom_trial *t, const struct loom_probe *p, int s, const struct loom_window *w)
{
    const struct loom_rows *full = loom_shard_rows(p->shard);
    const int spikes = spikes_of(p), units = (loom_model_traits(p->model, LOOM_TOKENIZER)->offers & LOOM_UNITS) != 0;
    double last = -INFINITY;
    for (int32_t r = full->first_row[s]; r < full->first_row[s + 1]; r++) {
        double at = full->axis[0][r];
        if (full->modality[r] != spikes)
            continue;
        if (!(at >= 0 && at <= w->length_s + 1e-9))
            return loom_trial_fail(t,
                                   "row %d stands at %g s, outside its window of %g s: give times from the window's "
                                   "origin, in seconds",
                                   r, at, w->length_s);
        if (!(at >= last))
            return loom_trial_fail(t, "row %d stands at %g s, behind one at %g s: append rows time by time", r, at,
                                   last);
        last = at;
        for (int a = 0; a < full->axes; a++)
            if (!isfinite(full->axis[a][r]))
                return loom_trial_fail(t,
                                       "row %d has no finite coordinate '%s': leave the axis undeclared where it is "
                                       "unknown",
                                       r, full->axis_name[a]);
        const struct loom_layout *l = &full->layout_of[full->layout[r]];
        for (int32_t i = 0; units && i < l->n; i++) {
            if (l->index[i] < 0 || l->index[i] >= w->of->units)
                return loom_trial_fail(t,
                                       "an element of row %d is unit %d, and the recording has %d: a layout's index "
                                       "is window.unit[u], the number in the recording",
                                       r, l->index[i], w->of->units);
            for (int32_t k = 0; k < i; k++)
                if (l->index[k] == l->index[i])
                    return loom_trial_fail(t, "unit %d is twice in row %d: name each unit once", l->index[i], r);
        }
    }
    return LOOM_PASSED;
}

static int times(struct loom_trial *t)
{
    return over_windows(t, compare_times);
}
const struct loom_check loom_check_tok_time_unit_map = {
    .id = "tok-time-unit-map",
    .kinds = LOOM_KIND(LOOM_TOKENIZER),
    .level = LOOM_REQUIRED,
    .what = "Rows of windows of 12, 1, 7 and 11 bins must stand inside their window, in order of time, at finite "
            "coordinates, and with LOOM_UNITS name units of the recording, none twice in a row: masks, attention and "
            "scores go by these.",
    .run = times,
};
