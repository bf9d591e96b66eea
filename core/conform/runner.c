/* SPDX-License-Identifier: Apache-2.0 */
/* The parent: which checks, of which plugins, in what order, and what became of them. */
#include "conform/child.h"
#include "plugin/registry.h"
#include "plugin/tried.h"

#include "base/io.h"
#include "base/process.h"
#include "base/str.h"
#include "base/threads.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A plugin to look at, found without loading it. */
struct subject {
    char file[4096]; /* "" = built in */
    char kind[16], id[64];
    char *refusal; /* why it would not load; malloc'ed */
    int refused;   /* outcome of listing it, 0 = listed */
    int unlinked;  /* 1: the dynamic linker refused it */
};

struct task {
    const struct subject *subject;
    const struct loom_check *check;
    struct loom_process process;
    int begun, done;
};

struct suite {
    const struct loom_conform_spec *spec;
    struct loom_conform_counts *counts;
    struct loom_registry *registry;
    struct subject *subject;
    int subjects, room;
    struct task *task;
    int tasks, told;
    char *xfail;
    char folder[256]; /* of the children's own folders: what one that died left in its is removed with it */
};

/* ---- subjects ---- */

static struct subject *add_subject(struct suite *s, const char *file, const char *kind, const char *id)
{
    if (s->subjects == s->room) {
        int room = s->room ? 2 * s->room : 16;
        struct subject *more = realloc(s->subject, (size_t)room * sizeof *more);
        if (!more)
            return NULL;
        s->subject = more;
        s->room = room;
    }
    struct subject *x = &s->subject[s->subjects++];
    memset(x, 0, sizeof *x);
    snprintf(x->file, sizeof x->file, "%s", file ? file : "");
    snprintf(x->kind, sizeof x->kind, "%s", kind);
    snprintf(x->id, sizeof x->id, "%s", id);
    return x;
}

static int no_memory(struct loom_error *e)
{
    return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the suite: free some");
}

/* What stands between the last '/' and ".so". */
static void stem_of(const char *file, char *out, size_t size)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    size_t n = strlen(name);
    if (n > 3 && strcmp(name + n - 3, ".so") == 0)
        n -= 3;
    snprintf(out, size, "%.*s", (int)n, name);
}

