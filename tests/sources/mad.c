/* SPDX-License-Identifier: Apache-2.0 */
/* A source that does one deed, good or bad, so that the parent of a reading process can be watched. */
#include <loom/plugin.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SINK = 3 };

static const struct loom_option mad_options[] = {
    {"deed", LOOM_OPT_STRING, 0, "times", NULL, NULL, "What to do."},
    {"mark", LOOM_OPT_STRING, 0, "", NULL, NULL, "A file that gets one byte for each reading."},
    {"numbers", LOOM_OPT_REALS, 0, "", NULL, NULL, "Values that must survive the way to the child."},
    {"words", LOOM_OPT_STRINGS, 0, "", NULL, NULL, "The same for texts."},
    {0},
};

static void units(struct loom_sink *s)
{
    struct loom_unit u = {"a", "probe", "M1", 7, 0, 1, 2, NAN};
    loom_sink_unit(s, &u);
    u.name = "";
    u.held_out = 1;
    loom_sink_unit(s, &u);
    u.name = "a";
    u.held_out = 0;
    loom_sink_unit(s, &u);
}

static void tables(struct loom_sink *s, const struct loom_options *o)
{
    const double start[3] = {1, 2, 3}, stop[3] = {1.5, 2, 4}, number[3] = {10, NAN, 30};
    const char *const text[3] = {"left", "", "r\xc3\xa9ussi"};
    const char *const axis[2] = {"x", "y"};
    const float value[6] = {1, 2, NAN, INFINITY, 5, 6};
    const double time[3] = {1, 1, 2.25};
    loom_sink_intervals(s, "trials", 3, start, stop);
    loom_sink_numbers(s, "n", number);
    loom_sink_texts(s, "side", text);
    for (size_t i = 0; i < loom_opt_count(o, "numbers"); i++)
        loom_sink_numbers(s, loom_opt_string_at(o, "words", i), (double[]){loom_opt_real_at(o, "numbers", i), 0, 0});
    int regular = loom_sink_series(s, "vel", "cm/s", 2, axis, 10, 0.5);
    int timed = loom_sink_series(s, "eye", "", 2, NULL, 0, 0);
    loom_sink_samples(s, regular, 1, NULL, value);
    loom_sink_samples(s, timed, 3, time, value);
    loom_sink_samples(s, regular, 2, NULL, value + 2);
    loom_sink_observed(s, 3, 4);
    loom_sink_observed(s, 0, 1);
    loom_sink_observed(s, 0.5, 2);
}

static void good(struct loom_sink *s, const struct loom_options *o, int binned)
{
    const double spikes[4] = {3, 1, 2, 2};
    const uint16_t count[6] = {0, 1, 65535, 3, 4, 5};
    loom_sink_recording(s, "", "monkey", "s1", "reach", "2026-01-02");
    units(s);
    if (binned) {
        loom_sink_counts(s, 0, 0.02, 2, count);
        loom_sink_counts(s, 5, 0.02, 1, count + 3);
    } else {
        loom_sink_spikes(s, 0, spikes, 2);
        loom_sink_spikes(s, 2, spikes, 1);
        loom_sink_spikes(s, 0, spikes + 2, 2);
    }
    tables(s, o);
    loom_sink_recording(s, "second", NULL, NULL, NULL, NULL);
}

/* What file_with_values() of test_ingest.c holds, which this process does not read. */
static void point(struct loom_sink *s, uint64_t beyond)
{
    const double time[2] = {1, 2};
    loom_sink_recording(s, "there", "", "", "", "");
    units(s);
    loom_sink_spikes(s, 0, (const double[]){0.5}, 1);
    loom_sink_spikes_at(s, 0, 3, 3);
    loom_sink_spikes_at(s, 2, 3 + 2 * sizeof *time, 3 + beyond);
    int regular = loom_sink_series(s, "vel", "cm/s", 2, NULL, 10, 0);
    int timed = loom_sink_series(s, "eye", "", 3, NULL, 0, 0);
    loom_sink_samples_at(s, regular, 3, NULL, 3 + 5 * sizeof *time);
    loom_sink_samples_at(s, timed, 2, time, 3 + 5 * sizeof *time);
}

static void spin(void)
{
    for (volatile unsigned x = 0;; x++)
        continue;
}

/* Bytes straight into the pipe, as from a process whose memory is gone. */
static void raw(const void *bytes, size_t n)
{
    if (write(SINK, bytes, n) != (ssize_t)n)
        _exit(9);
}

