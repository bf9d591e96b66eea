/* SPDX-License-Identifier: Apache-2.0 */
#include "train/run.h"

#include "base/io.h"
#include "train/events.h"
#include "train/identity.h"
#include "train/validate.h"

#include <loom/report.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const size_t LIMIT_TEXT = 64u << 20;

/* ---- opening ---- */

/* The resolved pipeline of the run in folder `d`. */
static int open_resolved(struct loom_running *x, const struct loom_rundir *d, const struct loom_run_spec *spec,
                         struct loom_error *e)
{
    char path[LOOM_PATH], *text = NULL;
    size_t size;
    int code = loom_rundir_path(d, path, e, "pipeline.cfg");
    if (code == LOOM_OK)
        code = loom_file_read(&text, &size, path, LIMIT_TEXT, e);
    if (code == LOOM_OK) {
        x->origin = loom_rundir_origin(d, e);
        code =
            x->origin ? loom_config_parse(&x->config, text, x->origin, spec->overrides, spec->override, e) : LOOM_EDATA;
    }
    free(text);
    return code;
}

/* 1 when `pipeline` is the resolved one in a run's folder, which comes back in d. */
static int is_resolved(const char *pipeline, struct loom_rundir *d)
{
    static const char name[] = "/pipeline.cfg";
    size_t n = strlen(pipeline), tail = sizeof name - 1;
    char path[LOOM_PATH];
    *d = (struct loom_rundir)LOOM_RUNDIR;
    if (n <= tail || n - tail >= sizeof d->path || strcmp(pipeline + n - tail, name) != 0)
        return 0;
    snprintf(d->path, sizeof d->path, "%.*s", (int)(n - tail), pipeline);
    return loom_rundir_path(d, path, NULL, "origin.json") == LOOM_OK && loom_file_exists(path);
}

static int open_config(struct loom_running *x, const struct loom_run_spec *spec, struct loom_error *e)
{
    struct loom_rundir other;
    int code;
    if (spec->resume) {
        code = loom_rundir_open(&x->dir, spec->resume, e);
        if (code == LOOM_OK)
            code = open_resolved(x, &x->dir, spec, e);
    } else if (!spec->pipeline || !loom_file_exists(spec->pipeline)) {
        code = loom_fail(e, LOOM_ECONFIG, spec->pipeline, 0, "there is no such pipeline file: name one that is there");
    } else if (is_resolved(spec->pipeline, &other)) {
        code = open_resolved(x, &other, spec, e);
    } else {
        x->origin = realpath(spec->pipeline, NULL);
        code = loom_config_open(&x->config, spec->pipeline, spec->overrides, spec->override, e);
    }
    if (code == LOOM_OK && !x->origin)
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a pipeline: free some");
    if (code == LOOM_OK)
        code = loom_pipeline_init(&x->pipeline, x->config, e);
    x->runner.pipeline = &x->pipeline;
    return code;
}

static int open_rest(struct loom_running *x, const struct loom_run_spec *spec, struct loom_error *e)
{
    struct loom_runner *r = &x->runner;
    int threads = spec->threads > 0 ? spec->threads : (int)loom_opt_int(x->pipeline.options, "threads");
    int code = loom_registry_new(&r->registry, spec->plugin_path, e);
    if (code == LOOM_OK && spec->careful)
        loom_registry_careful(r->registry, LOOM_CARE_STRANGERS);
    if (code == LOOM_OK)
        code = loom_pool_new(&r->pool, threads > 0 ? threads : loom_cpu_count(), e);
    if (code == LOOM_OK)
        code = loom_catalog_open(&r->catalog, loom_group_ensure(x->pipeline.root, "data"), r->registry, e);
    return code == LOOM_OK ? loom_catalog_check_leaks(r->catalog, e) : code;
}

static int rehearse_baselines(const struct loom_runner *r, const struct loom_stage *s, struct loom_error *e)
{
    for (size_t i = 0; i < loom_opt_count(s->options, "against"); i++) {
        struct loom_model *m = NULL;
        const char *id = loom_opt_string_at(s->options, "against", i);
        int code = loom_runner_baseline(r, s, &r->pipeline->stage[s->asks], id, &m, e);
        loom_model_free(m);
        if (code != LOOM_OK)
            return code;
    }
    return LOOM_OK;
}

static int is_among(const struct loom_options *o, const char *key, const char *id)
{
    for (size_t i = 0; i < loom_opt_count(o, key); i++)
        if (strcmp(loom_opt_string_at(o, key, i), id) == 0)
            return 1;
    return 0;
}

/* Options of baselines that this time are not scored (`against` is shorter on the command line, or is left out by an
 * export) may stand in the stage, if they are right. */
