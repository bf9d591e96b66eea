/* SPDX-License-Identifier: Apache-2.0 */
/* NDT2's token: one bin of a patch of neighbouring units (Ye, Collinger, Wehbe, Gaunt 2023). Counts go through one
 * small table shared by all units, whose vectors are laid side by side; answers are read as log-rates by one linear
 * layer. A unit's place in its patch hangs on its number in the recording, so dropping units moves nobody. */
#include <loom/nn.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ndt2 {
    const struct loom_options *options;
    int32_t patch, max_count;
};

static int ndt2_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct ndt2 *t = calloc(1, sizeof(*t));
    if (!t)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a tokenizer");
    t->options = loom_setup_options(s);
    t->patch = (int32_t)loom_opt_int(t->options, "patch_units");
    t->max_count = (int32_t)loom_opt_int(t->options, "max_count");
    *self = t;
    return LOOM_OK;
}

static void ndt2_destroy(void *self)
{
    free(self);
}

static int ndt2_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    static const char *const axes[] = {"space", NULL};
    (void)self;
    (void)e;
    t->offers = LOOM_CONTENT | LOOM_ELEMENTS | LOOM_UNITS;
    t->axes = axes;
    t->likelihood = "poisson";
    return LOOM_OK;
}

/* Units of each patch, as ranges of the window's units and as layouts. */
struct patches {
    int32_t n, *first, *layout; /* [n], [n+1] */
};

static int find_patches(const struct ndt2 *t, const struct loom_window *w, struct loom_rows_builder *b,
                        struct patches *p)
{
    p->n = w->units ? w->unit[w->units - 1] / t->patch + 1 : 0;
    p->first = loom_rows_scratch(b, ((size_t)p->n + 1) * sizeof(*p->first));
    p->layout = loom_rows_scratch(b, ((size_t)p->n + 1) * sizeof(*p->layout));
    if (!p->first || !p->layout)
        return LOOM_ENOMEM;
    p->first[0] = 0;
    for (int32_t s = 0, u = 0; s < p->n; s++) {
        while (u < w->units && w->unit[u] / t->patch == s)
            u++;
        p->first[s + 1] = u;
        p->layout[s] = loom_rows_layout(b, u - p->first[s], w->unit + p->first[s]);
    }
    return LOOM_OK;
}

/* Rows come bin by bin, and patch by patch within a bin: the order of NDT2's sequence. */
static int ndt2_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *b,
                         struct loom_error *e)
{
    const struct ndt2 *t = self;
    struct patches p;
    (void)e;
    loom_real *value = loom_rows_scratch(b, (size_t)t->patch * sizeof(*value));
    int status = find_patches(t, w, b, &p);
    if (!value || status != LOOM_OK)
        return LOOM_ENOMEM;
    for (int32_t k = 0; k < w->bins; k++)
        for (int32_t s = 0; s < p.n; s++) {
            int64_t at = (int64_t)k * w->units + p.first[s];
            int32_t n = p.first[s + 1] - p.first[s];
            double space = s;
            for (int32_t i = 0; i < n; i++)
                value[i] = (loom_real)w->count[at + i];
            if (n > 0)
                status = loom_rows_append(b, (k + 0.5) * w->bin_s, &space, p.layout[s], value,
                                          w->held ? w->held + at : NULL);
            if (status != LOOM_OK)
                return status;
        }
    return LOOM_OK;
}

/* The mask vector in every hidden row, zeros elsewhere. */
static struct loom_node *mask_rows(struct loom_build *b, const struct loom_rows *rows, int width)
{
    int32_t *which = loom_graph_alloc(loom_build_graph(b), ((size_t)rows->rows + 1) * sizeof(*which));
    for (int32_t r = 0; which && r < rows->rows; r++)
        which[r] = rows->state[r] == LOOM_HIDDEN ? 0 : -1;
    return loom_nn_embedding(b, "mask", 1, width, rows->rows, which, "normal:0.02");
}

/* Vectors of the counts of every slot of every patch, clipped; slots without a unit count 0; hidden rows have no
 * content. */
