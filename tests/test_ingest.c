/* SPDX-License-Identifier: Apache-2.0 */
/* The way from a source to a recording: what goes in comes out, and whatever the child does the parent lives. */
#include "suite.h"

#include "reading.h"

#include "data/cache.h"
#include "data/values.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

/* Stands before the C library's: where `named` is set, no file system has files without a name. */
static int named, refused;

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (named && (flags & O_TMPFILE) == O_TMPFILE) {
        refused++;
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static const char *file_of_test(void)
{
    const char *path = scratch_path("a.dat");
    if (access(path, R_OK) != 0) {
        FILE *f = fopen(path, "w");
        fputs("content", f);
        fclose(f);
    }
    return path;
}

static int mad_reads(struct loom_recordings **out, const char *options, const char *file, struct loom_ingest how,
                     struct loom_error *e)
{
    char module[512];
    const char *built = getenv("top_builddir");
    snprintf(module, sizeof module, "%s/tests/sources/.libs/mad.so", built != NULL ? built : ".");
    return read_by(out, module, options, file, how, e);
}

static int mad(struct loom_recordings **out, const char *options, struct loom_ingest how, struct loom_error *e)
{
    return mad_reads(out, options, file_of_test(), how, e);
}

static void check_shared(const struct loom_recording *r)
{
    ck_assert_str_eq(r->id, "a#0");
    ck_assert_str_eq(r->subject, "monkey");
    ck_assert_str_eq(r->session, "s1");
    ck_assert_str_eq(r->task, "reach");
    ck_assert_str_eq(r->date, "2026-01-02");
    ck_assert_int_eq(r->units, 3);
    ck_assert_str_eq(r->unit[0].name, "a");
    ck_assert_str_eq(r->unit[1].name, "unit1");
    ck_assert_str_eq(r->unit[2].name, "a#2");
    ck_assert_str_eq(r->unit[0].group, "probe");
    ck_assert_str_eq(r->unit[0].region, "M1");
    ck_assert_int_eq(r->unit[0].electrode, 7);
    ck_assert_int_eq(r->unit[0].held_out, 0);
    ck_assert_int_eq(r->unit[1].held_out, 1);
    ck_near(r->unit[0].y, 2, 0);
    ck_assert(isnan(r->unit[0].z));
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_assert_ptr_nonnull(t);
    ck_assert_int_eq(t->rows, 3);
    ck_near(t->start_s[2], 3, 0);
    ck_near(t->stop_s[2], 4, 0);
    ck_near(loom_intervals_column(t, "n")->number[2], 30, 0);
    ck_assert(isnan(loom_intervals_column(t, "n")->number[1]));
    ck_assert_ptr_null(loom_intervals_column(t, "n")->text);
    ck_assert_str_eq(loom_intervals_column(t, "side")->text[0], "left");
    ck_assert_str_eq(loom_intervals_column(t, "side")->text[1], "");
    ck_assert_str_eq(loom_intervals_column(t, "side")->text[2], "r\xc3\xa9ussi");
    ck_assert_ptr_null(loom_intervals_column(t, "absent"));
    const struct loom_series *v = loom_recording_series(r, "vel"), *eye = loom_recording_series(r, "eye");
    ck_assert(v != NULL && eye != NULL && v->dims == 2 && v->samples == 3 && eye->samples == 3);
    ck_near(v->rate_hz, 10, 0);
    ck_near(v->start_s, 0.5, 0);
    ck_assert_str_eq(v->unit, "cm/s");
    ck_assert_str_eq(v->dim_name[1], "y");
    ck_assert_ptr_null(v->time_s);
    ck_near(v->value[0], 1, 0);
    ck_near(v->value[5], 6, 0);
    ck_assert(isnan(v->value[2]) && isnan(v->value[3]));
    ck_near(eye->time_s[2], 2.25, 0);
    ck_assert_str_eq(eye->dim_name[0], "");
    ck_assert_int_eq(r->observed_count, 2);
    ck_near(r->observed_s[1], 2, 0);
    ck_near(r->observed_s[2], 3, 0);
}

/* Every length up to a few vectors, at every address within one, with the fault in every place. */
START_TEST(values_are_looked_at)
{
    enum { MOST = 40 };
    unsigned char room[8 + MOST * sizeof(double)];
    for (size_t n = 0; n < MOST; n++)
        for (size_t shift = 0; shift < 8; shift++) {
            double time[MOST];
            float value[MOST];
            for (size_t i = 0; i < n; i++) {
                time[i] = (double)(i / 2);
                value[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? 3.4e38F : -0.0F;
            }
            memcpy(room + shift, time, n * sizeof *time);
            ck_assert(loom_times_ascend(room + shift, n, 0) && loom_times_ascend(room + shift, n, -INFINITY));
            ck_assert(n == 0 || !loom_times_ascend(room + shift, n, 0.5));
            memcpy(room + shift, value, n * sizeof *value);
            ck_assert(!loom_floats_any_infinite(room + shift, n));
            for (size_t i = 0; i < n; i++) {
                double bad[] = {-1, NAN};
                for (size_t k = 0; k < 2; k++) {
                    memcpy(room + shift, time, n * sizeof *time);
                    memcpy(room + shift + i * sizeof *time, &bad[k], sizeof *bad);
                    ck_assert_msg(!loom_times_ascend(room + shift, n, 0), "%g in place %zu of %zu", bad[k], i, n);
                }
                const float endless = i % 2 ? INFINITY : -INFINITY;
                memcpy(room + shift, value, n * sizeof *value);
                memcpy(room + shift + i * sizeof *value, &endless, sizeof endless);
                ck_assert_msg(loom_floats_any_infinite(room + shift, n), "place %zu of %zu", i, n);
            }
        }
}
END_TEST

static void take_times(void)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    ck_ok(mad(&set, "deed = \"times\";", anew, &e), &e);
    ck_assert_int_eq(loom_recordings_count(set), 2);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    check_shared(r);
    const double sorted[5] = {1, 2, 2, 3, 3};
    const int64_t first[4] = {0, 4, 4, 5};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(r->first_spike[i], first[i]);
    for (int i = 0; i < 5; i++)
        ck_near(r->spike_s[i], sorted[i], 0);
    ck_assert_ptr_null(r->counts);
    ck_near(r->start_s, 0, 0);
    ck_near(r->stop_s, 4, 0);
    ck_assert_str_eq(loom_recordings_at(set, 1)->id, "second");
    ck_assert_int_eq(loom_recordings_at(set, 1)->units, 0);
    ck_assert_ptr_null(loom_recordings_at(set, 2));
    ck_assert_ptr_nonnull(strstr(warned, "2 infinite values"));
    loom_recordings_free(set);
}

START_TEST(times_come_through)
{
    take_times();
}
END_TEST

static void take_counts(void)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    ck_ok(mad(&set, "deed = \"counts\";", anew, &e), &e);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const uint16_t count[9] = {0, 1, 65535, 3, 4, 5, 3, 4, 5};
    check_shared(r);
    ck_assert_ptr_null(r->first_spike);
    ck_assert_int_eq(r->counts->blocks, 2);
    ck_near(r->counts->bin_s, 0.02, 0);
    ck_near(r->counts->block_start_s[1], 5, 0);
    ck_assert_int_eq(r->counts->first_bin[1], 2);
    ck_assert_int_eq(r->counts->first_bin[2], 3);
    ck_assert_int_eq(memcmp(r->counts->count, count, sizeof count), 0);
    ck_near(r->stop_s, 5.02, 1e-12);
    loom_recordings_free(set);
}

