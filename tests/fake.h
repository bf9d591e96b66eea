/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings made by hand for tests: random ones with gaps, trials that may overlap, and two behaviours. */
#ifndef LOOM_TESTS_FAKE_H
#define LOOM_TESTS_FAKE_H

#include <loom/data.h>
#include <loom/rng.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAKE_UNITS = 12, FAKE_SPIKES = 6000, FAKE_SAMPLES = 4000, FAKE_TRIALS = 64, FAKE_BINS = 3000, FAKE_BLOCKS = 8 };

struct fake {
    struct loom_recording r;
    char id[32], unit_name[FAKE_UNITS][16];
    struct loom_unit unit[FAKE_UNITS];
    int64_t first_spike[FAKE_UNITS + 1];
    double spike[FAKE_SPIKES];
    struct loom_counts counts;
    double block_start[FAKE_BLOCKS];
    int64_t first_bin[FAKE_BLOCKS + 1];
    uint16_t count[FAKE_BINS * FAKE_UNITS];
    struct loom_series series[2];
    double time[FAKE_SAMPLES];
    float position[FAKE_SAMPLES], pupil[FAKE_SAMPLES];
    struct loom_intervals intervals[5];
    double own_start[3][FAKE_TRIALS], own_stop[3][FAKE_TRIALS]; /* of a split of its own */
    double start[FAKE_TRIALS], stop[FAKE_TRIALS], go[FAKE_TRIALS], bad_start[2], bad_stop[2];
    const char *part[FAKE_TRIALS];
    struct loom_column column[2];
    double observed[2 * FAKE_BLOCKS];
};

static const char *const fake_dim[] = {"x"};

static int fake_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Times on a grid of a tenth of a millisecond, so that edges and duplicates are met. */
static double fake_time(struct loom_rng *g, double from, double to)
{
    return floor((from + (to - from) * loom_rng_uniform(g)) * 1e4) / 1e4;
}

static void fake_observe(struct fake *f, struct loom_rng *g, int blocks)
{
    double t = floor(loom_rng_uniform(g) * 100.0) / 10.0 - 3.0;
    for (int b = 0; b < blocks; b++) {
        f->observed[2 * b] = t;
        f->observed[2 * b + 1] = t + 0.05 * (20 + loom_rng_below(g, 200));
        t = f->observed[2 * b + 1] + (b % 2 == 0 ? 0.73 : 0.0005);
    }
    f->r.observed_count = blocks;
    f->r.observed_s = f->observed;
    f->r.start_s = f->observed[0];
    f->r.stop_s = f->observed[2 * blocks - 1];
}

static void fake_spikes(struct fake *f, struct loom_rng *g)
{
    int64_t n = 0;
    for (int u = 0; u < f->r.units; u++) {
        f->first_spike[u] = n;
        int64_t mine = loom_rng_below(g, FAKE_SPIKES / FAKE_UNITS);
        for (int64_t i = 0; i < mine; i++)
            f->spike[n + i] = fake_time(g, f->r.start_s - 1.0, f->r.stop_s + 1.0);
        if (mine > 0)
            qsort(f->spike + n, (size_t)mine, sizeof *f->spike, fake_ascending);
        n += mine;
    }
    f->first_spike[f->r.units] = n;
    f->r.first_spike = f->first_spike;
    f->r.spike_s = f->spike;
}

static void fake_counts(struct fake *f, struct loom_rng *g, double bin_s)
{
    for (int b = 0; b < f->r.observed_count; b++) {
        double length = f->observed[2 * b + 1] - f->observed[2 * b];
        f->block_start[b] = f->observed[2 * b];
        f->first_bin[b + 1] = f->first_bin[b] + (int64_t)floor(length / bin_s + 0.5);
    }
    for (int64_t i = 0; i < f->first_bin[f->r.observed_count] * f->r.units; i++)
        f->count[i] = (uint16_t)loom_rng_below(g, 4);
    f->counts = (struct loom_counts){bin_s, f->r.observed_count, f->block_start, f->first_bin, f->count};
    f->r.counts = &f->counts;
}

