/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged files by the hundred: each ends in data or in a message that names the file; the parent lives. After
 * reading.h. */
#ifndef LOOM_TESTS_FUZZING_H
#define LOOM_TESTS_FUZZING_H

#include "base/io.h"

struct tally {
    int read, refused, died, stopped, nameless;
};

static inline uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Bit flips, a stretch copied elsewhere, a stretch of one byte, or a cut. */
static inline size_t damage(char *bytes, size_t size, uint64_t *state)
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
static inline void take_end(struct tally *t, int status, const struct loom_error *e, const char *file, char path)
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
    if (status != LOOM_OK && (strstr(e->file, file) == NULL || e->message[0] == '\0' ||
                              ((died || stopped) && path != '\0' && e->message[0] != path))) {
        t->nameless++;
        fprintf(stderr, "# %d %s: %s\n", status, e->file, e->message);
    }
}

/* `n` damaged copies of the file at `path`, read by `source` under the name `as`. `path_begins`: what names of objects
 * begin with, 0 = anything. */
static inline struct tally fuzz(const char *source, const char *options, const char *path, const char *as,
                                char path_begins, int n, uint64_t seed)
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
        ck_ok(loom_file_write(scratch_path(as), copy, left, &e), &e);
        take_end(&t, read_by(&set, source, options, scratch_path(as), how, &e), &e, as, path_begins);
        loom_recordings_free(set);
    }
    fprintf(stderr,
            "# %s: %d files: %d read, %d refused, %d killed the reading process, %d stopped, %d without a name\n", as,
            n, t.read, t.refused, t.died, t.stopped, t.nameless);
    ck_assert_int_lt(t.read, n); /* damage is done */
    ck_assert_int_eq(t.nameless, 0);
    ck_assert_int_eq(t.read + t.refused + t.died + t.stopped, n);
    free(bytes);
    free(copy);
    return t;
}

#endif
