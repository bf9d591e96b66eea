/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optimizer.h"

#include "tensor/kernels/kernels.h"

#include <loom/model.h>

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A stretch of one entry: small enough that workers share the block evenly, large enough that taking it costs nothing.
 */
struct loom_span {
    int64_t first, n;
    int entry;
    int64_t born;
    double lr_scale, decay;
    double trust; /* SparseLamb: of its entry, in this step */
};
enum { SPAN = 16384 };

struct job {
    struct loom_optimizer *o;
    const loom_real *grad;
    struct loom_adamw rule;
};

static int is_trained(const struct loom_entry *n)
{
    return n->lifetime == LOOM_LIFE_PARAM && n->lr_scale != 0 && n->size > 0;
}

/* Room for all entries, frozen ones too: they may train later. */
static int most_spans(const struct loom_store *store)
{
    int64_t spans = 0;
    for (int i = 0; i < store->count; i++)
        if (store->entry[i].lifetime == LOOM_LIFE_PARAM)
            spans += (store->entry[i].size + SPAN - 1) / SPAN;
    return (int)spans;
}

void loom_optimizer_refresh(struct loom_optimizer *o, int64_t since)
{
    o->spans = 0;
    for (int i = 0; i < o->store->count; i++) {
        const struct loom_entry *n = &o->store->entry[i];
        if (is_trained(n) && o->born[i] < 0)
            o->born[i] = since;
        for (int64_t at = 0; is_trained(n) && at < n->size; at += SPAN)
            o->span[o->spans++] = (struct loom_span){
                .first = n->offset + at,
                .n = n->size - at < SPAN ? n->size - at : SPAN,
                .entry = i,
                .born = o->born[i],
                .lr_scale = n->lr_scale,
                .decay = n->flags & LOOM_NO_DECAY && o->spec.kind == LOOM_ADAMW ? 0 : o->spec.weight_decay,
            };
    }
}

int loom_optimizer_init(struct loom_optimizer *o, struct loom_store *store, const struct loom_optimizer_spec *spec,
                        struct loom_error *e)
{
    *o = (struct loom_optimizer){.spec = *spec, .store = store, .kernels = loom_kernels_default(e)};
    if (!o->kernels)
        return LOOM_ECONFIG;
    size_t n = (size_t)store->size[LOOM_LIFE_PARAM], spans = (size_t)most_spans(store);
    o->m = calloc(n + 1, sizeof *o->m);
    o->v = calloc(n + 1, sizeof *o->v);
    o->span = calloc(spans + 1, sizeof *o->span);
    o->partial = calloc(spans + 1, sizeof *o->partial);
    o->squares = calloc(spans + 1, sizeof *o->squares);
    o->step_square = calloc(spans + 1, sizeof *o->step_square);
    o->born = malloc(((size_t)store->count + 1) * sizeof *o->born);
    if (!o->m || !o->v || !o->span || !o->partial || !o->squares || !o->step_square || !o->born) {
        loom_optimizer_release(o);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0,
                         "no memory for the optimizer's moments (%zu parameters): use a smaller model", n);
    }
    for (int i = 0; i < store->count; i++)
        o->born[i] = -1;
    loom_optimizer_refresh(o, 0);
    return LOOM_OK;
}

void loom_optimizer_release(struct loom_optimizer *o)
{
    free(o->m);
    free(o->v);
    free(o->span);
    free(o->partial);
    free(o->squares);
    free(o->step_square);
    free(o->born);
    *o = (struct loom_optimizer){0};
}

static void square_span(void *payload, int task, int worker)
{
    struct job *job = payload;
    const struct loom_span *s = &job->o->span[task];
    (void)worker;
    job->o->partial[task] = job->o->kernels->sum_squares(s->n, job->grad + s->first);
}

static void update_span(void *payload, int task, int worker)
{
    struct job *job = payload;
    struct loom_optimizer *o = job->o;
    const struct loom_span *s = &o->span[task];
    struct loom_adamw rule = job->rule;
    (void)worker;
    rule.lr *= s->lr_scale;
    rule.decay = s->decay;
    rule.keep = o->spec.shadow_decay;
    rule.step -= s->born;
    o->kernels->adamw(&rule, s->n, job->grad + s->first, o->store->param + s->first, o->m + s->first, o->v + s->first,
                      o->store->shadow ? o->store->shadow + s->first : NULL);
}

/* ---- SparseLamb ---- */

/* What one span takes and where: pointers to its first element. */
struct lamb {
    const struct loom_entry *entry;
    const loom_real *grad; /* of the whole entry */
    int64_t at, end;       /* elements of the entry */
    int64_t width;         /* of a row, where rows are sparse; else 0 */
};

static struct lamb lamb_of(const struct job *job, const struct loom_span *s)
{
    const struct loom_entry *n = &job->o->store->entry[s->entry];
    const int sparse = (n->flags & LOOM_SPARSE_ROWS) && n->rank > 1 && n->dim[0] > 0;
    return (struct lamb){.entry = n,
                         .grad = job->grad + n->offset,
                         .at = s->first - n->offset,
                         .end = s->first - n->offset + s->n,
                         .width = sparse ? n->size / n->dim[0] : 0};
}

/* The end of the stretch that begins at element `at`: the span's, or the row's where rows are sparse; *active: its
 * gradient is not 0 throughout. A row that two spans share is looked at whole by both. */
static int64_t stretch(const struct lamb *l, int64_t at, int *active)
{
    *active = 1;
    if (l->width == 0)
        return l->end;
    const int64_t first = at / l->width * l->width, last = first + l->width;
    *active = 0;
    for (int64_t i = first; i < last && !*active; i++)
        *active = l->grad[i] != 0;
    return last < l->end ? last : l->end;
}

