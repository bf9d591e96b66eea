/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/kernels/attend.h"
#include "tensor/kernels/visible.h"

enum {
    TILE_SCORES =
        1 << 15,   /* scores in a tile, so that it stays in cache; more only where one register tile needs more */
    KEY_STEP = 32, /* a multiple of every panel's width and of a block of draws */
};

static int64_t round_up(int64_t n, int64_t step)
{
    return (n + step - 1) / step * step;
}

/* A row of scores in whole panels and one odd cache line, so that rows do not crowd into the same sets. */
static int64_t score_ld(int64_t keys)
{
    return round_up(keys, KEY_STEP) + LOOM_LANES;
}

static int64_t tile_queries(int64_t queries, int64_t keys)
{
    const int64_t fit = TILE_SCORES / score_ld(keys) / LOOM_TILE_ROWS * LOOM_TILE_ROWS;
    const int64_t tile = fit > LOOM_TILE_ROWS ? fit : LOOM_TILE_ROWS;
    return queries < tile ? queries : tile;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The next part of the scratch, on a cache line of its own. */
static void *part(char *base, size_t *used, int64_t bytes)
{
    void *p = base ? base + *used : NULL;
    *used += (size_t)round_up(bytes, 64);
    return p;
}

size_t loom_attend_plan(const struct loom_attention *rule, int backward, void *scratch, struct loom_attend_room *room)
{
    const int64_t real = (int64_t)sizeof(loom_real), d = rule->width / rule->heads, w = round_up(d, LOOM_TILE_COLS);
    int64_t keys = 1, tile = 1, scores = 1;
    size_t used = 0;
    for (int32_t g = 0; g < rule->q_groups.n; g++) {
        const int64_t k = rule->k_groups.first[g + 1] - rule->k_groups.first[g];
        const int64_t t = tile_queries(rule->q_groups.first[g + 1] - rule->q_groups.first[g], k);
        keys = at_least(keys, k);
        tile = at_least(tile, t);
        scores = at_least(scores, t * score_ld(k));
    }
    room->rows = part(scratch, &used, at_least(keys, tile) * d * real);
    room->keys = part(scratch, &used, round_up(keys, LOOM_TILE_COLS) * d * real);
    room->values = part(scratch, &used, keys * w * real);
    room->q = part(scratch, &used, tile * d * real);
    room->score = part(scratch, &used, scores * real);
    room->out = part(scratch, &used, tile * w * real);
    room->k_time = part(scratch, &used, keys * (int64_t)sizeof(double));
    room->k_context = part(scratch, &used, keys);
    room->hidden = part(scratch, &used, loom_rule_hides(rule) ? scores * real : 0);
    if (!backward)
        return used;
    room->keys_by_row = part(scratch, &used, keys * w * real);
    room->values_across = part(scratch, &used, round_up(keys, LOOM_TILE_COLS) * d * real);
    room->dout = part(scratch, &used, tile * d * real);
    room->q_panels = part(scratch, &used, tile * w * real);
    room->dout_panels = part(scratch, &used, tile * w * real);
    room->dscore = part(scratch, &used, scores * real);
    room->dk = part(scratch, &used, keys * w * real);
    room->dv = part(scratch, &used, keys * w * real);
    return used;
}

size_t loom_host_attention_scratch(const struct loom_attention *rule, int backward)
{
    struct loom_attend_room room;
    return loom_attend_plan(rule, backward, NULL, &room);
}

void loom_attend_init(struct loom_attend *w, const struct loom_attention_args *a, int backward, void *scratch)
{
    *w = (struct loom_attend){.a = a, .dim = a->rule->width / a->rule->heads, .hides = loom_rule_hides(a->rule)};
    w->wide = (int32_t)round_up(w->dim, LOOM_TILE_COLS);
    loom_attend_plan(a->rule, backward, scratch, &w->room);
}

int64_t loom_attend_query(const struct loom_attend *w, int64_t i)
{
    const struct loom_groups *groups = &w->a->rule->q_groups;
    return loom_group_row(groups, groups->first[w->group] + i);
}

int64_t loom_attend_key(const struct loom_attend *w, int64_t i)
{
    const struct loom_groups *groups = &w->a->rule->k_groups;
    return loom_group_row(groups, groups->first[w->group] + i);
}

/* What queries first … first + count − 1 may see, as loom_visible rules: bounds are taken out of the loop over keys. */
static void hide(struct loom_attend *w, int64_t first, int64_t count)
{
    const struct loom_attention *rule = w->a->rule;
    const double *time = w->room.k_time;
    const uint8_t *context = w->room.k_context;
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = loom_attend_query(w, first + i);
        const int bound = rule->q_context && rule->q_context[row];
        double low = -INFINITY, high = INFINITY;
        if (rule->causal)
            high = rule->q_time[row];
        if (rule->ahead_s >= 0)
            high = fmin(high, rule->q_time[row] + rule->ahead_s);
        if (rule->back_s >= 0)
            low = rule->q_time[row] - rule->back_s;
        if (bound)
            low = INFINITY;
        loom_real *to = w->room.hidden + i * w->ld;
        for (int64_t j = 0; j < w->keys; j++)
            to[j] = (context[j] | ((time[j] >= low) & (time[j] <= high))) ? 0 : (loom_real)-INFINITY;
    }
}

