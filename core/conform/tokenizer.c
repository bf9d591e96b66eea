/* SPDX-License-Identifier: Apache-2.0 */
/* What rows hold, and where they stand. */
#include "conform/families.h"
#include "conform/trial.h"

#include <loom/rng.h>

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
    const struct loom_window_ask ask = {.seed = 1, .unknown = 1};
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

/* Where each bin of each unit is one element: as many are held out as in the window. */
static int compare_held(struct loom_trial *t, const struct loom_probe *p, int s, const struct loom_window *w)
{
    const struct loom_rows *full = loom_shard_rows(p->shard);
    const int64_t places = (int64_t)w->bins * w->units;
    int64_t elems = 0, is = 0, due = 0;
    for (int32_t r = full->first_row[s]; r < full->first_row[s + 1]; r++)
        for (int32_t i = full->first_elem[r]; full->modality[r] == spikes_of(p) && i < full->first_elem[r + 1]; i++) {
            elems++;
            is += full->held[i] & LOOM_HELD_OUT;
        }
    for (int64_t i = 0; w->held && i < places; i++)
        due += w->held[i] & LOOM_HELD_OUT;
    return elems != places || is == due
               ? LOOM_PASSED
               : loom_trial_fail(t,
                                 "the data hold out %lld counts of a window, and its rows mark %lld: hand window.held "
                                 "through to loom_rows_append, or the model learns that held-out units are silent",
                                 (long long)due, (long long)is);
}

