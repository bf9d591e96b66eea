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

static int fill(struct loom_grid *g, const struct loom_predicted *const *row, int64_t n)
{
    const size_t cells = (size_t)(g->rows * g->elements) + 1;
    g->time_s = malloc(((size_t)g->rows + 1) * sizeof *g->time_s);
    g->trial = malloc(((size_t)g->rows + 1) * sizeof *g->trial);
    g->predicted = malloc(cells * sizeof *g->predicted);
    g->target = malloc(cells * sizeof *g->target);
    g->held = calloc(cells, 1);
    if (!g->time_s || !g->trial || !g->predicted || !g->target || !g->held)
        return LOOM_ENOMEM;
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
    int code = row ? fill(g, row, n) : LOOM_ENOMEM;
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
    free(g->target);
    free(g->held);
    *g = (struct loom_grid){0};
}

/* ---- submissions ---- */

/* Held-out units are those that are held at a trial's first bin; bins to come are those where all units are. */
struct shape {
    int64_t bins, seen; /* seen: without those to come */
    int64_t units[2];   /* held-in, held-out */
    uint8_t *out;       /* [elements] 1 = held out */
};

static int shape_of(struct shape *s, const struct loom_grid *g)
{
    s->bins = g->rows / g->trials;
    s->seen = s->bins;
    s->out = calloc((size_t)g->elements + 1, 1);
    for (int64_t u = 0; s->out && u < g->elements; u++)
        s->units[s->out[u] = g->held[u] != 0]++;
    for (int to_come = 1; s->seen > 0; s->seen -= to_come) {
        for (int64_t u = 0; u < g->elements && to_come; u++)
            to_come = g->held[(s->seen - 1) * g->elements + u] != 0;
        if (!to_come)
            break;
    }
    return s->out ? LOOM_OK : LOOM_ENOMEM;
}

/* Bins [from, to) of each trial, of the units that are held out, or of the others. */
static int add_part(struct loom_arrays *into, const struct loom_grid *g, const struct shape *s, const char *name,
                    int out, int64_t from, int64_t to, struct loom_error *e)
{
    struct loom_array *a =
        loom_arrays_add(into, name, LOOM_ARRAY_F32, 3, (int64_t[]){g->trials, to - from, s->units[out]}, NULL, e);
    if (!a)
        return LOOM_ENOMEM;
    loom_array_describe(a, "trial,bin,unit", "spikes/bin");
    float *x = a->data;
    for (int64_t t = 0; t < g->trials; t++)
        for (int64_t k = from; k < to; k++)
            for (int64_t u = 0; u < g->elements; u++) {
                const int64_t row = t * s->bins + k;
                const double rate = g->predicted[row * g->elements + u];
                if (s->out[u] != out)
                    continue;
                if (!(rate >= 0))
                    return loom_fail(e, LOOM_EDATA, NULL, 0,
                                     "%s: row %d of the trials has no rate at bin %lld of unit %lld: the bin was not "
                                     "observed, or the tokenizer leaves it out",
                                     name, (int)g->trial[row], (long long)k, (long long)u);
                *x++ = (float)rate;
            }
    return LOOM_OK;
}

int loom_export_submission(struct loom_arrays *into, const struct loom_grid *g, const char *group, const char *prefix,
                           struct loom_error *e)
{
    static const char *const kind[] = {"heldin", "heldout"};
    struct shape s = {0};
    char name[128];
    if (g->trials == 0)
        return loom_fail(e, LOOM_EDATA, NULL, 0,
                         "%s: windows are no trials of one length: a submission needs data.window = \"trial\" with "
                         "pre_ms and post_ms, and observed trials (data.nlb sets both)",
                         group);
    int code = shape_of(&s, g);
    if (code != LOOM_OK)
        code = loom_fail(e, code, NULL, 0, "no memory to export %s: free some", group);
    if (code == LOOM_OK && s.units[1] == 0)
        code = loom_fail(e, LOOM_EDATA, NULL, 0,
                         "%s: no unit is held out: the benchmark's files mark them, or name some "
                         "with data.held_out_names",
                         group);
    for (int out = 0; out < 2 && code == LOOM_OK; out++) {
        snprintf(name, sizeof name, "%s/%s_rates_%s", group, prefix, kind[out]);
        code = add_part(into, g, &s, name, out, 0, s.seen, e);
        snprintf(name, sizeof name, "%s/%s_rates_%s_forward", group, prefix, kind[out]);
        if (code == LOOM_OK && s.seen < s.bins)
            code = add_part(into, g, &s, name, out, s.seen, s.bins, e);
    }
    free(s.out);
    return code;
}
