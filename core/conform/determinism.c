/* SPDX-License-Identifier: Apache-2.0 */
/* Same seed, same bits; and what a seed is for. */
#include "conform/again.h"
#include "conform/child.h"
#include "conform/course.h"
#include "conform/families.h"
#include "conform/lone.h"

#include "base/io.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STEPS = 3 };

static int open_world(struct loom_trial *t, struct loom_world *w)
{
    return loom_trial_load(t) == LOOM_OK && loom_world_open(w, t, NULL, 0) == LOOM_OK;
}

static int walk(struct loom_course *c, struct loom_world *w, struct loom_trial *t, int workers, struct loom_error *e)
{
    int code = loom_course_open(c, w, t, workers, e);
    if (code == LOOM_OK)
        code = loom_course_fit(c, e);
    if (code == LOOM_OK)
        code = loom_course_steps(c, 0, STEPS, e);
    return code;
}

/* ---- det-seed ---- */

/* In a process that was started for nothing else: leave what three steps gave in the file t->probe. */
static int probe(struct loom_trial *t)
{
    struct loom_world w = {0};
    struct loom_course c = {0};
    char *text = NULL;
    int code = open_world(t, &w) ? walk(&c, &w, t, 1, &t->e) : t->e.code;
    if (code == LOOM_OK && !(text = loom_course_digest(&c, &t->e)))
        code = t->e.code;
    if (code == LOOM_OK)
        code = loom_file_write(t->probe, text, strlen(text), &t->e);
    free(text);
    loom_course_release(&c);
    if (w.model)
        loom_world_release(&w);
    return code == LOOM_OK ? loom_trial_pass(t) : loom_trial_fail_error(t, "three steps");
}

/* The first line in which two digests differ, in words. */
static int compare_lines(struct loom_trial *t, const char *a, const char *b)
{
    while (*a && *a == *b) {
        const size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n) != 0)
            break;
        a += n + (a[n] == '\n');
        b += m + (b[m] == '\n');
    }
    if (!*a && !*b)
        return LOOM_PASSED;
    return loom_trial_fail(t,
                           "two processes with the same seed differ after %d steps: \"%.*s\" against \"%.*s\" (name, "
                           "hash, first number); draw with loom_plan_rng or the graph's seeds, and let no time, "
                           "address or order of threads enter a number",
                           STEPS, (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b);
}

static int two_processes(struct loom_trial *t)
{
    struct loom_process *p = calloc(2, sizeof *p);
    char path[2][320], why[2048], *text[2] = {NULL, NULL};
    int code = p ? LOOM_OK : loom_fail(&t->e, LOOM_ENOMEM, NULL, 0, "no memory for a process: free some");
    int outcome = LOOM_PASSED;
    for (int i = 0; i < 2 && code == LOOM_OK; i++) {
        snprintf(path[i], sizeof path[i], "%s/probe%d", t->folder, i);
        code = loom_trial_again(t, &p[i], NULL, t->check->id, path[i]);
        if (code == LOOM_OK)
            loom_process_wait(&p[i], LOOM_CHECK_SECONDS);
        const int became = code == LOOM_OK ? loom_outcome_of(&p[i]) : LOOM_PASSED;
        loom_conform_reason(&p[i], why, sizeof why);
        if (became != LOOM_PASSED)
            outcome = loom_trial_fail(t, "a process of its own: %s", why);
        if (outcome != LOOM_PASSED)
            break;
        size_t size;
        if (code == LOOM_OK)
            code = loom_file_read(&text[i], &size, path[i], 1 << 24, &t->e);
    }
    if (code != LOOM_OK)
        outcome = loom_trial_fail_error(t, "two processes");
    else if (outcome == LOOM_PASSED)
        outcome = compare_lines(t, text[0], text[1]);
    for (int i = 0; i < 2; i++) {
        free(text[i]);
        if (p)
            loom_process_release(&p[i]);
    }
    free(p);
    return outcome;
}

