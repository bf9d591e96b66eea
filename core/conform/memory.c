/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: given back, and missed. */
#include "conform/again.h"
#include "conform/child.h"
#include "conform/families.h"
#include "conform/lone.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
size_t loom_live_bytes(void)
{
    const struct mallinfo2 m = mallinfo2(); /* zeros where another allocator is in */
    return m.uordblks + m.hblkhd;
}
#else
size_t loom_live_bytes(void)
{
    return 0;
}
#endif

/* ---- oom-sweep ---- */

static int refusing(const struct loom_conform_spec *spec)
{
    return spec->refuse != NULL;
}

/* create with the k-th allocation refused. *enough: there were not that many. */
static int create_once(struct loom_trial *t, const struct loom_lone *l, uint64_t k, int on, int *enough,
                       struct loom_error *e)
{
    const struct loom_part *p = t->plugin->table;
    void *self;
    loom_error_clear(e);
    t->spec->refuse(k, on);
    int code = loom_lone_create(l, p, &self, NULL, e);
    *enough = t->spec->refuse(0, 0) == 0;
    loom_lone_destroy(p, self);
    return code;
}

/* An allocator keeps some of what was freed for the next taker, and counts it as taken; after a few rounds no more. */
static int create_without(struct loom_trial *t, const struct loom_lone *l, uint64_t k, int on, int *enough)
{
    enum { WARM = 16, ROUNDS = 8 };
    struct loom_error e = {0};
    size_t before = 0;
    int code = LOOM_OK;
    loom_trial_doing(t, "create, allocation %llu refused%s", (unsigned long long)k, on ? " and all behind it" : "");
    for (int i = 0; i < WARM + ROUNDS && code != LOOM_EPLUGIN; i++) {
        if (i == WARM)
            before = loom_live_bytes();
        code = create_once(t, l, k, on, enough, &e);
    }
    const size_t after = loom_live_bytes();
    if (code == LOOM_EPLUGIN)
        return loom_trial_fail(t, "with allocation %llu of create refused: %s", (unsigned long long)k, e.message);
    if (after > before + ROUNDS)
        return loom_trial_fail(t,
                               "with allocation %llu of create refused %zu bytes stay behind: free on the way out what "
                               "was allocated before",
                               (unsigned long long)k, (after - before) / ROUNDS);
    return LOOM_PASSED;
}

static int pass_without(struct loom_trial *t, struct loom_world *w, struct loom_pass *p, uint64_t k, int on,
                        int *enough)
{
    struct loom_error e = {0};
    loom_trial_doing(t, "a step, allocation %llu refused%s", (unsigned long long)k, on ? " and all behind it" : "");
    t->spec->refuse(k, on);
    int code = loom_pass_run(p, w, w->windows.sample, 2, LOOM_STEP, 1, &e);
    *enough = t->spec->refuse(0, 0) == 0;
    if (code != LOOM_OK && !e.message[0])
        return loom_trial_fail(t, "with allocation %llu of a step refused it ends with status %d and no word of why",
                               (unsigned long long)k, code);
    return LOOM_PASSED;
}

enum { MOST = 400 };

static int sweep_create(struct loom_trial *t, const struct loom_lone *l)
{
    int outcome = LOOM_PASSED, enough = 0;
    for (int on = 0; on < 2; on++)
        for (uint64_t k = 1, more = 1; more && k < MOST && outcome == LOOM_PASSED; k++) {
            outcome = create_without(t, l, k, on, &enough);
            more = !enough;
        }
    return outcome;
}

static int sweep_pass(struct loom_trial *t)
{
    struct loom_world w;
    struct loom_pass p = {0};
    int enough = 0, code = loom_world_open(&w, t, NULL, 0);
    if (code == LOOM_OK)
        code = loom_pass_open(&p, &w, &t->e);
    int outcome = code == LOOM_OK ? LOOM_PASSED : loom_trial_fail_error(t, "a model");
    for (int on = 0; on < 2; on++)
        for (uint64_t k = 1, more = 1; more && k < MOST && outcome == LOOM_PASSED; k++) {
            outcome = pass_without(t, &w, &p, k, on, &enough);
            more = !enough;
        }
    loom_pass_release(&p);
    loom_world_release(&w);
    return outcome;
}