void loom_attend_group(struct loom_attend *w, int32_t group)
{
    const struct loom_attention *rule = w->a->rule;
    w->group = group;
    w->queries = rule->q_groups.first[group + 1] - rule->q_groups.first[group];
    w->keys = rule->k_groups.first[group + 1] - rule->k_groups.first[group];
    w->ld = score_ld(w->keys);
    w->tile = tile_queries(w->queries, w->keys);
    w->hidden_whole = w->hides && w->tile == w->queries;
    if (!w->hides)
        return;
    for (int64_t j = 0; j < w->keys; j++) {
        const int64_t row = loom_attend_key(w, j);
        w->room.k_time[j] = rule->k_time ? rule->k_time[row] : 0;
        w->room.k_context[j] = rule->k_context ? rule->k_context[row] : 0;
    }
    if (w->hidden_whole)
        hide(w, 0, w->queries);
}

#if LOOM_LANES == 16
#define TWICE 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7
#define SWAPPED 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14
#elif LOOM_LANES == 8
#define TWICE 0, 0, 1, 1, 2, 2, 3, 3
#define SWAPPED 1, 0, 3, 2, 5, 4, 7, 6
#elif LOOM_LANES == 4
#define TWICE 0, 0, 1, 1
#define SWAPPED 1, 0, 3, 2
#else
#define TWICE 0, 0
#define SWAPPED 1, 0
#endif

/* Pairs (2i, 2i+1) of the first `left` lanes turned by the angles in the tables, or by the negative ones:
 * x cos + (x with pairs swapped) (∓ sin, ± sin). */
LOOM_INLINE loom_vec turned(loom_vec x, const loom_real *cosine, const loom_real *sine, int64_t left, int back)
{
    const int64_t pairs = left < LOOM_LANES ? left / 2 : LOOM_LANES / 2;
    const loom_vec c = loom_load_part(cosine, pairs), s = loom_load_part(sine, pairs);
    loom_vec sign;
    for (int i = 0; i < LOOM_LANES; i++)
        sign[i] = i % 2 == back ? -1 : 1;
    return loom_fma(x, __builtin_shufflevector(c, c, TWICE),
                    __builtin_shufflevector(x, x, SWAPPED) * (__builtin_shufflevector(s, s, TWICE) * sign));
}

/* Rows lie far apart, so the next head's part of each is asked for in passing. */
LOOM_INLINE void turn(int32_t dim, const loom_real *cosine, const loom_real *sine, int64_t row, loom_real by,
                      const loom_real *in, loom_real *out, const int back, int accumulate)
{
    const int64_t at = row * (dim / 2);
    for (int64_t i = 0, left = dim; left > 0; i += LOOM_LANES, left -= LOOM_LANES) {
        loom_vec v = loom_load_part(in + i, left) * by;
        __builtin_prefetch(in + dim + i);
        __builtin_prefetch(out + dim + i, 1);
        if (cosine)
            v = turned(v, cosine + at + i / 2, sine + at + i / 2, left, back);
        if (accumulate)
            v += loom_load_part(out + i, left);
        loom_store_part(out + i, v, left);
    }
}

void loom_turn(int32_t dim, const loom_real *cosine, const loom_real *sine, int64_t row, loom_real by,
               const loom_real *in, loom_real *out)
{
    turn(dim, cosine, sine, row, by, in, out, 0, 0);
}

