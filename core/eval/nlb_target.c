/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/nlb_target.h"

#include "base/mt19937.h"
#include "eval/nlb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All times are whole bins, or milliseconds, of the recording's clock: the benchmark's grid begins at 0. */
enum { TRAIN, EVAL, SPLITS };
static const char *const split_name[SPLITS] = {"train", "eval"};

struct trial {
    int32_t row;
    int64_t first;     /* bin that the window begins with, jitter included */
    int64_t from, to;  /* bins that are scored where the set has `from` */
    int64_t lagged;    /* first bin of the behaviour */
    int64_t jitter;    /* bins */
    int64_t shift;     /* bins that its first one lies behind the condition's first */
    int64_t condition; /* -1 = none */
    uint8_t outlier;
};

struct making {
    const struct loom_nlb_making *how;
    const struct loom_recording *r;
    const struct loom_nlb_set *set;
    const struct loom_intervals *table;
    char group[LOOM_NLB_GROUP];
    int64_t bin_ns, ms, bins, window, forward; /* ms, bins: of the recording */
    struct trial *trial[SPLITS];
    int64_t trials[SPLITS];
    int64_t units[2]; /* held-in, held-out */
    int64_t conditions;
    double *x, *y; /* [ms], [bins] of one unit or dimension */
    struct loom_arrays *out;
    struct loom_error *e;
};

static int starved(const struct making *m)
{
    return loom_fail(m->e, LOOM_ENOMEM, m->r->file, 0, "no memory for targets of %s: free some", m->set->name);
}

static int64_t ceil_bin(const struct making *m, double s, int64_t ms)
{
    const int64_t ns = llround(s * 1e9) + ms * 1000000;
    return ns / m->bin_ns + (ns % m->bin_ns > 0);
}

/* ---- trials ---- */

static int column(const struct making *m, const char *name, const double **out)
{
    const struct loom_column *c = loom_intervals_column(m->table, name);
    *out = c != NULL ? c->number : NULL;
    return *out != NULL
               ? LOOM_OK
               : loom_fail(m->e, LOOM_EDATA, m->r->file, 0,
                           "table \"trials\" has no numeric column \"%s\", which %s needs: is it that dataset?", name,
                           m->set->name);
}

static int split_of(const struct making *m, const char *text)
{
    const int test = strcmp(m->how->eval, "test") == 0;
    if (strcmp(text, m->how->eval) == 0)
        return EVAL;
    return strcmp(text, "train") == 0 || (test && strcmp(text, "val") == 0) ? TRAIN : -1;
}

static void place(const struct making *m, struct trial *t, const double *event, const double *from, int64_t jitter)
{
    t->jitter = jitter;
    t->to = ceil_bin(m, event[t->row], 0);
    t->first = ceil_bin(m, event[t->row], -m->set->pre_ms) + jitter;
    t->lagged = ceil_bin(m, event[t->row], m->set->lag_ms - m->set->pre_ms) + jitter;
    t->from = from != NULL ? ceil_bin(m, from[t->row], 0) : t->first;
}

