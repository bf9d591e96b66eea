/* SPDX-License-Identifier: Apache-2.0 */
/* Trials, their conditions and the recordings' dates beside predictions: what figures sort by. */
#include "train/runner.h"

#include "base/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A column of numbers with more distinct ones than this is cut into RANGES equal ranges: a measured angle, say. */
enum { MOST_CONDITIONS = 48, RANGES = 8, LABEL = 64 };

/* What sources and simulations call the column that experimenters sort trials by, the likelier names first. */
static const char *const usual[] = {"condition", "condition_id", "cond",     "target",     "target_id", "target_dir",
                                    "direction", "tgt_dir",      "stimulus", "trial_type", "type",      "maze_id"};

static const struct loom_intervals *table_of(const struct loom_catalog *c, int recording)
{
    return loom_recording_intervals(loom_catalog_recording(c, recording), loom_catalog_spec(c)->split.table);
}

static int everywhere(const struct loom_catalog *c, const char *column)
{
    for (int i = 0; i < loom_catalog_count(c); i++) {
        const struct loom_intervals *t = table_of(c, i);
        if (!t || !loom_intervals_column(t, column))
            return 0;
    }
    return loom_catalog_count(c) > 0;
}

/* "auto" as the first usual name that all recordings have; NULL: none. */
static const char *resolve(const struct loom_catalog *c, const char *column)
{
    if (strcmp(column, "auto") != 0)
        return *column ? column : NULL;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (everywhere(c, usual[i]))
            return usual[i];
    return NULL;
}

int loom_trials_check(const struct loom_catalog *c, const struct loom_options *o, struct loom_error *e)
{
    const char *column = resolve(c, loom_opt_string(o, "condition"));
    if (column && !everywhere(c, column))
        return loom_opt_fail(o, "condition", e,
                             "not every recording has a column '%s' in its table '%s': name one that they have, or "
                             "write \"\"",
                             column, loom_catalog_spec(c)->split.table);
    return LOOM_OK;
}

/* ---- trials ---- */

static int trial_order(const void *a, const void *b)
{
    const struct loom_predicted_trial *x = a, *y = b;
    if (x->recording != y->recording)
        return x->recording < y->recording ? -1 : 1;
    return x->start_s < y->start_s ? -1 : x->start_s > y->start_s;
}

/* Column of the events that the windows of a recording are laid around; NULL: they go by the trials' starts. */
static const struct loom_column *events_of(const struct loom_catalog *c, const struct loom_intervals *t)
{
    const struct loom_data_spec *s = loom_catalog_spec(c);
    return t && s->window == LOOM_WINDOW_TRIAL && *s->align ? loom_intervals_column(t, s->align) : NULL;
}

/* All trials, `condition` the row of the table for now. */
static int all_trials(struct loom_predictions *p, const struct loom_catalog *c, struct loom_error *e)
{
    size_t n = 0;
    for (int i = 0; i < loom_catalog_count(c); i++)
        n += table_of(c, i) ? (size_t)table_of(c, i)->rows : 0;
    p->trial = calloc(n + 1, sizeof *p->trial);
    if (!p->trial)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %zu trials: free some", n);
    for (int i = 0; i < loom_catalog_count(c); i++) {
        const struct loom_intervals *t = table_of(c, i);
        const struct loom_column *event = events_of(c, t);
        if (event)
            snprintf(p->zero_name, sizeof p->zero_name, "%s", event->name);
        for (int32_t k = 0; t && k < t->rows; k++)
            if (t->stop_s[k] > t->start_s[k])
                p->trial[p->trials++] = (struct loom_predicted_trial){
                    .recording = i,
                    .condition = k,
                    .row = k,
                    .start_s = t->start_s[k],
                    .stop_s = t->stop_s[k],
                    .zero_s = event && event->number && isfinite(event->number[k]) ? event->number[k] : t->start_s[k]};
    }
    qsort(p->trial, (size_t)p->trials, sizeof *p->trial, trial_order);
    return LOOM_OK;
}

/* Drop those without a row of `p`. */
static int keep_asked(struct loom_predictions *p, struct loom_error *e)
{
    uint8_t *asked = calloc((size_t)p->trials + 1, 1);
    int32_t kept = 0;
    if (!asked)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d trials: free some", (int)p->trials);
    for (int64_t i = 0; i < p->n; i++) {
        int32_t k = loom_predictions_trial_of(p, &p->row[i]);
        if (k >= 0)
            asked[k] = 1;
    }
    for (int32_t k = 0; k < p->trials; k++)
        if (asked[k])
            p->trial[kept++] = p->trial[k];
    p->trials = kept;
    free(asked);
    return LOOM_OK;
}

/* ---- conditions ---- */

static const struct loom_column *column_of(const struct loom_catalog *c, int recording, const char *name)
{
    return loom_intervals_column(table_of(c, recording), name);
}

