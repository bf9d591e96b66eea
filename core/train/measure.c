/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/trust.h"
#include "train/assess.h"
#include "train/velocity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Interval, and for a model's own predictions what shuffled targets give. */
static int trust(const struct loom_assessment *a, const char *metric, const struct loom_predictions *p,
                 const double *column, int own, json_t *value, struct loom_error *e)
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
static int measure(struct loom_assessment *a, const char *metric, const struct loom_predictions *p,
                   const double *column, int own, json_t *into, struct loom_error *e)
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
        code = trust(a, metric, p, column, own, value, e);
    snprintf(key, sizeof key, taken ? "%s.%s" : "%s", metric, p->modality);
    if (code == LOOM_OK)
        json_object_set_new(into, key, value);
    else
        json_decref(value);
    return code;
}

/* ---- decoders ---- */

static int read_behavior(const struct loom_assessment *a, enum loom_split split, struct loom_predictions *out,
                         struct loom_error *e)
{
    const struct loom_options *o = a->s->options;
    struct loom_selection selection;
    int code = loom_assessment_select(a, a->s, split, &selection, e);
    if (code != LOOM_OK)
        return code;
    code = loom_velocity_behavior(&selection, loom_opt_string(o, "behavior"),
                                  1e-3 * loom_opt_real(o, "behavior_lag_ms"), out, e);
    loom_selection_release(&selection);
    return code;
}

static int know_behavior(struct loom_assessment *a, struct loom_error *e)
{
    if (a->behavior_known)
        return LOOM_OK;
    a->behavior_known = 1;
    int code = read_behavior(a, LOOM_TRAIN, &a->train, e);
    return code == LOOM_OK ? read_behavior(a, a->split, &a->behavior, e) : code;
}

/* R² of the behaviour that a ridge regression from the rates of modality i says; set NULL: the model's own rates.
 * Shuffles give targets of other trials to what one decoder said: nothing is fitted again. */
static int measure_decoder(struct loom_assessment *a, const char *metric, const struct loom_examinee *x, int i,
                           const struct loom_column_set *set, json_t *into, struct loom_error *e)
{
    struct loom_predictions said = {0};
    const struct loom_velocity_part train = {&x->train[i], set ? set->train[i] : NULL, &a->train},
                                    eval = {&x->predictions[i], set ? set->column[i] : NULL, &a->behavior};
    int64_t units = 0;
    json_t *value = NULL;
    int code = know_behavior(a, e);
    if (code == LOOM_OK)
        code = loom_velocity(&train, &eval, &said, &units, e);
    if (code == LOOM_OK && said.n == 0 && !set)
        code = loom_opt_fail(a->s->options, "metrics", e,
                             "%s needs the rates of units in every bin that has a value of '%s', on this split and on "
                             "train, and no unit has them: have them asked, by the objective all with shown = true",
                             metric, loom_opt_string(a->s->options, "behavior"));
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

/* ---- all of a stage's ---- */

int loom_measure_model(struct loom_assessment *a, const struct loom_examinee *x, const struct loom_stage *of,
                       struct loom_error *e)
{
    int code = LOOM_OK;
    for (size_t k = 0; k < loom_opt_count(a->s->options, "metrics") && k < LOOM_ASSESS_METRICS; k++) {
        const char *metric = loom_opt_string_at(a->s->options, "metrics", k);
        int found = 0;
        for (int i = 0; i < loom_model_modalities(x->model) && !a->done[k]; i++) {
            const struct loom_predictions *p = &x->predictions[i];
            if (!loom_predictions_suit(x->predictions, loom_model_modalities(x->model), i, metric))
                continue;
            code = loom_metric_of_decoder(metric) ? measure_decoder(a, metric, x, i, NULL, a->into, e)
                                                  : measure(a, metric, p, NULL, 1, a->into, e);
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

/* Classes that a baseline names with probabilities are scored as a model's are. */
static int measure_classes(struct loom_assessment *a, const char *metric, const struct loom_predictions *p,
                           const struct loom_column_set *set, int i, json_t *into, struct loom_error *e)
{
    struct loom_predictions said = *p;
    said.param = set->chance[i];
    said.row = malloc(((size_t)p->n + 1) * sizeof *said.row);
    if (!said.row)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for predictions: evaluate fewer recordings");
    for (int64_t k = 0; k < p->n; k++) {
        said.row[k] = p->row[k];
        said.row[k].predicted = set->column[i][k];
        said.row[k].weight = isnan(set->column[i][k]) ? 0 : p->row[k].weight;
    }
    int code = measure(a, metric, &said, NULL, 0, into, e);
    free(said.row);
    return code;
}

int loom_measure_columns(struct loom_assessment *a, const struct loom_examinee *x, const struct loom_column_set *set,
                         json_t *into, struct loom_error *e)
{
    int code = LOOM_OK;
    for (size_t k = 0; k < loom_opt_count(a->s->options, "metrics"); k++) {
        const char *metric = loom_opt_string_at(a->s->options, "metrics", k);
        for (int i = 0; i < loom_model_modalities(x->model) && code == LOOM_OK; i++)
            if (set->column[i] && loom_predictions_suit(x->predictions, loom_model_modalities(x->model), i, metric))
                code = set->chance[i] ? measure_classes(a, metric, &x->predictions[i], set, i, into, e)
                       : !loom_metric_of_decoder(metric)
                           ? measure(a, metric, &x->predictions[i], set->column[i], 0, into, e)
                       : set->train[i] ? measure_decoder(a, metric, x, i, set, into, e)
                                       : LOOM_OK;
    }
    return code;
}

size_t loom_assessment_left(const struct loom_assessment *a)
{
    size_t k = 0, n = loom_opt_count(a->s->options, "metrics");
    while (k < n && k < LOOM_ASSESS_METRICS && a->done[k])
        k++;
    return k;
}

void loom_assessment_release(struct loom_assessment *a)
{
    if (a->rates_known)
        loom_rates_release(&a->rates);
    if (a->behavior_known) {
        loom_predictions_release(&a->train);
        loom_predictions_release(&a->behavior);
    }
}
