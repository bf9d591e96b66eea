/* SPDX-License-Identifier: Apache-2.0 */
#include "data/catalog.h"
#include "eval/metrics.h"
#include "train/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The classes of a label. Without memory for them they stay unnamed. */
static void name_classes(struct loom_predictions *p, const struct loom_catalog *c)
{
    int32_t n;
    const char *const *word = loom_catalog_classes(c, p->modality, &n);
    p->class_name = word ? calloc((size_t)n + 1, sizeof *p->class_name) : NULL;
    for (int32_t k = 0; p->class_name && k < n; k++) {
        p->class_name[k] = strdup(word[k]);
        if (!p->class_name[k])
            return;
        p->class_names++;
    }
}

/* Names of a behaviour's dimensions, as the first recording that has it calls them. */
static int name_elements(struct loom_predictions *p, const struct loom_catalog *c)
{
    const struct loom_series *series = NULL;
    for (int i = 0; i < loom_catalog_count(c) && !series; i++)
        series = loom_recording_series(loom_catalog_recording(c, i), p->modality);
    p->element = series ? calloc((size_t)series->dims + 1, sizeof *p->element) : NULL;
    for (int k = 0; p->element && k < series->dims; k++) {
        if (!(p->element[k] = strdup(series->dim_name[k])))
            return 0;
        p->elements++;
    }
    if (series)
        snprintf(p->unit, sizeof p->unit, "%s", series->unit);
    return !series || p->element;
}

int loom_predictions_name(struct loom_predictions *p, const char *modality, const struct loom_catalog *c,
                          struct loom_error *e)
{
    int recordings = loom_catalog_count(c);
    snprintf(p->modality, sizeof p->modality, "%s", modality);
    p->bin_s = loom_catalog_bin_s(c);
    p->forward_s = loom_catalog_spec(c)->forward_s;
    p->recording = calloc((size_t)recordings + 1, sizeof *p->recording);
    for (int k = 0; p->recording && k < recordings; k++) {
        p->recording[k] = strdup(loom_catalog_recording(c, k)->id);
        p->recordings += p->recording[k] != NULL;
    }
    return p->recordings == recordings && name_elements(p, c)
               ? LOOM_OK
               : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for predictions: free some");
}

int loom_predictions_of(struct loom_predictions **out, const struct loom_model *m, const struct loom_catalog *c,
                        struct loom_error *e)
{
    int modalities = loom_model_modalities(m);
    struct loom_predictions *p = calloc((size_t)modalities + 1, sizeof *p);
    int code = p ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for predictions: free some");
    *out = p;
    for (int i = 0; p && i < modalities; i++)
        loom_predictions_init(&p[i]);
    for (int i = 0; i < modalities && code == LOOM_OK; i++) {
        const char *likelihood = loom_model_likelihood(m, i);
        code = loom_predictions_name(&p[i], loom_model_modality(m, i), c, e);
        snprintf(p[i].likelihood, sizeof p[i].likelihood, "%s", likelihood ? likelihood : "");
        name_classes(&p[i], c);
    }
    return code;
}

void loom_predictions_free_all(struct loom_predictions *p, int n)
{
    for (int i = 0; p && i < n; i++)
        loom_predictions_release(&p[i]);
    free(p);
}

const struct loom_predictions *loom_predictions_first(const struct loom_predictions *p, int n, const char *likelihood)
{
    for (int i = 0; i < n; i++)
        if (p[i].n > 0 && strcmp(p[i].likelihood, likelihood) == 0)
            return &p[i];
    return NULL;
}

int loom_predictions_suit(const struct loom_predictions *p, int n, int i, const char *metric)
{
    int behavior = 0;
    for (int k = 0; k < n; k++)
        behavior |= p[k].n > 0 && strcmp(p[k].likelihood, "gaussian") == 0 && loom_metric_fits(metric, "gaussian");
    return p[i].n > 0 && loom_metric_fits(metric, p[i].likelihood) &&
           (!behavior || strcmp(p[i].likelihood, "gaussian") == 0);
}

/* Class probabilities of one element, and the likeliest class. */
static double softmax(const loom_real *z, int n, double *out)
{
    double top = -INFINITY, sum = 0;
    int best = 0;
    for (int k = 0; k < n; k++)
        if (z[k] > top) {
            top = z[k];
            best = k;
        }
    for (int k = 0; k < n; k++)
        sum += out[k] = exp(z[k] - top);
    for (int k = 0; k < n; k++)
        out[k] /= sum;
    return best;
}

/* Coordinates beyond time as one number: rows of one time are told apart by them. Axes are named and zeros left out, so
 * that models with other axes, a baseline's, put the same question in the same place. */
static uint64_t place_of(const struct loom_rows *rows, int r)
{
    uint64_t h = 0;
    for (int a = 1; a < rows->axes; a++)
        if (rows->axis[a][r] != 0) {
            h = loom_hash(rows->axis_name[a], strlen(rows->axis_name[a]), h);
            h = loom_hash(&rows->axis[a][r], sizeof rows->axis[a][r], h);
        }
    return h;
}

