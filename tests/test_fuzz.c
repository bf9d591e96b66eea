/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged NWB files by the hundred: each ends in data or in a message that names the file; the parent lives.
 * LOOM_FUZZ sets how many (default 100), half of a made file, half of a real one where $LOOM_DATA has it. */
#include "suite.h"

#include "made_nwb.h"
#include "reading.h"

#include "base/io.h"

#include <glob.h>

struct tally {
    int read, refused, died, stopped, nameless;
};

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Bit flips, a stretch copied elsewhere, a stretch of one byte, or a cut. */
static size_t damage(char *bytes, size_t size, uint64_t *state)
{
    uint64_t kind = draw(state) % 8;
    size_t n = 1 + draw(state) % 64, from = draw(state) % size, to = draw(state) % size;
    if (kind == 0)
        return 1 + from;
    if (kind == 1)
        memmove(bytes + to, bytes + from, n < size - (from > to ? from : to) ? n : size - (from > to ? from : to));
    else if (kind == 2)
        memset(bytes + to, (int)draw(state), n < size - to ? n : size - to);
    else
        for (size_t i = 0; i < 1 + n / 4; i++)
            bytes[draw(state) % (kind < 5 && size > 4096 ? 4096 : size)] ^= (char)(1 << draw(state) % 8);
    return size;
}

/* Whoever died or was stopped left the object it was at; every message names the file. */
static void take_end(struct tally *t, int status, const struct loom_error *e)
{
    int died = strstr(e->message, "the process that read the file") != NULL;
    int stopped = strstr(e->message, "reading was stopped") != NULL;
    if (status == LOOM_OK)
        t->read++;
    else if (died)
        t->died++;
    else if (stopped)
        t->stopped++;
    else
        t->refused++;
    if (status != LOOM_OK && (strstr(e->file, "fuzzed.nwb") == NULL || e->message[0] == '\0' ||
                              ((died || stopped) && e->message[0] != '/'))) {
        t->nameless++;
        fprintf(stderr, "# %d %s: %s\n", status, e->file, e->message);
    }
}

static void fuzz(const char *name, const char *path, int n, uint64_t seed)
{
    struct loom_error e = {0};
    struct tally t = {0};
    char *bytes, *copy;
    size_t size;
    ck_ok(loom_file_read(&bytes, &size, path, (size_t)1 << 26, &e), &e);
    copy = malloc(size);
    for (int i = 0; i < n; i++) {
        uint64_t state = seed + (uint64_t)i * 0x10001;
        struct loom_recordings *set;
        struct loom_ingest how = {.refresh = 1, .cpu_s = 5, .silence_s = 10, .memory_bytes = (int64_t)4 << 30};
        memcpy(copy, bytes, size);
        size_t left = damage(copy, size, &state);
        loom_error_clear(&e);
        ck_ok(loom_file_write(scratch_path("fuzzed.nwb"), copy, left, &e), &e);
        take_end(&t, read_by(&set, "nwb", "", scratch_path("fuzzed.nwb"), how, &e), &e);
        loom_recordings_free(set);
    }
    fprintf(stderr,
            "# %s: %d files: %d read, %d refused, %d killed the reading process, %d stopped, %d without a name\n", name,
            n, t.read, t.refused, t.died, t.stopped, t.nameless);
    ck_assert_int_eq(t.nameless, 0);
    ck_assert_int_eq(t.read + t.refused + t.died + t.stopped, n);
    free(bytes);
    free(copy);
}

static int wanted(void)
{
    const char *n = getenv("LOOM_FUZZ");
    return n != NULL && atoi(n) > 1 ? atoi(n) : 100;
}

START_TEST(made_files)
{
    const char *path = scratch_path("sound.nwb");
    H5Fclose(made_nwb(path));
    fuzz("made", path, wanted() / 2, 1);
}
END_TEST

START_TEST(real_files)
{
    char pattern[512];
    glob_t g;
    snprintf(pattern, sizeof pattern, "%s/mc-maze/*.nwb", getenv("LOOM_DATA") != NULL ? getenv("LOOM_DATA") : "");
    if (glob(pattern, 0, NULL, &g) == 0 && g.gl_pathc > 0)
        fuzz("real", g.gl_pathv[0], wanted() / 2, 1000003);
    else
        fprintf(stderr, "# no real file: set LOOM_DATA to the folder of recordings\n");
    globfree(&g);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {made_files, real_files};
    scratch_make();
    int code = run_suite("fuzz", 2, tests, 60 + wanted());
    scratch_remove();
    return code;
}