/* The descriptors of a file, told by a process that loads it. */
static int list_file(struct suite *s, const char *file, uint32_t wanted, struct loom_error *e)
{
    static const int outcomes[] = {[LOOM_TRIED_REFUSED] = LOOM_FAILED,
                                   [LOOM_TRIED_UNLINKED] = LOOM_FAILED,
                                   [LOOM_TRIED_CRASHED] = LOOM_CRASHED,
                                   [LOOM_TRIED_HUNG] = LOOM_HUNG};
    struct loom_tried p;
    char path[PATH_MAX], kind[16], id[64];
    if (!realpath(file, path))
        return loom_fail(e, LOOM_EPLUGIN, file, 0, "there is no such file: name a plugin's .so, or a plugin by its id");
    int code = loom_plugin_try(path, s->spec->timeout_s > 0 ? s->spec->timeout_s : LOOM_CHECK_SECONDS, &p, e);
    if (code != LOOM_OK)
        return code;
    if (p.end != LOOM_TRIED_SOUND) {
        stem_of(path, id, sizeof id);
        struct subject *x = add_subject(s, path, "", id);
        if (!x || !(x->refusal = strdup(p.text)))
            return no_memory(e);
        x->refused = outcomes[p.end];
        x->unlinked = p.end == LOOM_TRIED_UNLINKED;
        return LOOM_OK;
    }
    for (const char *line = p.text; line && sscanf(line, "%15s %63s", kind, id) == 2;) {
        if ((wanted == 0 || wanted == loom_kind_of(kind)) && !add_subject(s, path, kind, id))
            return no_memory(e);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return LOOM_OK;
}

static int is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* A built-in of this name, or NAME.so in the first folder that has one. */
static int find_id(struct suite *s, const char *name, struct loom_error *e)
{
    const char *slash = strchr(name, '/'), *id = slash ? slash + 1 : name, *folder;
    char kind[16] = "", path[PATH_MAX];
    int code = LOOM_ECONFIG, found = 0;
    if (slash)
        snprintf(kind, sizeof kind, "%.*s", (int)(slash - name), name);
    for (size_t i = 0; loom__builtins[i]; i++)
        if (strcmp(loom__builtins[i]->id, id) == 0 && (!slash || loom_kind_of(kind) == loom__builtins[i]->kind))
            return add_subject(s, NULL, loom_kind_name(loom__builtins[i]->kind), id) ? LOOM_OK : no_memory(e);
    for (size_t i = 0; (folder = loom_registry_folder(s->registry, i)) && !found; i++) {
        snprintf(path, sizeof path, "%s/%s.so", folder, id);
        if (is_file(path)) {
            found = s->subjects + 1;
            code = list_file(s, path, slash ? loom_kind_of(kind) : 0, e);
            found = s->subjects >= found;
        }
    }
    if (found || code == LOOM_EPLUGIN)
        return code;
    return loom_fail(e, LOOM_ECONFIG, NULL, 0,
                     "there is no plugin '%s': give a file (./%s.so), or an id that `loom plugins list` shows", name,
                     id);
}

static int find_subjects(struct suite *s, struct loom_error *e)
{
    int code = loom_registry_new(&s->registry, s->spec->plugin_path, e);
    for (int i = 0; i < s->spec->plugins && code == LOOM_OK; i++) {
        const char *name = s->spec->plugin[i];
        size_t n = strlen(name);
        int file = strncmp(name, "./", 2) == 0 || name[0] == '/' || strncmp(name, "../", 3) == 0 ||
                   (n > 3 && strcmp(name + n - 3, ".so") == 0);
        code = file ? list_file(s, name, 0, e) : find_id(s, name, e);
    }
    return code;
}

/* ---- which checks ---- */

static int matches(const char *patterns, const char *id)
{
    char word[128];
    while (patterns && *patterns) {
        size_t n = strcspn(patterns, ",");
        snprintf(word, sizeof word, "%.*s", (int)n, patterns);
        if (fnmatch(word, id, 0) == 0)
            return 1;
        patterns += n + (patterns[n] == ',');
    }
    return 0;
}

/* Every word of --only and --skip names some check. */
static int check_patterns(const char *patterns, struct loom_error *e)
{
    const struct loom_check *const *all = loom_checks();
    const char *names[128] = {NULL};
    char word[128];
    for (size_t i = 0; all[i] && i < 127; i++)
        names[i] = all[i]->id;
    while (patterns && *patterns) {
        size_t n = strcspn(patterns, ","), i = 0;
        snprintf(word, sizeof word, "%.*s", (int)n, patterns);
        while (names[i] && fnmatch(word, names[i], 0) != 0)
            i++;
        if (!names[i]) {
            const char *near = loom_nearest(word, names);
            return loom_fail(e, LOOM_ECONFIG, NULL, 0, "no check is called '%s'%s%s%s; `loom conform --list` shows all",
                             word, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        patterns += n + (patterns[n] == ',');
    }
    return LOOM_OK;
}

static int wants(const struct loom_conform_spec *spec, const struct subject *x, const struct loom_check *c)
{
    return c->level <= spec->level && (c->kinds & 1u << loom_kind_of(x->kind)) && (x->file[0] || !c->file) &&
           (!c->possible || c->possible(spec)) && (!spec->only || matches(spec->only, c->id)) &&
           !matches(spec->skip, c->id);
}

/* The check that says why a file is refused. */
static int refuses(const struct subject *x, const struct loom_check *c)
{
    return strcmp(c->id, x->unlinked ? "load-now-local" : "abi-build-block") == 0;
}

static int list_tasks(struct suite *s, struct loom_error *e)
{
    const struct loom_check *const *all = loom_checks();
    size_t most = 0;
    while (all[most])
        most++;
    s->task = calloc((size_t)s->subjects * (most + 1) + 1, sizeof *s->task);
    if (!s->task)
        return no_memory(e);
    for (int i = 0; i < s->subjects; i++)
        for (size_t k = 0; all[k]; k++)
            if (s->subject[i].refused ? refuses(&s->subject[i], all[k]) : wants(s->spec, &s->subject[i], all[k]))
                s->task[s->tasks++] = (struct task){.subject = &s->subject[i], .check = all[k]};
    return LOOM_OK;
}

/* ---- running ---- */

/* Limits are those of a machine that does nothing else: where more wants to run than there are processors, each gets
 * its share. What the user gave stands. */
static double limit_of(const struct suite *s, const struct task *t)
{
    double load = 0, usual = t->check->seconds > 0 ? t->check->seconds : LOOM_CHECK_SECONDS;
    if (s->spec->timeout_s > 0)
        return s->spec->timeout_s;
    if (getloadavg(&load, 1) == 1 && load > loom_cpu_count())
        usual *= load / loom_cpu_count();
    return usual;
}

/* What `text` says to plugin `id`: all of it, what stands behind its id and `mark`, or NULL: it is for another one. */
static const char *for_plugin(const char *text, char mark, const char *id)
{
    const size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    if (n == 0 || text[n] != mark)
        return text;
    return strlen(id) == n && strncmp(text, id, n) == 0 ? text + n + 1 : NULL;
}

static const char *data_of(const struct loom_conform_spec *q, const char *id)
{
    const char *file = NULL, *text;
    for (int i = 0; i < q->datas; i++)
        if ((text = for_plugin(q->data[i], '=', id)))
            file = text;
    return file;
}

enum { WORDS = 48, WORD = 4200 };

/* The words by which a child, or a person, repeats a task. */
static int words_of(const struct suite *s, const struct task *t, char word[][WORD])
{
    const struct loom_conform_spec *q = s->spec;
    int n = 0;
    snprintf(word[n++], WORD, "check=%s", t->check->id);
    snprintf(word[n++], WORD, "file=%s", t->subject->file);
    snprintf(word[n++], WORD, "kind=%s", t->subject->kind);
    snprintf(word[n++], WORD, "id=%s", t->subject->id);
    snprintf(word[n++], WORD, "seed=%llu", (unsigned long long)q->seed);
    if (q->plugin_path)
        snprintf(word[n++], WORD, "path=%s", q->plugin_path);
    snprintf(word[n++], WORD, "place=%s", s->folder);
    const char *data = data_of(q, t->subject->id), *text;
    if (data)
        snprintf(word[n++], WORD, "data=%s", data);
    for (int i = 0; i < q->sets && n < WORDS - 4; i++)
        if ((text = for_plugin(q->set[i], '.', t->subject->id)))
            snprintf(word[n++], WORD, "set=%s", text);
    return n;
}

static int start(struct suite *s, struct task *t, struct loom_error *e)
{
    char(*word)[WORD] = calloc(WORDS, sizeof *word);
    const char *argv[WORDS] = {s->spec->program, "conform", "--child"};
    if (!word)
        return no_memory(e);
    int n = words_of(s, t, word);
    for (int i = 0; i < n; i++)
        argv[3 + i] = word[i];
    t->begun = 1;
    int code = loom_process_start(&t->process, argv, 0, e);
    free(word);
    return code;
}

/* The line of expected failures for a verdict: PLUGIN CHECK reason. */
static int expected(const struct suite *s, const struct subject *x, const struct loom_check *c)
{
    char plugin[64], check[64];
    for (const char *line = s->xfail; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (sscanf(line, "%63s %63s", plugin, check) == 2 && plugin[0] != '#' && fnmatch(plugin, x->id, 0) == 0 &&
            fnmatch(check, c->id, 0) == 0)
            return 1;
    return 0;
}

static void tell(struct suite *s, const struct task *t, int outcome, const char *reason, const char *output,
                 double took)
{
    char command[2 * PATH_MAX];
    const struct subject *x = t->subject;
    const int bad = outcome == LOOM_FAILED || outcome == LOOM_CRASHED || outcome == LOOM_HUNG;
    if (expected(s, x, t->check))
        outcome = bad ? LOOM_EXPECTED : outcome == LOOM_PASSED ? LOOM_UNEXPECTED : outcome;
    snprintf(command, sizeof command, "loom conform --in-process --seed %llu --only %s %s",
             (unsigned long long)s->spec->seed, t->check->id, x->file[0] ? x->file : x->id);
    struct loom_str why = LOOM_STR_INIT, wrote = LOOM_STR_INIT; /* plugins write any bytes */
    loom_str_utf8(&why, reason);
    loom_str_utf8(&wrote, output);
    const struct loom_verdict v = {.file = x->file,
                                   .kind = x->kind,
                                   .plugin = x->id,
                                   .check = t->check,
                                   .outcome = outcome,
                                   .reason = why.text ? why.text : "",
                                   .output = wrote.text ? wrote.text : "",
                                   .command = command,
                                   .seconds = took};
    s->counts->of[outcome]++;
    if (s->spec->each)
        s->spec->each(s->spec->payload, &v);
    loom_str_release(&why);
    loom_str_release(&wrote);
}

/* Verdicts come out in the order of the list, whichever child ends first. */
static void tell_finished(struct suite *s)
{
    for (; s->told < s->tasks && s->task[s->told].done; s->told++) {
        struct task *t = &s->task[s->told];
        const struct loom_process *p = &t->process;
        const int outcome = loom_outcome_of(p);
        char why[LOOM_PROCESS_TEXT + 512];
        loom_conform_reason(p, why, sizeof why);
        if (t->subject->refused)
            tell(s, t, t->subject->refused, t->subject->refusal, "", 0);
        else
            tell(s, t, outcome, why, p->output, p->seconds);
        loom_process_release(&t->process);
    }
}

static int run_children(struct suite *s, struct loom_error *e)
{
    int jobs = s->spec->jobs > 0 ? s->spec->jobs : loom_cpu_count(), next = 0, code = LOOM_OK;
    while (s->told < s->tasks && code == LOOM_OK) {
        int active = 0;
        for (int i = s->told; i < next; i++) {
            struct task *t = &s->task[i];
            if (!t->done)
                t->done = loom_process_poll(&t->process, limit_of(s, t), active == 0 ? 2 : 0);
            active += !t->done;
        }
        for (; next < s->tasks && active < jobs && code == LOOM_OK; next++) {
            s->task[next].done = s->task[next].subject->refused != 0;
            if (!s->task[next].done) {
                code = start(s, &s->task[next], e);
                active++;
            }
        }
        tell_finished(s);
    }
    for (int i = 0; i < next; i++)
        loom_process_release(&s->task[i].process);
    return code;
}

static void run_here(struct suite *s)
{
    static struct loom_trial trial;
    static const char *set[64];
    for (int i = 0; i < s->tasks; i++) {
        struct loom_conform_spec own = *s->spec;
        own.set = set;
        own.sets = 0;
        const struct task *t = &s->task[i];
        if (t->subject->refused) {
            tell(s, t, t->subject->refused, t->subject->refusal, "", 0);
            continue;
        }
        for (int k = 0; k < s->spec->sets && own.sets < 64; k++)
            if ((set[own.sets] = for_plugin(s->spec->set[k], '.', t->subject->id)))
                own.sets++;
        trial = (struct loom_trial){.spec = &own, .check = t->check, .kind = t->subject->kind, .id = t->subject->id};
        trial.file = t->subject->file[0] ? t->subject->file : NULL;
        trial.seed = s->spec->seed;
        trial.data = data_of(s->spec, t->subject->id);
        int outcome = loom_trial_run(&trial);
        tell(s, t, outcome, trial.reason, "", 0);
    }
}

int loom_conform(const struct loom_conform_spec *spec, struct loom_conform_counts *counts, struct loom_error *e)
{
    struct suite s = {.spec = spec, .counts = counts};
    size_t size;
    memset(counts, 0, sizeof *counts);
    int code = check_patterns(spec->only, e);
    if (code == LOOM_OK)
        code = check_patterns(spec->skip, e);
    if (code == LOOM_OK && spec->xfail)
        code = loom_file_read(&s.xfail, &size, spec->xfail, 1 << 20, e);
    if (code == LOOM_OK)
        code = find_subjects(&s, e);
    if (code == LOOM_OK)
        code = list_tasks(&s, e);
    if (code == LOOM_OK && spec->plan)
        spec->plan(spec->payload, s.tasks);
    if (code == LOOM_OK && spec->in_process)
        run_here(&s);
    else if (code == LOOM_OK && (code = loom_conform_folder(s.folder, sizeof s.folder, NULL, e)) == LOOM_OK)
        code = run_children(&s, e);
    loom_conform_clear(s.folder);
    for (int i = 0; i < s.subjects; i++)
        free(s.subject[i].refusal);
    free(s.subject);
    free(s.task);
    free(s.xfail);
    loom_registry_free(s.registry);
    return code;
}
