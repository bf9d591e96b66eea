/* SPDX-License-Identifier: Apache-2.0 */
#include "train/validate.h"

#include "train/truth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Evenly spread over the split, so that every recording and time of it has its share. */
static int choose_windows(struct loom_validation *v, const struct loom_selection *selection, int64_t most,
                          struct loom_error *e)
{
    struct loom_windows w;
    int code = loom_windows_init(&w, selection, &(struct loom_tiling){0}, e);
    if (code != LOOM_OK)
        return code;
    v->windows = most > 0 && w.n > most ? (int)most : w.n;
    v->sample = calloc((size_t)v->windows + 1, sizeof *v->sample);
    for (int i = 0; v->sample && i < v->windows; i++)
        v->sample[i] = w.sample[(int64_t)i * w.n / v->windows];
    loom_windows_release(&w);
    return v->sample ? LOOM_OK
                     : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d windows: lower valid_windows", v->windows);
}

/* Tuples come from the sampler's first step over the validation split. */
static int draw_tuples(struct loom_validation *v, const struct loom_selection *selection, int64_t most,
                       double partner_s, struct loom_error *e)
{
    struct loom_sampler *sampler;
    struct loom_sampler_spec spec = {
        .seed = 1, .batch = (int32_t)(most > 0 ? most : 256), .arity = v->arity, .partner_s = partner_s};
    int code = loom_sampler_new(&sampler, selection, &spec, e);
    if (code != LOOM_OK)
        return code;
    v->windows = loom_sampler_batch(sampler) * v->arity;
    v->sample = calloc((size_t)v->windows + 1, sizeof *v->sample);
    for (int i = 0; v->sample && i < v->windows; i++)
        loom_sampler_draw(sampler, 0, i / v->arity, i % v->arity, &v->sample[i]);
    loom_sampler_free(sampler);
    return v->sample ? LOOM_OK
                     : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d windows: lower valid_windows", v->windows);
}

int loom_validation_check(const struct loom_stage *s, struct loom_error *e)
{
    const char *monitor = loom_opt_string(s->options, "monitor"), *const *names = loom_metric_names();
    const char *near = loom_nearest(monitor, names);
    while (*names && strcmp(*names, monitor) != 0)
        names++;
    if (loom_metric_of_decoder(monitor))
        return loom_opt_fail(s->options, "monitor", e,
                             "'%s' fits a decoder on the train split, so that an evaluation stage alone measures it: "
                             "monitor loss, r2 or co_bps",
                             monitor);
    if (*names || strcmp(monitor, "loss") == 0)
        return LOOM_OK;
    return loom_opt_fail(s->options, "monitor", e, "'%s' is neither loss nor a metric: write %s", monitor,
                         near ? near : "loss");
}

int loom_validation_init(struct loom_validation *v, const struct loom_runner *r, const struct loom_stage *s,
                         struct loom_model *m, struct loom_stepper *stepper, int arity, int batch, struct loom_error *e)
{
    const char *pattern[256], *monitor = loom_opt_string(s->options, "monitor");
    struct loom_words words = loom_option_words(s->options, "recordings", pattern, 256);
    struct loom_selection selection;
    int64_t most = loom_opt_int(s->options, "valid_windows");
    *v = (struct loom_validation){
        .stepper = stepper, .model = m, .catalog = r->catalog, .arity = arity, .batch = batch, .truth = NAN};
    if (strcmp(monitor, "loss") != 0)
        v->metric = monitor;
    if (*loom_opt_string(s->options, "truth"))
        v->series = loom_opt_string(s->options, "truth");
    if (v->series && loom_truth_check(v->catalog, v->series, e) != LOOM_OK)
        return e->code;
    if (!loom_catalog_has_split(r->catalog, LOOM_VALID)) {
        loom_runner_say(r, LOOM_NOTE_TEXT, s->name,
                        "the data have no validation split: the last weights count as the best");
        return LOOM_OK;
    }
    int code = loom_selection_init(&selection, r->catalog, LOOM_VALID, words, e);
    if (code != LOOM_OK)
        return code;
    code = arity > 1 ? draw_tuples(v, &selection, most, loom_opt_real(s->options, "partner_s"), e)
                     : choose_windows(v, &selection, most, e);
    loom_selection_release(&selection);
    return code;
}

void loom_validation_release(struct loom_validation *v)
{
    free(v->sample);
    *v = (struct loom_validation){0};
}

static int measure(const struct loom_validation *v, struct loom_predictions *p, double *value, struct loom_error *e)
{
    for (int i = 0; i < loom_model_modalities(v->model); i++) {
        json_t *metric = NULL;
        if (!loom_predictions_suit(p, loom_model_modalities(v->model), i, v->metric))
            continue;
        int code = loom_predictions_settle(&p[i], e);
        if (code == LOOM_OK)
            code = loom_metric(v->metric, &p[i], NULL, NULL, &metric, e);
        if (code != LOOM_OK)
            return code;
        *value = loom_metric_mean(metric);
        if (loom_metric_rises(v->metric))
            *value = -*value;
        json_decref(metric);
        return LOOM_OK;
    }
    return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                     "monitor = \"%s\" does not fit anything that this stage asks for: monitor loss", v->metric);
}

/* What the true rates score on the same questions: the loss, or the metric. Windows and their questions stay the same,
 * so the first validation says it for all. */
static int measure_truth(struct loom_validation *v, struct loom_predictions *p, struct loom_error *e)
{
    for (int i = 0; i < loom_model_modalities(v->model); i++) {
        json_t *metric = NULL;
        if (p[i].n == 0 || strcmp(p[i].likelihood, "poisson") != 0)
            continue;
        double *expected = calloc((size_t)p[i].n, sizeof *expected);
        if (!expected)
            return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for true rates: lower valid_windows");
        loom_truth_column(v->catalog, v->series, &p[i], expected);
        int code = LOOM_OK;
        if (!v->metric)
            v->truth = loom_truth_loss(&p[i], expected);
        else if (loom_metric_fits(v->metric, p[i].likelihood))
            code = loom_metric(v->metric, &p[i], expected, NULL, &metric, e);
        if (metric)
            v->truth = loom_metric_mean(metric);
        json_decref(metric);
        free(expected);
        return code;
    }
    return LOOM_OK;
}

int loom_validation_run(struct loom_validation *v, double *value, struct loom_error *e)
{
    struct loom_predictions *p = NULL;
    int truth = v->series && isnan(v->truth);
    int code = v->metric || truth ? loom_predictions_of(&p, v->model, v->catalog, e) : LOOM_OK;
    if (code == LOOM_OK)
        code = loom_evaluate(v->stepper, v->sample, v->windows, v->arity, v->batch, 0, value, p, e);
    if (code == LOOM_OK && v->metric)
        code = measure(v, p, value, e);
    if (code == LOOM_OK && truth)
        code = measure_truth(v, p, e);
    loom_predictions_free_all(p, p ? loom_model_modalities(v->model) : 0);
    return code;
}

double loom_validation_shown(const struct loom_validation *v, double value)
{
    return v->metric && loom_metric_rises(v->metric) ? -value : value;
}
