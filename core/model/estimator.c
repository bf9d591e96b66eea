/* SPDX-License-Identifier: Apache-2.0 */
/* Estimators: memory by recording and fold, and two ops over sequences, one that adds sums and one that answers. */
#include <loom/estimator.h>

#include "model/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 320, PATH = 2 * NAME };

/* ---- sequences ---- */

int64_t loom_sequence_bin(const struct loom_sequence *s, int32_t q)
{
    if (s->bins == 0)
        return -1;
    return (int64_t)floor((s->ask->axis[0][s->first_ask + q] - s->in->axis[0][s->first]) / s->bin_s + 0.5 + 1e-6);
}

int loom_sequence_seen(const struct loom_sequence *s, int64_t bin)
{
    if (bin < 0 || bin >= s->bins)
        return 0;
    const int32_t row = s->first + (int32_t)bin;
    for (int32_t i = s->in->first_elem[row]; i < s->in->first_elem[row + 1]; i++)
        if (s->in->held == NULL || s->in->held[i] == 0)
            return 1;
    return 0;
}

void loom_sequence_add(const struct loom_sequence *s, int64_t bin, double weight, double *x)
{
    const int32_t row = s->first + (int32_t)bin, first = s->in->first_elem[row], last = s->in->first_elem[row + 1];
    const int32_t *unit = s->in->layout_of[s->in->layout[row]].index;
    for (int32_t i = first; i < last; i++)
        x[unit[i - first]] += weight * (double)s->in->value[i];
}

void loom_sequence_units(const struct loom_sequence *s, int64_t bin, uint8_t *seen)
{
    memset(seen, 0, (size_t)s->of->units);
    if (bin < 0 || bin >= s->bins)
        return;
    const int32_t row = s->first + (int32_t)bin, first = s->in->first_elem[row], last = s->in->first_elem[row + 1];
    const int32_t *unit = s->in->layout_of[s->in->layout[row]].index;
    for (int32_t i = first; i < last; i++)
        seen[unit[i - first]] = s->in->held == NULL || s->in->held[i] == 0;
}

/* Where element i of asked row r stands among the dims of an answer. */
static int32_t place_of(const struct loom_sequence *s, int32_t r, int32_t i)
{
    return s->ask->layout_of[s->ask->layout[r]].index[i - s->ask->first_elem[r]];
}

int32_t loom_sequence_target(const struct loom_sequence *s, int32_t q, double *y)
{
    const int32_t r = s->first_ask + q;
    int32_t n = 0;
    for (int32_t d = 0; d < s->dims; d++)
        y[d] = NAN;
    for (int32_t i = s->ask->first_elem[r]; i < s->ask->first_elem[r + 1]; i++)
        if (s->ask->weight[i] != 0 && isfinite((double)s->ask->target[i])) {
            y[place_of(s, r, i)] = (double)s->ask->target[i];
            n++;
        }
    return n;
}

/* ---- what both ops know ---- */

struct task {
    const struct loom_estimator *e;
    const void *self;
    const struct loom_catalog *catalog;
    const struct loom_rows *in, *ask; /* ask NULL: encode */
    int32_t recording, fold, folds;   /* recording -1: any, and any fold */
    int32_t first, count;             /* questions (rows, for encode) that are answered */
    int32_t dims, most_bins;
    int32_t classes; /* > 0: an answer is `dims` numbers to one element, its classes */
    int64_t states, sums;
};

static const struct task *task_of(const struct loom_node *n)
{
    return loom_node_attr(n);
}

/* Questions; where nothing is asked, every bin is one. */
static const struct loom_rows *questions(const struct task *t)
{
    return t->ask != NULL ? t->ask : t->in;
}

static const struct loom_recording *owner(const struct task *t)
{
    return t->e->shared ? NULL : loom_catalog_recording(t->catalog, t->recording);
}

