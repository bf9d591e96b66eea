/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/trust.h"
#include "train/runner.h"
#include "train/truth.h"
#include "train/velocity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Each metric is taken from the last stage, going back from the evaluated one along `from`, that asks for what it
 * measures: velocity from the decoding stage, spikes from the pretraining before it. */

enum { FIT_FOLDS = 5, MOST_BASELINES = 32, MOST_METRICS = 64 };
static const char *const split_names[LOOM_SPLITS] = {"train", "valid", "test"};

/* A model put to the question: a stage's own, or a baseline. */
struct examinee {
    struct loom_model *model;
    struct loom_stepper *stepper;
    struct loom_predictions *predictions; /* [modalities] */
    struct loom_predictions *train;       /* [modalities] on the train split, where a decoder is fitted on them */
    int64_t latents;                      /* points in time whose answers are kept; < 0: all */
};

struct assessment {
    struct loom_runner *r;
    const struct loom_stage *s;
    enum loom_split split;
    struct loom_rates rates;
    int rates_known, write;
    int done[MOST_METRICS]; /* of the stage's metrics */
    json_t *into;           /* of this split */
};

static void forget(struct examinee *x)
{
    loom_predictions_free_all(x->predictions, x->predictions ? loom_model_modalities(x->model) : 0);
    loom_predictions_free_all(x->train, x->train ? loom_model_modalities(x->model) : 0);
    x->predictions = x->train = NULL;
}

static void dismiss(struct examinee *x)
{
    forget(x);
    loom_stepper_free(x->stepper);
    loom_model_free(x->model);
    *x = (struct examinee){0};
}

/* ---- answers ---- */

static int select_recordings(const struct assessment *a, const struct loom_stage *of, enum loom_split split,
                             struct loom_selection *out, struct loom_error *e)
{
    const char *pattern[256];
    struct loom_words words = loom_option_words(of->options, "recordings", pattern, 256);
    return loom_selection_init(out, a->r->catalog, split, words, e);
}

/* How many of the windows to keep latents of: about as many as hold what is wanted. */
static void want_latents(struct examinee *x, const struct loom_windows *w, double bin_s, int draws)
{
    double bins = 0;
    int64_t all = 0;
    for (int32_t i = 0; i < w->n; i++) {
        bins += (w->sample[i].end_s - w->sample[i].begin_s) / bin_s;
        all += draws * (int64_t)ceil(w->sample[i].length_s / bin_s + 1);
    }
    for (int i = 0; i < loom_model_modalities(x->model); i++) {
        x->predictions[i].latents.most = x->latents < 0 ? all : x->latents;
        x->predictions[i].latents.share = 1.0;
        if (x->latents >= 0)
            x->predictions[i].latents.share = bins > (double)x->latents ? (double)x->latents / bins : 1.0;
    }
}

/* All windows of the split, `draws` times, averaged. length_s as in loom_tiling: a model sees windows of the length it
 * was trained on, a baseline whole spans, so that its lags reach as far back as the recording does. */
static int examine(const struct assessment *a, struct examinee *x, double length_s, struct loom_error *e)
{
    struct loom_selection selection;
    int draws = (int)loom_opt_int(a->s->options, "draws"), batch = (int)loom_opt_int(a->s->options, "batch");
    int code = select_recordings(a, a->s, a->split, &selection, e);
    if (code != LOOM_OK)
        return code;
    code = loom_predictions_of(&x->predictions, x->model, a->r->catalog, e);
    for (int d = 0; d < draws && code == LOOM_OK; d++) {
        struct loom_windows w;
        code = loom_windows_init(&w, &selection, &(struct loom_tiling){.length_s = length_s, .draw = d}, e);
        if (code != LOOM_OK)
            break;
        if (d == 0)
            want_latents(x, &w, loom_catalog_bin_s(a->r->catalog), draws);
        code = loom_evaluate(x->stepper, w.sample, w.n, 1, batch, d, NULL, x->predictions, e);
        loom_windows_release(&w);
    }
    loom_selection_release(&selection);
    for (int i = 0; code == LOOM_OK && i < loom_model_modalities(x->model); i++) {
        code = loom_predictions_settle(&x->predictions[i], e);
        if (code == LOOM_OK)
            code = loom_predictions_sort_trials(&x->predictions[i], a->r->catalog,
                                                loom_opt_string(a->s->options, "condition"), e);
    }
    return code;
}

