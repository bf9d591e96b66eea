/* SPDX-License-Identifier: Apache-2.0 */
/* Attention forward: softmax rows of a tile of scores, then one product with the values. */
#include "tensor/kernels/attend.h"
#include "tensor/kernels/vecmath.h"

/* Scores [low, high) become exp(score − top), dropped as drawn; 1/Σ (0 where no key is seen) is returned, ln Σ kept. */
static loom_real soften(const struct loom_attend *w, int64_t i, loom_real *lse)
{
    loom_real *score = w->room.score + i * w->ld;
    const loom_real *hidden = loom_attend_hidden(w, i);
    const loom_vec none = loom_splat((loom_real)-INFINITY);
    loom_vec most = none, sum = loom_splat(0);
    for (int64_t j = w->low, left = w->high - j; left > 0; j += LOOM_LANES, left -= LOOM_LANES) {
        loom_vec v = loom_load(score + j);
        if (hidden)
            v += loom_load(hidden + j);
        if (left < LOOM_LANES)
            v = loom_select(loom_first_mask(left), v, none);
        loom_store(score + j, v);
        most = loom_max(most, v);
    }
    const loom_real top = loom_lanes_max(most);
    *lse = (loom_real)INFINITY;
    if (top == (loom_real)-INFINITY) {
        memset(score + w->low, 0, (size_t)(w->high - w->low) * sizeof *score);
        return 0;
    }
    for (int64_t j = w->low; j < w->high; j += LOOM_LANES) {
        const loom_vec e = loom_vexp(loom_load(score + j) - top);
        loom_store(score + j, e);
        sum += e;
    }
    const loom_real total = loom_lanes_sum(sum);
    *lse = top + (loom_real)log((double)total);
    return 1 / total;
}

static void drop(const struct loom_attend *w, int64_t i)
{
    loom_real keep[LOOM_DRAWS], *score = w->room.score + i * w->ld;
    const struct loom_draw_row d = loom_attend_draws(w, i);
    for (int64_t j = w->low; d.threshold && j < w->high; j += LOOM_DRAWS) {
        loom_draw_keep(&d, j, keep);
        for (int64_t l = 0; l < LOOM_DRAWS && j + l < w->high; l += LOOM_LANES)
            loom_store(score + j + l, loom_load(score + j + l) * loom_load(keep + l));
    }
}

/* One tile of queries of one head: weights × values, divided and turned back on the way out. */
static void tile_out(struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attention *rule = a->rule;
    loom_real *score = w->room.score, *by = w->room.q;
    for (int64_t i = 0; i < w->count; i++) {
        by[i] = soften(w, i, a->lse + loom_attend_query(w, w->first + i) * rule->heads + w->head);
        drop(w, i);
    }
    const struct loom_block sums = {
        .rows = w->count,
        .columns = w->wide,
        .k = w->high - w->low,
        .x = score + w->low,
        .x_row = w->ld,
        .x_k = 1,
        .panels = w->room.values + w->low * LOOM_TILE_COLS,
        .panel_step = w->keys * LOOM_TILE_COLS,
        .y = w->room.out,
        .ldy = w->wide,
    };
    loom_block(&sums);
    for (int64_t i = 0; i < w->count; i++) {
        const int64_t row = loom_attend_query(w, w->first + i);
        loom_real *out = a->out + row * a->out_ld + (int64_t)w->head * w->dim;
        loom_turn_back(w->dim, rule->rotate_value ? rule->q_cos : NULL, rule->q_sin, row, by[i],
                       w->room.out + i * w->wide, out, 0);
    }
}

void loom_host_attention(const struct loom_attention_args *a, void *scratch)
{
    struct loom_attend w;
    loom_attend_init(&w, a, 0, scratch);
    for (int32_t g = 0; g < a->rule->q_groups.n; g++) {
        loom_attend_group(&w, g);
        for (int32_t h = 0; h < a->rule->heads && w.queries; h++) {
            loom_attend_head(&w, h, 0);
            for (int64_t first = 0; first < w.queries; first += w.tile) {
                loom_attend_tile(&w, first);
                tile_out(&w);
            }
        }
    }
}
