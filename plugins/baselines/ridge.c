/* SPDX-License-Identifier: Apache-2.0 */
#include "ridge.h"

#include <loom/linalg.h>
#include <loom/model.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FEATURES = 6000 }; /* a part's moments are then 144 MB */

/* ---- features of one bin ---- */

static int row_seen(const struct loom_rows *in, int32_t row)
{
    for (int32_t i = in->first_elem[row]; i < in->first_elem[row + 1]; i++)
        if (in->held == NULL || in->held[i] == 0)
            return 1;
    return 0;
}

/* Bins are rows in order of time, each at its middle. A question may stand outside all of them. */
static int64_t bin_of(const struct ridge *s, const struct loom_rows *in, int32_t segment, double time_s)
{
    int32_t first = in->first_row[segment];
    if (first == in->first_row[segment + 1])
        return 0;
    return (int64_t)floor((time_s - in->axis[0][first]) / s->bin_s + 0.5 + 1e-6);
}

static void add_row(const struct loom_rows *in, int32_t row, double weight, double *x)
{
    const int32_t *unit = in->layout_of[in->layout[row]].index;
    const loom_real *value = in->value + in->first_elem[row];
    for (int32_t i = 0; i < in->first_elem[row + 1] - in->first_elem[row]; i++)
        x[unit[i]] += weight * (double)value[i];
}

/* x [filters, units]. Where a filter finds no bin its features are `mean`'s; returns how many such filters there were.
 */
static int features(const struct ridge *s, const struct loom_rows *in, int32_t segment, int64_t bin, int64_t units,
                    const loom_real *mean, double *x)
{
    int64_t first = in->first_row[segment], rows = in->first_row[segment + 1] - first;
    int lost = 0;
    memset(x, 0, (size_t)(s->filters * units) * sizeof *x);
    for (int32_t f = 0; f < s->filters; f++, x += units) {
        const struct ridge_filter *k = &s->filter[f];
        double found = 0.0, whole = 0.0;
        for (int32_t t = 0; t < k->taps; t++) {
            int64_t at = bin - k->first_lag - t;
            whole += k->weight[t];
            if (at < 0 || at >= rows || !row_seen(in, (int32_t)(first + at)))
                continue;
            add_row(in, (int32_t)(first + at), k->weight[t], x);
            found += k->weight[t];
        }
        for (int64_t u = 0; u < units && found != whole; u++)
            x[u] = found > 0.0 ? x[u] * (whole / found) : mean != NULL ? (double)mean[f * units + u] : 0.0;
        lost += !(found > 0.0);
    }
    return lost;
}

/* ---- op: sums of one recording's questions in one part of the split ---- */

struct moments_attr {
    const struct ridge *s;
    const struct loom_rows *in, *ask;
    int32_t recording, fold;
    int64_t units, n, m;
};

enum { CHUNK = 64 }; /* rows a rank update */

static int moments_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct moments_attr *a = loom_node_attr(n);
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_F64, .rank = 1, .dim = {loom_moments_size(a->n, a->m)}};
    return LOOM_OK;
}

static size_t moments_scratch(const struct loom_node *n)
{
    const struct moments_attr *a = loom_node_attr(n);
    size_t size = (size_t)(1 + a->n + a->m);
    return (size * size + CHUNK * size) * sizeof(double);
}

static int scored(const struct loom_rows *ask, int32_t row)
{
    for (int32_t i = ask->first_elem[row]; i < ask->first_elem[row + 1]; i++)
        if (ask->weight[i] == 0 || !isfinite((double)ask->target[i]))
            return 0;
    return 1;
}

static void moments_forward(const struct loom_node *node, void *scratch)
{
    const struct moments_attr *a = loom_node_attr(node);
    int64_t size = 1 + a->n + a->m, rows = 0;
    double *gram = scratch, *z = gram + size * size;
    memset(gram, 0, (size_t)(size * size) * sizeof *gram);
    for (int32_t r = 0; r < a->ask->rows; r++) {
        int32_t segment = a->ask->segment_of[r], first = a->ask->first_elem[r];
        const struct loom_segment *of = &a->ask->segment[segment];
        if (of->recording != a->recording || of->fold % a->s->folds != a->fold || !scored(a->ask, r))
            continue;
        double *row = z + rows * size;
        int64_t bin = bin_of(a->s, a->in, segment, a->ask->axis[0][r]);
        if (features(a->s, a->in, segment, bin, a->units, NULL, row + 1) > 0)
            continue;
        row[0] = 1.0;
        for (int64_t d = 0; d < a->m; d++)
            row[1 + a->n + d] = (double)a->ask->target[first + d];
        if (++rows == CHUNK) {
            loom_gram_add(gram, size, z, rows);
            rows = 0;
        }
    }
    loom_gram_add(gram, size, z, rows);
    loom_triangle_pack(loom_node_out(node), gram, size);
}