static int64_t scratch_of(const struct task *t)
{
    int64_t most = 0;
    for (int i = 0; i < loom_catalog_count(t->catalog); i++)
        if (t->recording < 0 || t->recording == i) {
            int64_t n = t->e->scratch(t->self, loom_catalog_recording(t->catalog, i), t->dims, t->most_bins);
            most = n > most ? n : most;
        }
    return most;
}

/* Double from its two halves. */
static void join_state(double *to, const loom_real *state, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = (double)state[i] + (double)state[n + i];
}

/* The first question after `r` that belongs to another segment. */
static int32_t end_of_segment(const struct loom_rows *rows, int32_t r)
{
    int32_t end = r;
    while (end < rows->rows && rows->segment_of[end] == rows->segment_of[r])
        end++;
    return end;
}

static void sequence_of(const struct task *t, const struct loom_node *x, int32_t segment, struct loom_sequence *s)
{
    const struct loom_segment *of = &t->in->segment[segment];
    *s = (struct loom_sequence){.in = t->in,
                                .ask = t->ask,
                                .of = loom_catalog_recording(t->catalog, of->recording),
                                .segment = segment,
                                .recording = of->recording,
                                .fold = t->folds > 0 ? of->fold % t->folds : 0,
                                .first = t->in->first_row[segment],
                                .bins = t->in->first_row[segment + 1] - t->in->first_row[segment],
                                .dims = t->dims,
                                .bin_s = loom_catalog_bin_s(t->catalog)};
    if (x != NULL) {
        s->width = (int32_t)loom_node_dim(x, -1);
        s->x = (const loom_real *)loom_node_host(x) + (int64_t)s->first * s->width;
    }
}

/* ---- op: sums ---- */

static int sums_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_F64, .rank = 1, .dim = {task_of(n)->sums}};
    return LOOM_OK;
}

static size_t sums_scratch(const struct loom_node *n)
{
    const struct task *t = task_of(n);
    return (size_t)(t->states + scratch_of(t) + 1) * sizeof(double);
}

static void sums_forward(const struct loom_node *n, void *scratch)
{
    const struct task *t = task_of(n);
    const struct loom_node *x = loom_node_inputs(n) > 1 ? loom_node_input(n, 1) : NULL;
    const struct loom_rows *over = questions(t);
    double *state = scratch, *sums = loom_node_out(n);
    memset(sums, 0, (size_t)t->sums * sizeof *sums);
    join_state(state, loom_node_host(loom_node_input(n, 0)), t->states);
    state[t->states] = 0.0;
    for (int32_t r = 0, end; r < over->rows; r = end) {
        struct loom_sequence s;
        end = end_of_segment(over, r);
        sequence_of(t, x, over->segment_of[r], &s);
        if (t->recording >= 0 && (s.recording != t->recording || s.fold != t->fold))
            continue;
        if (t->ask != NULL) {
            s.first_ask = r;
            s.asks = end - r;
        }
        t->e->add(t->self, &s, state, sums, state + t->states);
    }
}

static const struct loom_op sums_op = {.size = sizeof(struct loom_op),
                                       .name = "estimator_sums",
                                       .infer = sums_infer,
                                       .scratch = sums_scratch,
                                       .forward = sums_forward};

/* ---- op: answers ---- */

static int answers_infer(const struct loom_node *n, struct loom_shape *out, struct loom_error *e)
{
    const struct task *t = task_of(n);
    (void)e;
    *out = (struct loom_shape){.dtype = LOOM_REAL, .rank = 2, .dim = {t->count, t->dims}};
    if (t->ask != NULL) {
        out->dim[0] = t->ask->first_elem[t->first + t->count] - t->ask->first_elem[t->first];
        out->dim[1] = t->classes > 0 ? t->classes : 1;
    }
    return LOOM_OK;
}

/* Answers to one segment's questions, of which there are as many as there are bins, or more. */
static int32_t most_asked(const struct task *t)
{
    const struct loom_rows *over = questions(t);
    int32_t most = 0;
    for (int32_t r = 0, end; r < over->rows; r = end) {
        end = end_of_segment(over, r);
        most = end - r > most ? end - r : most;
    }
    return most;
}

