/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/psth_metric.h"

#include "eval/nlb.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double kernel_s = 0.05; /* deviation of the Gaussian that counts are smoothed by */

/* Trials of one recording that have a condition, as arrays [trials, bins, units]. */
struct responses {
    int64_t trials, bins, units;
    int64_t *number;    /* [p->trials] trial of the table -> of these, -1 */
    int64_t *condition; /* [trials] */
    int64_t *length;    /* [trials] bins */
    double *target, *predicted;
};

static void release(struct responses *x)
{
    void *all[] = {x->number, x->condition, x->length, x->target, x->predicted};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static int is_of(const struct loom_scored *s, int64_t i, int32_t recording, double *y, double *predicted)
{
    const struct loom_predicted *row = &s->p->row[i];
    return row->recording == recording && row->held != LOOM_HELD_FORWARD && loom_scored_pair(s, i, y, predicted);
}

/* How many trials, of how many bins, and the largest unit. Rows go by time, so a trial's bins are counted as their
 * times change. */
static int measure(struct responses *x, const struct loom_scored *s, int32_t recording)
{
    const struct loom_predictions *p = s->p;
    int64_t *last = calloc((size_t)p->trials + 1, sizeof *last);
    x->number = malloc(((size_t)p->trials + 1) * sizeof *x->number);
    x->condition = calloc((size_t)p->trials + 1, sizeof *x->condition);
    x->length = calloc((size_t)p->trials + 1, sizeof *x->length);
    int made = last != NULL && x->number != NULL && x->condition != NULL && x->length != NULL;
    for (int32_t k = 0; k < p->trials && made; k++)
        x->number[k] = -1;
    for (int64_t i = 0; i < p->n && made; i++) {
        double y, guess;
        int32_t k = is_of(s, i, recording, &y, &guess) ? loom_predictions_trial_of(p, &p->row[i]) : -1;
        if (k < 0 || p->trial[k].condition < 0)
            continue;
        if (x->number[k] < 0) {
            x->number[k] = x->trials++;
            x->condition[x->number[k]] = p->trial[k].condition;
        }
        int64_t *length = &x->length[x->number[k]];
        *length += *length == 0 || last[k] != p->row[i].time_ns;
        last[k] = p->row[i].time_ns;
        x->bins = *length > x->bins ? *length : x->bins;
        x->units = p->row[i].element >= x->units ? p->row[i].element + 1 : x->units;
    }
    free(last);
    return made;
}

static int fill(struct responses *x, const struct loom_scored *s, int32_t recording)
{
    const struct loom_predictions *p = s->p;
    size_t cells = (size_t)(x->trials * x->bins * x->units);
    int64_t *bin = calloc((size_t)p->trials + 1, sizeof *bin), *last = calloc((size_t)p->trials + 1, sizeof *last);
    x->target = malloc((cells + 1) * sizeof *x->target);
    x->predicted = malloc((cells + 1) * sizeof *x->predicted);
    int made = bin != NULL && last != NULL && x->target != NULL && x->predicted != NULL;
    for (size_t i = 0; i < cells && made; i++)
        x->target[i] = x->predicted[i] = NAN;
    for (int64_t i = 0; i < p->n && made; i++) {
        double y, guess;
        int32_t k = is_of(s, i, recording, &y, &guess) ? loom_predictions_trial_of(p, &p->row[i]) : -1;
        if (k < 0 || x->number[k] < 0)
            continue;
        bin[k] += bin[k] == 0 || last[k] != p->row[i].time_ns;
        last[k] = p->row[i].time_ns;
        int64_t at = ((x->number[k] * x->bins) + bin[k] - 1) * x->units + p->row[i].element;
        x->target[at] = y;
        x->predicted[at] = guess;
    }
    free(bin);
    free(last);
    return made;
}

/* Units that were asked in every bin of every trial, moved to the front; the others are forgotten. */
static void keep_whole_units(struct responses *x)
{
    int64_t rows = x->trials * x->bins, kept = 0;
    for (int64_t u = 0; u < x->units; u++) {
        int whole = 1;
        for (int64_t i = 0; i < rows && whole; i++)
            whole = i % x->bins >= x->length[i / x->bins] || !isnan(x->target[i * x->units + u]);
        for (int64_t i = 0; i < rows && whole; i++) {
            x->target[i * x->units + kept] = x->target[i * x->units + u];
            x->predicted[i * x->units + kept] = x->predicted[i * x->units + u];
        }
        kept += whole;
    }
    for (int64_t i = 0; i < rows; i++) {
        memmove(x->target + i * kept, x->target + i * x->units, (size_t)kept * sizeof *x->target);
        memmove(x->predicted + i * kept, x->predicted + i * x->units, (size_t)kept * sizeof *x->predicted);
    }
    x->units = kept;
}

static int smooth(struct responses *x, double bin_s, struct loom_error *e)
{
    int code = LOOM_OK;
    double sd = kernel_s / bin_s;
    for (int64_t i = 0; i < x->trials && sd >= 1.0 / 3.0; i++)
        for (int64_t u = 0; u < x->units && code == LOOM_OK; u++)
            code = loom_nlb_smooth(x->target + i * x->bins * x->units + u, x->bins, x->units, sd, e);
    return code;
}

/* Trials by condition, those of the histogram alone. */
static void sort_trials(const struct responses *x, const uint8_t *kept, int64_t conditions, int64_t *first,
                        int64_t *trial)
{
    int64_t n = 0;
    for (int64_t c = 0; c < conditions; c++) {
        first[c] = n;
        for (int64_t i = 0; i < x->trials; i++)
            if (kept[i] && x->condition[i] == c)
                trial[n++] = i;
    }
    first[conditions] = n;
}

static int score(struct responses *x, int64_t conditions, double bin_s, double *r2, struct loom_error *e)
{
    double *psth = calloc((size_t)(conditions * x->bins * x->units) + 1, sizeof *psth);
    uint8_t *kept = calloc((size_t)x->trials + 1, 1);
    int64_t *first = calloc((size_t)conditions + 2, sizeof *first),
            *trial = calloc((size_t)x->trials + 1, sizeof *trial);
    const struct loom_nlb_trials t = {.smoothed = {x->target, x->trials, x->bins, x->units},
                                      .length = x->length,
                                      .condition = x->condition,
                                      .conditions = conditions};
    int code = psth != NULL && kept != NULL && first != NULL && trial != NULL
                   ? smooth(x, bin_s, e)
                   : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean responses; free some");
    if (code == LOOM_OK)
        code = loom_nlb_psth(&t, psth, kept, e);
    if (code == LOOM_OK) {
        sort_trials(x, kept, conditions, first, trial);
        code = loom_nlb_psth_r2((struct loom_nlb_array){psth, conditions, x->bins, x->units},
                                (struct loom_nlb_array){x->predicted, x->trials, x->bins, x->units}, first, trial, NULL,
                                r2, e);
    }
    free(psth);
    free(kept);
    free(first);
    free(trial);
    return code;
}

int loom_psth_metric(const struct loom_scored *s, json_t *out, struct loom_error *e)
{
    double sum = 0.0;
    int64_t recordings = 0, trials = 0;
    int32_t most = -1;
    int code = LOOM_OK;
    for (int64_t i = 0; i < s->p->n; i++)
        most = s->p->row[i].recording > most ? s->p->row[i].recording : most;
    for (int32_t k = 0; k <= most && s->p->conditions > 0 && code == LOOM_OK; k++) {
        struct responses x = {0};
        double r2 = NAN;
        if (!measure(&x, s, k) || !fill(&x, s, k))
            code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean responses; free some");
        if (code == LOOM_OK)
            keep_whole_units(&x);
        if (code == LOOM_OK && x.trials > 0 && x.units > 0)
            code = score(&x, s->p->conditions, s->p->bin_s, &r2, e);
        sum += isnan(r2) ? 0.0 : r2;
        recordings += !isnan(r2);
        trials += isnan(r2) ? 0 : x.trials;
        release(&x);
    }
    json_object_set_new(out, "mean", recordings > 0 ? json_real(sum / (double)recordings) : json_null());
    json_object_set_new(out, "chance", json_real(0.0));
    json_object_set_new(out, "n", json_integer(trials));
    return code;
}