static const struct loom_op moments_op = {.size = sizeof(struct loom_op),
                                          .name = "ridge_moments",
                                          .infer = moments_infer,
                                          .scratch = moments_scratch,
                                          .forward = moments_forward};

/* ---- op: answers to questions first … first + count - 1, all of one recording ---- */

struct predict_attr {
    const struct ridge *s;
    const struct loom_rows *in, *ask;
    int32_t first, count;
    int64_t units, n, m;
};

static int predict_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct predict_attr *a = loom_node_attr(n);
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_REAL, .rank = 2, .dim = {a->count * a->m, 1}};
    return LOOM_OK;
}

static size_t predict_scratch(const struct loom_node *n)
{
    const struct predict_attr *a = loom_node_attr(n);
    return (size_t)(a->n + 1) * sizeof(double);
}

static void predict_forward(const struct loom_node *node, void *scratch)
{
    const struct predict_attr *a = loom_node_attr(node);
    const loom_real *weight = loom_node_host(loom_node_input(node, 0));
    const loom_real *intercept = loom_node_host(loom_node_input(node, 1));
    const loom_real *mean = loom_node_host(loom_node_input(node, 2));
    loom_real *out = loom_node_out(node);
    double *x = scratch;
    for (int32_t r = a->first; r < a->first + a->count; r++) {
        int32_t segment = a->ask->segment_of[r];
        features(a->s, a->in, segment, bin_of(a->s, a->in, segment, a->ask->axis[0][r]), a->units, mean, x);
        for (int64_t d = 0; d < a->m; d++) {
            double sum = (double)intercept[d];
            for (int64_t i = 0; i < a->n; i++)
                sum += x[i] * (double)weight[d * a->n + i];
            *out++ = (loom_real)sum;
        }
    }
}

static const struct loom_op predict_op = {.size = sizeof(struct loom_op),
                                          .name = "ridge_predict",
                                          .infer = predict_infer,
                                          .scratch = predict_scratch,
                                          .forward = predict_forward};

const struct loom_op *const ridge_ops[] = {&moments_op, &predict_op, NULL};

/* ---- instance ---- */

static int too_many(const struct ridge *r, struct loom_error *e)
{
    for (int i = 0; i < loom_catalog_count(r->catalog); i++) {
        const struct loom_recording *of = loom_catalog_recording(r->catalog, i);
        if ((int64_t)of->units * r->filters > MOST_FEATURES)
            return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                             "%d units of %s with %d lags are more than %d features; use fewer lags or wider bins",
                             (int)of->units, of->id, (int)r->filters, MOST_FEATURES);
    }
    return LOOM_OK;
}

int ridge_new(struct ridge **out, const struct loom_setup *setup, int32_t filters, int32_t taps, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(setup);
    struct ridge *r = calloc(1, sizeof *r);
    *out = NULL;
    if (r != NULL) {
        r->catalog = loom_setup_catalog(setup);
        r->bin_s = loom_catalog_bin_s(r->catalog);
        r->standardize = loom_opt_bool(o, "standardize");
        r->folds = (int32_t)loom_opt_int(o, "folds");
        r->lambdas = (int32_t)loom_opt_count(o, "lambdas");
        r->filters = filters;
        r->lambda = calloc((size_t)r->lambdas + 1, sizeof *r->lambda);
        r->filter = calloc((size_t)filters, sizeof *r->filter);
        r->weight = calloc((size_t)taps, sizeof *r->weight);
    }
    if (r == NULL || r->lambda == NULL || r->filter == NULL || r->weight == NULL) {
        ridge_free(r);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some");
    }
    for (int32_t i = 0; i < r->lambdas; i++)
        r->lambda[i] = loom_opt_real_at(o, "lambdas", (size_t)i);
    int rc = r->lambdas > 0 ? too_many(r, e) : loom_opt_fail(o, "lambdas", e, "name one penalty at least");
    if (rc != LOOM_OK) {
        ridge_free(r);
        return rc;
    }
    *out = r;
    return LOOM_OK;
}

void ridge_free(void *self)
{
    struct ridge *r = self;
    if (r == NULL)
        return;
    free(r->lambda);
    free(r->filter);
    free(r->weight);
    free(r);
}