static size_t answers_scratch(const struct loom_node *n)
{
    const struct task *t = task_of(n);
    return (size_t)(t->states + scratch_of(t) + (int64_t)most_asked(t) * t->dims + 1) * sizeof(double);
}

/* Dense answers [count, dims] to the elements that were asked, in their order. whole: an answer is all of its dims. */
static loom_real *deliver(const struct loom_sequence *s, int32_t count, int whole, const double *dense, loom_real *out)
{
    for (int32_t q = 0; q < count; q++) {
        const double *y = dense + (int64_t)q * s->dims;
        if (whole) {
            for (int32_t d = 0; d < s->dims; d++)
                *out++ = (loom_real)y[d];
            continue;
        }
        const int32_t r = s->first_ask + q;
        for (int32_t i = s->ask->first_elem[r]; i < s->ask->first_elem[r + 1]; i++)
            *out++ = (loom_real)y[place_of(s, r, i)];
    }
    return out;
}

static void answers_forward(const struct loom_node *n, void *scratch)
{
    const struct task *t = task_of(n);
    const struct loom_node *x = loom_node_inputs(n) > 1 ? loom_node_input(n, 1) : NULL;
    const struct loom_rows *over = questions(t);
    double *state = scratch, *dense = state + t->states, *own = dense + (int64_t)most_asked(t) * t->dims;
    loom_real *out = loom_node_out(n);
    join_state(state, loom_node_host(loom_node_input(n, 0)), t->states);
    own[0] = 0.0;
    for (int32_t r = t->first, end; r < t->first + t->count; r = end) {
        struct loom_sequence s;
        end = end_of_segment(over, r);
        sequence_of(t, x, over->segment_of[r], &s);
        if (t->ask != NULL) {
            s.first_ask = r;
            s.asks = end - r;
        }
        memset(dense, 0, (size_t)(end - r) * (size_t)t->dims * sizeof *dense);
        t->e->predict(t->self, &s, state, dense, own);
        out = deliver(&s, end - r, t->ask == NULL || t->classes > 0, dense, out);
    }
}

static const struct loom_op answers_op = {.size = sizeof(struct loom_op),
                                          .name = "estimator_answers",
                                          .infer = answers_infer,
                                          .scratch = answers_scratch,
                                          .forward = answers_forward};

/* ---- memory ---- */

static const char *name_of(char out[NAME], const struct loom_estimator *e, const struct loom_recording *of)
{
    snprintf(out, NAME, e->shared ? "%s" : "%s.%s", e->name, e->shared ? "" : of->id);
    return out;
}

static const char *part_of(char out[NAME], const struct loom_estimator *e, const struct loom_recording *of, int32_t f)
{
    if (e->shared)
        snprintf(out, NAME, "%s.sums", e->name);
    else
        snprintf(out, NAME, "%s.%s.%d", e->name, of->id, (int)f);
    return out;
}

/* How many sequences each recording had in a pass: a stage may leave recordings out. */
static const char *met_of(char out[NAME], const struct loom_estimator *e)
{
    snprintf(out, NAME, "%s.sequences", e->name);
    return out;
}

static struct loom_node *state_of(struct loom_build *b, const struct task *t)
{
    char name[NAME];
    return loom_state(b, name_of(name, t->e, owner(t)), 2, (const int64_t[]){2, t->states}, "zeros");
}

static void measure(struct task *t)
{
    t->dims = t->dims < 0 ? owner(t)->units : t->dims;
    t->states = t->e->states(t->self, owner(t), t->dims);
    t->sums = t->e->sums(t->self, owner(t), t->dims);
}

