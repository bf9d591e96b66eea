/* SPDX-License-Identifier: Apache-2.0 */
/* Sources: files that are none, and the same file twice. */
#include "conform/families.h"
#include "conform/lone.h"

#include "base/io.h"
#include "data/sink.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One reading, in this process, into nowhere: a crash is one of the check. */
static int read_here(struct loom_trial *t, const struct loom_lone *l, const struct loom_source *s, const char *file,
                     struct loom_error *e)
{
    void *self = NULL;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC), code = s->part.create(&l->setup, &self, e);
    struct loom_sink *sink = loom_sink_new(fd);
    loom_trial_doing(t, "reading %s", file);
    if (code == LOOM_OK && sink)
        code = s->read(self, file, sink, e);
    if (sink)
        loom_sink_close(sink, code, e->message);
    loom_lone_destroy(&s->part, self);
    close(fd);
    return code;
}

static int must_refuse(struct loom_trial *t, const struct loom_lone *l, const char *name, const char *bytes, size_t n)
{
    struct loom_error e = {0};
    char path[320];
    snprintf(path, sizeof path, "%s/%s", t->folder, name);
    if (bytes && loom_file_write(path, bytes, n, &t->e) != LOOM_OK)
        return loom_trial_fail_error(t, "a file to read");
    int code = read_here(t, l, t->plugin->table, path, &e);
    if (code == LOOM_OK)
        return loom_trial_fail(t, "'%s' was read as if it were a recording; LOOM_EDATA is due", name);
    if (code > 0 || code < LOOM_ESTOP || e.code != code || (!strstr(e.message, name) && !strstr(e.file, name)))
        return loom_trial_fail(t,
                               "'%s' was refused with status %d, \"%.80s: %.300s\"; an error that names the file is "
                               "due: hand `file` to loom_fail",
                               name, code, e.file, e.message);
    return LOOM_PASSED;
}

static int bad_file(struct loom_trial *t)
{
    static struct loom_lone l;
    static const char text[] = "time,unit\n0.5,3\n0.7,4\n", zeros[4096];
    char *bytes = NULL;
    size_t n = 0;
    if (loom_trial_load(t) != LOOM_OK || loom_lone_open(&l, t) != LOOM_OK)
        return loom_trial_fail_error(t, "preparing an instance");
    int outcome = must_refuse(t, &l, "empty", "", 0);
    if (outcome == LOOM_PASSED)
        outcome = must_refuse(t, &l, "text", text, sizeof text - 1);
    if (outcome == LOOM_PASSED)
        outcome = must_refuse(t, &l, "zeros", zeros, sizeof zeros);
    if (outcome == LOOM_PASSED)
        outcome = must_refuse(t, &l, "absent", NULL, 0);
    if (outcome == LOOM_PASSED && t->data && loom_file_read(&bytes, &n, t->data, (size_t)64 << 20, &t->e) == LOOM_OK)
        for (size_t part = 1; part < 4 && outcome == LOOM_PASSED; part++)
            outcome = must_refuse(t, &l, "truncated", bytes, n * part / 16);
    free(bytes);
    loom_lone_release(&l);
    return outcome == LOOM_PASSED ? loom_trial_pass(t) : outcome;
}
const struct loom_check loom_check_source_bad_file = {
    .id = "source-bad-file",
    .kinds = LOOM_KIND(LOOM_SOURCE),
    .level = LOOM_REQUIRED,
    .what = "Has the source read an empty file, a text, zeros, a file that is not there, and beginnings of the file of "
            "--data. Each is refused with an error that names the file, and nothing crashes.",
    .run = bad_file,
};

/* ---- source-deterministic ---- */

static uint64_t hash_file(const char *folder, const char *name)
{
    struct loom_error e = {0};
    char path[600], *bytes = NULL;
    size_t n = 0;
    uint64_t h = 0;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (loom_file_read(&bytes, &n, path, (size_t)1 << 31, &e) == LOOM_OK)
        h = loom_hash(bytes, n, loom_hash(name, strlen(name), 0));
    free(bytes);
    return h;
}

/* Everything in a cache, whatever order the folder gives it in. */
static uint64_t hash_folder(const char *folder)
{
    DIR *d = opendir(folder);
    uint64_t sum = 0;
    for (struct dirent *x; d && (x = readdir(d));)
        if (x->d_type == DT_REG)
            sum += hash_file(folder, x->d_name);
    if (d)
        closedir(d);
    return sum;
}

static int deterministic(struct loom_trial *t)
{
    static struct loom_lone l;
    uint64_t hash[2] = {0, 0};
    int code = LOOM_OK;
    if (loom_trial_load(t) != LOOM_OK || loom_lone_open(&l, t) != LOOM_OK)
        return loom_trial_fail_error(t, "preparing an instance");
    for (int i = 0; i < 2 && code == LOOM_OK; i++) {
        char cache[300];
        struct loom_recordings *set = NULL;
        snprintf(cache, sizeof cache, "%s/cache%d", t->folder, i);
        const struct loom_ingest how = {
            .source = t->plugin, .module = t->file, .options = l.options, .file = t->data, .cache = cache};
        code = loom_recordings_read(&set, &how, &t->e);
        loom_recordings_free(set);
        hash[i] = hash_folder(cache);
    }
    loom_lone_release(&l);
    if (code != LOOM_OK && !t->data)
        return loom_trial_skip(t, "without a file it says \"%.300s\": give it one with --data", t->e.message);
    if (code != LOOM_OK)
        return loom_trial_fail_error(t, "reading");
    if (hash[0] != hash[1] || hash[0] == 0)
        return loom_trial_fail(t,
                               "the same file, read twice, gave two different recordings (hash %016llx against "
                               "%016llx): no time, address or unset memory may enter a recording",
                               (unsigned long long)hash[0], (unsigned long long)hash[1]);
    return loom_trial_pass(t);
}
const struct loom_check loom_check_source_deterministic = {
    .id = "source-deterministic",
    .kinds = LOOM_KIND(LOOM_SOURCE),
    .level = LOOM_REQUIRED,
    .what =
        "Reads the file of --data twice, or has the source make its data twice, in two processes with a cache each. "
        "Both caches must hold the same bytes.",
    .run = deterministic,
};