/* Trials of both splits in the table's order. A trial without its event has no window, and has drawn its jitter. */
static int find_trials(struct making *m)
{
    const struct loom_nlb_set *set = m->set;
    const struct loom_column *split = loom_intervals_column(m->table, "split");
    const double *event = m->table->start_s, *from = NULL, *limit = NULL, *outlier = NULL;
    struct loom_mt19937 draw[SPLITS];
    int code = split != NULL && split->text != NULL
                   ? LOOM_OK
                   : loom_fail(m->e, LOOM_EDATA, m->r->file, 0, "table \"trials\" has no column \"split\" of texts");
    if (code == LOOM_OK && *set->align != '\0')
        code = column(m, set->align, &event);
    if (code == LOOM_OK && set->from != NULL)
        code = column(m, set->from, &from);
    if (code == LOOM_OK && set->jitter != NULL)
        code = column(m, set->jitter, &limit);
    if (code == LOOM_OK && set->outlier != NULL)
        code = column(m, set->outlier, &outlier);
    for (int s = 0; s < SPLITS && code == LOOM_OK; s++) {
        loom_mt19937_init(&draw[s], 0);
        m->trial[s] = calloc((size_t)m->table->rows + 1, sizeof **m->trial);
        code = m->trial[s] != NULL ? LOOM_OK : starved(m);
    }
    for (int32_t i = 0; i < m->table->rows && code == LOOM_OK; i++) {
        const int s = split_of(m, split->text[i]);
        struct trial *t = s >= 0 ? &m->trial[s][m->trials[s]] : NULL;
        if (t == NULL)
            continue;
        *t = (struct trial){.row = i, .condition = -1, .outlier = outlier != NULL && outlier[i] == 1};
        int64_t jitter = 0;
        if (limit != NULL && strcmp(split->text[i], "test") != 0)
            jitter = loom_jitter_bins(fmin(fmax(set->jitter_until_ms - limit[i], 0), set->jitter_most_ms),
                                      m->how->bin_ms, loom_mt19937_uniform(&draw[s]));
        if (isfinite(event[i])) {
            place(m, t, event, from, jitter);
            m->trials[s]++;
        }
    }
    for (int s = 0; s < SPLITS && code == LOOM_OK; s++)
        if (m->trials[s] == 0)
            code = loom_fail(m->e, LOOM_EDATA, m->r->file, 0, "no trial is for %s: column \"split\" has no such value",
                             s == TRAIN ? "training" : m->how->eval);
    return code;
}

/* ---- arrays ---- */

static void *add(struct making *m, const char *name, int type, int rank, const int64_t *dim, const char *axes,
                 const char *unit)
{
    char full[160];
    snprintf(full, sizeof full, "%s/%.60s", m->group, name);
    struct loom_array *a = loom_arrays_add(m->out, full, type, rank, dim, NULL, m->e);
    if (a == NULL)
        return NULL;
    loom_array_describe(a, axes, unit);
    return a->data;
}

/* ---- spikes ---- */

/* Counts of one unit in milliseconds, NaN where nothing was observed. */
static void count(struct making *m, int32_t unit)
{
    const struct loom_recording *r = m->r;
    for (int64_t i = 0; i < m->ms; i++)
        m->x[i] = r->observed_count > 0 ? NAN : 0;
    for (int32_t k = 0; k < r->observed_count; k++) {
        const double begin = ceil(rint(r->observed_s[2 * k] * 1e9) / 1e6);
        const double end = floor(rint(r->observed_s[2 * k + 1] * 1e9) / 1e6);
        for (int64_t i = begin > 0 ? (int64_t)begin : 0; i < m->ms && i < (int64_t)end; i++)
            m->x[i] = 0;
    }
    for (int64_t i = r->first_spike[unit]; i < r->first_spike[unit + 1]; i++) {
        const int64_t at = llround(r->spike_s[i] * 1e9) / 1000000;
        if (at >= 0 && at < m->ms)
            m->x[at] += 1;
    }
}

static double bin_at(const struct making *m, int64_t k)
{
    return k >= 0 && k < m->bins ? m->y[k] : NAN;
}

/* Arrays [trial, bin, unit] that take a column of each unit. */
struct counted {
    char name[48];
    int split, out, scored; /* scored: what lies outside from … to is NaN */
    int64_t begin, bins;    /* from the window's first */
    float *at;
};

static int begin_counted(struct making *m, struct counted *c, int n)
{
    for (int i = 0; i < n; i++) {
        const int64_t dim[3] = {m->trials[c[i].split], c[i].bins, m->units[c[i].out]};
        c[i].at = add(m, c[i].name, LOOM_ARRAY_F32, 3, dim, "trial,bin,unit", "spikes/bin");
        if (c[i].at == NULL)
            return LOOM_ENOMEM;
    }
    return LOOM_OK;
}

static void put_counted(const struct making *m, const struct counted *c, int64_t place)
{
    for (int64_t i = 0; i < m->trials[c->split]; i++) {
        const struct trial *t = &m->trial[c->split][i];
        for (int64_t k = 0; k < c->bins; k++) {
            const int64_t at = t->first + c->begin + k;
            const int inside = !c->scored || (at >= t->from && at < t->to);
            c->at[(i * c->bins + k) * m->units[c->out] + place] = (float)(inside ? bin_at(m, at) : NAN);
        }
    }
}