/* Every window of a world with its rows, at several lengths; `extra`: a line for the world, or NULL. */
static int over_windows(struct loom_trial *t, const char *extra,
                        int (*compare)(struct loom_trial *, const struct loom_probe *, int, const struct loom_window *))
{
    static const int bins[] = {12, 1, 7, 11};
    struct loom_world w;
    struct loom_probe p;
    struct loom_window window;
    struct loom_arena a = {0};
    struct loom_said said = {0};
    int outcome = LOOM_PASSED;
    if (loom_world_probe(t, &w, &p, &extra, extra != NULL) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    if (t->serves) {
        loom_probe_release(&p);
        loom_world_release(&w);
        return loom_trial_skip(t, "it serves %s, not spikes", t->serves);
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
    if (!counts)
        return loom_trial_skip(t, "its elements are no counts");
    int outcome = over_windows(t, NULL, compare_window);
    if (outcome != LOOM_PASSED)
        return outcome;
    outcome = over_windows(t, "data.held_out=0.25", compare_held);
    /* Parts that need every unit seen have nothing to hand through. */
    return outcome == LOOM_FAILED && t->e.code == LOOM_ECONFIG ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_tok_roundtrip = {
    .id = "tok-roundtrip",
    .kinds = LOOM_KIND(LOOM_TOKENIZER),
    .level = LOOM_REQUIRED,
    .what = "Where elements are counts (likelihood \"poisson\"): the rows of windows of 12, 1, 7 and 11 bins must hold "
            "the spikes of the window, no fewer and no more; with LOOM_UNITS those of each unit; and where there are "
            "as many elements as bins and units, each bin of each unit in exactly one, and what the data hold out "
            "marked as held out.",
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
        for (int32_t i = 0; i < l->n; i++) {
            if (units && (l->index[i] < 0 || l->index[i] >= w->of->units))
                return loom_trial_fail(t,
                                       "an element of row %d is unit %d, and the recording has %d: a layout's index "
                                       "is window.unit[u], the number in the recording",
                                       r, l->index[i], w->of->units);
            for (int32_t k = 0; k < i; k++)
                if (l->index[k] == l->index[i])
                    return loom_trial_fail(t,
                                           "two elements of row %d are called %d: give each element of a layout a "
                                           "name of its own",
                                           r, l->index[i]);
        }
    }
    return LOOM_PASSED;
}

/* ---- names under which windows meet ---- */

enum { KEPT = 4, DRAWS = 4 }; /* units that a window keeps, and how often they are drawn */

static int by_value(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The names of the elements of window 0, sorted, at most `room`; -1 where they are not one for each bin and unit. */
static int64_t names_of(const struct loom_probe *p, int32_t *name, int64_t room)
{
    const struct loom_rows *full = loom_shard_rows(p->shard);
    int64_t n = 0;
    for (int32_t r = full->first_row[0]; r < full->first_row[1]; r++) {
        const struct loom_layout *l = &full->layout_of[full->layout[r]];
        for (int32_t i = 0; full->modality[r] == spikes_of(p) && i < l->n; i++, n++)
            if (n < room)
                name[n] = l->index[i];
    }
    if (n != room)
        return -1;
    qsort(name, (size_t)n, sizeof *name, by_value);
    return n;
}

/* A window that keeps a few units, others each time: elements that are counts of single units change their names. */
static int dropped(struct loom_trial *t)
{
    const char *extra[] = {"data.unit_keep_min=4", "data.unit_keep_mode=4", "data.unit_keep_max=5"};
    struct loom_world w;
    struct loom_probe p;
    struct loom_said said = {0};
    int moved = 0, single = 1, code = LOOM_OK;
    if (loom_world_probe(t, &w, &p, extra, 3) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment with few units in each window");
    const int64_t room = KEPT * (int64_t)floor(p.sample[0].length_s / loom_catalog_bin_s(p.runner.catalog) + 0.5);
    int32_t *first = calloc((size_t)room + 1, sizeof *first), *name = calloc((size_t)room + 1, sizeof *name);
    if (!first || !name)
        code = loom_fail(&t->e, LOOM_ENOMEM, NULL, 0, "no memory for names: free some");
    for (uint64_t step = 1; step <= DRAWS && code == LOOM_OK && single; step++) {
        code = loom_probe_pass(&p, p.sample, 1, LOOM_STEP, step, NULL, NULL, &said, &t->e);
        single = code == LOOM_OK && names_of(&p, step == 1 ? first : name, room) == room;
        moved |= step > 1 && single && memcmp(first, name, (size_t)room * sizeof *name) != 0;
    }
    free(first);
    free(name);
    loom_said_release(&said);
    loom_probe_release(&p);
    loom_world_release(&w);
    if (code != LOOM_OK)
        return loom_trial_fail_error(t, "a window with few of its units");
    return moved || !single ? loom_trial_pass(t)
                            : loom_trial_fail(t,
                                              "a window that keeps %d units, others each time, has elements of the "
                                              "same names each time: make names from window.unit[u], the number in "
                                              "the recording, not from u",
                                              KEPT);
}

static int times(struct loom_trial *t)
{
    const int outcome = over_windows(t, NULL, compare_times);
    return outcome == LOOM_PASSED ? dropped(t) : outcome;
}
const struct loom_check loom_check_tok_time_unit_map = {
    .id = "tok-time-unit-map",
    .kinds = LOOM_KIND(LOOM_TOKENIZER),
    .level = LOOM_REQUIRED,
    .what = "Rows of windows of 12, 1, 7 and 11 bins must stand inside their window, in order of time, at finite "
            "coordinates; elements of a row have different names, with LOOM_UNITS those of units of the recording. "
            "Elements that are counts of single units must be called otherwise when a window keeps other units "
            "(unit_keep_max): masks, attention and scores go by these.",
    .run = times,
};

/* ---- one answer for each element ---- */

/* Every parameter a little elsewhere: a layer that begins with zeros says the same of everything. */
static void stir(const struct loom_probe *p)
{
    const struct loom_store *store = loom_model_store(p->model);
    struct loom_rng rng;
    loom_rng_init(&rng, 1, "conform.stir", 0, 0);
    for (int64_t i = 0; i < store->size[LOOM_LIFE_PARAM]; i++)
        store->param[i] += (loom_real)(0.1 * loom_rng_normal(&rng));
}

/* Rows of several elements in a reading of spikes, and those among them whose elements are not all told the same. */
static void count_told(const struct loom_reading *x, int *several, int *differ)
{
    for (int32_t r = 0; r < x->ask->rows; r++) {
        const int32_t from = x->ask->first_elem[r], to = x->ask->first_elem[r + 1];
        const loom_real *first = x->params + (int64_t)from * x->params_n;
        int same = 1;
        for (int32_t i = from + 1; i < to && same; i++)
            same = memcmp(first, x->params + (int64_t)i * x->params_n, (size_t)x->params_n * sizeof *first) == 0;
        *several += to - from > 1;
        *differ += !same;
    }
}

static int answers(struct loom_trial *t)
{
    struct loom_world w;
    struct loom_probe p;
    struct loom_said said = {0};
    int several = 0, differ = 0;
    if (loom_world_probe(t, &w, &p, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a small experiment");
    stir(&p);
    const int code = loom_probe_pass(&p, p.sample, p.n, LOOM_STEP, 1, NULL, NULL, &said, &t->e);
    for (int i = 0; code == LOOM_OK && i < loom_shard_readings(p.shard); i++)
        if (loom_shard_reading(p.shard, i)->modality == spikes_of(&p))
            count_told(loom_shard_reading(p.shard, i), &several, &differ);
    loom_said_release(&said);
    loom_probe_release(&p);
    loom_world_release(&w);
    if (code != LOOM_OK)
        return loom_trial_fail_error(t, "a training pass");
    if (!several)
        return loom_trial_skip(t, "no row of several elements is asked for");
    return differ ? loom_trial_pass(t)
                  : loom_trial_fail(t,
                                    "of all elements of a row `read` says the same, in each of %d rows that were asked "
                                    "for: give each element an answer of its own, in the order of ask->first_elem",
                                    several);
}
const struct loom_check loom_check_tok_answers = {
    .id = "tok-answers",
    .kinds = LOOM_KIND(LOOM_TOKENIZER),
    .level = LOOM_STRICT,
    .what = "With parameters stirred a little, rows of several elements are asked for. Somewhere two elements of a row "
            "must be told different things: an index that forgets the element trains, to the mean of the row.",
    .run = answers,
};
