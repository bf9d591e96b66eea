/* SPDX-License-Identifier: Apache-2.0 */
#include "train/export.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_place(const void *a, const void *b)
{
    const struct loom_predicted *const *x = a, *const *y = b;
    if ((*x)->trial != (*y)->trial)
        return (*x)->trial < (*y)->trial ? -1 : 1;
    if ((*x)->time_ns != (*y)->time_ns)
        return (*x)->time_ns < (*y)->time_ns ? -1 : 1;
    return *x < *y ? -1 : *x > *y;
}

static int same_place(const struct loom_predicted *x, const struct loom_predicted *y)
{
    return x->trial == y->trial && x->time_ns == y->time_ns;
}

/* How many trials, if each has as many rows. */
static int64_t equal_trials(const struct loom_grid *g)
{
    int64_t trials = 0, length = 0;
    for (int64_t i = 0, end; i < g->rows; i = end) {
        for (end = i + 1; end < g->rows && g->trial[end] == g->trial[i];)
            end++;
        if (g->trial[i] < 0 || (trials > 0 && end - i != length))
            return 0;
        length = end - i;
        trials++;
    }
    return trials;
}

/* Probabilities of classes, where the answers have some. */
static int fill_chance(struct loom_grid *g, const struct loom_predictions *p, int64_t cell,
                       const struct loom_predicted *row)
{
    const size_t all = (size_t)(g->rows * g->elements) * (size_t)g->classes;
    if (g->classes > 0 && g->chance == NULL) {
        g->chance = malloc((all + 1) * sizeof *g->chance);
        for (size_t i = 0; g->chance != NULL && i < all; i++)
            g->chance[i] = NAN;
    }
    for (int k = 0; g->chance != NULL && k < g->classes; k++)
        g->chance[cell * g->classes + k] = p->param[(row - p->row) * p->params + k];
    return g->classes == 0 || g->chance != NULL;
}

static int fill(struct loom_grid *g, const struct loom_predictions *p, const struct loom_predicted *const *row,
                int64_t n)
{
    const size_t cells = (size_t)(g->rows * g->elements) + 1;
    g->time_s = malloc(((size_t)g->rows + 1) * sizeof *g->time_s);
    g->trial = malloc(((size_t)g->rows + 1) * sizeof *g->trial);
    g->predicted = malloc(cells * sizeof *g->predicted);
    g->target = malloc(cells * sizeof *g->target);
    g->held = calloc(cells, 1);
    if (!g->time_s || !g->trial || !g->predicted || !g->target || !g->held)
        return LOOM_ENOMEM;
    g->classes = p->param != NULL && strcmp(p->likelihood, "categorical") == 0 ? p->params : 0;
    for (size_t i = 0; i < cells; i++)
        g->predicted[i] = g->target[i] = NAN;
    for (int64_t i = 0, at = -1; i < n; i++) {
        if (i == 0 || !same_place(row[i - 1], row[i])) {
            at++;
            g->time_s[at] = 1e-9 * (double)row[i]->time_ns;
            g->trial[at] = row[i]->trial;
        }
        const int64_t cell = at * g->elements + row[i]->element;
        g->predicted[cell] = row[i]->predicted;
        g->target[cell] = row[i]->target;
        g->held[cell] = row[i]->held;
        if (!fill_chance(g, p, cell, row[i]))
            return LOOM_ENOMEM;
    }
    g->trials = equal_trials(g);
    return LOOM_OK;
}

int loom_grid_init(struct loom_grid *g, const struct loom_predictions *p, int recording, struct loom_error *e)
{
    const struct loom_predicted **row = malloc(((size_t)p->n + 1) * sizeof *row);
    int64_t n = 0;
    *g = (struct loom_grid){0};
    for (int64_t i = 0; row && i < p->n; i++)
        if (p->row[i].recording == recording) {
            row[n++] = &p->row[i];
            g->elements = p->row[i].element >= g->elements ? p->row[i].element + 1 : g->elements;
        }
    if (row && n > 0)
        qsort(row, (size_t)n, sizeof *row, by_place);
    for (int64_t i = 0; i < n; i++)
        g->rows += i == 0 || !same_place(row[i - 1], row[i]);
    int code = row ? fill(g, p, row, n) : LOOM_ENOMEM;
    free(row);
    if (code == LOOM_OK)
        return LOOM_OK;
    loom_grid_release(g);
    return loom_fail(e, code, NULL, 0, "no memory to export %lld answers: export one split", (long long)p->n);
}

void loom_grid_release(struct loom_grid *g)
{
    free(g->time_s);
    free(g->trial);
    free(g->predicted);
    free(g->chance);
    free(g->target);
    free(g->held);
    *g = (struct loom_grid){0};
}

/* ---- submissions ---- */

/* Held-out units are those that are held at a trial's first bin; bins to come are those where all units are. */
struct shape {
    int64_t trials, bins, seen; /* bins: of the longest trial; seen: without those to come */
    int64_t units[2];           /* held-in, held-out */
    int64_t *row;               /* [trials, bins] of the grid, -1 = not asked */
    uint8_t *out;               /* [elements] 1 = held out */
};

static int64_t bin_of(const struct loom_grid *g, int64_t begin, int64_t i, double bin_s)
{
    return llround((g->time_s[i] - g->time_s[begin]) / bin_s);
}