static int read_idle_baselines(const struct loom_runner *r, const struct loom_stage *s, struct loom_error *e)
{
    const struct loom_group *all = loom_group_child(s->group, "baselines");
    int code = LOOM_OK;
    for (size_t i = 0; all && i < loom_group_count(all) && code == LOOM_OK; i++) {
        static const char *const also[] = {"plugin", NULL};
        const char *id = loom_group_key(all, i);
        const struct loom_plugin *plugin;
        struct loom_options *o = NULL;
        if (is_among(s->options, "against", id) || !loom_group_at(all, i))
            continue;
        if (loom_registry_find(r->registry, LOOM_BASELINE, id, &plugin, e) != LOOM_OK) {
            struct loom_error why = e ? *e : (struct loom_error){0};
            loom_error_clear(e);
            return loom_group_fail(all, id, e, LOOM_ECONFIG, "%s", why.message);
        }
        code = loom_options_parse(&o, plugin->options, loom_group_at(all, i), id, also, e);
        loom_options_free(o);
    }
    return code;
}

static int rehearse(const struct loom_runner *r, struct loom_error *e)
{
    int code = LOOM_OK;
    for (int i = 0; i < r->pipeline->stages && code == LOOM_OK; i++) {
        const struct loom_stage *s = &r->pipeline->stage[i];
        const struct loom_kernels *kernels;
        struct loom_model *m = NULL;
        code = loom_stage_kernels(s, &kernels, e);
        if (code == LOOM_OK)
            code = s->evaluates ? loom_assess_check(r->catalog, s, e) : loom_validation_check(s, e);
        if (code == LOOM_OK && s->evaluates)
            code = read_idle_baselines(r, s, e);
        if (code == LOOM_OK && s->evaluates)
            code = loom_trials_check(r->catalog, s->options, e);
        if (code == LOOM_OK)
            code = loom_runner_model(r, &r->pipeline->stage[s->asks], 0, &m, e);
        if (code == LOOM_OK && !s->evaluates)
            code = loom_stage_scale(s, loom_model_store(m), 0, e);
        loom_model_free(m);
        if (code == LOOM_OK)
            code = rehearse_baselines(r, s, e);
    }
    return code;
}

int loom_running_open(struct loom_running *x, const struct loom_run_spec *spec, struct loom_error *e)
{
    *x = (struct loom_running){.runner.spec = spec, .dir = LOOM_RUNDIR};
    int code = open_config(x, spec, e);
    if (code == LOOM_OK)
        code = open_rest(x, spec, e);
    if (code == LOOM_OK)
        code = rehearse(&x->runner, e);
    if (code == LOOM_OK)
        code = loom_config_unread(x->config, e);
    if (code == LOOM_OK)
        code = loom_config_resolved(x->config, &x->runner.resolved, e);
    return code;
}

void loom_running_release(struct loom_running *x)
{
    loom_catalog_free(x->runner.catalog);
    loom_registry_free(x->runner.registry);
    if (x->runner.pool)
        loom_pool_free(x->runner.pool);
    free(x->runner.resolved);
    free(x->origin);
    loom_rundir_release(&x->dir);
    if (x->pipeline.options)
        loom_pipeline_release(&x->pipeline);
    loom_config_free(x->config);
}

/* ---- metrics ---- */

json_t *loom_running_metrics(const struct loom_rundir *d, struct loom_error *e)
{
    char path[LOOM_PATH];
    if (loom_rundir_path(d, path, e, "metrics.json") != LOOM_OK)
        return NULL;
    if (loom_file_exists(path))
        return loom_json_load(path, LIMIT_TEXT, e);
    json_t *j = json_object();
    if (!j)
        loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for metrics: free some");
    return j;
}