/* ---- histograms ---- */

/* One trial of one unit, smoothed: a stretch around the window that is long enough for the kernel. */
static int smooth_trial(const struct making *m, int64_t from, int64_t bins, double *out)
{
    const int64_t bin = m->how->bin_ms, pad = ((int64_t)(3 * m->set->psth_ms) / bin + 2) * bin;
    const int64_t low = from * bin - pad > 0 ? from * bin - pad : 0;
    const int64_t high = (from + bins) * bin + pad < m->ms ? (from + bins) * bin + pad : m->ms;
    double *x = malloc(((size_t)(high - low) + 1) * sizeof *x);
    double *y = malloc(((size_t)(high - low) / (size_t)bin + 2) * sizeof *y);
    int code = x != NULL && y != NULL ? LOOM_OK : starved(m);
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
    return n < m->window ? n : m->window;
}

/* Column `place` of smoothed [trials, window, units]. */
static int put_smoothed(const struct making *m, double *smoothed, int64_t place)
{
    const int64_t trials = m->trials[TRAIN] + m->trials[EVAL], units = m->units[0] + m->units[1];
    double *one = malloc(((size_t)m->window + 1) * sizeof *one);
    int code = one != NULL ? LOOM_OK : starved(m);
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
    int code = key != NULL && sorted != NULL ? LOOM_OK : starved(m);
    for (int c = 0; c < LOOM_NLB_CONDITIONS && m->set->condition[c] != NULL && code == LOOM_OK; c++) {
        const double *value;
        code = column(m, m->set->condition[c], &value);
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

/* Lists of a split's kept trials, one for each condition. */
static int add_lists(struct making *m, int split, const uint8_t *kept)
{
    char name[32];
    int64_t n = 0, base = split == TRAIN ? 0 : m->trials[TRAIN], *first;
    for (int64_t i = 0; i < m->trials[split]; i++)
        n += kept[base + i] != 0;
    snprintf(name, sizeof name, "%s_cond_idx", split_name[split]);
    int32_t *at = add(m, name, LOOM_ARRAY_I32, 1, &n, "", "");
    struct loom_array *a = at != NULL ? &m->out->at[m->out->n - 1] : NULL;
    if (a == NULL || (first = calloc((size_t)m->conditions + 1, sizeof *first)) == NULL)
        return starved(m);
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

static int add_histograms(struct making *m, double *smoothed)
{
    const int64_t trials = m->trials[TRAIN] + m->trials[EVAL], units = m->units[0] + m->units[1];
    int64_t *length = calloc((size_t)trials + 1, sizeof *length),
            *condition = calloc((size_t)trials + 1, sizeof *length);
    uint8_t *kept = calloc((size_t)trials + 1, 1);
    double *psth = calloc((size_t)(m->conditions * m->window * units) + 1, sizeof *psth);
    int code = length && condition && kept && psth ? LOOM_OK : starved(m);
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
    float *out = code == LOOM_OK ? add(m, "psth", LOOM_ARRAY_F32, 3, dim, "condition,bin,unit", "spikes/bin") : NULL;
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

/* ---- behaviour ---- */

static int add_scalars(struct making *m, int split)
{
    char name[32];
    int n = 0;
    while (n < LOOM_NLB_SCALARS && m->set->scalar[n] != NULL)
        n++;
    snprintf(name, sizeof name, "%s_behavior", split_name[split]);
    float *at = add(m, name, LOOM_ARRAY_F32, 2, (int64_t[]){m->trials[split], n}, "trial,dim", "");
    int code = at != NULL ? LOOM_OK : LOOM_ENOMEM;
    for (int c = 0; c < n && code == LOOM_OK; c++) {
        const double *value;
        code = column(m, m->set->scalar[c], &value);
        for (int64_t i = 0; i < m->trials[split] && code == LOOM_OK; i++) {
            const struct trial *t = &m->trial[split][i];
            at[i * n + c] = (float)(t->outlier ? NAN : value[t->row]);
        }
    }
    return code;
}

static int64_t ms_of(const struct loom_series *s, int64_t i)
{
    const double t = s->time_s != NULL ? s->time_s[i] : s->start_s + (double)i / s->rate_hz;
    return llround(t * 1e3);
}

static int add_series(struct making *m)
{
    const struct loom_series *s = loom_recording_series(m->r, m->set->behavior);
    float *at[SPLITS];
    int code = LOOM_OK;
    if (s == NULL)
        return loom_fail(m->e, LOOM_EDATA, m->r->file, 0, "has no series %s, which %s decodes", m->set->behavior,
                         m->set->name);
    for (int k = 0; k < SPLITS; k++) {
        const int64_t dim[3] = {m->trials[k], m->window, s->dims};
        at[k] =
            add(m, k == TRAIN ? "train_behavior" : "eval_behavior", LOOM_ARRAY_F32, 3, dim, "trial,bin,dim", s->unit);
        if (at[k] == NULL)
            return LOOM_ENOMEM;
    }
    for (int32_t d = 0; d < s->dims && code == LOOM_OK; d++) {
        for (int64_t i = 0; i < m->ms; i++)
            m->x[i] = NAN;
        for (int64_t i = 0; i < s->samples; i++)
            if (ms_of(s, i) >= 0 && ms_of(s, i) < m->ms)
                m->x[ms_of(s, i)] = s->value[i * s->dims + d];
        if (loom_decimate(m->x, m->ms, m->how->bin_ms, m->y) != LOOM_OK)
            code = starved(m);
        for (int k = 0; k < SPLITS && code == LOOM_OK; k++)
            for (int64_t i = 0; i < m->trials[k]; i++)
                for (int64_t b = 0; b < m->window; b++)
                    at[k][(i * m->window + b) * s->dims + d] = (float)bin_at(m, m->trial[k][i].lagged + b);
    }
    return code;
}

static int add_masks(struct making *m)
{
    const double *value;
    int code = column(m, m->set->decoder, &value);
    for (int s = 0; s < SPLITS && code == LOOM_OK; s++) {
        char name[32];
        snprintf(name, sizeof name, "%s_decode_mask", split_name[s]);
        uint8_t *at = add(m, name, LOOM_ARRAY_BOOL, 2, (int64_t[]){m->trials[s], 2}, "trial,decoder", "");
        if (at == NULL)
            return LOOM_ENOMEM;
        for (int64_t i = 0; i < m->trials[s]; i++)
            for (int k = 0; k < 2; k++)
                at[2 * i + k] = value[m->trial[s][i].row] == k;
    }
    return code;
}

static int add_jitter(struct making *m)
{
    for (int s = SPLITS - 1; s >= 0; s--) {
        int32_t *at =
            add(m, s == TRAIN ? "train_jitter" : "eval_jitter", LOOM_ARRAY_I32, 1, &m->trials[s], "trial", "bins");
        if (at == NULL)
            return LOOM_ENOMEM;
        for (int64_t i = 0; i < m->trials[s]; i++)
            at[i] = (int32_t)m->trial[s][i].jitter;
    }
    return LOOM_OK;
}

/* ---- all of it ---- */

/* Held-in units go first, and each kind in the file's order. */
static int add_units(struct making *m)
{
    const int64_t w = m->window, f = m->forward;
    struct counted counted[] = {{"eval_spikes_heldout", EVAL, 1, m->set->from != NULL, 0, w, NULL},
                                {"eval_spikes_heldin_forward", EVAL, 0, 0, w, f, NULL},
                                {"eval_spikes_heldout_forward", EVAL, 1, 0, w, f, NULL},
                                {"train_spikes_heldin", TRAIN, 0, 0, 0, w, NULL},
                                {"train_spikes_heldout", TRAIN, 1, 0, 0, w, NULL},
                                {"train_spikes_heldin_forward", TRAIN, 0, 0, w, f, NULL},
                                {"train_spikes_heldout_forward", TRAIN, 1, 0, w, f, NULL},
                                {"eval_spikes_heldin", EVAL, 0, 0, 0, w, NULL}};
    const int n = m->how->inputs ? 8 : 3, histograms = m->set->psth_ms > 0;
    const int64_t cells = (m->trials[TRAIN] + m->trials[EVAL]) * w * (m->units[0] + m->units[1]);
    double *smoothed = histograms ? malloc(((size_t)cells + 1) * sizeof *smoothed) : NULL;
    int64_t place[2] = {0, 0};
    int code = !histograms || smoothed != NULL ? begin_counted(m, counted, n) : starved(m);
    for (int64_t i = 0; i < cells && smoothed != NULL; i++)
        smoothed[i] = NAN;
    for (int32_t u = 0; u < m->r->units && code == LOOM_OK; u++) {
        const int out = m->r->unit[u].held_out;
        count(m, u);
        loom_nlb_rebin(m->x, m->ms, 1, m->how->bin_ms, m->y);
        for (int i = 0; i < n; i++)
            if (counted[i].out == out)
                put_counted(m, &counted[i], place[out]);
        if (histograms)
            code = put_smoothed(m, smoothed, place[out] + (out ? m->units[0] : 0));
        place[out]++;
    }
    if (code == LOOM_OK && histograms)
        code = add_histograms(m, smoothed);
    free(smoothed);
    return code;
}

static int measure(struct making *m)
{
    double end = -INFINITY;
    for (int32_t i = 0; i < m->r->observed_count; i++)
        end = fmax(end, m->r->observed_s[2 * i + 1]);
    for (int32_t i = 0; i < m->table->rows && m->r->observed_count == 0; i++)
        end = fmax(end, m->table->stop_s[i]);
    if (!(end > 0 && end < 1e7))
        return loom_fail(m->e, LOOM_EDATA, m->r->file, 0, "nothing was observed from 0 to %g s", end);
    for (int32_t u = 0; u < m->r->units; u++)
        m->units[m->r->unit[u].held_out != 0]++;
    m->ms = llround(end * 1e3);
    m->bin_ns = (int64_t)m->how->bin_ms * 1000000;
    m->bins = (m->ms + m->how->bin_ms - 1) / m->how->bin_ms;
    m->window = (m->set->pre_ms + m->set->post_ms) / m->how->bin_ms;
    m->forward = LOOM_NLB_FORWARD_MS / m->how->bin_ms;
    m->x = malloc(((size_t)m->ms + 1) * sizeof *m->x);
    m->y = malloc(((size_t)m->bins + 1) * sizeof *m->y);
    loom_nlb_group(m->group, m->set, m->how->bin_ms);
    return m->x != NULL && m->y != NULL ? LOOM_OK : starved(m);
}

int loom_nlb_target(const struct loom_nlb_making *how, struct loom_arrays *out, struct loom_error *e)
{
    struct making m = {.how = how,
                       .r = how->recording,
                       .set = how->set,
                       .table = loom_recording_intervals(how->recording, "trials"),
                       .out = out,
                       .e = e};
    int code = LOOM_OK;
    if (m.table == NULL || m.r->first_spike == NULL)
        code = loom_fail(e, LOOM_EDATA, m.r->file, 0, "has no %s: is it a file of the benchmark?",
                         m.table == NULL ? "table \"trials\"" : "spike times");
    if (code == LOOM_OK)
        code = measure(&m);
    if (code == LOOM_OK)
        code = find_trials(&m);
    if (code == LOOM_OK && m.set->psth_ms > 0)
        code = find_conditions(&m);
    if (code == LOOM_OK && m.set->from == NULL)
        shift_trials(&m);
    if (code == LOOM_OK)
        code = add_units(&m);
    for (int s = 0; s < SPLITS && code == LOOM_OK && m.set->behavior == NULL; s++)
        code = add_scalars(&m, s);
    if (code == LOOM_OK && m.set->behavior != NULL)
        code = add_series(&m);
    if (code == LOOM_OK && m.set->decoder != NULL)
        code = add_masks(&m);
    if (code == LOOM_OK && m.set->jitter != NULL)
        code = add_jitter(&m);
    for (int s = 0; s < SPLITS; s++)
        free(m.trial[s]);
    free(m.x);
    free(m.y);
    return code;
}
