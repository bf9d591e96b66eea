/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/mask.h>

#include "model/internal.h"

#include <math.h>
#include <string.h>

static int how_of(const struct loom_options *o)
{
    if (loom_opt_is(o, "hide_how", "drop"))
        return LOOM_DROP;
    if (loom_opt_is(o, "hide_how", "replace"))
        return LOOM_REPLACE;
    return loom_opt_is(o, "hide_how", "zero") ? LOOM_ZERO : LOOM_RANDOM;
}

static int by_rows(const struct loom_options *o)
{
    return loom_opt_is(o, "hide_by", "row") || loom_opt_is(o, "hide_by", "time");
}

uint64_t loom_mask_needs(const struct loom_options *o)
{
    uint64_t needs = 0;
    int how = how_of(o);
    if (how == LOOM_DROP)
        needs |= LOOM_HOLES | LOOM_ANYWHERE;
    if (how == LOOM_REPLACE)
        needs |= LOOM_BLANKS | LOOM_IN_PLACE;
    if (how == LOOM_ZERO || how == LOOM_RANDOM)
        needs |= LOOM_IN_PLACE;
    if (!by_rows(o))
        needs |= LOOM_ELEMENTS;
    return needs;
}

/* The things of one segment that are hidden together, as a number for each element of the modality. */
struct things {
    int32_t first, last; /* rows of the modality in the segment */
    int32_t n;           /* things */
    int32_t *of;         /* [elements from first] thing of each element */
};

static int32_t number_of(int32_t *seen, int32_t *n, int32_t key)
{
    for (int32_t i = 0; i < *n; i++)
        if (seen[i] == key)
            return i;
    seen[*n] = key;
    return (*n)++;
}

/* Rows come time by time from every tokenizer, so a new time starts a new thing. */
static void sort_things(const struct loom_options *o, const struct loom_rows *full, struct things *t, int32_t *seen)
{
    int32_t base = full->first_elem[t->first];
    int row = loom_opt_is(o, "hide_by", "row"), time = loom_opt_is(o, "hide_by", "time");
    int unit = loom_opt_is(o, "hide_by", "unit");
    t->n = 0;
    for (int32_t r = t->first; r < t->last; r++) {
        if (row || (time && (r == t->first || full->axis[0][r] != full->axis[0][r - 1])))
            t->n++;
        const struct loom_layout *l = &full->layout_of[full->layout[r]];
        for (int32_t k = 0, i = full->first_elem[r]; i < full->first_elem[r + 1]; i++, k++) {
            if (unit)
                t->of[i - base] = number_of(seen, &t->n, l->index[k]);
            else
                t->of[i - base] = row || time ? t->n - 1 : t->n++;
        }
    }
}

/* 1 for each thing that is hidden. */
static void choose(struct things *t, double ratio, int64_t span, struct loom_rng *rng, int32_t *order, uint8_t *out)
{
    memset(out, 0, (size_t)t->n);
    for (int32_t i = 0; i < t->n; i++)
        order[i] = i;
    loom_rng_shuffle(rng, order, (size_t)t->n);
    int32_t count = (int32_t)floor(ratio * t->n / (double)span + 1e-9);
    for (int32_t i = 0; i < count; i++)
        for (int64_t k = 0; k < span; k++) {
            int64_t at = order[i] + k - span / 2;
            if (at >= 0 && at < t->n)
                out[at] = 1;
        }
}

int64_t loom_mask_draw(const struct loom_options *o, struct loom_plan *p, const struct loom_rows *full, int modality,
                       const char *purpose, uint8_t *how, uint8_t *hidden)
{
    double ratio = loom_opt_real(o, "hide");
    int64_t span = loom_opt_is(o, "hide_by", "time") ? loom_opt_int(o, "hide_span") : 1, count = 0;
    int what = how_of(o);
    size_t mark = loom_arena_mark(p->arena), n = (size_t)full->elems + 1;
    int32_t *of = loom_arena_alloc(p->arena, n * sizeof(*of)), *order = loom_arena_alloc(p->arena, n * sizeof(*order));
    uint8_t *chosen = loom_arena_alloc(p->arena, n);
    for (int32_t s = 0; of && order && chosen && s < full->segments; s++) {
        struct things t = {.first = full->first_row[s], .last = full->first_row[s + 1], .of = of};
        while (t.first < t.last && full->modality[t.first] != modality)
            t.first++;
        while (t.last > t.first && full->modality[t.last - 1] != modality)
            t.last--;
        if (t.first == t.last)
            continue;
        struct loom_rng rng;
        loom_plan_rng(p, full, s, purpose, &rng);
        sort_things(o, full, &t, order);
        choose(&t, ratio, span, &rng, order, chosen);
        for (int32_t i = full->first_elem[t.first]; i < full->first_elem[t.last]; i++)
            if (chosen[of[i - full->first_elem[t.first]]]) {
                how[i] = (uint8_t)what;
                hidden[i] = 1;
                count++;
            }
    }
    loom_arena_rewind(p->arena, mark);
    return count;
}
