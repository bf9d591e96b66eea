/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/predictions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void loom_predictions_init(struct loom_predictions *p)
{
    *p = (struct loom_predictions){.params = 1};
}

static void free_texts(char **text, int n)
{
    for (int i = 0; i < n && text; i++)
        free(text[i]);
    free(text);
}

void loom_predictions_release(struct loom_predictions *p)
{
    free(p->row);
    free(p->param);
    free_texts(p->recording, p->recordings);
    free_texts(p->element, p->elements);
    free_texts(p->class_name, p->class_names);
    free_texts(p->date, p->date ? p->recordings : 0);
    free_texts(p->condition, p->conditions);
    free(p->trial);
    free(p->latents.recording);
    free(p->latents.times);
    free(p->latents.time_ns);
    free(p->latents.value);
    loom_predictions_init(p);
}

const char *loom_predictions_element(const struct loom_predictions *p, int32_t d, char buffer[24])
{
    if (d < p->elements && p->element != NULL && p->element[d] != NULL)
        return p->element[d];
    snprintf(buffer, 24, "dim%d", (int)d);
    return buffer;
}

static int grow(struct loom_predictions *p, int with_params, struct loom_error *e)
{
    int64_t capacity = p->capacity ? p->capacity * 2 : 4096;
    struct loom_predicted *row = realloc(p->row, (size_t)capacity * sizeof *row);
    if (row)
        p->row = row;
    double *param = row && with_params ? realloc(p->param, (size_t)(capacity * p->params) * sizeof *param) : NULL;
    if (param)
        p->param = param;
    if (!row || (with_params && !param))
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %lld predictions: evaluate fewer recordings",
                         (long long)capacity);
    p->capacity = capacity;
    return LOOM_OK;
}

int loom_predictions_add(struct loom_predictions *p, const struct loom_predicted *row, const double *param,
                         struct loom_error *e)
{
    int code = p->n < p->capacity ? LOOM_OK : grow(p, param != NULL, e);
    if (code != LOOM_OK)
        return code;
    p->row[p->n] = *row;
    if (param)
        memcpy(p->param + p->n * p->params, param, (size_t)p->params * sizeof *param);
    p->n++;
    return LOOM_OK;
}

int loom_latents_add(struct loom_latents *l, int64_t from, int32_t recording, int64_t time_ns, const loom_real *x,
                     struct loom_error *e)
{
    int64_t at = l->n;
    while (at > from && !(l->recording[at - 1] == recording && l->time_ns[at - 1] == time_ns))
        at--;
    if (at == from && l->n == l->most)
        return LOOM_OK;
    if (!l->value) {
        size_t most = (size_t)l->most + 1;
        l->recording = calloc(most, sizeof *l->recording);
        l->times = calloc(most, sizeof *l->times);
        l->time_ns = calloc(most, sizeof *l->time_ns);
        l->value = calloc(most * (size_t)l->width, sizeof *l->value);
    }
    if (!l->recording || !l->times || !l->time_ns || !l->value)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %lld latents: set `latents` lower",
                         (long long)l->most);
    at = at > from ? at - 1 : l->n++;
    l->recording[at] = recording;
    l->time_ns[at] = time_ns;
    l->times[at]++;
    for (int k = 0; k < l->width; k++)
        l->value[at * l->width + k] += (float)x[k];
    return LOOM_OK;
}

static void settle_latents(struct loom_latents *l)
{
    for (int64_t i = 0; i < l->n; i++)
        for (int k = 0; k < l->width; k++)
            l->value[i * l->width + k] /= (float)l->times[i];
}

/* The last trial that begins at or before the time; -1: none of the recording does. */
static int32_t begun_before(const struct loom_predictions *p, int32_t recording, double t)
{
    int32_t low = 0, high = p->trials;
    while (low < high) {
        int32_t k = low + (high - low) / 2;
        const struct loom_predicted_trial *x = &p->trial[k];
        if (x->recording < recording || (x->recording == recording && x->start_s <= t))
            low = k + 1;
        else
            high = k;
    }
    return low > 0 && p->trial[low - 1].recording == recording ? low - 1 : -1;
}

