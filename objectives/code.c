/* SPDX-License-Identifier: Apache-2.0 */
/* Masked prediction of codes (LaBraM, Jiang et al. 2024; BEiT, Bao et al. 2022): a tokenizer that was trained before
 * names the codes of all rows, part of the rows is hidden, and the backbone is asked which codes they have. With
 * `symmetric`, a second pass hides what the first one showed, so that every row is asked for once. */
#include <loom/codes.h>
#include <loom/mask.h>
#include <loom/nn.h>
#include <loom/plugin.h>

#include <stdlib.h>

struct code {
    const struct loom_options *options;
    const char *modality;
    int symmetric;
};

/* Views: one that asks for everything and shows nothing, for the codes; then those that hide. */
struct kept {
    int whole, masked[2], views;
};

static const char *const labels_mass[2] = {"code.labels", "code.complement.labels"};
static const char *const term[2] = {"code", "code.complement"};
static const char *const hits[2] = {"code.accuracy", "code.complement.accuracy"};

static int code_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct code *c = calloc(1, sizeof(*c));
    if (!c)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for an objective");
    c->options = loom_setup_options(s);
    c->modality = loom_opt_string(c->options, "modality");
    c->symmetric = loom_opt_bool(c->options, "symmetric");
    int status = loom_mask_check(c->options, e);
    if (status != LOOM_OK) {
        free(c);
        return status;
    }
    *self = c;
    return LOOM_OK;
}

static void code_destroy(void *self)
{
    free(self);
}

static int code_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct code *c = self;
    (void)e;
    t->needs = LOOM_CODES | loom_mask_needs(c->options);
    t->offers = LOOM_FITS_SHARD;
    if (!loom_opt_is(c->options, "hide_how", "drop"))
        t->offers |= LOOM_KEEPS_ROWS;
    return LOOM_OK;
}

/* ---- plan ---- */

/* What was hidden is shown, what was shown is hidden, in the same way. */
static void complement(const struct loom_rows *full, int modality, uint8_t *how, uint8_t *ask)
{
    uint8_t what = LOOM_LEAVE;
    for (int32_t i = 0; i < full->elems; i++)
        what = how[i] != LOOM_LEAVE ? how[i] : what;
    for (int32_t r = 0; r < full->rows; r++)
        for (int32_t i = full->first_elem[r]; full->modality[r] == modality && i < full->first_elem[r + 1]; i++) {
            ask[i] = !ask[i];
            how[i] = ask[i] ? what : LOOM_LEAVE;
        }
}

static int show(struct loom_plan *p, const struct loom_rows *full, const uint8_t *how, const uint8_t *ask,
                struct loom_error *e)
{
    struct loom_view_spec spec = LOOM_VIEW_SPEC;
    spec.how = how;
    spec.ask = ask;
    return loom_plan_view(p, full, &spec, e);
}

static int make_views(const struct code *c, const struct loom_rows *full, struct loom_plan *p, int modality,
                      struct kept *kept, struct loom_error *e)
{
    uint8_t *how = loom_plan_alloc(p, (size_t)full->elems + 1), *ask = loom_plan_alloc(p, (size_t)full->elems + 1);
    if (!how || !ask)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    loom_mask_draw(c->options, p, full, modality, "code.mask", how, ask);
    for (kept->views = 0; kept->views < 1 + c->symmetric; kept->views++) {
        if (kept->views == 1)
            complement(full, modality, how, ask);
        int view = kept->masked[kept->views] = show(p, full, how, ask, e);
        if (view < 0)
            return view;
        loom_plan_mass(p, labels_mass[kept->views], loom_rows_count_scored(&loom_plan_get(p, view)->ask[modality]));
    }
    kept->whole = loom_plan_whole(p, full, modality, e);
    return kept->whole < 0 ? kept->whole : LOOM_OK;
}

static int code_plan(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e)
{
    const struct code *c = self;
    int modality = loom_plan_chosen(p, c->options, "modality", e);
    struct kept *kept = loom_plan_alloc(p, sizeof(*kept));
    if (modality < 0)
        return modality;
    if (!kept)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    loom_plan_keep(p, kept);
    return make_views(c, full, p, modality, kept, e);
}

/* ---- build ---- */

/* Labels of `ask` among codes [rows, levels] of `all`: rows are the same where their source is. -1 = not scored. */
static int label_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_I32, .rank = 1, .dim = {loom_node_dim(loom_node_input(n, 1), 0)}};
    return LOOM_OK;
}

static void label_forward(const struct loom_node *n, void *scratch)
{
    const int32_t *code = loom_node_host(loom_node_input(n, 0)), *from = loom_node_host(loom_node_input(n, 1));
    int32_t *out = loom_node_out(n);
    (void)scratch;
    for (int64_t i = 0; i < loom_node_size(n); i++)
        out[i] = from[i] < 0 ? -1 : code[from[i]];
}

static const struct loom_op label_op = {
    .size = sizeof(struct loom_op), .name = "labels", .infer = label_infer, .forward = label_forward};

