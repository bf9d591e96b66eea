/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: everything back from a file, rows of tables by name, damage refused. */
#include "stepping.h"

#include "base/io.h"
#include "train/checkpoint.h"

#include <loom/rng.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void write_trained(struct world *w, struct loom_optimizer *o, struct loom_progress *p)
{
    const struct loom_optimizer_spec spec = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    struct loom_store *store = loom_model_store(w->model);
    snprintf(path, sizeof path, "/tmp/loom-checkpoint-%d", (int)getpid());
    ck_ok(loom_optimizer_init(o, store, &spec, &e), &e);
    for (int64_t i = 0; i < store->size[LOOM_LIFE_PARAM]; i++) {
        o->m[i] = (loom_real)(1e-3 * (double)i);
        o->v[i] = (loom_real)(1e-5 * (double)i);
        store->shadow[i] = (loom_real)(0.5 * store->param[i]);
    }
    o->step = 77;
    loom_progress_start(p);
    p->step = 33;
    p->loss.sum = 1.0 / 3;
    p->schedule.scale = 0.1;
    p->stopping = (struct loom_stopping){0.7, 30, 2};
    ck_ok(
        loom_checkpoint_write(
            path,
            &(struct loom_checkpoint){
                .store = store, .optimizer = o, .progress = p, .stage = "one", .kernels = "avx2", .pipeline = "a = 1;"},
            &e),
        &e);
}

START_TEST(everything_comes_back)
{
    struct world w, fresh;
    struct loom_optimizer o, back;
    struct loom_progress p, q;
    struct loom_tensors f;
    const struct loom_optimizer_spec spec = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    open_world(&w, RECORDINGS, 1);
    struct loom_store *s = loom_model_store(w.model), *t;
    s->param[3] = (loom_real)0.125;
    write_trained(&w, &o, &p);

    open_world(&fresh, RECORDINGS, 1);
    t = loom_model_store(fresh.model);
    ck_ok(loom_optimizer_init(&back, t, &spec, &e), &e);
    ck_ok(loom_tensors_read(&f, path, 1, &e), &e);
    ck_assert_str_eq(loom_tensors_meta(&f, "pipeline"), "a = 1;");
    ck_ok(loom_checkpoint_resume(&f, t, &back, &q, &e), &e);
    for (int i = 0; i < s->count; i++) {
        const struct loom_entry *n = &s->entry[i];
        size_t bytes = (size_t)n->size * sizeof(loom_real);
        if (n->lifetime == LOOM_LIFE_STATE)
            ck_assert_mem_eq(s->state + n->offset, t->state + n->offset, bytes);
        if (n->lifetime != LOOM_LIFE_PARAM)
            continue;
        ck_assert_mem_eq(s->param + n->offset, t->param + n->offset, bytes);
        ck_assert_mem_eq(s->shadow + n->offset, t->shadow + n->offset, bytes);
        ck_assert_mem_eq(o.m + n->offset, back.m + n->offset, bytes);
        ck_assert_mem_eq(o.v + n->offset, back.v + n->offset, bytes);
    }
    ck_assert_int_eq(back.step, 77);
    ck_assert_int_eq(q.step, 33);
    ck_assert(q.loss.sum == p.loss.sum && q.schedule.scale == 0.1 && q.stopping.best_step == 30 && isnan(q.valid));
    ck_assert(isinf(q.schedule.best));
    loom_tensors_release(&f);
    loom_optimizer_release(&o);
    loom_optimizer_release(&back);
    close_world(&w);
    close_world(&fresh);
    unlink(path);
}
END_TEST

/* From two sessions to one: tables by row name, whatever their place; the rest as it is. */
START_TEST(rows_travel_by_name)
{
    struct world w, one;
    struct loom_optimizer o;
    struct loom_progress p;
    struct loom_tensors f;
    struct loom_transfer report;
    open_world(&w, RECORDINGS, 1);
    struct loom_store *s = loom_model_store(w.model);
    struct loom_entry *from = loom_store_find(s, LOOM_LIFE_PARAM, "backbone.session");
    ck_assert_ptr_nonnull(from);
    for (int64_t i = 0; i < from->size; i++)
        s->param[from->offset + i] = (loom_real)i;
    write_trained(&w, &o, &p);
    int there = strcmp(from->row[0], fakes[0]->id) == 0 ? 0 : 1;

    open_world(&one, 1, 0);
    struct loom_store *t = loom_model_store(one.model);
    const struct loom_entry *to = loom_store_find(t, LOOM_LIFE_PARAM, "backbone.session");
    ck_assert_int_eq(to->dim[0], 1);
    ck_ok(loom_tensors_read(&f, path, 1, &e), &e);
    ck_ok(loom_checkpoint_transfer(&f, t, &report, NULL, &e), &e);
    ck_near(t->param[to->offset], there * from->dim[1], 0);
    ck_assert_int_ge(report.rows_matched, 1);
    ck_assert_int_eq(report.rows_fresh, 0);
    ck_assert_int_eq(report.fresh, 0);
    ck_fails(loom_checkpoint_resume(&f, t, NULL, NULL, &e), LOOM_EDATA, &e, "start a new run");
    loom_tensors_release(&f);
    loom_optimizer_release(&o);
    close_world(&w);
    close_world(&one);
    unlink(path);
}
END_TEST

/* Random damage: never a crash, never taken for whole. */
START_TEST(damaged_checkpoints_are_refused)
{
    struct world w;
    struct loom_optimizer o;
    struct loom_progress p;
    struct loom_rng g;
    char *bytes;
    size_t size;
    open_world(&w, RECORDINGS, 1);
    write_trained(&w, &o, &p);
    ck_ok(loom_file_read(&bytes, &size, path, 64 << 20, &e), &e);
    loom_rng_init(&g, 9, "damage", 0, 0);
    for (int k = 0; k < 300; k++) {
        struct loom_tensors f;
        char *bad = malloc(size);
        size_t n = k % 3 == 2 ? loom_rng_below(&g, (uint32_t)size) : size;
        memcpy(bad, bytes, size);
        if (k % 3 == 0)
            bad[loom_rng_below(&g, (uint32_t)(k % 2 ? size : 4096))] ^= (char)(1 << loom_rng_below(&g, 8));
        for (int i = 0; k % 3 == 1 && i < 20; i++)
            bad[8 + loom_rng_below(&g, 16000)] = (char)loom_rng_below(&g, 256);
        ck_ok(loom_file_write(path, bad, n, &e), &e);
        ck_assert_int_eq(loom_tensors_read(&f, path, 1, &e), LOOM_EDATA);
        loom_error_clear(&e);
        if (loom_tensors_read(&f, path, 0, &e) == LOOM_OK)
            loom_tensors_release(&f);
        loom_error_clear(&e);
        free(bad);
    }
    free(bytes);
    loom_optimizer_release(&o);
    close_world(&w);
    unlink(path);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {everything_comes_back, rows_travel_by_name, damaged_checkpoints_are_refused};
    return run_on_fakes("checkpoint", sizeof tests / sizeof *tests, tests);
}