/* Where each trial's bins stand: those that belong to another split's trial were not asked. */
static int find_rows(struct shape *s, const struct loom_grid *g, double bin_s)
{
    int64_t begin = 0;
    for (int64_t i = 0; i < g->rows; i++) {
        begin = i == 0 || g->trial[i] != g->trial[i - 1] ? i : begin;
        s->trials += begin == i;
        s->bins = bin_of(g, begin, i, bin_s) >= s->bins ? bin_of(g, begin, i, bin_s) + 1 : s->bins;
    }
    s->row = malloc((size_t)(s->trials * s->bins + 1) * sizeof *s->row);
    for (int64_t i = 0; s->row && i < s->trials * s->bins; i++)
        s->row[i] = -1;
    for (int64_t i = 0, t = -1; s->row && i < g->rows; i++) {
        begin = i == 0 || g->trial[i] != g->trial[i - 1] ? i : begin;
        t += begin == i;
        s->row[t * s->bins + bin_of(g, begin, i, bin_s)] = i;
    }
    return s->row ? LOOM_OK : LOOM_ENOMEM;
}

static int is_to_come(const struct shape *s, const struct loom_grid *g, int64_t bin)
{
    int64_t t = 0;
    while (t < s->trials && s->row[t * s->bins + bin] < 0)
        t++;
    for (int64_t u = 0; u < g->elements; u++)
        if (t == s->trials || g->held[s->row[t * s->bins + bin] * g->elements + u] == 0)
            return 0;
    return 1;
}

static int shape_of(struct shape *s, const struct loom_grid *g, double bin_s)
{
    int code = find_rows(s, g, bin_s);
    s->out = calloc((size_t)g->elements + 1, 1);
    if (code != LOOM_OK || !s->out)
        return LOOM_ENOMEM;
    for (int64_t u = 0; u < g->elements; u++)
        s->units[s->out[u] = g->held[u] != 0]++;
    for (s->seen = s->bins; s->seen > 0 && is_to_come(s, g, s->seen - 1);)
        s->seen--;
    return LOOM_OK;
}

/* The first cell of bins [from, to) without a rate; -1: all have one. */
static int64_t find_gap(const struct loom_grid *g, const struct shape *s, int64_t from, int64_t to)
{
    for (int64_t i = 0; i < s->trials * s->bins; i++)
        for (int64_t u = 0; u < g->elements && i % s->bins >= from && i % s->bins < to; u++)
            if (s->row[i] < 0 || !(g->predicted[s->row[i] * g->elements + u] >= 0))
                return i * g->elements + u;
    return -1;
}

/* Bins [from, to) of each trial, of the units that are held out, or of the others. */
static int add_part(struct loom_arrays *into, const struct loom_grid *g, const struct shape *s, const char *name,
                    int out, int64_t from, int64_t to, struct loom_error *e)
{
    struct loom_array *a =
        loom_arrays_add(into, name, LOOM_ARRAY_F32, 3, (int64_t[]){s->trials, to - from, s->units[out]}, NULL, e);
    if (!a)
        return LOOM_ENOMEM;
    loom_array_describe(a, "trial,bin,unit", "spikes/bin");
    float *x = a->data;
    for (int64_t t = 0; t < s->trials; t++)
        for (int64_t k = from; k < to; k++)
            for (int64_t u = 0; u < g->elements; u++)
                if (s->out[u] == out)
                    *x++ = (float)g->predicted[s->row[t * s->bins + k] * g->elements + u];
    return LOOM_OK;
}

/* What is seen must be there; bins to come that another split's trials take are left out altogether. */
static int add_parts(struct loom_arrays *into, const struct loom_grid *g, const struct shape *s, const char *group,
                     const char *prefix, struct loom_error *e)
{
    static const char *const kind[] = {"heldin", "heldout"};
    char name[128];
    int code = LOOM_OK;
    const int64_t gap = find_gap(g, s, 0, s->seen);
    int forward = s->seen < s->bins && find_gap(g, s, s->seen, s->bins) < 0;
    if (gap >= 0)
        return loom_fail(e, LOOM_EDATA, NULL, 0,
                         "%s/%s_rates: trial %lld has no rate at bin %lld of unit %lld: the bin was not observed, or "
                         "belongs to another split's trial",
                         group, prefix, (long long)(gap / g->elements / s->bins),
                         (long long)(gap / g->elements % s->bins), (long long)(gap % g->elements));
    if (s->seen < s->bins && !forward)
        loom_log(LOOM_WARN,
                 "%s: %s bins to come are left out, for some belong to trials of another split or were not recorded",
                 group, prefix);
    for (int out = 0; out < 2 && code == LOOM_OK; out++) {
        snprintf(name, sizeof name, "%s/%s_rates_%s", group, prefix, kind[out]);
        code = add_part(into, g, s, name, out, 0, s->seen, e);
        snprintf(name, sizeof name, "%s/%s_rates_%s_forward", group, prefix, kind[out]);
        if (code == LOOM_OK && forward)
            code = add_part(into, g, s, name, out, s->seen, s->bins, e);
    }
    return code;
}

int loom_export_submission(struct loom_arrays *into, const struct loom_grid *g, double bin_s, const char *group,
                           const char *prefix, struct loom_error *e)
{
    struct shape s = {0};
    if (g->rows == 0 || g->trial[0] < 0)
        return loom_fail(
            e, LOOM_EDATA, NULL, 0,
            "%s: windows are no trials: a submission needs data.window = \"trial\" with pre_ms and post_ms "
            "(data.nlb sets both)",
            group);
    int code = shape_of(&s, g, bin_s);
    if (code != LOOM_OK)
        code = loom_fail(e, code, NULL, 0, "no memory to export %s: free some", group);
    if (code == LOOM_OK && s.units[1] == 0)
        code = loom_fail(e, LOOM_EDATA, NULL, 0,
                         "%s: no unit of the %s trials is held out: the benchmark's training files mark them (test "
                         "files lack them: data.join = \"all\" makes one recording of both), or name some with "
                         "data.held_out_names",
                         group, prefix);
    if (code == LOOM_OK)
        code = add_parts(into, g, &s, group, prefix, e);
    free(s.row);
    free(s.out);
    return code;
}
