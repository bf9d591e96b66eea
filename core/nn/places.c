/* SPDX-License-Identifier: Apache-2.0 */
/* Where rows stand, and who sees whom. */
#include <loom/encoder.h>

#include <math.h>
#include <string.h>

static const double *axis(const struct loom_rows *rows, const char *name)
{
    for (int32_t a = 0; a < rows->axes; a++)
        if (strcmp(rows->axis_name[a], name) == 0)
            return rows->axis[a];
    return NULL;
}

struct loom_places loom_places_of(const struct loom_rows *rows)
{
    return (struct loom_places){.rows = rows->rows,
                                .segments = rows->segments,
                                .segment = rows->segment_of,
                                .time = axis(rows, "time"),
                                .space = axis(rows, "space")};
}

int loom_places_join(struct loom_build *b, const struct loom_places *first, const struct loom_places *then,
                     struct loom_places *out)
{
    struct loom_graph *g = loom_build_graph(b);
    size_t n = (size_t)first->rows + (size_t)then->rows + 1;
    int32_t *segment = loom_graph_alloc(g, n * sizeof(*segment));
    double *time = loom_graph_alloc(g, n * sizeof(*time)), *space = loom_graph_alloc(g, n * sizeof(*space));
    if (!segment || !time || !space)
        return 0;
    memcpy(segment, first->segment, (size_t)first->rows * sizeof(*segment));
    memcpy(segment + first->rows, then->segment, (size_t)then->rows * sizeof(*segment));
    memcpy(time, first->time, (size_t)first->rows * sizeof(*time));
    memcpy(time + first->rows, then->time, (size_t)then->rows * sizeof(*time));
    memcpy(space, first->space, (size_t)first->rows * sizeof(*space));
    memcpy(space + first->rows, then->space, (size_t)then->rows * sizeof(*space));
    *out = (struct loom_places){.rows = first->rows + then->rows,
                                .segments = first->segments,
                                .segment = segment,
                                .time = time,
                                .space = space};
    return 1;
}

static int32_t bin_of(const struct loom_encoder *n, double time_s)
{
    return (int32_t)floor(time_s / n->bin_s + 1e-9);
}

struct loom_node *loom_places_pool(const struct loom_encoder *n, struct loom_build *b, struct loom_node *x,
                                   struct loom_places *p)
{
    struct loom_graph *g = loom_build_graph(b);
    size_t room = (size_t)p->rows + 1;
    int32_t *first = loom_graph_alloc(g, (room + 1) * sizeof(*first)),
            *segment = loom_graph_alloc(g, room * sizeof(*segment));
    double *time = loom_graph_alloc(g, room * sizeof(*time)), *space = loom_graph_alloc(g, room * sizeof(*space));
    struct loom_groups groups = {.n = 0, .first = first, .row = NULL, .key = NULL};
    if (!first || !segment || !time || !space)
        return x;
    for (int32_t r = 0; r < p->rows; r++) {
        int same = r > 0 && p->segment[r] == p->segment[r - 1] && bin_of(n, p->time[r]) == bin_of(n, p->time[r - 1]);
        if (same)
            continue;
        first[groups.n] = r;
        segment[groups.n] = p->segment[r];
        time[groups.n] = p->time[r];
        space[groups.n++] = 0.0;
    }
    first[groups.n] = p->rows;
    *p = (struct loom_places){
        .rows = groups.n, .segments = p->segments, .segment = segment, .time = time, .space = space};
    return loom_group_mean(g, x, &groups);
}

/* ---- vectors of places ---- */

static struct loom_node *table_at(struct loom_build *b, const char *name, int64_t count, int32_t width,
                                  const double *at, int32_t rows)
{
    struct loom_node *table = loom_param(b, name, 2, (const int64_t[]){count, width}, "normal:0.2", LOOM_NO_DECAY);
    return loom_between(loom_build_graph(b), table, rows, at);
}

/* sin and cos of time over periods from two bins to 10000 times that (Vaswani et al. 2017). */
static struct loom_node *sinusoid(const struct loom_encoder *n, struct loom_build *b, const struct loom_places *p)
{
    struct loom_graph *g = loom_build_graph(b);
    loom_real *x = loom_graph_alloc(g, ((size_t)p->rows * (size_t)n->width + 1) * sizeof(*x));
    for (int32_t r = 0; x && r < p->rows; r++)
        for (int32_t i = 0; i < n->width / 2; i++) {
            double angle = p->time[r] / n->bin_s * pow(10000.0, -2.0 * i / n->width);
            x[(int64_t)r * n->width + 2 * i] = (loom_real)sin(angle);
            x[(int64_t)r * n->width + 2 * i + 1] = (loom_real)cos(angle);
        }
    return loom_input(g, LOOM_REAL, 2, (const int64_t[]){p->rows, n->width}, x);
}

struct loom_node *loom_encoder_time(const struct loom_encoder *n, struct loom_build *b, const struct loom_places *p)
{
    if (n->rotary)
        return NULL;
    if (!n->learned)
        return sinusoid(n, b, p);
    double *at = loom_graph_alloc(loom_build_graph(b), ((size_t)p->rows + 1) * sizeof(*at));
    for (int32_t r = 0; at && r < p->rows; r++)
        at[r] = p->time[r] / n->bin_s - 0.5;
    return table_at(b, "time", n->bins, n->width, at, at ? p->rows : 0);
}