/* Memory of every recording is named in every build, whichever recordings the shard holds. */
static void name_all(const struct task *like, struct loom_build *b)
{
    char name[NAME];
    for (int i = 0; i < (like->e->shared ? 1 : loom_catalog_count(like->catalog)); i++) {
        struct task t = *like;
        t.recording = like->e->shared ? -1 : i;
        measure(&t);
        state_of(b, &t);
        for (int32_t f = 0; f < t.folds; f++)
            loom_sum_declare(b, part_of(name, t.e, owner(&t), f), 1, &t.sums);
    }
    if (!like->e->shared)
        loom_sum_declare(b, met_of(name, like->e), 1, &(int64_t){loom_catalog_count(like->catalog)});
}

static struct loom_node *apply(struct loom_build *b, const struct loom_op *op, const struct task *t,
                               struct loom_node *x)
{
    struct loom_node *in[2] = {state_of(b, t), x};
    return loom_apply(loom_build_graph(b), op, x != NULL ? 2 : 1, in, t, sizeof *t);
}

static int32_t most_bins(const struct loom_rows *in)
{
    int32_t most = 0;
    for (int32_t i = 0; i < in->segments; i++) {
        int32_t n = in->first_row[i + 1] - in->first_row[i];
        most = n > most ? n : most;
    }
    return most;
}

static void add_one(const struct task *like, struct loom_build *b, struct loom_node *x, int recording, int fold)
{
    struct task t = *like;
    char name[NAME];
    t.recording = recording;
    t.fold = fold;
    measure(&t);
    loom_sum_into(b, part_of(name, t.e, owner(&t), fold), apply(b, &sums_op, &t, x));
}

/* One node for each part of each recording that the shard holds. */
static void add_sums(const struct task *like, struct loom_build *b, struct loom_node *x)
{
    const struct loom_rows *over = questions(like);
    const int recordings = loom_catalog_count(like->catalog), folds = like->folds;
    struct loom_graph *g = loom_build_graph(b);
    uint8_t *there = loom_graph_alloc(g, (size_t)(recordings * folds) + 1);
    double *met = loom_graph_alloc(g, ((size_t)recordings + 1) * sizeof *met);
    char name[NAME];
    if (there == NULL || met == NULL)
        return;
    if (like->e->shared) {
        add_one(like, b, x, -1, 0);
        return;
    }
    memset(there, 0, (size_t)(recordings * folds));
    memset(met, 0, (size_t)recordings * sizeof *met);
    for (int32_t r = 0, end; r < over->rows; r = end) {
        const struct loom_segment *of = &over->segment[over->segment_of[r]];
        there[of->recording * folds + of->fold % folds] = 1;
        met[of->recording] += 1.0;
        end = end_of_segment(over, r);
    }
    loom_sum_into(b, met_of(name, like->e), loom_input(g, LOOM_F64, 1, &(int64_t){recordings}, met));
    for (int i = 0; i < recordings * folds; i++)
        if (there[i])
            add_one(like, b, x, i / folds, i % folds);
}

/* One node for each run of questions of one recording. */
static struct loom_node *answers(const struct task *like, struct loom_build *b, struct loom_node *x)
{
    const struct loom_rows *over = questions(like);
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node **part = loom_graph_alloc(g, ((size_t)over->segments + 1) * sizeof(struct loom_node *));
    int parts = 0;
    for (int32_t r = 0, first = 0; part != NULL && r < over->rows; first = r) {
        struct task t = *like;
        t.recording = over->segment[over->segment_of[r]].recording;
        while (r < over->rows && (t.e->shared || over->segment[over->segment_of[r]].recording == t.recording))
            r++;
        t.recording = t.e->shared ? -1 : t.recording;
        t.first = first;
        t.count = r - first;
        measure(&t);
        part[parts++] = apply(b, &answers_op, &t, x);
    }
    if (parts == 0)
        return loom_constant(g, 2, (const int64_t[]){0, like->dims > 0 ? like->dims : 1}, 0.0);
    return parts == 1 ? part[0] : loom_concat_rows(g, parts, part);
}