START_TEST(counts_come_through)
{
    take_counts();
}
END_TEST

/* Spools have a name for a moment, and what stays is copied from them. */
START_TEST(without_nameless_files)
{
    char command[600];
    scratch_make();
    named = 1;
    take_times();
    take_counts();
    ck_assert_int_ge(refused, 2);
    snprintf(command, sizeof command,
             "test $(ls -A %s | grep -c loom$) -eq 2 && ! ls -A %s | grep -v -e loom$ -e a.dat", scratch, scratch);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(options_come_through)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    ck_ok(mad(&set, "numbers = ( 0.1, -3.0e-300, 5.0 ); words = ( \"a\\\"b\\\\c\", \"d e\", \"\\x07;\" );",
              (struct loom_ingest){0}, &e),
          &e);
    const struct loom_intervals *t = loom_recording_intervals(loom_recordings_at(set, 0), "trials");
    ck_assert_ptr_nonnull(loom_intervals_column(t, "a\"b\\c"));
    ck_near(loom_intervals_column(t, "a\"b\\c")->number[0], 0.1, 0);
    ck_near(loom_intervals_column(t, "d e")->number[0], -3e-300, 0);
    ck_near(loom_intervals_column(t, "\x07;")->number[0], 5, 0);
    loom_recordings_free(set);
}
END_TEST

