/* SPDX-License-Identifier: Apache-2.0 */
/* Attention backward: weights are made anew from the scores and the kept log-sum-exp. */
#include "tensor/kernels/attend.h"
#include "tensor/kernels/vecmath.h"

/* Σ dout out of one row and head: what the softmax takes from each dscore. */
static loom_real row_delta(const struct loom_attend *w, int64_t row)
{
    const int64_t at = row * w->a->out_ld + (int64_t)w->head * w->dim;
    loom_vec sum = loom_splat(0);
    for (int64_t j = 0; j < w->dim; j += LOOM_LANES) {
        __builtin_prefetch(w->a->out + at + w->dim + j);
        sum += loom_load_part(w->a->out + at + j, w->dim - j) * loom_load_part(w->a->dout + at + j, w->dim - j);
    }
    return loom_lanes_sum(sum);
}

/* score → weight as dropped, dscore (holding dout · value) → d(score), over [low, high). */
static void slopes(const struct loom_attend *w, int64_t i)
{
    loom_real keep[LOOM_DRAWS], *score = w->room.score + i * w->ld, *dscore = w->room.dscore + i * w->ld;
    const int64_t row = loom_attend_query(w, w->first + i);
    const loom_real *hidden = loom_attend_hidden(w, i), lse = w->a->lse[row * w->a->rule->heads + w->head];
    const struct loom_draw_row d = loom_attend_draws(w, i);
    const loom_real delta = row_delta(w, row);
    for (int64_t j = w->low; j < w->high; j += LOOM_LANES) {
        const int64_t place = (j - w->low) % LOOM_DRAWS;
        if (d.threshold && place == 0)
            loom_draw_keep(&d, j, keep);
        const loom_vec by = d.threshold ? loom_load(keep + place) : loom_splat(1);
        loom_vec s = loom_load(score + j) - lse;
        if (hidden)
            s += loom_load(hidden + j);
        const loom_vec p = loom_vexp(s);
        loom_store(score + j, p * by);
        loom_store(dscore + j, p * (loom_load(dscore + j) * by - delta));
    }
}

/* sums[keys, wide] += weightsᵀ [keys, tile] · panels [tile, dim], over the keys that the tile sees. */
static void add_over_queries(const struct loom_attend *w, const loom_real *weights, const loom_real *panels,
                             loom_real *sums)
{
    const struct loom_block p = {
        .rows = w->high - w->low,
        .columns = w->wide,
        .k = w->count,
        .x = weights + w->low,
        .x_row = 1,
        .x_k = w->ld,
        .panels = panels,
        .panel_step = w->count * LOOM_TILE_COLS,
        .y = sums + w->low * w->wide,
        .ldy = w->wide,
        .accumulate = 1,
    };
    loom_block(&p);
}

/* dq of the tile's queries: dscores × keys, turned back; the scale that q bore is due here. */
static void add_dq(struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_block p = {
        .rows = w->count,
        .columns = w->wide,
        .k = w->high - w->low,
        .x = w->room.dscore + w->low,
        .x_row = w->ld,
        .x_k = 1,
        .panels = w->room.keys_by_row + w->low * LOOM_TILE_COLS,
        .panel_step = w->keys * LOOM_TILE_COLS,
        .y = w->room.out,
        .ldy = w->wide,
    };
    loom_block(&p);
    for (int64_t i = 0; i < w->count; i++) {
        const int64_t row = loom_attend_query(w, w->first + i);
        loom_turn_back(w->dim, a->rule->q_cos, a->rule->q_sin, row, 1 / LOOM_SQRT((loom_real)w->dim),
                       w->room.out + i * w->wide, a->dq + row * a->q_ld + (int64_t)w->head * w->dim, 1);
    }
}

static void tile_back(struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attention *rule = a->rule;
    struct loom_attend_room *room = &w->room;
    for (int64_t i = 0; i < w->count; i++) {
        const int64_t row = loom_attend_query(w, w->first + i);
        loom_turn(w->dim, rule->rotate_value ? rule->q_cos : NULL, rule->q_sin, row, 1,
                  a->dout + row * a->out_ld + (int64_t)w->head * w->dim, room->dout + i * w->dim);
    }
    const struct loom_block dweights = {
        .rows = w->count,
        .columns = (w->high - w->low + LOOM_TILE_COLS - 1) / LOOM_TILE_COLS * LOOM_TILE_COLS,
        .k = w->dim,
        .x = room->dout,
        .x_row = w->dim,
        .x_k = 1,
        .panels = room->values_across + w->low * w->dim,
        .panel_step = (int64_t)LOOM_TILE_COLS * w->dim,
        .y = room->dscore + w->low,
        .ldy = w->ld,
    };
    loom_block(&dweights);
    for (int64_t i = 0; i < w->count; i++)
        slopes(w, i);
    if (a->dv) {
        loom_pack(room->dout_panels, w->count, w->dim, room->dout, w->dim, 1);
        add_over_queries(w, room->score, room->dout_panels, room->dv);
    }
    if (a->dk) {
        loom_pack(room->q_panels, w->count, w->dim, room->q, w->dim, 1);
        add_over_queries(w, room->dscore, room->q_panels, room->dk);
    }
    if (a->dq)
        add_dq(w);
}

/* Sums over the group's queries to the rows of its keys. */
static void add_to_keys(const struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attention *rule = a->rule;
    const int64_t at = (int64_t)w->head * w->dim;
    for (int64_t j = 0; j < w->keys; j++) {
        const int64_t row = loom_attend_key(w, j);
        if (a->dk)
            loom_turn_back(w->dim, rule->k_cos, rule->k_sin, row, 1, w->room.dk + j * w->wide,
                           a->dk + row * a->k_ld + at, 1);
        if (a->dv)
            loom_turn_back(w->dim, rule->rotate_value ? rule->k_cos : NULL, rule->k_sin, row, 1,
                           w->room.dv + j * w->wide, a->dv + row * a->v_ld + at, 1);
    }
}

static void clear(loom_real *x, int accumulate, int64_t rows, int64_t width, int64_t ld)
{
    for (int64_t r = 0; x && !accumulate && r < rows; r++)
        memset(x + r * ld, 0, (size_t)width * sizeof *x);
}

void loom_host_attention_back(const struct loom_attention_args *a, void *scratch)
{
    struct loom_attend w;
    loom_attend_init(&w, a, 1, scratch);
    clear(a->dq, a->dq_accumulate, a->q_rows, a->rule->width, a->q_ld);
    clear(a->dk, a->dk_accumulate, a->k_rows, a->rule->width, a->k_ld);
    clear(a->dv, a->dv_accumulate, a->k_rows, a->rule->width, a->v_ld);
    for (int32_t g = 0; g < a->rule->q_groups.n; g++) {
        loom_attend_group(&w, g);
        for (int32_t h = 0; h < a->rule->heads && w.queries && w.keys; h++) {
            loom_attend_head(&w, h, 1);
            clear(w.room.dk, 0, w.keys, w.wide, w.wide);
            clear(w.room.dv, 0, w.keys, w.wide, w.wide);
            for (int64_t first = 0; first < w.queries; first += w.tile) {
                loom_attend_tile(&w, first);
                tile_back(&w);
            }
            add_to_keys(&w);
        }
    }
}
