/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of patches of activity: some bins of some neighbouring units are one row, and one word of a learnt book
 * (VQ-VAE, van den Oord et al. 2017; unit vectors as in LaBraM, Jiang et al. 2024; levels as in residual quantisation,
 * Zeghidour et al. 2021).
 *
 *     √counts → encoder → z (→ unit) → nearest code of each level, of what the levels before it left → Σ codes q
 *     z + stop(q − z) → decoder + log-rate of the unit → log-rates of the patch
 *
 * The objective `quantize` trains encoder, decoder and book: gradients go straight through the codes, and the book
 * follows the vectors by moving averages, after k-means before the first step. For any other objective the tokenizer
 * is an input like others: patches through a small network, or, with input = "codes", the codes' vectors. */
#include "vq_ops.h"
#include "vq_quantiser.h"

#include <loom/codes.h>
#include <loom/nn.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vq {
    struct vq_quantiser quantiser; /* first: its functions take the whole */
    int32_t units, bins, slots;    /* of a patch; slots = units × bins */
};

static struct loom_node *content(const void *self, struct loom_build *b, const struct loom_rows *rows);

/* ---- setup ---- */

static int vq_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct vq *t = calloc(1, sizeof(*t));
    if (!t)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a tokenizer");
    t->units = (int32_t)loom_opt_int(o, "patch_units");
    t->bins = (int32_t)loom_opt_int(o, "patch_bins");
    t->slots = t->units * t->bins;
    vq_quantiser_init(&t->quantiser, s, content);
    *self = t;
    return LOOM_OK;
}

static void vq_destroy(void *self)
{
    free(self);
}

static int vq_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    static const char *const axes[] = {"space", NULL};
    const struct vq *q = self;
    (void)e;
    t->offers = LOOM_CONTENT | LOOM_ELEMENTS | LOOM_CODES | (q->bins == 1 ? LOOM_UNITS : 0);
    t->axes = axes;
    t->likelihood = "poisson";
    return LOOM_OK;
}

/* ---- rows ---- */

/* A patch's elements bin by bin: unit × bins + bin is what a layout says of one, so that with one bin it is the unit.
 */
struct patch {
    int32_t *index;
    loom_real *value;
    uint8_t *held;
};

static int append_patch(const struct vq *t, const struct loom_window *w, struct loom_rows_builder *b, struct patch *p,
                        int32_t first_bin, int32_t first_unit, int32_t last_unit)
{
    int32_t bins = w->bins - first_bin < t->bins ? w->bins - first_bin : t->bins, n = 0;
    double space = (double)(w->unit[first_unit] / t->units);
    for (int32_t k = 0; k < bins; k++)
        for (int32_t u = first_unit; u < last_unit; u++, n++) {
            int64_t at = (int64_t)(first_bin + k) * w->units + u;
            p->index[n] = w->unit[u] * t->bins + k;
            p->value[n] = (loom_real)w->count[at];
            p->held[n] = w->held ? w->held[at] : 0;
        }
    return loom_rows_append(b, (first_bin + 0.5 * bins) * w->bin_s, &space, loom_rows_layout(b, n, p->index), p->value,
                            p->held);
}

static int vq_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *b, struct loom_error *e)
{
    const struct vq *t = self;
    size_t most = (size_t)t->slots + 1;
    struct patch p = {loom_rows_scratch(b, most * sizeof(*p.index)), loom_rows_scratch(b, most * sizeof(*p.value)),
                      loom_rows_scratch(b, most)};
    (void)e;
    if (!p.index || !p.value || !p.held)
        return LOOM_ENOMEM;
    for (int32_t k = 0; k < w->bins; k += t->bins)
        for (int32_t u = 0, next; u < w->units; u = next) {
            for (next = u; next < w->units && w->unit[next] / t->units == w->unit[u] / t->units;)
                next++;
            int status = append_patch(t, w, b, &p, k, u, next);
            if (status != LOOM_OK)
                return status;
        }
    return LOOM_OK;
}

/* Place of element k of row r in its patch. */
static int32_t slot_of(const struct vq *t, const struct loom_rows *rows, int32_t r, int32_t k)
{
    int32_t index = rows->layout_of[rows->layout[r]].index[k];
    return index % t->bins * t->units + index / t->bins % t->units;
}

/* ---- graph ---- */

/* √counts in the patch's slots [R, slots]; what is held out is 0. */
static struct loom_node *content(const void *self, struct loom_build *b, const struct loom_rows *rows)
{
    const struct vq *t = self;
    struct loom_graph *g = loom_build_graph(b);
    size_t n = (size_t)rows->rows * (size_t)t->slots;
    loom_real *x = loom_graph_alloc(g, (n + 1) * sizeof(*x));
    const loom_real *value = rows->target ? rows->target : rows->value;
    if (x)
        memset(x, 0, n * sizeof(*x));
    for (int32_t r = 0; x && r < rows->rows; r++)
        for (int32_t i = rows->first_elem[r]; i < rows->first_elem[r + 1]; i++)
            if (!rows->held[i] && (double)value[i] > 0 && isfinite((double)value[i]))
                x[(int64_t)r * t->slots + slot_of(t, rows, r, i - rows->first_elem[r])] =
                    (loom_real)sqrt((double)value[i]);
    return loom_input(g, LOOM_REAL, 2, (const int64_t[]){rows->rows, t->slots}, x);
}

