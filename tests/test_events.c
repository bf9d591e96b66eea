/* SPDX-License-Identifier: Apache-2.0 */
/* Events as TensorBoard frames them: known bytes, read back, cut back. */
#include "folder.h"

#include "base/io.h"
#include "train/events.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[256];
static struct loom_rundir dir;

static void setup(void)
{
    folder_make();
    dir = (struct loom_rundir)LOOM_RUNDIR;
    dir.events = 1;
    snprintf(dir.path, sizeof dir.path, "%s", folder);
    snprintf(path, sizeof path, "%s", in_folder("events.out.tfevents.loom"));
}

static void teardown(void)
{
    loom_rundir_release(&dir);
    folder_remove();
}

static void say(const char *line)
{
    struct loom_str s = LOOM_STR_INIT;
    loom_str_add(&s, line);
    ck_ok(loom_rundir_log(&dir, &s, &error), &error);
    loom_str_release(&s);
}

static void step(const char *stage, int number)
{
    char line[256];
    snprintf(line, sizeof line,
             "{\"event\":\"step\",\"stage\":\"%s\",\"step\":%d,\"loss\":%g,\"lr\":0.5,\"norm\":null,\"windows\":1,"
             "\"terms\":{\"mae\":%g}}",
             stage, number, 10.0 / number, 0.25 * number);
    say(line);
}

static size_t load(char **bytes)
{
    size_t size;
    ck_ok(loom_file_read(bytes, &size, path, 1 << 20, &error), &error);
    return size;
}

/* How often `tag` is said at `step`; all records must be whole. */
static int said(const char *tag, int64_t at_step, float *value)
{
    char *bytes;
    size_t size = load(&bytes), at = 0;
    struct loom_event event;
    int n = 0;
    while (loom_events_read(bytes, size, &at, &event))
        if (strcmp(event.tag, tag) == 0 && event.step == at_step) {
            *value = event.value;
            n++;
        }
    ck_assert_uint_eq(at, size);
    free(bytes);
    return n;
}

/* The first record of every such file: 24 bytes, whose length has a known checksum. In the next one a summary (field 5
 * of Event) with a value (1 of Summary) that has a tag and a simple value (1, 2 of Value). */
START_TEST(begins_like_all_such_files)
{
    static const unsigned char head[12] = {0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22};
    char *bytes;
    step("pretrain", 1);
    size_t size = load(&bytes);
    ck_assert_uint_gt(size, 40);
    ck_assert_mem_eq(bytes, head, sizeof head);
    ck_assert_mem_eq(bytes + 12 + 9 + 2, "brain.Event:2", 13);
    ck_assert_ptr_nonnull(memmem(bytes, size, "\x2a\x16\x0a\x14\x0a\x0dpretrain/loss\x15\x00\x00\x20\x41", 24));
    free(bytes);
}
END_TEST

START_TEST(what_the_log_says)
{
    float x = 0;
    step("pretrain", 1);
    step("pretrain", 300);
    say("{\"event\":\"valid\",\"stage\":\"pretrain\",\"step\":300,\"r2\":0.75,\"best\":0.5,\"best_step\":2}");
    json_t *metrics = json_pack("{s:{s:{s:f,s:i},s:{s:{s:{s:f}}}}}", "test", "r2", "mean", 0.625, "n", 4, "baselines",
                                "wiener", "r2", "mean", 0.5);
    ck_ok(loom_events_metrics(&dir, "evaluate", metrics, &error), &error);
    json_decref(metrics);
    ck_assert_int_eq(said("pretrain/loss", 1, &x), 1);
    ck_near(x, 10, 0);
    ck_assert_int_eq(said("pretrain/terms/mae", 300, &x), 1);
    ck_near(x, 75, 0);
    ck_assert_int_eq(said("pretrain/lr", 300, &x), 1);
    ck_near(x, 0.5, 0);
    ck_assert_int_eq(said("pretrain/norm", 300, &x), 0); /* null is no number */
    ck_assert_int_eq(said("pretrain/valid/r2", 300, &x), 1);
    ck_near(x, 0.75, 0);
    ck_assert_int_eq(said("evaluate/test/r2", 0, &x), 1);
    ck_near(x, 0.625, 0);
    ck_assert_int_eq(said("evaluate/test/wiener/r2", 0, &x), 1);
    ck_near(x, 0.5, 0);
}
END_TEST

/* Cut back with the log: what a torn record and later steps said is gone, other stages stay. */
START_TEST(rewinds_with_the_log)
{
    float x;
    for (int i = 1; i <= 4; i++)
        step("first", i);
    for (int i = 1; i <= 4; i++)
        step("second", i);
    FILE *f = fopen(path, "ab");
    ck_assert_int_eq((int)fwrite("\x18\0\0\0torn", 1, 8, f), 8);
    fclose(f);
    ck_ok(loom_rundir_log_rewind(&dir, "first", 4, &error), &error);
    ck_assert_int_eq(said("second/loss", 4, &x), 1);
    ck_ok(loom_rundir_log_rewind(&dir, "second", 2, &error), &error);
    ck_assert_int_eq(said("second/loss", 2, &x), 1);
    ck_assert_int_eq(said("second/loss", 3, &x), 0);
    for (int i = 3; i <= 4; i++)
        step("second", i);
    for (int i = 1; i <= 4; i++) {
        ck_assert_int_eq(said("first/loss", i, &x), 1);
        ck_assert_int_eq(said("second/loss", i, &x), 1);
    }
    ck_ok(loom_events_rewind(&dir, "sec", 0, &error), &error); /* another stage, whose name only begins alike */
    ck_assert_int_eq(said("second/loss", 4, &x), 1);
}
END_TEST

/* A flipped bit anywhere ends the reading before its record. */
START_TEST(damage_is_seen)
{
    char *bytes;
    struct loom_event event;
    step("pretrain", 1);
    size_t size = load(&bytes), first = 0;
    ck_assert(loom_events_read(bytes, size, &first, &event));
    for (size_t i = 0; i < first; i++)
        for (int bit = 0; bit < 8; bit++) {
            size_t at = 0;
            bytes[i] ^= (char)(1 << bit);
            ck_assert_msg(!loom_events_read(bytes, size, &at, &event), "bit %d of byte %zu", bit, i);
            bytes[i] ^= (char)(1 << bit);
        }
    for (size_t n = 0; n < first; n++) {
        size_t at = 0;
        ck_assert(!loom_events_read(bytes, n, &at, &event));
    }
    free(bytes);
}
END_TEST

START_TEST(off_says_nothing)
{
    dir.events = 0;
    step("pretrain", 1);
    ck_assert(!loom_file_exists(path));
    ck_ok(loom_events_rewind(&dir, "pretrain", 0, &error), &error);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {begins_like_all_such_files, what_the_log_says, rewinds_with_the_log, damage_is_seen,
                                  off_says_nothing};
    return run_between("events", (int)(sizeof tests / sizeof *tests), tests, 60, setup, teardown);
}