static const double times_there[5] = {1, 2, 3, NAN, 0.25};
static const float values_there[6] = {1, 2, INFINITY, 4, NAN, 6};

/* Values that no address is good for, behind three bytes. */
static const char *file_with_values(void)
{
    const char *path = scratch_path("there.dat");
    FILE *f = fopen(path, "w");
    fwrite("abc", 1, 3, f);
    fwrite(times_there, sizeof *times_there, 5, f);
    fwrite(values_there, sizeof *values_there, 6, f);
    fclose(f);
    return path;
}

START_TEST(what_stands_in_the_file_is_read_there)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    const char *path = file_with_values();
    const double spikes[6] = {0.5, 1, 2, 3, 0.25, 3};
    warned[0] = '\0';
    ck_ok(mad_reads(&set, "deed = \"point\";", path, (struct loom_ingest){0}, &e), &e);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    ck_assert(r->first_spike[1] == 4 && r->first_spike[2] == 4 && r->first_spike[3] == 6);
    for (int i = 0; i < 6; i++)
        ck_near(r->spike_s[i], spikes[i], 0);
    ck_near(r->start_s, 0, 0);
    ck_near(r->stop_s, 3, 0);
    for (int k = 0; k < 2; k++) {
        const struct loom_series *s = loom_recording_series(r, k == 0 ? "vel" : "eye");
        ck_assert(s != NULL && s->samples == (k == 0 ? 3 : 2));
        for (int i = 0; i < 6; i++)
            ck_assert(isfinite(values_there[i]) ? s->value[i] == values_there[i] : isnan(s->value[i]));
    }
    ck_near(loom_recording_series(r, "eye")->time_s[1], 2, 0);
    ck_assert_ptr_nonnull(strstr(warned, "1 spikes of unit 2 have no finite time"));
    ck_assert_ptr_nonnull(strstr(warned, "2 infinite values are read as missing"));
    loom_recordings_free(set);
    ck_fails(mad_reads(&set, "deed = \"point beyond\";", path, (struct loom_ingest){0}, &e), LOOM_EDATA, &e,
             "9 values");
}
END_TEST

START_TEST(a_file_that_changes_is_not_read)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    char options[4096];
    const char *path = scratch_path("grows.dat");
    FILE *f = fopen(path, "w");
    fputs("content", f);
    fclose(f);
    snprintf(options, sizeof options, "mark = \"%s\";", path);
    ck_fails(mad_reads(&set, options, path, (struct loom_ingest){0}, &e), LOOM_EDATA, &e, "from 7 bytes to 8");
    ck_assert_ptr_null(set);
}
END_TEST

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