static struct loom_node *labels(struct loom_build *b, const struct loom_rows *all, const struct loom_rows *ask,
                                struct loom_node *codes, int32_t levels)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = (int64_t)ask->rows * levels;
    int32_t *from = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*from));
    for (int32_t r = 0, k = 0; from && r < ask->rows; r++) {
        while (k < all->rows && all->source[k] < ask->source[r])
            k++;
        int found = k < all->rows && all->source[k] == ask->source[r] && loom_row_scored(ask, r);
        for (int32_t l = 0; l < levels; l++)
            from[(int64_t)r * levels + l] = found ? k * levels + l : -1;
    }
    return loom_apply(g, &label_op, 2, (struct loom_node *[]){codes, loom_input(g, LOOM_I32, 1, &n, from)}, NULL, 0);
}

/* How many labels [R] have the largest of their logits [R, C]: F64 [1]. */
static int hit_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)n;
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_F64, .rank = 1, .dim = {1}};
    return LOOM_OK;
}

static void hit_forward(const struct loom_node *n, void *scratch)
{
    const struct loom_node *x = loom_node_input(n, 0);
    const loom_real *logit = loom_node_host(x);
    const int32_t *label = loom_node_host(loom_node_input(n, 1));
    const int64_t rows = loom_node_dim(x, 0), classes = loom_node_dim(x, 1);
    double count = 0;
    (void)scratch;
    for (int64_t r = 0; r < rows; r++, logit += classes) {
        int64_t best = 0;
        for (int64_t k = 1; k < classes; k++)
            best = logit[k] > logit[best] ? k : best;
        count += best == label[r];
    }
    *(double *)loom_node_out(n) = count;
}

static const struct loom_op hit_op = {
    .size = sizeof(struct loom_op), .name = "hits", .infer = hit_infer, .forward = hit_forward};

static void code_build(const void *self, struct loom_build *b, const struct loom_plan *p)
{
    const struct code *c = self;
    const struct kept *kept = loom_plan_kept(p);
    struct loom_graph *g = loom_build_graph(b);
    const struct loom_view *whole = loom_plan_get(p, kept->whole);
    const int modality = loom_plan_modality(p, c->modality);
    const int32_t classes = loom_codes_count(b, c->modality), levels = loom_codes_levels(b, c->modality);
    struct loom_node *codes = loom_codes_of(b, whole, c->modality);
    for (int i = 0; codes && i < kept->views; i++) {
        const struct loom_view *v = loom_plan_get(p, kept->masked[i]);
        double mass = levels * loom_mass(b, labels_mass[i]), mean = mass > 0.0 ? 1.0 / mass : 0.0;
        struct loom_answer a = loom_ask(b, v, loom_encode(b, v, 0), c->modality);
        if (!a.out) {
            loom_emit(b, term[i], NULL, 0.0, 0);
            loom_emit(b, hits[i], NULL, 0.0, LOOM_LOG_ONLY);
            continue;
        }
        int64_t rows = (int64_t)v->ask[modality].rows * levels;
        struct loom_node *logits = loom_nn_linear(b, "head", a.out, (int64_t)classes * levels, LOOM_ACT_NONE);
        logits = loom_reshape(g, logits, 2, (const int64_t[]){rows, classes});
        struct loom_node *label = labels(b, &whole->ask[modality], &v->ask[modality], codes, levels);
        struct loom_node *hit = loom_apply(g, &hit_op, 2, (struct loom_node *[]){logits, label}, NULL, 0);
        loom_emit(b, term[i], loom_cross_entropy(g, logits, label, NULL, loom_opt_real(c->options, "smoothing")),
                  mean * loom_opt_real(c->options, "weight"), 0);
        loom_emit(b, hits[i], hit, mean, LOOM_LOG_ONLY);
    }
}

static const struct loom_option options[] = {
    LOOM_HIDE_OPTIONS("0.5", "replace"),
    {"modality", LOOM_OPT_STRING, 0, "spikes", NULL, NULL, "whose codes are asked for"},
    {"symmetric", LOOM_OPT_BOOL, 0, "true", NULL, NULL, "a second pass hides what the first one showed"},
    {"smoothing", LOOM_OPT_REAL, 0, "0", "[0,1)", NULL, "of the labels: a share that goes to all codes alike"},
    {"weight", LOOM_OPT_REAL, LOOM_OPT_LIVE, "1.0", "[0,inf)", NULL, "of each pass's term in the loss"},
    {0}};

static const struct loom_objective table = {.part = {.size = sizeof(struct loom_objective),
                                                     .create = code_create,
                                                     .destroy = code_destroy,
                                                     .describe = code_describe},
                                            .plan = code_plan,
                                            .build = code_build};

static const struct loom_op *const ops[] = {&label_op, &hit_op, NULL};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "code",
                                          .version = "0.1",
                                          .summary = "masked prediction of a tokenizer's codes, under a mask and its "
                                                     "complement",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_OBJECTIVE,
                                          .options = options,
                                          .table = &table,
                                          .ops = ops};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