static int add_label(struct loom_predictions *p, const char *text)
{
    char **more = realloc(p->condition, (size_t)(p->conditions + 1) * sizeof *more), *copy;
    if (more)
        p->condition = more;
    if (!more || !(copy = strdup(text)))
        return 0;
    p->condition[p->conditions++] = copy;
    return 1;
}

/* Distinct values, or ranges where there are too many: labels, and the number of each trial's. */
static int by_number(struct loom_predictions *p, const struct loom_catalog *c, const char *name)
{
    double *x = calloc((size_t)p->trials + 1, sizeof *x), *sorted = calloc((size_t)p->trials + 1, sizeof *sorted);
    char label[LABEL];
    int32_t n = 0, distinct = 0;
    int ok = x && sorted;
    for (int32_t k = 0; ok && k < p->trials; k++) {
        x[k] = column_of(c, p->trial[k].recording, name)->number[p->trial[k].condition];
        if (isfinite(x[k]))
            sorted[n++] = x[k];
    }
    if (ok)
        qsort(sorted, (size_t)n, sizeof *sorted, loom_ascending);
    for (int32_t k = 0; ok && k < n; k++)
        if (k == 0 || sorted[k] != sorted[distinct - 1])
            sorted[distinct++] = sorted[k];
    int ranges = distinct > MOST_CONDITIONS;
    double low = distinct ? sorted[0] : 0, step = ranges ? (sorted[distinct - 1] - low) / RANGES : 0;
    for (int32_t k = 0; ok && k < (ranges ? RANGES : distinct); k++) {
        if (ranges)
            snprintf(label, sizeof label, "%.3g to %.3g", low + step * k, low + step * (k + 1));
        else
            snprintf(label, sizeof label, "%.6g", sorted[k]);
        ok = add_label(p, label);
    }
    for (int32_t k = 0; ok && k < p->trials; k++) {
        const double *at = bsearch(&x[k], sorted, (size_t)distinct, sizeof *sorted, loom_ascending);
        int range = step > 0 && isfinite(x[k]) ? (int)((x[k] - low) / step) : 0;
        p->trial[k].condition = !isfinite(x[k]) || !at ? -1
                                : !ranges              ? (int32_t)(at - sorted)
                                : range < RANGES       ? range
                                                       : RANGES - 1;
    }
    free(x);
    free(sorted);
    return ok;
}

/* As one line that is not too long. */
static void one_line(char out[LABEL], const char *text)
{
    snprintf(out, LABEL, "%s", text);
    for (char *at = out; *at; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
}

static int by_text(struct loom_predictions *p, const struct loom_catalog *c, const char *name)
{
    for (int32_t k = 0; k < p->trials; k++) {
        char text[LABEL];
        int at = 0;
        one_line(text, column_of(c, p->trial[k].recording, name)->text[p->trial[k].condition]);
        while (at < p->conditions && strcmp(p->condition[at], text) != 0)
            at++;
        if (at == p->conditions && (!*text || p->conditions == MOST_CONDITIONS))
            at = -1;
        else if (at == p->conditions && !add_label(p, text))
            return 0;
        p->trial[k].condition = at;
    }
    return 1;
}

static int sort_by(struct loom_predictions *p, const struct loom_catalog *c, const char *name)
{
    int numbers = name != NULL, texts = name != NULL;
    for (int i = 0; name && i < loom_catalog_count(c); i++) {
        numbers &= column_of(c, i, name)->number != NULL;
        texts &= column_of(c, i, name)->text != NULL;
    }
    snprintf(p->condition_name, sizeof p->condition_name, "%s", numbers || texts ? name : "");
    for (int32_t k = 0; k < p->trials && !numbers && !texts; k++)
        p->trial[k].condition = -1;
    return numbers ? by_number(p, c, name) : texts ? by_text(p, c, name) : 1;
}

/* ---- dates ---- */

static int add_dates(struct loom_predictions *p, const struct loom_catalog *c)
{
    int known = 0;
    for (int i = 0; i < p->recordings; i++)
        known |= loom_catalog_recording(c, i)->date && *loom_catalog_recording(c, i)->date;
    p->date = known ? calloc((size_t)p->recordings + 1, sizeof *p->date) : NULL;
    for (int i = 0; p->date && i < p->recordings; i++) {
        const char *date = loom_catalog_recording(c, i)->date;
        if (!(p->date[i] = strdup(date ? date : "")))
            return 0;
    }
    return !known || p->date != NULL;
}

int loom_predictions_sort_trials(struct loom_predictions *p, const struct loom_catalog *c, const char *column,
                                 struct loom_error *e)
{
    int code = p->n > 0 ? all_trials(p, c, e) : LOOM_OK;
    if (p->n == 0)
        return LOOM_OK;
    if (code == LOOM_OK)
        code = keep_asked(p, e);
    if (code == LOOM_OK && !(sort_by(p, c, resolve(c, column)) && add_dates(p, c)))
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the conditions of trials: free some");
    return code;
}
