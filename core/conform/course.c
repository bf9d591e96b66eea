/* SPDX-License-Identifier: Apache-2.0 */
#include "conform/course.h"

#include "conform/lone.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int loom_world_model(struct loom_world *w, const struct loom_trial *t, uint64_t seed, struct loom_model **out,
                     struct loom_error *e)
{
    struct loom_pipeline *p = &w->running.pipeline;
    const uint64_t kept = p->seed;
    p->seed = seed;
    int code = t->plugin->kind == LOOM_BASELINE
                   ? loom_runner_baseline(&w->running.runner, &p->stage[1], w->stage, t->id, out, e)
                   : loom_runner_model(&w->running.runner, w->stage, 0, out, e);
    p->seed = kept;
    return code;
}

int loom_course_open(struct loom_course *c, struct loom_world *w, struct loom_trial *t, int workers,
                     struct loom_error *e)
{
    static const struct loom_optimizer_spec rule = {
        .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.01, .clip = 1.0};
    *c = (struct loom_course){.world = w};
    int code = loom_world_model(w, t, w->running.pipeline.seed, &c->model, e);
    if (code == LOOM_OK)
        code = loom_pool_new(&c->pool, workers, e);
    if (code == LOOM_OK)
        code = loom_stepper_new(&c->stepper, c->model, c->pool, LOOM_COURSE_SHARDS, (size_t)128 << 20, e);
    if (code == LOOM_OK)
        code = loom_optimizer_init(&c->optimizer, loom_model_store(c->model), &rule, e);
    if (code != LOOM_OK)
        loom_course_release(c);
    return code;
}

void loom_course_release(struct loom_course *c)
{
    loom_optimizer_release(&c->optimizer);
    loom_stepper_free(c->stepper);
    if (c->pool)
        loom_pool_free(c->pool);
    loom_model_free(c->model);
    memset(c, 0, sizeof *c);
}

int loom_course_fit(struct loom_course *c, struct loom_error *e)
{
    int passes;
    if (!loom_model_wants_fitting(c->model))
        return LOOM_OK;
    return loom_fit(c->stepper, c->model, &c->world->windows, LOOM_COURSE_BATCH, 20, &c->world->running.runner, &passes,
                    e);
}

int loom_course_steps(struct loom_course *c, int from, int n, struct loom_error *e)
{
    const struct loom_windows *w = &c->world->windows;
    int batch = w->n < LOOM_COURSE_BATCH ? w->n : LOOM_COURSE_BATCH, code = LOOM_OK;
    if (loom_store_parameters(loom_model_store(c->model)) == 0)
        return LOOM_OK;
    for (int i = from; i < from + n && code == LOOM_OK; i++) {
        struct loom_step_result r;
        double norm;
        code = loom_stepper_run(c->stepper, w->sample + i * batch % (w->n - batch + 1), batch, 1, LOOM_STEP,
                                (uint64_t)i, &r, e);
        if (code == LOOM_OK)
            code = loom_optimizer_step(&c->optimizer, r.root->grad, 1.0, 1e-3, c->pool, &norm, e);
        if (code == LOOM_OK)
            code = loom_model_update(c->model, r.root->sum, 0, 0, e);
        if (code == LOOM_OK)
            c->loss = r.loss;
        code = code > 0 ? LOOM_OK : code;
    }
    return code;
}

int loom_course_save(struct loom_course *c, const char *path, struct loom_error *e)
{
    struct loom_progress progress;
    loom_progress_start(&progress);
    const struct loom_checkpoint what = {.store = loom_model_store(c->model),
                                         .optimizer = &c->optimizer,
                                         .progress = &progress,
                                         .stage = "train",
                                         .kernels = "conform",
                                         .pipeline = c->world->running.runner.resolved};
    return loom_checkpoint_write(path, &what, e);
}

int loom_course_load(struct loom_course *c, const char *path, struct loom_error *e)
{
    struct loom_tensors f;
    int code = loom_tensors_read(&f, path, 1, e);
    if (code != LOOM_OK)
        return code;
    code = loom_checkpoint_resume(&f, loom_model_store(c->model), &c->optimizer, NULL, e);
    loom_tensors_release(&f);
    return code;
}

