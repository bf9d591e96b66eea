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

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

size_t loom_attend_plan(const struct loom_attention *rule, int backward, void *scratch, struct loom_attend_room *room)
{
    const int64_t real = (int64_t)sizeof(loom_real), d = rule->width / rule->heads, w = round_up(d, LOOM_TILE_COLS);
    int64_t keys = 1, tile = 1, scores = 1, draws = 0;
    size_t used = 0;
    for (int32_t g = 0; g < rule->q_groups.n; g++) {
        const int64_t k = rule->k_groups.first[g + 1] - rule->k_groups.first[g];
        const int64_t t = tile_queries(rule->q_groups.first[g + 1] - rule->q_groups.first[g], k);
        keys = at_least(keys, k);
        tile = at_least(tile, t);
        scores = at_least(scores, t * score_ld(k));
        draws = at_least(draws, rule->dropout > 0 ? t * ((k + 7) / 8) + LOOM_DRAW_BLOCKS : 0);
    }
    const int64_t panels = round_up(keys, LOOM_TILE_COLS) * d * real;
    room->q = part(scratch, &used, tile * w * real);
    room->k = part(scratch, &used, keys * w * real);
    room->v = part(scratch, &used, keys * w * real);
    room->sums = part(scratch, &used, tile * w * real);
    room->by = part(scratch, &used, tile * real);
    room->keys = part(scratch, &used, panels);
    room->score = part(scratch, &used, scores * real);
    room->kept = part(scratch, &used, draws);
    room->k_time = part(scratch, &used, keys * (int64_t)sizeof(double));
    room->k_context = part(scratch, &used, keys);
    room->hidden = part(scratch, &used, loom_rule_hides(rule) ? scores * real : 0);
    if (!backward)
        return used;
    room->values = part(scratch, &used, panels);
    room->dout = part(scratch, &used, tile * w * real);
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
    w->backward = backward;
    w->scale = 1 / LOOM_SQRT((loom_real)w->dim);
    w->threshold = loom_draw_threshold(a->rule->dropout);
    w->survives = loom_draw_scale(w->threshold);
    w->wide = (int32_t)round_up(w->dim, LOOM_TILE_COLS);
    loom_attend_plan(a->rule, backward, scratch, &w->room);
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

/* Whether the rows of a group follow each other. */
static int in_row(const struct loom_groups *groups, int32_t group)
{
    const int32_t *row = groups->row, first = groups->first[group];
    for (int32_t i = first + 1; row && i < groups->first[group + 1]; i++)
        if (row[i] != row[first] + (i - first))
            return 0;
    return 1;
}

void loom_attend_group(struct loom_attend *w, int32_t group)
{
    const struct loom_attention *rule = w->a->rule;
    w->group = group;
    w->queries = rule->q_groups.first[group + 1] - rule->q_groups.first[group];
    w->keys = rule->k_groups.first[group + 1] - rule->k_groups.first[group];
    w->ld = score_ld(w->keys);
    w->tile = tile_queries(w->queries, w->keys);
    w->end = w->queries;
    w->q_in_row = in_row(&rule->q_groups, group);
    w->k_in_row = in_row(&rule->k_groups, group);
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
    loom_vec sign = {0};
    for (int i = 0; i < LOOM_LANES; i++)
        sign[i] = i % 2 == back ? -1 : 1;
    return loom_fma(x, __builtin_shufflevector(c, c, TWICE),
                    __builtin_shufflevector(x, x, SWAPPED) * (__builtin_shufflevector(s, s, TWICE) * sign));
}

/* One head's part of a row. */
LOOM_INLINE void turn(int32_t dim, const loom_real *cosine, const loom_real *sine, int64_t row, loom_real by,
                      const loom_real *in, loom_real *out, const int back, int accumulate)
{
    const int64_t at = row * (dim / 2);
    for (int64_t i = 0, left = dim; left > 0; i += LOOM_LANES, left -= LOOM_LANES) {
        loom_vec v = loom_load_part(in + i, left) * by;
        if (cosine)
            v = turned(v, cosine + at + i / 2, sine + at + i / 2, left, back);
        if (accumulate)
            v += loom_load_part(out + i, left);
        loom_store_part(out + i, v, left);
    }
}

/* Rows of whole panels can be read and written where they lie, unless their distance crowds them into few sets. */
static int direct(const struct loom_attend *w, int in_row, const loom_real *cosine, int64_t ld)
{
    return in_row && !cosine && w->dim == w->wide && ld * (int64_t)sizeof(loom_real) % 4096 != 0;
}

/* The head's part of rows first … of the group, staged in `buffer` where it must be. */
static struct loom_attend_rows rows_of(const struct loom_attend *w, const struct loom_groups *groups, int in_row,
                                       int64_t first, int64_t count, const loom_real *from, int64_t ld,
                                       const loom_real *cosine, const loom_real *sine, loom_real *buffer)
{
    from += (int64_t)w->head * w->dim;
    first += groups->first[w->group];
    if (count == 0)
        return (struct loom_attend_rows){buffer, w->wide};
    if (direct(w, in_row, cosine, ld))
        return (struct loom_attend_rows){from + loom_group_row(groups, first) * ld, ld};
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = loom_group_row(groups, first + i);
        for (int64_t j = w->dim / LOOM_LANES * LOOM_LANES; j < w->wide; j += LOOM_LANES)
            loom_store(buffer + i * w->wide + j, loom_splat(0));
        turn(w->dim, cosine, sine, row, 1, from + row * ld, buffer + i * w->wide, 0, 0);
    }
    return (struct loom_attend_rows){buffer, w->wide};
}

