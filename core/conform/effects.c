/* SPDX-License-Identifier: Apache-2.0 */
/* The process around a plugin: what belongs to everybody in it stays as it was. */
#include "conform/families.h"
#include "conform/lone.h"

#include "base/blas.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

enum { SIGNALS = 65, FILES = 256 };

/* Everything is compared as it stands; a member for each thing that a message names. */
struct around {
    char folder[1024], locale[512];
    uint64_t environment;
    int rounding, exceptions, blas, openmp;
    unsigned vectors; /* flush to zero, denormals are zero, masks */
    mode_t mask;
    void *handler[SIGNALS];
    sigset_t blocked;
    unsigned char open[FILES];
    int threads;
};

static uint64_t hash_environment(void)
{
    uint64_t h = 0;
    for (char **at = environ; at && *at; at++)
        h = loom_hash(*at, strlen(*at), h);
    return h;
}

static int openmp_threads(void)
{
    int (*most)(void);
    *(void **)&most = dlsym(RTLD_DEFAULT, "omp_get_max_threads");
    return most ? most() : 0;
}

static int count_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static void look(struct around *a)
{
    const char *name = setlocale(LC_ALL, NULL);
    memset(a, 0, sizeof *a);
    if (!getcwd(a->folder, sizeof a->folder))
        a->folder[0] = '\0';
    snprintf(a->locale, sizeof a->locale, "%s", name ? name : "");
    a->environment = hash_environment();
    a->rounding = fegetround();
#if defined(__GLIBC__)
    a->exceptions = fegetexcept();
#endif
#if defined(__x86_64__)
    a->vectors = _mm_getcsr() & ~0x3fu; /* without the flags of what happened */
#endif
    a->blas = loom_blas_threads();
    a->openmp = openmp_threads();
    a->mask = umask(022);
    umask(a->mask);
    for (int i = 1; i < SIGNALS; i++) {
        struct sigaction now;
        if (sigaction(i, NULL, &now) == 0)
            memcpy(&a->handler[i], &now.sa_sigaction, sizeof a->handler[i]);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &a->blocked);
    for (int i = 0; i < FILES; i++)
        a->open[i] = fcntl(i, F_GETFD) >= 0;
    a->threads = count_threads();
}

static const char *handler_changed(const struct around *a, const struct around *b, char out[64])
{
    for (int i = 1; i < SIGNALS; i++)
        if (a->handler[i] != b->handler[i]) {
            snprintf(out, 64, "the handler of signal %d", i);
            return out;
        }
    return NULL;
}

static const char *file_changed(const struct around *a, const struct around *b, char out[64])
{
    for (int i = 0; i < FILES; i++)
        if (a->open[i] != b->open[i]) {
            snprintf(out, 64, b->open[i] ? "open files (descriptor %d is new)" : "open files (descriptor %d is closed)",
                     i);
            return out;
        }
    return NULL;
}

/* What differs, in words that stand behind "changed"; NULL: nothing. */
static const char *changed(const struct around *a, const struct around *b, char out[64])
{
    const struct {
        int differs;
        const char *what;
    } list[] = {
        {strcmp(a->folder, b->folder) != 0, "the working folder"},
        {strcmp(a->locale, b->locale) != 0, "the locale, on which every number that is read and written depends"},
        {a->environment != b->environment, "the environment"},
        {a->rounding != b->rounding, "the rounding of numbers"},
        {a->exceptions != b->exceptions, "which floating-point exceptions trap"},
        {a->vectors != b->vectors, "the processor's treatment of denormals, rounding or exceptions (MXCSR)"},
        {a->blas != b->blas, "the threads of OpenBLAS"},
        {a->openmp != b->openmp, "the threads of OpenMP"},
        {a->mask != b->mask, "the umask"},
        {memcmp(&a->blocked, &b->blocked, sizeof a->blocked) != 0, "which signals are blocked"},
        {a->threads != b->threads, "the number of threads in the process"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i].differs)
            return list[i].what;
    const char *handler = handler_changed(a, b, out);
    return handler ? handler : file_changed(a, b, out);
}

/* ---- a watch over one call after another ---- */

struct watch {
    struct loom_trial *trial;
    struct around before;
    int stream, kept[2]; /* a file that stands for both streams; where they led */
    int outcome;
};

static int begin(struct watch *w, struct loom_trial *t)
{
    char path[300];
    *w = (struct watch){.trial = t, .outcome = LOOM_PASSED};
    snprintf(path, sizeof path, "%s/written", t->folder);
    fflush(NULL);
    w->stream = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    for (int i = 0; i < 2; i++) {
        w->kept[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 16);
        if (w->stream < 0 || w->kept[i] < 0 || dup2(w->stream, i + 1) < 0)
            return loom_fail(&t->e, LOOM_EIO, path, 0, "standard streams cannot be led here: set TMPDIR");
    }
    look(&w->before);
    return LOOM_OK;
}

