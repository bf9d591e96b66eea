/* SPDX-License-Identifier: Apache-2.0 */
/* Gradients against differences of the loss. Draws of masks and dropout hang on the step, so a pass at one step is a
 * function of the parameters alone. */
#include "conform/families.h"
#include "conform/trial.h"

#include <loom/rng.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRAINED_KINDS (LOOM_KIND(LOOM_TOKENIZER) | LOOM_KIND(LOOM_BACKBONE) | LOOM_KIND(LOOM_OBJECTIVE))

/* A probe with what the checks vary beside it. */
struct slope {
    struct loom_world w;
    struct loom_probe p;
    struct loom_store *store;
    struct loom_said said;
    loom_real *base, *grad; /* [size[PARAM]] */
    double *direction;      /* [size[PARAM]] */
    double loss, norm;
};

static void slope_release(struct slope *s)
{
    free(s->base);
    free(s->grad);
    free(s->direction);
    loom_said_release(&s->said);
    loom_probe_release(&s->p);
    loom_world_release(&s->w);
}

static int is_trained(const struct loom_entry *n)
{
    return n->lifetime == LOOM_LIFE_PARAM && n->lr_scale != 0 && n->size > 0;
}

static int slope_open(struct slope *s, struct loom_trial *t, const char *const *extra, int n)
{
    memset(s, 0, sizeof *s);
    int code = loom_world_probe(t, &s->w, &s->p, extra, n);
    if (code != LOOM_OK)
        return code;
    s->store = loom_model_store(s->p.model);
    size_t size = (size_t)s->store->size[LOOM_LIFE_PARAM] + 1;
    s->base = calloc(size, sizeof *s->base);
    s->grad = calloc(size, sizeof *s->grad);
    s->direction = calloc(size, sizeof *s->direction);
    code = s->base && s->grad && s->direction
               ? loom_probe_pass(&s->p, s->p.sample, s->p.n, LOOM_STEP, 1, NULL, NULL, &s->said, &t->e)
               : loom_fail(&t->e, LOOM_ENOMEM, NULL, 0, "no memory for gradients: free some");
    if (code != LOOM_OK) {
        slope_release(s);
        return code;
    }
    memcpy(s->base, s->store->param, (size - 1) * sizeof *s->base);
    memcpy(s->grad, s->said.grad, (size - 1) * sizeof *s->grad);
    s->loss = s->said.loss;
    for (size_t i = 0; i + 1 < size; i++)
        s->norm += (double)s->grad[i] * (double)s->grad[i];
    s->norm = sqrt(s->norm);
    return LOOM_OK;
}

static int loss_at(struct slope *s, double eps, double *loss, struct loom_error *e)
{
    for (int64_t i = 0; i < s->store->size[LOOM_LIFE_PARAM]; i++)
        s->store->param[i] = (loom_real)((double)s->base[i] + eps * s->direction[i]);
    int code = loom_probe_pass(&s->p, s->p.sample, s->p.n, LOOM_STEP, 1, NULL, NULL, &s->said, e);
    *loss = s->said.loss;
    return code;
}

static int central(struct slope *s, double eps, double *fd, struct loom_error *e)
{
    double up = 0, down = 0;
    int code = loss_at(s, eps, &up, e);
    if (code == LOOM_OK)
        code = loss_at(s, -eps, &down, e);
    *fd = (up - down) / (2 * eps);
    return code;
}

/* Central differences along s->direction at two distances, extrapolated to none (Richardson), so that curvature leaves
 * but its fourth power; *is = what the gradient says. */
static int difference(struct slope *s, double eps, double *fd, double *is, struct loom_error *e)
{
    double far = 0, near = 0;
    int code = central(s, eps, &far, e);
    if (code == LOOM_OK)
        code = central(s, 0.5 * eps, &near, e);
    *fd = (4 * near - far) / 3;
    *is = 0;
    for (int64_t i = 0; i < s->store->size[LOOM_LIFE_PARAM]; i++) {
        *is += (double)s->grad[i] * s->direction[i];
        s->store->param[i] = s->base[i];
    }
    return code;
}

static void normalise(double *d, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += d[i] * d[i];
    for (int64_t i = 0; i < n && sum > 0; i++)
        d[i] /= sqrt(sum);
}

enum { RANDOM_DIRECTIONS = 8 };

/* Along the whole gradient (-1), along that of one entry, or at random; returns 0 where there is nothing to go along.
 */