static void fake_series(struct fake *f, struct loom_rng *g)
{
    int n = 0;
    for (double t = f->r.start_s - 0.5; t < f->r.stop_s + 0.5 && n < FAKE_SAMPLES;
         t += 0.001 + 0.05 * loom_rng_uniform(g))
        f->time[n++] = t;
    for (int i = 0; i < FAKE_SAMPLES; i++) {
        f->position[i] = (float)i;
        f->pupil[i] = i % 7 == 0 ? NAN : (float)(-i);
    }
    int64_t regular = (int64_t)((f->r.stop_s - f->r.start_s) * 30.0);
    f->series[0] = (struct loom_series){
        "position", "cm",         1,    fake_dim,   regular < FAKE_SAMPLES ? regular : FAKE_SAMPLES,
        30.0,       f->r.start_s, NULL, f->position};
    f->series[1] = (struct loom_series){"pupil", "", 1, fake_dim, n, 0.0, 0.0, f->time, f->pupil};
    f->r.series = f->series;
    f->r.series_count = 2;
}

static void fake_trials(struct fake *f, struct loom_rng *g, int overlap)
{
    static const char *const part[] = {"train", "val", "test", "none"};
    double t = f->r.start_s - 0.2;
    int n = 0;
    for (; n < FAKE_TRIALS && t < f->r.stop_s; n++) {
        f->start[n] = t;
        f->stop[n] = t + 0.2 + 0.8 * loom_rng_uniform(g);
        f->go[n] = t + 0.1 + 0.1 * loom_rng_uniform(g);
        f->part[n] = part[loom_rng_below(g, 4)];
        t = overlap ? t + 0.1 + 0.5 * loom_rng_uniform(g) : f->stop[n] + 0.2 * loom_rng_uniform(g);
    }
    f->column[0] = (struct loom_column){"go", f->go, NULL};
    f->column[1] = (struct loom_column){"split", NULL, f->part};
    f->intervals[0] = (struct loom_intervals){"trials", n, 2, f->start, f->stop, f->column};
    f->bad_start[0] = f->r.start_s + 1.01;
    f->bad_stop[0] = f->r.start_s + 1.3;
    f->intervals[1] = (struct loom_intervals){"invalid_times", 1, 0, f->bad_start, f->bad_stop, NULL};
    f->r.intervals = f->intervals;
    f->r.intervals_count = 2;
}

/* train_domain, val_domain and test_domain: stretches that follow each other, some nobody's, on no bins' grid. */
static void fake_own_split(struct fake *f, struct loom_rng *g)
{
    static const char *const name[] = {"train_domain", "val_domain", "test_domain"};
    int n[3] = {0};
    double stop;
    for (double t = floor(1e4 * (f->r.start_s - 0.3)) * 1e-4; t < f->r.stop_s + 0.3; t = stop) {
        int split = (int)loom_rng_below(g, 4);
        stop = floor(1e4 * (t + 0.2 + 2.0 * loom_rng_uniform(g))) * 1e-4;
        if (split == 3 || n[split] == FAKE_TRIALS)
            continue;
        f->own_start[split][n[split]] = t;
        f->own_stop[split][n[split]++] = stop;
    }
    for (int k = 0; k < 3; k++)
        f->intervals[2 + k] = (struct loom_intervals){name[k], n[k], 0, f->own_start[k], f->own_stop[k], NULL};
    f->r.intervals_count = 5;
}

/* A recording that hangs on the seed alone; binned_s > 0: it comes in bins of that width. The caller frees it. */
static struct fake *fake_new(uint64_t seed, int number, double binned_s)
{
    struct fake *f = calloc(1, sizeof *f);
    struct loom_rng g;
    loom_rng_init(&g, seed, "fake", (uint64_t)number, 0);
    snprintf(f->id, sizeof f->id, "fake_%d", number);
    f->r = (struct loom_recording){.id = f->id,
                                   .subject = number % 2 ? "Ada" : "",
                                   .session = "",
                                   .task = "reach",
                                   .date = "",
                                   .file = "fake.h",
                                   .unit = f->unit};
    f->r.units = 1 + (int)loom_rng_below(&g, FAKE_UNITS);
    for (int u = 0; u < f->r.units; u++) {
        snprintf(f->unit_name[u], sizeof f->unit_name[u], "unit%d", u);
        f->unit[u] =
            (struct loom_unit){.name = f->unit_name[u], .group = "", .region = "M1", .electrode = -1, .x = NAN};
    }
    fake_observe(f, &g, 1 + (int)loom_rng_below(&g, FAKE_BLOCKS - 1));
    if (binned_s > 0.0)
        fake_counts(f, &g, binned_s);
    else
        fake_spikes(f, &g);
    fake_series(f, &g);
    fake_trials(f, &g, number % 3 == 0);
    fake_own_split(f, &g);
    return f;
}

#endif
