/* SPDX-License-Identifier: Apache-2.0 */
#include <loom/nn.h>

#include "tensor/ops/gru.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct gates {
    struct loom_node *weight, *bias;
};

static struct gates gates(struct loom_build *b, const char *name, int64_t in, int64_t width)
{
    char init[48];
    int64_t out = 3 * width;
    snprintf(init, sizeof(init), "uniform:%.9g", 1 / sqrt((double)(width > 0 ? width : 1)));
    loom_scope_push(b, name);
    struct gates g = {loom_weight(b, "weight", out, in, init, 0), loom_param(b, "bias", 1, &out, init, LOOM_NO_DECAY)};
    loom_scope_pop(b);
    return g;
}

static struct loom_node *product(struct loom_build *b, struct gates p, struct loom_node *x)
{
    return loom_linear(loom_build_graph(b), x, p.weight, p.bias, LOOM_ACT_NONE);
}

struct loom_node *loom_nn_gru_cell(struct loom_build *b, const char *name, struct loom_node *x, struct loom_node *h)
{
    int64_t width = loom_node_dim(h, -1);
    loom_scope_push(b, name);
    struct gates input = gates(b, "input", loom_node_dim(x, -1), width), hidden = gates(b, "hidden", width, width);
    h = loom_gru_gates(loom_build_graph(b), product(b, input, x), product(b, hidden, h), h);
    loom_scope_pop(b);
    return h;
}

/* The order in which a recurrence visits ragged groups: time-major, longest groups first, so that the groups still
 * running at a step are the first ones and their states a slice. */
struct schedule {
    int64_t rows;     /* visited */
    int32_t steps;    /* rows of the longest group */
    int32_t *group;   /* [groups] longest first */
    int32_t *running; /* [steps] groups still running */
    int32_t *visit;   /* [rows] row at each place */
    int32_t *place;   /* [all rows] place of each row, -1 = in no group */
};

static int32_t length_of(const struct loom_groups *g, int32_t i)
{
    return g->first[i + 1] - g->first[i];
}

/* Counting sort by length, stable. */
static void order_groups(struct schedule *s, const struct loom_groups *groups)
{
    for (int32_t g = 0; g < groups->n; g++)
        for (int32_t t = 0; t < length_of(groups, g); t++)
            s->running[t]++;
    for (int32_t g = 0; g < groups->n; g++) {
        int32_t length = length_of(groups, g), longer = length < s->steps ? s->running[length] : 0;
        for (int32_t i = 0; i < g; i++)
            longer += length_of(groups, i) == length;
        s->group[longer] = g;
    }
}

static int make_schedule(struct schedule *s, struct loom_graph *g, const struct loom_groups *groups, int64_t all,
                         int reverse)
{
    *s = (struct schedule){0};
    for (int32_t i = 0; i < groups->n; i++) {
        s->rows += length_of(groups, i);
        s->steps = length_of(groups, i) > s->steps ? length_of(groups, i) : s->steps;
    }
    size_t count = (size_t)groups->n + (size_t)s->steps + (size_t)s->rows + (size_t)all;
    int32_t *memory = loom_graph_alloc(g, count * sizeof(*memory) + 1);
    if (!memory)
        return 0;
    s->group = memory;
    s->running = s->group + groups->n;
    s->visit = s->running + s->steps;
    s->place = s->visit + s->rows;
    memset(s->running, 0, (size_t)s->steps * sizeof(*s->running));
    order_groups(s, groups);
    for (int64_t r = 0; r < all; r++)
        s->place[r] = -1;
    int32_t at = 0;
    for (int32_t t = 0; t < s->steps; t++)
        for (int32_t i = 0; i < s->running[t]; i++) {
            int32_t group = s->group[i], entry = reverse ? groups->first[group + 1] - 1 - t : groups->first[group] + t;
            int32_t row = groups->row ? groups->row[entry] : entry;
            s->visit[at] = row;
            s->place[row] = at++;
        }
    return 1;
}

/* What would let the schedule read or write outside its arrays. */
static int groups_fit(struct loom_graph *g, const struct loom_groups *groups, int64_t rows)
{
    int fits = groups->n >= 0 && groups->first && (groups->n == 0 || groups->first[0] >= 0);
    for (int32_t i = 0; fits && i < groups->n; i++)
        fits = groups->first[i + 1] >= groups->first[i] && (groups->row || groups->first[i + 1] <= rows);
    for (int32_t i = fits && groups->n ? groups->first[0] : 0; fits && groups->row && i < groups->first[groups->n]; i++)
        fits = groups->row[i] >= 0 && groups->row[i] < rows;
    if (!fits)
        loom_graph_fail(g, LOOM_ESHAPE, "groups of a recurrence over %lld rows name others: make groups of these rows",
                        (long long)rows);
    return fits;
}

static struct loom_node *indexed(struct loom_graph *g, struct loom_node *x, int64_t n, const int32_t *index)
{
    return loom_gather(g, x, loom_input(g, LOOM_I32, 1, &n, index));
}

struct loom_node *loom_nn_gru(struct loom_build *b, const char *name, struct loom_node *x, int64_t width,
                              const struct loom_groups *groups, struct loom_node *h0, int reverse)
{
    struct loom_graph *g = loom_build_graph(b);
    struct schedule s;
    int64_t rows = loom_node_dim(x, 0);
    loom_scope_push(b, name);
    struct gates input = gates(b, "input", loom_node_dim(x, -1), width), hidden = gates(b, "hidden", width, width);
    struct loom_node *y = product(b, input, x);
    if (!loom_node_ok(y) || !groups_fit(g, groups, rows) || !make_schedule(&s, g, groups, rows, reverse))
        goto out;
    struct loom_node **state = loom_graph_alloc(g, ((size_t)s.steps + 1) * sizeof(struct loom_node *));
    if (!state)
        goto out;
    struct loom_node *part = indexed(g, y, s.rows, s.visit);
    struct loom_node *h =
        h0 ? indexed(g, h0, groups->n, s.group) : loom_constant(g, 2, (int64_t[]){groups->n, width}, 0);
    int64_t at = 0;
    for (int32_t t = 0; t < s.steps; t++) {
        if (loom_node_dim(h, 0) != s.running[t])
            h = loom_slice_rows(g, h, 0, s.running[t]);
        state[t] = h = loom_gru_gates(g, loom_slice_rows(g, part, at, s.running[t]), product(b, hidden, h), h);
        at += s.running[t];
    }
    y = s.steps ? indexed(g, loom_concat_rows(g, s.steps, state), rows, s.place)
                : loom_constant(g, 2, (int64_t[]){rows, width}, 0);
out:
    loom_scope_pop(b);
    return y;
}
