/* SPDX-License-Identifier: Apache-2.0 */
/* How instances begin and end, alone and side by side. */
#include "conform/families.h"
#include "conform/lone.h"
#include "conform/settings.h"

#include "base/io.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int prepare(struct loom_trial *t, struct loom_lone *l)
{
    return loom_trial_load(t) == LOOM_OK && loom_lone_open(l, t) == LOOM_OK;
}

/* ---- abi-newer-host ---- */

enum { POISON = 0xa5, BEYOND = 64 };

/* `size` bytes that end where a page begins that nobody may touch. */
static void *at_the_brink(size_t size, size_t *mapped)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
    char *at = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    mprotect(at + room, page, PROT_NONE);
    *mapped = room + page;
    return at + room - size;
}

static int describe_beyond(struct loom_trial *t, const struct loom_part *p, void *self)
{
    struct {
        struct loom_traits traits;
        unsigned char beyond[BEYOND];
    } longer;
    memset(&longer, 0, sizeof longer.traits);
    memset(longer.beyond, POISON, sizeof longer.beyond);
    longer.traits.size = sizeof longer;
    if (p->describe(self, &longer.traits, &t->e) != LOOM_OK)
        return loom_trial_fail_error(t, "describe into a structure that is 64 bytes longer");
    if (longer.traits.size != sizeof longer)
        return loom_trial_fail(t,
                               "describe changed traits.size from %zu to %u: set single members, never the whole "
                               "structure",
                               sizeof longer, longer.traits.size);
    for (int i = 0; i < BEYOND; i++)
        if (longer.beyond[i] != POISON)
            return loom_trial_fail(t,
                                   "describe wrote to byte %d behind struct loom_traits: write to the members that "
                                   "you know, not to traits.size bytes",
                                   i);
    return LOOM_PASSED;
}

static int describe_brink(struct loom_trial *t, const struct loom_part *p, void *self)
{
    size_t mapped = 0;
    struct loom_traits *brink = at_the_brink(sizeof *brink, &mapped);
    if (!brink)
        return loom_trial_fail(t, "no memory for a guarded page: free some");
    memset(brink, 0, sizeof *brink);
    brink->size = sizeof *brink + BEYOND;
    loom_trial_doing(t, "describe with a guarded page behind struct loom_traits");
    if (p->describe(self, brink, &t->e) != LOOM_OK)
        return loom_trial_fail_error(t, "describe with a guarded page behind the structure");
    return LOOM_PASSED; /* the pages go with the process */
}

