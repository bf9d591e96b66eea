/* SPDX-License-Identifier: Apache-2.0 */
/* Built-in tokenizer `series`: a behaviour, asked for at its own sample times, z-scored with moments of the train
 * split. */
#include "model/builtins.h"

#include "model/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIMS = 1024 };

struct series {
    char name[64];
    int32_t dims;
    int normalize, by_bin, by_session;
    double bin_s;
    int32_t *index; /* [dims] 0, 1, … */
};

static void series_destroy(void *self)
{
    struct series *s = self;
    if (!s)
        return;
    free(s->index);
    free(s);
}

static int series_create(const struct loom_setup *setup, void **self, struct loom_error *e)
{
    struct series *s = calloc(1, sizeof(*s));
    if (!s)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a behaviour");
    const struct loom_options *o = loom_setup_options(setup);
    const struct loom_catalog *c = loom_setup_catalog(setup);
    const char *name = loom_setup_modality(setup);
    size_t n = strlen(name);
    memcpy(s->name, name, n < sizeof(s->name) ? n + 1 : 0);
    s->normalize = loom_opt_bool(o, "normalize");
    s->by_bin = loom_opt_is(o, "at", "bins");
    s->by_session = loom_opt_is(o, "query", "session");
    s->bin_s = loom_catalog_bin_s(c);
    int status = loom_catalog_need_series(c, (struct loom_words){0, NULL}, name, &s->dims, e);
    if (status == LOOM_OK && s->dims > MOST_DIMS)
        status = loom_fail(e, LOOM_EDATA, NULL, 0, "series '%s' has %d dimensions; at most %d can be asked", name,
                           s->dims, MOST_DIMS);
    if (status == LOOM_OK && !(s->index = calloc((size_t)s->dims + 1, sizeof(*s->index))))
        status = loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a behaviour");
    if (status != LOOM_OK) {
        series_destroy(s);
        return status;
    }
    for (int32_t i = 0; i < s->dims; i++)
        s->index[i] = i;
    *self = s;
    return LOOM_OK;
}

static int series_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct series *s = self;
    (void)e;
    t->offers = LOOM_CONTENT;
    t->likelihood = "gaussian";
    t->elems = s->dims;
    return LOOM_OK;
}

static const struct loom_window_series *find(const struct series *s, const struct loom_window *w)
{
    for (int32_t i = 0; i < w->series_count; i++)
        if (strcmp(w->series[i].name, s->name) == 0)
            return &w->series[i];
    return NULL;
}

static int append(const struct series *s, struct loom_rows_builder *b, double time_s, int32_t layout,
                  const loom_real *value)
{
    uint8_t held[MOST_DIMS];
    int missing = 0;
    for (int32_t d = 0; d < s->dims; d++)
        missing |= held[d] = isfinite((double)value[d]) ? 0 : 2;
    return loom_rows_append(b, time_s, NULL, layout, value, missing ? held : NULL);
}

/* Means over bins, for behaviours sampled much faster than the neural bins. A bin with a missing sample is missing. */
static int append_bins(const struct series *s, const struct loom_window *w, const struct loom_window_series *x,
                       struct loom_rows_builder *b, int32_t layout)
{
    loom_real mean[MOST_DIMS];
    int32_t at = 0;
    for (int32_t k = 0; k < w->bins; k++) {
        if (loom_window_mean(x, k * s->bin_s, (k + 1) * s->bin_s, &at, mean) == 0)
            continue;
        int status = append(s, b, (k + 0.5) * s->bin_s, layout, mean);
        if (status != LOOM_OK)
            return status;
    }
    return LOOM_OK;
}

static int series_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *b,
                           struct loom_error *e)
{
    const struct series *s = self;
    const struct loom_window_series *x = find(s, w);
    int32_t layout = loom_rows_layout(b, s->dims, s->index);
    if (!x || x->samples == 0)
        return LOOM_OK;
    if (x->dims != s->dims)
        return loom_fail(e, LOOM_EDATA, w->of->file, 0, "'%s' has %d dimensions here and %d elsewhere", s->name,
                         x->dims, s->dims);
    int status = LOOM_OK;
    if (s->by_bin)
        return append_bins(s, w, x, b, layout);
    for (int32_t i = 0; i < x->samples && status == LOOM_OK; i++)
        status = append(s, b, x->time_s[i], layout, x->value + (int64_t)i * s->dims);
    return status;
}

struct loom_node *loom_query_embed(struct loom_build *b, const struct loom_rows *rows, int width, int by_session)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = rows->rows;
    struct loom_node *query;
    if (by_session)
        query = loom_table(b, "session", "session", width, "normal:0.02", LOOM_NO_DECAY);
    else
        query = loom_param(b, "query", 2, (const int64_t[]){1, width}, "normal:0.02", LOOM_NO_DECAY | LOOM_SPARSE_ROWS);
    int32_t *index = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*index));
    for (int64_t r = 0; index && r < n; r++)
        index[r] = by_session ? loom_table_row(b, "session", rows->segment[rows->segment_of[r]].recording, 0) : 0;
    return loom_gather(g, query, loom_input(g, LOOM_I32, 1, &n, index));
}