/* The train split too, if a metric fits a decoder on its rates. */
static int examine_train(const struct assessment *a, struct examinee *x, double length_s, struct loom_error *e)
{
    struct assessment train = *a;
    struct examinee again = {.model = x->model, .stepper = x->stepper};
    int wanted = 0, code = LOOM_OK;
    for (size_t k = 0; k < loom_opt_count(a->s->options, "metrics") && k < MOST_METRICS; k++)
        wanted |= loom_metric_of_decoder(loom_opt_string_at(a->s->options, "metrics", k));
    train.split = LOOM_TRAIN;
    if (wanted)
        code = examine(&train, &again, length_s, e);
    x->train = again.predictions;
    return code;
}

/* ---- metrics ---- */

/* Interval, and for a model's own predictions what shuffled targets give. */
static int trust(const struct assessment *a, const char *metric, const struct loom_predictions *p, const double *column,
                 int own, json_t *value, struct loom_error *e)
{
    const struct loom_options *o = a->s->options;
    const struct loom_catalog *c = a->r->catalog;
    int n = loom_catalog_count(c), code = LOOM_OK;
    struct loom_trust how = {.bootstrap = (int32_t)loom_opt_int(o, "bootstrap"),
                             .shuffles = own ? (int32_t)loom_opt_int(o, "shuffles") : 0,
                             .seed = a->r->pipeline->seed};
    const struct loom_recording **recording = calloc((size_t)n + 1, sizeof(*recording));
    int32_t *group = calloc((size_t)p->n + 1, sizeof *group);
    if (!recording || !group)
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the trials of %lld predictions: free some",
                         (long long)p->n);
    for (int i = 0; i < n && code == LOOM_OK; i++)
        recording[i] = loom_catalog_recording(c, i);
    if (code == LOOM_OK)
        code = loom_trust_groups(p, recording, loom_catalog_spec(c)->split.table, loom_opt_real(o, "stretch_s"), group,
                                 &how.trials, e);
    how.group = group;
    if (code == LOOM_OK)
        code = loom_trust_add(metric, p, column, a->rates_known ? &a->rates : NULL, &how, value, e);
    free(recording);
    free(group);
    return code;
}

/* One metric of one modality. A metric that several modalities have is keyed METRIC.MODALITY from the second on. */
static int measure(struct assessment *a, const char *metric, const struct loom_predictions *p, const double *column,
                   json_t *into, struct loom_error *e)
{
    char key[160];
    json_t *value = NULL;
    int taken = json_object_get(into, metric) != NULL;
    if (!a->rates_known && strcmp(p->likelihood, "poisson") == 0) {
        int code = loom_rates_init(&a->rates, a->r->catalog, e);
        if (code != LOOM_OK)
            return code;
        a->rates_known = 1;
    }
    int code = loom_metric(metric, p, column, a->rates_known ? &a->rates : NULL, &value, e);
    if (code == LOOM_OK)
        code = trust(a, metric, p, column, !column, value, e);
    snprintf(key, sizeof key, taken ? "%s.%s" : "%s", metric, p->modality);
    if (code == LOOM_OK)
        json_object_set_new(into, key, value);
    else
        json_decref(value);
    return code;
}

/* What baselines said to the questions that the model answered, by modality; NULL: nothing. */
struct column_set {
    const char *name;
    double *column[LOOM_MODALITIES], *train[LOOM_MODALITIES];
};

/* R² of the behaviour that a ridge regression from the rates of modality i says; set NULL: the model's own rates.
 * Shuffles give targets of other trials to what one decoder said: nothing is fitted again. */
