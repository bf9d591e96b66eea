/* SPDX-License-Identifier: Apache-2.0 */
#include "train/velocity.h"

#include "base/arena.h"
#include "eval/nlb.h"
#include "train/export.h"
#include "train/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_ROWS = 10 }; /* two for each of the parts by which the decoder's penalty is chosen */

/* Bins of one recording that have a behaviour, by trial and then time. */
struct bins {
    struct loom_grid rates;
    int64_t rows, dims;
    int64_t *row;     /* [rows] of `rates` */
    double *behavior; /* [rows, dims] */
    double *feature;  /* [rows, units that count] */
};

static void release(struct bins *b)
{
    loom_grid_release(&b->rates);
    free(b->row);
    free(b->behavior);
    free(b->feature);
    *b = (struct bins){0};
}

/* The grid of answers with another column of predictions, and without targets that are not scored. */
static int grid_of(struct loom_grid *g, const struct loom_predictions *p, const double *predicted, int recording,
                   struct loom_error *e)
{
    struct loom_predictions q = *p;
    q.row = malloc(((size_t)p->n + 1) * sizeof *q.row);
    if (!q.row)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to decode from rates: evaluate fewer recordings");
    for (int64_t i = 0; i < p->n; i++) {
        q.row[i] = p->row[i];
        q.row[i].predicted = predicted ? predicted[i] : p->row[i].predicted;
        q.row[i].target = p->row[i].weight != 0 ? p->row[i].target : NAN;
    }
    int code = loom_grid_init(g, &q, recording, e);
    free(q.row);
    return code;
}

static int is_to_come(const struct loom_grid *g, int64_t row)
{
    for (int64_t u = 0; u < g->elements; u++)
        if (g->held[row * g->elements + u] == LOOM_HELD_FORWARD)
            return 1;
    return 0;
}

/* Order of two places of grids, 0: the same bin. */
static int order(const struct loom_grid *g, int64_t row, const struct loom_grid *b, int64_t at, double bin_s)
{
    double away = b->time_s[at] - g->time_s[row];
    if (b->trial[at] != g->trial[row])
        return b->trial[at] < g->trial[row] ? -1 : 1;
    return away < -0.5 * bin_s ? -1 : away > 0.5 * bin_s;
}

/* Each bin's behaviour: both grids go by trial and time, so one walk meets all. */
static void join(struct bins *x, const struct loom_grid *b, double bin_s)
{
    int64_t at = 0;
    for (int64_t r = 0; r < x->rates.rows; r++) {
        while (at < b->rows && order(&x->rates, r, b, at, bin_s) < 0)
            at++;
        int known = at < b->rows && order(&x->rates, r, b, at, bin_s) == 0 && !is_to_come(&x->rates, r);
        for (int64_t d = 0; d < x->dims && known; d++)
            known = isfinite(x->behavior[x->rows * x->dims + d] = b->target[at * x->dims + d]);
        if (known)
            x->row[x->rows++] = r;
    }
}

static int gather(struct bins *x, const struct loom_velocity_part *of, int recording, struct loom_error *e)
{
    struct loom_grid b = {0};
    *x = (struct bins){0};
    int code = grid_of(&x->rates, of->rates, of->predicted, recording, e);
    if (code == LOOM_OK)
        code = grid_of(&b, of->behavior, NULL, recording, e);
    if (code == LOOM_OK) {
        x->dims = b.elements;
        x->row = malloc(((size_t)x->rates.rows + 1) * sizeof *x->row);
        x->behavior = malloc(((size_t)x->rates.rows + 1) * ((size_t)x->dims + 1) * sizeof *x->behavior);
        if (x->row && x->behavior)
            join(x, &b, of->rates->bin_s);
        else
            code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to decode from rates: evaluate fewer recordings");
    }
    loom_grid_release(&b);
    return code;
}

static int has_all(const struct bins *x, int64_t unit)
{
    for (int64_t i = 0; i < x->rows; i++)
        if (!isfinite(x->rates.predicted[x->row[i] * x->rates.elements + unit]))
            return 0;
    return 1;
}

