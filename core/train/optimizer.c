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
    double lr_scale, decay;
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

static void cut_spans(struct loom_optimizer *o)
{
    int spans = 0;
    for (int i = 0; i < o->store->count; i++) {
        const struct loom_entry *n = &o->store->entry[i];
        for (int64_t at = 0; is_trained(n) && at < n->size; at += SPAN) {
            if (o->span)
                o->span[spans] = (struct loom_span){
                    .first = n->offset + at,
                    .n = n->size - at < SPAN ? n->size - at : SPAN,
                    .entry = i,
                    .lr_scale = n->lr_scale,
                    .decay = n->flags & LOOM_NO_DECAY ? 0 : o->spec.weight_decay,
                };
            spans++;
        }
    }
    o->spans = spans;
}

int loom_optimizer_init(struct loom_optimizer *o, struct loom_store *store, const struct loom_optimizer_spec *spec,
                        struct loom_error *e)
{
    *o = (struct loom_optimizer){.spec = *spec, .store = store, .kernels = loom_kernels_default(e)};
    if (!o->kernels)
        return LOOM_ECONFIG;
    size_t n = (size_t)store->size[LOOM_LIFE_PARAM];
    cut_spans(o);
    o->m = calloc(n + 1, sizeof *o->m);
    o->v = calloc(n + 1, sizeof *o->v);
    o->span = calloc((size_t)o->spans + 1, sizeof *o->span);
    o->partial = calloc((size_t)o->spans + 1, sizeof *o->partial);
    if (!o->m || !o->v || !o->span || !o->partial) {
        loom_optimizer_release(o);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0,
                         "no memory for the optimizer's moments (%zu parameters): use a smaller model", n);
    }
    cut_spans(o);
    return LOOM_OK;
}

void loom_optimizer_release(struct loom_optimizer *o)
{
    free(o->m);
    free(o->v);
    free(o->span);
    free(o->partial);
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
    o->kernels->adamw(&rule, s->n, job->grad + s->first, o->store->param + s->first, o->m + s->first, o->v + s->first,
                      o->store->shadow ? o->store->shadow + s->first : NULL);
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
    loom_pool_run(pool, o->spans, update_span, &job);
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
