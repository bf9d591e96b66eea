/* SPDX-License-Identifier: Apache-2.0 */
#include "plugin/load.h"
#include "plugin/registry.h"

#include "base/io.h"
#include "base/json.h"
#include "suite.h"

#include <loom/rng.h>

#include <dlfcn.h>
#include <elf.h>
#include <glob.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char broken[512]; /* folder of the broken plugins */
static char folder[] = "/tmp/loom-plugin-XXXXXX";
static char farm[] = "/tmp/loom-broken-XXXXXX"; /* what `broken` names */
static struct loom_registry *registry;
static struct loom_error error;

static const char *at(const char *dir, const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* Links to the broken plugins, but for those that no process survives or waits for: see deadly_files. */
static void link_broken(void)
{
    const char *build = getenv("top_builddir");
    char pattern[600], link[1400];
    glob_t found;
    strcpy(farm + strlen(farm) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(farm));
    snprintf(broken, sizeof broken, "%s", farm);
    snprintf(pattern, sizeof pattern, "%s/tests/broken/.libs/*.so", build != NULL ? build : ".");
    ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char target[4096];
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        ck_assert_ptr_nonnull(realpath(found.gl_pathv[i], target));
        snprintf(link, sizeof link, "%s/%s", broken, name);
        if (strncmp(name, "load_", 5) != 0)
            ck_assert_int_eq(symlink(target, link), 0);
    }
    globfree(&found);
}

static void setup(void)
{
    link_broken();
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    unsetenv("LOOM_PLUGIN_PATH");
    loom_error_clear(&error);
    ck_assert_int_eq(loom_registry_new(&registry, folder, &error), LOOM_OK);
}

static void teardown(void)
{
    char command[128];
    loom_registry_free(registry);
    snprintf(command, sizeof command, "rm -rf '%s' '%s'", folder, farm);
    ck_assert_int_eq(system(command), 0);
}

static void says(const char *part)
{
    char text[2048];
    loom_error_text(&error, text, sizeof text);
    ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in: %s", part, text);
}

static void refused(const char *file, const char *a, const char *b)
{
    const struct loom_plugin *p;
    loom_error_clear(&error);
    ck_assert_int_eq(loom_registry_find(registry, LOOM_TOKENIZER, file, &p, &error), LOOM_EPLUGIN);
    ck_assert_ptr_null(p);
    says(file);
    says(a);
    says(b);
}

static void put(const char *name, const void *bytes, size_t n)
{
    ck_assert_int_eq(loom_file_write(at(folder, name), bytes, n, &error), LOOM_OK);
}

static char *sound(size_t *n)
{
    char *bytes;
    ck_assert_int_eq(loom_file_read(&bytes, n, at(broken, "sound.so"), 1 << 24, &error), LOOM_OK);
    return bytes;
}

START_TEST(kinds)
{
    ck_assert_str_eq(loom_kind_name(LOOM_TOKENIZER), "tokenizer");
    ck_assert_uint_eq(loom_kind_of("baseline"), LOOM_BASELINE);
    ck_assert_uint_eq(loom_kind_of("tokeniser"), 0);
    ck_assert_ptr_null(loom_kind_name(0));
    ck_assert_ptr_null(loom_kind_name(LOOM_BASELINE + 1));
}
END_TEST

