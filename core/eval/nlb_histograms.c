/* SPDX-License-Identifier: Apache-2.0 */
/* Peri-stimulus histograms of the benchmark's conditions (upstream _make_psth). */
#include "eval/nlb_making.h"

#include "eval/nlb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One trial of one unit, smoothed: a stretch around the window that is long enough for the kernel. */
static int smooth_trial(const struct making *m, int64_t from, int64_t bins, double *out)
{
    const int64_t bin = m->how->bin_ms, pad = ((int64_t)(3 * m->set->psth_ms) / bin + 2) * bin;
    const int64_t low = from * bin - pad > 0 ? from * bin - pad : 0;
    const int64_t high = (from + bins) * bin + pad < m->ms ? (from + bins) * bin + pad : m->ms;
    double *x = malloc(((size_t)(high - low) + 1) * sizeof *x);
    double *y = malloc(((size_t)(high - low) / (size_t)bin + 2) * sizeof *y);
    int code = x != NULL && y != NULL ? LOOM_OK : loom_making_starved(m);
    if (code == LOOM_OK && high > low) {
        memcpy(x, m->x + low, (size_t)(high - low) * sizeof *x);
        code = loom_nlb_smooth(x, high - low, 1, m->set->psth_ms, m->e);
        loom_nlb_rebin(x, high - low, 1, bin, y);
    }
    for (int64_t k = 0; k < bins && code == LOOM_OK; k++) {
        const int64_t at = from + k - low / bin;
        out[k] = at >= 0 && at * bin < high - low ? y[at] : NAN;
    }
    free(x);
    free(y);
    return code;
}

static const struct trial *nth(const struct making *m, int64_t i)
{
    return i < m->trials[TRAIN] ? &m->trial[TRAIN][i] : &m->trial[EVAL][i - m->trials[TRAIN]];
}

/* Bins of the histogram that a trial has; they end with the window where the set says from when on they count. */
static int64_t length_of(const struct making *m, const struct trial *t)
{
    const int64_t n = m->set->from != NULL ? t->to - t->from : m->window;
    const int64_t left = t->histogram > t->first + n ? n : t->histogram - t->first;
    return left < m->window ? left : m->window;
}

/* Column `place` of smoothed [trials, window, units]. */
int loom_histograms_put(const struct making *m, double *smoothed, int64_t place)
{
    const int64_t trials = m->trials[TRAIN] + m->trials[EVAL], units = m->units[0] + m->units[1];
    double *one = malloc(((size_t)m->window + 1) * sizeof *one);
    int code = one != NULL ? LOOM_OK : loom_making_starved(m);
    for (int64_t i = 0; i < trials && code == LOOM_OK; i++) {
        const struct trial *t = nth(m, i);
        const int64_t n = length_of(m, t), first = m->set->from != NULL ? t->to - n : t->first;
        const int64_t to = m->set->from != NULL ? m->window - n : t->shift;
        code = smooth_trial(m, first, n, one);
        for (int64_t k = 0; k < n && to + k < m->window && code == LOOM_OK; k++)
            smoothed[(i * m->window + to + k) * units + place] = one[k];
    }
    free(one);
    return code;
}

/* Values of the condition's columns, and the trials to compare them for. */
struct key {
    double value[LOOM_NLB_CONDITIONS];
};

static int by_key(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    for (int i = 0; i < LOOM_NLB_CONDITIONS; i++)
        if (x->value[i] != y->value[i])
            return x->value[i] < y->value[i] ? -1 : 1;
    return 0;
}

/* Numbers of conditions in the order of their values; trials with a NaN are in none. Outliers name conditions, but have
 * no part in them, and one that has nobody else is none. */
static int find_conditions(struct making *m)
{
    const int64_t trials = m->trials[TRAIN] + m->trials[EVAL];
    struct key *key = calloc((size_t)trials + 1, sizeof *key), *sorted = calloc((size_t)trials + 1, sizeof *sorted);
    int64_t n = 0;
    int code = key != NULL && sorted != NULL ? LOOM_OK : loom_making_starved(m);
    for (int c = 0; c < LOOM_NLB_CONDITIONS && m->set->condition[c] != NULL && code == LOOM_OK; c++) {
        const double *value;
        code = loom_making_column(m, m->set->condition[c], &value);
        for (int64_t i = 0; i < trials && code == LOOM_OK; i++)
            key[i].value[c] = value[nth(m, i)->row];
    }
    for (int64_t i = 0; i < trials && code == LOOM_OK; i++) {
        int known = !nth(m, i)->outlier;
        for (int c = 0; c < LOOM_NLB_CONDITIONS; c++)
            known &= !isnan(key[i].value[c]);
        if (known)
            sorted[n++] = key[i];
    }
    if (code == LOOM_OK && n > 0)
        qsort(sorted, (size_t)n, sizeof *sorted, by_key);
    for (int64_t i = 0; i < n; i++)
        if (i == 0 || by_key(&sorted[m->conditions - 1], &sorted[i]) != 0)
            sorted[m->conditions++] = sorted[i];
    for (int64_t i = 0; i < trials && code == LOOM_OK; i++) {
        struct trial *t = (struct trial *)(uintptr_t)nth(m, i);
        for (int64_t c = 0; c < m->conditions && !t->outlier; c++)
            t->condition = by_key(&sorted[c], &key[i]) == 0 ? c : t->condition;
    }
    free(key);
    free(sorted);
    return code;
}

