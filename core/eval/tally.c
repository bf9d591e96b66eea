/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int loom_scored_pair(const struct loom_scored *s, int64_t i, double *target, double *predicted)
{
    const struct loom_predicted *row = &s->p->row[i];
    *target = s->target != NULL ? s->target[i] : row->target;
    *predicted = s->predicted != NULL ? s->predicted[i] : row->predicted;
    if (s->held == LOOM_HELD_ANY ? row->held == 0 : s->held != LOOM_HELD_ALL && row->held != s->held)
        return 0;
    return row->weight != 0.0 && !isnan(*target) && !(s->predicted != NULL && isnan(*predicted));
}

static void put(struct loom_cell *c, double y, double rate, int counts)
{
    loom_regression_add(&c->r, y, rate);
    if (counts) {
        c->loss += rate - y * log(fmax(rate, LOOM_LEAST_RATE));
        c->factorial += y > 1.0 ? lgamma(y + 1.0) : 0.0;
    }
}

/* All cells of an element measure from one origin, so that their sums add. */
static void measure_from(struct loom_cell *c, struct loom_cell *origin, double y, double p)
{
    if (origin->r.n++ == 0) {
        origin->r.y0 = y;
        origin->r.p0 = p;
    }
    if (c->r.n == 0) {
        c->r.y0 = origin->r.y0;
        c->r.p0 = origin->r.p0;
    }
}

int64_t *loom_tally_shape(const struct loom_predictions *p, const int32_t *group, int32_t *recordings,
                          int32_t *elements)
{
    *recordings = *elements = 0;
    for (int64_t i = 0; i < p->n; i++) {
        *recordings = p->row[i].recording >= *recordings ? p->row[i].recording + 1 : *recordings;
        *elements = p->row[i].element >= *elements ? p->row[i].element + 1 : *elements;
    }
    int64_t *first = calloc((size_t)*recordings + 2, sizeof *first);
    for (int32_t r = 0; r < *recordings && first != NULL; r++)
        first[r + 1] = group == NULL;
    for (int64_t i = 0; i < p->n && first != NULL && group != NULL; i++) {
        int64_t *groups = &first[p->row[i].recording + 1], here = group[i] + 1;
        *groups = here > *groups ? here : *groups;
    }
    for (int32_t r = 0; r < *recordings && first != NULL; r++)
        first[r + 1] += first[r];
    return first;
}

static int allocate(struct loom_tally *t, const struct loom_predictions *p, const int32_t *group)
{
    t->first = loom_tally_shape(p, group, &t->recordings, &t->elements);
    size_t cells = t->first != NULL ? (size_t)(t->first[t->recordings] * t->elements) : 0;
    t->cell = calloc(cells + 1, sizeof *t->cell);
    return t->first != NULL && t->cell != NULL;
}

int loom_tally_init(struct loom_tally *t, const struct loom_scored *s, const int32_t *group, int counts,
                    struct loom_error *e)
{
    *t = (struct loom_tally){0};
    int made = allocate(t, s->p, group);
    struct loom_cell *origin = made ? calloc((size_t)t->recordings * (size_t)t->elements + 1, sizeof *origin) : NULL;
    if (origin == NULL) {
        loom_tally_release(t);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the sums of %lld predictions; free some",
                         (long long)s->p->n);
    }
    for (int64_t i = 0; i < s->p->n; i++) {
        const struct loom_predicted *row = &s->p->row[i];
        int64_t at = group != NULL ? group[i] : 0;
        double y, predicted;
        if (at < 0 || !loom_scored_pair(s, i, &y, &predicted))
            continue;
        struct loom_cell *c = &t->cell[(t->first[row->recording] + at) * t->elements + row->element];
        measure_from(c, &origin[(int64_t)row->recording * t->elements + row->element], y, predicted);
        put(c, y, predicted, counts);
    }
    free(origin);
    return LOOM_OK;
}

void loom_tally_release(struct loom_tally *t)
{
    free(t->first);
    free(t->cell);
    *t = (struct loom_tally){0};
}

static void add(struct loom_cell *to, const struct loom_cell *from)
{
    if (from->r.n == 0)
        return;
    to->r.y0 = from->r.y0;
    to->r.p0 = from->r.p0;
    to->r.n += from->r.n;
    to->r.y += from->r.y;
    to->r.yy += from->r.yy;
    to->r.p += from->r.p;
    to->r.pp += from->r.pp;
    to->r.yp += from->r.yp;
    to->r.error += from->r.error;
    to->loss += from->loss;
    to->factorial += from->factorial;
}

void loom_tally_sum(const struct loom_tally *t, const int64_t *pick, struct loom_cell *total)
{
    memset(total, 0, (size_t)t->recordings * (size_t)t->elements * sizeof *total);
    for (int32_t r = 0; r < t->recordings; r++)
        for (int64_t g = t->first[r]; g < t->first[r + 1]; g++) {
            const struct loom_cell *from = t->cell + (pick != NULL ? pick[g] : g) * t->elements;
            for (int32_t k = 0; k < t->elements; k++)
                add(&total[(int64_t)r * t->elements + k], &from[k]);
        }
}