START_TEST(sound_plugin_loads)
{
    const struct loom_plugin *p, *again, *second;
    struct loom_registry *r;
    ck_assert_int_eq(loom_registry_new(&r, broken, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_find(r, LOOM_TOKENIZER, "sound", &p, &error), LOOM_OK);
    ck_assert_str_eq(p->id, "sound");
    ck_assert_uint_eq(((const struct loom_tokenizer *)p->table)->part.size, sizeof(struct loom_tokenizer));
    ck_assert_ptr_nonnull(strstr(loom_registry_file(r, p), "sound.so"));
    ck_assert_int_eq(loom_registry_find(r, 0, at(broken, "./sound.so"), &again, &error), LOOM_OK);
    ck_assert_ptr_eq(p, again);
    ck_assert_int_eq(loom_registry_find(r, LOOM_TOKENIZER, "sound-too", &second, &error), LOOM_OK);
    ck_assert_str_eq(second->id, "sound-too");
    loom_registry_free(r);
}
END_TEST

/* What was broken, and words of its refusal. */
static const struct {
    const char *file, *a, *b;
} cases[] = {
    {"abi_major.so", "abi_major = 7", "abi_major = 0"},
    {"real_size.so", "real_size = ", "pkg-config --cflags loom"},
    {"wrong_id.so", "\"another\"", "name the file another.so"},
    {"odd_id.so", "\"Odd id\"", "small letter"},
    {"no_function.so", "lacks the function embed", "no_function"},
    {"short_table.so", "8 bytes long", "sizeof the whole table"},
    {"bad_default.so", "patch", "[1,inf)"},
    {"no_kind.so", "kind 77", "enum loom_kind"},
    {"no_license.so", "no license", "set .license"},
    {"empty.so", "loom_plugin_entry(0)", "first descriptor"},
    {"no_entry.so", "has no loom_plugin_entry", "<loom/plugin.h>"},
};

START_TEST(broken_plugin_is_refused)
{
    refused(at(broken, cases[_i].file), cases[_i].a, cases[_i].b);
    refused(at(broken, cases[_i].file), cases[_i].a, cases[_i].b); /* from memory, with the same words */
}
END_TEST

START_TEST(any_file_gives_a_message)
{
    put("text.so", "this is no plugin\n", 18);
    put("nothing.so", "", 0);
    mkdir(at(folder, "dir.so"), 0700);
    mkfifo(at(folder, "pipe.so"), 0600);
    refused(at(folder, "text.so"), "not a shared object", "give the .so");
    refused(at(folder, "nothing.so"), "not a shared object", "give the .so");
    refused(at(folder, "dir.so"), "is a folder", "path of a .so");
    refused(at(folder, "pipe.so"), "not a regular file", "path of a .so");
    refused(at(folder, "absent.so"), "No such file", "path of a file");
}
END_TEST

START_TEST(cut_short)
{
    size_t n;
    char *bytes = sound(&n);
    int refusals = 0;
    for (size_t cut = 4; cut < n; cut += 211) {
        char name[32];
        const struct loom_plugin *p;
        snprintf(name, sizeof name, "cut%zu.so", cut);
        put(name, bytes, cut);
        loom_error_clear(&error);
        if (loom_registry_find(registry, 0, at(folder, name), &p, &error) != LOOM_OK) {
            ck_assert_int_eq(error.code, LOOM_EPLUGIN);
            ck_assert_ptr_nonnull(strstr(error.file, name));
            refusals++;
        }
    }
    /* A file without its last debug sections alone would load, but for its name. */
    ck_assert_int_ge(refusals, 30);
    free(bytes);
}
END_TEST

/* Where the linker takes a file at its word: bytes of its headers, its dynamic section or its tables. */
static size_t somewhere(const char *bytes, unsigned draw)
{
    const ElfW(Ehdr) *head = (const ElfW(Ehdr) *)(const void *)bytes;
    const ElfW(Shdr) *s = (const ElfW(Shdr) *)(const void *)(bytes + head->e_shoff);
    static const unsigned types[] = {SHT_DYNAMIC, SHT_DYNSYM, SHT_GNU_HASH, SHT_GNU_verneed, SHT_GNU_versym};
    const unsigned which = draw % 11, k = draw / 11;
    if (which < 3)
        return k % (sizeof *head + head->e_phnum * sizeof(ElfW(Phdr)));
    if (which == 3)
        return head->e_shoff + k % (head->e_shnum * sizeof *s);
    const unsigned type = which < 7 ? SHT_DYNAMIC : types[which - 6];
    for (int i = 0; i < head->e_shnum; i++)
        if (s[i].sh_type == type && s[i].sh_size > 0)
            return s[i].sh_offset + k % s[i].sh_size;
    return k % sizeof *head;
}

/* A child loads it, asks for its descriptors and ends as any process does; how it ended. */
static int load_elsewhere(const char *file)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        struct loom_loaded *all;
        int n;
        alarm(10);
        exit(loom_module_load(file, NULL, &all, &n, &error) == LOOM_OK ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

/* A bit, a byte or a word in headers and tables is wrong: refused, or loaded, and nobody dies of it. Words that
 * relocations put somewhere are like code: what they ought to be nobody can tell from outside. */
START_TEST(damaged_headers_kill_nobody)
{
    size_t n;
    char *bytes = sound(&n);
    int refusals = 0, died = 0;
    const int times = getenv("LOOM_FUZZ") != NULL ? atoi(getenv("LOOM_FUZZ")) : 200;
    for (int i = 0; i < times; i++) {
        struct loom_rng rng;
        char *copy = malloc(n + 8);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, bytes, n);
        loom_rng_init(&rng, 7, "damage", 0, (uint64_t)i);
        const size_t where = somewhere(bytes, loom_rng_u32(&rng));
        const unsigned how = loom_rng_below(&rng, 4);
        if (how < 2)
            copy[where] ^= (char)(1 << loom_rng_below(&rng, 8));
        else if (how == 2)
            copy[where] = (char)loom_rng_u32(&rng);
        else
            memset(copy + where / 4 * 4, (int)loom_rng_below(&rng, 256), 4);
        put("sound.so", copy, n);
        free(copy);
        const int status = load_elsewhere(at(folder, "sound.so"));
        refusals += WIFEXITED(status) && WEXITSTATUS(status) == 1;
        if (!WIFEXITED(status) && ++died < 20)
            fprintf(stderr, "# %d: byte %zu, way %u: signal %d\n", i, where, how, WTERMSIG(status));
    }
    ck_assert_int_eq(died, 0);
    ck_assert_int_gt(refusals, times / 3);
    free(bytes);
}
END_TEST

START_TEST(missing_dependency)
{
    size_t n;
    char *bytes = sound(&n), *name = NULL;
    for (size_t i = 0; i + 10 < n && name == NULL; i++)
        if (memcmp(bytes + i, "libloom.so", 10) == 0)
            name = bytes + i;
    ck_assert_ptr_nonnull(name);
    memcpy(name, "libgone", 7);
    put("sound.so", bytes, n);
    free(bytes);
    refused(at(folder, "sound.so"), "libgone.so", "LD_LIBRARY_PATH");
    refused("sound", "libgone.so", "Tried");
}
END_TEST

START_TEST(unknown_id)
{
    const struct loom_plugin *p;
    struct loom_registry *r;
    setenv("LOOM_PLUGIN_PATH", broken, 1);
    ck_assert_int_eq(loom_registry_new(&r, folder, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_find(r, LOOM_TOKENIZER, "sonud", &p, &error), LOOM_EPLUGIN);
    says("no tokenizer \"sonud\"");
    says("did you mean \"sound\"?");
    says(at(folder, "sonud.so"));
    says(at(broken, "sonud.so"));
    says("/loom/plugins-0/sonud.so");
    says("--plugin-path");
    loom_error_clear(&error);
    ck_assert_int_eq(loom_registry_find(r, LOOM_BACKBONE, "sonud", &p, &error), LOOM_EPLUGIN);
    ck_assert_ptr_null(strstr(error.message, "did you mean"));
    loom_registry_free(r);
}
END_TEST

START_TEST(wrong_kind)
{
    const struct loom_plugin *p;
    struct loom_registry *r;
    ck_assert_int_eq(loom_registry_new(&r, broken, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_find(r, LOOM_BACKBONE, "sound", &p, &error), LOOM_EPLUGIN);
    says("is a tokenizer");
    loom_error_clear(&error);
    ck_assert_int_eq(loom_registry_find(r, LOOM_BACKBONE, at(broken, "sound.so"), &p, &error), LOOM_EPLUGIN);
    says("holds the tokenizer \"sound\", and a backbone is needed");
    loom_registry_free(r);
}
END_TEST

/* A bad file in the first folder must not keep the good one of the second from being found, nor go unmentioned. */
START_TEST(bad_before_good)
{
    const struct loom_plugin *p;
    struct loom_registry *r;
    char path[1100];
    put("sound.so", "rubbish", 7);
    snprintf(path, sizeof path, "%s::%s:", folder, broken);
    ck_assert_int_eq(loom_registry_new(&r, path, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_find(r, LOOM_TOKENIZER, "sound", &p, &error), LOOM_OK);
    ck_assert_str_eq(loom_registry_file(r, p), at(broken, "sound.so"));
    ck_assert_str_eq(loom_registry_refused(r, 0)->file, at(folder, "sound.so"));
    loom_registry_free(r);
}
END_TEST

START_TEST(one_file_is_one_module)
{
    const struct loom_plugin *p, *q;
    char target[4096];
    ck_assert_ptr_nonnull(realpath(at(broken, "sound.so"), target));
    ck_assert_int_eq(symlink(target, at(folder, "sound.so")), 0);
    ck_assert_int_eq(loom_registry_find(registry, 0, "sound", &p, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_find(registry, 0, target, &q, &error), LOOM_OK);
    ck_assert_ptr_eq(p, q);
}
END_TEST

START_TEST(second_of_a_name_is_hidden)
{
    const struct loom_plugin *p;
    struct loom_registry *r;
    size_t n;
    char path[1100], *bytes = sound(&n);
    put("sound.so", bytes, n);
    free(bytes);
    snprintf(path, sizeof path, "%s:%s", folder, broken);
    ck_assert_int_eq(loom_registry_new(&r, path, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_scan(r, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_find(r, LOOM_TOKENIZER, "sound", &p, &error), LOOM_OK);
    ck_assert_str_eq(loom_registry_file(r, p), at(folder, "sound.so"));
    int hidden = 0;
    for (size_t i = 0; loom_registry_refused(r, i) != NULL; i++)
        hidden += strstr(loom_registry_refused(r, i)->reason, "hidden by") != NULL;
    ck_assert_int_eq(hidden, 2);
    loom_registry_free(r);
}
END_TEST

/* A plugin that was built against an older header (tests/compat): refused by the name of a field while the major number
 * is 0; loaded by a host of major 1, with what it has never heard of absent. */
START_TEST(older_plugins)
{
    static const struct loom_build_block today = LOOM_BUILD_BLOCK;
    char file[1024];
    const char *build = getenv("top_builddir");
    snprintf(file, sizeof file, "%s/tests/compat/.libs/older.so", build != NULL ? build : ".");
    refused(file, "abi_minor = 0, this neuroloom", "abi_minor = 3");

    void *module = dlopen(file, RTLD_NOW | RTLD_LOCAL),
         *symbol = module != NULL ? dlsym(module, "loom_plugin_entry") : NULL;
    const struct loom_plugin *(*entry)(uint32_t);
    ck_assert_ptr_nonnull(symbol);
    memcpy(&entry, &symbol, sizeof entry);
    struct loom_plugin theirs;
    static struct loom_loaded loaded;
    memset(&theirs, 0xee, sizeof theirs); /* what the host must not read */
    memcpy(&theirs, entry(0), entry(0)->size);
    ck_assert_uint_lt(theirs.size, sizeof theirs);
    theirs.build.abi_major = 1;
    struct loom_build_block ours = today;
    ours.abi_major = 1;
    ours.abi_minor = 3;
    loom_error_clear(&error);
    memset(&loaded, 0xee, sizeof loaded);
    ck_assert_msg(loom_plugin_check_for(&ours, &theirs, file, "older", &loaded, &error) == LOOM_OK, "%s",
                  error.message);
    ck_assert_ptr_null(loaded.plugin.ops);
    ck_assert_ptr_nonnull(loaded.table.tokenizer.embed);
    ck_assert_ptr_null(loaded.table.tokenizer.truth);
    ck_assert_ptr_null(loaded.table.tokenizer.render);
    ck_assert_uint_eq(loaded.table.part.size, sizeof(struct loom_tokenizer));

    const struct {
        uint32_t major, minor, rows, option;
        const char *words;
    } wrong[] = {
        {1, 4, ours.rows_size, ours.option_size, "abi_minor = 4"},   /* newer than the host */
        {2, 0, ours.rows_size, ours.option_size, "abi_major = 2"},   /* of another contract */
        {1, 0, ours.rows_size + 8, ours.option_size, "rows_size"},   /* would read behind what the host made */
        {1, 0, ours.rows_size, ours.option_size - 8, "option_size"}, /* arrays have no size of their own */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        theirs.build.abi_major = wrong[i].major;
        theirs.build.abi_minor = wrong[i].minor;
        theirs.build.rows_size = wrong[i].rows;
        theirs.build.option_size = wrong[i].option;
        loom_error_clear(&error);
        ck_assert_int_eq(loom_plugin_check_for(&ours, &theirs, file, "older", &loaded, &error), LOOM_EPLUGIN);
        says(wrong[i].words);
    }
}
END_TEST

static const char *reason(const struct loom_registry *r, const char *file)
{
    for (size_t i = 0; loom_registry_refused(r, i) != NULL; i++)
        if (strcmp(loom_registry_refused(r, i)->file, file) == 0)
            return loom_registry_refused(r, i)->reason;
    return "";
}

/* Plugins that crash and hang when they are loaded lie in a folder beside a sound one: nobody who does not name them
 * is hurt, and who looks at all of them is told. */
START_TEST(deadly_files)
{
    const struct loom_plugin *p;
    const char *build = getenv("top_builddir");
    static const char *const names[] = {"sound.so", "load_crash.so", "load_hang.so"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char built[600], target[4096];
        snprintf(built, sizeof built, "%s/tests/broken/.libs/%s", build != NULL ? build : ".", names[i]);
        ck_assert_ptr_nonnull(realpath(built, target));
        ck_assert_int_eq(symlink(target, at(folder, names[i])), 0);
    }
    ck_assert_int_eq(loom_registry_find(registry, LOOM_TOKENIZER, "sound", &p, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_find(registry, LOOM_TOKENIZER, "sound-too", &p, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_find(registry, LOOM_TOKENIZER, "sonud", &p, &error), LOOM_EPLUGIN);
    says("did you mean \"sound\"?");
    ck_assert_ptr_nonnull(strstr(reason(registry, at(folder, "load_crash.so")), "crashes while loading"));
    /* A sanitizer makes an exit of the signal. */
    ck_assert_ptr_nonnull(strstr(reason(registry, at(folder, "load_crash.so")), "the process that tried it"));
    ck_assert_ptr_nonnull(strstr(reason(registry, at(folder, "load_hang.so")), "hangs while loading"));
    refused(at(folder, "load_hang.so"), "hangs while loading", "mend its constructors"); /* as it is known by now */

    struct loom_registry *r;
    ck_assert_int_eq(loom_registry_new(&r, folder, &error), LOOM_OK);
    loom_registry_careful(r, LOOM_CARE_ALL);
    loom_error_clear(&error);
    ck_assert_int_eq(loom_registry_find(r, LOOM_TOKENIZER, "load_crash", &p, &error), LOOM_EPLUGIN);
    says("crashes while loading");
    loom_registry_free(r);
}
END_TEST

START_TEST(lists_are_whole)
{
    const struct loom_plugin *p;
    struct loom_registry *r;
    char *text;
    ck_assert_int_eq(loom_registry_new(&r, broken, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_scan(r, &error), LOOM_OK);
    ck_assert_int_eq(loom_registry_list(r, LOOM_PLUGIN_JSON, &text, &error), LOOM_OK);
    json_t *list = loom_json_parse(text, strlen(text), "list", &error);
    ck_assert_msg(list != NULL, "%s: %s", error.message, text);
    ck_assert_uint_ge(json_array_size(json_object_get(list, "plugins")), 2);
    ck_assert_uint_ge(json_array_size(json_object_get(list, "refused")), sizeof cases / sizeof *cases);
    json_decref(list);
    free(text);
    ck_assert_int_eq(loom_registry_list(r, LOOM_PLUGIN_TEXT, &text, &error), LOOM_OK);
    ck_assert_ptr_nonnull(strstr(text, "abi_major.so"));
    free(text);
    ck_assert_int_eq(loom_registry_find(r, 0, "sound", &p, &error), LOOM_OK);
    for (int format = LOOM_PLUGIN_TEXT; format <= LOOM_PLUGIN_JSON; format++) {
        ck_assert_int_eq(loom_registry_describe(r, p, format, &text, &error), LOOM_OK);
        ck_assert_ptr_nonnull(strstr(text, "patch"));
        ck_assert_ptr_nonnull(strstr(text, "[1,inf)"));
        ck_assert_ptr_nonnull(strstr(text, "units"));
        free(text);
    }
    loom_registry_free(r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("plugin");
    TCase *t = tcase_create("registry");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, kinds);
    tcase_add_test(t, sound_plugin_loads);
    tcase_add_loop_test(t, broken_plugin_is_refused, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(t, any_file_gives_a_message);
    tcase_add_test(t, cut_short);
    tcase_add_test(t, missing_dependency);
    tcase_add_test(t, unknown_id);
    tcase_add_test(t, wrong_kind);
    tcase_add_test(t, bad_before_good);
    tcase_add_test(t, one_file_is_one_module);
    tcase_add_test(t, second_of_a_name_is_hidden);
    tcase_add_test(t, older_plugins);
    tcase_add_test(t, lists_are_whole);
    suite_add_tcase(s, t);
    t = tcase_create("damage");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, damaged_headers_kill_nobody);
    tcase_add_test(t, deadly_files);
    suite_add_tcase(s, t);
    return run_tap(s);
}