static int point(struct slope *s, int which, uint64_t seed)
{
    const int64_t n = s->store->size[LOOM_LIFE_PARAM];
    memset(s->direction, 0, (size_t)n * sizeof *s->direction);
    struct loom_rng g;
    loom_rng_init(&g, seed, "direction", (uint64_t)which, 0);
    for (int i = 0; i < s->store->count; i++) {
        const struct loom_entry *at = &s->store->entry[i];
        for (int64_t k = at->offset; is_trained(at) && k < at->offset + at->size; k++)
            if (which < 0 || which == i)
                s->direction[k] = (double)s->grad[k];
            else if (which >= s->store->count)
                s->direction[k] = loom_rng_normal(&g);
    }
    double sum = 0;
    for (int64_t k = 0; k < n; k++)
        sum += s->direction[k] * s->direction[k];
    normalise(s->direction, n);
    return sum > 0;
}

static const char *direction_name(const struct slope *s, int which)
{
    return which < 0                 ? "the whole gradient"
           : which < s->store->count ? s->store->entry[which].name
                                     : "a random direction";
}

/* What float passes can tell apart: the loss is rounded at about 1e-7 of itself, twice, over 2 eps. */
static double tolerance(const struct slope *s, int which, double is, double eps)
{
    const double rounding = 1e-6 * (1 + fabs(s->loss)) / eps;
    if (which < 0)
        return 1e-3 * fabs(is) + rounding;
    return which < s->store->count ? 2e-2 * fabs(is) + rounding : 3e-3 * s->norm + rounding;
}

/* 1, and the trial is skipped: the objective's gradient is not that of what it emits. */
static int estimates(struct slope *s, struct loom_trial *t)
{
    const struct loom_traits *objective = loom_model_traits(s->p.model, LOOM_OBJECTIVE);
    if (!objective || !(objective->offers & LOOM_ESTIMATES))
        return 0;
    slope_release(s);
    (void)loom_trial_skip(t, "its gradient is no slope (LOOM_ESTIMATES)");
    return 1;
}

/* 1 when they agree at either distance: where the loss bends much within the longer one, the shorter tells; a wrong
 * gradient is wrong at both. */
static int agree(struct slope *s, int which, double *fd, double *is, struct loom_error *e)
{
    static const double distance[] = {1e-2, 2.5e-3};
    for (size_t i = 0; i < sizeof distance / sizeof *distance; i++) {
        int code = difference(s, distance[i], fd, is, e);
        if (code != LOOM_OK)
            return code;
        if (fabs(*fd - *is) <= tolerance(s, which, *is, distance[i]))
            return 1;
    }
    return 0;
}

