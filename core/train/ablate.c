/* SPDX-License-Identifier: Apache-2.0 */
#include "train/ablate.h"

#include "base/io.h"
#include "eval/report.h"

#include <loom/report.h>

#include <stdlib.h>
#include <string.h>

void loom_ablation_say(const struct loom_ablation *a, int moving, const char *fmt, ...)
{
    char line[2048];
    va_list args;
    const struct loom_ablate_note n = {.text = line, .moving = moving};
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (a->spec->note)
        a->spec->note(a->spec->payload, &n);
    if (!moving && a->dir.log >= 0) {
        struct loom_str s = LOOM_STR_INIT;
        loom_str_add(&s, "{\"event\":\"note\",\"text\":");
        loom_json_string(&s, line);
        loom_str_add(&s, "}");
        (void)loom_rundir_log((struct loom_rundir *)(uintptr_t)&a->dir, &s, NULL); /* the log is a help, no result */
        loom_str_release(&s);
    }
}

/* ---- folder ---- */

/* ablation.cfg last: with it the folder is an ablation. */
static int begin(struct loom_ablation *a, struct loom_error *e)
{
    char path[LOOM_PATH];
    int code = loom_rundir_create(&a->dir, a->spec->out, a->name, e);
    if (code == LOOM_OK)
        code = loom_rundir_lock(&a->dir, e);
    if (code == LOOM_OK)
        code = loom_rundir_set_origin(&a->dir, a->origin, e);
    if (code == LOOM_OK)
        code = loom_rundir_path(&a->dir, path, e, "ablation.cfg");
    return code == LOOM_OK ? loom_config_write_resolved(a->config, path, e) : code;
}

static int write_json(const struct loom_ablation *a, const json_t *results, struct loom_error *e)
{
    char path[LOOM_PATH];
    char *text = json_dumps(results, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    int code = loom_rundir_path(&a->dir, path, e, "results.json");
    if (code == LOOM_OK)
        code = text ? loom_file_write(path, text, strlen(text), e)
                    : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for results: free some");
    free(text);
    return code;
}

/* ---- cells that are done become runs over seeds ---- */

static int join_cell(const struct loom_ablation *a, const struct loom_cell *c, struct loom_error *e)
{
    struct loom_rundir d = LOOM_RUNDIR;
    struct loom_config *config = NULL;
    struct loom_pipeline p = {0};
    struct loom_error unread = {0};
    const char *run[] = {c->folder};
    const struct loom_report_spec report = {.size = sizeof report, .runs = 1, .run = run};
    int done = 0;
    for (int i = 0; i < a->seeds; i++)
        done += c->attempt[i].done;
    snprintf(d.path, sizeof d.path, "%s", c->folder);
    if (done < a->seeds)
        return loom_rundir_status(&d, "not all seeds are done", e);
    int code = loom_config_parse(&config, c->resolved, c->origin, 0, NULL, e);
    if (code == LOOM_OK)
        code = loom_pipeline_init(&p, config, e);
    if (code == LOOM_OK)
        code = loom_join_seeds(&d, &p, e);
    if (code == LOOM_OK)
        code = loom_rundir_status(&d, "done", e);
    if (code == LOOM_OK && loom_report_write(&report, &unread) != LOOM_OK)
        loom_ablation_say(a, 0, "no report of %s: %s", c->label, unread.message);
    if (p.options)
        loom_pipeline_release(&p);
    loom_config_free(config);
    return code;
}

/* ---- all ---- */

static int conclude(struct loom_ablation *a, struct loom_error *e)
{
    int code = LOOM_OK;
    for (int k = 0; k < a->cells && code == LOOM_OK; k++)
        code = join_cell(a, &a->cell[k], e);
    json_t *results = code == LOOM_OK ? loom_ablation_results(a, e) : NULL;
    if (code == LOOM_OK)
        code = results ? write_json(a, results, e) : LOOM_ENOMEM;
    if (code == LOOM_OK)
        code = loom_ablation_csv(a, results, e);
    if (code == LOOM_OK)
        code = loom_report_ablation(a->dir.path, results, e);
    if (code == LOOM_OK && a->spec->table)
        *a->spec->table = loom_ablation_table(results);
    json_decref(results);
    return code;
}

static int run(struct loom_ablation *a, struct loom_error *e)
{
    char said[1500];
    int failed = 0, code = loom_rundir_status(&a->dir, "running", e);
    if (code == LOOM_OK)
        code = loom_ablation_run(a, &failed, e);
    if (code == LOOM_OK)
        code = conclude(a, e);
    if (code == LOOM_OK && failed > 0)
        code = loom_fail(e, LOOM_EIO, NULL, 0, "%d of %d runs failed: mend them and go on with --resume %s", failed,
                         a->cells * a->seeds, a->dir.path);
    snprintf(said, sizeof said, "%s%s",
             code == LOOM_OK      ? "done"
             : code == LOOM_ESTOP ? "stopped"
                                  : "failed: ",
             code == LOOM_OK || code == LOOM_ESTOP || !e ? "" : e->message);
    (void)loom_rundir_status(&a->dir, said, NULL); /* the ablation's own error is the one to report */
    return code;
}

int loom_ablate(const struct loom_ablate_spec *spec, struct loom_error *e)
{
    struct loom_ablation a;
    struct loom_error own = {0};
    if (!e)
        e = &own;
    if (spec->table)
        *spec->table = NULL;
    int code = loom_ablation_open(&a, spec, e);
    if (code == LOOM_OK && spec->resume)
        code = loom_rundir_lock(&a.dir, e);
    if (code == LOOM_OK)
        code = loom_ablation_check(&a, e);
    if (code == LOOM_OK && spec->dry) {
        loom_ablation_say(&a, 0, "%d cells × %d seeds: all are legal and tested alike (%.12s…); nothing was written",
                          a.cells, a.seeds, a.cell[a.reference].sha256);
        goto out;
    }
    if (code == LOOM_OK && !spec->resume)
        code = begin(&a, e);
    if (code != LOOM_OK)
        goto out;
    for (int k = 0; k < a.cells; k++)
        loom_cell_folder(&a, &a.cell[k]);
    if (spec->folder)
        snprintf(spec->folder, spec->folder_size, "%s", a.dir.path);
    code = run(&a, e);
out:
    loom_ablation_release(&a);
    return code;
}
