/* SPDX-License-Identifier: Apache-2.0 */
#include "model/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int loom_plan_begin(struct loom_plan *p, struct loom_model *m, struct loom_arena *a, enum loom_mode mode, uint64_t step,
                    const struct loom_rows *full)
{
    memset(p, 0, sizeof(*p));
    p->model = m;
    p->arena = a;
    p->mode = mode;
    p->step = step;
    p->full = full;
    loom_plan_mass(p, "segments", full->segments);
    return LOOM_OK;
}

static int full_arena(struct loom_error *e)
{
    return loom_fail(e, LOOM_ENOMEM, NULL, 0,
                     "a shard's plan does not fit its memory; use a smaller batch, shorter windows or more shards");
}

/* ---- the input of a view ---- */

/* What becomes of row r: LEAVE (elements speak for themselves), DROP or REPLACE; -1 = elements disagree. */
static int row_how(const struct loom_rows *full, int32_t r, const uint8_t *how)
{
    int32_t first = full->first_elem[r], last = full->first_elem[r + 1];
    if (!how || first == last)
        return LOOM_LEAVE;
    int whole = how[first] == LOOM_DROP || how[first] == LOOM_REPLACE ? how[first] : LOOM_LEAVE;
    for (int32_t i = first; i < last; i++) {
        int here = how[i] == LOOM_DROP || how[i] == LOOM_REPLACE ? how[i] : LOOM_LEAVE;
        if (here != whole)
            return -1;
    }
    return whole;
}

/* Elements of one modality and segment that a view leaves as they are. */
struct left {
    int32_t segment, modality, n;
    int32_t *elem; /* [n] */
};

static void find_left(const struct loom_rows *full, int32_t r, const uint8_t *how, struct left *l)
{
    if (l->segment == full->segment_of[r] && l->modality == full->modality[r])
        return;
    l->segment = full->segment_of[r];
    l->modality = full->modality[r];
    l->n = 0;
    for (int32_t k = full->first_row[l->segment]; k < full->first_row[l->segment + 1]; k++)
        for (int32_t i = full->first_elem[k]; full->modality[k] == l->modality && i < full->first_elem[k + 1]; i++)
            if (how[i] == LOOM_LEAVE && !full->held[i])
                l->elem[l->n++] = i;
}

/* What LOOM_RANDOM puts in an element's place: never a value that the view hides. */
static loom_real random_value(const struct loom_rows *full, const struct left *l, struct loom_rng *rng)
{
    return l->n ? full->value[l->elem[loom_rng_below(rng, (uint32_t)l->n)]] : 0;
}

/* Elements of the view's input, as `how` leaves them. */
static void fill_input(struct loom_plan *p, const struct loom_rows *full, const struct loom_view_spec *spec,
                       const int32_t *keep, int32_t *room, struct loom_rows *in)
{
    struct left left = {.segment = -1, .elem = room};
    loom_real *value = (loom_real *)(uintptr_t)in->value;
    uint8_t *state = (uint8_t *)(uintptr_t)in->state;
    struct loom_rng rng;
    int32_t segment = -1;
    for (int32_t i = 0; i < in->rows; i++) {
        int32_t r = keep[i], from = full->first_elem[r], at = in->first_elem[i], n = in->first_elem[i + 1] - at;
        if (full->segment_of[r] != segment) {
            segment = full->segment_of[r];
            loom_plan_rng(p, full, segment, "view.random", &rng);
        }
        state[i] = row_how(full, r, spec->how) == LOOM_REPLACE ? LOOM_HIDDEN : LOOM_SEEN;
        for (int32_t k = 0; k < n; k++) {
            int how = spec->how ? spec->how[from + k] : LOOM_LEAVE;
            if (how == LOOM_RANDOM) {
                find_left(full, r, spec->how, &left);
                value[at + k] = random_value(full, &left, &rng);
            }
            if (how == LOOM_SCALE)
                value[at + k] *= (loom_real)spec->scale;
            else if (how != LOOM_LEAVE && how != LOOM_RANDOM)
                value[at + k] = 0;
            if (in->held[at + k] || !isfinite((double)value[at + k]))
                value[at + k] = 0;
        }
    }
}

