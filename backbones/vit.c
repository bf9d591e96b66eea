/* SPDX-License-Identifier: Apache-2.0 */
/* A transformer over rows, asked through small transformers of its own, one for each modality (NDT2, Ye et al. 2023;
 * masked autoencoders, He et al. 2022).
 *
 *     encode:  x + time + space, context rows behind → depth blocks → memory
 *     answer:  [memory (pooled over time) ; questions] + time + space, context → decoder_depth blocks → the questions'
 * rows
 *
 * Encoder and each decoder have time and space tables of their own. Context rows (session, subject, task) see context
 * alone and are seen by all. With decoder_depth 0 a question is answered by the row of the view that it stands on
 * (NDT1). */
#include <loom/encoder.h>
#include <loom/plugin.h>

#include <stdlib.h>

struct vit {
    struct loom_encoder net;
    int32_t decoder_depth, pool;
};

/* ---- setup ---- */

static int vit_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    struct vit *v = calloc(1, sizeof(*v));
    if (!v)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a backbone");
    v->decoder_depth = (int32_t)loom_opt_int(o, "decoder_depth");
    v->pool = loom_opt_is(o, "pool", "time");
    int status = loom_encoder_init(&v->net, s, e);
    if (status != LOOM_OK) {
        free(v);
        return status;
    }
    *self = v;
    return LOOM_OK;
}

static void vit_destroy(void *self)
{
    free(self);
}

static int vit_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct vit *v = self;
    (void)e;
    t->axes = loom_encoder_axes();
    t->width = v->net.width;
    t->offers = LOOM_HOLES | LOOM_BLANKS | LOOM_IN_PLACE | LOOM_CAUSAL | LOOM_OPEN;
    if (v->decoder_depth > 0)
        t->offers |= LOOM_ANYWHERE | LOOM_AHEAD;
    return LOOM_OK;
}

/* ---- passes ---- */

static struct loom_memory vit_encode(const void *self, struct loom_build *b, const struct loom_view *view,
                                     struct loom_node *x)
{
    const struct vit *v = self;
    return loom_encoder_view(&v->net, b, view, x);
}

/* The memory's rows that the questions stand on. */
static struct loom_node *in_place(struct loom_build *b, const struct loom_memory *m, const struct loom_rows *ask)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = ask->rows;
    int32_t *index = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*index));
    for (int32_t r = 0, k = 0; index && r < ask->rows; r++) {
        while (k < m->rows->rows && m->rows->source[k] < ask->source[r])
            k++;
        if (k == m->rows->rows || m->rows->source[k] != ask->source[r]) {
            loom_graph_fail(g, LOOM_ECONFIG,
                            "a vit with decoder_depth = 0 answers only questions that stand on a row of the view; set "
                            "decoder_depth >= 1");
            return m->x;
        }
        index[r] = k;
    }
    return loom_gather(g, m->x, loom_input(g, LOOM_I32, 1, &n, index));
}

static int seen_modality(const struct loom_rows *in, int32_t modality)
{
    for (int32_t r = 0; r < in->rows; r++)
        if (in->modality[r] == modality)
            return 1;
    return 0;
}

static struct loom_answer vit_answer(const void *self, struct loom_build *b, const struct loom_view *view,
                                     const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    const struct vit *v = self;
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node *context = m->own, *both[2] = {m->x, q};
    int32_t contexts = context ? v->net.contexts + view->prompts : 0;
    if (v->decoder_depth == 0)
        return (struct loom_answer){.out = in_place(b, m, ask)};
    struct loom_places memory = loom_places_of(m->rows), asked = loom_places_of(ask), all;
    if (v->pool && memory.rows && !seen_modality(&view->in, ask->modality[0]))
        both[0] = loom_places_pool(&v->net, b, m->x, &memory);
    if (!loom_places_join(b, &memory, &asked, &all))
        return (struct loom_answer){.out = q};
    struct loom_node *x = loom_concat_rows(g, 2, both);
    x = loom_encoder_pass(&v->net, b, view, x, &all, context, contexts, v->decoder_depth);
    return (struct loom_answer){.out = loom_slice_rows(g, x, memory.rows, ask->rows)};
}

static const struct loom_option options[] = {
    LOOM_ENCODER_OPTIONS("256", "6", "0", "0"),
    {"decoder_depth", LOOM_OPT_INT, 0, "2", "[0,64]", "blocks",
     "of each asked modality's decoder; 0 = answers stand on rows of the encoder"},
    {"pool", LOOM_OPT_STRING, 0, "time", "time|none", NULL,
     "what a modality that is never seen is asked of: means over the rows of one bin, or all rows"},
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = vit_create,
                                                    .destroy = vit_destroy,
                                                    .describe = vit_describe},
                                           .encode = vit_encode,
                                           .answer = vit_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "vit",
                                          .version = "0.1",
                                          .summary = "transformer encoder with a small decoder for each asked modality",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BACKBONE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
