/* SPDX-License-Identifier: Apache-2.0 */
/* The process of one check. It may die at any line: what it has to say is on its channel by then, or never. */
#include "conform/child.h"

#include "base/io.h"
#include "base/process.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

int loom_conform_folder(char *out, size_t size, const char *place, struct loom_error *e)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(out, size, "%s/loom-conform-XXXXXX", place ? place : tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(out))
        return LOOM_OK;
    int code = loom_fail(e, LOOM_EIO, out, 0, "cannot be made: set TMPDIR to a folder where it can");
    out[0] = '\0';
    return code;
}

void loom_conform_clear(const char *folder)
{
    if (folder[0])
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void set_paths(struct loom_trial *t)
{
    const char *given = t->spec->plugin_path, *slash = t->file ? strrchr(t->file, '/') : NULL;
    snprintf(t->plugin_path, sizeof t->plugin_path, "%.*s%s%s", slash ? (int)(slash - t->file) : 0,
             t->file ? t->file : "", slash && given ? ":" : "", given ? given : "");
    snprintf(t->baseline_prefix, sizeof t->baseline_prefix, "stages.1.baselines.%s", t->id);
}

int loom_trial_run(struct loom_trial *t)
{
    int outcome;
    set_paths(t);
    if (loom_conform_folder(t->folder, sizeof t->folder, t->place, &t->e) != LOOM_OK)
        return loom_trial_fail_error(t, "a folder to work in");
    outcome = t->check->run(t);
    loom_registry_free(t->registry);
    loom_conform_clear(t->folder);
    return outcome;
}

/* ---- as a process ---- */

static void confine(const struct loom_conform_spec *spec)
{
    struct rlimit none = {0, 0};
    (void)spec;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &none);
}

/* KEY=VALUE words of the child's command line, see runner.c. */
struct words {
    const char *check, *file, *kind, *id, *probe, *data, *place, *set[32];
    struct loom_conform_spec spec;
};

static void read_words(int argc, char **argv, struct words *w)
{
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        size_t n = value ? (size_t)(value - argv[i]) : 0;
        if (!value)
            continue;
        value++;
        if (strncmp(argv[i], "check", n) == 0)
            w->check = value;
        else if (strncmp(argv[i], "file", n) == 0)
            w->file = *value ? value : NULL;
        else if (strncmp(argv[i], "kind", n) == 0)
            w->kind = value;
        else if (strncmp(argv[i], "id", n) == 0)
            w->id = value;
        else if (strncmp(argv[i], "path", n) == 0)
            w->spec.plugin_path = value;
        else if (strncmp(argv[i], "data", n) == 0)
            w->data = value;
        else if (strncmp(argv[i], "probe", n) == 0)
            w->probe = value;
        else if (strncmp(argv[i], "place", n) == 0)
            w->place = value;
        else if (strncmp(argv[i], "seed", n) == 0)
            w->spec.seed = strtoull(value, NULL, 10);
        else if (strncmp(argv[i], "set", n) == 0 && w->spec.sets < 32)
            w->set[w->spec.sets++] = value;
    }
    w->spec.set = w->set;
}

static void tell(const char *text, size_t n)
{
    while (n > 0) {
        ssize_t k = write(LOOM_PROCESS_CHANNEL, text, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return;
        text += k;
        n -= (size_t)k;
    }
}

void loom_trial_doing(struct loom_trial *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    t->doing[0] = LOOM_PROCESS_ANEW;
    vsnprintf(t->doing + 1, sizeof t->doing - 1, fmt, args);
    va_end(args);
    if (t->child)
        tell(t->doing, strlen(t->doing));
}

void loom_conform_reason(const struct loom_process *p, char *out, size_t size)
{
    const int outcome = loom_outcome_of(p), dead = outcome == LOOM_CRASHED || outcome == LOOM_HUNG;
    snprintf(out, size, "%s%s%s", dead ? p->why : "", dead && p->channel[0] ? "; it was at: " : "", p->channel);
}

/* A check's own words are in its exit status; any other end, exit(0) by the plugin too, is a crash. */
int loom_outcome_of(const struct loom_process *p)
{
    const int outcome = p->status - LOOM_CONFORM_EXIT;
    return p->late ? LOOM_HUNG : outcome >= 0 && outcome < LOOM_OUTCOMES ? outcome : LOOM_CRASHED;
}

int loom_conform_child(int argc, char **argv, loom_refuse_fn *refuse)
{
    static struct words w;
    static struct loom_trial t;
    read_words(argc, argv, &w);
    confine(&w.spec);
    t = (struct loom_trial){.spec = &w.spec, .file = w.file, .kind = w.kind, .id = w.id, .seed = w.spec.seed};
    t.probe = w.probe;
    t.data = w.data;
    t.place = w.place;
    t.child = 1;
    w.spec.refuse = refuse;
    t.check = w.check ? loom_check_named(w.check) : NULL;
    if (!t.check || !t.kind || !t.id)
        return 2;
    int outcome = loom_trial_run(&t);
    tell((const char[]){LOOM_PROCESS_ANEW}, 1);
    tell(t.reason, strlen(t.reason));
    return LOOM_CONFORM_EXIT + outcome;
}