/* Upstream averages bins that lie equally far from the event's bin. Where the window's length before the event is no
 * multiple of a bin, the first bin of some trials lies one further than that of others. */
static void shift_trials(struct making *m)
{
    const int64_t trials = m->trials[TRAIN] + m->trials[EVAL];
    for (int64_t i = 0; i < trials; i++) {
        struct trial *t = (struct trial *)(uintptr_t)nth(m, i);
        for (int64_t k = 0; k < trials; k++) {
            const struct trial *other = nth(m, k);
            const int64_t shift = t->first - t->to - (other->first - other->to);
            if (other->condition == t->condition && shift > t->shift)
                t->shift = shift;
        }
    }
}

/* The next of its condition, whichever split it is of. A trial of which nothing is left is in none. */
static void cut_histograms(struct making *m)
{
    const int64_t trials = m->trials[TRAIN] + m->trials[EVAL];
    for (int64_t i = 0; i < trials; i++) {
        struct trial *t = (struct trial *)(uintptr_t)nth(m, i);
        const struct trial *next = NULL;
        for (int64_t k = 0; k < trials && t->condition >= 0; k++) {
            const struct trial *other = nth(m, k);
            if (other->condition == t->condition && other->row > t->row && (next == NULL || other->row < next->row))
                next = other;
        }
        t->histogram = loom_making_cut(m, t, next, 0);
    }
    for (int64_t i = 0; i < trials; i++) {
        struct trial *t = (struct trial *)(uintptr_t)nth(m, i);
        t->condition = t->histogram > t->first ? t->condition : -1;
    }
}

int loom_histograms_plan(struct making *m)
{
    int code = find_conditions(m);
    if (code == LOOM_OK && m->set->from == NULL) {
        cut_histograms(m);
        shift_trials(m);
    }
    return code;
}

/* Lists of a split's kept trials, one for each condition. */
static int add_lists(struct making *m, int split, const uint8_t *kept)
{
    char name[32];
    int64_t n = 0, base = split == TRAIN ? 0 : m->trials[TRAIN], *first;
    for (int64_t i = 0; i < m->trials[split]; i++)
        n += kept[base + i] != 0;
    snprintf(name, sizeof name, "%s_cond_idx", split == TRAIN ? "train" : "eval");
    int32_t *at = loom_making_add(m, name, LOOM_ARRAY_I32, 1, &n, "", "");
    struct loom_array *a = at != NULL ? &m->out->at[m->out->n - 1] : NULL;
    if (a == NULL || (first = calloc((size_t)m->conditions + 1, sizeof *first)) == NULL)
        return loom_making_starved(m);
    n = 0;
    for (int64_t c = 0; c < m->conditions; c++) {
        for (int64_t i = 0; i < m->trials[split]; i++)
            if (kept[base + i] != 0 && m->trial[split][i].condition == c)
                at[n++] = (int32_t)i;
        first[c + 1] = n;
    }
    a->rows = m->conditions;
    a->first = first;
    return LOOM_OK;
}

int loom_histograms_add(struct making *m, double *smoothed)
{
    const int64_t trials = m->trials[TRAIN] + m->trials[EVAL], units = m->units[0] + m->units[1];
    int64_t *length = calloc((size_t)trials + 1, sizeof *length),
            *condition = calloc((size_t)trials + 1, sizeof *length);
    uint8_t *kept = calloc((size_t)trials + 1, 1);
    double *psth = calloc((size_t)(m->conditions * m->window * units) + 1, sizeof *psth);
    int code = length && condition && kept && psth ? LOOM_OK : loom_making_starved(m);
    for (int64_t i = 0; i < trials && code == LOOM_OK; i++) {
        length[i] = length_of(m, nth(m, i));
        condition[i] = nth(m, i)->condition;
    }
    if (code == LOOM_OK)
        code = loom_nlb_psth(&(struct loom_nlb_trials){.smoothed = {smoothed, trials, m->window, units},
                                                       .length = length,
                                                       .at_end = m->set->from != NULL,
                                                       .condition = condition,
                                                       .conditions = m->conditions},
                             psth, kept, m->e);
    const int64_t dim[3] = {m->conditions, m->window, units};
    float *out =
        code == LOOM_OK ? loom_making_add(m, "psth", LOOM_ARRAY_F32, 3, dim, "condition,bin,unit", "spikes/bin") : NULL;
    if (code == LOOM_OK && out == NULL)
        code = LOOM_ENOMEM;
    for (int64_t i = 0; i < dim[0] * dim[1] * dim[2] && code == LOOM_OK; i++)
        out[i] = (float)psth[i];
    for (int s = SPLITS - 1; s >= 0 && code == LOOM_OK; s--)
        code = add_lists(m, s, kept);
    free(length);
    free(condition);
    free(kept);
    free(psth);
    return code;
}