struct loom_attend_sums loom_attend_sums(const struct loom_attend *w, const struct loom_attend_result *r)
{
    const struct loom_groups *groups = r->of_keys ? &w->a->rule->k_groups : &w->a->rule->q_groups;
    if (!direct(w, r->of_keys ? w->k_in_row : w->q_in_row, r->cosine, r->ld))
        return (struct loom_attend_sums){r->buffer, w->wide, 0, 0};
    const int64_t row = loom_group_row(groups, groups->first[w->group] + r->first);
    return (struct loom_attend_sums){r->to + row * r->ld + (int64_t)w->head * w->dim, r->ld, 1, r->accumulate};
}

void loom_attend_unload(const struct loom_attend *w, const struct loom_attend_result *r, const loom_real *by)
{
    const struct loom_attend_sums sums = loom_attend_sums(w, r);
    const struct loom_groups *groups = r->of_keys ? &w->a->rule->k_groups : &w->a->rule->q_groups;
    for (int64_t i = 0; (!sums.direct || by) && i < r->count; i++) {
        const int64_t row = loom_group_row(groups, groups->first[w->group] + r->first + i);
        turn(w->dim, r->cosine, r->sine, row, by ? by[i] : 1, sums.at + i * sums.ld,
             r->to + row * r->ld + (int64_t)w->head * w->dim, 1, sums.direct ? 0 : r->accumulate);
    }
}

/* by[i] = Σ dout out of one row and head: what the softmax takes from each dscore. */
static void dots(const struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    for (int64_t i = 0; i < w->count; i++) {
        const int64_t at = loom_attend_query(w, w->first + i) * a->out_ld + (int64_t)w->head * w->dim;
        loom_vec sum = loom_splat(0);
        for (int64_t j = 0, left = w->dim; left > 0; j += LOOM_LANES, left -= LOOM_LANES)
            sum += loom_load_part(a->out + at + j, left) * loom_load_part(a->dout + at + j, left);
        w->room.by[i] = loom_lanes_sum(sum);
    }
}

/* The next head's part of a group's rows, or that of the first head of the next group. */
static void ask(struct loom_attend *w, const struct loom_groups *groups, const loom_real *at, int64_t ld)
{
    const int more = w->head + 1 < w->a->rule->heads;
    const int32_t g = more ? w->group : w->group + 1;
    if (!at || g >= groups->n)
        return;
    w->ahead.run[w->ahead.runs++] = (struct loom_ahead_run){
        .at = (const char *)(at + (more ? (int64_t)(w->head + 1) * w->dim : 0)),
        .step = ld * (int64_t)sizeof *at,
        .bytes = w->dim * (int64_t)sizeof *at,
        .row = groups->row,
        .first = groups->first[g],
        .count = groups->first[g + 1] - groups->first[g],
    };
}

