/* SPDX-License-Identifier: Apache-2.0 */
/* @NAME@: a backbone. It owns every coordinate and all mixing between rows: `encode` turns the vectors of what is seen
 * into a memory, `answer` puts questions to that memory. This one is a small transformer, whose questions attend to the
 * memory of their own segment.
 *
 * When its functions are called, and what they may do (<loom/plugin.h> has the whole contract):
 *   create, describe, destroy   [setup]  one thread; may allocate and fail
 *   encode, answer              [build]  many threads at once; append nodes to a graph; cannot fail
 * The instance (`self`) is const from create to destroy. Weights belong to the core and have names: there is nothing to
 * save, load or copy here. What create allocates destroy frees; nodes belong to the graph. */
#include <loom/nn.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct part {
    const struct loom_options *options;
    int32_t width, depth;
    double bin_s;
    struct loom_block_spec block;
};

/* [setup] What cannot be checked by an option's range is checked here, with a message that ends with the remedy. */
static int part_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    const int32_t width = (int32_t)loom_opt_int(o, "width"), heads = (int32_t)loom_opt_int(o, "heads");
    if (width % heads != 0)
        return loom_opt_fail(o, "heads", e, "width %d is not a multiple of heads %d; choose width = %d", (int)width,
                             (int)heads, (int)(width / heads + 1) * (int)heads);
    struct part *p = calloc(1, sizeof *p);
    if (p == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a backbone; free some");
    p->options = o;
    p->width = width;
    p->depth = (int32_t)loom_opt_int(o, "depth");
    p->bin_s = loom_catalog_bin_s(loom_setup_catalog(s));
    p->block =
        (struct loom_block_spec){.heads = heads, .pre_norm = 1, .feed_forward = 2.0, .activation = LOOM_ACT_GELU};
    *self = p;
    return LOOM_OK;
}

static void part_destroy(void *self)
{
    free(self);
}

/* [setup] `axes`: coordinates that it wants of every row; one that no tokenizer supplies reads 0. `width`: of x, of
 * questions and of answers. Offers: rows may be missing (HOLES) or stand there hidden (BLANKS); questions may stand on
 * a row of the view, on none, or behind the last; answers see the memory through `x` alone (OPEN). It does not offer
 * CAUSAL: a pipeline that needs it is refused before it runs. */
static int part_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    static const char *const axes[] = {"time", "space", NULL};
    const struct part *p = self;
    (void)e;
    t->axes = axes;
    t->width = p->width;
    t->offers = LOOM_HOLES | LOOM_BLANKS | LOOM_IN_PLACE | LOOM_ANYWHERE | LOOM_AHEAD | LOOM_OPEN;
    return LOOM_OK;
}

/* x + sines and cosines of time (first half of the columns) and space (second half): Vaswani et al. 2017, with periods
 * from 6 bins upwards. */
static struct loom_node *place(const struct part *p, struct loom_build *b, struct loom_node *x,
                               const struct loom_rows *rows)
{
    struct loom_graph *g = loom_build_graph(b);
    const int32_t half = p->width / 2;
    loom_real *at = loom_graph_alloc(g, ((size_t)rows->rows * (size_t)p->width + 1) * sizeof *at);
    if (at == NULL)
        return x;
    for (int32_t r = 0; r < rows->rows; r++)
        for (int32_t i = 0; i < p->width; i++) {
            const double where = i < half ? rows->axis[0][r] / p->bin_s : rows->axis[1][r];
            const int32_t k = i < half ? i : i - half;
            const double angle = where * pow(1000.0, -2.0 * (k / 2) / half);
            at[(int64_t)r * p->width + i] = (loom_real)(k % 2 == 0 ? sin(angle) : cos(angle));
        }
    return loom_add(g, x, loom_input(g, LOOM_REAL, 2, (const int64_t[]){rows->rows, p->width}, at));
}

/* [build] x [rows, width] as the tokenizers embedded the view's rows. Rows see the rows of their own segment: `groups`
 * says which those are. Never let one segment see another: what is in a batch together is an accident. */
static struct loom_memory part_encode(const void *self, struct loom_build *b, const struct loom_view *v,
                                      struct loom_node *x)
{
    const struct part *p = self;
    const struct loom_attention see = {
        .q_groups = v->in.groups, .k_groups = v->in.groups, .back_s = -1.0, .ahead_s = -1.0};
    struct loom_block_spec spec = p->block;
    spec.dropout = spec.attention_dropout = loom_opt_real(p->options, "dropout");
    x = place(p, b, x, &v->in);
    for (int32_t i = 0; i < p->depth; i++) {
        char name[32];
        snprintf(name, sizeof name, "block%d", (int)i);
        x = loom_nn_block(b, name, x, &spec, &see, &v->in.groups);
    }
    return (struct loom_memory){.rows = &v->in, .x = loom_nn_layer_norm(b, "norm", x)};
}

/* [build] Once for each modality that is asked, inside a scope of its name, so that each has weights of its own. q [ask
 * rows, width]: the questions as the tokenizer embedded them, without content. */
static struct loom_answer part_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                      const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    const struct part *p = self;
    const struct loom_attention see = {
        .q_groups = ask->groups, .k_groups = v->in.groups, .back_s = -1.0, .ahead_s = -1.0};
    struct loom_block_spec spec = p->block;
    spec.dropout = spec.attention_dropout = loom_opt_real(p->options, "dropout");
    q = loom_nn_cross_block(b, "cross", place(p, b, q, ask), m->x, &spec, &see, &ask->groups);
    return (struct loom_answer){.out = loom_nn_layer_norm(b, "norm", q)};
}

static const struct loom_option options[] = {
    {"width", LOOM_OPT_INT, 0, "64", "[4,16384]", NULL, "Width of every row's vector."},
    {"depth", LOOM_OPT_INT, 0, "2", "[0,100]", "blocks", "Transformer blocks of the encoder."},
    {"heads", LOOM_OPT_INT, 0, "2", "[1,256]", NULL, "Heads of attention; they divide the width."},
    {"dropout", LOOM_OPT_REAL, LOOM_OPT_LIVE, "0.1", "[0,1)", NULL,
     "Of attention weights and of each sublayer's output."},
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};

static const struct loom_backbone table = {
    .part = {.size = sizeof table, .create = part_create, .destroy = part_destroy, .describe = part_describe},
    .encode = part_encode,
    .answer = part_answer};

/* The id is the file's name without ".so". */
static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "@NAME@",
                                          .version = "0.1",
                                          .summary = "a small transformer whose questions attend to what was seen",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BACKBONE,
                                          .options = options,
                                          .table = &table};

/* [load] The one symbol that the file shows. */
const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