/* What the model as it stands predicts of the first windows. */
static int predict(struct loom_course *c, struct loom_bits *bits, struct loom_error *e)
{
    struct loom_world w = *c->world;
    struct loom_pass p;
    w.model = c->model;
    int code = loom_pass_open(&p, &w, e);
    if (code == LOOM_OK)
        code = loom_pass_run(&p, &w, w.windows.sample, w.windows.n < 4 ? w.windows.n : 4, LOOM_EVALUATE, 0, e);
    if (code == LOOM_OK)
        code = loom_bits_take(bits, &p, loom_model_store(w.model), e);
    loom_pass_release(&p);
    return code;
}

static const char *block_differs(const struct loom_store *s, int life, const char *what, const loom_real *a,
                                 const loom_real *b, char out[256])
{
    for (int i = 0; i < s->count; i++) {
        const struct loom_entry *x = &s->entry[i];
        if (x->lifetime != life)
            continue;
        for (int64_t k = x->offset; k < x->offset + x->size; k++)
            if (memcmp(&a[k], &b[k], sizeof *a) != 0) {
                snprintf(out, 256, "%s %.120s[%lld] is %.9g against %.9g", what, x->name, (long long)(k - x->offset),
                         (double)a[k], (double)b[k]);
                return out;
            }
    }
    return NULL;
}

const char *loom_course_differ(struct loom_course *a, struct loom_course *b, char out[256], int *code,
                               struct loom_error *e)
{
    const struct loom_store *s = loom_model_store(a->model), *other = loom_model_store(b->model);
    struct loom_bits x = {0}, y = {0};
    const char *differ = block_differs(s, LOOM_LIFE_STATE, "state", s->state, other->state, out);
    if (!differ)
        differ = block_differs(s, LOOM_LIFE_PARAM, "parameter", s->param, other->param, out);
    if (!differ)
        differ = block_differs(s, LOOM_LIFE_PARAM, "the moment of", a->optimizer.m, b->optimizer.m, out);
    *code = LOOM_OK;
    if (differ)
        return differ;
    *code = predict(a, &x, e);
    if (*code == LOOM_OK)
        *code = predict(b, &y, e);
    if (*code == LOOM_OK)
        differ = loom_bits_differ(&x, &y, s, out);
    loom_bits_release(&x);
    loom_bits_release(&y);
    return differ;
}

static void digest_block(struct loom_str *s, const struct loom_store *store, int life, const char *what,
                         const loom_real *at)
{
    for (int i = 0; i < store->count; i++) {
        const struct loom_entry *x = &store->entry[i];
        if (x->lifetime == life && x->size > 0)
            loom_str_printf(s, "%s %s %016llx %.9g\n", what, x->name,
                            (unsigned long long)loom_hash(at + x->offset, (size_t)x->size * sizeof *at, 0),
                            (double)at[x->offset]);
    }
}

char *loom_course_digest(struct loom_course *c, struct loom_error *e)
{
    const struct loom_store *store = loom_model_store(c->model);
    struct loom_str s = LOOM_STR_INIT;
    struct loom_bits bits = {0};
    if (predict(c, &bits, e) != LOOM_OK)
        return NULL;
    digest_block(&s, store, LOOM_LIFE_STATE, "state", store->state);
    digest_block(&s, store, LOOM_LIFE_PARAM, "parameter", store->param);
    digest_block(&s, store, LOOM_LIFE_PARAM, "moment", c->optimizer.m);
    loom_str_printf(&s, "loss of step %016llx %.17g\n", (unsigned long long)loom_hash(&c->loss, sizeof c->loss, 0),
                    c->loss);
    loom_str_printf(&s, "predictions of evaluation %016llx %lld\n",
                    (unsigned long long)loom_hash(bits.reading, (size_t)bits.readings * sizeof *bits.reading, 0),
                    (long long)bits.readings);
    loom_bits_release(&bits);
    char *text = loom_str_take(&s);
    if (!text)
        loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a digest: free some");
    return text;
}