int32_t loom_predictions_trial(const struct loom_predictions *p, int32_t recording, int64_t time_ns)
{
    double t = 1e-9 * (double)time_ns;
    int32_t k = begun_before(p, recording, t);
    return k >= 0 && t < p->trial[k].stop_s ? k : -1;
}

int32_t loom_predictions_trial_of(const struct loom_predictions *p, const struct loom_predicted *row)
{
    double t = 1e-9 * (double)row->time_ns;
    int32_t k = row->trial < 0 ? -1 : begun_before(p, row->recording, t);
    if (row->trial < 0)
        return loom_predictions_trial(p, row->recording, row->time_ns);
    while (k >= 0 && p->trial[k].recording == row->recording && p->trial[k].row != row->trial)
        k--;
    return k >= 0 && p->trial[k].recording == row->recording && t < p->trial[k].stop_s ? k : -1;
}

/* By question alone. */
static int question_order(const struct loom_predicted *x, const struct loom_predicted *y)
{
    if (x->recording != y->recording)
        return x->recording < y->recording ? -1 : 1;
    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    if (x->element != y->element)
        return x->element < y->element ? -1 : 1;
    if (x->trial != y->trial)
        return x->trial < y->trial ? -1 : 1;
    return 0;
}

static int pointer_order(const void *a, const void *b)
{
    const struct loom_predicted *const *x = a, *const *y = b;
    int order = question_order(*x, *y);
    return order ? order : *x < *y ? -1 : *x > *y;
}

/* Answers to one question: the first one's target and weight, means of predictions and parameters; of
 * classes the likeliest by mean probability. */
static void average(struct loom_predictions *p, struct loom_predicted *const *from, int64_t n,
                    struct loom_predicted *to, double *param)
{
    *to = *from[0];
    to->predicted = 0;
    to->times = (int32_t)n;
    for (int64_t i = 0; i < n; i++)
        to->predicted += from[i]->predicted / (double)n;
    for (int k = 0; k < p->params && p->param; k++) {
        param[k] = 0;
        for (int64_t i = 0; i < n; i++)
            param[k] += p->param[(from[i] - p->row) * p->params + k] / (double)n;
    }
    if (!p->param || strcmp(p->likelihood, "categorical") != 0)
        return;
    int best = 0;
    for (int k = 1; k < p->params; k++)
        if (param[k] > param[best])
            best = k;
    to->predicted = best;
}

int loom_predictions_settle(struct loom_predictions *p, struct loom_error *e)
{
    size_t n = (size_t)p->n;
    struct loom_predicted **order = calloc(n + 1, sizeof *order), *row = calloc(n + 1, sizeof *row);
    double *param = p->param ? calloc(n * (size_t)p->params + 1, sizeof *param) : NULL;
    int64_t kept = 0;
    settle_latents(&p->latents);
    if (!order || !row || (p->param && !param)) {
        free(order);
        free(row);
        free(param);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to sort %zu predictions: evaluate fewer recordings", n);
    }
    for (size_t i = 0; i < n; i++)
        order[i] = &p->row[i];
    qsort(order, n, sizeof *order, pointer_order);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && question_order(order[i], order[end]) == 0;)
            end++;
        average(p, order + i, (int64_t)(end - i), &row[kept], param ? param + kept * p->params : NULL);
        kept++;
    }
    free(order);
    free(p->row);
    free(p->param);
    p->row = row;
    p->param = param;
    p->n = kept;
    p->capacity = (int64_t)n;
    return LOOM_OK;
}

int64_t loom_predictions_align(const struct loom_predictions *p, const struct loom_predictions *other, double *out,
                               double *param)
{
    int64_t matched = 0, k = 0;
    for (int64_t i = 0; i < p->n; i++) {
        while (k < other->n && question_order(&other->row[k], &p->row[i]) < 0)
            k++;
        int same = k < other->n && question_order(&other->row[k], &p->row[i]) == 0;
        out[i] = same ? other->row[k].predicted : NAN;
        for (int c = 0; param && c < p->params; c++)
            param[i * p->params + c] = same ? other->param[k * p->params + c] : NAN;
        matched += same;
    }
    return matched;
}
