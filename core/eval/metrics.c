/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/metrics.h"

#include "eval/class_rows.h"
#include "eval/psth_metric.h"
#include "eval/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void loom_regression_add(struct loom_regression *r, double target, double predicted)
{
    r->n++;
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

/* ---- what all of them need ---- */

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

/* Sums of all groups, and what they are of. `out` gets what stands beside the mean; NULL where the mean is all. */
struct sums {
    const struct loom_scored *s;
    const struct loom_tally *t;
    const struct loom_cell *total, *null;
};

static const struct loom_cell *cell_of(const struct sums *x, int32_t recording, int32_t element)
{
    return &x->total[(int64_t)recording * x->t->elements + element];
}

/* ---- regression: r2, mse, correlation ---- */

static double by_mse(const struct loom_regression *r)
{
    return r->n > 0 ? r->error / (double)r->n : NAN;
}

static double regression_value(const char *metric, const struct loom_regression *r)
{
    return strcmp(metric, "r2") == 0    ? loom_regression_r2(r)
           : strcmp(metric, "mse") == 0 ? by_mse(r)
                                        : loom_regression_correlation(r);
}

static double regression_chance(const char *metric, const struct loom_regression *r)
{
    if (strcmp(metric, "mse") != 0)
        return 0.0;
    return r->n > 0 ? loom_regression_variation(r) / (double)r->n : NAN;
}

struct recording_result {
    struct mean dims, chance;
    double error, variation;
    int64_t n;
};

static struct recording_result recording_of(const struct sums *x, const char *metric, int32_t recording)
{
    struct recording_result out = {0};
    for (int32_t d = 0; d < x->t->elements; d++) {
        const struct loom_regression *r = &cell_of(x, recording, d)->r;
        double variation = loom_regression_variation(r);
        mean_add(&out.dims, regression_value(metric, r));
        mean_add(&out.chance, regression_chance(metric, r));
        out.error += variation > 0.0 ? r->error : 0.0;
        out.variation += variation;
        out.n = out.n > r->n ? out.n : r->n;
    }
    return out;
}

static void dimensions(const struct sums *x, const char *metric, json_t *out)
{
    char buffer[24];
    for (int32_t d = 0; d < x->t->elements && x->t->elements <= 64; d++) {
        struct mean over = {0};
        for (int32_t k = 0; k < x->t->recordings; k++)
            mean_add(&over, regression_value(metric, &cell_of(x, k, d)->r));
        json_object_set_new(out, loom_predictions_element(x->s->p, d, buffer), loom_json_number(mean_of(&over)));
    }
}

static double regression(const struct sums *x, const char *metric, json_t *out)
{
    struct mean overall = {0}, pooled = {0}, chance = {0};
    json_t *recordings = out != NULL ? json_object() : NULL;
    int64_t rows = 0;
    for (int32_t k = 0; k < x->t->recordings; k++) {
        struct recording_result r = recording_of(x, metric, k);
        mean_add(&overall, mean_of(&r.dims));
        mean_add(&pooled, r.variation > 0.0 ? 1.0 - r.error / r.variation : NAN);
        mean_add(&chance, mean_of(&r.chance));
        rows += r.n;
        if (out != NULL && k < x->s->p->recordings && x->s->p->recordings > 1)
            json_object_set_new(recordings, x->s->p->recording[k], loom_json_number(mean_of(&r.dims)));
    }
    if (out != NULL) {
        json_object_set_new(out, "mean", loom_json_number(mean_of(&overall)));
        dimensions(x, metric, out);
        if (strcmp(metric, "r2") == 0)
            json_object_set_new(out, "variance_weighted", loom_json_number(mean_of(&pooled)));
        json_object_set_new(out, "chance", loom_json_number(mean_of(&chance)));
        json_object_set_new(out, "n", json_integer(rows));
        if (json_object_size(recordings) > 0)
            json_object_set(out, "recordings", recordings);
        json_decref(recordings);
    }
    return mean_of(&overall);
}

/* ---- counts: bits per spike, Poisson likelihood ---- */

struct bits {
    double spikes, model, by_train, by_split;
    int trained; /* every unit has a training rate */
};

static double spikes_of(const struct loom_regression *r)
{
    return r->y + (double)r->n * r->y0;
}

/* Loss of a constant rate over a cell. */
static double null_loss(const struct loom_cell *c, double rate)
{
    rate = fmax(rate, LOOM_LEAST_RATE);
    return (double)c->r.n * rate - spikes_of(&c->r) * log(rate);
}

static double mean_count(const struct loom_cell *c)
{
    return c->r.n > 0 ? spikes_of(&c->r) / (double)c->r.n : NAN;
}

static void add_unit(struct bits *b, const struct loom_cell *c, const struct loom_cell *null, double train)
{
    if (c->r.n == 0)
        return;
    b->spikes += spikes_of(&c->r);
    b->model += c->loss;
    b->by_split += null_loss(c, mean_count(null));
    if (isnan(train))
        b->trained = 0;
    else
        b->by_train += null_loss(c, train);
}

static double bits_of(double null, const struct bits *b)
{
    return b->spikes > 0.0 ? (null - b->model) / (log(2.0) * b->spikes) : NAN;
}

static double train_rate(const struct loom_rates *t, int32_t recording, int32_t unit)
{
    if (t == NULL || recording >= t->recordings || unit >= t->first[recording + 1] - t->first[recording])
        return NAN;
    return t->rate[t->first[recording] + unit];
}

static double bits_per_spike(const struct sums *x, const char *metric, json_t *out)
{
    struct mean train = {0}, split = {0};
    double spikes = 0.0;
    int benchmark = strcmp(metric, "bits_per_spike") != 0;
    for (int32_t k = 0; k < x->t->recordings; k++) {
        struct bits b = {.trained = x->s->train != NULL};
        for (int32_t u = 0; u < x->t->elements; u++)
            add_unit(&b, cell_of(x, k, u), &x->null[(int64_t)k * x->t->elements + u], train_rate(x->s->train, k, u));
        mean_add(&train, b.trained ? bits_of(b.by_train, &b) : NAN);
        mean_add(&split, bits_of(b.by_split, &b));
        spikes += b.spikes;
    }
    int trained = train.n > 0 && !benchmark;
    double mean = mean_of(trained ? &train : &split);
    if (out != NULL) {
        json_object_set_new(out, "mean", loom_json_number(mean));
        json_object_set_new(out, "null", json_string(trained ? "train" : "split"));
        if (!benchmark)
            json_object_set_new(out, "mean_split_null", loom_json_number(mean_of(&split)));
        json_object_set_new(out, "chance", json_real(0.0));
        json_object_set_new(out, "n", json_integer((json_int_t)llround(spikes)));
    }
    return mean;
}

static double poisson_nll(const struct sums *x, const char *metric, json_t *out)
{
    double sum = 0.0, chance = 0.0, n = 0.0;
    (void)metric;
    for (int32_t i = 0; i < x->t->recordings * x->t->elements; i++) {
        const struct loom_cell *c = &x->total[i];
        if (c->r.n == 0)
            continue;
        sum += c->loss + c->factorial;
        chance += null_loss(c, mean_count(c)) + c->factorial;
        n += (double)c->r.n;
    }
    if (out != NULL) {
        json_object_set_new(out, "mean", loom_json_number(sum / n));
        json_object_set_new(out, "chance", loom_json_number(chance / n));
        json_object_set_new(out, "n", json_integer((json_int_t)n));
    }
    return sum / n;
}

/* ---- the list ---- */

/* What a metric is made of. */
enum made_of { SUMS, CLASSES, RESPONSES, DECODER };

static const struct {
    const char *name, *likelihoods;
    int rises, rows;
    enum made_of of;
    double (*of_sums)(const struct sums *x, const char *metric, json_t *out); /* of SUMS alone */
} metrics[] = {
    {"r2", "gaussian", 1, LOOM_HELD_ALL, SUMS, regression},
    {"mse", "gaussian", 0, LOOM_HELD_ALL, SUMS, regression},
    {"correlation", "gaussian", 1, LOOM_HELD_ALL, SUMS, regression},
    {"bits_per_spike", "poisson", 1, LOOM_HELD_ALL, SUMS, bits_per_spike},
    {"co_bps", "poisson", 1, LOOM_HELD_UNIT, SUMS, bits_per_spike},
    {"fp_bps", "poisson", 1, LOOM_HELD_FORWARD, SUMS, bits_per_spike},
    {"poisson_nll", "poisson", 0, LOOM_HELD_ALL, SUMS, poisson_nll},
    {"psth_r2", "poisson", 1, LOOM_HELD_ALL, RESPONSES, NULL},
    {"vel_r2", "poisson", 1, LOOM_HELD_ALL, DECODER, NULL},
    {"accuracy", "categorical", 1, LOOM_HELD_ALL, CLASSES, NULL},
    {"balanced_accuracy", "categorical", 1, LOOM_HELD_ALL, CLASSES, NULL},
    {"kappa", "categorical", 1, LOOM_HELD_ALL, CLASSES, NULL},
    {"weighted_f1", "categorical", 1, LOOM_HELD_ALL, CLASSES, NULL},
    {"auroc", "categorical", 1, LOOM_HELD_ALL, CLASSES, NULL},
    {"auprc", "categorical", 1, LOOM_HELD_ALL, CLASSES, NULL},
    {"cross_entropy", "categorical", 0, LOOM_HELD_ALL, CLASSES, NULL},
};
enum { METRICS = sizeof metrics / sizeof *metrics };

const char *const *loom_metric_names(void)
{
    static const char *const names[] = {
        "r2",      "mse",           "correlation", "bits_per_spike",    "co_bps", "fp_bps",      "poisson_nll",
        "psth_r2", "vel_r2",        "accuracy",    "balanced_accuracy", "kappa",  "weighted_f1", "auroc",
        "auprc",   "cross_entropy", NULL};
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

static int is_of(const char *metric, enum made_of of)
{
    int i = find(metric);
    return i >= 0 && metrics[i].of == of;
}

int loom_metric_of_classes(const char *metric)
{
    return is_of(metric, CLASSES);
}

int loom_metric_of_responses(const char *metric)
{
    return is_of(metric, RESPONSES);
}

int loom_metric_of_decoder(const char *metric)
{
    return is_of(metric, DECODER);
}

int loom_metric_has_sums(const char *metric)
{
    return is_of(metric, SUMS);
}

int loom_metric_rows(const char *metric)
{
    int i = find(metric);
    return i >= 0 ? metrics[i].rows : LOOM_HELD_ALL;
}

double loom_metric_of_sums(const char *metric, const struct loom_scored *s, const struct loom_tally *t,
                           const struct loom_cell *total, const struct loom_cell *null)
{
    int i = find(metric);
    const struct sums x = {s, t, total, null != NULL ? null : total};
    return i >= 0 && metrics[i].of == SUMS ? metrics[i].of_sums(&x, metric, NULL) : NAN;
}

int loom_metric_fits(const char *metric, const char *likelihood)
{
    int i = find(metric);
    return i >= 0 && likelihood[0] != '\0' && strstr(metrics[i].likelihoods, likelihood) != NULL;
}

int loom_metric_rises(const char *key)
{
    char metric[64];
    snprintf(metric, sizeof metric, "%.*s", (int)strcspn(key, "."), key);
    int i = find(metric);
    return i >= 0 && metrics[i].rises;
}

static int of_sums(const char *metric, struct loom_scored *s, json_t *out, struct loom_error *e)
{
    struct loom_tally t;
    int code = loom_tally_init(&t, s, NULL, loom_metric_fits(metric, "poisson"), e);
    if (code != LOOM_OK)
        return code;
    /* One group for each recording: the cells are the sums. */
    metrics[find(metric)].of_sums(&(struct sums){s, &t, t.cell, t.cell}, metric, out);
    loom_tally_release(&t);
    return LOOM_OK;
}

/* The same over held-out elements alone, where there are any. */
static int of_held_out(const char *metric, struct loom_scored *s, json_t *out, struct loom_error *e)
{
    int any = 0;
    for (int64_t i = 0; i < s->p->n && !any; i++)
        any = s->p->row[i].held != LOOM_HELD_NOT;
    if (!any || strcmp(metric, "bits_per_spike") != 0)
        return LOOM_OK;
    json_t *part = json_object();
    s->held = LOOM_HELD_ANY;
    int code = of_sums(metric, s, part, e);
    json_object_set_new(out, "held_out", part);
    return code;
}

int loom_metric(const char *metric, const struct loom_predictions *p, const double *predicted,
                const struct loom_rates *train, json_t **out, struct loom_error *e)
{
    struct loom_scored s = {.p = p, .predicted = predicted, .train = train, .held = loom_metric_rows(metric)};
    int at = find(metric), code = LOOM_OK;
    *out = NULL;
    if (at < 0) {
        const char *near = loom_nearest(metric, loom_metric_names());
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "there is no metric \"%s\"%s%s%s; docs/metrics.md lists them, r2, bits_per_spike and accuracy "
                         "among them",
                         metric, near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
                         near != NULL ? "\"?" : "");
    }
    if (!loom_metric_fits(metric, p->likelihood))
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "metric \"%s\" is for %s elements, and those of %s are %s; choose another", metric,
                         metrics[at].likelihoods, p->modality, p->likelihood);
    if (metrics[at].of == DECODER)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                         "metric \"%s\" fits a decoder on the train split: an evaluation stage alone measures it",
                         metric);
    json_t *object = json_object();
    if (object == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for metric \"%s\"; free some", metric);
    if (metrics[at].of == SUMS)
        code = of_sums(metric, &s, object, e);
    else
        code = metrics[at].of == CLASSES ? loom_class_metric(metric, &s, object, e) : loom_psth_metric(&s, object, e);
    if (code == LOOM_OK)
        code = of_held_out(metric, &s, object, e);
    if (code == LOOM_OK)
        *out = object;
    else
        json_decref(object);
    return code;
}

double loom_metric_mean(const json_t *metric)
{
    return loom_json_real_at(metric, "mean");
}