/* What is needed first is asked for first: the last run. */
static void look_ahead(struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_groups *q = &a->rule->q_groups, *k = &a->rule->k_groups;
    w->ahead.runs = 0;
    w->ahead.next = 0;
    ask(w, q, w->backward ? a->dq : NULL, a->q_ld);
    ask(w, k, w->backward ? a->dk : NULL, a->k_ld);
    ask(w, k, w->backward ? a->dv : NULL, a->v_ld);
    ask(w, q, a->out, a->out_ld);
    ask(w, q, w->backward ? a->dout : NULL, a->out_ld);
    ask(w, q, a->q, a->q_ld);
    ask(w, k, a->v, a->v_ld);
    ask(w, k, a->k, a->k_ld);
}

void loom_attend_head(struct loom_attend *w, int32_t head)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attention *rule = a->rule;
    const struct loom_groups *groups = &rule->k_groups;
    struct loom_attend_room *room = &w->room;
    w->head = head;
    look_ahead(w);
    w->k = rows_of(w, groups, w->k_in_row, 0, w->keys, a->k, a->k_ld, rule->k_cos, rule->k_sin, room->k);
    w->v = rows_of(w, groups, w->k_in_row, 0, w->keys, a->v, a->v_ld, rule->rotate_value ? rule->k_cos : NULL,
                   rule->k_sin, room->v);
    loom_pack(room->keys, w->dim, w->keys, w->k.at, 1, w->k.ld);
    if (w->backward)
        loom_pack(room->values, w->dim, w->keys, w->v.at, 1, w->v.ld);
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

/* Queries follow each other in the addresses: where all keys are in sight the tile's draws are one run of blocks. */
static void draw(const struct loom_attend *w)
{
    const struct loom_attention_args *a = w->a;
    const int64_t step = (w->keys + 7) / 8, low = w->low / 8, high = (w->high + 7) / 8;
    if (!w->threshold)
        return;
    const struct loom_draw_row d = loom_draw_row(a->key, a->step, loom_group_key(&a->rule->q_groups, w->group),
                                                 (uint32_t)((w->head * w->queries + w->first) * step), w->threshold);
    if (low == 0 && high == step)
        loom_draw_bits(&d, 0, w->count * step, w->room.kept);
    else
        for (int64_t i = 0; i < w->count; i++)
            loom_draw_bits(&d, i * step + low, high - low, w->room.kept + i * step + low);
}

/* Columns are whole vectors: ld has room. */
void loom_attend_tile(struct loom_attend *w, int64_t first)
{
    const struct loom_attention_args *a = w->a;
    const struct loom_attention *rule = a->rule;
    w->first = first;
    w->count = at_most(w->end - first, w->tile);
    if (w->hides && !w->hidden_whole)
        hide(w, first, w->count);
    bounds(w);
    w->q =
        rows_of(w, &rule->q_groups, w->q_in_row, first, w->count, a->q, a->q_ld, rule->q_cos, rule->q_sin, w->room.q);
    if (w->backward) {
        const loom_real *cosine = rule->rotate_value ? rule->q_cos : NULL;
        w->dout = rows_of(w, &rule->q_groups, w->q_in_row, first, w->count, a->dout, a->out_ld, cosine, rule->q_sin,
                          w->room.dout);
        dots(w);
    }
    const struct loom_block scores = {
        .rows = w->count,
        .columns = round_up(w->high - w->low, LOOM_LANES),
        .k = w->dim,
        .x = w->q.at,
        .x_row = w->q.ld,
        .x_k = 1,
        .panels = w->room.keys + w->low * w->dim,
        .panel_step = (int64_t)LOOM_TILE_COLS * w->dim,
        .y = w->room.score + w->low,
        .ldy = w->ld,
        .ahead = &w->ahead,
    };
    loom_block(&scores);
    draw(w);
}
