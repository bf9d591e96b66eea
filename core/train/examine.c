/* SPDX-License-Identifier: Apache-2.0 */
#include "train/assess.h"

#include <math.h>
#include <string.h>

enum { FIT_FOLDS = 5 };

void loom_examinee_dismiss(struct loom_examinee *x)
{
    loom_predictions_free_all(x->predictions, x->predictions ? loom_model_modalities(x->model) : 0);
    loom_predictions_free_all(x->train, x->train ? loom_model_modalities(x->model) : 0);
    loom_stepper_free(x->stepper);
    loom_model_free(x->model);
    *x = (struct loom_examinee){0};
}

int loom_assessment_select(const struct loom_assessment *a, const struct loom_stage *of, enum loom_split split,
                           struct loom_selection *out, struct loom_error *e)
{
    const char *pattern[256];
    struct loom_words words = loom_option_words(of->options, "recordings", pattern, 256);
    return loom_selection_init(out, a->r->catalog, split, words, e);
}

/* How many of the windows to keep latents of: about as many as hold what is wanted. */
static void want_latents(struct loom_examinee *x, const struct loom_windows *w, double bin_s, int draws)
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

int loom_examine(const struct loom_assessment *a, struct loom_examinee *x, struct loom_error *e)
{
    struct loom_selection selection;
    int draws = (int)loom_opt_int(a->s->options, "draws"), batch = (int)loom_opt_int(a->s->options, "batch");
    int code = loom_assessment_select(a, a->s, a->split, &selection, e);
    if (code != LOOM_OK)
        return code;
    code = loom_predictions_of(&x->predictions, x->model, a->r->catalog, e);
    for (int d = 0; d < draws && code == LOOM_OK; d++) {
        struct loom_windows w;
        code = loom_windows_init(&w, &selection, &(struct loom_tiling){.length_s = x->length_s, .draw = d}, e);
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

int loom_examine_train(const struct loom_assessment *a, struct loom_examinee *x, struct loom_error *e)
{
    struct loom_assessment train = *a;
    struct loom_examinee again = {.model = x->model, .stepper = x->stepper, .length_s = x->length_s};
    train.split = LOOM_TRAIN;
    int code = loom_examine(&train, &again, e);
    x->train = again.predictions;
    return code;
}

/* ---- who is asked ---- */

/* On the training split of the recordings that stage `of` sees. */
static int fit(const struct loom_assessment *a, struct loom_examinee *x, const struct loom_stage *of,
               struct loom_error *e)
{
    struct loom_selection selection;
    struct loom_windows w;
    int passes, code = loom_assessment_select(a, of, LOOM_TRAIN, &selection, e);
    if (code != LOOM_OK)
        return code;
    code = loom_windows_init(&w, &selection, &(struct loom_tiling){.length_s = x->length_s, .folds = FIT_FOLDS}, e);
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
int loom_examinee_baseline(const struct loom_assessment *a, const struct loom_stage *asks, const char *id,
                           struct loom_examinee *x, struct loom_error *e)
{
    const struct loom_pipeline *p = a->r->pipeline;
    x->length_s = loom_catalog_spec(a->r->catalog)->forward_s > 0.0 ? 0.0 : -1.0;
    int code = loom_runner_baseline(a->r, a->s, asks, id, &x->model, e);
    if (code == LOOM_OK)
        code = loom_stepper_new(&x->stepper, x->model, a->r->pool, p->shards, p->arena, e);
    return code == LOOM_OK ? fit(a, x, a->s, e) : code;
}

/* The checkpoint's values, if there is a run, and over them those of the weights' file. States that neither has are
 * fitted as before the first step of training. */
static int take_weights(const struct loom_assessment *a, const struct loom_stage *of, struct loom_examinee *x,
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
        code = fit(a, x, of, e);
        if (code == LOOM_OK)
            code = loom_weights_load(weights, store, &taken, e);
    }
    if (code == LOOM_OK && a->r->spec->partial)
        loom_runner_say(a->r, LOOM_NOTE_TEXT, of->name, "takes %d tensors of %s", taken, a->r->spec->weights);
    return code;
}

int loom_examinee_open(const struct loom_assessment *a, const struct loom_stage *of, const struct loom_stage *asks,
                       struct loom_examinee *x, struct loom_error *e)
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
    const struct loom_assessment a = {.r = r, .s = s, .split = split};
    const struct loom_stage *stages = r->pipeline->stage;
    struct loom_examinee x = {.latents = latents ? -1 : 0};
    *out = NULL;
    int code = loom_examinee_open(&a, &stages[s->from], &stages[s->asks], &x, e);
    if (code == LOOM_OK)
        code = loom_examine(&a, &x, e);
    if (code == LOOM_OK) {
        *out = x.predictions;
        *modalities = loom_model_modalities(x.model);
        x.predictions = NULL;
    }
    loom_examinee_dismiss(&x);
    return code;
}