int ridge_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct ridge *r = self;
    (void)e;
    t->needs = LOOM_STEPS | LOOM_UNITS | LOOM_KEEPS_ROWS;
    t->offers = LOOM_TARGET_SPACE | LOOM_IN_PLACE | LOOM_ANYWHERE | LOOM_AHEAD | (r->causal ? LOOM_CAUSAL : 0);
    t->width = 1;
    return LOOM_OK;
}

struct loom_memory ridge_encode(const void *self, struct loom_build *b, const struct loom_view *v, struct loom_node *x)
{
    (void)self, (void)b, (void)x;
    return (struct loom_memory){.rows = &v->in};
}

enum { NAME = 320 };

static const char *name_of(char out[NAME], const char *what, const struct loom_recording *of)
{
    snprintf(out, NAME, "%s.%s", what, of->id);
    return out;
}

static const char *part_name(char out[NAME], const struct loom_recording *of, int32_t fold)
{
    snprintf(out, NAME, "moments.%s.%d", of->id, (int)fold);
    return out;
}

struct states {
    struct loom_node *in[3]; /* weight, intercept, mean */
};

static struct states states_of(const struct ridge *s, struct loom_build *b, const struct loom_recording *of, int64_t m)
{
    int64_t n = (int64_t)of->units * s->filters, dim[2] = {m, n};
    char name[NAME];
    struct states out;
    out.in[0] = loom_state(b, name_of(name, "weight", of), 2, dim, "zeros");
    out.in[1] = loom_state(b, name_of(name, "intercept", of), 1, &m, "zeros");
    out.in[2] = loom_state(b, name_of(name, "mean", of), 1, &n, "zeros");
    return out;
}

/* Memory of every recording is named in every build, whichever recordings the shard holds. */
static void name_all(const struct ridge *s, struct loom_build *b, int64_t m)
{
    char name[NAME];
    for (int i = 0; i < loom_catalog_count(s->catalog); i++) {
        const struct loom_recording *of = loom_catalog_recording(s->catalog, i);
        int64_t size = loom_moments_size((int64_t)of->units * s->filters, m);
        states_of(s, b, of, m);
        for (int32_t f = 0; f < s->folds; f++)
            loom_sum_declare(b, part_name(name, of, f), 1, &size);
    }
}

static void add_moments(const struct ridge *s, struct loom_build *b, const struct loom_rows *in,
                        const struct loom_rows *ask, int64_t m)
{
    struct loom_graph *g = loom_build_graph(b);
    int recordings = loom_catalog_count(s->catalog);
    uint8_t *there = loom_graph_alloc(g, (size_t)recordings * (size_t)s->folds + 1);
    if (there == NULL)
        return;
    memset(there, 0, (size_t)recordings * (size_t)s->folds);
    for (int32_t r = 0; r < ask->rows; r++) {
        const struct loom_segment *of = &ask->segment[ask->segment_of[r]];
        there[of->recording * s->folds + of->fold % s->folds] = 1;
    }
    for (int32_t i = 0; i < recordings * s->folds; i++) {
        const struct loom_recording *of = loom_catalog_recording(s->catalog, i / s->folds);
        struct moments_attr attr = {s, in, ask, i / s->folds, i % s->folds, of->units, of->units * s->filters, m};
        char name[NAME];
        if (there[i])
            loom_sum_into(b, part_name(name, of, i % s->folds),
                          loom_apply(g, &moments_op, 0, NULL, &attr, sizeof attr));
    }
}

struct loom_answer ridge_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                const struct loom_memory *memory, const struct loom_rows *ask, struct loom_node *q)
{
    const struct ridge *s = self;
    struct loom_graph *g = loom_build_graph(b);
    int64_t m = ask->rows > 0 ? ask->first_elem[1] : 0;
    struct loom_node **part = loom_graph_alloc(g, ((size_t)ask->segments + 1) * sizeof(struct loom_node *));
    int parts = 0;
    (void)memory, (void)q;
    for (int32_t r = 0; r < ask->rows; r++)
        if (ask->first_elem[r + 1] - ask->first_elem[r] != m)
            loom_graph_fail(g, LOOM_ESHAPE, "a ridge baseline answers rows of one length; ask it for behaviour");
    name_all(s, b, m);
    if (loom_fitting(b))
        add_moments(s, b, &v->in, ask, m);
    for (int32_t r = 0, first = 0; part != NULL && r < ask->rows; first = r) {
        int32_t recording = ask->segment[ask->segment_of[r]].recording;
        while (r < ask->rows && ask->segment[ask->segment_of[r]].recording == recording)
            r++;
        const struct loom_recording *of = loom_catalog_recording(s->catalog, recording);
        struct predict_attr attr = {s, &v->in, ask, first, r - first, of->units, (int64_t)of->units * s->filters, m};
        part[parts++] = loom_apply(g, &predict_op, 3, states_of(s, b, of, m).in, &attr, sizeof attr);
    }
    struct loom_answer none = {NULL, NULL};
    if (parts == 0)
        return none;
    return (struct loom_answer){parts == 1 ? part[0] : loom_concat_rows(g, parts, part), NULL};
}

