/* SPDX-License-Identifier: Apache-2.0 */
#include "train/schedule.h"

#include <math.h>

void loom_schedule_start(struct loom_schedule_state *s)
{
    *s = (struct loom_schedule_state){.scale = 1, .best = INFINITY};
}

/* From 1 to 0 as `along` goes from 0 to 1; flat outside. */
static double cosine(double along)
{
    along = along < 0 ? 0 : along > 1 ? 1 : along;
    return 0.5 * (1 + cos(3.14159265358979323846 * along));
}

/* How far the step is on its way from the turn to the last step; below 0 before the turn. The turn need not be a whole
 * step. */
static double past_turn(const struct loom_schedule_spec *spec, int64_t step, double *turn)
{
    *turn = spec->hold * (double)spec->steps - 1;
    double rest = (double)spec->steps - 1 - *turn;
    return rest > 0 ? ((double)step - *turn) / rest : -1;
}

double loom_schedule_beta1(const struct loom_schedule_spec *spec, int64_t step)
{
    double turn, past = past_turn(spec, step, &turn);
    if (!(spec->beta1_low > 0))
        return spec->beta1;
    double high = past > 0 ? 1 - cosine(past) : turn > 0 ? cosine((double)step / turn) : 1;
    return spec->beta1_low + (spec->beta1 - spec->beta1_low) * high;
}

double loom_schedule_lr(const struct loom_schedule_spec *spec, const struct loom_schedule_state *s, int64_t step)
{
    if (step < spec->warmup)
        return spec->lr * s->scale * (spec->start + (1 - spec->start) * (double)(step + 1) / (double)spec->warmup);
    if (spec->kind == LOOM_SCHEDULE_HOLD) {
        double turn;
        return spec->lr * (spec->floor + (1 - spec->floor) * cosine(past_turn(spec, step, &turn)));
    }
    if (spec->kind != LOOM_SCHEDULE_COSINE)
        return spec->lr * s->scale;
    int64_t span = spec->steps - 1 - spec->warmup;
    double along = span > 0 ? (double)(step - spec->warmup) / (double)span : 1;
    return spec->lr * (spec->floor + (1 - spec->floor) * cosine(along));
}

void loom_schedule_observe(const struct loom_schedule_spec *spec, struct loom_schedule_state *s, double value)
{
    s->seen++;
    if (value < s->best) {
        s->best = value;
        s->worse = 0;
        return;
    }
    s->worse++;
    if (spec->kind != LOOM_SCHEDULE_PLATEAU || s->worse < spec->patience)
        return;
    s->worse = 0;
    s->scale = fmax(s->scale * spec->factor, spec->floor);
}

void loom_average_add(struct loom_average *a, double value)
{
    a->sum = a->keep * a->sum + (1 - a->keep) * value;
    a->weight = a->keep * a->weight + (1 - a->keep);
}

double loom_average_value(const struct loom_average *a)
{
    return a->weight > 0 ? a->sum / a->weight : NAN;
}

void loom_stopping_start(struct loom_stopping *s)
{
    *s = (struct loom_stopping){.best = INFINITY, .best_step = -1};
}

int loom_stopping_observe(struct loom_stopping *s, double value, int64_t step)
{
    if (value < s->best) {
        *s = (struct loom_stopping){.best = value, .best_step = step};
        return 1;
    }
    s->worse++;
    return 0;
}
