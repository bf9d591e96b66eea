/* SPDX-License-Identifier: Apache-2.0 */
#include "train/runner.h"

#include "base/io.h"

#include <math.h>
#include <string.h>

void loom_runner_say(const struct loom_runner *r, int kind, const char *stage, const char *fmt, ...)
{
    char text[1400];
    va_list args;
    struct loom_run_note n = {.kind = kind, .stage = stage, .text = text, .valid = NAN, .best = NAN, .eta_s = NAN};
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (r->spec->note)
        r->spec->note(r->spec->payload, &n);
}

int loom_runner_stopped(const struct loom_runner *r)
{
    return r->spec->stop && *r->spec->stop;
}

int loom_runner_checkpoint(const struct loom_runner *r, char out[LOOM_PATH], const char *stage, const char *file,
                           struct loom_error *e)
{
    return loom_rundir_path(r->dir, out, e, "checkpoints/%s/%s.safetensors", stage, file);
}

int loom_runner_model(const struct loom_runner *r, const struct loom_stage *asks, int with_shadow,
                      struct loom_model **out, struct loom_error *e)
{
    struct loom_model_spec spec = {
        .registry = r->registry,
        .catalog = r->catalog,
        .root = r->pipeline->root,
        .stage = asks->group,
        .seed = r->pipeline->seed,
        .with_shadow = with_shadow,
        .lora = &asks->lora,
    };
    return loom_model_new(out, &spec, e);
}

static int count_states(const struct loom_store *store)
{
    int n = 0;
    for (int i = 0; i < store->count; i++)
        n += store->entry[i].lifetime == LOOM_LIFE_STATE && store->entry[i].size > 0;
    return n;
}

/* What a stage took, in the log with every name that did not match. */
static int log_transfer(const struct loom_runner *r, const char *from, const char *to,
                        const struct loom_transfer *report, const struct loom_str *text, struct loom_error *e)
{
    struct loom_str s = LOOM_STR_INIT;
    loom_str_printf(&s,
                    "{\"event\":\"transfer\",\"stage\":\"%s\",\"step\":0,\"from\":\"%s\",\"matched\":%d,\"fresh\":%d,"
                    "\"left\":%d,\"rows_matched\":%lld,\"rows_fresh\":%lld,\"names\":",
                    to, from, report->matched, report->fresh, report->left, (long long)report->rows_matched,
                    (long long)report->rows_fresh);
    loom_json_string(&s, text->text ? text->text : "");
    loom_str_add(&s, "}");
    int code = loom_rundir_log(r->dir, &s, e);
    loom_str_release(&s);
    return code;
}

static int fresh_states(const struct loom_tensors *f, const struct loom_store *store)
{
    int n = count_states(store);
    for (int i = 0; i < f->tensors; i++)
        n -= strncmp(f->tensor[i].name, "state.", 6) == 0 &&
             loom_store_find(store, LOOM_LIFE_STATE, f->tensor[i].name + 6);
    return n;
}

int loom_runner_inherit(const struct loom_runner *r, const struct loom_stage *from, const char *take,
                        const struct loom_stage *to, struct loom_model *m, int *states_fresh, struct loom_error *e)
{
    char path[LOOM_PATH];
    struct loom_tensors f;
    struct loom_transfer report;
    struct loom_str text = LOOM_STR_INIT;
    struct loom_store *store = loom_model_store(m);
    *states_fresh = count_states(store);
    if (!r->dir)
        return LOOM_OK;
    int code = loom_runner_checkpoint(r, path, from->name, take, e);
    if (code == LOOM_OK && !loom_file_exists(path))
        code = loom_runner_checkpoint(r, path, from->name, "last", e);
    if (code == LOOM_OK)
        code = loom_tensors_read(&f, path, 1, e);
    if (code != LOOM_OK)
        return code;
    code = loom_checkpoint_transfer(&f, store, &report, &text, e);
    if (code == LOOM_OK) {
        *states_fresh = fresh_states(&f, store);
        if (!to->evaluates) {
            loom_runner_say(
                r, LOOM_NOTE_TEXT, to->name,
                "takes %d tensors of %s (%lld rows by name, %lld rows fresh), %d fresh, %d left; log.jsonl names them",
                report.matched, from->name, (long long)report.rows_matched, (long long)report.rows_fresh, report.fresh,
                report.left);
            code = log_transfer(r, from->name, to->name, &report, &text, e);
        }
        if (report.matched == 0)
            code = loom_fail(e, LOOM_ECONFIG, NULL, 0,
                             "nothing of stage '%s' has the name and shape of anything in stage '%s': drop `from`",
                             from->name, to->name);
    }
    loom_str_release(&text);
    loom_tensors_release(&f);
    return code;
}
