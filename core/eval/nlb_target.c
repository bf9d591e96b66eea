/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/nlb_making.h"

#include "base/mt19937.h"
#include "eval/nlb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const split_name[SPLITS] = {"train", "eval"};

int loom_making_starved(const struct making *m)
{
    return loom_fail(m->e, LOOM_ENOMEM, m->r->file, 0, "no memory for targets of %s: free some", m->set->name);
}

static int64_t ceil_bin(const struct making *m, double s, int64_t ms)
{
    const int64_t ns = llround(s * 1e9) + ms * 1000000;
    return ns / m->bin_ns + (ns % m->bin_ns > 0);
}

/* ---- trials ---- */

int loom_making_column(const struct making *m, const char *name, const double **out)
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
    t->histogram = INT64_MAX;
    t->event_ns = llround(event[t->row] * 1e9);
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
        code = loom_making_column(m, set->align, &event);
    if (code == LOOM_OK && set->from != NULL)
        code = loom_making_column(m, set->from, &from);
    if (code == LOOM_OK && set->jitter != NULL)
        code = loom_making_column(m, set->jitter, &limit);
    if (code == LOOM_OK && set->outlier != NULL)
        code = loom_making_column(m, set->outlier, &outlier);
    for (int s = 0; s < SPLITS && code == LOOM_OK; s++) {
        loom_mt19937_init(&draw[s], 0);
        m->trial[s] = calloc((size_t)m->table->rows + 1, sizeof **m->trial);
        code = m->trial[s] != NULL ? LOOM_OK : loom_making_starved(m);
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

/* ---- trials that overlap ---- */

static int64_t floor_bin(const struct making *m, int64_t ns)
{
    return ns / m->bin_ns - (ns % m->bin_ns < 0);
}

/* Times are compared less a microsecond, as upstream does. */
int64_t loom_making_cut(const struct making *m, const struct trial *t, const struct trial *next, int64_t lag_ms)
{
    const int64_t us = 1000, end = t->event_ns + (m->set->post_ms + lag_ms) * 1000 * us - us;
    if (next == NULL)
        return INT64_MAX;
    int64_t bound = next->event_ns + (lag_ms - m->set->pre_ms) * 1000 * us;
    if (next->row + 1 < m->table->rows && isfinite(m->table->start_s[next->row + 1]))
        bound = llround(fmin((double)bound, m->table->start_s[next->row + 1] * 1e9));
    return end > bound ? floor_bin(m, bound - us) + 1 : INT64_MAX;
}

static int64_t behavior_cut(const struct making *m, int split, int64_t i)
{
    const struct trial *t = &m->trial[split][i];
    return m->set->targets_overlap ? INT64_MAX
                                   : loom_making_cut(m, t, i + 1 < m->trials[split] ? t + 1 : NULL, m->set->lag_ms);
}

/* Of spikes upstream makes arrays of whole windows, or none. */
static int check_overlap(const struct making *m, int split, int may)
{
    for (int64_t i = 0; !may && i + 1 < m->trials[split]; i++) {
        const struct trial *t = &m->trial[split][i];
        if (loom_making_cut(m, t, t + 1, 0) != INT64_MAX)
            return loom_fail(m->e, LOOM_EDATA, m->r->file, 0,
                             "windows of %s trials in rows %d and %d of table \"trials\" overlap, which those of %s do "
                             "not: is it that dataset?",
                             split_name[split], (int)t->row, (int)t[1].row, m->set->name);
    }
    return LOOM_OK;
}

static int check_overlaps(const struct making *m)
{
    int code = check_overlap(m, EVAL, m->set->targets_overlap);
    for (int s = 0; s < SPLITS && m->how->inputs && code == LOOM_OK; s++)
        code = check_overlap(m, s, m->set->inputs_overlap);
    return code;
}

/* ---- arrays ---- */

void *loom_making_add(struct making *m, const char *name, int type, int rank, const int64_t *dim, const char *axes,
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
        c[i].at = loom_making_add(m, c[i].name, LOOM_ARRAY_F32, 3, dim, "trial,bin,unit", "spikes/bin");
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

/* ---- behaviour ---- */

static int add_scalars(struct making *m, int split)
{
    char name[32];
    int n = 0;
    while (n < LOOM_NLB_SCALARS && m->set->scalar[n] != NULL)
        n++;
    snprintf(name, sizeof name, "%s_behavior", split_name[split]);
    float *at = loom_making_add(m, name, LOOM_ARRAY_F32, 2, (int64_t[]){m->trials[split], n}, "trial,dim", "");
    int code = at != NULL ? LOOM_OK : LOOM_ENOMEM;
    for (int c = 0; c < n && code == LOOM_OK; c++) {
        const double *value;
        code = loom_making_column(m, m->set->scalar[c], &value);
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
        at[k] = loom_making_add(m, k == TRAIN ? "train_behavior" : "eval_behavior", LOOM_ARRAY_F32, 3, dim,
                                "trial,bin,dim", s->unit);
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
            code = loom_making_starved(m);
        for (int k = 0; k < SPLITS && code == LOOM_OK; k++)
            for (int64_t i = 0; i < m->trials[k]; i++) {
                const int64_t first = m->trial[k][i].lagged, cut = behavior_cut(m, k, i);
                for (int64_t b = 0; b < m->window; b++)
                    at[k][(i * m->window + b) * s->dims + d] = (float)(first + b < cut ? bin_at(m, first + b) : NAN);
            }
    }
    return code;
}

static int add_masks(struct making *m)
{
    const double *value;
    int code = loom_making_column(m, m->set->decoder, &value);
    for (int s = 0; s < SPLITS && code == LOOM_OK; s++) {
        char name[32];
        snprintf(name, sizeof name, "%s_decode_mask", split_name[s]);
        uint8_t *at = loom_making_add(m, name, LOOM_ARRAY_BOOL, 2, (int64_t[]){m->trials[s], 2}, "trial,decoder", "");
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
        int32_t *at = loom_making_add(m, s == TRAIN ? "train_jitter" : "eval_jitter", LOOM_ARRAY_I32, 1, &m->trials[s],
                                      "trial", "bins");
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
    int code = !histograms || smoothed != NULL ? begin_counted(m, counted, n) : loom_making_starved(m);
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
            code = loom_histograms_put(m, smoothed, place[out] + (out ? m->units[0] : 0));
        place[out]++;
    }
    if (code == LOOM_OK && histograms)
        code = loom_histograms_add(m, smoothed);
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
    return m->x != NULL && m->y != NULL ? LOOM_OK : loom_making_starved(m);
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
    if (code == LOOM_OK)
        code = check_overlaps(&m);
    if (code == LOOM_OK && m.set->psth_ms > 0)
        code = loom_histograms_plan(&m);
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