void loom_turn_back(int32_t dim, const loom_real *cosine, const loom_real *sine, int64_t row, loom_real by,
                    const loom_real *in, loom_real *out, int accumulate)
{
    turn(dim, cosine, sine, row, by, in, out, 1, accumulate);
}

void loom_attend_head(struct loom_attend *w, int32_t head, int backward)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attention *rule = a->rule;
    const loom_real *turn_value = rule->rotate_value ? rule->k_cos : NULL;
    const int64_t at = (int64_t)head * w->dim;
    struct loom_attend_room *room = &w->room;
    w->head = head;
    for (int64_t j = 0; j < w->keys; j++) {
        const int64_t row = loom_attend_key(w, j);
        loom_turn(w->dim, rule->k_cos, rule->k_sin, row, 1, a->k + row * a->k_ld + at, room->rows + j * w->dim);
    }
    loom_pack(room->keys, w->dim, w->keys, room->rows, 1, w->dim);
    if (backward)
        loom_pack(room->keys_by_row, w->keys, w->dim, room->rows, w->dim, 1);
    for (int64_t j = 0; j < w->keys; j++) {
        const int64_t row = loom_attend_key(w, j);
        loom_turn(w->dim, turn_value, rule->k_sin, row, 1, a->v + row * a->v_ld + at, room->rows + j * w->dim);
    }
    if (backward)
        loom_pack(room->values_across, w->dim, w->keys, room->rows, 1, w->dim);
    else
        loom_pack(room->values, w->keys, w->dim, room->rows, w->dim, 1);
}

const loom_real *loom_attend_hidden(const struct loom_attend *w, int64_t i)
{
    return w->hides ? w->room.hidden + (w->hidden_whole ? w->first + i : i) * w->ld : NULL;
}

/* The keys that any query of the tile sees lie in [low, high). */
static void bounds(struct loom_attend *w)
{
    w->low = 0;
    w->high = w->keys;
    if (!w->hides)
        return;
    int64_t low = w->keys, high = 0;
    for (int64_t i = 0; i < w->count; i++) {
        const loom_real *hidden = loom_attend_hidden(w, i);
        int64_t from = 0, to = w->keys;
        while (from < low && hidden[from] < 0)
            from++;
        while (to > high && hidden[to - 1] < 0)
            to--;
        low = from < low ? from : low;
        high = to > high ? to : high;
    }
    w->low = low < high ? low / KEY_STEP * KEY_STEP : 0;
    w->high = low < high ? high : 0;
}

/* Queries bear the scale 1/√dim, so scores and the gradients of keys have it too. Columns are whole panels: ld has
 * room. */
void loom_attend_tile(struct loom_attend *w, int64_t first)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attention *rule = a->rule;
    const loom_real scale = 1 / LOOM_SQRT((loom_real)w->dim);
    w->first = first;
    w->count = w->queries - first < w->tile ? w->queries - first : w->tile;
    if (w->hides && !w->hidden_whole)
        hide(w, first, w->count);
    bounds(w);
    for (int64_t i = 0; i < w->count; i++) {
        const int64_t row = loom_attend_query(w, first + i);
        const loom_real *q = a->q + row * a->q_ld + (int64_t)w->head * w->dim;
        loom_turn(w->dim, rule->q_cos, rule->q_sin, row, scale, q, w->room.q + i * w->dim);
    }
    const struct loom_block scores = {
        .rows = w->count,
        .columns = round_up(w->high - w->low, LOOM_TILE_COLS),
        .k = w->dim,
        .x = w->room.q,
        .x_row = w->dim,
        .x_k = 1,
        .panels = w->room.keys + w->low * w->dim,
        .panel_step = (int64_t)LOOM_TILE_COLS * w->dim,
        .y = w->room.score + w->low,
        .ldy = w->ld,
    };
    loom_block(&scores);
}

struct loom_draw_row loom_attend_draws(const struct loom_attend *w, int64_t i)
{
    const struct loom_attention_args *a = w->a;
    struct loom_draw_row d = {.key = {a->key[0], a->key[1]}, .step = a->step};
    d.sample = loom_group_key(&a->rule->q_groups, w->group);
    d.block = (uint32_t)((w->head * w->queries + w->first + i) * ((w->keys + 7) / 8));
    d.threshold = loom_draw_threshold(a->rule->dropout);
    d.scale = loom_draw_scale(d.threshold);
    return d;
}
