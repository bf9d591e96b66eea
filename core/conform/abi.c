/* SPDX-License-Identifier: Apache-2.0 */
/* What a plugin's file is, before any of its functions is called but the entry. */
#include "conform/families.h"
#include "conform/trial.h"
#include "plugin/elf.h"

#include <dlfcn.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int open_elf(struct loom_trial *t, struct loom_elf *f, int *outcome)
{
    if (loom_elf_open(f, t->file, &t->e) != LOOM_OK) {
        *outcome = loom_trial_fail_error(t, "the file");
        return 0;
    }
    return 1;
}

static int symbols(struct loom_trial *t)
{
    struct loom_elf f;
    int outcome, entry = 0;
    const char *other = NULL;
    if (!open_elf(t, &f, &outcome))
        return outcome;
    for (int i = 0; i < f.exports; i++)
        if (strcmp(f.exported[i], "loom_plugin_entry") == 0)
            entry = 1;
        else if (f.exported[i][0] != '_') /* what linkers and sanitizers add has an underscore in front */
            other = f.exported[i];
    if (!entry)
        outcome = loom_trial_fail(t, "loom_plugin_entry is not exported: define it as <loom/plugin.h> declares it");
    else if (other)
        outcome = loom_trial_fail(t,
                                  "exports '%s' beside loom_plugin_entry, which may collide with other plugins: make "
                                  "it static, or compile with -fvisibility=hidden",
                                  other);
    else
        outcome = loom_trial_pass(t);
    loom_elf_release(&f);
    return outcome;
}
const struct loom_check loom_check_abi_symbols = {
    .id = "abi-symbols",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what = "Reads the file's table of dynamic symbols without loading it. loom_plugin_entry must be the only symbol "
            "that it "
            "shows: any other can take the place of one of the same name in another plugin.",
    .file = 1,
    .run = symbols,
};

static int build_block(struct loom_trial *t)
{
    return loom_trial_load(t) == LOOM_OK ? loom_trial_pass(t) : loom_trial_fail_error(t, "loading it as a run does");
}
const struct loom_check loom_check_abi_build_block = {
    .id = "abi-build-block",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what =
        "Loads the plugin as a run does. The host compares the build block field by field (interface, size of a "
        "number, "
        "axes, sizes of structures), then the descriptor, the table of functions and the options; a refusal names the "
        "field and both values.",
    .run = build_block,
};

static int needed(struct loom_trial *t)
{
    static const char *const build_folders[] = {"*/build*", "*/.libs*", "/home/*", "/tmp/*", NULL};
    struct loom_elf f;
    int outcome;
    if (!open_elf(t, &f, &outcome))
        return outcome;
    outcome = loom_trial_pass(t);
    const int installed = strstr(t->file, "/.libs/") == NULL; /* libtool links anew when it installs */
    for (int i = 0; build_folders[i] && f.rpath && installed; i++)
        if (fnmatch(build_folders[i], f.rpath, 0) == 0)
            outcome =
                loom_trial_fail(t, "looks for libraries in '%s', a folder of the build: link without -rpath", f.rpath);
    if (f.executable_stack)
        outcome = loom_trial_fail(t, "asks for an executable stack: no nested functions whose address is taken, and no "
                                     "assembly without .note.GNU-stack");
    loom_elf_release(&f);
    return outcome;
}
const struct loom_check loom_check_abi_needed = {
    .id = "abi-needed",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_STRICT,
    .what =
        "Reads what the file asks of the loader. It must not ask for an executable stack, nor look for libraries in a "
        "folder of the build, which is not there on another machine.",
    .file = 1,
    .run = needed,
};

static int now_local(struct loom_trial *t)
{
    void *module = dlopen(t->file, RTLD_NOW | RTLD_LOCAL);
    if (!module)
        return loom_trial_fail(t, "dlopen: %s", dlerror());
    return dlsym(module, "loom_plugin_entry") ? loom_trial_pass(t)
                                              : loom_trial_fail(t, "loom_plugin_entry is not found: %s", dlerror());
}
const struct loom_check loom_check_load_now_local = {
    .id = "load-now-local",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what = "Opens the file with RTLD_NOW | RTLD_LOCAL, as the host does. Every library that it needs and every symbol "
            "that it refers to must be there at once, so that nothing is missed in the middle of a run.",
    .file = 1,
    .run = now_local,
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int load_time(struct loom_trial *t)
{
    double began = seconds();
    if (loom_trial_load(t) != LOOM_OK)
        return loom_trial_fail_error(t, "loading it");
    double took = seconds() - began;
    return took > 0.1 ? loom_trial_warn(t, "took %.0f ms of processor time; 100 ms are what a user does not notice",
                                        1e3 * took)
                      : loom_trial_pass(t);
}
const struct loom_check loom_check_load_time = {
    .id = "load-time",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_PEDANTIC,
    .what = "Loading the file and reading its descriptors should take less than 100 ms of processor time: `loom "
            "plugins list` "
            "loads all there are.",
    .run = load_time,
};

static int complete(struct loom_trial *t)
{
    if (loom_trial_load(t) != LOOM_OK)
        return loom_trial_fail_error(t, "loading it");
    const struct loom_plugin *p = t->plugin;
    const struct {
        const char *what, *text;
        size_t most;
    } words[] = {{"version", p->version, 32}, {"summary", p->summary, 200}, {"license", p->license, 64}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!words[i].text || !*words[i].text || strlen(words[i].text) > words[i].most)
            return loom_trial_fail(t, "its %s is %s: write one of 1 to %zu characters", words[i].what,
                                   words[i].text && *words[i].text ? "too long" : "missing", words[i].most);
    return loom_trial_pass(t);
}
const struct loom_check loom_check_desc_complete = {
    .id = "desc-complete",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what = "The descriptor says what users need to find and trust a plugin: an id by which its file is called, a "
            "version, a "
            "summary of one line, a licence.",
    .run = complete,
};

static int stable(struct loom_trial *t)
{
    const struct loom_plugin *(*entry)(uint32_t);
    void *module = dlopen(t->file, RTLD_NOW | RTLD_LOCAL);
    *(void **)&entry = module ? dlsym(module, "loom_plugin_entry") : NULL;
    if (!entry)
        return loom_trial_fail(t, "cannot be loaded: %s", dlerror());
    uint32_t n = 0;
    while (n < LOOM_MODULE_PLUGINS && entry(n))
        n++;
    if (n == 0 || n == LOOM_MODULE_PLUGINS)
        return loom_trial_fail(t, "loom_plugin_entry gives %s descriptor: it returns NULL behind the last",
                               n ? "no last" : "no");
    for (uint32_t i = 0; i < n; i++)
        if (entry(i) != entry(i))
            return loom_trial_fail(
                t, "loom_plugin_entry(%u) gives another address each time: return one that is static", i);
    for (uint32_t i = 0; i < 3; i++)
        if (entry(n + (1u << (10 * i))) || entry(UINT32_MAX - i))
            return loom_trial_fail(t, "loom_plugin_entry gives a descriptor far behind the last: return NULL there");
    return loom_trial_pass(t);
}
const struct loom_check loom_check_desc_stable = {
    .id = "desc-stable",
    .kinds = LOOM_ANY_KIND,
    .level = LOOM_REQUIRED,
    .what =
        "loom_plugin_entry is asked again and again, and far behind the end. It must give the same static descriptors "
        "each time, and NULL behind the last.",
    .file = 1,
    .run = stable,
};