static int newer_host(struct loom_trial *t)
{
    static struct loom_lone l;
    void *self;
    if (!prepare(t, &l))
        return loom_trial_fail_error(t, "preparing an instance");
    const struct loom_part *p = t->plugin->table;
    int outcome = LOOM_PASSED;
    if (loom_lone_create(&l, p, &self, NULL, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "create");
    if (outcome == LOOM_PASSED && p->describe)
        outcome = describe_beyond(t, p, self);
    if (outcome == LOOM_PASSED && p->describe)
        outcome = describe_brink(t, p, self);
    loom_lone_destroy(p, self);
    loom_lone_release(&l);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_abi_newer_host = {
    .id = "abi-newer-host",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what = "Plays a host of a later version, whose struct loom_traits is 64 bytes longer: the bytes behind those that "
            "the plugin knows are poisoned, then not there at all. describe writes the members it knows and leaves "
            "`size` and everything behind alone.",
    .run = newer_host,
};

/* ---- life-create-destroy ---- */

static long resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_FREED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_FREED 1
#endif
#endif
#ifndef KEEPS_FREED
#define KEEPS_FREED 0 /* AddressSanitizer holds on to freed memory for a while */
#endif

static int create_destroy(struct loom_trial *t)
{
    enum { WARM = 20, CYCLES = 200 };
    static struct loom_lone l;
    size_t live = 0;
    long resident = resident_bytes(); /* which allocates, too */
    int outcome = LOOM_PASSED;
    if (!prepare(t, &l))
        return loom_trial_fail_error(t, "preparing an instance");
    const struct loom_part *p = t->plugin->table;
    for (int i = 0; i < WARM + CYCLES && outcome == LOOM_PASSED; i++) {
        void *self;
        if (i == WARM) {
            live = loom_live_bytes();
            resident = resident_bytes();
        }
        if (loom_lone_create(&l, p, &self, NULL, &t->e) != LOOM_OK)
            outcome = loom_trial_fail_error(t, i ? "create, once more" : "create");
        loom_lone_destroy(p, self);
    }
    const long grown = (long)(loom_live_bytes() - live), swollen = resident_bytes() - resident;
    if (outcome == LOOM_PASSED && grown > CYCLES / 2)
        outcome = loom_trial_fail(t,
                                  "%d times create and destroy left %ld bytes allocated, %ld a time: destroy frees "
                                  "what create allocated",
                                  CYCLES, grown, grown / CYCLES);
    if (outcome == LOOM_PASSED && swollen > 4 << 20 && !KEEPS_FREED)
        outcome = loom_trial_fail(t,
                                  "%d times create and destroy made the process %ld KiB larger: unmap in destroy what "
                                  "create mapped",
                                  CYCLES, swollen >> 10);
    loom_lone_release(&l);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_life_create_destroy = {
    .id = "life-create-destroy",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what = "Creates, describes and destroys an instance 200 times, after 20 times to warm up. Bytes allocated and the "
            "size of the process must not grow: a run creates every part several times, a search thousands of times.",
    .run = create_destroy,
};

/* ---- life-order ---- */

static int same_traits(const struct loom_traits *a, const struct loom_traits *b)
{
    return a->needs == b->needs && a->offers == b->offers && a->width == b->width && a->elems == b->elems &&
           a->classes == b->classes && a->events == b->events && a->arity == b->arity &&
           (a->likelihood == b->likelihood ||
            (a->likelihood && b->likelihood && strcmp(a->likelihood, b->likelihood) == 0));
}

/* Two instances, destroyed in the order of their creation; each described twice. */
static int two_in_order(struct loom_trial *t, const struct loom_lone *l, const struct loom_part *p)
{
    struct loom_traits first = {.size = sizeof first}, again = first, second = first;
    void *a, *b = NULL;
    int outcome = LOOM_PASSED;
    if (loom_lone_create(l, p, &a, &first, &t->e) != LOOM_OK || loom_lone_create(l, p, &b, &second, &t->e) != LOOM_OK ||
        (p->describe && p->describe(a, &again, &t->e) != LOOM_OK))
        outcome = loom_trial_fail_error(t, "two instances");
    else if (p->describe && (!same_traits(&first, &again) || !same_traits(&first, &second)))
        outcome = loom_trial_fail(t, "describe says one thing of an instance and another of it, or of its twin, later: "
                                     "traits are a function of options and catalogue");
    loom_lone_destroy(p, a);
    if (outcome == LOOM_PASSED && p->describe && p->describe(b, &again, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "describe of an instance after another was destroyed");
    loom_lone_destroy(p, b);
    return outcome;
}

/* An objective that asks for a behaviour and does not get it. */
static int refused_behavior(struct loom_trial *t, struct loom_lone *l, const struct loom_part *p)
{
    struct loom_error e = {0};
    void *self;
    l->refuse = 1;
    int code = loom_lone_create(l, p, &self, NULL, &e);
    loom_lone_destroy(p, self);
    l->refuse = 0;
    return code == LOOM_EPLUGIN ? loom_trial_fail(t, "when the host refuses a behaviour: %s", e.message) : LOOM_PASSED;
}

static int order(struct loom_trial *t)
{
    static struct loom_lone l;
    void *self;
    if (!prepare(t, &l))
        return loom_trial_fail_error(t, "preparing an instance");
    const struct loom_part *p = t->plugin->table;
    loom_trial_doing(t, "destroy(NULL)");
    if (p->destroy)
        p->destroy(NULL);
    int outcome = LOOM_PASSED;
    if (p->create(&l.setup, &self, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "create");
    else if (p->destroy)
        p->destroy(self); /* never described */
    if (outcome == LOOM_PASSED)
        outcome = two_in_order(t, &l, p);
    if (outcome == LOOM_PASSED)
        outcome = refused_behavior(t, &l, p);
    loom_lone_release(&l);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_life_order = {
    .id = "life-order",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what = "Calls functions in every order that a host may: destroy(NULL), destroy without describe, describe twice, "
            "two instances of which the elder goes first, create where the host refuses what it asks for. Nothing "
            "crashes, traits stay the same, failures have an error in words.",
    .run = order,
};

/* ---- life-two-instances ---- */

static int pass_bits(struct loom_trial *t, struct loom_world *w, struct loom_bits *bits)
{
    struct loom_pass p;
    const int mode = t->plugin->kind == LOOM_BASELINE ? LOOM_FIT : LOOM_STEP;
    int n = w->windows.n < 4 ? w->windows.n : 4, code = loom_pass_open(&p, w, &t->e);
    if (code == LOOM_OK)
        code = loom_pass_run(&p, w, w->windows.sample, n, mode, 1, &t->e);
    if (code == LOOM_OK)
        code = loom_pass_run(&p, w, w->windows.sample, n, LOOM_EVALUATE, 0, &t->e);
    if (code == LOOM_OK)
        code = loom_bits_take(bits, &p, loom_model_store(w->model), &t->e);
    loom_pass_release(&p);
    return code;
}

/* Another instance with other settings, where the parts go together with them; else with another seed alone. */
static int open_other(struct loom_trial *t, struct loom_world *w)
{
    static char own[48][256];
    struct loom_rng rng;
    for (uint64_t k = 0; k < 4; k++) {
        const char *line[48];
        loom_rng_init(&rng, t->seed, "conform.other", k, 0);
        int n = loom_settings_draw(t->plugin->options, &rng, own, 48);
        for (int i = 0; i < n; i++)
            line[i] = own[i];
        if (loom_world_open(w, t, line, n) == LOOM_OK)
            return LOOM_OK;
        loom_error_clear(&t->e);
    }
    return loom_world_open(w, t, NULL, 0);
}

static int compare(struct loom_trial *t, struct loom_world *w, const struct loom_bits *alone, const char *when)
{
    struct loom_bits now;
    char text[256];
    if (pass_bits(t, w, &now) != LOOM_OK)
        return loom_trial_fail_error(t, when);
    const char *differ = loom_bits_differ(alone, &now, loom_model_store(w->model), text);
    int outcome = differ ? loom_trial_fail(t,
                                           "%s %s when it was alone: keep what changes in the instance's options or "
                                           "the core's memory, never in static variables",
                                           when, differ)
                         : LOOM_PASSED;
    loom_bits_release(&now);
    return outcome;
}

static int two_instances(struct loom_trial *t)
{
    struct loom_world a = {0}, b = {0};
    struct loom_bits alone = {0}, other = {0};
    int outcome = LOOM_PASSED;
    if (loom_trial_load(t) != LOOM_OK || loom_world_open(&a, t, NULL, 0) != LOOM_OK ||
        pass_bits(t, &a, &alone) != LOOM_OK)
        return loom_trial_fail_error(t, "a model alone");
    t->seed ^= 0x5eedu;
    if (open_other(t, &b) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "a second model");
    if (outcome == LOOM_PASSED)
        outcome = compare(t, &a, &alone, "beside a second instance that was just created,");
    if (outcome == LOOM_PASSED && pass_bits(t, &b, &other) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "a pass of the second model");
    if (outcome == LOOM_PASSED)
        outcome = compare(t, &a, &alone, "after a second instance worked,");
    loom_world_release(&b);
    if (outcome == LOOM_PASSED)
        outcome = compare(t, &a, &alone, "after a second instance was destroyed,");
    loom_bits_release(&alone);
    loom_bits_release(&other);
    loom_world_release(&a);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_life_two_instances = {
    .id = "life-two-instances",
    .kinds = LOOM_MODEL_KINDS,
    .level = LOOM_REQUIRED,
    .what = "Takes one model through a pass, then makes a second one with other settings, runs it and destroys it. The "
            "first must give the bits that it gave alone, all along: several stages and baselines of a run are alive "
            "at once.",
    .run = two_instances,
};

/* ---- life-reload ---- */

/* A copy, since the file itself stays mapped from when the suite loaded it. */
static int copy_file(struct loom_trial *t, char copy[320])
{
    char *bytes = NULL;
    size_t size = 0;
    snprintf(copy, 320, "%s/%s.so", t->folder, t->id);
    int code = loom_file_read(&bytes, &size, t->file, (size_t)1 << 30, &t->e);
    if (code == LOOM_OK)
        code = loom_file_write(copy, bytes, size, &t->e);
    free(bytes);
    return code;
}

static const struct loom_plugin *same_plugin(void *module, const struct loom_plugin *as)
{
    const struct loom_plugin *(*entry)(uint32_t), *p = NULL;
    *(void **)&entry = dlsym(module, "loom_plugin_entry");
    for (uint32_t k = 0; entry && (p = entry(k)); k++)
        if (p->kind == as->kind && strcmp(p->id, as->id) == 0)
            return p;
    return NULL;
}

static int open_use_close(struct loom_trial *t, const struct loom_lone *l, const char *copy)
{
    static struct loom_loaded loaded;
    void *self = NULL, *module = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
    int outcome = LOOM_PASSED;
    if (!module)
        return loom_trial_fail(t, "a copy of the file does not open: %s", dlerror());
    const struct loom_plugin *p = same_plugin(module, t->plugin);
    if (!p)
        outcome = loom_trial_fail(t, "a copy of the file has no plugin \"%s\"", t->id);
    else if (loom_plugin_check(p, copy, NULL, &loaded, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "the descriptor, opened again");
    else if (loom_lone_create(l, &loaded.table.part, &self, NULL, &t->e) != LOOM_OK)
        outcome = loom_trial_fail_error(t, "create after the file was opened again");
    if (outcome == LOOM_PASSED)
        loom_lone_destroy(&loaded.table.part, self);
    dlclose(module);
    return outcome;
}

static int reload(struct loom_trial *t)
{
    static struct loom_lone l;
    char copy[320];
    if (!prepare(t, &l) || copy_file(t, copy) != LOOM_OK)
        return loom_trial_fail_error(t, "preparing an instance");
    int outcome = LOOM_PASSED;
    for (int i = 0; i < 3 && outcome == LOOM_PASSED; i++)
        outcome = open_use_close(t, &l, copy);
    loom_lone_release(&l);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_life_reload = {
    .id = "life-reload",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_STRICT,
    .what = "Opens a copy of the file, creates and destroys an instance, closes it, three times over, and ends the "
            "process. Nothing that the plugin left behind (atexit, threads, keys of threads, handlers) may call code "
            "that is no longer there.",
    .file = 1,
    .run = reload,
};