static int measure_decoder(const struct assessment *a, const char *metric, const struct examinee *x, int i,
                           const struct column_set *set, json_t *into, struct loom_error *e)
{
    int n = loom_model_modalities(x->model);
    struct loom_predictions said = {0};
    const struct loom_velocity_part train = {&x->train[i], loom_predictions_first(x->train, n, "gaussian"),
                                             set ? set->train[i] : NULL},
                                    eval = {&x->predictions[i], loom_predictions_first(x->predictions, n, "gaussian"),
                                            set ? set->column[i] : NULL};
    int64_t units = 0;
    json_t *value = NULL;
    if (!train.behavior || !eval.behavior)
        return loom_opt_fail(a->s->options, "metrics", e,
                             "%s decodes a behaviour from rates, and the stage that is asked for rates is asked for "
                             "none: add an objective such as decode to its objectives, or give this stage some",
                             metric);
    int code = loom_velocity(&train, &eval, &said, &units, e);
    if (code == LOOM_OK && said.n == 0 && !set)
        code = loom_opt_fail(a->s->options, "metrics", e,
                             "%s needs the rates of units in every bin that has a behaviour, on this split and on "
                             "train, and no unit has them: have them asked, by the objective all with shown = true",
                             metric);
    if (code == LOOM_OK)
        code = loom_metric("r2", &said, NULL, NULL, &value, e);
    if (code == LOOM_OK && said.n > 0)
        code = trust(a, "r2", &said, NULL, !set, value, e);
    if (code == LOOM_OK) {
        json_object_set_new(value, "units", json_integer(units));
        json_object_set(into, metric, value);
    }
    json_decref(value);
    loom_predictions_release(&said);
    return code;
}

static int measure_model(struct assessment *a, const struct examinee *x, const struct loom_stage *of,
                         struct loom_error *e)
{
    int code = LOOM_OK;
    for (size_t k = 0; k < loom_opt_count(a->s->options, "metrics") && k < MOST_METRICS; k++) {
        const char *metric = loom_opt_string_at(a->s->options, "metrics", k);
        int found = 0;
        for (int i = 0; i < loom_model_modalities(x->model) && !a->done[k]; i++) {
            const struct loom_predictions *p = &x->predictions[i];
            if (!loom_predictions_suit(x->predictions, loom_model_modalities(x->model), i, metric))
                continue;
            code = loom_metric_of_decoder(metric) ? measure_decoder(a, metric, x, i, NULL, a->into, e)
                                                  : measure(a, metric, p, NULL, a->into, e);
            if (code != LOOM_OK)
                return code;
            found = 1;
        }
        a->done[k] |= found;
        if (found && of->index != a->s->from)
            json_object_set_new(json_object_get(a->into, metric), "stage", json_string(of->name));
    }
    return code;
}

static size_t unmeasured(const struct assessment *a)
{
    size_t k = 0, n = loom_opt_count(a->s->options, "metrics");
    while (k < n && k < MOST_METRICS && a->done[k])
        k++;
    return k;
}

int loom_assess_check(const struct loom_stage *s, struct loom_error *e)
{
    const char *const *names = loom_metric_names();
    size_t n = loom_opt_count(s->options, "metrics");
    if (n > MOST_METRICS)
        return loom_opt_fail(s->options, "metrics", e, "more than %d metrics: make two stages", MOST_METRICS);
    if (loom_opt_count(s->options, "against") > MOST_BASELINES)
        return loom_opt_fail(s->options, "against", e, "more than %d baselines: make two stages", MOST_BASELINES);
    for (size_t k = 0; k < n; k++) {
        const char *metric = loom_opt_string_at(s->options, "metrics", k), *near = loom_nearest(metric, names);
        int known = 0;
        for (int i = 0; names[i]; i++)
            known |= strcmp(names[i], metric) == 0;
        if (!known)
            return loom_opt_fail(s->options, "metrics", e, "there is no metric '%s': write %s", metric,
                                 near ? near : "r2, bits_per_spike or accuracy");
    }
    return LOOM_OK;
}

/* ---- baselines ---- */

/* On the training split of the recordings that stage `of` sees. */
static int fit(const struct assessment *a, struct examinee *x, const struct loom_stage *of, double length_s,
               struct loom_error *e)
{
    struct loom_selection selection;
    struct loom_windows w;
    int passes, code = select_recordings(a, of, LOOM_TRAIN, &selection, e);
    if (code != LOOM_OK)
        return code;
    code = loom_windows_init(&w, &selection, &(struct loom_tiling){.length_s = length_s, .folds = FIT_FOLDS}, e);
    if (code == LOOM_OK) {
        code = loom_fit(x->stepper, x->model, &w, (int)loom_opt_int(of->options, "batch"),
                        (int)loom_opt_int(of->options, "fit_passes"), a->r, &passes, e);
        loom_windows_release(&w);
    }
    loom_selection_release(&selection);
    return code;
}