static int along(struct loom_trial *t)
{
    struct slope s;
    int outcome = LOOM_PASSED;
    if (slope_open(&s, t, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a training pass");
    if (estimates(&s, t))
        return LOOM_SKIPPED;
    if (!(s.norm > 0))
        outcome = loom_trial_fail(t,
                                  "the gradient of a training pass over %d windows is %s: emit a term that hangs "
                                  "on parameters",
                                  s.p.n, s.norm == 0 ? "zero" : "not a number");
    for (int which = -1; which < s.store->count + RANDOM_DIRECTIONS && outcome == LOOM_PASSED; which++) {
        double fd = 0, is = 0;
        if (!point(&s, which, t->seed))
            continue;
        const int agreed = agree(&s, which, &fd, &is, &t->e);
        if (agreed < 0)
            outcome = loom_trial_fail_error(t, "a training pass");
        else if (!agreed)
            outcome = loom_trial_fail(t,
                                      "along %s the loss rises by %.6g per unit, and the gradient says %.6g: look at "
                                      "the backward of the ops that it goes through",
                                      direction_name(&s, which), fd, is);
    }
    slope_release(&s);
    return outcome;
}
const struct loom_check loom_check_grad_fd_dir = {
    .id = "grad-fd-dir",
    .kinds = TRAINED_KINDS,
    .level = LOOM_REQUIRED,
    .what =
        "A whole training pass, with its draws of masks and dropout held, is repeated a little to both sides: along "
        "the gradient, along the gradient of each parameter by itself, and in eight random directions. The loss "
        "must rise as the gradient says. A wrong sign trains, slowly, to a wrong place.",
    .seconds = 60,
    .run = along,
};

#ifdef LOOM_DOUBLE
enum { EACH = 2 }; /* elements of a parameter that are tried: a backbone of usual size has a hundred parameters */

static int element(struct loom_trial *t)
{
    struct slope s;
    int outcome = LOOM_PASSED;
    if (slope_open(&s, t, (const char *const[]){"data.window_ms=200", "data.units=4"}, 2) != LOOM_OK)
        return loom_trial_fail_error(t, "a training pass");
    if (estimates(&s, t))
        return LOOM_SKIPPED;
    s.p.n = s.p.n < 2 ? s.p.n : 2;
    double loss;
    memset(s.direction, 0, (size_t)s.store->size[LOOM_LIFE_PARAM] * sizeof *s.direction);
    if (loss_at(&s, 0, &loss, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "a training pass");
    else
        memcpy(s.grad, s.said.grad, (size_t)s.store->size[LOOM_LIFE_PARAM] * sizeof *s.grad);
    for (int i = 0; i < s.store->count && outcome == LOOM_PASSED; i++) {
        const struct loom_entry *n = &s.store->entry[i];
        int64_t stride = n->size > EACH ? n->size / EACH : 1;
        for (int64_t k = 0; is_trained(n) && k < n->size && outcome == LOOM_PASSED; k += stride) {
            double fd, is;
            s.direction[n->offset + k] = 1;
            if (difference(&s, 1e-5, &fd, &is, &t->e) != LOOM_OK)
                outcome = loom_trial_fail_error(t, "a training pass");
            else if (!(fabs(fd - is) <= 1e-6 * (1 + fabs(s.loss))))
                outcome = loom_trial_fail(t,
                                          "element %lld of '%s': the loss rises by %.9g per unit, and the gradient "
                                          "says %.9g: look at the backward of the ops that it goes through",
                                          (long long)k, n->name, fd, is);
            s.direction[n->offset + k] = 0;
        }
    }
    slope_release(&s);
    return outcome;
}
const struct loom_check loom_check_grad_fd_elem = {
    .id = "grad-fd-elem",
    .kinds = TRAINED_KINDS,
    .level = LOOM_REQUIRED,
    .what = "In double precision, elements of every parameter are moved one by one by 1e-5 to both sides in a training "
            "pass over two windows. The loss must rise as the gradient says, within 1e-6.",
    .seconds = 120,
    .run = element,
};
#endif

/* ---- sums ---- */

/* Adds the gradient of windows [first, first + n) to the block, with the masses of all. */
static int half(struct slope *s, int first, int n, const struct loom_masses *joined, int once, struct loom_error *e)
{
    int code = loom_shard_plan(s->p.shard, s->p.sample + first, n, LOOM_STEP, 1, e);
    if (code == LOOM_OK)
        code = loom_shard_build(s->p.shard, joined, &s->p.block, once, e);
    if (code == LOOM_OK)
        loom_shard_run(s->p.shard);
    return code;
}

static int halves(struct slope *s, struct loom_error *e)
{
    struct loom_masses joined = {0};
    int middle = s->p.n / 2, code = LOOM_OK;
    for (int first = 0; first < s->p.n && code == LOOM_OK; first += middle ? middle : s->p.n) {
        int n = first == 0 && middle ? middle : s->p.n - first;
        code = loom_shard_plan(s->p.shard, s->p.sample + first, n, LOOM_STEP, 1, e);
        if (code == LOOM_OK)
            loom_masses_add(&joined, loom_shard_masses(s->p.shard));
        if (first > 0)
            break;
    }
    loom_block_zero(&s->p.block, s->store);
    if (code == LOOM_OK)
        code = half(s, 0, middle, &joined, 1, e);
    if (code == LOOM_OK)
        code = half(s, middle, s->p.n - middle, &joined, 0, e);
    return code;
}

static int accumulate(struct loom_trial *t)
{
    struct slope s;
    int outcome = LOOM_PASSED;
    if (slope_open(&s, t, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a training pass");
    const struct loom_traits *objective = loom_model_traits(s.p.model, LOOM_OBJECTIVE);
    if (s.p.n < 2)
        outcome = loom_trial_skip(t, "there is but one window");
    else if (objective && (objective->offers & LOOM_COUPLES))
        outcome = loom_trial_skip(t, "it compares the windows of a shard with each other (LOOM_COUPLES)");
    else if (halves(&s, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "a batch in two halves");
    for (int i = 0; i < s.store->count && outcome == LOOM_PASSED; i++) {
        const struct loom_entry *n = &s.store->entry[i];
        double worst = 0, size = 0;
        for (int64_t k = n->offset; is_trained(n) && k < n->offset + n->size; k++) {
            double off = fabs((double)s.grad[k] - (double)s.p.block.grad[k]);
            worst = off <= worst ? worst : off;
            size += (double)s.grad[k] * (double)s.grad[k];
        }
        if (!(worst <= 1e-4 * sqrt(size) + 1e-6 * s.norm))
            outcome = loom_trial_fail(t,
                                      "the gradient of '%s' over a batch differs by %.3g of its norm %.3g from the sum "
                                      "over the batch's halves: add in backward (fresh = 0), and scale a term by "
                                      "loom_mass, never by what one shard holds",
                                      n->name, worst, sqrt(size));
    }
    slope_release(&s);
    return outcome;
}
const struct loom_check loom_check_grad_accumulate = {
    .id = "grad-accumulate",
    .kinds = TRAINED_KINDS,
    .level = LOOM_REQUIRED,
    .what = "The gradient of a batch must be the sum of those of its two halves, each built with the masses of both: "
            "how a batch is cut into shards is no part of a model.",
    .run = accumulate,
};

/* ---- who is trained ---- */

enum { STEPS = 6 };

/* Is this entry the tested plugin's own, by its place? */
static int is_own(const struct loom_trial *t, const struct loom_entry *n)
{
    char scope[64] = "objective";
    if (t->plugin->kind == LOOM_TOKENIZER)
        snprintf(scope, sizeof scope, "tokenizer.%s", t->serves ? t->serves : "spikes");
    else if (t->plugin->kind == LOOM_BACKBONE)
        strcpy(scope, "backbone");
    return strncmp(n->name, scope, strlen(scope)) == 0;
}

/* Does any element of [from, from + n) get a gradient? */
static int is_moved(const struct slope *s, int64_t from, int64_t n)
{
    for (int64_t k = from; k < from + n; k++)
        if (s->grad[k] != 0)
            return 1;
    return 0;
}

/* A table of names has rows for every recording. The recording among those of the windows none of whose rows gets a
 * gradient; NULL: there is none. */
static const char *left_out(const struct slope *s, const struct loom_entry *n)
{
    const int64_t width = n->dim[0] > 0 ? n->size / n->dim[0] : 0;
    if (!n->vocabulary || !n->row || strcmp(n->vocabulary, "unit") != 0)
        return NULL;
    for (int i = 0; i < s->p.n; i++) {
        const char *id = loom_catalog_recording(s->p.runner.catalog, s->p.sample[i].recording)->id;
        const size_t length = strlen(id);
        int rows = 0, moved = 0;
        for (int64_t r = 0; r < n->dim[0]; r++)
            if (strncmp(n->row[r], id, length) == 0 && n->row[r][length] == '/') {
                rows++;
                moved |= is_moved(s, n->offset + r * width, width);
            }
        if (rows && !moved)
            return id;
    }
    return NULL;
}

static int cover(struct loom_trial *t, const struct slope *s, const struct loom_entry *n)
{
    if (!is_moved(s, n->offset, n->size))
        return loom_trial_fail(t,
                               "no element of '%s' gets a gradient in %d passes over %d windows: use it, do not "
                               "declare it, or keep it as loom_state",
                               n->name, STEPS - 1, s->p.n);
    const char *id = left_out(s, n);
    return id ? loom_trial_fail(t,
                                "windows of '%s' went through, and none of its rows of the table '%s' gets a gradient: "
                                "take the row's number from loom_table_row, with the recording of the segment",
                                id, n->name)
              : LOOM_PASSED;
}

static int coverage(struct loom_trial *t)
{
    struct slope s;
    int outcome = LOOM_PASSED;
    if (slope_open(&s, t, NULL, 0) != LOOM_OK)
        return loom_trial_fail_error(t, "a training pass");
    const int64_t size = s.store->size[LOOM_LIFE_PARAM];
    for (int step = 2; step < STEPS && outcome == LOOM_PASSED; step++) {
        if (loom_probe_pass(&s.p, s.p.sample, s.p.n, LOOM_STEP, (uint64_t)step, NULL, NULL, &s.said, &t->e) != LOOM_OK)
            outcome = loom_trial_fail_error(t, "a training pass");
        for (int64_t i = 0; i < size; i++)
            if (s.grad[i] == 0)
                s.grad[i] = s.said.grad[i];
    }
    for (int i = 0; i < s.store->count && outcome == LOOM_PASSED; i++)
        if (is_trained(&s.store->entry[i]) && is_own(t, &s.store->entry[i]))
            outcome = cover(t, &s, &s.store->entry[i]);
    slope_release(&s);
    return outcome;
}
const struct loom_check loom_check_grad_coverage = {
    .id = "grad-coverage",
    .kinds = TRAINED_KINDS,
    .level = LOOM_REQUIRED,
    .what =
        "Every parameter that the plugin declares must get a gradient in a few passes over random windows, and so must "
        "rows of each recording in a table of units: what never does is forgotten in a backward, looked up under the "
        "number of another, or weight that only the checkpoint carries.",
    .run = coverage,
};