START_TEST(a_bad_end_is_told)
{
    static const struct {
        const char *deed, *words;
        struct loom_ingest how;
        int code;
    } end[] = {
        {"segv", "/deep/object: the process that read the file died of signal 11", {0}, LOOM_EDATA},
        {"segv", "It said: ", {0}, LOOM_EDATA},
        {"segv", "corrupted heap", {0}, LOOM_EDATA},
        {"abort", "died of signal 6", {0}, LOOM_EDATA},
        {"exit", "ended with code 0 and no word", {0}, LOOM_EDATA},
        {"sleep", "/deep/object: reading was stopped after 3 s without a sign of life", {.silence_s = 3}, LOOM_EDATA},
        {"chatter", "/again: reading was stopped after 3 s in all", {.wall_s = 3}, LOOM_EDATA},
        {"spin", "limit 1 s of processor time", {.cpu_s = 1}, LOOM_EDATA},
        {"noise", "the file may be damaged", {0}, LOOM_EDATA},
        {"huge frame", "message of 4294967295 bytes", {0}, LOOM_EDATA},
        {"wrong checksum", "damaged message", {0}, LOOM_EDATA},
        {"half a frame", "no word", {0}, LOOM_EDATA},
        {"nan spike", "has no finite time", {0}, LOOM_EDATA},
        {"unit without end", "broke the order", {0}, LOOM_EINVAL},
        {"huge block", "exceed the limit", {0}, LOOM_EDATA},
        {"overlap", "inside the one before", {0}, LOOM_EDATA},
        {"both", "one or the other", {0}, LOOM_EDATA},
        {"back in time", "after one at 2 s", {0}, LOOM_EDATA},
        {"backward trial", "from 2 s to 1 s: mend it", {0}, LOOM_EDATA},
        {"twins", "two series are called \"x\"", {0}, LOOM_EDATA},
        {"nothing", "no recording in it", {0}, LOOM_EDATA},
        {"refuse", "will not; ask otherwise", {0}, LOOM_ECONFIG},
        {"point", "3 values at byte 3 of a file of 7 bytes", {0}, LOOM_EDATA},
        {"times", "MiB of data", {.data_bytes = 100, .refresh = 1}, LOOM_EDATA},
    };
    for (size_t i = 0; i < sizeof end / sizeof *end; i++) {
        char options[64];
        struct loom_recordings *set;
        struct loom_error e = {0};
        double began = seconds();
        snprintf(options, sizeof options, "deed = \"%s\";", end[i].deed);
        int status = mad(&set, options, end[i].how, &e);
        ck_assert_ptr_null(set);
        if (end[i].code != LOOM_ECONFIG)
            ck_assert_msg(strstr(e.file, "a.dat") != NULL, "%s: the error names \"%s\"", end[i].deed, e.file);
        ck_fails(status, end[i].code, &e, end[i].words);
        ck_assert_msg(seconds() - began < 120, "%s took %g s", end[i].deed, seconds() - began);
    }
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__)
START_TEST(memory_is_limited)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    struct loom_ingest how = {.memory_bytes = (int64_t)2 << 30};
    ck_fails(mad(&set, "deed = \"hog\";", how, &e), LOOM_ENOMEM, &e, "no more after");
}
END_TEST
#endif

static size_t marks(void)
{
    struct stat st;
    return stat(scratch_path("mark"), &st) == 0 ? (size_t)st.st_size : 0;
}

static void read_marked(const char *more, struct loom_ingest how)
{
    char options[512];
    struct loom_recordings *set;
    struct loom_error e = {0};
    snprintf(options, sizeof options, "mark = \"%s\"; %s", scratch_path("mark"), more);
    ck_ok(mad(&set, options, how, &e), &e);
    check_shared(loom_recordings_at(set, 0));
    loom_recordings_free(set);
}

START_TEST(cache_is_used_while_it_is_true)
{
    const struct timespec old[2] = {{1000, 0}, {1000, 0}};
    scratch_make();
    read_marked("", (struct loom_ingest){0});
    read_marked("", (struct loom_ingest){0});
    ck_assert_uint_eq(marks(), 1);
    ck_assert_int_eq(utimensat(AT_FDCWD, file_of_test(), old, 0), 0);
    read_marked("", (struct loom_ingest){0});
    ck_assert_uint_eq(marks(), 2);
    read_marked("", (struct loom_ingest){.refresh = 1});
    ck_assert_uint_eq(marks(), 3);
    read_marked("deed = \"counts\";", (struct loom_ingest){0});
    ck_assert_uint_eq(marks(), 4);
}
END_TEST

