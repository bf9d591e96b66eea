/* SPDX-License-Identifier: Apache-2.0 */
/* What is exported of a run, read back. */
#include "suite.h"

#include "base/io.h"
#include "eval/arrays.h"
#include "eval/predictions.h"
#include "train/export.h"
#include "train/safetensors.h"

#include <loom/export.h>
#include <loom/run.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct loom_error error;
static char folder[64], run[96];

static char *at(const char *name)
{
    static char path[4][160];
    static int n;
    char *out = path[n++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static void train(void)
{
    snprintf(run, sizeof run, "%s/run%ld", folder, (long)getpid());
    const struct loom_run_spec spec = {
        .size = sizeof spec, .pipeline = in_sources("tests/export.cfg"), .out = run, .threads = 1};
    ck_ok(loom_run(&spec, &error), &error);
}

static int export(const char *out, int format, unsigned what, int nlb, const char *dataset)
{
    const struct loom_export_spec spec = {.size = sizeof spec,
                                          .run = run,
                                          .out = out,
                                          .what = what,
                                          .format = format,
                                          .nlb = nlb,
                                          .dataset = dataset,
                                          .threads = 1};
    return loom_export(&spec, &error);
}

static const struct loom_array *need(const struct loom_arrays *a, const char *name, int64_t trials, int64_t bins,
                                     int64_t units)
{
    const struct loom_array *x = loom_arrays_find(a, name);
    ck_assert_msg(x != NULL, "%s", name);
    ck_assert_msg(x->rank == 3 && x->dim[0] == trials && x->dim[1] == bins && x->dim[2] == units,
                  "%s: rank %d [%lld, %lld, %lld]", name, x->rank, (long long)x->dim[0], (long long)x->dim[1],
                  (long long)x->dim[2]);
    return x;
}

/* 17 of 24 trials train, 7 are for validation; 20 bins of 20 ms and 5 to come; 9 units seen and 3 held out. */
START_TEST(arrays_and_submission)
{
    static const char *const stem = "valid/sim1_day1/rates/";
    struct loom_arrays a = {0}, b = {0};
    struct loom_predictions p;
    char name[96];
    if (!loom_predictions_supported())
        return;
    train();
    ck_ok(
        export(at("e.h5"), LOOM_EXPORT_H5, LOOM_EXPORT_RATES | LOOM_EXPORT_LATENTS | LOOM_EXPORT_PREDICTIONS, 0, NULL),
        &error);
    ck_ok(loom_arrays_read_h5(&a, at("e.h5"), &error), &error);
    snprintf(name, sizeof name, "%spredicted", stem);
    const double *rates = need(&a, name, 7, 25, 12)->data;
    snprintf(name, sizeof name, "%starget", stem);
    const double *counts = need(&a, name, 7, 25, 12)->data;
    need(&a, "train/sim1_day1/handVel/target", 17, 50, 2);
    need(&a, "train/sim1_day1/spikes/predicted", 17, 25, 12);
    const struct loom_array *latents = loom_arrays_find(&a, "valid/sim1_day1/latents/value");
    const struct loom_array *times = loom_arrays_find(&a, "valid/sim1_day1/latents/time_s");
    ck_assert(latents != NULL && latents->rank == 2 && latents->dim[0] == 7 * 25 && latents->dim[1] == 16);
    ck_assert(times != NULL && times->dim[0] == 7 * 25);
    /* Linear readout of the logarithm: latents of two bins say how the rates differ, so they cannot all be alike. */
    ck_assert(((double *)latents->data)[0] != ((double *)latents->data)[16]);
    ck_near(((double *)times->data)[1] - ((double *)times->data)[0], 0.02, 1e-9);
    double sum = 0;
    for (int i = 0; i < 7 * 25 * 12; i++) {
        ck_assert(rates[i] > 0 && rates[i] < 100);
        sum += counts[i];
    }
    ck_assert(sum > 100 && sum == floor(sum));

    ck_ok(export(at("s.h5"), 0, 0, 1, "mc_maze_small"), &error);
    ck_ok(export(at("s.h5"), 0, 0, 1, "mc_maze_large"), &error);
    ck_ok(loom_arrays_read_h5(&b, at("s.h5"), &error), &error);
    const double *in = need(&b, "mc_maze_small_20/eval_rates_heldin", 7, 20, 9)->data;
    const double *out = need(&b, "mc_maze_small_20/eval_rates_heldout", 7, 20, 3)->data;
    const double *forward = need(&b, "mc_maze_large_20/eval_rates_heldout_forward", 7, 5, 3)->data;
    need(&b, "mc_maze_large_20/train_rates_heldin_forward", 17, 5, 9);

    /* Which units are held out the run's own predictions say; their columns are the submission's. */
    ck_ok(
        loom_predictions_read(&p, strcat(strcpy(name, run), "/predictions.h5"), "evaluate", "valid", "spikes", &error),
        &error);
    int held[12] = {0}, units = 0;
    for (int64_t i = 0; i < p.n && p.row[i].trial == p.row[0].trial && p.row[i].time_ns < p.row[0].time_ns + 1000000;
         i++)
        held[p.row[i].element] = p.row[i].held;
    for (int u = 0, i = 0, o = 0; u < 12; u++) {
        units += held[u] != 0;
        for (int t = 0; t < 7; t++)
            for (int k = 0; k < 25; k++) {
                const double rate = (float)rates[(t * 25 + k) * 12 + u];
                if (k < 20)
                    ck_assert(rate == (held[u] ? out[(t * 20 + k) * 3 + o] : in[(t * 20 + k) * 9 + i]));
                else if (held[u])
                    ck_assert(rate == forward[(t * 5 + k - 20) * 3 + o]);
            }
        i += held[u] == 0;
        o += held[u] != 0;
    }
    ck_assert_int_eq(units, 3);
    ck_fails(export(at("x.h5"), 0, 0, 1, NULL), LOOM_ECONFIG, &error, "--dataset");
    ck_fails(export(at("x.h5"), 0, 0, 1, "mc_maze_smal"), LOOM_ECONFIG, &error, "mc_maze_small");
    loom_predictions_release(&p);
    loom_arrays_release(&a);
    loom_arrays_release(&b);
}
END_TEST

/* Without HDF5 too: the other formats need no library, and hold the same numbers. */
START_TEST(safetensors)
{
    struct loom_tensors t;
    char *archive;
    size_t size;
    train();
    ck_ok(export(at("e.safetensors"), LOOM_EXPORT_SAFETENSORS, LOOM_EXPORT_RATES, 0, NULL), &error);
    ck_ok(loom_tensors_read(&t, at("e.safetensors"), 1, &error), &error);
    const struct loom_tensor *x = loom_tensors_find(&t, "train/sim1_day1/rates/predicted");
    ck_assert(x != NULL && x->rank == 3 && x->dim[0] == 17 && x->dim[1] == 25 && x->dim[2] == 12);
    ck_assert_ptr_nonnull(strstr(loom_tensors_meta(&t, "metadata"), "\"axes\":\"trial,bin,unit\""));
    ck_ok(export(at("e.npz"), LOOM_EXPORT_NPZ, LOOM_EXPORT_RATES, 0, NULL), &error);
    ck_ok(loom_file_read(&archive, &size, at("e.npz"), 1 << 24, &error), &error);
    ck_assert_uint_eq(x->bytes, 17 * 25 * 12 * sizeof(double));
    for (int i = 0; i < 17 * 25 * 12; i++)
        ck_assert(((const double *)x->data)[i] > 0 && ((const double *)x->data)[i] < 100);
    ck_assert_ptr_nonnull(memmem(archive, size, x->data, x->bytes));
    free(archive);
    loom_tensors_release(&t);
}
END_TEST

/* Two trials that share a time keep an answer each; trials of unequal length are a list of bins. */
START_TEST(grid_of_overlapping_trials)
{
    struct loom_predictions p;
    struct loom_grid g;
    loom_predictions_init(&p);
    for (int i = 0; i < 8; i++) {
        const struct loom_predicted row = {.trial = i / 4,
                                           .time_ns = (i / 2 % 2 + i / 4) * 1000000000LL,
                                           .element = i % 2,
                                           .held = (uint8_t)(i % 2),
                                           .target = i,
                                           .predicted = 10 + i};
        ck_ok(loom_predictions_add(&p, &row, NULL, &error), &error);
    }
    p.recordings = 0;
    ck_ok(loom_predictions_settle(&p, &error), &error);
    ck_assert_int_eq((int)p.n, 8);
    ck_ok(loom_grid_init(&g, &p, 0, &error), &error);
    ck_assert(g.rows == 4 && g.elements == 2 && g.trials == 2);
    for (int i = 0; i < 8; i++)
        ck_assert(g.predicted[i] == 10 + i && g.target[i] == i && g.held[i] == i % 2);
    ck_assert(g.trial[1] == 0 && g.trial[2] == 1 && g.time_s[1] == 1 && g.time_s[2] == 1);
    loom_grid_release(&g);
    p.n--;
    p.n--;
    ck_ok(loom_grid_init(&g, &p, 0, &error), &error);
    ck_assert(g.rows == 3 && g.trials == 0);
    struct loom_arrays a = {0};
    ck_fails(loom_export_submission(&a, &g, 1, "mc_maze", "eval", &error), LOOM_EDATA, &error,
             "trial 1 has no rate at bin 1 of unit 0");
    g.trial[0] = -1;
    ck_fails(loom_export_submission(&a, &g, 1, "mc_maze", "eval", &error), LOOM_EDATA, &error, "no trials");
    loom_grid_release(&g);
    loom_arrays_release(&a);
    loom_predictions_release(&p);
}
END_TEST

/* A folder that is no run is refused, and the caller's standard input stays open. */
START_TEST(nothing_to_export)
{
    ck_assert(dup2(open("/dev/null", O_RDONLY), STDIN_FILENO) == STDIN_FILENO);
    snprintf(run, sizeof run, "%s/none", folder);
    ck_fails(export(at("x.h5"), LOOM_EXPORT_H5, LOOM_EXPORT_RATES, 0, NULL), LOOM_ECONFIG, &error, "pipeline.cfg");
    ck_assert(fcntl(STDIN_FILENO, F_GETFD) != -1);
}
END_TEST

/* Bins to come that one trial lacks are left out for all. */
START_TEST(bins_to_come_of_another_split)
{
    for (int lacks = 0; lacks < 2; lacks++) {
        struct loom_predictions p;
        struct loom_grid g;
        struct loom_arrays a = {0};
        loom_predictions_init(&p);
        for (int i = 0; i < 12 - 2 * lacks; i++) {
            const int bin = i / 2 % 3;
            const struct loom_predicted row = {.trial = i / 6,
                                               .time_ns = (i / 6 * 10 + bin) * 1000000000LL,
                                               .element = i % 2,
                                               .held = (uint8_t)(bin == 2 ? LOOM_HELD_FORWARD : i % 2),
                                               .predicted = i};
            ck_ok(loom_predictions_add(&p, &row, NULL, &error), &error);
        }
        ck_ok(loom_predictions_settle(&p, &error), &error);
        ck_ok(loom_grid_init(&g, &p, 0, &error), &error);
        ck_ok(loom_export_submission(&a, &g, 1, "mc_maze", "eval", &error), &error);
        need(&a, "mc_maze/eval_rates_heldin", 2, 2, 1);
        need(&a, "mc_maze/eval_rates_heldout", 2, 2, 1);
        ck_assert((loom_arrays_find(&a, "mc_maze/eval_rates_heldin_forward") == NULL) == lacks);
        loom_grid_release(&g);
        loom_arrays_release(&a);
        loom_predictions_release(&p);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {arrays_and_submission, safetensors, grid_of_overlapping_trials,
                                  bins_to_come_of_another_split, nothing_to_export};
    snprintf(folder, sizeof folder, "/tmp/loom-export-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 99;
    setenv("LOOM_CACHE", folder, 1);
    int code = run_suite("export", (int)(sizeof tests / sizeof *tests), tests, 60);
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? code : 99;
}
