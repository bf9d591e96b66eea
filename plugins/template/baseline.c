/* SPDX-License-Identifier: Apache-2.0 */
/* @NAME@: a baseline. It stands where a backbone stands, answers in data units, and is fitted instead of trained:
 * passes over the training windows add to sums, `update` turns sums into what it predicts with. This one predicts the
 * training mean of each dimension in each recording: the R2 of 0 that every decoder must beat.
 *
 * When its functions are called, and what they may do (<loom/plugin.h> has the whole contract):
 *   create, describe, destroy   [setup]  one thread; may allocate and fail
 *   encode, answer              [build]  many threads at once; append nodes to a graph; cannot fail
 *   update                      [update] one thread, after each pass; returns 1 for one more pass
 * The instance (`self`) is const from create to destroy: what is learned lies in STATE and is added up in SUMs, which
 * belong to the core and have names. What create allocates destroy frees; nodes belong to the graph. */
#include <loom/model.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct part {
    const struct loom_catalog *catalog; /* borrowed, valid until destroy */
    double shrink;
};

/* [setup] */
static int part_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct part *p = calloc(1, sizeof *p);
    if (p == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some");
    p->catalog = loom_setup_catalog(s);
    p->shrink = loom_opt_real(loom_setup_options(s), "shrink");
    *self = p;
    return LOOM_OK;
}

static void part_destroy(void *self)
{
    free(self);
}

/* [setup] TARGET_SPACE: answers are in data units, no head is put on top. It can be asked anything anywhere. */
static int part_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self, (void)e;
    t->offers = LOOM_TARGET_SPACE | LOOM_IN_PLACE | LOOM_ANYWHERE | LOOM_AHEAD | LOOM_HOLES | LOOM_BLANKS | LOOM_CAUSAL;
    t->width = 1;
    return LOOM_OK;
}

/* [build] x is NULL for a part of TARGET_SPACE: it would read v->in itself. The mean looks at nothing. */
static struct loom_memory part_encode(const void *self, struct loom_build *b, const struct loom_view *v,
                                      struct loom_node *x)
{
    (void)self, (void)b, (void)x;
    return (struct loom_memory){.rows = &v->in};
}

/* Place of element `i` of row `r` in sums and state: recording by recording, dimension by dimension. */
static int32_t place(const struct loom_rows *ask, int32_t r, int32_t i, int32_t dims)
{
    return ask->segment[ask->segment_of[r]].recording * dims + (i - ask->first_elem[r]);
}

/* Of each place how many targets were seen, and their sum. Host memory: targets are known when the graph is built. An
 * element of weight 0 is not to be scored, and one that is missing reads NaN. */
static void add_targets(struct loom_build *b, const struct loom_rows *ask, int32_t dims, int64_t places)
{
    struct loom_graph *g = loom_build_graph(b);
    const int64_t n = 2 * places;
    double *sum = loom_graph_alloc(g, (size_t)n * sizeof *sum);
    if (sum == NULL)
        return;
    memset(sum, 0, (size_t)n * sizeof *sum);
    for (int32_t r = 0; r < ask->rows; r++)
        for (int32_t i = ask->first_elem[r]; i < ask->first_elem[r + 1]; i++)
            if (ask->weight[i] != 0 && isfinite((double)ask->target[i])) {
                sum[place(ask, r, i, dims)] += 1.0;
                sum[places + place(ask, r, i, dims)] += (double)ask->target[i];
            }
    loom_sum_into(b, "targets", loom_input(g, LOOM_F64, 1, &n, sum));
}

/* [build] Once for each asked modality, in a scope of its name. Out: [ask elements, 1]. Memory is named in every build,
 * with the same shape; sums are added to while fitting alone. */
static struct loom_answer part_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                      const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    const struct part *p = self;
    struct loom_graph *g = loom_build_graph(b);
    (void)v, (void)m, (void)q;
    if (ask->rows == 0)
        return (struct loom_answer){NULL, NULL};
    const int32_t dims = ask->first_elem[1];
    const int64_t elems = ask->elems, places = (int64_t)loom_catalog_count(p->catalog) * dims, sums = 2 * places;
    int32_t *index = loom_graph_alloc(g, ((size_t)elems + 1) * sizeof *index);
    struct loom_node *mean = loom_state(b, "mean", 2, (const int64_t[]){places, 1}, "zeros");
    loom_sum_declare(b, "targets", 1, &sums);
    for (int32_t r = 0; r < ask->rows; r++) {
        if (ask->first_elem[r + 1] - ask->first_elem[r] != dims) {
            loom_graph_fail(g, LOOM_ESHAPE, "@NAME@ answers rows of one length; ask it for behaviour");
            return (struct loom_answer){mean, NULL};
        }
        for (int32_t i = ask->first_elem[r]; index != NULL && i < ask->first_elem[r + 1]; i++)
            index[i] = place(ask, r, i, dims);
    }
    if (loom_fitting(b))
        add_targets(b, ask, dims, places);
    if (index == NULL)
        return (struct loom_answer){mean, NULL};
    return (struct loom_answer){loom_gather(g, mean, loom_input(g, LOOM_I32, 1, &elems, index)), NULL};
}

static int fit(const struct part *p, struct loom_update *u, const char *series, struct loom_error *e)
{
    char name[320];
    size_t n = 0, places = 0;
    snprintf(name, sizeof name, "%s.targets", series); /* names are relative to the part; answer stood in this scope */
    const double *sum = loom_update_sum(u, name, &n);
    snprintf(name, sizeof name, "%s.mean", series);
    loom_real *mean = loom_update_state(u, name, &places);
    if (sum == NULL || mean == NULL)
        return LOOM_OK; /* nobody asked for this one */
    if (n != 2 * places)
        return loom_fail(e, LOOM_ESHAPE, NULL, 0, "%zu sums for %zu means of %s; refit from the start", n, places,
                         series);
    for (size_t i = 0; i < places; i++)
        mean[i] = (loom_real)(sum[i] > 0.0 ? sum[places + i] / (sum[i] + p->shrink) : 0.0);
    return LOOM_OK;
}

/* [update] The sums of a whole pass are joined. 0: fitted. */
static int part_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    const struct part *p = self;
    int rc = LOOM_OK;
    if (!loom_update_fitting(u))
        return LOOM_OK;
    for (int i = 0; i < loom_catalog_count(p->catalog); i++) {
        const struct loom_recording *of = loom_catalog_recording(p->catalog, i);
        for (int32_t k = 0; k < of->series_count && rc == LOOM_OK; k++)
            rc = fit(p, u, of->series[k].name, e);
    }
    return rc;
}

static const struct loom_option options[] = {
    {"shrink", LOOM_OPT_REAL, 0, "0", "[0,inf)", "samples", "Pull means to 0 as if so many zeros had been seen."},
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};

static const struct loom_backbone table = {.part = {.size = sizeof table,
                                                    .create = part_create,
                                                    .destroy = part_destroy,
                                                    .describe = part_describe,
                                                    .update = part_update},
                                           .encode = part_encode,
                                           .answer = part_answer};

/* The id is the file's name without ".so". */
static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "@NAME@",
                                          .version = "0.1",
                                          .summary = "the training mean of each dimension in each recording",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

/* [load] The one symbol that the file shows. */
const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