static int spoil(struct loom_sink *s, const char *deed)
{
    const double bad[1] = {NAN}, back[2] = {2, 1};
    const float value[2] = {0, 0};
    const uint16_t count[3] = {0};
    units(s);
    if (strcmp(deed, "nan spike") == 0)
        return loom_sink_spikes(s, 0, bad, 1);
    if (strcmp(deed, "unit without end") == 0)
        return loom_sink_spikes(s, 3, back, 2);
    if (strcmp(deed, "huge block") == 0)
        return loom_sink_counts(s, 0, 0.02, INT64_MAX / 8, count);
    if (strcmp(deed, "overlap") == 0)
        return loom_sink_counts(s, 0, 0.02, 1, count), loom_sink_counts(s, 0.01, 0.02, 1, count);
    if (strcmp(deed, "both") == 0)
        return loom_sink_spikes(s, 0, back, 2), loom_sink_counts(s, 0, 0.02, 1, count);
    if (strcmp(deed, "back in time") == 0)
        return loom_sink_samples(s, loom_sink_series(s, "x", "", 1, NULL, 0, 0), 2, back, value);
    if (strcmp(deed, "backward trial") == 0)
        return loom_sink_intervals(s, "trials", 1, back, back + 1);
    if (strcmp(deed, "twins") == 0)
        return loom_sink_series(s, "x", "", 1, NULL, 1, 0), loom_sink_series(s, "x", "", 1, NULL, 1, 0);
    return LOOM_OK;
}

static void go_wrong(struct loom_sink *s, const char *deed)
{
    unsigned char noise[4096];
    loom_sink_recording(s, "x", "", "", "", "");
    loom_sink_object(s, "/deep/object");
    fprintf(stderr, "corrupted heap\n");
    fflush(stderr);
    signal(SIGSEGV, SIG_DFL); /* sanitizers catch them otherwise */
    signal(SIGABRT, SIG_DFL);
    if (strcmp(deed, "segv") == 0)
        raise(SIGSEGV);
    if (strcmp(deed, "abort") == 0)
        abort();
    if (strcmp(deed, "exit") == 0)
        _exit(0);
    if (strcmp(deed, "sleep") == 0)
        pause();
    if (strcmp(deed, "spin") == 0)
        spin();
    if (strcmp(deed, "chatter") == 0)
        for (;;)
            loom_sink_object(s, "/again"), usleep(1000);
    if (strcmp(deed, "noise") == 0) {
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (unsigned char)(i * 2654435761u >> 13);
        raw(noise, sizeof noise);
    }
    if (strcmp(deed, "huge frame") == 0)
        raw((uint32_t[]){5, 0xffffffffu, 3, 0}, 16);
    if (strcmp(deed, "wrong checksum") == 0)
        raw((uint32_t[]){1, 1, 3, 0, 0}, 17);
    if (strcmp(deed, "half a frame") == 0) {
        raw((uint32_t[]){1, 1000, 3, 0}, 16);
        _exit(0);
    }
}

static int mad_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)e;
    *self = (void *)(uintptr_t)loom_setup_options(s);
    return LOOM_OK;
}

static int hog(struct loom_error *e)
{
    for (size_t n = 0; n < 4096; n++) {
        char *p = malloc((size_t)16 << 20);
        if (p == NULL)
            return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no more after %zu", n);
        memset(p, 1, 1);
    }
    return LOOM_OK;
}

static int mad_read(const void *self, const char *file, struct loom_sink *s, struct loom_error *e)
{
    const char *deed = loom_opt_string(self, "deed"), *mark = loom_opt_string(self, "mark");
    FILE *f = mark[0] != '\0' ? fopen(mark, "a") : NULL;
    (void)file;
    printf("noise on standard output\n");
    if (f != NULL) {
        fputc('.', f);
        fclose(f);
    }
    if (strcmp(deed, "times") == 0 || strcmp(deed, "counts") == 0) {
        good(s, self, deed[0] == 'c');
        return LOOM_OK;
    }
    if (strcmp(deed, "point") == 0 || strcmp(deed, "point beyond") == 0) {
        point(s, deed[5] != '\0' ? 6 : 0);
        return LOOM_OK;
    }
    if (strcmp(deed, "refuse") == 0)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "will not; ask otherwise");
    if (strcmp(deed, "nothing") == 0)
        return LOOM_OK;
    if (strcmp(deed, "hog") == 0)
        return hog(e);
    go_wrong(s, deed);
    return spoil(s, deed);
}

static const struct loom_source mad_source = {.part = {.size = sizeof mad_source, .create = mad_create},
                                              .read = mad_read};

static const struct loom_plugin mad_plugin = {
    .size = sizeof mad_plugin,
    .build = LOOM_BUILD_BLOCK,
    .id = "mad",
    .version = "1.0",
    .summary = "Does one deed.",
    .license = "Apache-2.0",
    .kind = LOOM_SOURCE,
    .options = mad_options,
    .table = &mad_source,
};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &mad_plugin : NULL;
}
