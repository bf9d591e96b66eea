/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void loom_regression_add(struct loom_regression *r, double target, double predicted)
{
    if (r->n++ == 0) {
        r->y0 = target;
        r->p0 = predicted;
    }
    double y = target - r->y0, p = predicted - r->p0, gap = target - predicted;
    r->y += y;
    r->yy += y * y;
    r->p += p;
    r->pp += p * p;
    r->yp += y * p;
    r->error += gap * gap;
}

/* Σ(a-ā)(b-b̄) from sums; what rounding leaves of a constant counts as nothing. */
static double about_mean(double ab, double a, double b, double n)
{
    double v = ab - a * b / n;
    return fabs(v) > 1e-13 * fabs(ab) ? v : 0.0;
}

double loom_regression_variation(const struct loom_regression *r)
{
    return r->n > 0 ? about_mean(r->yy, r->y, r->y, (double)r->n) : 0.0;
}

double loom_regression_r2(const struct loom_regression *r)
{
    double variation = loom_regression_variation(r);
    return variation > 0.0 ? 1.0 - r->error / variation : NAN;
}

double loom_regression_correlation(const struct loom_regression *r)
{
    double y = loom_regression_variation(r), p = r->n > 0 ? about_mean(r->pp, r->p, r->p, (double)r->n) : 0.0;
    return y > 0.0 && p > 0.0 ? about_mean(r->yp, r->y, r->p, (double)r->n) / sqrt(y * p) : NAN;
}

/* ---- what every metric reads: scored rows of one recording at a time ---- */

struct scored {
    const struct loom_predictions *p;
    const double *predicted; /* or NULL */
    const struct loom_rates *train;
    int32_t elements; /* largest element + 1 */
};