static int det_seed(struct loom_trial *t)
{
    if (t->probe)
        return probe(t);
    int outcome = two_processes(t);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_det_seed = {
    .id = "det-seed",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what =
        "Two processes, one after the other, fit the model, train it for three steps and evaluate it, with the same "
        "seed. Parameters, states, moments, loss and predictions must be the same bits: a result that cannot be "
        "computed again is none.",
    .run = det_seed,
};

/* ---- det-seed-differs ---- */

/* The gradients of one training step by model m with the parameters of `as`. */
static int step_bits(struct loom_trial *t, struct loom_world *w, struct loom_model *m, const struct loom_store *as,
                     uint64_t step, struct loom_bits *bits)
{
    struct loom_world own = *w;
    struct loom_pass p;
    struct loom_store *s = loom_model_store(m);
    own.model = m;
    int code = loom_pass_open(&p, &own, &t->e);
    if (code == LOOM_OK && s != as) {
        memcpy(s->param, as->param, (size_t)s->size[LOOM_LIFE_PARAM] * sizeof *s->param);
        memcpy(s->state, as->state, (size_t)s->size[LOOM_LIFE_STATE] * sizeof *s->state);
    }
    if (code == LOOM_OK)
        code = loom_pass_run(&p, &own, w->windows.sample, w->windows.n < 4 ? w->windows.n : 4, LOOM_STEP, step, &t->e);
    if (code == LOOM_OK)
        code = loom_bits_take(bits, &p, s, &t->e);
    loom_pass_release(&p);
    return code;
}

static int seed_differs(struct loom_trial *t)
{
    struct loom_world w = {0};
    struct loom_model *other = NULL;
    struct loom_bits first = {0}, later = {0}, elsewhere = {0};
    char text[256];
    t->quiet = 1;
    if (!open_world(t, &w))
        return loom_trial_fail_error(t, "a model with partners that draw nothing");
    struct loom_store *s = loom_model_store(w.model);
    int outcome, code = loom_world_model(&w, t, w.running.pipeline.seed + 1, &other, &t->e);
    if (code == LOOM_OK)
        code = step_bits(t, &w, w.model, s, 1, &first);
    if (code == LOOM_OK)
        code = step_bits(t, &w, w.model, s, 2, &later);
    if (code == LOOM_OK)
        code = step_bits(t, &w, other, s, 1, &elsewhere);
    if (code != LOOM_OK)
        outcome = loom_trial_fail_error(t, "a step");
    else if (!loom_bits_differ(&first, &later, s, text))
        outcome = loom_trial_skip(t, "it draws no random numbers: two steps with the same parameters are the same");
    else if (!loom_bits_differ(&first, &elsewhere, s, text))
        outcome = loom_trial_fail(t, "draws change from step to step, and are the same for another seed: give "
                                     "loom_plan_rng and random nodes the run's seed (loom_seed), or several seeds of a "
                                     "run repeat one");
    else
        outcome = loom_trial_pass(t);
    loom_bits_release(&first);
    loom_bits_release(&later);
    loom_bits_release(&elsewhere);
    loom_model_free(other);
    loom_world_release(&w);
    return outcome;
}
const struct loom_check loom_check_det_seed_differs = {
    .id = "det-seed-differs",
    .kinds = LOOM_KIND(LOOM_TOKENIZER) | LOOM_KIND(LOOM_BACKBONE) | LOOM_KIND(LOOM_OBJECTIVE),
    .level = LOOM_STRICT,
    .what = "With partners that draw nothing, takes the same windows with the same parameters through two steps, and "
            "through one with another seed. If draws move with the step they must move with the seed as well: five "
            "seeds of a comparison would be one.",
    .run = seed_differs,
};

/* ---- det-threads ---- */

static int det_threads(struct loom_trial *t)
{
    struct loom_world w = {0};
    struct loom_course one = {0};
    int outcome = LOOM_PASSED;
    if (!open_world(t, &w))
        return loom_trial_fail_error(t, "a model");
    if (walk(&one, &w, t, 1, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "three steps by one worker");
    for (int workers = 2; workers <= 4 && outcome == LOOM_PASSED; workers *= 2) {
        struct loom_course many = {0};
        char text[256];
        const char *differ = NULL;
        int code = walk(&many, &w, t, workers, &t->e);
        if (code == LOOM_OK)
            differ = loom_course_differ(&one, &many, text, &code, &t->e);
        if (code != LOOM_OK)
            outcome = loom_trial_fail_error(t, "three steps by several workers");
        else if (differ)
            outcome = loom_trial_fail(t,
                                      "%s, by 1 and by %d workers: tokenize, plan and build run in several threads at "
                                      "once, so nothing that they write may be shared",
                                      differ, workers);
        loom_course_release(&many);
    }
    loom_course_release(&one);
    loom_world_release(&w);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_det_threads = {
    .id = "det-threads",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_STRICT,
    .what = "Fits and trains for three steps in three shards, by 1, 2 and 4 workers. Parameters, states, moments and "
            "predictions must be the same bits: how many threads there were is no part of a result.",
    .run = det_threads,
};

/* ---- thread-instances ---- */

struct lane {
    struct loom_world *world;
    struct loom_trial *trial;
    pthread_barrier_t *start;
    struct loom_course course;
    struct loom_error e;
    int code;
};

static void *drive(void *at)
{
    struct lane *x = at;
    pthread_barrier_wait(x->start);
    if (x->code == LOOM_OK)
        x->code = loom_course_fit(&x->course, &x->e);
    if (x->code == LOOM_OK)
        x->code = loom_course_steps(&x->course, 0, STEPS, &x->e);
    return NULL;
}

static int side_by_side(struct loom_trial *t, struct lane lane[2])
{
    pthread_barrier_t start;
    pthread_t thread;
    pthread_barrier_init(&start, NULL, 2);
    for (int i = 0; i < 2; i++) {
        lane[i].start = &start;
        lane[i].code = loom_course_open(&lane[i].course, lane[i].world, t, 1, &lane[i].e);
    }
    if (pthread_create(&thread, NULL, drive, &lane[0]) != 0) {
        pthread_barrier_destroy(&start);
        return loom_fail(&t->e, LOOM_EIO, NULL, 0, "a thread cannot be started: close other programs");
    }
    drive(&lane[1]);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&start);
    for (int i = 0; i < 2; i++)
        if (lane[i].code != LOOM_OK)
            return loom_fail(&t->e, lane[i].code, lane[i].e.file, lane[i].e.line, "%s", lane[i].e.message);
    return LOOM_OK;
}

static int instances(struct loom_trial *t)
{
    struct loom_world w[2] = {0};
    struct loom_course alone = {0};
    struct lane *lane = calloc(2, sizeof *lane);
    char text[256];
    int outcome = LOOM_PASSED, code = lane ? LOOM_OK : LOOM_ENOMEM;
    if (!lane || !open_world(t, &w[0]) || loom_world_open(&w[1], t, NULL, 0) != LOOM_OK) {
        free(lane);
        return loom_trial_fail_error(t, "two models");
    }
    code = walk(&alone, &w[0], t, 1, &t->e);
    for (int i = 0; i < 2; i++)
        lane[i] = (struct lane){.world = &w[i], .trial = t};
    if (code == LOOM_OK)
        code = side_by_side(t, lane);
    for (int i = 0; i < 2 && code == LOOM_OK && outcome == LOOM_PASSED; i++) {
        const char *differ = loom_course_differ(&alone, &lane[i].course, text, &code, &t->e);
        if (differ)
            outcome = loom_trial_fail(t,
                                      "%s, alone and beside another instance in another thread: they share memory that "
                                      "changes; keep it in the instance, or ask the core for it",
                                      differ);
    }
    if (code != LOOM_OK)
        outcome = loom_trial_fail_error(t, "two models in two threads");
    loom_course_release(&alone);
    for (int i = 0; i < 2; i++) {
        loom_course_release(&lane[i].course);
        loom_world_release(&w[i]);
    }
    free(lane);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_thread_instances = {
    .id = "thread-instances",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_STRICT,
    .what =
        "Two models of the plugin are fitted and trained in two threads at once. Each must end with the bits of one "
        "that was alone; a build with ThreadSanitizer says where two instances share memory even when it happened "
        "to go well.",
    .run = instances,
};

/* ---- denormal-time ---- */

static double pass_seconds(struct loom_trial *t, struct loom_world *w, struct loom_pass *p, int *code)
{
    double best = INFINITY;
    for (int i = 0; i < 5 && *code == LOOM_OK; i++) {
        struct timespec a, b;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        *code = loom_pass_run(p, w, w->windows.sample, w->windows.n < 8 ? w->windows.n : 8, LOOM_STEP, 1, &t->e);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        best = fmin(best, (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
    }
    return best;
}

static int denormal_time(struct loom_trial *t)
{
    struct loom_world w = {0};
    struct loom_pass p = {0};
    if (!open_world(t, &w))
        return loom_trial_fail_error(t, "a model");
    int code = loom_pass_open(&p, &w, &t->e);
    double usual = code == LOOM_OK ? pass_seconds(t, &w, &p, &code) : 0, tiny = usual;
    struct loom_store *s = loom_model_store(w.model);
    if (code == LOOM_OK) {
        for (int64_t i = 0; i < s->size[LOOM_LIFE_PARAM]; i++)
            s->param[i] *= (loom_real)(sizeof(loom_real) == 4 ? 1e-38 : 1e-307);
        tiny = pass_seconds(t, &w, &p, &code);
    }
    int outcome = code != LOOM_OK      ? loom_trial_fail_error(t, "a step")
                  : tiny > 5.0 * usual ? loom_trial_warn(t,
                                                         "a step takes %.1f times as long when parameters are next to "
                                                         "zero; add a small number before dividing or multiplying",
                                                         tiny / usual)
                                       : loom_trial_pass(t);
    loom_pass_release(&p);
    loom_world_release(&w);
    return outcome;
}
const struct loom_check loom_check_denormal_time = {
    .id = "denormal-time",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_PEDANTIC,
    .what = "Times a training step, and again with all parameters scaled to the smallest numbers there are, on which "
            "processors are slow. It should take no more than five times as long; a warning at most.",
    .run = denormal_time,
};
