/* SPDX-License-Identifier: Apache-2.0 */
/* Each metric is taken from the last stage, going back from the evaluated one along `from`, that asks for what it
 * measures: velocity from the decoding stage, spikes from the pretraining before it. */
#include "train/assess.h"

#include "train/truth.h"

#include <stdlib.h>
#include <string.h>

/* A series of the recordings that the stage sees, read long after training: so it is looked for before. */
static int check_behavior(const struct loom_catalog *c, const struct loom_stage *s, const char *metric,
                          struct loom_error *e)
{
    const char *pattern[256], *series = loom_opt_string(s->options, "behavior");
    if (*series)
        return loom_catalog_need_series(c, loom_option_words(s->options, "recordings", pattern, 256), series, NULL, e);
    return loom_opt_fail(s->options, "metrics", e,
                         "%s decodes a behaviour from rates: say which, behavior = \"NAME\"; loom data info lists the "
                         "series that a recording has",
                         metric);
}

int loom_assess_check(const struct loom_catalog *c, const struct loom_stage *s, struct loom_error *e)
{
    const char *const *names = loom_metric_names();
    size_t n = loom_opt_count(s->options, "metrics");
    if (n > LOOM_ASSESS_METRICS)
        return loom_opt_fail(s->options, "metrics", e, "more than %d metrics: make two stages", LOOM_ASSESS_METRICS);
    if (loom_opt_count(s->options, "against") > LOOM_ASSESS_BASELINES)
        return loom_opt_fail(s->options, "against", e, "more than %d baselines: make two stages",
                             LOOM_ASSESS_BASELINES);
    for (size_t k = 0; k < n; k++) {
        const char *metric = loom_opt_string_at(s->options, "metrics", k), *near = loom_nearest(metric, names);
        int known = 0;
        for (int i = 0; names[i]; i++)
            known |= strcmp(names[i], metric) == 0;
        if (!known)
            return loom_opt_fail(s->options, "metrics", e, "there is no metric '%s': write %s", metric,
                                 near ? near : "r2, bits_per_spike or accuracy");
        if (loom_metric_of_decoder(metric) && check_behavior(c, s, metric, e) != LOOM_OK)
            return e->code;
    }
    return LOOM_OK;
}

/* ---- baselines ---- */

static int align_all(const struct loom_predictions *model, int modalities, const struct loom_predictions *baseline,
                     int others, double **column, double **chance, struct loom_error *e)
{
    for (int i = 0; i < modalities; i++) {
        const struct loom_predictions *p = &model[i], *q = NULL;
        for (int k = 0; k < others; k++)
            if (strcmp(baseline[k].modality, p->modality) == 0)
                q = &baseline[k];
        if (!q || q->n == 0 || p->n == 0)
            continue;
        const int knows = chance && p->param && q->param && p->params == q->params;
        column[i] = calloc((size_t)p->n, sizeof *column[i]);
        if (knows)
            chance[i] = calloc((size_t)p->n * (size_t)p->params, sizeof *chance[i]);
        if (!column[i] || (knows && !chance[i]))
            return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for predictions: evaluate fewer recordings");
        loom_predictions_align(p, q, column[i], knows ? chance[i] : NULL);
    }
    return LOOM_OK;
}

static int align(const struct loom_examinee *model, const struct loom_examinee *baseline, struct loom_column_set *set,
                 struct loom_error *e)
{
    int n = loom_model_modalities(model->model), others = loom_model_modalities(baseline->model);
    int code = align_all(model->predictions, n, baseline->predictions, others, set->column, set->chance, e);
    if (code == LOOM_OK && model->train && baseline->train)
        code = align_all(model->train, n, baseline->train, others, set->train, NULL, e);
    return code;
}