/* 1 and the pair, if row i is scored. */
static int pair_of(const struct scored *s, int64_t i, double *target, double *predicted)
{
    const struct loom_predicted *row = &s->p->row[i];
    *target = row->target;
    *predicted = s->predicted != NULL ? s->predicted[i] : row->predicted;
    return row->weight != 0.0 && !isnan(*target) && !(s->predicted != NULL && isnan(*predicted));
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* Means that skip what is not a number. */
struct mean {
    double sum;
    int64_t n;
};

static void mean_add(struct mean *m, double x)
{
    if (isnan(x))
        return;
    m->sum += x;
    m->n++;
}

static double mean_of(const struct mean *m)
{
    return m->n > 0 ? m->sum / (double)m->n : NAN;
}

static const char *element_name(const struct loom_predictions *p, int32_t d, char buffer[24])
{
    if (d < p->elements && p->element != NULL && p->element[d] != NULL)
        return p->element[d];
    snprintf(buffer, 24, "dim%d", (int)d);
    return buffer;
}

/* ---- regression: r2, mse, correlation ---- */

static double by_r2(const struct loom_regression *r)
{
    return loom_regression_r2(r);
}

static double by_mse(const struct loom_regression *r)
{
    return r->n > 0 ? r->error / (double)r->n : NAN;
}

static double by_correlation(const struct loom_regression *r)
{
    return loom_regression_correlation(r);
}

struct regression_result {
    struct mean overall, pooled, *dimension; /* over recordings; [elements] */
    json_t *recordings;
    int64_t n;
};

static void end_recording(const struct scored *s, struct loom_regression *r, int32_t recording,
                          double (*value)(const struct loom_regression *), struct regression_result *out)
{
    struct mean dims = {0};
    double error = 0.0, variation = 0.0;
    for (int32_t d = 0; d < s->elements; d++) {
        double x = value(&r[d]);
        mean_add(&dims, x);
        mean_add(&out->dimension[d], x);
        error += loom_regression_variation(&r[d]) > 0.0 ? r[d].error : 0.0;
        variation += loom_regression_variation(&r[d]);
        out->n = out->n > r[d].n ? out->n : r[d].n;
    }
    mean_add(&out->overall, mean_of(&dims));
    mean_add(&out->pooled, variation > 0.0 ? 1.0 - error / variation : NAN);
    if (recording < s->p->recordings && s->p->recordings > 1)
        json_object_set_new(out->recordings, s->p->recording[recording], number(mean_of(&dims)));
    memset(r, 0, (size_t)s->elements * sizeof *r);
}

static json_t *regression_object(const struct scored *s, const struct regression_result *r, int is_r2, int64_t rows)
{
    json_t *out = json_object();
    char buffer[24];
    json_object_set_new(out, "mean", number(mean_of(&r->overall)));
    for (int32_t d = 0; d < s->elements && s->elements <= 64; d++)
        json_object_set_new(out, element_name(s->p, d, buffer), number(mean_of(&r->dimension[d])));
    if (is_r2)
        json_object_set_new(out, "variance_weighted", number(mean_of(&r->pooled)));
    json_object_set_new(out, "n", json_integer(rows));
    if (json_object_size(r->recordings) > 0)
        json_object_set(out, "recordings", r->recordings);
    return out;
}

static json_t *regression(const struct scored *s, const char *metric)
{
    double (*value)(const struct loom_regression *) = strcmp(metric, "r2") == 0    ? by_r2
                                                      : strcmp(metric, "mse") == 0 ? by_mse
                                                                                   : by_correlation;
    struct regression_result result = {.recordings = json_object(),
                                       .dimension = calloc((size_t)s->elements + 1, sizeof *result.dimension)};
    struct loom_regression *r = calloc((size_t)s->elements + 1, sizeof *r);
    json_t *out = NULL;
    int64_t rows = 0;
    for (int64_t i = 0; i < s->p->n && r != NULL && result.dimension != NULL; i++) {
        const struct loom_predicted *row = &s->p->row[i];
        double target, predicted;
        if (pair_of(s, i, &target, &predicted))
            loom_regression_add(&r[row->element], target, predicted);
        if (i + 1 == s->p->n || s->p->row[i + 1].recording != row->recording) {
            result.n = 0;
            end_recording(s, r, row->recording, value, &result);
            rows += result.n;
        }
    }
    if (r != NULL && result.dimension != NULL && result.recordings != NULL)
        out = regression_object(s, &result, value == by_r2, rows);
    json_decref(result.recordings);
    free(result.dimension);
    free(r);
    return out;
}

/* ---- counts: bits per spike, Poisson likelihood ---- */

enum { LEAST_RATE_INVERSE = 1000000000 }; /* rates below 1e-9 a bin count as that, as in the benchmark */

static double floored(double rate)
{
    double least = 1.0 / LEAST_RATE_INVERSE;
    return rate > least ? rate : least;
}

struct unit_sums {
    double n, spikes, model, train_rate;
};
struct bits {
    double spikes, model, by_train, by_split;
    int trained; /* every unit has a training rate */
};

static void add_unit(struct bits *b, const struct unit_sums *u)
{
    if (u->n == 0.0)
        return;
    double own = floored(u->spikes / u->n), train = floored(u->train_rate);
    b->spikes += u->spikes;
    b->model += u->model;
    b->by_split += u->n * own - u->spikes * log(own);
    if (isnan(u->train_rate))
        b->trained = 0;
    else
        b->by_train += u->n * train - u->spikes * log(train);
}

static double bits_of(double null, const struct bits *b)
{
    return b->spikes > 0.0 ? (null - b->model) / (log(2.0) * b->spikes) : NAN;
}

struct bits_means {
    struct mean train, split;
    double spikes;
};

static void end_bits(const struct scored *s, struct unit_sums *u, struct bits_means *m)
{
    struct bits b = {.trained = s->train != NULL};
    for (int32_t k = 0; k < s->elements; k++)
        add_unit(&b, &u[k]);
    mean_add(&m->train, b.trained ? bits_of(b.by_train, &b) : NAN);
    mean_add(&m->split, bits_of(b.by_split, &b));
    m->spikes += b.spikes;
    memset(u, 0, (size_t)s->elements * sizeof *u);
}

static double train_rate(const struct scored *s, const struct loom_predicted *row)
{
    const struct loom_rates *t = s->train;
    if (t == NULL || row->recording >= t->recordings ||
        row->element >= t->first[row->recording + 1] - t->first[row->recording])
        return NAN;
    return t->rate[t->first[row->recording] + row->element];
}

static int bits_over(const struct scored *s, int held_alone, struct bits_means *m)
{
    struct unit_sums *u = calloc((size_t)s->elements + 1, sizeof *u);
    for (int64_t i = 0; i < s->p->n && u != NULL; i++) {
        const struct loom_predicted *row = &s->p->row[i];
        double y, rate;
        if (pair_of(s, i, &y, &rate) && (!held_alone || row->held)) {
            struct unit_sums *k = &u[row->element];
            k->train_rate = k->n == 0.0 ? train_rate(s, row) : k->train_rate;
            k->n += 1.0;
            k->spikes += y;
            k->model += rate - y * log(floored(rate));
        }
        if (i + 1 == s->p->n || s->p->row[i + 1].recording != row->recording)
            end_bits(s, u, m);
    }
    free(u);
    return u != NULL;
}

static void bits_object(json_t *out, const struct bits_means *m)
{
    int trained = m->train.n > 0;
    json_object_set_new(out, "mean", number(mean_of(trained ? &m->train : &m->split)));
    json_object_set_new(out, "null", json_string(trained ? "train" : "split"));
    json_object_set_new(out, "mean_split_null", number(mean_of(&m->split)));
    json_object_set_new(out, "n", json_integer((json_int_t)llround(m->spikes)));
}

static json_t *bits_per_spike(const struct scored *s, const char *metric)
{
    struct bits_means all = {0}, held = {0};
    (void)metric;
    int any_held = 0;
    for (int64_t i = 0; i < s->p->n && !any_held; i++)
        any_held = s->p->row[i].held;
    if (!bits_over(s, 0, &all) || (any_held && !bits_over(s, 1, &held)))
        return NULL;
    json_t *out = json_object();
    bits_object(out, &all);
    if (any_held) {
        json_t *part = json_object();
        bits_object(part, &held);
        json_object_set_new(out, "held_out", part);
    }
    return out;
}

static json_t *poisson_nll(const struct scored *s, const char *metric)
{
    double sum = 0.0, y, rate;
    int64_t n = 0;
    (void)metric;
    for (int64_t i = 0; i < s->p->n; i++)
        if (pair_of(s, i, &y, &rate)) {
            sum += rate - y * log(floored(rate)) + lgamma(y + 1.0);
            n++;
        }
    return json_pack("{s:o, s:I}", "mean", number(n > 0 ? sum / (double)n : NAN), "n", (json_int_t)n);
}

/* ---- classes ---- */

static json_t *classes(const struct scored *s, const char *metric)
{
    int n = s->p->params > 1 ? s->p->params : 2;
    double *seen = calloc((size_t)n + 1, sizeof *seen), *right = calloc((size_t)n + 1, sizeof *right), loss = 0.0;
    double total = 0.0, hits = 0.0, most = 0.0;
    struct mean recall = {0};
    json_t *out = NULL;
    for (int64_t i = 0; i < s->p->n && seen != NULL && right != NULL; i++) {
        double y, guess;
        if (!pair_of(s, i, &y, &guess) || y < 0.0 || y >= n)
            continue;
        int c = (int)y;
        seen[c] += 1.0;
        right[c] += guess == y;
        loss -= s->p->param != NULL ? log(fmax(s->p->param[i * s->p->params + c], 1e-300)) : NAN;
    }
    for (int c = 0; c < n && seen != NULL && right != NULL; c++) {
        total += seen[c];
        hits += right[c];
        most = fmax(most, seen[c]);
        mean_add(&recall, seen[c] > 0.0 ? right[c] / seen[c] : NAN);
    }
    double chance = strcmp(metric, "accuracy") == 0            ? most / total
                    : strcmp(metric, "balanced_accuracy") == 0 ? 1.0 / (double)(recall.n > 0 ? recall.n : 1)
                                                               : log(n);
    double value = strcmp(metric, "accuracy") == 0            ? hits / total
                   : strcmp(metric, "balanced_accuracy") == 0 ? mean_of(&recall)
                                                              : loss / total;
    if (seen != NULL && right != NULL)
        out = json_pack("{s:o, s:o, s:I}", "mean", number(value), "chance", number(chance), "n", (json_int_t)total);
    free(seen);
    free(right);
    return out;
}

/* ---- the list ---- */

static const struct {
    const char *name, *likelihoods;
    int rises;
    json_t *(*compute)(const struct scored *s, const char *metric);
} metrics[] = {
    {"r2", "gaussian", 1, regression},
    {"mse", "gaussian", 0, regression},
    {"correlation", "gaussian", 1, regression},
    {"bits_per_spike", "poisson", 1, bits_per_spike},
    {"poisson_nll", "poisson", 0, poisson_nll},
    {"accuracy", "categorical", 1, classes},
    {"balanced_accuracy", "categorical", 1, classes},
    {"cross_entropy", "categorical", 0, classes},
};
enum { METRICS = sizeof metrics / sizeof *metrics };

const char *const *loom_metric_names(void)
{
    static const char *const names[] = {"r2",          "mse",      "correlation",       "bits_per_spike",
                                        "poisson_nll", "accuracy", "balanced_accuracy", "cross_entropy",
                                        NULL};
    _Static_assert(sizeof names / sizeof *names == METRICS + 1, "every metric has its name here");
    return names;
}

static int find(const char *name)
{
    for (int i = 0; i < METRICS; i++)
        if (strcmp(metrics[i].name, name) == 0)
            return i;
    return -1;
}

int loom_metric_fits(const char *metric, const char *likelihood)
{
    int i = find(metric);
    return i >= 0 && likelihood[0] != '\0' && strstr(metrics[i].likelihoods, likelihood) != NULL;
}

int loom_metric_rises(const char *metric)
{
    int i = find(metric);
    return i >= 0 && metrics[i].rises;
}

int loom_metric(const char *metric, const struct loom_predictions *p, const double *predicted,
                const struct loom_rates *train, json_t **out, struct loom_error *e)
{
    struct scored s = {.p = p, .predicted = predicted, .train = train};
    int at = find(metric);
    *out = NULL;
    if (at < 0) {
        const char *near = loom_nearest(metric, loom_metric_names());
        return loom_fail(
            e, LOOM_ECONFIG, NULL, 0,
            "there is no metric \"%s\"%s%s%s; choose from r2, mse, correlation, bits_per_spike, poisson_nll, "
            "accuracy, balanced_accuracy, cross_entropy",
            metric, near != NULL ? ", did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
    }
    if (!loom_metric_fits(metric, p->likelihood))
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "metric \"%s\" is for %s elements, and those of %s are %s; choose another", metric,
                         metrics[at].likelihoods, p->modality, p->likelihood);
    for (int64_t i = 0; i < p->n; i++)
        s.elements = p->row[i].element >= s.elements ? p->row[i].element + 1 : s.elements;
    *out = metrics[at].compute(&s, metric);
    return *out != NULL ? LOOM_OK
                        : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for metric \"%s\"; free some", metric);
}

double loom_metric_mean(const json_t *metric)
{
    const json_t *mean = json_object_get(metric, "mean");
    return json_is_number(mean) ? json_number_value(mean) : NAN;
}
