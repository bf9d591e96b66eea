/* SPDX-License-Identifier: Apache-2.0 */
/* Attention backward: weights are made anew from the scores and the kept log-sum-exp. */
#include "tensor/kernels/attend.h"
#include "tensor/kernels/vecmath.h"

/* score → weight as dropped, dscore (holding dout · value) → d(q · k), over [low, high). */
static void slopes(const struct loom_attend *w, int64_t i)
{
    loom_real *score = w->room.score + i * w->ld, *dscore = w->room.dscore + i * w->ld;
    const int64_t row = loom_attend_query(w, w->first + i);
    const loom_real *hidden = loom_attend_hidden(w, i), delta = w->room.by[i];
    const loom_vec scale = loom_splat(w->scale);
    const loom_vec down = loom_splat(-w->a->lse[row * w->a->rule->heads + w->head]);
    const uint8_t *kept = loom_attend_kept(w, i);
    for (int64_t j = w->low; j < w->high; j += LOOM_LANES) {
        loom_vec s = loom_fma(loom_load(score + j), scale, down), ds = loom_load(dscore + j);
        if (hidden)
            s += loom_load(hidden + j);
        const loom_vec p = loom_vexp(s);
        if (kept)
            ds = loom_draw_keep(kept, j, ds, w->survives);
        loom_store(score + j, kept ? loom_draw_keep(kept, j, p, w->survives) : p);
        loom_store(dscore + j, p * scale * (ds - delta));
    }
}

/* dk or dv: sums[keys, wide] (+)= weightsᵀ [keys, tile] · rows [tile, wide], over the keys that the tile sees. */
static void add_over_queries(struct loom_attend *w, const struct loom_attend_result *r, const loom_real *weights,
                             const struct loom_attend_rows *rows)
{
    const struct loom_attend_sums to = loom_attend_sums(w, r);
    const int whole = w->count == w->queries && w->low == 0 && w->high == w->keys;
    const struct loom_block p = {
        .rows = w->high - w->low,
        .columns = w->wide,
        .k = w->count,
        .x = weights + w->low,
        .x_row = 1,
        .x_k = w->ld,
        .panels = rows->at,
        .panel_k = rows->ld,
        .panel_step = LOOM_TILE_COLS,
        .y = to.at + w->low * to.ld,
        .ldy = to.ld,
        .accumulate = to.accumulate || !whole,
        .ahead = &w->ahead,
    };
    for (int64_t j = 0; !whole && !to.accumulate && w->first == 0 && j < w->keys; j++)
        memset(to.at + j * to.ld, 0, (size_t)w->wide * sizeof *to.at);
    loom_block(&p);
    if (w->first + w->count == w->queries)
        loom_attend_unload(w, r, NULL);
}

static void dk(struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attend_result r = {
        .to = a->dk,
        .ld = a->k_ld,
        .of_keys = 1,
        .count = w->keys,
        .cosine = a->rule->k_cos,
        .sine = a->rule->k_sin,
        .buffer = w->room.dk,
        .accumulate = a->dk_accumulate,
    };
    if (r.to)
        add_over_queries(w, &r, w->room.dscore, &w->q);
}

static void dv(struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attend_result r = {
        .to = a->dv,
        .ld = a->v_ld,
        .of_keys = 1,
        .count = w->keys,
        .cosine = a->rule->rotate_value ? a->rule->k_cos : NULL,
        .sine = a->rule->k_sin,
        .buffer = w->room.dv,
        .accumulate = a->dv_accumulate,
    };
    if (r.to)
        add_over_queries(w, &r, w->room.score, &w->dout);
}

/* dscores × keys. */
static void dq(struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attend_result r = {
        .to = a->dq,
        .ld = a->q_ld,
        .first = w->first,
        .count = w->count,
        .cosine = a->rule->q_cos,
        .sine = a->rule->q_sin,
        .buffer = w->room.sums,
        .accumulate = a->dq_accumulate,
    };
    if (!r.to)
        return;
    const struct loom_attend_sums to = loom_attend_sums(w, &r);
    const struct loom_block p = {
        .rows = w->count,
        .columns = w->wide,
        .k = w->high - w->low,
        .x = w->room.dscore + w->low,
        .x_row = w->ld,
        .x_k = 1,
        .panels = w->k.at + w->low * w->k.ld,
        .panel_k = w->k.ld,
        .panel_step = LOOM_TILE_COLS,
        .y = to.at,
        .ldy = to.ld,
        .accumulate = to.accumulate,
        .ahead = &w->ahead,
    };
    loom_block(&p);
    loom_attend_unload(w, &r, NULL);
}

static void tile_back(struct loom_attend *w)
{
    const struct loom_block dweights = {
        .rows = w->count,
        .columns = (w->high - w->low + LOOM_LANES - 1) / LOOM_LANES * LOOM_LANES,
        .k = w->dim,
        .x = w->dout.at,
        .x_row = w->dout.ld,
        .x_k = 1,
        .panels = w->room.values + w->low * w->dim,
        .panel_step = (int64_t)LOOM_TILE_COLS * w->dim,
        .y = w->room.dscore + w->low,
        .ldy = w->ld,
        .ahead = &w->ahead,
    };
    loom_block(&dweights);
    for (int64_t i = 0; i < w->count; i++)
        slopes(w, i);
    dv(w);
    dk(w);
    dq(w);
}

/* Whether each of `rows` stands in a group, and no group lacks queries or keys: then each row is written. */
static int covers(const struct loom_attention *rule, const struct loom_groups *groups, int64_t rows)
{
    const struct loom_groups *q = &rule->q_groups, *k = &rule->k_groups;
    for (int32_t g = 0; g < q->n; g++)
        if (q->first[g] == q->first[g + 1] || k->first[g] == k->first[g + 1])
            return 0;
    return (groups->n ? groups->first[groups->n] - groups->first[0] : 0) == rows;
}

/* Rows that nobody will write become 0; then all are added to. */
static int clear(loom_real *x, int accumulate, const struct loom_attention *rule, const struct loom_groups *groups,
                 int64_t rows, int64_t ld)
{
    if (!x || accumulate || covers(rule, groups, rows))
        return accumulate;
    for (int64_t r = 0; r < rows; r++)
        memset(x + r * ld, 0, (size_t)rule->width * sizeof *x);
    return 1;
}

void loom_host_attention_back(const struct loom_attention_args *args, void *scratch)
{
    struct loom_attention_args a = *args;
    struct loom_attend w;
    a.dq_accumulate = clear(a.dq, a.dq_accumulate, a.rule, &a.rule->q_groups, a.q_rows, a.q_ld);
    a.dk_accumulate = clear(a.dk, a.dk_accumulate, a.rule, &a.rule->k_groups, a.k_rows, a.k_ld);
    a.dv_accumulate = clear(a.dv, a.dv_accumulate, a.rule, &a.rule->k_groups, a.k_rows, a.v_ld);
    loom_attend_init(&w, &a, 1, scratch);
    for (int32_t g = 0; g < a.rule->q_groups.n; g++) {
        loom_attend_group(&w, g);
        for (int32_t h = 0; h < a.rule->heads && w.queries && w.keys; h++) {
            loom_attend_head(&w, h);
            for (int64_t first = 0; first < w.queries; first += w.tile) {
                loom_attend_tile(&w, first);
                tile_back(&w);
            }
        }
    }
}