/* Of the windows that a hash of their names picks, so that what is kept is spread over the split and hangs neither on
 * shards nor on batches. */
static int collect_latents(struct loom_latents *l, const struct loom_reading *read, struct loom_error *e)
{
    const struct loom_rows *ask = read->ask;
    int32_t segment = -1;
    int64_t from = 0;
    int code = LOOM_OK;
    if (l->most == 0 || !read->answers || (l->n > 0 && l->width != read->width))
        return LOOM_OK;
    l->width = read->width;
    for (int32_t r = 0; r < ask->rows && code == LOOM_OK; r++) {
        const struct loom_segment *s = &ask->segment[ask->segment_of[r]];
        if ((double)(loom_hash(&s->key, sizeof s->key, 0) >> 11) * 0x1p-53 >= l->share)
            continue;
        from = ask->segment_of[r] != segment ? l->n : from;
        segment = ask->segment_of[r];
        code = loom_latents_add(l, from, s->recording, s->origin_ns + llround(ask->axis[0][r] * 1e9),
                                read->answers + (int64_t)r * read->width, e);
    }
    return code;
}

/* Samples of a step, to find again what a segment was made of. */
struct batch {
    const struct loom_sample *sample;
    int n;
};

static int32_t trial_of(const struct batch *batch, const struct loom_segment *segment)
{
    for (int i = 0; i < batch->n; i++)
        if (batch->sample[i].key == segment->key)
            return batch->sample[i].trial;
    return -1;
}

static int collect(struct loom_predictions *p, const struct loom_reading *read, const struct batch *batch,
                   struct loom_error *e)
{
    const struct loom_rows *ask = read->ask;
    double *probability = NULL;
    int code = LOOM_OK, categorical = strcmp(p->likelihood, "categorical") == 0;
    if (categorical) {
        p->params = read->params_n;
        probability = calloc((size_t)p->params + 1, sizeof *probability);
        if (!probability)
            return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d classes: free some", p->params);
    }
    for (int32_t r = 0; r < ask->rows; r++) {
        const struct loom_segment *segment = &ask->segment[ask->segment_of[r]];
        const struct loom_layout *layout = &ask->layout_of[ask->layout[r]];
        struct loom_predicted row = {.recording = segment->recording,
                                     .time_ns = segment->origin_ns + llround(ask->axis[0][r] * 1e9),
                                     .place = place_of(ask, r),
                                     .trial = trial_of(batch, segment)};
        int forward = p->forward_s > 0 && ask->axis[0][r] > segment->end_s - p->forward_s;
        for (int32_t i = ask->first_elem[r]; i < ask->first_elem[r + 1] && code == LOOM_OK; i++) {
            row.element = layout->index[i - ask->first_elem[r]];
            row.held = !ask->held || !(ask->held[i] & LOOM_HELD_OUT) ? LOOM_HELD_NOT
                       : forward                                     ? LOOM_HELD_FORWARD
                                                                     : LOOM_HELD_UNIT;
            row.target = read->target[i];
            row.weight = read->weight ? read->weight[i] : 1;
            row.predicted = categorical ? softmax(read->params + (int64_t)i * p->params, p->params, probability)
                                        : read->predicted[i];
            code = loom_predictions_add(p, &row, probability, e);
        }
    }
    free(probability);
    return code;
}

int loom_evaluate(struct loom_stepper *stepper, const struct loom_sample *sample, int n, int arity, int batch, int draw,
                  double *loss, struct loom_predictions *out, struct loom_error *e)
{
    struct loom_step_result result;
    double sum = 0;
    int code = LOOM_OK;
    batch *= arity;
    for (int at = 0; at < n && code == LOOM_OK; at += batch) {
        int here = n - at < batch ? n - at : batch, then = n - at - here < batch ? n - at - here : batch;
        loom_stepper_announce(stepper, sample + at + here, then, arity, LOOM_EVALUATE, (uint64_t)draw);
        code = loom_stepper_run(stepper, sample + at, here, arity, LOOM_EVALUATE, (uint64_t)draw, &result, e);
        sum += code == LOOM_OK ? result.loss * here : 0;
        for (int i = 0; out && i < loom_stepper_shards(stepper) && code == LOOM_OK; i++) {
            const struct loom_shard *shard = loom_stepper_shard(stepper, i);
            for (int k = 0; shard && k < loom_shard_readings(shard) && code == LOOM_OK; k++) {
                const struct loom_reading *read = loom_shard_reading(shard, k);
                code = collect(&out[read->modality], read, &(struct batch){sample + at, here}, e);
                if (code == LOOM_OK && draw == 0)
                    code = collect_latents(&out[read->modality].latents, read, e);
            }
        }
    }
    if (loss)
        *loss = n > 0 ? sum / n : NAN;
    return code;
}
