/* SPDX-License-Identifier: Apache-2.0 */
#include "train/schedule.h"

#include <math.h>

void loom_schedule_start(struct loom_schedule_state *s)
{
    *s = (struct loom_schedule_state){.scale = 1, .best = INFINITY};
}

double loom_schedule_lr(const struct loom_schedule_spec *spec, const struct loom_schedule_state *s, int64_t step)
{
    if (step < spec->warmup)
        return spec->lr * s->scale * (spec->start + (1 - spec->start) * (double)(step + 1) / (double)spec->warmup);
    if (spec->kind != LOOM_SCHEDULE_COSINE)
        return spec->lr * s->scale;
    int64_t span = spec->steps - 1 - spec->warmup;
    double along = span > 0 ? (double)(step - spec->warmup) / (double)span : 1;
    if (along > 1)
        along = 1;
    return spec->lr * (spec->floor + (1 - spec->floor) * 0.5 * (1 + cos(3.14159265358979323846 * along)));
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