/* Numbers an answer: -1 = units of whichever recording. 0 with the graph failed. */
static int32_t dims_of(struct loom_graph *g, const struct loom_view *v, const struct loom_rows *ask)
{
    if (v->in.rows > 0 && ask->modality[0] == v->in.modality[0])
        return -1;
    for (int32_t r = 0; r < ask->rows; r++)
        if (ask->first_elem[r + 1] - ask->first_elem[r] != ask->first_elem[1]) {
            loom_graph_fail(g, LOOM_ESHAPE, "a baseline answers rows of one length; ask it for behaviour or counts");
            return 0;
        }
    return ask->first_elem[1];
}

/* Classes of a label that is asked; 0: it is something else. */
static int32_t classes_of(const struct loom_build *b, const struct loom_rows *ask)
{
    const struct loom_modality *at = ask->rows > 0 ? &b->model->modality[ask->modality[0]] : NULL;
    const int label = at != NULL && at->likelihood != NULL && at->likelihood->params < 0;
    return label && ask->elems == ask->rows ? at->at.traits.classes : 0;
}

/* Memory, and sums in a fitting pass, else answers. */
static struct loom_answer answer_or_add(struct task *t, struct loom_build *b, struct loom_node *x)
{
    const int64_t none[2] = {t->ask->elems, t->classes > 0 ? t->classes : 1};
    t->most_bins = most_bins(t->in);
    name_all(t, b);
    if (!loom_fitting(b))
        return (struct loom_answer){answers(t, b, x), NULL};
    add_sums(t, b, x);
    return (struct loom_answer){loom_constant(loom_build_graph(b), 2, none, 0.0), NULL};
}

struct loom_answer loom_estimator_answer(const struct loom_estimator *e, const void *self, int32_t folds,
                                         struct loom_build *b, const struct loom_view *v, struct loom_node *x,
                                         const struct loom_rows *ask)
{
    struct loom_graph *g = loom_build_graph(b);
    struct task t = {.e = e, .self = self, .catalog = loom_build_catalog(b), .in = &v->in, .ask = ask, .folds = folds};
    t.dims = ask->rows > 0 ? dims_of(g, v, ask) : 0;
    if (classes_of(b, ask) > 0)
        loom_graph_fail(
            g, LOOM_ECONFIG,
            "baseline '%s' is a regression and names no classes of '%s'; put one that does beside the model "
            "(against = ( \"lda\" ), or \"csp\" for signals)",
            b->model->backbone_at.plugin->id, b->model->modality[ask->modality[0]].name);
    if (t.dims == 0 || (t.dims < 0) != (e->counts != 0))
        return (struct loom_answer){NULL, NULL};
    return answer_or_add(&t, b, x);
}

struct loom_answer loom_estimator_classes(const struct loom_estimator *e, const void *self, int32_t folds,
                                          struct loom_build *b, const struct loom_view *v, const struct loom_rows *ask)
{
    const int32_t classes = classes_of(b, ask);
    struct task t = {.e = e,
                     .self = self,
                     .catalog = loom_build_catalog(b),
                     .in = &v->in,
                     .ask = ask,
                     .folds = folds,
                     .dims = classes,
                     .classes = classes};
    if (classes == 0)
        return (struct loom_answer){NULL, NULL};
    return answer_or_add(&t, b, NULL);
}

struct loom_node *loom_estimator_encode(const struct loom_estimator *e, const void *self, struct loom_build *b,
                                        const struct loom_view *v, int32_t width)
{
    struct task t = {.e = e,
                     .self = self,
                     .catalog = loom_build_catalog(b),
                     .in = &v->in,
                     .folds = 1,
                     .dims = width,
                     .most_bins = most_bins(&v->in)};
    name_all(&t, b);
    if (loom_fitting(b))
        add_sums(&t, b, NULL);
    return answers(&t, b, NULL);
}

/* ---- update ---- */