/* Units with a rate in every row of both, as columns. */
static int64_t choose_units(struct bins *a, struct bins *b, struct loom_error *e)
{
    int64_t most = a->rates.elements < b->rates.elements ? a->rates.elements : b->rates.elements, n = 0;
    struct bins *both[] = {a, b};
    uint8_t *chosen = calloc((size_t)most + 1, 1);
    int code = chosen ? LOOM_OK : LOOM_ENOMEM;
    for (int64_t u = 0; u < most && chosen; u++)
        n += chosen[u] = (uint8_t)(has_all(a, u) && has_all(b, u));
    for (int k = 0; k < 2 && code == LOOM_OK; k++) {
        double *to = both[k]->feature = malloc((size_t)(both[k]->rows * n + 1) * sizeof *to);
        code = to ? LOOM_OK : LOOM_ENOMEM;
        for (int64_t i = 0; i < both[k]->rows && to; i++)
            for (int64_t u = 0; u < most; u++)
                if (chosen[u])
                    *to++ = both[k]->rates.predicted[both[k]->row[i] * both[k]->rates.elements + u];
    }
    free(chosen);
    if (code != LOOM_OK)
        loom_fail(e, code, NULL, 0, "no memory to decode from rates: evaluate fewer recordings");
    return code == LOOM_OK ? n : -1;
}

static int answer(const struct bins *x, int recording, const double *predicted, struct loom_predictions *out,
                  struct loom_error *e)
{
    int code = LOOM_OK;
    for (int64_t i = 0; i < x->rows; i++)
        for (int64_t d = 0; d < x->dims && code == LOOM_OK; d++) {
            const struct loom_predicted row = {.recording = recording,
                                               .element = (int32_t)d,
                                               .time_ns = llround(1e9 * x->rates.time_s[x->row[i]]),
                                               .trial = x->rates.trial[x->row[i]],
                                               .target = x->behavior[i * x->dims + d],
                                               .predicted = predicted[i * x->dims + d],
                                               .weight = 1};
            code = loom_predictions_add(out, &row, NULL, e);
        }
    return code;
}

static int decode(struct bins *train, struct bins *eval, int recording, struct loom_predictions *out, int64_t *units,
                  struct loom_error *e)
{
    int64_t n = train->rows >= LEAST_ROWS && eval->rows >= 2 ? choose_units(train, eval, e) : 0;
    double r2, *predicted;
    if (n < 1)
        return n < 0 ? LOOM_ENOMEM : LOOM_OK;
    predicted = malloc((size_t)(eval->rows * eval->dims + 1) * sizeof *predicted);
    if (!predicted)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to decode from rates: evaluate fewer recordings");
    const struct loom_nlb_decoding d = {.train_rates = {train->feature, 1, train->rows, n},
                                        .train_behavior = {train->behavior, 1, train->rows, train->dims},
                                        .eval_rates = {eval->feature, 1, eval->rows, n},
                                        .eval_behavior = {eval->behavior, 1, eval->rows, eval->dims},
                                        .predicted = predicted};
    int code = loom_nlb_velocity(&d, &r2, NULL, e);
    if (code == LOOM_OK)
        code = answer(eval, recording, predicted, out, e);
    *units += n;
    free(predicted);
    return code;
}

/* ---- the behaviour ---- */

/* The bins that the window asks, at their middles, as tokenizers of counts place them. */
static int add_window(struct loom_predictions *out, const struct loom_sample *sample, const struct loom_window *w,
                      loom_real *mean, struct loom_error *e)
{
    const struct loom_window_series *x = &w->series[0];
    int32_t at = 0;
    int code = LOOM_OK;
    for (int32_t k = 0; k < w->bins; k++) {
        double middle = (k + 0.5) * w->bin_s;
        if (loom_window_mean(x, k * w->bin_s, (k + 1) * w->bin_s, &at, mean) == 0 || middle < sample->begin_s ||
            middle >= sample->end_s)
            continue;
        for (int32_t d = 0; d < x->dims && code == LOOM_OK; d++) {
            const struct loom_predicted row = {.recording = sample->recording,
                                               .element = d,
                                               .time_ns = w->origin_ns + llround(1e9 * middle),
                                               .trial = sample->trial,
                                               .target = (double)mean[d],
                                               .predicted = NAN,
                                               .weight = 1};
            code = loom_predictions_add(out, &row, NULL, e);
        }
    }
    return code;
}