int loom_runner_baseline(const struct loom_runner *r, const struct loom_stage *s, const struct loom_stage *asks,
                         const char *id, struct loom_model **out, struct loom_error *e)
{
    struct loom_model_spec spec = {
        .registry = r->registry,
        .catalog = r->catalog,
        .root = r->pipeline->root,
        .stage = asks->group,
        .baseline = id,
        .baseline_options = loom_group_child(loom_group_child(s->group, "baselines"), id),
        .seed = r->pipeline->seed,
    };
    return loom_model_new(out, &spec, e);
}

/* A baseline sees whole spans, so that its lags reach as far back as the recording does; where bins to come are asked
 * for, windows as the model sees them, for in a whole span they are not to come. */
static double baseline_length(const struct assessment *a)
{
    return loom_catalog_spec(a->r->catalog)->forward_s > 0.0 ? 0.0 : -1.0;
}

static int open_baseline(const struct assessment *a, const struct loom_stage *asks, const char *id, struct examinee *x,
                         struct loom_error *e)
{
    const struct loom_pipeline *p = a->r->pipeline;
    int code = loom_runner_baseline(a->r, a->s, asks, id, &x->model, e);
    if (code == LOOM_OK)
        code = loom_stepper_new(&x->stepper, x->model, a->r->pool, p->shards, p->arena, e);
    return code == LOOM_OK ? fit(a, x, a->s, baseline_length(a), e) : code;
}

static int align_all(const struct loom_predictions *model, int modalities, const struct loom_predictions *baseline,
                     int others, double **column, struct loom_error *e)
{
    for (int i = 0; i < modalities; i++) {
        const struct loom_predictions *p = &model[i], *q = NULL;
        for (int k = 0; k < others; k++)
            if (strcmp(baseline[k].modality, p->modality) == 0)
                q = &baseline[k];
        if (!q || q->n == 0 || p->n == 0)
            continue;
        column[i] = calloc((size_t)p->n, sizeof *column[i]);
        if (!column[i])
            return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for predictions: evaluate fewer recordings");
        loom_predictions_align(p, q, column[i]);
    }
    return LOOM_OK;
}

static int align(const struct examinee *model, const struct examinee *baseline, struct column_set *set,
                 struct loom_error *e)
{
    int n = loom_model_modalities(model->model), others = loom_model_modalities(baseline->model);
    int code = align_all(model->predictions, n, baseline->predictions, others, set->column, e);
    if (code == LOOM_OK && model->train && baseline->train)
        code = align_all(model->train, n, baseline->train, others, set->train, e);
    return code;
}

static int measure_baseline(struct assessment *a, const struct examinee *x, const struct column_set *set, json_t *into,
                            struct loom_error *e)
{
    int code = LOOM_OK;
    for (size_t k = 0; k < loom_opt_count(a->s->options, "metrics"); k++) {
        const char *metric = loom_opt_string_at(a->s->options, "metrics", k);
        for (int i = 0; i < loom_model_modalities(x->model) && code == LOOM_OK; i++)
            if (set->column[i] && loom_predictions_suit(x->predictions, loom_model_modalities(x->model), i, metric))
                code = !loom_metric_of_decoder(metric) ? measure(a, metric, &x->predictions[i], set->column[i], into, e)
                       : set->train[i]                 ? measure_decoder(a, metric, x, i, set, into, e)
                                                       : LOOM_OK;
    }
    return code;
}

/* Fitted on the same training split, asked the same windows, scored on the model's own questions. */
static int one_baseline(struct assessment *a, const struct loom_stage *asks, const char *id, const struct examinee *x,
                        struct column_set *set, struct loom_error *e)
{
    struct examinee baseline = {0};
    json_t *list = json_object_get(a->into, "baselines"), *metrics = json_object();
    set->name = id;
    int code = open_baseline(a, asks, id, &baseline, e);
    if (code == LOOM_OK)
        code = examine(a, &baseline, baseline_length(a), e);
    if (code == LOOM_OK && x->train)
        code = examine_train(a, &baseline, baseline_length(a), e);
    if (code == LOOM_OK)
        code = align(x, &baseline, set, e);
    if (code == LOOM_OK)
        code = measure_baseline(a, x, set, metrics, e);
    dismiss(&baseline);
    if (!list)
        json_object_set_new(a->into, "baselines", list = json_object());
    json_object_set_new(list, id, metrics);
    return code;
}

