/* SPDX-License-Identifier: Apache-2.0 */
#include "train/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t ARENA = (size_t)1 << 30;
enum { FIT_PASSES = 64 };

/* ---- what was said ---- */

void loom_said_release(struct loom_said *s)
{
    free(s->value);
    free(s->read);
    free(s->segment);
    free(s->element);
    free(s->unit);
    free(s->time);
    free(s->target);
    free(s->weight);
    free(s->shown);
    *s = (struct loom_said){0};
}

static int reserve(struct loom_said *s, int64_t n)
{
    if (n <= s->room)
        return 1;
    loom_said_release(s);
    size_t k = (size_t)n + 1;
    s->value = calloc(k, sizeof *s->value);
    s->read = calloc(k, sizeof *s->read);
    s->segment = calloc(k, sizeof *s->segment);
    s->element = calloc(k, sizeof *s->element);
    s->unit = calloc(k, sizeof *s->unit);
    s->time = calloc(k, sizeof *s->time);
    s->target = calloc(k, sizeof *s->target);
    s->weight = calloc(k, sizeof *s->weight);
    s->shown = calloc(k, sizeof *s->shown);
    s->room = n;
    return s->value && s->read && s->segment && s->element && s->unit && s->time && s->target && s->weight && s->shown;
}

static void keep_reading(struct loom_said *s, int number, const struct loom_reading *x)
{
    for (int32_t r = 0; r < x->ask->rows; r++)
        for (int32_t i = x->ask->first_elem[r]; i < x->ask->first_elem[r + 1]; i++)
            for (int k = 0; k < x->params_n; k++, s->n++) {
                s->value[s->n] = x->params[(int64_t)i * x->params_n + k];
                s->read[s->n] = number;
                s->segment[s->n] = x->ask->segment_of[r];
                s->element[s->n] = i;
                s->unit[s->n] = x->ask->layout_of[x->ask->layout[r]].index[i - x->ask->first_elem[r]];
                s->time[s->n] = x->ask->axis[0][r];
                s->target[s->n] = x->target[i];
                s->weight[s->n] = x->weight[i];
                s->shown[s->n] = x->ask->shown && x->ask->shown[i];
            }
}

static int view_of(const struct loom_shard *shard, const struct loom_reading *x)
{
    const struct loom_view *v;
    for (int i = 0; (v = loom_shard_view(shard, i)); i++)
        if (x->ask == &v->ask[x->modality])
            return i;
    return -1;
}

static int keep(struct loom_said *s, const struct loom_probe *p, struct loom_error *e)
{
    int64_t n = 0;
    int reads = loom_shard_readings(p->shard);
    for (int i = 0; i < reads; i++)
        n += (int64_t)loom_shard_reading(p->shard, i)->ask->elems * loom_shard_reading(p->shard, i)->params_n;
    if (!reserve(s, n))
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a pass's answers: free some");
    s->n = 0;
    s->reads = reads < 32 ? reads : 32;
    for (int i = 0; i < s->reads; i++) {
        s->modality[i] = loom_shard_reading(p->shard, i)->modality;
        s->view[i] = view_of(p->shard, loom_shard_reading(p->shard, i));
        keep_reading(s, i, loom_shard_reading(p->shard, i));
    }
    s->grad = p->block.grad;
    return LOOM_OK;
}

const char *loom_said_place(const struct loom_probe *p, const struct loom_said *said, int64_t i, char out[160])
{
    const struct loom_sample *s = &p->sample[said->segment[i]];
    snprintf(out, 160, "%s of window %d (%.64s at %.2f s) at %.3f s, element %d",
             loom_model_modality(p->model, said->modality[said->read[i]]), said->segment[i],
             loom_catalog_recording(p->runner.catalog, s->recording)->id, 1e-9 * (double)s->origin_ns, said->time[i],
             said->element[i]);
    return out;
}

/* ---- probes ---- */

static int fit(struct loom_probe *p, const struct loom_windows *w, struct loom_error *e)
{
    const struct loom_store *store = loom_model_store(p->model);
    int more = 1, n = w->n < LOOM_PROBE_FIT_WINDOWS ? w->n : LOOM_PROBE_FIT_WINDOWS;
    double *sums = calloc((size_t)store->size[LOOM_LIFE_SUM] + 1, sizeof *sums);
    struct loom_said said = {0};
    for (int pass = 0; sums && more > 0 && pass < FIT_PASSES; pass++) {
        memset(sums, 0, (size_t)store->size[LOOM_LIFE_SUM] * sizeof *sums);
        more = LOOM_OK;
        for (int at = 0; at < n && more == LOOM_OK; at += LOOM_PROBE_WINDOWS) {
            int some = n - at < LOOM_PROBE_WINDOWS ? n - at : LOOM_PROBE_WINDOWS;
            more = loom_probe_pass(p, w->sample + at, some, LOOM_FIT, (uint64_t)pass, NULL, NULL, &said, e);
            for (int64_t i = 0; i < store->size[LOOM_LIFE_SUM]; i++)
                sums[i] += p->block.sum[i];
        }
        if (more == LOOM_OK)
            more = loom_model_update(p->model, sums, 1, pass, e);
    }
    if (!sums)
        more = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for fitting sums: use a smaller model");
    free(sums);
    loom_said_release(&said);
    return more < 0 ? more : LOOM_OK;
}

