/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/mask.h>

#include "model/internal.h"

#include <math.h>
#include <string.h>

/* In the order of the option's range. */
enum scheme { ROW, TIME, UNIT, ELEMENT, BLOCK, LAST, AFTER, CAUSAL, INTER, INTRA, SCHEMES };
static const char *const words[SCHEMES] = {"row",  "time",  "unit",   "element",      "block",
                                           "last", "after", "causal", "inter_region", "intra_region"};

static enum scheme word_at(const struct loom_options *o, size_t i)
{
    const char *word = loom_opt_string_at(o, "hide_by", i);
    int k = 0;
    while (k + 1 < SCHEMES && strcmp(words[k], word) != 0)
        k++;
    return (enum scheme)k;
}

static int by_units(enum scheme s)
{
    return s == UNIT || s == INTER || s == INTRA;
}

static int by_times(enum scheme s)
{
    return s == TIME || s == BLOCK || s == LAST || s == AFTER || s == CAUSAL;
}

/* Rows are hidden in part. */
static int by_elements(enum scheme s)
{
    return s == ELEMENT || by_units(s);
}

static int spans(enum scheme s)
{
    return s == TIME || s == CAUSAL || s == UNIT;
}

static int how_of(const struct loom_options *o)
{
    if (loom_opt_is(o, "hide_how", "drop"))
        return LOOM_DROP;
    if (loom_opt_is(o, "hide_how", "replace"))
        return LOOM_REPLACE;
    return loom_opt_is(o, "hide_how", "zero") ? LOOM_ZERO : LOOM_RANDOM;
}

/* ---- setup ---- */

static int check_mix(const struct loom_options *o, struct loom_error *e)
{
    size_t n = loom_opt_count(o, "hide_mix");
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += loom_opt_real_at(o, "hide_mix", i);
    if (n == 0)
        return LOOM_OK;
    if (n != 3 || !(fabs(sum - 1.0) <= 1e-6))
        return loom_opt_fail(o, "hide_mix", e,
                             "hide_mix has %d shares that add up to %g: give three that add up to 1, as in "
                             "hide_mix = ( 0.8, 0.1, 0.1 )",
                             (int)n, sum);
    if (how_of(o) == LOOM_DROP)
        return loom_opt_fail(o, "hide_mix", e,
                             "what is dropped cannot be random or left as it is: set hide_how = \"replace\" or "
                             "\"zero\" with hide_mix");
    return LOOM_OK;
}

int loom_mask_check(const struct loom_options *o, struct loom_error *e)
{
    size_t n = loom_opt_count(o, "hide_by"), each = loom_opt_count(o, "hide_each");
    int how = how_of(o);
    if (n == 0)
        return loom_opt_fail(o, "hide_by", e, "hide_by is empty: set hide_by = \"row\"");
    if (each && each != n)
        return loom_opt_fail(o, "hide_each", e, "hide_each has %d shares for %d words in hide_by: give one for each",
                             (int)each, (int)n);
    for (size_t i = 0; i < n; i++) {
        enum scheme s = word_at(o, i);
        if (by_elements(s) && (how == LOOM_DROP || how == LOOM_REPLACE))
            return loom_opt_fail(o, "hide_how", e,
                                 "hide_by = \"%s\" hides parts of rows, and hide_how = \"%s\" takes rows whole: set "
                                 "hide_how = \"zero\" or \"random\"",
                                 words[s], loom_opt_string(o, "hide_how"));
        if (loom_opt_int(o, "hide_span") > 1 && !spans(s))
            return loom_opt_fail(o, "hide_span", e,
                                 "hide_by = \"%s\" has no spans: set hide_span = 1, or hide_by = \"time\"", words[s]);
    }
    return check_mix(o, e);
}

static uint64_t needs_of(enum scheme s, int how)
{
    uint64_t needs = 0;
    if (by_elements(s))
        needs |= LOOM_ELEMENTS;
    if (by_units(s))
        needs |= LOOM_UNITS;
    if (s == INTER || s == INTRA)
        needs |= LOOM_REGIONS;
    if (s == CAUSAL)
        needs |= LOOM_CAUSAL;
    if ((s == LAST || s == AFTER) && how == LOOM_DROP)
        needs |= LOOM_AHEAD;
    return needs;
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
    for (size_t i = 0; i < loom_opt_count(o, "hide_by"); i++)
        needs |= needs_of(word_at(o, i), how);
    return needs;
}

/* ---- which scheme, and how much ---- */

/* Place in hide_by of the word that holds now. A scheme is the whole step's, so that one prompt says it. */
static size_t choice(const struct loom_options *o, const struct loom_plan *p)
{
    size_t n = loom_opt_count(o, "hide_by");
    struct loom_rng rng;
    if (n < 2 || !loom_plan_training(p))
        return 0;
    loom_plan_rng(p, p->full, -1, "mask.scheme", &rng);
    return loom_rng_below(&rng, (uint32_t)n);
}