static int input_rows(struct loom_plan *p, const struct loom_rows *full, const struct loom_view_spec *spec,
                      struct loom_rows *in, struct loom_error *e)
{
    int32_t *keep = loom_arena_alloc(p->arena, ((size_t)full->rows + 1) * sizeof(*keep)), count = 0;
    int32_t *room = loom_arena_alloc(p->arena, ((size_t)full->elems + 1) * sizeof(*room));
    if (!keep || !room)
        return full_arena(e);
    for (int32_t r = 0; r < full->rows; r++) {
        if (!p->model->modality[full->modality[r]].visible)
            continue;
        int how = row_how(full, r, spec->how);
        if (how < 0)
            return loom_fail(e, LOOM_EPLUGIN, NULL, 0,
                             "objective '%s' drops or replaces part of a row; a row is dropped whole (hide elements "
                             "with zero or random instead)",
                             p->model->objective_at[p->objective].plugin->id);
        if (how != LOOM_DROP)
            keep[count++] = r;
    }
    int status = loom_rows_subset(p->arena, full, keep, count, in, e);
    if (status == LOOM_OK)
        fill_input(p, full, spec, keep, room, in);
    return status;
}

/* ---- the questions ---- */

static int asked(const struct loom_rows *full, int32_t r, const uint8_t *ask)
{
    for (int32_t i = full->first_elem[r]; i < full->first_elem[r + 1]; i++)
        if (ask[i])
            return 1;
    return 0;
}

/* Target and weight of every element of the asked rows. Missing elements, and those outside the span that the segment
 * may be asked about, weigh nothing. */
static int fill_question(struct loom_plan *p, const struct loom_rows *full, const uint8_t *ask, const loom_real *weight,
                         const int32_t *keep, struct loom_rows *q, struct loom_error *e)
{
    loom_real *target = loom_arena_alloc(p->arena, ((size_t)q->elems + 1) * sizeof(*target));
    loom_real *w = loom_arena_alloc(p->arena, ((size_t)q->elems + 1) * sizeof(*w));
    uint8_t *shown = loom_arena_alloc(p->arena, (size_t)q->elems + 1);
    if (!target || !w || !shown)
        return full_arena(e);
    loom_real *value = (loom_real *)(uintptr_t)q->value;
    uint8_t *state = (uint8_t *)(uintptr_t)q->state;
    for (int32_t i = 0; i < q->rows; i++) {
        int32_t from = full->first_elem[keep[i]], at = q->first_elem[i], n = q->first_elem[i + 1] - at;
        const struct loom_segment *s = &q->segment[q->segment_of[i]];
        double t = q->axis[0][i];
        int inside = t >= s->begin_s && t < s->end_s;
        state[i] = LOOM_HIDDEN;
        for (int32_t k = 0; k < n; k++) {
            target[at + k] = q->held[at + k] == (LOOM_HELD_OUT | LOOM_UNKNOWN) ? NAN : full->target[from + k];
            int scored = inside && (ask[from + k] == 1 || ask[from + k] == 3) && !(q->held[at + k] & LOOM_UNKNOWN) &&
                         isfinite((double)target[at + k]);
            w[at + k] = scored ? (weight ? weight[from + k] : 1) : 0;
            shown[at + k] = ask[from + k] == 3;
            value[at + k] = 0;
        }
    }
    q->target = target;
    q->weight = w;
    q->shown = shown;
    return LOOM_OK;
}