/* ---- fitting ---- */

/* Names in update start from the part's own scope; answer stood in that of the series. */
static const char *series_name(char out[2 * NAME], const char *series, const char *name)
{
    snprintf(out, 2 * NAME, "%s.%s", series, name);
    return out;
}

static int solve(const struct ridge *s, struct loom_ridge *r, struct loom_update *u, const char *series,
                 const struct loom_recording *of, struct loom_error *e)
{
    char name[NAME], full[2 * NAME];
    loom_real *weight = loom_update_state(u, series_name(full, series, name_of(name, "weight", of)), NULL);
    loom_real *intercept = loom_update_state(u, series_name(full, series, name_of(name, "intercept", of)), NULL);
    loom_real *mean = loom_update_state(u, series_name(full, series, name_of(name, "mean", of)), NULL);
    struct loom_error why = {0};
    int rc = loom_ridge_solve(r, &why);
    if (rc == LOOM_EDATA) {
        loom_log(LOOM_WARN, "%s of %s is not fitted: %s", series, of->id, why.message);
        return LOOM_OK;
    }
    if (rc != LOOM_OK)
        return loom_fail(e, rc, of->file, 0, "%s of %s: %s", series, of->id, why.message);
    for (int64_t i = 0; i < r->m * r->n; i++)
        weight[i] = (loom_real)r->weight[i];
    for (int64_t i = 0; i < r->n; i++)
        mean[i] = (loom_real)r->mean[i];
    for (int64_t d = 0; d < r->m; d++) {
        intercept[d] = (loom_real)r->intercept[d];
        loom_log(LOOM_INFO, "%s[%d] of %s: %lld features, lambda %g, cross-validated R2 %.4f over %d parts", series,
                 (int)d, of->id, (long long)r->n, r->chosen[d], r->score[d], (int)s->folds);
    }
    return LOOM_OK;
}

static int fit(const struct ridge *s, struct loom_update *u, const char *series, const struct loom_recording *of,
               struct loom_error *e)
{
    char name[NAME], full[2 * NAME];
    size_t weights = 0, size = 0;
    int64_t n = (int64_t)of->units * s->filters;
    loom_update_state(u, series_name(full, series, name_of(name, "weight", of)), &weights);
    if (n == 0 || weights == 0)
        return LOOM_OK;
    int64_t m = (int64_t)weights / n;
    const double **parts = calloc((size_t)s->folds, sizeof *parts);
    double *memory = calloc((size_t)(m * n + n + 3 * m), sizeof *memory);
    int rc = parts != NULL && memory != NULL
                 ? LOOM_OK
                 : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to fit a baseline; free some");
    for (int32_t f = 0; f < s->folds && rc == LOOM_OK; f++)
        parts[f] = loom_update_sum(u, series_name(full, series, part_name(name, of, f)), &size);
    if (rc == LOOM_OK) {
        double *at = memory + m * n;
        struct loom_ridge r = {.n = n,
                               .m = m,
                               .standardize = s->standardize,
                               .lambda = s->lambda,
                               .lambdas = s->lambdas,
                               .folds = s->folds,
                               .moments = parts,
                               .weight = memory,
                               .intercept = at + n,
                               .mean = at,
                               .chosen = at + n + m,
                               .score = at + n + 2 * m};
        rc = solve(s, &r, u, series, of, e);
    }
    free(parts);
    free(memory);
    return rc;
}

int ridge_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    const struct ridge *s = self;
    int rc = LOOM_OK;
    if (!loom_update_fitting(u))
        return LOOM_OK;
    for (int i = 0; i < loom_catalog_count(s->catalog) && rc == LOOM_OK; i++) {
        const struct loom_recording *of = loom_catalog_recording(s->catalog, i);
        for (int32_t k = 0; k < of->series_count && rc == LOOM_OK; k++)
            rc = fit(s, u, of->series[k].name, of, e);
    }
    return rc;
}
