/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"
#include "tensor/kernels/kernels.h"
#include "train/runner.h"
#include "train/validate.h"

#include <loom/rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A training stage in progress. */
struct trainer {
    struct loom_runner *r;
    const struct loom_stage *s;
    struct loom_model *model;
    struct loom_store *store;
    struct loom_stepper *stepper;
    struct loom_optimizer optimizer;
    struct loom_schedule_spec schedule;
    struct loom_selection selection;
    struct loom_sampler *sampler;
    struct loom_sample *sample, *next; /* [windows] of this batch; of the one after it */
    int windows, arity;
    int64_t steps, valid_every, checkpoint_every, log_every, patience;
    int accumulate;
    struct loom_block total; /* sum over accumulated batches; unused when there is one */
    struct loom_validation validation;
    struct loom_progress progress;
    struct loom_str line;
    double began_s, waited_s, flops; /* of this process */
    int64_t began_tokens;
    double lr, last_norm;
    int64_t thaw_at; /* step at which what was frozen trains; -1: never, or done */
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- set-up ---- */

static int open_data(struct trainer *t, struct loom_error *e)
{
    const struct loom_options *o = t->s->options;
    const char *pattern[256];
    struct loom_words words = loom_option_words(o, "recordings", pattern, 256);
    struct loom_sampler_spec spec = {
        .seed = loom_hash(t->s->name, strlen(t->s->name), t->r->pipeline->seed),
        .batch = (int32_t)loom_opt_int(o, "batch"),
        .arity = t->arity,
        .partner_s = loom_opt_real(o, "partner_s"),
    };
    if (t->arity > 1 && loom_catalog_spec(t->r->catalog)->window == LOOM_WINDOW_TRIAL)
        return loom_opt_fail(o, "partner_s", e,
                             "stage '%s' pairs windows that lie apart in time, and data.window = \"trial\" has one for "
                             "each trial: set data.window = \"fixed\"",
                             t->s->name);
    int code = loom_selection_init(&t->selection, t->r->catalog, LOOM_TRAIN, words, e);
    if (code == LOOM_OK)
        code = loom_sampler_new(&t->sampler, &t->selection, &spec, e);
    if (code != LOOM_OK)
        return code;
    t->windows = loom_sampler_batch(t->sampler) * t->arity;
    t->sample = calloc((size_t)t->windows, sizeof *t->sample);
    t->next = calloc((size_t)t->windows, sizeof *t->next);
    return t->sample && t->next
               ? LOOM_OK
               : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a batch of %d windows: make it smaller", t->windows);
}

static int read_counts(struct trainer *t, struct loom_error *e)
{
    const struct loom_options *o = t->s->options;
    double epochs = loom_opt_real(o, "epochs");
    t->accumulate = (int)loom_opt_int(o, "accumulate");
    t->steps = loom_opt_int(o, "steps");
    if (epochs > 0) {
        double tuples = (double)loom_sampler_batch(t->sampler) * t->accumulate;
        t->steps = (int64_t)ceil(epochs * (double)loom_sampler_epoch(t->sampler) / tuples);
    }
    t->valid_every = loom_opt_int(o, "valid_every");
    if (t->valid_every == 0)
        t->valid_every = t->steps >= 20 ? t->steps / 20 : 1;
    t->checkpoint_every = loom_opt_int(o, "checkpoint_every");
    t->log_every = loom_opt_int(o, "log_every");
    t->patience = loom_opt_int(o, "patience");
    t->thaw_at = loom_opt_int(o, "unfreeze_after");
    t->schedule = loom_stage_schedule(t->s, t->steps);
    return t->accumulate > 1 ? loom_block_init(&t->total, t->store, e) : LOOM_OK;
}

static int fit_parts(struct trainer *t, int states_fresh, struct loom_error *e)
{
    const struct loom_options *o = t->s->options;
    struct loom_windows w;
    int passes = 0;
    if (!loom_model_wants_fitting(t->model) || loom_opt_is(o, "fit", "never") ||
        (loom_opt_is(o, "fit", "auto") && t->s->from >= 0 && states_fresh == 0))
        return LOOM_OK;
    int code = loom_windows_init(&w, &t->selection, &(struct loom_tiling){.folds = 5}, e);
    if (code != LOOM_OK)
        return code;
    code = loom_fit(t->stepper, t->model, &w, t->windows, (int)loom_opt_int(o, "fit_passes"), t->r, &passes, e);
    if (code == LOOM_OK)
        loom_runner_say(t->r, LOOM_NOTE_TEXT, t->s->name, "fitted in %d pass%s over %d windows", passes,
                        passes == 1 ? "" : "es", w.n);
    if (code == LOOM_OK && t->store->shadow)
        memcpy(t->store->shadow, t->store->param, (size_t)t->store->size[LOOM_LIFE_PARAM] * sizeof *t->store->param);
    loom_windows_release(&w);
    return code;
}

/* The newest checkpoint that is whole: last, else previous. *found 0: there is none. */
/* Bits are the same for the same kernels; a run may go on by others, on another machine, but not unnoticed. */
static void say_other_kernels(const struct trainer *t, const char *before)
{
    const char *now = loom_stepper_kernels(t->stepper)->set;
    if (before && strcmp(before, now) != 0)
        loom_runner_say(
            t->r, LOOM_NOTE_TEXT, t->s->name,
            "was computed with kernels '%s' so far, goes on with '%s': results differ in the last bits from "
            "a run by one of them alone (LOOM_KERNELS chooses)",
            before, now);
}

static int resume(struct trainer *t, int *found, struct loom_error *e)
{
    static const char *const names[] = {"last", "previous"};
    char path[LOOM_PATH];
    *found = 0;
    for (int i = 0; i < 2 && !*found; i++) {
        struct loom_tensors f;
        struct loom_error damage = {0};
        int code = loom_runner_checkpoint(t->r, path, t->s->name, names[i], e);
        if (code != LOOM_OK)
            return code;
        if (!loom_file_exists(path))
            continue;
        code = loom_tensors_read(&f, path, 1, &damage);
        if (code != LOOM_OK) {
            loom_runner_say(t->r, LOOM_NOTE_TEXT, t->s->name, "%s: %s; looking for an older one", path, damage.message);
            continue;
        }
        code = loom_checkpoint_resume(&f, t->store, &t->optimizer, &t->progress, e);
        if (code == LOOM_OK)
            say_other_kernels(t, loom_tensors_meta(&f, "kernels"));
        loom_tensors_release(&f);
        if (code != LOOM_OK)
            return code;
        *found = 1;
    }
    if (!*found)
        return loom_rundir_log_rewind(t->r->dir, t->s->name, -1, e);
    loom_runner_say(t->r, LOOM_NOTE_TEXT, t->s->name, "goes on from step %lld", (long long)t->progress.step);
    return loom_rundir_log_rewind(t->r->dir, t->s->name, t->progress.step, e);
}

static int set_up(struct trainer *t, struct loom_error *e)
{
    const struct loom_stage *s = t->s;
    const struct loom_kernels *kernels = NULL;
    int states_fresh = 1, found = 0;
    struct loom_optimizer_spec rule = loom_stage_optimizer(s);
    int code = loom_runner_model(t->r, s, rule.shadow_decay > 0, &t->model, e);
    if (code != LOOM_OK)
        return code;
    t->store = loom_model_store(t->model);
    t->arity = loom_model_arity(t->model);
    loom_progress_start(&t->progress);
    code = loom_stage_scale(s, t->store, 0, e);
    if (code == LOOM_OK)
        code = loom_optimizer_init(&t->optimizer, t->store, &rule, e);
    if (code == LOOM_OK)
        code = loom_stepper_new(&t->stepper, t->model, t->r->pool, t->r->pipeline->shards, t->r->pipeline->arena, e);
    if (code == LOOM_OK)
        code = loom_stage_kernels(s, &kernels, e);
    if (code == LOOM_OK)
        loom_stepper_set_kernels(t->stepper, kernels);
    if (code == LOOM_OK)
        code = open_data(t, e);
    if (code == LOOM_OK)
        code = read_counts(t, e);
    if (code == LOOM_OK)
        code = loom_validation_init(&t->validation, t->r, s, t->model, t->stepper, t->arity, t->windows / t->arity, e);
    if (code == LOOM_OK && t->r->resuming)
        code = resume(t, &found, e);
    if (code != LOOM_OK || found)
        return code;
    if (s->from >= 0)
        code = loom_runner_inherit(t->r, &t->r->pipeline->stage[s->from], loom_opt_string(s->options, "take"), s,
                                   t->model, &states_fresh, e);
    return code == LOOM_OK ? fit_parts(t, states_fresh, e) : code;
}

static void tear_down(struct trainer *t)
{
    loom_validation_release(&t->validation);
    loom_block_release(&t->total);
    loom_sampler_free(t->sampler);
    loom_selection_release(&t->selection);
    loom_stepper_free(t->stepper);
    loom_optimizer_release(&t->optimizer);
    loom_model_free(t->model);
    loom_str_release(&t->line);
    free(t->sample);
    free(t->next);
}

/* ---- saving ---- */

static int save(struct trainer *t, const char *file, int with_moments, struct loom_error *e)
{
    char path[LOOM_PATH], older[LOOM_PATH];
    struct loom_checkpoint c = {.store = t->store,
                                .optimizer = with_moments ? &t->optimizer : NULL,
                                .progress = &t->progress,
                                .stage = t->s->name,
                                .kernels = loom_stepper_kernels(t->stepper)->set,
                                .pipeline = t->r->resolved};
    int code = loom_runner_checkpoint(t->r, path, t->s->name, file, e);
    if (code == LOOM_OK && with_moments)
        code = loom_runner_checkpoint(t->r, older, t->s->name, "previous", e);
    if (code == LOOM_OK && with_moments && loom_file_exists(path))
        (void)rename(path, older); /* without it the new file takes the old one's place at once, as whole */
    return code == LOOM_OK ? loom_checkpoint_write(path, &c, e) : code;
}

/* ---- log and progress ---- */

static double speed(const struct trainer *t)
{
    double s = now_s() - t->began_s;
    return s > 0 ? (double)(t->progress.tokens - t->began_tokens) / s : 0;
}

static void note(const struct trainer *t, int kind, int64_t first)
{
    const struct loom_progress *p = &t->progress;
    double elapsed = now_s() - t->began_s, done = (double)(p->step - first);
    struct loom_run_note n = {
        .kind = kind,
        .stage = t->s->name,
        .step = p->step,
        .steps = t->steps,
        .loss = loom_average_value(&p->loss),
        .valid = loom_validation_shown(&t->validation, p->valid),
        .best = p->stopping.best_step < 0 ? NAN : loom_validation_shown(&t->validation, p->stopping.best),
        .lr = t->lr,
        .norm = loom_average_value(&p->norm),
        .tokens_per_s = speed(t),
        .wait = elapsed > 0 ? t->waited_s / elapsed : 0,
        .eta_s = done > 0 ? elapsed / done * (double)(t->steps - p->step) : NAN,
    };
    if (t->r->spec->note)
        t->r->spec->note(t->r->spec->payload, &n);
}

static int log_step(struct trainer *t, const struct loom_step_result *result, double loss, struct loom_error *e)
{
    struct loom_str *s = &t->line;
    loom_str_reset(s);
    loom_str_printf(s, "{\"event\":\"step\",\"stage\":\"%s\",\"step\":%lld,\"loss\":", t->s->name,
                    (long long)t->progress.step);
    loom_json_real(s, loss);
    loom_str_add(s, ",\"lr\":");
    loom_json_real(s, t->lr);
    loom_str_add(s, ",\"norm\":");
    loom_json_real(s, t->last_norm);
    loom_str_printf(s, ",\"windows\":%lld,\"tokens\":%lld,\"tokens_per_s\":%.6g,\"wait\":%.3g,\"terms\":{",
                    (long long)t->progress.windows, (long long)t->progress.tokens, speed(t),
                    t->waited_s / fmax(now_s() - t->began_s, 1e-9));
    for (int i = 0, first = 1; i < t->store->count; i++) {
        const struct loom_entry *n = &t->store->entry[i];
        if (n->lifetime != LOOM_LIFE_TERM)
            continue;
        loom_str_add(s, first ? "" : ",");
        loom_json_string(s, n->name);
        loom_str_add(s, ":");
        loom_json_real(s, result->root->term[n->offset]);
        first = 0;
    }
    loom_str_add(s, "}}");
    return loom_rundir_log(t->r->dir, s, e);
}

static int log_valid(struct trainer *t, struct loom_error *e)
{
    const struct loom_progress *p = &t->progress;
    struct loom_str *s = &t->line;
    loom_str_reset(s);
    loom_str_printf(s, "{\"event\":\"valid\",\"stage\":\"%s\",\"step\":%lld,", t->s->name, (long long)p->step);
    loom_json_string(s, loom_opt_string(t->s->options, "monitor"));
    loom_str_add(s, ":");
    loom_json_real(s, loom_validation_shown(&t->validation, p->valid));
    loom_str_add(s, ",\"best\":");
    loom_json_real(s, loom_validation_shown(&t->validation, p->stopping.best));
    loom_str_printf(s, ",\"best_step\":%lld,\"seconds\":%.3f", (long long)p->stopping.best_step, p->seconds);
    if (t->validation.series) {
        loom_str_add(s, ",\"truth\":");
        loom_json_real(s, t->validation.truth);
    }
    loom_str_add(s, "}");
    return loom_rundir_log(t->r->dir, s, e);
}

/* What the stage took. FLOPs: those of this process's steps, taken for all. */
static int log_done(struct trainer *t, int64_t first, struct loom_error *e)
{
    const struct loom_progress *p = &t->progress;
    struct loom_str *s = &t->line;
    loom_str_reset(s);
    loom_str_printf(
        s,
        "{\"event\":\"done\",\"stage\":\"%s\",\"step\":%lld,\"windows\":%lld,\"seconds\":%.3f,\"parameters\":%lld,"
        "\"flops\":",
        t->s->name, (long long)p->step, (long long)p->windows, p->seconds, (long long)loom_store_parameters(t->store));
    loom_json_real(s, p->step == 0      ? 0
                      : p->step > first ? t->flops * (double)p->step / (double)(p->step - first)
                                        : NAN);
    loom_str_add(s, "}");
    return loom_rundir_log(t->r->dir, s, e);
}

/* ---- steps ---- */

static int validates_after(const struct trainer *t, int64_t steps)
{
    return t->validation.windows > 0 && (steps % t->valid_every == 0 || steps == t->steps);
}

static void draw(const struct trainer *t, uint64_t batch, struct loom_sample *out)
{
    for (int i = 0; i < t->windows; i++)
        loom_sampler_draw(t->sampler, batch, i / t->arity, i % t->arity, &out[i]);
}

/* Announce the batch after `batch`, which is number k of its step, unless something else takes the stepper first. */
static void announce(struct trainer *t, uint64_t batch, int k)
{
    int64_t done = t->progress.step + 1;
    if (k + 1 == t->accumulate && (done >= t->steps || validates_after(t, done)))
        return;
    draw(t, batch + 1, t->next);
    loom_stepper_announce(t->stepper, t->next, t->windows, t->arity, LOOM_STEP, batch + 1);
}

/* The batch of one step, or, when batches are accumulated, all of them: the gradient's scale makes their mean. */
static int gather(struct trainer *t, struct loom_step_result *result, const struct loom_block **sum, double *loss,
                  struct loom_error *e)
{
    *loss = 0;
    if (t->accumulate > 1)
        loom_block_zero(&t->total, t->store);
    for (int k = 0; k < t->accumulate; k++) {
        uint64_t batch = (uint64_t)t->progress.step * (uint64_t)t->accumulate + (uint64_t)k;
        draw(t, batch, t->sample);
        announce(t, batch, k);
        int code = loom_stepper_run(t->stepper, t->sample, t->windows, t->arity, LOOM_STEP, batch, result, e);
        if (code != LOOM_OK)
            return code;
        if (t->accumulate > 1)
            loom_block_join(&t->total, result->root, t->store);
        *loss += result->loss / t->accumulate;
        t->progress.tokens += result->tokens;
        t->progress.windows += t->windows;
        t->waited_s += result->plan_s;
        t->flops += result->flops;
    }
    *sum = t->accumulate > 1 ? &t->total : result->root;
    return LOOM_OK;
}

/* Gradual unfreezing; in a resumed stage it may be long due. */
static int thaw(struct trainer *t, struct loom_error *e)
{
    if (t->thaw_at < 0 || t->progress.step < t->thaw_at)
        return LOOM_OK;
    int code = loom_stage_scale(t->s, t->store, 1, e);
    loom_optimizer_refresh(&t->optimizer, t->thaw_at);
    t->thaw_at = -1;
    return code;
}

static int one_step(struct trainer *t, struct loom_error *e)
{
    struct loom_step_result result;
    const struct loom_block *sum;
    double loss;
    int code = thaw(t, e);
    if (code == LOOM_OK)
        code = gather(t, &result, &sum, &loss, e);
    if (code != LOOM_OK)
        return code;
    t->lr = loom_schedule_lr(&t->schedule, &t->progress.schedule, t->progress.step);
    t->optimizer.spec.beta1 = loom_schedule_beta1(&t->schedule, t->progress.step);
    code = loom_optimizer_step(&t->optimizer, sum->grad, 1.0 / t->accumulate, t->lr, t->r->pool, &t->last_norm, e);
    if (code == LOOM_OK && loom_model_wants_fitting(t->model))
        code = loom_model_update(t->model, sum->sum, 0, 0, e);
    if (code < 0)
        return code;
    t->progress.step++;
    loom_average_add(&t->progress.loss, loss);
    loom_average_add(&t->progress.norm, t->last_norm);
    if (t->progress.step % t->log_every == 0 || t->progress.step == t->steps)
        return log_step(t, &result, loss, e);
    return LOOM_OK;
}

/* After a step: validate, keep the best. *enough 1: patience ran out. */
static int look(struct trainer *t, int64_t first, int *enough, struct loom_error *e)
{
    struct loom_progress *p = &t->progress;
    *enough = 0;
    if (!validates_after(t, p->step))
        return LOOM_OK;
    int code = loom_validation_run(&t->validation, &p->valid, e);
    if (code != LOOM_OK)
        return code;
    loom_schedule_observe(&t->schedule, &p->schedule, p->valid);
    if (loom_stopping_observe(&p->stopping, p->valid, p->step))
        code = save(t, "best", 0, e);
    if (code == LOOM_OK)
        code = log_valid(t, e);
    note(t, LOOM_NOTE_VALID, first);
    *enough = t->patience > 0 && p->stopping.worse >= t->patience;
    return code;
}

static int run_steps(struct trainer *t, struct loom_error *e)
{
    struct loom_progress *p = &t->progress;
    int64_t first = p->step;
    double before = p->seconds;
    int code = LOOM_OK, enough = t->patience > 0 && p->stopping.worse >= t->patience, stopped = 0;
    t->began_s = now_s();
    t->began_tokens = p->tokens;
    while (code == LOOM_OK && p->step < t->steps && !enough && !stopped) {
        code = one_step(t, e);
        if (code != LOOM_OK)
            break;
        p->seconds = before + now_s() - t->began_s;
        note(t, LOOM_NOTE_STEP, first);
        code = look(t, first, &enough, e);
        stopped = loom_runner_stopped(t->r);
        if (code == LOOM_OK && p->step < t->steps && !enough &&
            (stopped || (t->checkpoint_every && p->step % t->checkpoint_every == 0)))
            code = save(t, "last", 1, e);
    }
    if (code != LOOM_OK)
        return code;
    if (p->step < t->steps && !enough)
        return loom_fail(e, LOOM_ESTOP, NULL, 0,
                         "stopped at step %lld of stage %s, everything saved: go on with --resume %s",
                         (long long)p->step, t->s->name, t->r->dir->path);
    p->done = 1;
    code = log_done(t, first, e); /* before the checkpoint: without it the line is dropped and said again */
    return code == LOOM_OK ? save(t, "last", 1, e) : code;
}

static int dry_step(struct trainer *t, struct loom_str *text, struct loom_error *e)
{
    struct loom_step_result result;
    const struct loom_block *sum;
    double loss;
    int code = gather(t, &result, &sum, &loss, e);
    if (code != LOOM_OK)
        return code;
    loom_str_printf(text, "  batch          %d windows, %lld rows, loss %.6g before training\n", t->windows,
                    (long long)result.tokens, loss);
    loom_str_printf(text, "  steps          %lld (one epoch is %lld windows)\n", (long long)t->steps,
                    (long long)loom_sampler_epoch(t->sampler));
    loom_str_printf(text, "  FLOPs          %.4g a step, %.4g in all\n", result.flops * t->accumulate,
                    result.flops * t->accumulate * (double)t->steps);
    double moments = 3.0 * (double)t->store->size[LOOM_LIFE_PARAM] * sizeof(loom_real);
    loom_str_printf(text, "  memory         %.1f MiB (shards and gradients %.1f, parameters and moments %.1f)\n",
                    ((double)loom_stepper_peak(t->stepper) + moments) / 1048576,
                    (double)loom_stepper_peak(t->stepper) / 1048576, moments / 1048576);
    loom_str_printf(text, "  first step     %.3g s with %d workers\n", result.plan_s + result.run_s,
                    loom_pool_workers(t->r->pool));
    return LOOM_OK;
}

int loom_train(struct loom_runner *r, const struct loom_stage *s, struct loom_str *dry, struct loom_error *e)
{
    struct trainer *t = calloc(1, sizeof *t);
    if (!t)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for stage '%s': free some", s->name);
    t->r = r;
    t->s = s;
    int code = set_up(t, e);
    if (code == LOOM_OK && dry) {
        code = dry_step(t, dry, e);
    } else if (code == LOOM_OK && !t->progress.done) {
        loom_runner_say(r, LOOM_NOTE_STAGE, s->name, "%lld parameters, %lld steps of %d windows, kernels: %s",
                        (long long)loom_store_parameters(t->store), (long long)t->steps, t->windows * t->accumulate,
                        loom_stepper_kernels(t->stepper)->set);
        code = run_steps(t, e);
        if (code == LOOM_OK && t->steps == 0)
            loom_runner_say(r, LOOM_NOTE_DONE, s->name, "no steps: parameters are as they began");
        else if (code == LOOM_OK)
            loom_runner_say(r, LOOM_NOTE_DONE, s->name, "%lld steps in %.1f s, loss %.6g, %.3g GFLOP/s",
                            (long long)t->progress.step, t->progress.seconds, loom_average_value(&t->progress.loss),
                            t->flops / fmax(now_s() - t->began_s, 1e-9) / 1e9);
    }
    tear_down(t);
    free(t);
    return code;
}