static int question_rows(struct loom_plan *p, struct loom_view *v, const struct loom_rows *full, const uint8_t *ask,
                         const loom_real *weight, struct loom_error *e)
{
    int32_t *keep = loom_arena_alloc(p->arena, ((size_t)full->rows + 1) * sizeof(*keep));
    if (!keep)
        return full_arena(e);
    for (int m = 0; m < p->model->modalities; m++) {
        int32_t count = 0;
        for (int32_t r = 0; ask && r < full->rows; r++)
            if (full->modality[r] == m && asked(full, r, ask))
                keep[count++] = r;
        if (!count && v->ask[m].size)
            continue; /* asked of this view before, not now */
        if (count && v->ask[m].rows)
            return loom_fail(e, LOOM_ECONFIG, NULL, 0, "two objectives ask the modality '%s' of the same view",
                             p->model->modality[m].name);
        int status = loom_rows_subset(p->arena, full, keep, count, &v->ask[m], e);
        if (status == LOOM_OK)
            status = fill_question(p, full, ask, weight, keep, &v->ask[m], e);
        if (status != LOOM_OK)
            return status;
    }
    return LOOM_OK;
}

int loom_plan_whole(struct loom_plan *p, const struct loom_rows *full, int modality, struct loom_error *e)
{
    struct loom_view_spec spec = LOOM_VIEW_SPEC;
    uint8_t *how = loom_plan_alloc(p, (size_t)full->elems + 1), *ask = loom_plan_alloc(p, (size_t)full->elems + 1);
    if (!how || !ask)
        return full_arena(e);
    memset(how, LOOM_DROP, (size_t)full->elems);
    for (int32_t r = 0; r < full->rows; r++)
        for (int32_t i = full->first_elem[r]; full->modality[r] == modality && i < full->first_elem[r + 1]; i++)
            ask[i] = full->held[i] ? 2 : 1;
    spec.how = how;
    spec.ask = ask;
    return loom_plan_view(p, full, &spec, e);
}

void loom_plan_held_out(const struct loom_rows *full, int modality, uint8_t *ask)
{
    for (int32_t r = 0; r < full->rows; r++)
        for (int32_t i = full->first_elem[r]; i < full->first_elem[r + 1]; i++)
            if (full->held[i] & LOOM_HELD_OUT && (modality < 0 || full->modality[r] == modality))
                ask[i] = 1;
}

int loom_plan_view(struct loom_plan *p, const struct loom_rows *full, const struct loom_view_spec *spec,
                   struct loom_error *e)
{
    if (p->views == LOOM_VIEWS)
        return loom_fail(e, LOOM_EPLUGIN, NULL, 0, "a step holds at most %d views", LOOM_VIEWS);
    struct loom_view *v = loom_arena_zalloc(p->arena, sizeof(*v));
    if (!v)
        return full_arena(e);
    v->size = sizeof(*v);
    v->index = p->views;
    v->causal = spec->causal;
    v->back_s = spec->back_s;
    v->ahead_s = spec->ahead_s;
    int status = input_rows(p, full, spec, &v->in, e);
    if (status == LOOM_OK)
        status = question_rows(p, v, full, spec->ask, spec->weight, e);
    if (status != LOOM_OK)
        return status;
    p->view[p->views] = v;
    return p->views++;
}

int loom_plan_ask_weighed(struct loom_plan *p, int view, const struct loom_rows *full, const uint8_t *ask,
                          const loom_real *weight, struct loom_error *e)
{
    if (view < 0 || view >= p->views)
        return loom_fail(e, LOOM_EPLUGIN, NULL, 0, "view %d does not exist: %d were made", view, p->views);
    int status = question_rows(p, p->view[view], full, ask, weight, e);
    return status == LOOM_OK ? view : status;
}

int loom_plan_ask(struct loom_plan *p, int view, const struct loom_rows *full, const uint8_t *ask, struct loom_error *e)
{
    return loom_plan_ask_weighed(p, view, full, ask, NULL, e);
}

int loom_plan_views(const struct loom_plan *p)
{
    return p->views;
}

const struct loom_view *loom_plan_get(const struct loom_plan *p, int view)
{
    return view >= 0 && view < p->views ? p->view[view] : NULL;
}