/* Log-rates of the elements [E, 1]: their slot's of y [R, slots], and their unit's own, a row of table `name`. */
static struct loom_node *elements(const struct vq *t, struct loom_build *b, const struct loom_rows *ask,
                                  struct loom_node *y, const char *name)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = ask->elems;
    struct loom_node *table = loom_table(b, "unit", name, 1, "zeros", LOOM_NO_DECAY);
    int32_t *slot = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*slot));
    int32_t *unit = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*unit));
    for (int32_t r = 0; slot && unit && r < ask->rows; r++) {
        const struct loom_layout *l = &ask->layout_of[ask->layout[r]];
        int32_t recording = ask->segment[ask->segment_of[r]].recording, first = ask->first_elem[r];
        for (int32_t k = 0; k < l->n; k++) {
            slot[first + k] = r * t->slots + slot_of(t, ask, r, k);
            unit[first + k] = loom_table_row(b, "unit", recording, l->index[k] / t->bins);
        }
    }
    y = loom_reshape(g, y, 2, (const int64_t[]){(int64_t)ask->rows * t->slots, 1});
    return loom_add(g, loom_gather(g, y, loom_input(g, LOOM_I32, 1, &n, slot)),
                    loom_gather(g, table, loom_input(g, LOOM_I32, 1, &n, unit)));
}

static struct loom_node *vq_read(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                 struct loom_node *answer)
{
    const struct vq *t = self;
    return elements(t, b, ask, loom_nn_linear(b, "log_rate", answer, t->slots, LOOM_ACT_NONE), "unit_log_rate");
}

/* ---- codes ---- */

/* Σ w (y − y ln y): the Poisson cost of log-rates that are right. */
static double least_cost(const struct loom_rows *ask)
{
    double sum = 0;
    for (int32_t i = 0; i < ask->elems; i++)
        if (ask->weight[i] != 0 && ask->target[i] > 0)
            sum += (double)ask->weight[i] * (double)ask->target[i] * (1 - log((double)ask->target[i]));
    return sum;
}

static struct loom_rebuilt vq_rebuild(const void *self, struct loom_build *b, const struct loom_rows *ask)
{
    const struct vq *t = self;
    struct loom_rebuilt out = {.least = least_cost(ask)};
    struct loom_node *x = content(t, b, ask);
    loom_scope_push(b, "vq");
    struct loom_node *y = vq_through(&t->quantiser, b, ask, x, &out.commitment);
    y = loom_nn_linear(b, "decoder0", y, t->quantiser.hidden, LOOM_ACT_GELU);
    y = loom_nn_linear(b, "decoder1", y, t->slots, LOOM_ACT_NONE);
    out.params = elements(t, b, ask, y, "unit");
    loom_scope_pop(b);
    return out;
}

static int vq_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    const struct vq *t = self;
    (void)e;
    return vq_quantiser_update(&t->quantiser, u, loom_update_pass(u));
}

static const void *vq_extension(const void *self, const char *id)
{
    static const struct loom_codes codes = {.size = sizeof(struct loom_codes),
                                            .count = vq_count,
                                            .levels = vq_levels,
                                            .codes = vq_codes,
                                            .rebuild = vq_rebuild};
    (void)self;
    return strcmp(id, LOOM_CODES_ID) == 0 ? &codes : NULL;
}

static const struct loom_option options[] = {
    {"patch_units", LOOM_OPT_INT, 0, "16", "[1,4096]", "units", "neighbouring units in one row"},
    {"patch_bins", LOOM_OPT_INT, 0, "4", "[1,1024]", "bins", "neighbouring bins in one row"},
    {"input", LOOM_OPT_STRING, 0, "patch", "patch|codes", NULL,
     "what a backbone sees of a row: its counts through a small network, or the vectors of its codes"},
    VQ_OPTIONS,
    {0}};

static const struct loom_tokenizer table = {.part = {.size = sizeof(struct loom_tokenizer),
                                                     .create = vq_create,
                                                     .destroy = vq_destroy,
                                                     .describe = vq_describe,
                                                     .update = vq_update,
                                                     .extension = vq_extension},
                                            .tokenize = vq_tokenize,
                                            .embed = vq_embed,
                                            .read = vq_read};

static const struct loom_op *const ops[] = {&vq_nearest_op, &vq_interleave_op, &vq_sums_op, NULL};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "vq",
                                          .version = "0.1",
                                          .summary = "patches of bins and units with codes of a learnt book",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .options = options,
                                          .table = &table,
                                          .ops = ops};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
