/* SPDX-License-Identifier: Apache-2.0 */
#include "train/run.h"

#include "base/io.h"
#include "eval/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SEEDS = 256 };

/* ---- intervals ---- */

/* {"mean", "sd", "interval": [low, high], "seeds": […], "n"}: interval of the mean by Student's t. What it keeps beside
 * them is keep_assessment's. */
static json_t *summary(const double *x, int n)
{
    json_t *j = json_object(), *each = json_array(), *interval = json_array();
    double mean = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        mean += x[i] / n;
        json_array_append_new(each, loom_json_number(x[i]));
    }
    for (int i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    json_object_set_new(j, "mean", loom_json_number(mean));
    if (n > 1 && isfinite(squares)) {
        double sd = sqrt(squares / (n - 1)), half = loom_student(n - 1) * sd / sqrt(n);
        json_object_set_new(j, "sd", json_real(sd));
        json_array_append_new(interval, json_real(mean - half));
        json_array_append_new(interval, json_real(mean + half));
        json_object_set(j, "interval", interval);
    }
    json_decref(interval);
    json_object_set_new(j, "seeds", each);
    json_object_set_new(j, "n", json_integer(n));
    return j;
}

/* ---- joining ---- */

/* Mean over seeds of a number that stands at `key`, or as the "mean" of the object there; NaN where one lacks it. */
static double mean_at(json_t *const *j, int n, const char *key)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        json_t *x = json_object_get(j[i], key);
        sum += loom_json_to_real(json_is_object(x) ? json_object_get(x, "mean") : x) / n;
    }
    return sum;
}

/* What a summary keeps of each seed's own assessment: chance, and what targets of others score, as means; and where
 * the seeds are all the same, as those of a baseline without draws are, the interval over trials. */
static void keep_assessment(json_t *to, json_t *const *j, int n)
{
    double chance = mean_at(j, n, "chance"), shuffle = mean_at(j, n, "shuffle");
    int same = 1;
    for (int i = 1; i < n; i++)
        same &= json_equal(json_object_get(j[i], "mean"), json_object_get(j[0], "mean"));
    if (isfinite(chance))
        json_object_set_new(to, "chance", json_real(chance));
    if (isfinite(shuffle))
        json_object_set_new(to, "shuffle", json_pack("{s:f}", "mean", shuffle));
    if (same && json_object_get(j[0], "resampled") != NULL && json_object_get(j[0], "interval") != NULL) {
        json_object_set(to, "interval", json_object_get(j[0], "interval"));
        json_object_set(to, "resampled", json_object_get(j[0], "resampled"));
    }
}

/* Objects with a number "mean" become summaries over seeds; other objects are walked. */
static json_t *join(json_t *const *j, int n)
{
    json_t *out = json_object(), *value;
    const char *key;
    if (json_is_number(json_object_get(j[0], "mean"))) {
        double x[MOST_SEEDS];
        for (int i = 0; i < n; i++)
            x[i] = loom_json_real_at(j[i], "mean");
        json_decref(out);
        out = summary(x, n);
        keep_assessment(out, j, n);
        return out;
    }
    json_object_foreach(j[0], key, value)
    {
        json_t *below[MOST_SEEDS];
        int whole = json_is_object(value);
        for (int i = 0; i < n && whole; i++) {
            below[i] = json_object_get(j[i], key);
            whole = json_is_object(below[i]);
        }
        if (whole && strcmp(key, "recordings") != 0)
            json_object_set_new(out, key, join(below, n));
    }
    return out;
}

/* metrics.STAGE.SPLIT.METRIC.mean; `b` may name a baseline of a. NaN: not there. */
static double value_of(const json_t *metrics, const char *stage, const char *baseline_of, const char *split,
                       const char *metric)
{
    const json_t *j = json_object_get(metrics, stage);
    if (!j) {
        j = json_object_get(json_object_get(json_object_get(metrics, baseline_of), split), "baselines");
        j = json_object_get(j, stage);
    } else {
        j = json_object_get(j, split);
    }
    return loom_json_real_at(json_object_get(j, metric), "mean");
}

