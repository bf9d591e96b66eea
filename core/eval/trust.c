/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/trust.h"

#include "eval/class_rows.h"
#include "eval/psth_metric.h"
#include "eval/stats.h"
#include "eval/tally.h"

#include <loom/rng.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_DRAWS = 20, MOST_SUMS = 200000000, MOST_ROWS = 50000000, IN_A_SUM = 8 /* numbers */ };

/* ---- groups ---- */

static int64_t block_of(const struct loom_intervals *t, double time, double from, double block_s)
{
    int64_t last = -1;
    if (t == NULL)
        return (int64_t)floor((time - from) / block_s);
    /* Rows of the table need not be in order of time: the latest start decides. */
    for (int32_t k = 0; k < t->rows; k++)
        if (t->start_s[k] <= time && (last < 0 || t->start_s[k] > t->start_s[last]))
            last = k;
    return last;
}

/* Trials of a recording's rows as 0, 1, … in the order in which they are met: windows of two trials may overlap in
 * time. */
static int number_trials(const struct loom_predictions *p, int64_t from, int64_t end, int32_t *group,
                         struct loom_error *e)
{
    int32_t most = -1, met = 0;
    for (int64_t i = from; i < end; i++)
        most = p->row[i].trial > most ? p->row[i].trial : most;
    int32_t *number = calloc((size_t)most + 2, sizeof *number);
    if (number == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d trials; free some", (int)most);
    for (int64_t i = from; i < end; i++) {
        int32_t *own = &number[p->row[i].trial];
        *own = *own > 0 ? *own : ++met;
        group[i] = *own - 1;
    }
    free(number);
    return LOOM_OK;
}

static void number_stretches(const struct loom_predictions *p, int64_t from, int64_t end,
                             const struct loom_intervals *t, double start_s, double block_s, int32_t *group)
{
    group[from] = 0;
    for (int64_t i = from + 1; i < end; i++) {
        const struct loom_predicted *row = &p->row[i];
        group[i] = group[i - 1];
        if (row[-1].time_ns != row->time_ns)
            group[i] += block_of(t, 1e-9 * (double)row->time_ns, start_s, block_s) !=
                        block_of(t, 1e-9 * (double)row[-1].time_ns, start_s, block_s);
    }
}

int loom_trust_groups(const struct loom_predictions *p, const struct loom_recording *const *recording,
                      const char *table, double block_s, int32_t *group, int *trials, struct loom_error *e)
{
    int code = LOOM_OK;
    *trials = 1;
    if (!(block_s > 0.0))
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "stretches of %g s: give more than 0", block_s);
    for (int64_t from = 0, end; from < p->n && code == LOOM_OK; from = end) {
        const struct loom_recording *r = recording[p->row[from].recording];
        const struct loom_intervals *t = loom_recording_intervals(r, table);
        int all = 1;
        for (end = from; end < p->n && p->row[end].recording == p->row[from].recording; end++)
            all &= p->row[end].trial >= 0;
        t = t != NULL && t->rows > 1 ? t : NULL;
        *trials &= all || t != NULL;
        if (all)
            code = number_trials(p, from, end, group, e);
        else
            number_stretches(p, from, end, t, r->start_s, block_s, group);
    }
    return code;
}

static json_t *pair_of(double low, double high)
{
    return json_pack("[f, f]", low, high);
}

/* ---- resampled groups ---- */

struct resampling {
    const char *metric;
    const struct loom_scored *s;
    const struct loom_trust *how;
    int64_t *first; /* [recordings+1] groups */
    int32_t recordings, draws;
    int64_t *pick; /* [groups] */
    double *value; /* [draws] */
};

static void pick_groups(struct resampling *x, int32_t draw)
{
    struct loom_rng rng;
    loom_rng_init(&rng, x->how->seed, "trust.bootstrap", (uint64_t)draw, 0);
    for (int32_t r = 0; r < x->recordings; r++)
        for (int64_t g = x->first[r], n = x->first[r + 1] - g; g < x->first[r + 1]; g++)
            x->pick[g] = x->first[r] + loom_rng_below(&rng, (uint32_t)n);
}

static int32_t bounded(int32_t asked, double one, double most)
{
    double able = most / fmax(one, 1.0);
    return able >= asked ? asked : able > LEAST_DRAWS ? (int32_t)able : asked < LEAST_DRAWS ? asked : LEAST_DRAWS;
}