static int overlaps(const struct loom_sample *a, const struct loom_sample *b)
{
    return a->recording == b->recording && a->origin_ns < b->origin_ns + (int64_t)(1e9 * b->length_s) &&
           b->origin_ns < a->origin_ns + (int64_t)(1e9 * a->length_s);
}

/* Windows from all over the selection, none of which shares time with another. */
static void choose(struct loom_probe *p, const struct loom_windows *w)
{
    for (int k = 0; k < LOOM_PROBE_WINDOWS; k++)
        for (int i = (int)((int64_t)w->n * k / LOOM_PROBE_WINDOWS); i < w->n; i++) {
            int free_one = 1;
            for (int j = 0; j < p->n; j++)
                free_one &= !overlaps(&w->sample[i], &p->sample[j]);
            if (!free_one)
                continue;
            p->sample[p->n++] = w->sample[i];
            break;
        }
}

static int make(struct loom_probe *p, const struct loom_probe *like, int fits, struct loom_error *e)
{
    struct loom_selection selection = {0};
    struct loom_windows windows = {0};
    struct loom_words all = {0};
    int code = p->baseline ? loom_runner_baseline(&p->runner, p->evaluates, p->stage, p->baseline, &p->model, e)
                           : loom_runner_model(&p->runner, p->stage, 1, &p->model, e);
    if (code == LOOM_OK)
        code = loom_shard_new(&p->shard, p->model, ARENA, e);
    if (code == LOOM_OK)
        code = loom_block_init(&p->block, loom_model_store(p->model), e);
    if (code == LOOM_OK)
        code = loom_selection_init(&selection, p->runner.catalog, LOOM_TRAIN, all, e);
    if (code == LOOM_OK)
        code = loom_windows_init(&windows, &selection, &(struct loom_tiling){0}, e);
    if (code == LOOM_OK)
        choose(p, &windows);
    if (code == LOOM_OK && fits && loom_model_wants_fitting(p->model))
        code = fit(p, &windows, e);
    struct loom_store *to = code == LOOM_OK ? loom_model_store(p->model) : NULL;
    const struct loom_store *from = like ? loom_model_store(like->model) : NULL;
    for (int life = LOOM_LIFE_PARAM; code == LOOM_OK && from && life <= LOOM_LIFE_STATE; life++)
        if (to->size[life] == from->size[life] && (life == LOOM_LIFE_PARAM || !fits))
            memcpy(life == LOOM_LIFE_PARAM ? to->param : to->state, life == LOOM_LIFE_PARAM ? from->param : from->state,
                   (size_t)to->size[life] * sizeof(loom_real));
    if (to && from && to->shadow && from->shadow && to->size[LOOM_LIFE_PARAM] == from->size[LOOM_LIFE_PARAM])
        memcpy(to->shadow, from->shadow, (size_t)to->size[LOOM_LIFE_PARAM] * sizeof(loom_real));
    loom_windows_release(&windows);
    loom_selection_release(&selection);
    return code;
}

int loom_probe_open(struct loom_probe *p, const struct loom_runner *r, const struct loom_stage *stage,
                    const struct loom_stage *evaluates, const char *baseline, struct loom_error *e)
{
    *p = (struct loom_probe){.runner = *r, .stage = stage, .evaluates = evaluates, .baseline = baseline};
    int code = make(p, NULL, 1, e);
    if (code != LOOM_OK)
        loom_probe_release(p);
    return code;
}

int loom_probe_like(struct loom_probe *p, const struct loom_probe *like, const struct loom_alteration *how, int fits,
                    struct loom_error *e)
{
    *p = (struct loom_probe){
        .runner = like->runner, .stage = like->stage, .evaluates = like->evaluates, .baseline = like->baseline};
    int code = loom_altered_new(&p->altered, like->runner.catalog, how, e);
    if (code == LOOM_OK) {
        p->runner.catalog = loom_altered_catalog(p->altered);
        code = make(p, how->reverse || how->units ? NULL : like, fits, e);
    }
    if (code != LOOM_OK)
        loom_probe_release(p);
    return code;
}

void loom_probe_release(struct loom_probe *p)
{
    loom_shard_free(p->shard);
    loom_block_release(&p->block);
    loom_model_free(p->model);
    loom_altered_free(p->altered);
    *p = (struct loom_probe){0};
}

int loom_probe_pass(struct loom_probe *p, const struct loom_sample *sample, int n, enum loom_mode mode, uint64_t step,
                    void (*alter)(void *payload, struct loom_rows *full), void *payload, struct loom_said *said,
                    struct loom_error *e)
{
    const struct loom_store *store = loom_model_store(p->model);
    struct loom_masses masses = {0};
    int code = alter ? loom_shard_plan_altered(p->shard, sample, n, mode, step, alter, payload, e)
                     : loom_shard_plan(p->shard, sample, n, mode, step, e);
    if (code != LOOM_OK)
        return code;
    loom_masses_add(&masses, loom_shard_masses(p->shard));
    loom_block_zero(&p->block, store);
    code = loom_shard_build(p->shard, &masses, &p->block, 1, e);
    if (code != LOOM_OK)
        return code;
    loom_shard_run(p->shard);
    code = keep(said, p, e);
    said->loss = 0;
    for (int i = 0; i < store->count; i++)
        if (store->entry[i].lifetime == LOOM_LIFE_TERM && !(store->entry[i].flags & LOOM_LOG_ONLY))
            said->loss += p->block.term[store->entry[i].offset];
    return code;
}