static int oom_sweep(struct loom_trial *t)
{
    static struct loom_lone l;
    if (loom_trial_load(t) != LOOM_OK || loom_lone_open(&l, t) != LOOM_OK)
        return loom_trial_fail_error(t, "preparing an instance");
    int outcome = sweep_create(t, &l);
    loom_lone_release(&l);
    if (outcome == LOOM_PASSED && t->plugin->kind != LOOM_SOURCE)
        outcome = sweep_pass(t);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_oom_sweep = {
    .id = "oom-sweep",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_STRICT,
    .what =
        "Refuses the first allocation of create, then the second, and so on until there are no more, each once alone "
        "and once with all behind it; then the same for a training step. Each time create gives an instance all "
        "the same, or fails with an error in words and leaves nothing behind.",
    .possible = refusing,
    .run = oom_sweep,
};

/* ---- leak-asan ---- */

extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static int sanitized(const struct loom_conform_spec *spec)
{
    (void)spec;
    return __lsan_do_recoverable_leak_check != NULL;
}

/* Everything that a run does with a part, given back. */
static int use_all(struct loom_trial *t)
{
    static struct loom_lone l;
    struct loom_world w;
    struct loom_pass p;
    void *self;
    int code = loom_lone_open(&l, t);
    for (int i = 0; i < 3 && code == LOOM_OK; i++) {
        code = loom_lone_create(&l, t->plugin->table, &self, NULL, &t->e);
        loom_lone_destroy(t->plugin->table, self);
    }
    loom_lone_release(&l);
    if (code != LOOM_OK || t->plugin->kind == LOOM_SOURCE)
        return code;
    code = loom_world_open(&w, t, NULL, 0);
    if (code != LOOM_OK)
        return code;
    code = loom_pass_open(&p, &w, &t->e);
    if (code == LOOM_OK)
        code = loom_pass_run(&p, &w, w.windows.sample, 2, LOOM_STEP, 1, &t->e);
    loom_pass_release(&p);
    loom_world_release(&w);
    return code;
}

/* LeakSanitizer looks again when a process exits, and gives it a status of its own. The verdict is told by then. */
static void end_with_verdict(void)
{
    fflush(NULL);
    _exit(LOOM_CONFORM_EXIT + LOOM_FAILED);
}

static int leak_asan(struct loom_trial *t)
{
    if (loom_trial_load(t) != LOOM_OK || use_all(t) != LOOM_OK)
        return loom_trial_fail_error(t, "using it");
    const int found = __lsan_do_recoverable_leak_check();
    if (found && !t->spec->in_process)
        atexit(end_with_verdict);
    return found ? loom_trial_fail(t, "LeakSanitizer found memory that nobody can free any more; its report is in the "
                                      "output: free in destroy what create allocated")
                 : loom_trial_pass(t);
}
const struct loom_check loom_check_leak_asan = {
    .id = "leak-asan",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what = "In a build with AddressSanitizer: creates instances, takes a model through a training step, gives "
            "everything back and asks LeakSanitizer what is left. The plugin stays mapped, so that the report names "
            "its lines.",
    .possible = sanitized,
    .run = leak_asan,
};

/* ---- leak-valgrind ---- */

static int leak_valgrind(struct loom_trial *t)
{
    static const char *const tool[] = {"valgrind",
                                       "-q",
                                       "--error-exitcode=9",
                                       "--leak-check=full",
                                       "--errors-for-leak-kinds=definite",
                                       "--soname-synonyms=somalloc=NONE",
                                       NULL};
    struct loom_process *p = calloc(1, sizeof *p);
    char why[2048];
    int outcome;
    if (system("valgrind --version >/dev/null 2>&1") != 0) {
        free(p);
        return loom_trial_skip(t, "valgrind is not installed");
    }
    if (!p || loom_trial_again(t, p, tool, "life-create-destroy", NULL) != LOOM_OK) {
        free(p);
        return loom_trial_fail_error(t, "valgrind");
    }
    loom_process_wait(p, t->check->seconds);
    loom_conform_reason(p, why, sizeof why);
    outcome = loom_outcome_of(p) == LOOM_PASSED
                  ? loom_trial_pass(t)
                  : loom_trial_fail(t, "under valgrind life-create-destroy %s; the end of its report: %.1200s", why,
                                    p->output + (strlen(p->output) > 1200 ? strlen(p->output) - 1200 : 0));
    loom_process_release(p);
    free(p);
    return outcome;
}
const struct loom_check loom_check_leak_valgrind = {
    .id = "leak-valgrind",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_PEDANTIC,
    .seconds = 120,
    .what = "Runs life-create-destroy under valgrind, where there is one: no read or write outside memory that the "
            "plugin owns, no use of values that were never set, no memory that is definitely lost.",
    .run = leak_valgrind,
};