int loom_mask_scheme(const struct loom_options *o, const struct loom_plan *p)
{
    return (int)word_at(o, choice(o, p));
}

struct rule {
    enum scheme by;
    int how;
    double share, random, left; /* random, left: of what is hidden, in hide_mix */
    int64_t span;
};

static struct rule rule_of(const struct loom_options *o, const struct loom_plan *p)
{
    size_t at = choice(o, p);
    struct rule r = {.by = word_at(o, at), .how = how_of(o), .share = loom_opt_real(o, "hide"), .span = 1};
    if (loom_opt_count(o, "hide_each"))
        r.share = loom_opt_real_at(o, "hide_each", at);
    if (spans(r.by))
        r.span = loom_opt_int(o, "hide_span");
    if (loom_opt_count(o, "hide_mix")) {
        r.random = loom_opt_real_at(o, "hide_mix", 1);
        r.left = loom_opt_real_at(o, "hide_mix", 2);
    }
    return r;
}

/* ---- things ---- */

/* What is hidden together in one segment, as a number for each element of the modality. */
struct things {
    int32_t first, last; /* rows of the modality in the segment */
    int32_t n;           /* things */
    int32_t *of;         /* [elements from first] thing of each element */
    int32_t *unit;       /* [n] by units: its number in the recording */
    int32_t *order;      /* [n] room to draw */
    uint8_t *fate;       /* [n] enum fate */
};
enum fate { SEEN, ASKED, COVERED };

/* Units come in the same order in every bin, so the one after the last found is looked at first. */
static int32_t number_of(struct things *t, int32_t unit, int32_t *next)
{
    for (int32_t i = 0; i < t->n; i++) {
        int32_t at = (*next + i) % t->n;
        if (t->unit[at] == unit) {
            *next = at + 1;
            return at;
        }
    }
    t->unit[t->n] = unit;
    *next = ++t->n;
    return t->n - 1;
}

/* Rows come time by time from every tokenizer, so a new time starts a new thing. */
static void sort_things(enum scheme by, const struct loom_rows *full, struct things *t)
{
    int32_t base = full->first_elem[t->first], next = 0;
    t->n = 0;
    for (int32_t r = t->first; r < t->last; r++) {
        if (by == ROW || (by_times(by) && (r == t->first || full->axis[0][r] != full->axis[0][r - 1])))
            t->n++;
        const struct loom_layout *l = &full->layout_of[full->layout[r]];
        for (int32_t k = 0, i = full->first_elem[r]; i < full->first_elem[r + 1]; i++, k++) {
            if (by_units(by))
                t->of[i - base] = number_of(t, l->index[k], &next);
            else
                t->of[i - base] = by == ELEMENT ? t->n++ : t->n - 1;
        }
    }
}

static int32_t share_of(double share, int32_t n)
{
    return (int32_t)floor(share * n + 1e-9);
}

/* Of the things listed in t->order [n], the share, each set equally likely; spans grow around what is drawn. */
static void choose_any(const struct rule *r, struct things *t, int32_t n, struct loom_rng *rng)
{
    loom_rng_shuffle(rng, t->order, (size_t)n);
    int32_t count = (int32_t)floor(r->share * n / (double)r->span + 1e-9);
    for (int32_t i = 0; i < count; i++)
        for (int64_t k = 0; k < r->span; k++) {
            int64_t at = t->order[i] + k - r->span / 2;
            if (at >= 0 && at < t->n)
                t->fate[at] = ASKED;
        }
}

static void choose_stretch(const struct rule *r, struct things *t, struct loom_rng *rng)
{
    int32_t count = share_of(r->share, t->n), first = t->n - count;
    if (r->by == BLOCK)
        first = (int32_t)loom_rng_below(rng, (uint32_t)(first + 1));
    if (r->by == AFTER && count > 0) {
        count = 1 + (int32_t)loom_rng_below(rng, (uint32_t)count);
        first = t->n - count;
    }
    memset(t->fate + first, ASKED, (size_t)count);
}

/* One region of the segment's recording is drawn, each equally likely. */
static void choose_region(const struct rule *r, const struct loom_recording *recording, struct things *t,
                          struct loom_rng *rng)
{
    int32_t regions = 0, n = 0;
    for (int32_t i = 0; i < t->n; i++) { /* order: the first unit of each region */
        int32_t k = 0;
        while (k < regions &&
               strcmp(recording->unit[t->unit[t->order[k]]].region, recording->unit[t->unit[i]].region) != 0)
            k++;
        if (k == regions)
            t->order[regions++] = i;
    }
    const char *region = recording->unit[t->unit[t->order[loom_rng_below(rng, (uint32_t)regions)]]].region;
    for (int32_t i = 0; i < t->n; i++) {
        int inside = strcmp(recording->unit[t->unit[i]].region, region) == 0;
        t->fate[i] = inside == (r->by == INTER) ? (inside ? ASKED : COVERED) : SEEN;
        if (inside)
            t->order[n++] = i;
    }
    if (r->by == INTRA)
        choose_any(r, t, n, rng);
}

