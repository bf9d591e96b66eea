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
    int64_t *first;  /* [conditions+1] into trial */
    int64_t *span;   /* [conditions] bins of its mean response */
    int32_t *trial;  /* by condition, those that are averaged */
    int64_t donors;  /* of them, those that are not the only one of their condition */
    int32_t *donor;  /* [donors] */
    double *mean[2]; /* [conditions, bins, units] mean responses, recorded and predicted */
};

struct loom_psth {
    int64_t recordings, conditions;
    struct responses *of;  /* [recordings] */
    double *y, *predicted; /* [conditions, bins, units] of the largest */
    double *spare;         /* [bins, units] of the largest */
    int32_t *pick, *other; /* [trials] of the largest */
};

static void release(struct responses *x)
{
    void *all[] = {x->number, x->condition, x->length, x->target,  x->predicted, x->first,
                   x->span,   x->trial,     x->donor,  x->mean[0], x->mean[1]};
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

/* Mean over n trials of each of the first `span` bins, of the trials that have it. Returns how many bins one has. */
static int64_t average(const struct responses *x, const double *from, const int32_t *trial, int64_t n, int64_t span,
                       double *out)
{
    int64_t reach = 0;
    memset(out, 0, (size_t)(span * x->units) * sizeof *out);
    for (int64_t i = 0; i < n; i++) {
        const double *at = from + trial[i] * x->bins * x->units;
        int64_t length = x->length[trial[i]] < span ? x->length[trial[i]] : span;
        for (int64_t k = 0; k < length * x->units; k++)
            out[k] += at[k];
        reach = length > reach ? length : reach;
    }
    for (int64_t k = 0; k < reach; k++) {
        int64_t has = 0;
        for (int64_t i = 0; i < n; i++)
            has += x->length[trial[i]] > k;
        for (int64_t u = 0; u < x->units; u++)
            out[k * x->units + u] /= (double)has;
    }
    return reach;
}

/* Which trials each condition's mean response is of, how far it reaches, and what it is. */
static int select_trials(struct responses *x, int64_t conditions, struct loom_error *e)
{
    const size_t cells = (size_t)(x->bins * x->units);
    uint8_t *kept = calloc((size_t)x->trials + 1, 1);
    const struct loom_nlb_trials t = {.smoothed = {x->target, x->trials, x->bins, x->units},
                                      .length = x->length,
                                      .condition = x->condition,
                                      .conditions = conditions};
    x->first = calloc((size_t)conditions + 2, sizeof *x->first);
    x->span = calloc((size_t)conditions + 1, sizeof *x->span);
    x->trial = calloc((size_t)x->trials + 1, sizeof *x->trial);
    x->donor = calloc((size_t)x->trials + 1, sizeof *x->donor);
    for (int k = 0; k < 2; k++)
        x->mean[k] = calloc((size_t)conditions * cells + 1, sizeof *x->mean[k]);
    int code = kept && x->mean[0] && x->mean[1] && x->first && x->span && x->trial && x->donor
                   ? loom_nlb_psth(&t, x->mean[0], kept, e)
                   : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean responses; free some");
    for (int64_t c = 0; c < conditions && code == LOOM_OK; c++) {
        while (x->span[c] < x->bins && !isnan(x->mean[0][(c * x->bins + x->span[c]) * x->units]))
            x->span[c]++;
        x->first[c + 1] = x->first[c];
        for (int32_t i = 0; i < x->trials; i++)
            if (kept[i] && x->condition[i] == c)
                x->trial[x->first[c + 1]++] = i;
        for (int64_t i = x->first[c]; i < x->first[c + 1] && x->first[c + 1] - x->first[c] > 1; i++)
            x->donor[x->donors++] = x->trial[i];
        average(x, x->predicted, x->trial + x->first[c], x->first[c + 1] - x->first[c], x->span[c],
                x->mean[1] + (size_t)c * cells);
    }
    free(kept);
    return code;
}

static int gather(struct responses *x, const struct loom_scored *s, int32_t recording, struct loom_error *e)
{
    if (!measure(x, s, recording) || !fill(x, s, recording))
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean responses; free some");
    keep_whole_units(x);
    int code = x->trials > 0 && x->units > 0 ? smooth(x, s->p->bin_s, e) : LOOM_OK;
    return code == LOOM_OK ? select_trials(x, s->p->conditions, e) : code;
}

int loom_psth_new(struct loom_psth **out, const struct loom_scored *s, struct loom_error *e)
{
    struct loom_psth *x = *out = calloc(1, sizeof *x);
    int64_t recordings = 0, cells = 0, trials = 0;
    int code = x ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean responses; free some");
    for (int64_t i = 0; i < s->p->n && s->p->conditions > 0; i++)
        recordings = s->p->row[i].recording >= recordings ? s->p->row[i].recording + 1 : recordings;
    if (x) {
        x->conditions = s->p->conditions;
        x->of = calloc((size_t)recordings + 1, sizeof *x->of);
    }
    for (; code == LOOM_OK && x->of && x->recordings < recordings; x->recordings++) {
        struct responses *r = &x->of[x->recordings];
        code = gather(r, s, (int32_t)x->recordings, e);
        cells = r->bins * r->units > cells ? r->bins * r->units : cells;
        trials = r->trials > trials ? r->trials : trials;
    }
    if (code == LOOM_OK) {
        x->y = calloc((size_t)(x->conditions * cells) + 1, sizeof *x->y);
        x->predicted = calloc((size_t)(x->conditions * cells) + 1, sizeof *x->predicted);
        x->spare = calloc((size_t)cells + 1, sizeof *x->spare);
        x->pick = calloc((size_t)trials + 1, sizeof *x->pick);
        x->other = calloc((size_t)trials + 1, sizeof *x->other);
        if (!x->of || !x->y || !x->predicted || !x->spare || !x->pick || !x->other)
            code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for mean responses; free some");
    }
    if (code != LOOM_OK) {
        loom_psth_free(x);
        *out = NULL;
    }
    return code;
}

void loom_psth_free(struct loom_psth *x)
{
    for (int64_t k = 0; x && x->of && k < x->recordings; k++)
        release(&x->of[k]);
    if (x) {
        void *all[] = {x->of, x->y, x->predicted, x->spare, x->pick, x->other};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            free(all[i]);
    }
    free(x);
}

/* ---- scores ---- */

/* Trials of both sides, by condition. Resampled, both are the same trials, so that what a model knows of a trial stays
 * with its counts; a condition of one trial has none to draw from and borrows one of another. Shuffled, the model's are
 * of any condition. */
static void draw_trials(struct loom_psth *x, const struct responses *r, enum loom_psth_draw draw, struct loom_rng *rng)
{
    size_t n = (size_t)r->first[x->conditions];
    memcpy(x->pick, r->trial, n * sizeof *x->pick);
    for (int64_t c = 0; draw == LOOM_PSTH_RESAMPLED && c < x->conditions; c++) {
        const int64_t from = r->first[c], own = r->first[c + 1] - from;
        const int lone = own == 1 && r->donors > 0;
        for (int64_t i = from; i < from + own; i++)
            x->pick[i] = lone ? r->donor[loom_rng_below(rng, (uint32_t)r->donors)]
                              : r->trial[from + loom_rng_below(rng, (uint32_t)own)];
    }
    memcpy(x->other, x->pick, n * sizeof *x->other);
    if (draw == LOOM_PSTH_SHUFFLED)
        loom_rng_shuffle(rng, x->other, n);
}

/* The mean response of a condition (k 0: recorded, 1: predicted) and how far the drawn trials' mean lies from that of
 * all. Widened (Rao & Wu 1988), for n trials about their own mean spread by (n - 1)/n too little. */
static void deviate(struct loom_psth *x, const struct responses *r, int64_t condition, int k, double *out)
{
    const int32_t *pick = x->pick + r->first[condition];
    int64_t of = r->condition[pick[0]], n = r->first[of + 1] - r->first[of], cells = r->bins * r->units,
            span = r->span[of] < r->span[condition] ? r->span[of] : r->span[condition];
    const double *mean = r->mean[k] + of * cells;
    double widen = n > 1 ? sqrt((double)n / (double)(n - 1)) : 0.0;
    memcpy(out, r->mean[k] + condition * cells, (size_t)(r->span[condition] * r->units) * sizeof *out);
    average(r, k ? r->predicted : r->target, pick, r->first[condition + 1] - r->first[condition], span, x->spare);
    for (int64_t i = 0; i < span * r->units; i++)
        out[i] += widen * (x->spare[i] - mean[i]);
}

static double score(struct loom_psth *x, const struct responses *r, enum loom_psth_draw draw, struct loom_rng *rng)
{
    int64_t rows = 0;
    if (r->trials == 0 || r->units == 0)
        return NAN;
    draw_trials(x, r, draw, rng);
    for (int64_t c = 0; c < x->conditions; c++) {
        int64_t n = r->first[c + 1] - r->first[c], from = r->first[c];
        if (n == 0)
            continue;
        double *y = x->y + rows * r->units, *predicted = x->predicted + rows * r->units;
        if (draw == LOOM_PSTH_RESAMPLED) {
            deviate(x, r, c, 0, y);
            deviate(x, r, c, 1, predicted);
            rows += r->span[c];
        } else {
            average(r, r->target, x->pick + from, n, r->span[c], y);
            rows += average(r, r->predicted, x->other + from, n, r->span[c], predicted);
        }
    }
    return loom_nlb_r2(x->y, x->predicted, rows, r->units);
}

double loom_psth_score(struct loom_psth *x, enum loom_psth_draw draw, struct loom_rng *rng)
{
    double sum = 0.0;
    int64_t n = 0;
    for (int64_t k = 0; k < x->recordings; k++) {
        double r2 = score(x, &x->of[k], draw, rng);
        sum += isnan(r2) ? 0.0 : r2;
        n += !isnan(r2);
    }
    return n > 0 ? sum / (double)n : NAN;
}

void loom_psth_size(const struct loom_psth *x, int64_t *trials, int *drawn, double *work)
{
    *trials = 0;
    *drawn = 1;
    *work = 0.0;
    for (int64_t k = 0; k < x->recordings; k++) {
        const struct responses *r = &x->of[k];
        if (r->trials == 0 || r->units == 0)
            continue;
        *trials += r->first[x->conditions];
        *work += 2.0 * (double)(r->first[x->conditions] * r->bins * r->units);
        *drawn &= r->donors > 0;
    }
}

int loom_psth_metric(const struct loom_scored *s, json_t *out, struct loom_error *e)
{
    struct loom_psth *x;
    int64_t trials;
    int drawn;
    double work;
    int code = loom_psth_new(&x, s, e);
    if (code != LOOM_OK)
        return code;
    double r2 = loom_psth_score(x, LOOM_PSTH_AS_IT_IS, NULL);
    loom_psth_size(x, &trials, &drawn, &work);
    json_object_set_new(out, "mean", isnan(r2) ? json_null() : json_real(r2));
    json_object_set_new(out, "chance", json_real(0.0));
    json_object_set_new(out, "n", json_integer(trials));
    loom_psth_free(x);
    return LOOM_OK;
}