int loom_running_metrics_write(const struct loom_rundir *d, const json_t *metrics, struct loom_error *e)
{
    char path[LOOM_PATH];
    int code = loom_rundir_path(d, path, e, "metrics.json");
    char *text = json_dumps(metrics, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    struct loom_str s = LOOM_STR_INIT;
    loom_str_printf(&s, "%s\n", text ? text : "");
    if (code == LOOM_OK)
        code = text && !s.failed ? loom_file_write(path, s.text, s.length, e)
                                 : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for metrics: free some");
    free(text);
    loom_str_release(&s);
    return code;
}

/* ---- running ---- */

static int run_stages(struct loom_running *x, struct loom_error *e)
{
    const struct loom_pipeline *p = &x->pipeline;
    json_t *metrics = loom_running_metrics(&x->dir, e);
    int code = metrics ? LOOM_OK : LOOM_EIO;
    for (int i = 0; i < p->stages && code == LOOM_OK; i++) {
        const struct loom_stage *s = &p->stage[i];
        if (!s->evaluates) {
            code = loom_train(&x->runner, s, NULL, e);
        } else if (!json_object_get(metrics, s->name)) {
            code = loom_events_rewind(&x->dir, s->name, -1, e);
            if (code == LOOM_OK)
                code = loom_assess(&x->runner, s, NULL, 1, metrics, e);
            if (code == LOOM_OK && x->dir.events)
                code = loom_events_metrics(&x->dir, s->name, json_object_get(metrics, s->name), e);
            if (code == LOOM_OK)
                code = loom_running_metrics_write(&x->dir, metrics, e);
        }
        if (code == LOOM_OK && loom_runner_stopped(&x->runner) && i + 1 < p->stages)
            code = loom_fail(e, LOOM_ESTOP, NULL, 0, "stopped after stage %s, everything saved: go on with --resume %s",
                             s->name, x->dir.path);
    }
    if (code == LOOM_OK && p->compares > 0) {
        code = loom_compare(p, &metrics, 1, metrics, e);
        if (code == LOOM_OK)
            code = loom_running_metrics_write(&x->dir, metrics, e);
    }
    json_decref(metrics);
    return code;
}

static int begin_folder(struct loom_running *x, const char *out, struct loom_error *e)
{
    const char *stage[LOOM_STAGES + 1];
    int n = 0;
    for (int i = 0; i < x->pipeline.stages; i++)
        if (!x->pipeline.stage[i].evaluates && loom_opt_count(x->pipeline.options, "seeds") == 0)
            stage[n++] = x->pipeline.stage[i].name;
    stage[n] = NULL;
    const struct loom_rundir_made made = {.name = x->pipeline.name,
                                          .origin = x->origin,
                                          .resolved = x->runner.resolved,
                                          .stage = stage,
                                          .threads = loom_pool_workers(x->runner.pool)};
    return loom_rundir_begin(&x->dir, out, &made, e);
}

static void end_folder(const struct loom_rundir *d, int code, const struct loom_error *e)
{
    char text[1500];
    if (code == LOOM_OK)
        snprintf(text, sizeof text, "done");
    else if (code == LOOM_ESTOP)
        snprintf(text, sizeof text, "stopped");
    else
        snprintf(text, sizeof text, "failed: %s", e ? e->message : "");
    (void)loom_rundir_status(d, text, NULL); /* the run's own error is the one to report */
}

static int dry_run(struct loom_running *x, struct loom_error *e)
{
    struct loom_str text = LOOM_STR_INIT;
    int code = LOOM_OK;
    for (int i = 0; i < x->pipeline.stages && code == LOOM_OK; i++)
        if (!x->pipeline.stage[i].evaluates)
            code = loom_train(&x->runner, &x->pipeline.stage[i], &text, e);
    if (code == LOOM_OK)
        loom_runner_say(&x->runner, LOOM_NOTE_TEXT, "", "dry run: every stage took a step, nothing was written");
    loom_str_release(&text);
    return code;
}

static void tell_folder(const struct loom_run_spec *spec, const struct loom_rundir *d)
{
    if (spec->folder && spec->folder_size > 0)
        snprintf(spec->folder, spec->folder_size, "%s", d->path);
}

/* A run is done without its page: where that fails, it is said and no more. */
static void write_report(const struct loom_running *x)
{
    const char *run[] = {x->dir.path};
    struct loom_error e = {0};
    const struct loom_report_spec spec = {.size = sizeof spec, .runs = 1, .run = run};
    if (loom_report_write(&spec, &e) != LOOM_OK)
        loom_runner_say(&x->runner, LOOM_NOTE_TEXT, "", "no report: %s", e.message);
}

int loom_run(const struct loom_run_spec *spec, struct loom_error *e)
{
    struct loom_running x;
    struct loom_error own = {0};
    if (!e)
        e = &own;
    int code = loom_running_open(&x, spec, e);
    if (code == LOOM_OK && spec->dry) {
        code = dry_run(&x, e);
        goto out;
    }
    if (code == LOOM_OK)
        code = spec->resume ? loom_rundir_lock(&x.dir, e) : begin_folder(&x, spec->out, e);
    if (code == LOOM_OK)
        code = loom_identity_write(&x, e);
    if (code != LOOM_OK)
        goto out;
    x.dir.events = loom_opt_bool(x.pipeline.options, "events");
    x.runner.dir = &x.dir;
    x.runner.resuming = spec->resume != NULL;
    tell_folder(spec, &x.dir);
    code = loom_rundir_status(&x.dir, "running", e);
    if (code == LOOM_OK)
        code = loom_opt_count(x.pipeline.options, "seeds") > 0 ? loom_run_seeds(spec, &x.dir, &x.pipeline, e)
                                                               : run_stages(&x, e);
    end_folder(&x.dir, code, e);
    if (code == LOOM_OK)
        write_report(&x);
out:
    loom_running_release(&x);
    return code;
}

static int evaluate_stages(struct loom_running *x, const char *stage, const char *split, json_t *metrics,
                           struct loom_error *e)
{
    const struct loom_run_spec *spec = x->runner.spec;
    int found = 0, code = LOOM_OK;
    for (int i = 0; i < x->pipeline.stages && code == LOOM_OK; i++) {
        const struct loom_stage *s = &x->pipeline.stage[i];
        if (!s->evaluates || (stage && strcmp(stage, s->name) != 0))
            continue;
        found = 1;
        code = loom_assess(&x->runner, s, split, spec->predictions != NULL, metrics, e);
    }
    if (code == LOOM_OK && !found)
        code = loom_fail(
            e, LOOM_ECONFIG, spec->resume ? spec->resume : spec->pipeline, 0, "%s%s: name a stage that has metrics",
            stage ? "it has no evaluation stage called " : "it has no evaluation stage", stage ? stage : "");
    return code;
}

int loom_run_evaluation(const char *run, const char *stage, char out[LOOM_EVALUATION_NAME], struct loom_error *e)
{
    char path[LOOM_PATH];
    struct loom_config *config = NULL;
    struct stat is;
    int found = 0, file = stat(run, &is) == 0 && S_ISREG(is.st_mode);
    if ((size_t)snprintf(path, sizeof path, "%s%s", run, file ? "" : "/pipeline.cfg") >= sizeof path)
        return loom_fail(e, LOOM_ECONFIG, run, 0, "the path is too long: shorten it");
    if (!loom_file_exists(path))
        return loom_fail(e, LOOM_ECONFIG, run, 0, "is no folder of a run: it has no pipeline.cfg");
    int code = loom_config_open(&config, path, 0, NULL, e);
    for (size_t i = 0; code == LOOM_OK && i < loom_group_list_count(loom_config_root(config), "stages") && !found;
         i++) {
        const struct loom_group *g = loom_group_list(loom_config_root(config), "stages", i);
        const char *name = loom_group_text(g, "name");
        if (!name || (loom_group_list_count(g, "metrics") == 0 && !loom_group_text(g, "metrics")))
            continue;
        found = !stage || strcmp(stage, name) == 0;
        snprintf(out, LOOM_EVALUATION_NAME, "%s", name);
    }
    if (code == LOOM_OK && !found)
        code = loom_fail(e, LOOM_ECONFIG, path, 0, "it has no evaluation stage%s%s: name one that has metrics",
                         stage ? " called " : "", stage ? stage : "");
    loom_config_free(config);
    return code;
}

int loom_running_one(const struct loom_running *x, struct loom_error *e)
{
    const struct loom_options *o = x->pipeline.options;
    if (loom_opt_count(o, "seeds") == 0)
        return LOOM_OK;
    return loom_fail(e, LOOM_ECONFIG, x->dir.path, 0,
                     "is a run over seeds, whose models are in the folders of its seeds: name one, %s/seed-%lld",
                     x->dir.path, (long long)loom_opt_real_at(o, "seeds", 0));
}

int loom_run_evaluate(const struct loom_run_spec *spec, const char *stage, const char *split, char **json,
                      struct loom_error *e)
{
    struct loom_running x;
    json_t *metrics = NULL;
    *json = NULL;
    if (!spec->resume && !spec->weights)
        return loom_fail(e, LOOM_ECONFIG, spec->pipeline, 0,
                         "a pipeline alone has nothing to evaluate: give --weights, or the folder of a run");
    if (spec->predictions && !loom_predictions_supported())
        return loom_fail(e, LOOM_ECONFIG, spec->predictions, 0,
                         "this build has no HDF5 to write predictions: build with it, or do without them");
    int code = loom_running_open(&x, spec, e);
    x.runner.dir = spec->resume ? &x.dir : NULL;
    if (code == LOOM_OK && spec->resume && !spec->weights)
        code = loom_running_one(&x, e);
    if (code == LOOM_OK && spec->weights)
        code = loom_weights_open(&x.runner.weights, spec->weights, spec->partial, e);
    if (code == LOOM_OK && !(metrics = json_object()))
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for metrics: free some");
    if (code == LOOM_OK)
        code = evaluate_stages(&x, stage, split, metrics, e);
    if (code == LOOM_OK && spec->weights)
        code = loom_weights_finish(x.runner.weights, e);
    if (code == LOOM_OK) {
        *json = json_dumps(metrics, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
        code = *json ? LOOM_OK : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for metrics: free some");
    }
    json_decref(metrics);
    loom_weights_free(x.runner.weights);
    loom_running_release(&x);
    return code;
}