/* A cache and what it is called, made from a file that stays. */
static char *make_cache(size_t *size, char path[512])
{
    struct loom_error e = {0};
    char *bytes, command[600];
    scratch_make();
    read_marked("", (struct loom_ingest){0});
    snprintf(command, sizeof command, "ls %s/*.loom", scratch);
    FILE *f = popen(command, "r");
    ck_assert_ptr_nonnull(fgets(path, 512, f));
    pclose(f);
    path[strcspn(path, "\n")] = '\0';
    ck_ok(loom_file_read(&bytes, size, path, 1 << 20, &e), &e);
    return bytes;
}

static int opens(const char *path)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    int status = loom_cache_open(&set, path, NULL, "a", &e);
    loom_recordings_free(set);
    return status;
}

START_TEST(every_damaged_byte_is_found)
{
    size_t size;
    char path[512];
    char *bytes = make_cache(&size, path);
    int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(opens(path), LOOM_OK);
    for (size_t i = 0; i < size; i++) {
        char other = (char)(bytes[i] ^ (1 << i % 8));
        ck_assert_int_eq(pwrite(fd, &other, 1, (off_t)i), 1);
        ck_assert_msg(opens(path) == LOOM_EDATA, "byte %zu of %zu", i, size);
        ck_assert_int_eq(pwrite(fd, bytes + i, 1, (off_t)i), 1);
    }
    ck_assert_int_eq(opens(path), LOOM_OK);
    for (size_t i = 0; i < size; i += 97) {
        ck_assert_int_eq(ftruncate(fd, (off_t)i), 0);
        ck_assert_int_eq(opens(path), LOOM_EDATA);
    }
    close(fd);
    free(bytes);
}
END_TEST

START_TEST(damaged_cache_is_made_anew)
{
    struct loom_error e = {0};
    size_t size;
    char path[512];
    char *bytes = make_cache(&size, path);
    bytes[size / 2] ^= 1;
    ck_ok(loom_file_write(path, bytes, size, &e), &e);
    read_marked("", (struct loom_ingest){0});
    ck_assert_uint_eq(marks(), 2);
    ck_assert_int_eq(opens(path), LOOM_OK);
    free(bytes);
}
END_TEST

START_TEST(many_may_read_at_once)
{
    pid_t child[4];
    file_of_test();
    for (int i = 0; i < 4; i++) {
        child[i] = fork();
        ck_assert_int_ge(child[i], 0);
        if (child[i] == 0) {
            int bad = 0;
            for (int k = 0; k < 3; k++) {
                struct loom_recordings *set;
                struct loom_error e = {0};
                struct loom_ingest how = {.refresh = 1};
                bad |= mad(&set, "", how, &e) != LOOM_OK || loom_recordings_count(set) != 2;
                loom_recordings_free(set);
            }
            _exit(bad);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;
        ck_assert_int_eq(waitpid(child[i], &status, 0), child[i]);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

START_TEST(what_is_not_there_is_told)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    char module[512];
    snprintf(module, sizeof module, "%s/tests/sources/.libs/mad.so", getenv("top_builddir"));
    ck_fails(read_by(&set, module, "", "/nonexistent/a.dat", (struct loom_ingest){0}, &e), LOOM_EDATA, &e,
             "/nonexistent/a.dat: cannot open");
    ck_fails(read_by(&set, module, "", scratch, (struct loom_ingest){0}, &e), LOOM_EDATA, &e, "is no file");
    ck_fails(mad(&set, "", (struct loom_ingest){.cache = "/proc/none"}, &e), LOOM_EIO, &e, "/proc/none");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        values_are_looked_at,
        times_come_through,
        counts_come_through,
        without_nameless_files,
        options_come_through,
        what_stands_in_the_file_is_read_there,
        a_file_that_changes_is_not_read,
        a_bad_end_is_told,
#if !defined(__SANITIZE_ADDRESS__)
        memory_is_limited,
#endif
        cache_is_used_while_it_is_true,
        every_damaged_byte_is_found,
        damaged_cache_is_made_anew,
        many_may_read_at_once,
        what_is_not_there_is_told
    };
    loom_log_set(keep_warning, NULL);
    scratch_make();
    int code = run_suite("ingest", (int)(sizeof tests / sizeof *tests), tests, 60);
    scratch_remove();
    return code;
}
