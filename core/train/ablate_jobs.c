/* SPDX-License-Identifier: Apache-2.0 */
/* Cells run as `loom run` in processes of their own: one that crashes takes nobody along, and each can be repeated by
 * hand. Seed by seed, so that a table of what is done so far compares like with like. */
#include "base/io.h"
#include "base/process.h"
#include "base/threads.h"
#include "train/ablate.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { MOST_JOBS = 1024, TAIL = 4096 };
static const double LOCK_S = 20.0, TELL_S = 0.5;

struct job {
    struct loom_process process;
    struct loom_cell *cell; /* NULL: free */
    int seed;
    char folder[LOOM_PATH];
};

struct gang {
    struct loom_ablation *a;
    struct job *job;
    int jobs, threads, next, done, failed, tries, ended, stopping;
    double told_s, spent_s; /* spent: by those that ended, in all */
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- folders ---- */

static int begin_cell(const struct loom_ablation *a, struct loom_cell *c, struct loom_error *e)
{
    static const char *const no_stages[] = {NULL};
    char path[LOOM_PATH];
    struct loom_rundir d = LOOM_RUNDIR;
    const struct loom_rundir_made made = {
        .name = a->name, .origin = c->origin, .resolved = c->resolved, .stage = no_stages, .threads = 1};
    int code = LOOM_OK;
    if (loom_file_exists(c->folder)) {
        snprintf(path, sizeof path, "%.4000s/pipeline.cfg", c->folder);
        if (loom_file_exists(path))
            return LOOM_OK;
    } else {
        code = loom_mkdirs(c->folder, e);
    }
    char *text = json_dumps(c->identity, JSON_SORT_KEYS | JSON_INDENT(2));
    snprintf(path, sizeof path, "%.4000s/identity.json", c->folder);
    if (code == LOOM_OK)
        code = text ? loom_file_write(path, text, strlen(text), e)
                    : loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a cell: free some");
    if (code == LOOM_OK)
        code = loom_rundir_begin(&d, c->folder, &made, e);
    loom_rundir_release(&d);
    free(text);
    return code;
}

static int status_is_done(const char *folder)
{
    char path[LOOM_PATH], *text = NULL;
    size_t size;
    snprintf(path, sizeof path, "%.4000s/metrics.json", folder);
    if (!loom_file_exists(path))
        return 0;
    snprintf(path, sizeof path, "%.4000s/status", folder);
    int done = loom_file_exists(path) && loom_file_read(&text, &size, path, 1 << 16, NULL) == LOOM_OK &&
               strcmp(text, "done\n") == 0;
    free(text);
    return done;
}

static void seed_folder(const struct loom_ablation *a, const struct loom_cell *c, int seed, char out[LOOM_PATH])
{
    snprintf(out, LOOM_PATH, "%.4000s/seed-%lld", c->folder, (long long)a->seed[seed]);
}

/* A run that was killed with its ablation may still be ending: its folder stays locked until it has. */
static void wait_for_lock(const char *folder)
{
    double began = now_s();
    int busy = 1;
    while (busy && now_s() - began < LOCK_S) {
        struct loom_rundir d = LOOM_RUNDIR;
        snprintf(d.path, sizeof d.path, "%s", folder);
        busy = loom_rundir_lock(&d, NULL) == LOOM_ECONFIG;
        loom_rundir_release(&d);
        if (busy)
            usleep(50000);
    }
}

/* ---- one run ---- */

static int start(struct gang *g, struct job *j, struct loom_error *e)
{
    const struct loom_ablate_spec *spec = g->a->spec;
    char pipeline[LOOM_PATH], begun[LOOM_PATH], seed[48], threads[16];
    const char *argv[16] = {spec->program, "run", "--quiet", "--with-parent", "--threads", threads};
    int n = 6;
    snprintf(pipeline, sizeof pipeline, "%.4000s/pipeline.cfg", j->cell->folder);
    seed_folder(g->a, j->cell, j->seed, j->folder);
    snprintf(begun, sizeof begun, "%.4000s/pipeline.cfg", j->folder);
    snprintf(seed, sizeof seed, "seed=%lldL", (long long)g->a->seed[j->seed]);
    snprintf(threads, sizeof threads, "%d", g->threads);
    if (loom_file_exists(j->folder))
        wait_for_lock(j->folder);
    if (loom_file_exists(begun)) {
        argv[n++] = "--resume";
        argv[n++] = j->folder;
    } else {
        const char *fresh[] = {pipeline, "seeds=()", seed, "--out", j->folder};
        memcpy(&argv[n], fresh, sizeof fresh);
        n += 5;
    }
    if (spec->plugin_path) {
        argv[n++] = "--plugin-path";
        argv[n++] = spec->plugin_path;
    }
    argv[n] = NULL;
    return loom_process_start(&j->process, argv, 0, e);
}

/* The last line that a failed run wrote, without the command's name. */
static char *last_words(const struct loom_process *p)
{
    static const char name[] = "loom run: ";
    const char *text = p->output;
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    size_t from = n;
    while (from > 0 && text[from - 1] != '\n')
        from--;
    if (n - from > sizeof name - 1 && strncmp(text + from, name, sizeof name - 1) == 0)
        from += sizeof name - 1;
    return p->status < 0 || n == from ? strdup(p->why) : strndup(text + from, n - from);
}

static void finish(struct gang *g, struct job *j)
{
    struct loom_try *t = &j->cell->attempt[j->seed];
    long long seed = (long long)g->a->seed[j->seed];
    t->done = j->process.status == 0 && status_is_done(j->folder);
    if (t->done) {
        g->done++;
        loom_ablation_say(g->a, 0, "done    %s, seed %lld in %.1f s", j->cell->label, seed, j->process.seconds);
    } else if (!g->stopping) {
        t->failed = last_words(&j->process);
        g->failed++;
        loom_ablation_say(g->a, 0, "FAILED  %s, seed %lld: %s", j->cell->label, seed, t->failed ? t->failed : "");
    }
    g->ended++;
    g->spent_s += j->process.seconds;
    loom_process_release(&j->process);
    j->cell = NULL;
}

/* ---- how it goes ---- */

/* Stage and step of the last line of a run's log. */
static void where(const struct job *j, char *out, size_t size)
{
    char path[LOOM_PATH], tail[TAIL + 1];
    snprintf(path, sizeof path, "%.4000s/log.jsonl", j->folder);
    snprintf(out, size, "starts");
    FILE *f = fopen(path, "r");
    if (!f)
        return;
    fseek(f, 0, SEEK_END);
    long end = ftell(f);
    fseek(f, end > TAIL ? end - TAIL : 0, SEEK_SET);
    tail[fread(tail, 1, TAIL, f)] = '\0';
    fclose(f);
    char *line = tail, *next, stage[64];
    for (char *at = tail; (next = strstr(at, "\"stage\":\"")); at = next + 1)
        line = next;
    long long step;
    if (sscanf(line, "\"stage\":\"%63[^\"]\",\"step\":%lld", stage, &step) == 2)
        snprintf(out, size, "%s %lld", stage, step);
}

static void tell(struct gang *g)
{
    struct loom_str s = LOOM_STR_INIT;
    if (now_s() - g->told_s < TELL_S)
        return;
    g->told_s = now_s();
    loom_str_printf(&s, "%d of %d", g->done, g->tries);
    if (g->failed)
        loom_str_printf(&s, ", %d failed", g->failed);
    if (g->ended > 0)
        loom_str_printf(&s, ", about %.0f min left",
                        ceil(g->spent_s / g->ended * (g->tries - g->done - g->failed) / g->jobs / 60));
    for (int i = 0; i < g->jobs; i++) {
        char at[96];
        if (!g->job[i].cell)
            continue;
        where(&g->job[i], at, sizeof at);
        loom_str_printf(&s, " | %s/%lld: %s", g->job[i].cell->label, (long long)g->a->seed[g->job[i].seed], at);
    }
    loom_ablation_say(g->a, 1, "%s", s.text ? s.text : "");
    loom_str_release(&s);
}

/* ---- all ---- */

static int plan(struct gang *g)
{
    struct loom_ablation *a = g->a;
    int left = 0;
    for (int k = 0; k < a->cells; k++)
        for (int i = 0; i < a->seeds; i++) {
            char folder[LOOM_PATH];
            seed_folder(a, &a->cell[k], i, folder);
            a->cell[k].attempt[i].done = status_is_done(folder);
            g->done += a->cell[k].attempt[i].done;
            left += !a->cell[k].attempt[i].done;
        }
    int cores = a->spec->threads > 0 ? a->spec->threads : loom_cpu_count();
    int64_t jobs = a->spec->jobs > 0 ? a->spec->jobs : loom_opt_int(a->options, "jobs");
    g->tries = a->cells * a->seeds;
    g->jobs = (int)(jobs > 0 ? jobs : cores);
    g->jobs = g->jobs > left ? left : g->jobs;
    g->jobs = g->jobs < 1 ? 1 : g->jobs > MOST_JOBS ? MOST_JOBS : g->jobs;
    g->threads = cores / g->jobs > 1 ? cores / g->jobs : 1;
    return left;
}

/* The next try that is not done: all cells of the first seed, then of the second. */
static int next_try(struct gang *g, struct job *j)
{
    struct loom_ablation *a = g->a;
    for (; g->next < g->tries; g->next++) {
        j->cell = &a->cell[g->next % a->cells];
        j->seed = g->next / a->cells;
        if (!j->cell->attempt[j->seed].done) {
            g->next++;
            return 1;
        }
    }
    j->cell = NULL;
    return 0;
}

static int fill(struct gang *g, int *running, struct loom_error *e)
{
    int code = LOOM_OK;
    for (int i = 0; i < g->jobs && code == LOOM_OK; i++) {
        struct job *j = &g->job[i];
        if (j->cell && loom_process_poll(&j->process, INFINITY, 0))
            finish(g, j);
        if (!j->cell && !g->stopping && next_try(g, j)) {
            code = start(g, j, e);
            if (code != LOOM_OK)
                j->cell = NULL;
        }
        *running += j->cell != NULL;
    }
    return code;
}

static void stop_all(struct gang *g)
{
    loom_ablation_say(g->a, 0, "stops: cells that run save and end");
    g->stopping = 1;
    for (int i = 0; i < g->jobs; i++)
        if (g->job[i].cell && g->job[i].process.pid > 0)
            kill(g->job[i].process.pid, SIGTERM);
}

static int work(struct gang *g, struct loom_error *e)
{
    int code = LOOM_OK, running = 1;
    while (running > 0 && code == LOOM_OK) {
        const volatile sig_atomic_t *stop = g->a->spec->stop;
        if (stop && *stop && !g->stopping)
            stop_all(g);
        running = 0;
        code = fill(g, &running, e);
        tell(g);
        if (running > 0)
            usleep(20000);
    }
    return code;
}

int loom_ablation_run(struct loom_ablation *a, int *failed, struct loom_error *e)
{
    struct gang g = {.a = a, .told_s = -1e9};
    int code = LOOM_OK;
    for (int k = 0; k < a->cells && code == LOOM_OK; k++)
        code = begin_cell(a, &a->cell[k], e);
    if (code != LOOM_OK)
        return code;
    int left = plan(&g);
    g.job = calloc((size_t)g.jobs, sizeof *g.job);
    if (!g.job)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for %d runs at a time: fewer --jobs", g.jobs);
    if (left > 0)
        loom_ablation_say(a, 0, "%d cells × %d seeds: %d runs are done, %d to do, %d at a time with %d thread%s each",
                          a->cells, a->seeds, g.done, left, g.jobs, g.threads, g.threads == 1 ? "" : "s");
    code = left > 0 ? work(&g, e) : LOOM_OK;
    for (int i = 0; i < g.jobs; i++)
        if (g.job[i].cell)
            loom_process_release(&g.job[i].process);
    free(g.job);
    *failed = g.failed;
    if (code == LOOM_OK && g.stopping)
        code = loom_fail(e, LOOM_ESTOP, NULL, 0, "stopped, everything saved: go on with --resume %s", a->dir.path);
    return code;
}