static int true_rates(const struct assessment *a, const char *series, const struct loom_predictions *p, double **column,
                      struct loom_error *e)
{
    *column = calloc((size_t)p->n + 1, sizeof **column);
    if (!*column)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for true rates: evaluate fewer recordings");
    loom_truth_column(a->r->catalog, series, p, *column);
    return LOOM_OK;
}

/* The true rates stand beside the baselines, as one that nothing can beat but luck. */
static int truth(struct assessment *a, const struct examinee *x, struct column_set *set, struct loom_error *e)
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
        code = measure_baseline(a, x, set, metrics, e);
    if (!list)
        json_object_set_new(a->into, "baselines", list = json_object());
    json_object_set_new(list, "truth", metrics);
    return code;
}

/* ---- one stage of the chain on one split ---- */

static int write_predictions(const struct assessment *a, const struct examinee *x, const struct column_set *set,
                             int sets, struct loom_error *e)
{
    char path[LOOM_PATH];
    const char *out = a->r->spec->predictions;
    int code = out ? LOOM_OK : loom_rundir_path(a->r->dir, path, e, "predictions.h5");
    for (int i = 0; i < loom_model_modalities(x->model) && code == LOOM_OK; i++) {
        struct loom_predictions_baseline column[MOST_BASELINES + 1];
        int n = 0;
        for (int k = 0; k < sets; k++)
            if (set[k].column[i])
                column[n++] = (struct loom_predictions_baseline){set[k].name, set[k].column[i]};
        if (x->predictions[i].n > 0)
            code = loom_predictions_write(&x->predictions[i], out ? out : path, a->s->name, split_names[a->split],
                                          column, n, e);
    }
    return code;
}

/* The checkpoint's values, if there is a run, and over them those of the weights' file. States that neither has are
 * fitted as before the first step of training. */
static int take_weights(const struct assessment *a, const struct loom_stage *of, struct examinee *x,
                        struct loom_error *e)
{
    struct loom_weights *weights = a->r->weights;
    struct loom_store *store = loom_model_store(x->model);
    int fresh, taken,
        code = loom_runner_inherit(a->r, of, loom_opt_string(a->s->options, "take"), a->s, x->model, &fresh, e);
    if (code != LOOM_OK || !weights)
        return code;
    code = loom_weights_load(weights, store, &taken, e);
    if (code == LOOM_OK && fresh > 0 && loom_model_wants_fitting(x->model) &&
        !loom_weights_has_states(weights, store)) {
        code = fit(a, x, of, 0.0, e);
        if (code == LOOM_OK)
            code = loom_weights_load(weights, store, &taken, e);
    }
    if (code == LOOM_OK && a->r->spec->partial)
        loom_runner_say(a->r, LOOM_NOTE_TEXT, of->name, "takes %d tensors of %s", taken, a->r->spec->weights);
    return code;
}

/* The model with its weights, ready to be asked what stage `asks` asks. */
static int open_model(const struct assessment *a, const struct loom_stage *of, const struct loom_stage *asks,
                      struct examinee *x, struct loom_error *e)
{
    const struct loom_kernels *kernels = NULL;
    int code = loom_runner_model(a->r, asks, loom_opt_real(of->options, "shadow") > 0, &x->model, e);
    if (code == LOOM_OK)
        code = loom_stepper_new(&x->stepper, x->model, a->r->pool, a->r->pipeline->shards, a->r->pipeline->arena, e);
    if (code == LOOM_OK)
        code = loom_stage_kernels(a->s, &kernels, e);
    if (code == LOOM_OK)
        loom_stepper_set_kernels(x->stepper, kernels);
    return code == LOOM_OK ? take_weights(a, of, x, e) : code;
}