int loom_plan_prompt(struct loom_plan *p, int view, const char *table, int32_t row)
{
    if (view < 0 || view >= p->views || p->view[view]->prompts == LOOM_PROMPTS)
        return LOOM_EINVAL;
    struct loom_view *v = p->view[view];
    v->prompt_table[v->prompts] = table;
    v->prompt[v->prompts++] = row;
    return LOOM_OK;
}

/* ---- what a plan remembers, draws and weighs ---- */

void *loom_plan_alloc(struct loom_plan *p, size_t bytes)
{
    return loom_arena_zalloc(p->arena, bytes ? bytes : 1);
}

void loom_plan_keep(struct loom_plan *p, void *memory)
{
    p->kept[p->objective] = memory;
}

void *loom_plan_kept(const struct loom_plan *p)
{
    return p->kept[p->objective];
}

void loom_plan_rng(const struct loom_plan *p, const struct loom_rows *full, int32_t segment, const char *purpose,
                   struct loom_rng *out)
{
    /* Evaluation draws are those of another run seed, so that draw 3 is not training step 3. */
    uint64_t seed = p->mode == LOOM_STEP ? p->model->seed : p->model->seed ^ 0x9e3779b97f4a7c15u;
    uint64_t step = p->mode == LOOM_FIT ? 0 : p->step;
    loom_rng_init(out, seed + (uint64_t)p->objective, purpose, step, segment < 0 ? 0 : full->segment[segment].key);
}

void loom_plan_mass(struct loom_plan *p, const char *name, double amount)
{
    struct loom_masses one = {.n = 1};
    one.name[0] = name;
    one.amount[0] = amount;
    loom_masses_add(&p->masses, &one);
}

void loom_masses_add(struct loom_masses *to, const struct loom_masses *from)
{
    for (int i = 0; i < from->n; i++) {
        int at = 0;
        while (at < to->n && strcmp(to->name[at], from->name[i]) != 0)
            at++;
        if (at == LOOM_MASSES)
            continue;
        if (at == to->n) {
            to->name[at] = from->name[i];
            to->amount[at] = 0.0;
            to->n++;
        }
        to->amount[at] += from->amount[i];
    }
}

double loom_rows_scored(const struct loom_rows *ask)
{
    double mass = 0.0;
    for (int32_t i = 0; i < ask->elems; i++)
        mass += (double)ask->weight[i];
    return mass;
}

int loom_row_scored(const struct loom_rows *ask, int32_t r)
{
    for (int32_t i = ask->first_elem[r]; i < ask->first_elem[r + 1]; i++)
        if (ask->weight[i] != 0)
            return 1;
    return 0;
}

int32_t loom_rows_count_scored(const struct loom_rows *ask)
{
    int32_t n = 0;
    for (int32_t r = 0; r < ask->rows; r++)
        n += loom_row_scored(ask, r);
    return n;
}

int loom_plan_chosen(const struct loom_plan *p, const struct loom_options *o, const char *option, struct loom_error *e)
{
    const char *name = loom_opt_string(o, option), *names[LOOM_MODALITIES + 1] = {NULL};
    char list[512] = "";
    int number = loom_model_modality_number(p->model, name);
    if (number >= 0)
        return number;
    for (int m = 0; m < p->model->modalities; m++) {
        names[m] = p->model->modality[m].name;
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", m ? ", " : "", names[m]);
    }
    const char *near = loom_nearest(name, names);
    return loom_opt_fail(o, option, e, "the model has no modality '%s'%s%s%s; it has %s", name,
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", list);
}

int loom_plan_modality(const struct loom_plan *p, const char *name)
{
    return loom_model_modality_number(p->model, name);
}

int loom_plan_visible(const struct loom_plan *p, int modality)
{
    return modality >= 0 && modality < p->model->modalities && p->model->modality[modality].visible;
}

int loom_plan_training(const struct loom_plan *p)
{
    return p->mode == LOOM_STEP;
}