static struct loom_node *count_rows(const struct ndt2 *t, struct loom_build *b, const struct loom_rows *rows, int width)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = (int64_t)rows->rows * t->patch;
    int32_t *index = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*index));
    for (int32_t r = 0; index && r < rows->rows; r++) {
        const struct loom_layout *l = &rows->layout_of[rows->layout[r]];
        const loom_real *value = rows->value + rows->first_elem[r];
        int32_t *slot = index + (int64_t)r * t->patch;
        for (int32_t k = 0; k < t->patch; k++)
            slot[k] = rows->state[r] == LOOM_HIDDEN ? -1 : 0;
        for (int32_t k = 0; rows->state[r] == LOOM_SEEN && k < l->n; k++) {
            double count = rint((double)value[k]);
            slot[l->index[k] % t->patch] = count < 0.0 ? 0 : count > t->max_count ? t->max_count : (int32_t)count;
        }
    }
    struct loom_node *x = loom_nn_embedding(b, "count", t->max_count + 1, width / t->patch, n, index, "normal:1");
    return loom_reshape(g, x, 2, (const int64_t[]){rows->rows, width});
}

static struct loom_node *ndt2_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    const struct ndt2 *t = self;
    struct loom_graph *g = loom_build_graph(b);
    if (width % t->patch != 0) {
        loom_graph_fail(g, LOOM_ECONFIG,
                        "the backbone's width %d is not a multiple of patch_units %d; choose width = %d", width,
                        t->patch, (width / t->patch + 1) * t->patch);
        return loom_constant(g, 2, (const int64_t[]){rows->rows, width}, 0.0);
    }
    if (rows->target) /* questions have no content */
        return mask_rows(b, rows, width);
    struct loom_node *x = count_rows(t, b, rows, width);
    if (rows->rows && memchr(rows->state, LOOM_HIDDEN, (size_t)rows->rows))
        x = loom_add(g, x, mask_rows(b, rows, width));
    return loom_nn_dropout(b, "dropout", x, loom_opt_real(t->options, "dropout"), &rows->groups);
}

/* One log-rate a slot; those of slots that hold a unit are the elements. */
static struct loom_node *ndt2_read(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                   struct loom_node *answer)
{
    const struct ndt2 *t = self;
    struct loom_graph *g = loom_build_graph(b);
    int64_t slots = (int64_t)ask->rows * t->patch, elems = ask->elems;
    struct loom_node *y = loom_nn_linear(b, "log_rate", answer, t->patch, LOOM_ACT_NONE);
    y = loom_reshape(g, y, 2, (const int64_t[]){slots, 1});
    if (elems == slots)
        return y;
    int32_t *index = loom_graph_alloc(g, ((size_t)elems + 1) * sizeof(*index));
    for (int32_t r = 0; index && r < ask->rows; r++) {
        const struct loom_layout *l = &ask->layout_of[ask->layout[r]];
        for (int32_t k = 0; k < l->n; k++)
            index[ask->first_elem[r] + k] = r * t->patch + l->index[k] % t->patch;
    }
    return loom_gather(g, y, loom_input(g, LOOM_I32, 1, &elems, index));
}

static const struct loom_option options[] = {
    {"patch_units", LOOM_OPT_INT, 0, "32", "[1,4096]", "units", "neighbouring units in one token"},
    {"max_count", LOOM_OPT_INT, 0, "20", "[1,255]", "spikes",
     "larger counts are seen as this one (targets are not clipped)"},
    {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL, "of token vectors"},
    {0}};

static const struct loom_tokenizer table = {.part = {.size = sizeof(struct loom_tokenizer),
                                                     .create = ndt2_create,
                                                     .destroy = ndt2_destroy,
                                                     .describe = ndt2_describe},
                                            .tokenize = ndt2_tokenize,
                                            .embed = ndt2_embed,
                                            .read = ndt2_read};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "ndt2",
                                          .version = "0.1",
                                          .summary =
                                              "one token a bin and patch of units, counts through a shared table",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