/* Fitted on the same training split, asked the same windows, scored on the model's own questions. */
static int one_baseline(struct loom_assessment *a, const struct loom_stage *asks, const char *id,
                        const struct loom_examinee *x, struct loom_column_set *set, struct loom_error *e)
{
    struct loom_examinee baseline = {0};
    json_t *list = json_object_get(a->into, "baselines"), *metrics = json_object();
    set->name = id;
    int code = loom_examinee_baseline(a, asks, id, &baseline, e);
    if (code == LOOM_OK)
        code = loom_examine(a, &baseline, e);
    if (code == LOOM_OK && x->train)
        code = loom_examine_train(a, &baseline, e);
    if (code == LOOM_OK)
        code = align(x, &baseline, set, e);
    if (code == LOOM_OK)
        code = loom_measure_columns(a, x, set, metrics, e);
    loom_examinee_dismiss(&baseline);
    if (!list)
        json_object_set_new(a->into, "baselines", list = json_object());
    json_object_set_new(list, id, metrics);
    return code;
}

static int true_rates(const struct loom_assessment *a, const char *series, const struct loom_predictions *p,
                      double **column, struct loom_error *e)
{
    *column = calloc((size_t)p->n + 1, sizeof **column);
    if (!*column)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for true rates: evaluate fewer recordings");
    loom_truth_column(a->r->catalog, series, p, *column);
    return LOOM_OK;
}

/* The true rates stand beside the baselines, as one that nothing can beat but luck. */
static int truth(struct loom_assessment *a, const struct loom_examinee *x, struct loom_column_set *set,
                 struct loom_error *e)
{
    json_t *list = json_object_get(a->into, "baselines"), *metrics = json_object();
    const char *series = loom_opt_string(a->s->options, "truth");
    int code = loom_truth_check(a->r->catalog, series, e);
    set->name = "truth";
    for (int i = 0; i < loom_model_modalities(x->model) && code == LOOM_OK; i++) {
        const struct loom_predictions *p = &x->predictions[i];
        if (p->n == 0 || strcmp(p->likelihood, "poisson") != 0)
            continue;
        code = true_rates(a, series, p, &set->column[i], e);
        if (code == LOOM_OK && x->train)
            code = true_rates(a, series, &x->train[i], &set->train[i], e);
    }
    if (code == LOOM_OK)
        code = loom_measure_columns(a, x, set, metrics, e);
    if (!list)
        json_object_set_new(a->into, "baselines", list = json_object());
    json_object_set_new(list, "truth", metrics);
    return code;
}

/* ---- one stage of the chain on one split ---- */

static int write_predictions(const struct loom_assessment *a, const struct loom_examinee *x,
                             const struct loom_column_set *set, int sets, struct loom_error *e)
{
    char path[LOOM_PATH];
    const char *out = a->r->spec->predictions;
    int code = out ? LOOM_OK : loom_rundir_path(a->r->dir, path, e, "predictions.h5");
    for (int i = 0; i < loom_model_modalities(x->model) && code == LOOM_OK; i++) {
        struct loom_predictions_baseline column[LOOM_ASSESS_BASELINES + 1];
        int n = 0;
        for (int k = 0; k < sets; k++)
            if (set[k].column[i])
                column[n++] = (struct loom_predictions_baseline){set[k].name, set[k].column[i]};
        if (x->predictions[i].n > 0)
            code = loom_predictions_write(&x->predictions[i], out ? out : path, a->s->name, loom_split_name(a->split),
                                          column, n, e);
    }
    return code;
}

/* Is a metric left that fits a decoder to the model's rates on the train split? */
static int wants_train(const struct loom_assessment *a, const struct loom_examinee *x)
{
    int left = 0;
    for (size_t k = 0; k < loom_opt_count(a->s->options, "metrics"); k++)
        left |= !a->done[k] && loom_metric_of_decoder(loom_opt_string_at(a->s->options, "metrics", k));
    return left && loom_predictions_first(x->predictions, loom_model_modalities(x->model), "poisson");
}