/* Moments, and the squares of parameters and of what would be taken from them. */
static void lamb_moments(void *payload, int task, int worker)
{
    const struct job *job = payload;
    struct loom_optimizer *o = job->o;
    const struct loom_span *s = &o->span[task];
    const struct lamb l = lamb_of(job, s);
    const loom_real b1 = (loom_real)job->rule.beta1, b2 = (loom_real)job->rule.beta2,
                    a1 = (loom_real)(1 - job->rule.beta1), a2 = (loom_real)(1 - job->rule.beta2),
                    eps = (loom_real)job->rule.eps, by = (loom_real)job->rule.grad_scale, decay = (loom_real)s->decay;
    const loom_real *p = o->store->param + l.entry->offset;
    loom_real *m = o->m + l.entry->offset, *v = o->v + l.entry->offset;
    double squares = 0, steps = 0;
    int active;
    (void)worker;
    for (int64_t i = l.at, end; i < l.end; i = end) {
        end = stretch(&l, i, &active);
        for (int64_t k = i; k < end; k++) {
            const loom_real g = l.grad[k] * by;
            m[k] = active ? b1 * m[k] + a1 * g : 0;
            v[k] = active ? b2 * v[k] + a2 * (g * g) : 0;
            const loom_real u = m[k] / ((loom_real)sqrt((double)v[k]) + eps) + decay * p[k];
            squares += (double)p[k] * (double)p[k];
            steps += (double)u * (double)u;
        }
    }
    o->squares[task] = squares;
    o->step_square[task] = steps;
}

/* Spans of one entry stand together: their sums are added in order, whoever made them. */
static void lamb_trust(struct loom_optimizer *o)
{
    for (int i = 0, end; i < o->spans; i = end) {
        double squares = 0, steps = 0;
        for (end = i; end < o->spans && o->span[end].entry == o->span[i].entry; end++) {
            squares += o->squares[end];
            steps += o->step_square[end];
        }
        const double trust = squares > 0 && steps > 0 ? fmin(sqrt(squares), 10.0) / sqrt(steps) : 1.0;
        for (int k = i; k < end; k++)
            o->span[k].trust = trust;
    }
}

static void lamb_step(void *payload, int task, int worker)
{
    const struct job *job = payload;
    struct loom_optimizer *o = job->o;
    const struct loom_span *s = &o->span[task];
    const struct lamb l = lamb_of(job, s);
    const loom_real step = (loom_real)(job->rule.lr * s->lr_scale * s->trust), eps = (loom_real)job->rule.eps,
                    decay = (loom_real)s->decay, keep = (loom_real)o->spec.shadow_decay;
    const loom_real *m = o->m + l.entry->offset, *v = o->v + l.entry->offset;
    loom_real *p = o->store->param + l.entry->offset;
    loom_real *shadow = o->store->shadow ? o->store->shadow + l.entry->offset : NULL;
    int active;
    (void)worker;
    for (int64_t i = l.at, end; i < l.end; i = end) {
        end = stretch(&l, i, &active);
        for (int64_t k = i; active && k < end; k++)
            p[k] -= step * (m[k] / ((loom_real)sqrt((double)v[k]) + eps) + decay * p[k]);
        for (int64_t k = i; shadow && k < end; k++)
            shadow[k] = keep * shadow[k] + (1 - keep) * p[k];
    }
}

static int fail_span(const struct loom_optimizer *o, struct loom_error *e)
{
    const char *name = "the whole model";
    for (int i = 0; i < o->spans; i++)
        if (!isfinite(o->partial[i])) {
            name = o->store->entry[o->span[i].entry].name;
            break;
        }
    return loom_fail(
        e, LOOM_ENUMERIC, NULL, 0,
        "the gradient of %s is not finite at step %lld: lower optimizer.lr or optimizer.clip, or lengthen the warm-up",
        name, (long long)o->step);
}

int loom_optimizer_step(struct loom_optimizer *o, const loom_real *grad, double scale, double lr,
                        struct loom_pool *pool, double *norm, struct loom_error *e)
{
    struct job job = {.o = o, .grad = grad};
    double sum = 0;
    loom_pool_run(pool, o->spans, square_span, &job);
    for (int i = 0; i < o->spans; i++)
        sum += o->partial[i];
    *norm = sqrt(sum) * scale;
    if (!isfinite(*norm))
        return fail_span(o, e);
    if (o->spec.clip > 0 && *norm > o->spec.clip)
        scale *= o->spec.clip / *norm;
    job.rule = (struct loom_adamw){.lr = lr,
                                   .beta1 = o->spec.beta1,
                                   .beta2 = o->spec.beta2,
                                   .eps = o->spec.eps,
                                   .grad_scale = scale,
                                   .step = ++o->step};
    if (o->spec.kind == LOOM_SPARSE_LAMB) {
        loom_pool_run(pool, o->spans, lamb_moments, &job);
        lamb_trust(o);
        loom_pool_run(pool, o->spans, lamb_step, &job);
    } else {
        loom_pool_run(pool, o->spans, update_span, &job);
    }
    return LOOM_OK;
}

int loom_name_match(const char *pattern, const char *name)
{
    return fnmatch(pattern, name, FNM_NOESCAPE) == 0;
}

int loom_store_scale(struct loom_store *store, const char *pattern, double scale)
{
    int matched = 0;
    for (int i = 0; i < store->count; i++) {
        struct loom_entry *n = &store->entry[i];
        if (n->lifetime != LOOM_LIFE_PARAM || !loom_name_match(pattern, n->name))
            continue;
        n->lr_scale *= scale;
        matched++;
    }
    return matched;
}