static void end(struct watch *w)
{
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(w->kept[i], i + 1);
        close(w->kept[i]);
    }
    close(w->stream);
}

/* `call` was just made. */
static void after(struct watch *w, const char *call)
{
    struct around now;
    char text[64], piece[128] = "";
    struct stat st = {0};
    if (w->outcome != LOOM_PASSED)
        return;
    look(&now);
    const char *what = changed(&w->before, &now, text);
    if (what)
        w->outcome =
            loom_trial_fail(w->trial, "%s changed %s: all of the process shares it, so leave it as it is", call, what);
    fflush(NULL);
    if (w->outcome == LOOM_PASSED && fstat(w->stream, &st) == 0 && st.st_size > 0) {
        ssize_t n = pread(w->stream, piece, sizeof piece - 1, 0);
        piece[n > 0 ? n : 0] = '\0';
        w->outcome =
            loom_trial_fail(w->trial,
                            "%s wrote \"%.100s\" to a standard stream, which belongs to the program: return an "
                            "error, or call loom_log",
                            call, piece);
    }
}

/* What the core opened and started in between is not the plugin's. All else nobody may have touched since the start. */
static void anew(struct watch *w)
{
    struct around now;
    look(&now);
    memcpy(w->before.open, now.open, sizeof now.open);
    w->before.threads = now.threads;
    w->before.blas = now.blas;
    w->before.openmp = now.openmp;
}

static void watch_life(struct watch *w, const struct loom_lone *l, const struct loom_part *p)
{
    struct loom_trial *t = w->trial;
    struct loom_traits traits = {.size = sizeof traits};
    void *self = NULL;
    anew(w);
    int code = p->create(&l->setup, &self, &t->e);
    after(w, "create");
    if (code == LOOM_OK && p->describe)
        code = p->describe(self, &traits, &t->e);
    after(w, "describe");
    if (p->extension)
        p->extension(self, "loom.none/1");
    after(w, "extension");
    loom_lone_destroy(p, self);
    after(w, "destroy");
    if (code != LOOM_OK && w->outcome == LOOM_PASSED)
        w->outcome = loom_trial_fail_error(t, "create and describe");
}

/* Planning calls tokenize and plan, building everything else. */
static void watch_pass(struct watch *w)
{
    static const enum loom_mode modes[] = {LOOM_FIT, LOOM_STEP, LOOM_EVALUATE};
    static const char *const calls[] = {"a fitting pass", "a training step", "an evaluation"};
    struct loom_trial *t = w->trial;
    struct loom_world world;
    struct loom_pass p = {0};
    int code = loom_world_open(&world, t, NULL, 0);
    if (code == LOOM_OK)
        code = loom_pass_open(&p, &world, &t->e);
    for (int i = 0; i < 3 && code == LOOM_OK; i++) {
        anew(w);
        code = loom_pass_run(&p, &world, world.windows.sample, 2, modes[i], 0, &t->e);
        after(w, calls[i]);
    }
    loom_pass_release(&p);
    loom_world_release(&world);
    if (code != LOOM_OK && w->outcome == LOOM_PASSED)
        w->outcome = loom_trial_fail_error(t, "a pass");
}

static int effects(struct loom_trial *t)
{
    static struct loom_lone l;
    struct watch w;
    if (begin(&w, t) != LOOM_OK) {
        end(&w);
        return loom_trial_fail_error(t, "watching");
    }
    if (t->file) {
        void *module = dlopen(t->file, RTLD_NOW | RTLD_LOCAL);
        const struct loom_plugin *(*entry)(uint32_t);
        *(void **)&entry = module ? dlsym(module, "loom_plugin_entry") : NULL;
        if (entry)
            entry(0);
        after(&w, "loading the file");
    }
    if (w.outcome == LOOM_PASSED && (loom_trial_load(t) != LOOM_OK || loom_lone_open(&l, t) != LOOM_OK))
        w.outcome = loom_trial_fail_error(t, "preparing an instance");
    if (w.outcome == LOOM_PASSED)
        watch_life(&w, &l, t->plugin->table);
    if (w.outcome == LOOM_PASSED && t->plugin->kind != LOOM_SOURCE)
        watch_pass(&w);
    if (l.options)
        loom_lone_release(&l);
    end(&w);
    return w.outcome == LOOM_PASSED ? loom_trial_pass(t) : w.outcome;
}
const struct loom_check loom_check_no_global_side_effects = {
    .id = "no-global-side-effects",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_STRICT,
    .what = "Looks at what all of the process shares before and after loading, create, describe, destroy and passes: "
            "working folder, environment, locale, rounding, floating-point traps, treatment of denormals, signal "
            "handlers and masks, umask, open files, number of threads, threads of OpenBLAS and OpenMP. Nothing may "
            "change, and nothing be written to standard output or standard error.",
    .run = effects,
};