int loom_assess_predict(struct loom_runner *r, const struct loom_stage *s, enum loom_split split, int latents,
                        struct loom_predictions **out, int *modalities, struct loom_error *e)
{
    const struct assessment a = {.r = r, .s = s, .split = split};
    const struct loom_stage *stages = r->pipeline->stage;
    struct examinee x = {.latents = latents ? -1 : 0};
    *out = NULL;
    int code = open_model(&a, &stages[s->from], &stages[s->asks], &x, e);
    if (code == LOOM_OK)
        code = examine(&a, &x, 0.0, e);
    if (code == LOOM_OK) {
        *out = x.predictions;
        *modalities = loom_model_modalities(x.model);
        x.predictions = NULL;
    }
    dismiss(&x);
    return code;
}

static int assess_model(struct assessment *a, const struct loom_stage *of, const struct loom_stage *asks,
                        struct loom_error *e)
{
    struct column_set set[MOST_BASELINES + 1] = {0};
    struct examinee x = {0};
    const struct loom_options *o = a->s->options;
    int sets = of->index == a->s->from ? (int)loom_opt_count(o, "against") : 0;
    int writes = a->write && loom_opt_bool(o, "predictions") && loom_predictions_supported();
    x.latents = writes ? loom_opt_int(o, "latents") : 0;
    int code = open_model(a, of, asks, &x, e);
    if (code == LOOM_OK)
        code = examine(a, &x, 0.0, e);
    if (code == LOOM_OK && loom_predictions_first(x.predictions, loom_model_modalities(x.model), "poisson"))
        code = examine_train(a, &x, 0.0, e);
    if (code == LOOM_OK)
        code = measure_model(a, &x, of, e);
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
        }
    dismiss(&x);
    return code;
}

static void say_line(void *payload, const char *text)
{
    const struct assessment *a = payload;
    loom_runner_say(a->r, LOOM_NOTE_TEXT, a->s->name, "%s", text);
}

static int assess_split(struct loom_runner *r, const struct loom_stage *s, enum loom_split split, int write,
                        json_t *metrics, struct loom_error *e)
{
    struct assessment a = {.r = r, .s = s, .split = split, .write = write, .into = json_object()};
    const struct loom_stage *stages = r->pipeline->stage;
    int own = s->asks == s->index, code = assess_model(&a, &stages[s->from], &stages[s->asks], e);
    for (int i = stages[s->from].from; !own && i >= 0 && code == LOOM_OK; i = stages[i].from) {
        if (unmeasured(&a) == loom_opt_count(s->options, "metrics"))
            break;
        code = assess_model(&a, &stages[i], &stages[i], e);
    }
    size_t left = unmeasured(&a);
    if (code == LOOM_OK && left < loom_opt_count(s->options, "metrics"))
        code =
            loom_opt_fail(s->options, "metrics", e,
                          "nothing that stage '%s', or a stage it comes from, asks for can be measured by %s: drop it, "
                          "or give this stage objectives that ask",
                          stages[s->from].name, loom_opt_string_at(s->options, "metrics", left));
    if (a.rates_known)
        loom_rates_release(&a.rates);
    if (code == LOOM_OK) {
        loom_runner_say(r, LOOM_NOTE_TEXT, s->name, "on the %s split:", split_names[split]);
        loom_metrics_tell(a.into, say_line, &a);
    }
    json_object_set_new(metrics, split_names[split], a.into);
    return code;
}

static int split_number(const char *name)
{
    for (int i = 0; i < LOOM_SPLITS; i++)
        if (strcmp(split_names[i], name) == 0)
            return i;
    return -1;
}

int loom_assess(struct loom_runner *r, const struct loom_stage *s, const char *split, int write, json_t *metrics,
                struct loom_error *e)
{
    json_t *into = json_object();
    int code = LOOM_OK;
    if (split && split_number(split) < 0)
        code = loom_fail(e, LOOM_ECONFIG, NULL, 0, "there is no split '%s': write train, valid or test", split);
    if (code == LOOM_OK)
        loom_runner_say(r, LOOM_NOTE_STAGE, s->name, "evaluates %s", r->pipeline->stage[s->from].name);
    if (code == LOOM_OK && split)
        code = assess_split(r, s, (enum loom_split)split_number(split), write, into, e);
    for (size_t i = 0; !split && i < loom_opt_count(s->options, "splits") && code == LOOM_OK; i++)
        code = assess_split(r, s, (enum loom_split)split_number(loom_opt_string_at(s->options, "splits", i)), write,
                            into, e);
    if (code == LOOM_OK)
        json_object_set(metrics, s->name, into);
    json_decref(into);
    return code;
}
