/* SPDX-License-Identifier: Apache-2.0 */
/* Attention forward: softmax rows of a tile of scores, then one product with the values. */
#include "tensor/kernels/attend.h"
#include "tensor/kernels/vecmath.h"

/* The largest of the scores [low, high) that are seen; what is not becomes −inf. */
static loom_real highest(const struct loom_attend *w, loom_real *score, const loom_real *hidden)
{
    const loom_vec none = loom_splat((loom_real)-INFINITY);
    loom_vec most = none;
    int64_t j = w->low;
    for (; !hidden && w->high - j >= LOOM_LANES; j += LOOM_LANES)
        most = loom_max(most, loom_load(score + j));
    for (int64_t left = w->high - j; left > 0; j += LOOM_LANES, left -= LOOM_LANES) {
        loom_vec v = loom_load(score + j);
        if (hidden)
            v += loom_load(hidden + j);
        v = loom_select(loom_first_mask(left), v, none);
        loom_store(score + j, v);
        most = loom_max(most, v);
    }
    return loom_lanes_max(most);
}

/* Products [low, high) of query and keys become exp(score − top), dropped as drawn; 1/Σ (0 where no key is seen) is
 * returned, ln Σ kept. */
static loom_real soften(const struct loom_attend *w, int64_t i, loom_real *lse)
{
    loom_real *score = w->room.score + i * w->ld;
    const uint8_t *kept = loom_attend_kept(w, i);
    const loom_real top = w->scale * highest(w, score, loom_attend_hidden(w, i));
    const loom_vec scale = loom_splat(w->scale), down = loom_splat(-top);
    loom_vec sum = loom_splat(0);
    *lse = (loom_real)INFINITY;
    if (top == (loom_real)-INFINITY) {
        memset(score + w->low, 0, (size_t)(w->high - w->low) * sizeof *score);
        return 0;
    }
    for (int64_t j = w->low; j < w->high; j += LOOM_LANES) {
        loom_vec e = loom_vexp(loom_fma(loom_load(score + j), scale, down));
        sum += e;
        if (kept)
            e = loom_draw_keep(kept, j, e, w->survives);
        loom_store(score + j, e);
    }
    const loom_real total = loom_lanes_sum(sum);
    *lse = top + (loom_real)log((double)total);
    return 1 / total;
}

/* One tile of queries of one head: weights × values; divided and turned back on the way out. */
static void tile_out(struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attention *rule = a->rule;
    const struct loom_attend_result out = {
        .to = a->out,
        .ld = a->out_ld,
        .first = w->first,
        .count = w->count,
        .cosine = rule->rotate_value ? rule->q_cos : NULL,
        .sine = rule->q_sin,
        .buffer = w->room.sums,
    };
    const struct loom_attend_sums to = loom_attend_sums(w, &out);
    for (int64_t i = 0; i < w->count; i++)
        w->room.by[i] = soften(w, i, a->lse + loom_attend_query(w, w->first + i) * rule->heads + w->head);
    const struct loom_block sums = {
        .rows = w->count,
        .columns = w->wide,
        .k = w->high - w->low,
        .x = w->room.score + w->low,
        .x_row = w->ld,
        .x_k = 1,
        .panels = w->v.at + w->low * w->v.ld,
        .panel_k = w->v.ld,
        .panel_step = LOOM_TILE_COLS,
        .y = to.at,
        .ldy = to.ld,
        .ahead = &w->ahead,
    };
    loom_block(&sums);
    loom_attend_unload(w, &out, w->room.by);
}

void loom_host_attention(const struct loom_attention_args *a, void *scratch)
{
    struct loom_attend w;
    int64_t piece = 0, from, to;
    int32_t entered = -1;
    loom_attend_init(&w, a, 0, scratch);
    for (int32_t g = 0; g < a->rule->q_groups.n; g++) {
        const int64_t queries = a->rule->q_groups.first[g + 1] - a->rule->q_groups.first[g];
        for (int32_t h = 0; h < a->rule->heads; h++) {
            if (!loom_attention_share(a, queries, &piece, &from, &to))
                continue;
            if (entered != g)
                loom_attend_group(&w, entered = g);
            w.end = to;
            loom_attend_head(&w, h);
            for (int64_t first = from; first < to; first += w.tile) {
                loom_attend_tile(&w, first);
                tile_out(&w);
            }
        }
    }
}