static struct loom_node *series_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    return loom_query_embed(b, rows, width, ((const struct series *)self)->by_session);
}

/* ---- moments of what is scored: [3, dims] count, sum, sum of squares ---- */

static int moments_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_F64, .rank = 2, .dim = {3, loom_node_dim(loom_node_input(n, 0), 1)}};
    return LOOM_OK;
}

static void moments_forward(const struct loom_node *n, void *scratch)
{
    const struct loom_node *x = loom_node_input(n, 0);
    const loom_real *value = loom_node_host(x), *weight = loom_node_host(loom_node_input(n, 1));
    int64_t rows = loom_node_dim(x, 0), dims = loom_node_dim(x, 1);
    double *out = loom_node_out(n);
    (void)scratch;
    memset(out, 0, (size_t)(3 * dims) * sizeof(*out));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t d = 0; d < dims; d++) {
            double v = (double)value[i * dims + d];
            if (weight[i * dims + d] == 0)
                continue;
            out[d] += 1.0;
            out[dims + d] += v;
            out[2 * dims + d] += v * v;
        }
}

static const struct loom_op moments_op = {
    .size = sizeof(struct loom_op), .name = "moments", .infer = moments_infer, .forward = moments_forward};

static struct loom_node *series_truth(const void *self, struct loom_build *b, const struct loom_rows *ask)
{
    const struct series *s = self;
    struct loom_graph *g = loom_build_graph(b);
    int64_t dim[2] = {ask->rows, s->dims}, dims = s->dims, flat = ask->elems;
    struct loom_node *target = loom_input(g, LOOM_REAL, 2, dim, ask->target);
    if (!s->normalize)
        return loom_reshape(g, target, 1, &flat);
    if (loom_fitting(b)) {
        struct loom_node *in[2] = {target, loom_input(g, LOOM_REAL, 2, dim, ask->weight)};
        loom_sum_into(b, "moments", loom_apply(g, &moments_op, 2, in, NULL, 0));
    }
    struct loom_node *mean = loom_state(b, "mean", 1, &dims, "zeros");
    struct loom_node *inverse = loom_state(b, "inverse_deviation", 1, &dims, "ones");
    loom_state(b, "deviation", 1, &dims, "ones");
    return loom_reshape(g, loom_mul(g, loom_sub(g, target, mean), inverse), 1, &flat);
}

static struct loom_node *series_render(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                       struct loom_node *params)
{
    const struct series *s = self;
    struct loom_graph *g = loom_build_graph(b);
    int64_t dims = s->dims, flat = ask->elems;
    struct loom_node *x = loom_reshape(g, params, 2, (const int64_t[]){ask->rows, s->dims});
    if (s->normalize)
        x = loom_add(g, loom_mul(g, x, loom_state(b, "deviation", 1, &dims, "ones")),
                     loom_state(b, "mean", 1, &dims, "zeros"));
    return loom_reshape(g, x, 1, &flat);
}

static int series_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    const struct series *s = self;
    (void)e;
    size_t n = 0;
    const double *sum = loom_update_sum(u, "moments", &n);
    loom_real *mean = loom_update_state(u, "mean", NULL), *deviation = loom_update_state(u, "deviation", NULL);
    loom_real *inverse = loom_update_state(u, "inverse_deviation", NULL);
    if (!loom_update_fitting(u) || !sum || !mean || !deviation || !inverse)
        return 0;
    for (int32_t d = 0; d < s->dims; d++) {
        double count = sum[d] > 0.0 ? sum[d] : 1.0, m = sum[s->dims + d] / count;
        double variance = sum[2 * s->dims + d] / count - m * m;
        double sd = variance > 0.0 ? sqrt(variance) : 1.0;
        mean[d] = (loom_real)m;
        deviation[d] = (loom_real)sd;
        inverse[d] = (loom_real)(1.0 / sd);
    }
    return 0;
}

static const struct loom_option series_options[] = {
    {"normalize", LOOM_OPT_BOOL, 0, "true", NULL, NULL,
     "score in units of each dimension's deviation over the train split"},
    {"at", LOOM_OPT_STRING, 0, "samples", "samples|bins", NULL,
     "ask at the series' own sample times, or for its mean in each neural bin"},
    LOOM_QUERY_OPTION,
    {0}};

static const struct loom_tokenizer series_table = {.part = {.size = sizeof(struct loom_tokenizer),
                                                            .create = series_create,
                                                            .destroy = series_destroy,
                                                            .describe = series_describe,
                                                            .update = series_update},
                                                   .tokenize = series_tokenize,
                                                   .embed = series_embed,
                                                   .truth = series_truth,
                                                   .render = series_render};

const struct loom_plugin loom_builtin_series = {.size = sizeof(struct loom_plugin),
                                                .build = LOOM_BUILD_BLOCK,
                                                .id = "series",
                                                .version = "0.1",
                                                .summary = "a behaviour or other signal, asked for at its own times",
                                                .license = "Apache-2.0",
                                                .kind = LOOM_TOKENIZER,
                                                .options = series_options,
                                                .table = &series_table};