static void choose(const struct rule *r, const struct loom_recording *recording, struct things *t, struct loom_rng *rng)
{
    memset(t->fate, SEEN, (size_t)t->n);
    for (int32_t i = 0; i < t->n; i++)
        t->order[i] = i;
    if (r->by == INTER || r->by == INTRA)
        choose_region(r, recording, t, rng);
    else if (r->by == BLOCK || r->by == LAST || r->by == AFTER)
        choose_stretch(r, t, rng);
    else
        choose_any(r, t, t->n, rng);
}

/* ---- what stands in its place ---- */

/* One draw of hide_mix for a hidden row, or for a hidden element. */
static int mixed(const struct rule *r, struct loom_rng *rng)
{
    double x = r->random + r->left > 0.0 ? loom_rng_uniform(rng) : 1.0;
    return x < r->left ? LOOM_LEAVE : x < r->left + r->random ? LOOM_RANDOM : r->how;
}

static int64_t hide(const struct rule *r, const struct loom_rows *full, const struct things *t, struct loom_rng *rng,
                    uint8_t *how, uint8_t *ask)
{
    int64_t asked = 0;
    int32_t base = full->first_elem[t->first];
    for (int32_t row = t->first; row < t->last; row++) {
        int whole = -1;
        for (int32_t i = full->first_elem[row]; i < full->first_elem[row + 1]; i++) {
            uint8_t fate = t->fate[t->of[i - base]];
            if (fate == SEEN)
                continue;
            if (fate == COVERED) {
                how[i] = (uint8_t)r->how;
                continue;
            }
            if (whole < 0 || r->how != LOOM_REPLACE)
                whole = mixed(r, rng);
            how[i] = (uint8_t)whole;
            ask[i] = whole == LOOM_LEAVE ? 3 : 1;
            asked++;
        }
    }
    return asked;
}

static int room_for(struct things *t, struct loom_arena *a, size_t n)
{
    t->of = loom_arena_alloc(a, n * sizeof(*t->of));
    t->unit = loom_arena_alloc(a, n * sizeof(*t->unit));
    t->order = loom_arena_alloc(a, n * sizeof(*t->order));
    t->fate = loom_arena_alloc(a, n);
    return t->of && t->unit && t->order && t->fate;
}

int64_t loom_mask_draw(const struct loom_options *o, struct loom_plan *p, const struct loom_rows *full, int modality,
                       const char *purpose, uint8_t *how, uint8_t *ask)
{
    const struct rule rule = rule_of(o, p);
    size_t mark = loom_arena_mark(p->arena);
    struct things t = {0};
    int64_t count = 0;
    int room = room_for(&t, p->arena, (size_t)full->elems + (size_t)full->rows + 1);
    for (int32_t s = 0; room && s < full->segments; s++) {
        t.first = full->first_row[s];
        t.last = full->first_row[s + 1];
        while (t.first < t.last && full->modality[t.first] != modality)
            t.first++;
        while (t.last > t.first && full->modality[t.last - 1] != modality)
            t.last--;
        sort_things(rule.by, full, &t);
        if (t.n == 0)
            continue;
        struct loom_rng rng;
        loom_plan_rng(p, full, s, purpose, &rng);
        choose(&rule, loom_catalog_recording(p->model->catalog, full->segment[s].recording), &t, &rng);
        count += hide(&rule, full, &t, &rng, how, ask);
    }
    loom_arena_rewind(p->arena, mark);
    return count;
}

int loom_mask_view(const struct loom_options *o, struct loom_plan *p, const struct loom_rows *full, int modality,
                   const char *purpose, struct loom_error *e)
{
    struct loom_view_spec spec = LOOM_VIEW_SPEC;
    size_t n = (size_t)full->elems + 1;
    uint8_t *how = loom_plan_alloc(p, n), *ask = loom_plan_alloc(p, n);
    int scheme = loom_mask_scheme(o, p);
    if (!how || !ask)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    loom_mask_draw(o, p, full, modality, purpose, how, ask);
    loom_plan_held_out(full, modality, ask);
    spec.how = how;
    spec.ask = ask;
    spec.causal = scheme == CAUSAL;
    int view = loom_plan_view(p, full, &spec, e);
    if (view >= 0 && loom_opt_bool(o, "hide_prompt")) {
        int status = loom_plan_prompt(p, view, "scheme", scheme);
        if (status != LOOM_OK)
            return loom_fail(e, status, NULL, 0, "a view holds at most %d prompts", LOOM_PROMPTS);
    }
    return view;
}