int loom_compare(const struct loom_pipeline *p, json_t *const *metrics, int seeds, json_t *into, struct loom_error *e)
{
    json_t *list = json_array();
    int code = LOOM_OK;
    for (int i = 0; i < p->compares && code == LOOM_OK; i++) {
        const struct loom_options *o = p->compare[i];
        const char *a = loom_opt_string(o, "a"), *b = loom_opt_string(o, "b"), *metric = loom_opt_string(o, "metric"),
                   *split = loom_opt_string(o, "split");
        double difference[MOST_SEEDS];
        for (int k = 0; k < seeds && code == LOOM_OK; k++) {
            difference[k] = value_of(metrics[k], a, a, split, metric) - value_of(metrics[k], b, a, split, metric);
            if (isnan(difference[k]))
                code = loom_opt_fail(o, "metric", e,
                                     "%s on split %s is not among the metrics of both %s and %s: add it to both",
                                     metric, split, a, b);
        }
        if (code != LOOM_OK)
            break;
        json_t *j = summary(difference, seeds);
        json_object_set_new(j, "a", json_string(a));
        json_object_set_new(j, "b", json_string(b));
        json_object_set_new(j, "metric", json_string(metric));
        json_object_set_new(j, "split", json_string(split));
        json_array_append_new(list, j);
    }
    if (code == LOOM_OK && p->compares > 0)
        json_object_set(into, "compare", list);
    json_decref(list);
    return code;
}

/* ---- running ---- */

/* One seed in its own folder: resumed if it was begun, else begun from the whole run's resolved pipeline. */
static int run_seed(const struct loom_run_spec *spec, const struct loom_rundir *d, int64_t seed, struct loom_error *e)
{
    char folder[LOOM_PATH], begun[LOOM_PATH], pipeline[LOOM_PATH], number[48];
    const char *const override[] = {"seeds=()", number};
    struct loom_run_spec one = *spec;
    int code = loom_rundir_path(d, folder, e, "seed-%lld", (long long)seed);
    if (code == LOOM_OK)
        code = loom_rundir_path(d, begun, e, "seed-%lld/pipeline.cfg", (long long)seed);
    if (code == LOOM_OK)
        code = loom_rundir_path(d, pipeline, e, "pipeline.cfg");
    if (code != LOOM_OK)
        return code;
    snprintf(number, sizeof number, "seed=%lldL", (long long)seed);
    one.pipeline = pipeline;
    one.resume = loom_file_exists(begun) ? folder : NULL;
    one.override = override;
    one.overrides = one.resume ? 0 : 2;
    one.out = folder;
    one.folder = NULL;
    return loom_run(&one, e);
}

int loom_join_seeds(struct loom_rundir *d, const struct loom_pipeline *p, struct loom_error *e)
{
    int n = (int)loom_opt_count(p->options, "seeds"), code = LOOM_OK;
    json_t *metrics[MOST_SEEDS] = {NULL}, *joined = NULL;
    for (int i = 0; i < n && code == LOOM_OK; i++) {
        struct loom_rundir one = LOOM_RUNDIR;
        code =
            loom_rundir_path(d, one.path, e, "seed-%lld", (long long)loom_opt_real_at(p->options, "seeds", (size_t)i));
        if (code == LOOM_OK && !(metrics[i] = loom_running_metrics(&one, e)))
            code = LOOM_EIO;
    }
    if (code == LOOM_OK) {
        joined = join(metrics, n);
        code = loom_compare(p, metrics, n, joined, e);
    }
    if (code == LOOM_OK)
        code = loom_running_metrics_write(d, joined, e);
    for (int i = 0; i < n; i++)
        json_decref(metrics[i]);
    json_decref(joined);
    return code;
}

int loom_run_seeds(const struct loom_run_spec *spec, struct loom_rundir *d, const struct loom_pipeline *p,
                   struct loom_error *e)
{
    int n = (int)loom_opt_count(p->options, "seeds"), code = LOOM_OK;
    if (n > MOST_SEEDS)
        return loom_opt_fail(p->options, "seeds", e, "more than %d seeds: make several runs", MOST_SEEDS);
    for (int i = 0; i < n && code == LOOM_OK; i++)
        code = run_seed(spec, d, (int64_t)loom_opt_real_at(p->options, "seeds", (size_t)i), e);
    return code == LOOM_OK ? loom_join_seeds(d, p, e) : code;
}