static int add_windows(struct loom_predictions *out, const struct loom_catalog *c, const struct loom_windows *windows,
                       const struct loom_window_ask *ask, loom_real *mean, struct loom_error *e)
{
    struct loom_arena arena = {0};
    int code = loom_arena_init(&arena, (size_t)1 << 32, e);
    for (int32_t i = 0; i < windows->n && code == LOOM_OK; i++) {
        struct loom_window w;
        loom_arena_rewind(&arena, 0);
        code = loom_window_fill(c, &windows->sample[i], ask, &arena, &w, NULL, e);
        if (code == LOOM_OK)
            code = add_window(out, &windows->sample[i], &w, mean, e);
    }
    loom_arena_release(&arena);
    return code;
}

int loom_velocity_behavior(const struct loom_selection *s, const char *series, double lag_s,
                           struct loom_predictions *out, struct loom_error *e)
{
    const struct loom_series_want want = {.name = series, .lag_s = lag_s};
    const struct loom_window_ask ask = {.series = &want, .series_count = 1};
    struct loom_windows windows = {0};
    loom_real *mean = NULL;
    loom_predictions_init(out);
    snprintf(out->likelihood, sizeof out->likelihood, "gaussian");
    int code = loom_predictions_name(out, series, s->catalog, e);
    if (code == LOOM_OK && !(mean = calloc((size_t)out->elements + 1, sizeof *mean)))
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to decode from rates: evaluate fewer recordings");
    if (code == LOOM_OK)
        code = loom_windows_init(&windows, s, &(struct loom_tiling){0}, e);
    if (code == LOOM_OK)
        code = add_windows(out, s->catalog, &windows, &ask, mean, e);
    loom_windows_release(&windows);
    free(mean);
    return code == LOOM_OK ? loom_predictions_settle(out, e) : code;
}

/* ---- the decoders ---- */

/* What of the behaviour's predictions names things. */
static int describe(struct loom_predictions *out, const struct loom_predictions *of)
{
    loom_predictions_init(out);
    memcpy(out->modality, of->modality, sizeof out->modality);
    memcpy(out->likelihood, of->likelihood, sizeof out->likelihood);
    memcpy(out->unit, of->unit, sizeof out->unit);
    out->recording = calloc((size_t)of->recordings + 1, sizeof *out->recording);
    out->element = calloc((size_t)of->elements + 1, sizeof *out->element);
    int made = out->recording && out->element;
    for (int i = 0; made && i < of->recordings; i++)
        made = (out->recording[out->recordings] = strdup(of->recording[i])) != NULL && ++out->recordings;
    for (int i = 0; made && i < of->elements; i++)
        made = (out->element[out->elements] = strdup(of->element[i])) != NULL && ++out->elements;
    return made;
}

int loom_velocity(const struct loom_velocity_part *train, const struct loom_velocity_part *eval,
                  struct loom_predictions *out, int64_t *units, struct loom_error *e)
{
    int code = LOOM_OK;
    *units = 0;
    if (!describe(out, eval->behavior))
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to decode from rates: evaluate fewer recordings");
    for (int r = 0; r < eval->behavior->recordings && code == LOOM_OK; r++) {
        struct bins from = {0}, to = {0};
        code = gather(&from, train, r, e);
        if (code == LOOM_OK)
            code = gather(&to, eval, r, e);
        if (code == LOOM_OK)
            code = decode(&from, &to, r, out, units, e);
        release(&from);
        release(&to);
    }
    return code == LOOM_OK ? loom_predictions_settle(out, e) : code;
}