struct solving {
    const struct loom_estimator *e;
    const void *self;
    struct loom_update *u;
    struct loom_error *error;
};

/* dims of what was asked, from the size of its state; 0 = nobody asked. */
static int32_t dims_asked(const struct solving *s, const struct loom_recording *of, size_t states)
{
    for (int32_t d = 1; states > 0 && d < 1 << 20; d++) {
        int64_t n = s->e->states(s->self, of, d);
        if (n >= (int64_t)states)
            return n == (int64_t)states ? d : 0;
    }
    return 0;
}

/* Name as the part's scope has it: under what is asked for. */
static const char *in_scope(char out[PATH], const struct loom_estimate *x, const char *name)
{
    snprintf(out, PATH, x->asked != NULL ? "%s.%s" : "%s%s", x->asked != NULL ? x->asked : "", name);
    return out;
}

/* The stage has windows of the recording: else there is nothing to fit to, and no reason to say so. */
static int is_met(const struct solving *s, const struct loom_estimate *x)
{
    char name[NAME], full[PATH];
    const double *met = s->e->shared ? NULL : loom_update_sum(s->u, in_scope(full, x, met_of(name, s->e)), NULL);
    return met == NULL || met[x->recording] > 0.0;
}

static int solve(const struct solving *s, struct loom_estimate *x)
{
    char name[NAME], full[PATH];
    size_t n = 0;
    int rc = LOOM_OK;
    loom_real *state = loom_update_state(s->u, in_scope(full, x, name_of(name, s->e, x->of)), &n);
    x->dims = dims_asked(s, x->of, n / 2);
    if (state == NULL || x->dims == 0 || !is_met(s, x))
        return LOOM_OK;
    n /= 2;
    const double **sums = calloc((size_t)x->folds, sizeof *sums);
    x->state = calloc(n + 1, sizeof *x->state);
    if (sums == NULL || x->state == NULL)
        rc = loom_fail(s->error, LOOM_ENOMEM, NULL, 0, "no memory to fit %s; free some", s->e->name);
    for (int32_t f = 0; f < x->folds && rc == LOOM_OK; f++) {
        size_t size;
        sums[f] = loom_update_sum(s->u, in_scope(full, x, part_of(name, s->e, x->of, f)), &size);
    }
    x->sums = sums;
    if (rc == LOOM_OK) {
        join_state(x->state, state, (int64_t)n);
        rc = s->e->solve(s->self, x, s->error);
        for (size_t i = 0; i < n && rc >= LOOM_OK; i++) {
            state[i] = (loom_real)x->state[i];
            state[n + i] = (loom_real)(x->state[i] - (double)state[i]);
        }
    }
    free(sums);
    free(x->state);
    return rc;
}

/* All that may have been asked for: behaviours, labels, counts. */
static int solve_asked(const struct solving *s, struct loom_estimate *x)
{
    int more = 0;
    for (int k = 0; k < s->u->model->modalities; k++) {
        x->asked = s->u->model->modality[k].name;
        int rc = solve(s, x);
        if (rc < 0)
            return rc;
        more |= rc;
    }
    return more;
}

int loom_estimator_update(const struct loom_estimator *e, const void *self, int32_t folds, int asked,
                          struct loom_update *u, struct loom_error *error)
{
    const struct solving s = {e, self, u, error};
    struct loom_estimate x = {
        .catalog = u->model->catalog, .recording = -1, .folds = asked ? folds : 1, .pass = u->pass};
    int more = 0;
    if (!u->fitting)
        return LOOM_OK;
    if (e->shared)
        return asked ? solve_asked(&s, &x) : solve(&s, &x);
    for (int i = 0; i < loom_catalog_count(u->model->catalog); i++) {
        x.of = loom_catalog_recording(u->model->catalog, i);
        x.recording = i;
        int rc = asked ? solve_asked(&s, &x) : solve(&s, &x);
        if (rc < 0)
            return rc;
        more |= rc;
    }
    return more;
}