static int resample_sums(struct resampling *x, const struct loom_tally *t, struct loom_error *e)
{
    size_t cells = (size_t)t->recordings * (size_t)t->elements;
    struct loom_cell *total = calloc(2 * cells + 1, sizeof *total), *all = total + cells;
    if (total == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to resample; free some");
    loom_tally_sum(t, NULL, all);
    for (int32_t d = 0; d < x->draws; d++) {
        pick_groups(x, d);
        loom_tally_sum(t, x->pick, total);
        x->value[d] = loom_metric_of_sums(x->metric, x->s, t, total, all);
    }
    free(total);
    return LOOM_OK;
}

static int resample_classes(struct resampling *x, struct loom_class_rows *r, struct loom_error *e)
{
    const struct loom_predictions *p = x->s->p;
    size_t groups = (size_t)x->first[x->recordings], classes = (size_t)r->c.classes;
    double *drawn = calloc(groups + 1, sizeof *drawn), *times = calloc((size_t)r->c.n + 1, sizeof *times),
           *confusion = calloc(classes * classes + 1, sizeof *confusion);
    int code = drawn != NULL && times != NULL && confusion != NULL
                   ? LOOM_OK
                   : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to resample; free some");
    r->c.times = times;
    for (int32_t d = 0; d < x->draws && code == LOOM_OK; d++) {
        pick_groups(x, d);
        memset(drawn, 0, groups * sizeof *drawn);
        for (size_t g = 0; g < groups; g++)
            drawn[x->pick[g]] += 1.0;
        for (int64_t i = 0; i < r->c.n; i++)
            times[i] = drawn[x->first[p->row[r->row[i]].recording] + x->how->group[r->row[i]]];
        x->value[d] = loom_class_rows_value(r, x->metric, confusion);
    }
    r->c.times = NULL;
    free(drawn);
    free(times);
    free(confusion);
    return code;
}

static int resample(struct resampling *x, double one, json_t *out, const struct loom_tally *t,
                    struct loom_class_rows *r, struct loom_error *e)
{
    int64_t groups = x->first[x->recordings];
    double low, high;
    x->draws = bounded(x->how->bootstrap, one, MOST_SUMS);
    x->pick = calloc((size_t)groups + 1, sizeof *x->pick);
    x->value = calloc((size_t)x->draws + 1, sizeof *x->value);
    int code =
        x->pick != NULL && x->value != NULL ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to resample");
    if (code == LOOM_OK)
        code = t != NULL ? resample_sums(x, t, e) : resample_classes(x, r, e);
    if (code == LOOM_OK) {
        loom_percentiles(x->value, x->draws, 0.95, &low, &high);
        if (isfinite(low) && isfinite(high))
            json_object_set_new(out, "interval", pair_of(low, high));
        json_object_set_new(out, "resampled",
                            json_pack("{s:s, s:I, s:i}", "of", x->how->trials ? "trials" : "stretches", "groups",
                                      (json_int_t)groups, "draws", (int)x->draws));
    }
    free(x->pick);
    free(x->value);
    return code;
}

static int bootstrap(const char *metric, const struct loom_scored *s, const struct loom_trust *how, json_t *out,
                     struct loom_error *e)
{
    struct resampling x = {.metric = metric, .s = s, .how = how};
    struct loom_tally t;
    int code = loom_tally_init(&t, s, how->group, loom_metric_fits(metric, "poisson"), e);
    if (code != LOOM_OK)
        return code;
    x.first = t.first;
    x.recordings = t.recordings;
    if (t.first[t.recordings] < t.recordings + 1 || how->bootstrap < 2) {
        loom_tally_release(&t);
        return LOOM_OK;
    }
    if (!loom_metric_of_classes(metric)) {
        code = resample(&x, (double)(t.first[t.recordings] * t.elements), out, &t, NULL, e);
    } else {
        struct loom_class_rows r;
        code = loom_class_rows_init(&r, s, e);
        if (code == LOOM_OK) {
            code = resample(&x, (double)(r.c.n * r.c.classes), out, NULL, &r, e);
            loom_class_rows_release(&r);
        }
    }
    loom_tally_release(&t);
    return code;
}

/* ---- targets of others ---- */

/* Rows by (group, element), in the order of time within. */
struct places {
    int64_t *first; /* [recordings+1] groups */
    int64_t *start; /* [groups * elements + 1] into order */
    int64_t *order; /* [n] rows */
    int64_t *turn;  /* [n] each row's place among those of its group and element */
    int64_t *donor; /* [groups] */
    double *target; /* [n] */
    int32_t recordings, elements;
};

static void release_places(struct places *x)
{
    void *all[] = {x->first, x->start, x->order, x->turn, x->donor, x->target};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static int64_t slot_of(const struct places *x, const struct loom_predictions *p, const int32_t *group, int64_t i)
{
    return (x->first[p->row[i].recording] + (group != NULL ? group[i] : 0)) * x->elements + p->row[i].element;
}

static int find_places(struct places *x, const struct loom_predictions *p, const int32_t *group, struct loom_error *e)
{
    *x = (struct places){0};
    x->first = loom_tally_shape(p, group, &x->recordings, &x->elements);
    size_t n = (size_t)p->n, groups = x->first != NULL ? (size_t)x->first[x->recordings] : 0;
    x->start = calloc(groups * (size_t)x->elements + 2, sizeof *x->start);
    x->order = calloc(n + 1, sizeof *x->order);
    x->turn = calloc(n + 1, sizeof *x->turn);
    x->donor = calloc(groups + 1, sizeof *x->donor);
    x->target = calloc(n + 1, sizeof *x->target);
    if (!x->first || !x->start || !x->order || !x->turn || !x->donor || !x->target)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to shuffle %zu predictions; free some", n);
    for (int64_t i = 0; i < p->n; i++)
        x->turn[i] = x->start[slot_of(x, p, group, i) + 1]++;
    for (size_t k = 0; k < groups * (size_t)x->elements; k++)
        x->start[k + 1] += x->start[k];
    for (int64_t i = 0; i < p->n; i++)
        x->order[x->start[slot_of(x, p, group, i)] + x->turn[i]] = i;
    return LOOM_OK;
}

/* Targets of row i: of the row in the same place of the donor's trial, or so far along in the recording. */
static void give_targets(struct places *x, const struct loom_predictions *p, const int32_t *group, const double *along)
{
    for (int64_t i = 0; i < p->n; i++) {
        int64_t own = slot_of(x, p, group, i), turn = x->turn[i], from = own;
        if (group != NULL)
            from = x->donor[own / x->elements] * x->elements + p->row[i].element;
        int64_t n = x->start[from + 1] - x->start[from];
        if (group == NULL)
            turn = (turn + (int64_t)(along[p->row[i].recording] * (double)n)) % n;
        const struct loom_predicted *other = turn < n ? &p->row[x->order[x->start[from] + turn]] : NULL;
        x->target[i] = other != NULL && other->weight != 0.0 ? other->target : NAN;
    }
}

static void choose_donors(struct places *x, struct loom_rng *rng, double *along)
{
    for (int32_t r = 0; r < x->recordings; r++) {
        int64_t from = x->first[r], n = x->first[r + 1] - from;
        along[r] = 0.1 + 0.8 * loom_rng_uniform(rng);
        for (int64_t g = 0; g < n; g++)
            x->donor[from + g] = from + g;
        for (int64_t g = n - 1; g > 0; g--) {
            int64_t k = loom_rng_below(rng, (uint32_t)g + 1), swap = x->donor[from + g];
            x->donor[from + g] = x->donor[from + k];
            x->donor[from + k] = swap;
        }
    }
}

static int measure(const char *metric, const struct loom_scored *s, double *value, struct loom_error *e)
{
    int code;
    if (loom_metric_of_classes(metric)) {
        json_t *out = json_object();
        code = loom_class_metric(metric, s, out, e);
        *value = loom_metric_mean(out);
        json_decref(out);
        return code;
    }
    struct loom_tally t;
    code = loom_tally_init(&t, s, NULL, loom_metric_fits(metric, "poisson"), e);
    if (code == LOOM_OK) {
        *value = loom_metric_of_sums(metric, s, &t, t.cell, NULL);
        loom_tally_release(&t);
    }
    return code;
}

static void describe(const char *metric, double own, double *value, int32_t n, json_t *out)
{
    double low, high, sum = 0.0;
    int32_t as_good = 0, known = 0;
    for (int32_t k = 0; k < n; k++) {
        if (isnan(value[k]))
            continue;
        as_good += loom_metric_rises(metric) ? value[k] >= own : value[k] <= own;
        sum += value[k];
        known++;
    }
    loom_percentiles(value, n, 0.95, &low, &high);
    if (known > 1 && isfinite(low) && isfinite(high) && !isnan(own))
        json_object_set_new(out, "shuffle",
                            json_pack("{s:f, s:o, s:f, s:i}", "mean", sum / known, "interval", pair_of(low, high), "p",
                                      (1.0 + as_good) / (1.0 + known), "n", (int)known));
}

static int shuffle(const char *metric, struct loom_scored *s, const struct loom_trust *how, double own, json_t *out,
                   struct loom_error *e)
{
    const int32_t *group = how->trials ? how->group : NULL;
    struct places x;
    int32_t n = bounded(how->shuffles, (double)s->p->n, MOST_ROWS);
    int code = n > 1 ? find_places(&x, s->p, group, e) : LOOM_OK;
    if (n < 2)
        return LOOM_OK;
    double *value = calloc((size_t)n + 1, sizeof *value), *along = calloc((size_t)x.recordings + 1, sizeof *along);
    if (code == LOOM_OK && (value == NULL || along == NULL))
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to shuffle; free some");
    for (int32_t k = 0; k < n && code == LOOM_OK; k++) {
        struct loom_rng rng;
        loom_rng_init(&rng, how->seed, "trust.shuffle", (uint64_t)k, 0);
        choose_donors(&x, &rng, along);
        give_targets(&x, s->p, group, along);
        s->target = x.target;
        code = measure(metric, s, &value[k], e);
    }
    s->target = NULL;
    if (code == LOOM_OK)
        describe(metric, own, value, n, out);
    free(value);
    free(along);
    release_places(&x);
    return code;
}

/* ---- mean responses ---- */

/* Drawing trials adds as much noise to mean responses as they had from the start, so that draws score lower than the
 * split does: by the mean of that the percentiles are shifted back. */
static void describe_draws(double own, double *value, int32_t n, int64_t trials, json_t *out)
{
    double low, high, sum = 0.0;
    int32_t known = 0;
    for (int32_t k = 0; k < n; k++)
        if (!isnan(value[k])) {
            sum += value[k];
            known++;
        }
    double shift = own - sum / known;
    loom_percentiles(value, n, 0.95, &low, &high);
    if (isfinite(low) && isfinite(high))
        json_object_set_new(out, "interval", pair_of(low + shift, high + shift));
    json_object_set_new(out, "resampled",
                        json_pack("{s:s, s:I, s:i, s:f}", "of", "trials", "groups", (json_int_t)trials, "draws", (int)n,
                                  "shift", isfinite(shift) ? shift : 0.0));
}

static void draw_scores(struct loom_psth *x, enum loom_psth_draw draw, uint64_t seed, double *value, int32_t n)
{
    for (int32_t k = 0; k < n; k++) {
        struct loom_rng rng;
        loom_rng_init(&rng, seed, draw == LOOM_PSTH_RESAMPLED ? "trust.bootstrap" : "trust.shuffle", (uint64_t)k, 0);
        value[k] = loom_psth_score(x, draw, &rng);
    }
}

static int trust_responses(const char *metric, const struct loom_scored *s, const struct loom_trust *how, double own,
                           json_t *out, struct loom_error *e)
{
    struct loom_psth *x;
    int64_t trials;
    int drawn;
    double work;
    int code = loom_psth_new(&x, s, e);
    if (code != LOOM_OK)
        return code;
    loom_psth_size(x, &trials, &drawn, &work);
    int32_t draws = drawn ? bounded(how->bootstrap, work / IN_A_SUM, MOST_SUMS) : 0,
            shuffles = bounded(how->shuffles, work / IN_A_SUM, MOST_SUMS);
    double *value = calloc((size_t)(draws > shuffles ? draws : shuffles) + 1, sizeof *value);
    if (value == NULL)
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to resample; free some");
    if (code == LOOM_OK && draws > 1) {
        draw_scores(x, LOOM_PSTH_RESAMPLED, how->seed, value, draws);
        describe_draws(own, value, draws, trials, out);
    }
    if (code == LOOM_OK && shuffles > 1) {
        draw_scores(x, LOOM_PSTH_SHUFFLED, how->seed, value, shuffles);
        describe(metric, own, value, shuffles, out);
    }
    free(value);
    loom_psth_free(x);
    return code;
}

int loom_trust_add(const char *metric, const struct loom_predictions *p, const double *predicted,
                   const struct loom_rates *train, const struct loom_trust *how, json_t *out, struct loom_error *e)
{
    struct loom_scored s = {.p = p, .predicted = predicted, .train = train, .held = loom_metric_rows(metric)};
    double own = loom_metric_mean(out);
    if (isnan(own))
        return LOOM_OK;
    if (loom_metric_of_responses(metric))
        return trust_responses(metric, &s, how, own, out, e);
    if (!(loom_metric_has_sums(metric) || loom_metric_of_classes(metric)))
        return LOOM_OK;
    int code = bootstrap(metric, &s, how, out, e);
    return code == LOOM_OK ? shuffle(metric, &s, how, own, out, e) : code;
}