static int assess_model(struct loom_assessment *a, const struct loom_stage *of, const struct loom_stage *asks,
                        struct loom_error *e)
{
    struct loom_column_set set[LOOM_ASSESS_BASELINES + 1] = {0};
    struct loom_examinee x = {0};
    const struct loom_options *o = a->s->options;
    int sets = of->index == a->s->from ? (int)loom_opt_count(o, "against") : 0;
    int writes = a->write && loom_opt_bool(o, "predictions") && loom_predictions_supported();
    x.latents = writes ? loom_opt_int(o, "latents") : 0;
    int code = loom_examinee_open(a, of, asks, &x, e);
    if (code == LOOM_OK)
        code = loom_examine(a, &x, e);
    if (code == LOOM_OK && wants_train(a, &x))
        code = loom_examine_train(a, &x, e);
    if (code == LOOM_OK)
        code = loom_measure_model(a, &x, of, e);
    for (int i = 0; i < sets && code == LOOM_OK; i++)
        code = one_baseline(a, asks, loom_opt_string_at(o, "against", (size_t)i), &x, &set[i], e);
    if (code == LOOM_OK && of->index == a->s->from && *loom_opt_string(o, "truth"))
        code = truth(a, &x, &set[sets++], e);
    if (code == LOOM_OK && writes)
        code = write_predictions(a, &x, set, sets, e);
    for (int i = 0; i < sets; i++)
        for (int k = 0; k < LOOM_MODALITIES; k++) {
            free(set[i].column[k]);
            free(set[i].train[k]);
            free(set[i].chance[k]);
        }
    loom_examinee_dismiss(&x);
    return code;
}

static void say_line(void *payload, const char *text)
{
    const struct loom_assessment *a = payload;
    loom_runner_say(a->r, LOOM_NOTE_TEXT, a->s->name, "%s", text);
}

static int assess_split(struct loom_assessment *a, json_t *metrics, struct loom_error *e)
{
    const struct loom_stage *stages = a->r->pipeline->stage, *s = a->s;
    const size_t n = loom_opt_count(s->options, "metrics");
    int own = s->asks == s->index, code = assess_model(a, &stages[s->from], &stages[s->asks], e);
    for (int i = stages[s->from].from; !own && i >= 0 && code == LOOM_OK; i = stages[i].from) {
        if (loom_assessment_left(a) == n)
            break;
        code = assess_model(a, &stages[i], &stages[i], e);
    }
    size_t left = loom_assessment_left(a);
    if (code == LOOM_OK && left < n)
        code =
            loom_opt_fail(s->options, "metrics", e,
                          "nothing that stage '%s', or a stage it comes from, asks for can be measured by %s: drop it, "
                          "or give this stage objectives that ask",
                          stages[s->from].name, loom_opt_string_at(s->options, "metrics", left));
    if (code == LOOM_OK) {
        loom_runner_say(a->r, LOOM_NOTE_TEXT, s->name, "on the %s split:", loom_split_name(a->split));
        loom_metrics_tell(a->into, say_line, a);
    }
    json_object_set_new(metrics, loom_split_name(a->split), a->into);
    loom_assessment_release(a);
    return code;
}

int loom_stage_splits(const struct loom_stage *s, const char *split,
                      int (*each)(void *payload, enum loom_split split, struct loom_error *e), void *payload,
                      struct loom_error *e)
{
    size_t n = split ? 1 : loom_opt_count(s->options, "splits");
    int code = LOOM_OK;
    for (size_t i = 0; i < n && code == LOOM_OK; i++) {
        enum loom_split one;
        code = loom_split_named(split ? split : loom_opt_string_at(s->options, "splits", i), &one, e);
        if (code == LOOM_OK)
            code = each(payload, one, e);
    }
    return code;
}

struct assessing {
    struct loom_runner *r;
    const struct loom_stage *s;
    int write;
    json_t *metrics;
};

static int one_split(void *payload, enum loom_split split, struct loom_error *e)
{
    const struct assessing *x = payload;
    struct loom_assessment a = {.r = x->r, .s = x->s, .split = split, .write = x->write, .into = json_object()};
    return assess_split(&a, x->metrics, e);
}

int loom_assess(struct loom_runner *r, const struct loom_stage *s, const char *split, int write, json_t *metrics,
                struct loom_error *e)
{
    struct assessing x = {r, s, write, json_object()};
    loom_runner_say(r, LOOM_NOTE_STAGE, s->name, "evaluates %s", r->pipeline->stage[s->from].name);
    int code = loom_stage_splits(s, split, one_split, &x, e);
    if (code == LOOM_OK)
        json_object_set(metrics, s->name, x.metrics);
    json_decref(x.metrics);
    return code;
}