struct loom_node *loom_encoder_space(const struct loom_encoder *n, struct loom_build *b, const struct loom_places *p)
{
    for (int32_t r = 0; r < p->rows; r++)
        if (p->space[r] >= n->max_space)
            loom_graph_fail(loom_build_graph(b), LOOM_ECONFIG,
                            "space coordinate %g is beyond max_space = %d of the backbone; set max_space = %d",
                            p->space[r], n->max_space, (int)p->space[r] + 1);
    return table_at(b, "space", n->max_space, n->width, p->space, p->rows);
}

/* ---- who sees whom ---- */

/* One side of an attention: rows by segment, context rows behind. */
struct side {
    struct loom_groups groups;
    double *time;     /* [rows + context rows] */
    uint8_t *context; /* the same; NULL without context */
    loom_real *cos, *sin;
};

/* Angles of rotary time: periods from two bins to the longest window, in geometric steps (Su et al. 2021). */
static void rotate(const struct loom_encoder *n, struct loom_build *b, const struct loom_places *p, int32_t rows,
                   struct side *out)
{
    int32_t half = n->width / n->heads / 2;
    size_t room = (size_t)rows * (size_t)half + 1;
    loom_real *c = loom_graph_alloc(loom_build_graph(b), room * sizeof(*c));
    loom_real *s = loom_graph_alloc(loom_build_graph(b), room * sizeof(*s));
    if (!c || !s)
        return;
    double shortest = 2.0 * n->bin_s, ratio = (double)n->bins / 2.0 > 1.0 ? (double)n->bins / 2.0 : 2.0;
    for (int32_t r = 0; r < rows; r++)
        for (int32_t i = 0; i < half; i++) {
            double period = shortest * pow(ratio, half > 1 ? (double)i / (half - 1) : 0.0);
            double angle = r < p->rows ? 6.283185307179586 * p->time[r] / period : 0.0;
            c[(int64_t)r * half + i] = (loom_real)cos(angle);
            s[(int64_t)r * half + i] = (loom_real)sin(angle);
        }
    out->cos = c;
    out->sin = s;
}

static int make_side(const struct loom_encoder *n, struct loom_build *b, const struct loom_places *p,
                     const uint64_t *key, int32_t contexts, struct side *out)
{
    struct loom_graph *g = loom_build_graph(b);
    int32_t rows = p->rows + contexts * p->segments;
    int32_t *first = loom_graph_alloc(g, ((size_t)p->segments + 2) * sizeof(*first));
    int32_t *row = loom_graph_alloc(g, ((size_t)rows + 1) * sizeof(*row));
    int32_t *next = loom_graph_alloc(g, ((size_t)p->segments + 1) * sizeof(*next));
    *out = (struct side){.time = loom_graph_alloc(g, ((size_t)rows + 1) * sizeof(double)),
                         .context = loom_graph_alloc(g, (size_t)rows + 1)};
    if (!first || !row || !next || !out->time || !out->context)
        return 0;
    memset(first, 0, ((size_t)p->segments + 2) * sizeof(*first));
    for (int32_t r = 0; r < p->rows; r++)
        first[p->segment[r] + 1]++;
    for (int32_t s = 0; s < p->segments; s++)
        first[s + 1] += first[s] + contexts;
    for (int32_t s = 0; s < p->segments; s++)
        for (int32_t c = 0; c < contexts; c++)
            row[first[s + 1] - contexts + c] = p->rows + s * contexts + c;
    memcpy(next, first, ((size_t)p->segments + 1) * sizeof(*next));
    for (int32_t r = 0; r < rows; r++) {
        if (r < p->rows)
            row[next[p->segment[r]]++] = r;
        out->time[r] = r < p->rows ? bin_of(n, p->time[r]) * n->bin_s : 0.0;
        out->context[r] = r >= p->rows;
    }
    if (!contexts)
        out->context = NULL;
    out->groups = (struct loom_groups){.n = p->segments, .first = first, .row = row, .key = key};
    if (n->rotary)
        rotate(n, b, p, rows, out);
    return 1;
}

void loom_encoder_rule(const struct loom_encoder *n, struct loom_build *b, const struct loom_view *view,
                       const struct loom_places *q, const struct loom_places *k, int32_t contexts,
                       struct loom_attention *out)
{
    struct side of_q, of_k;
    memset(out, 0, sizeof(*out));
    if (!make_side(n, b, k, view->in.groups.key, contexts, &of_k))
        return;
    if (q == k)
        of_q = of_k;
    else if (!make_side(n, b, q, view->in.groups.key, 0, &of_q))
        return;
    out->q_groups = of_q.groups;
    out->k_groups = of_k.groups;
    out->q_time = of_q.time;
    out->k_time = of_k.time;
    out->q_context = of_q.context;
    out->k_context = of_k.context;
    out->q_cos = of_q.cos;
    out->q_sin = of_q.sin;
    out->k_cos = of_k.cos;
    out->k_sin = of_k.sin;
    out->causal = n->causal || view->causal;
    /* A quarter of a bin of slack keeps the limits of sight clear of rounding. */
    double back = n->back_s < 0.0 ? view->back_s : n->back_s, ahead = n->ahead_s < 0.0 ? view->ahead_s : n->ahead_s;
    out->back_s = back < 0.0 ? -1.0 : back + 0.25 * n->bin_s;
    out->ahead_s = ahead < 0.0 ? -1.0 : ahead + 0.25 * n->bin_s;
}
