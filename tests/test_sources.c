/* SPDX-License-Identifier: Apache-2.0 */
/* The sources `mat` and `lfads` on files made here, and all file sources on real recordings under $LOOM_DATA, whose
 * figures stand in that folder's index. */
#include "suite.h"

#include "made_nwb.h"
#include "reading.h"

#include <glob.h>
#include <matio.h>

/* ---- made MATLAB files ---- */

static matvar_t *matrix(const char *name, size_t rows, size_t columns, const double *x)
{
    size_t dims[2] = {rows, columns};
    return Mat_VarCreate(name, MAT_C_DOUBLE, MAT_T_DOUBLE, 2, dims, (void *)(uintptr_t)x, 0);
}

static void put(mat_t *m, matvar_t *v)
{
    Mat_VarWrite(m, v, MAT_COMPRESSION_NONE);
    Mat_VarFree(v);
}

/* Two units, six bins of 20 ms in two trials; the fifth bin is missing in the second trial. */
static void make_matrix(const char *path, enum mat_ft version)
{
    const double counts[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, trial[6] = {1, 1, 1, 2, 2, 2};
    const double step[6] = {0, 1, 2, 0, 1, 3}, target[6] = {4, 4, 4, 7, 7, 7}, ms = 20;
    const double vel[18] = {1, 2, 0, 3, 4, 0, 5, 6, 0, 7, 8, 0, 9, 10, 0, 11, NAN, 0};
    const double clock[6] = {0, 20, 40, 1000, 1020, 1040};
    mat_t *m = Mat_CreateVer(path, NULL, version);
    put(m, matrix("spikes", 2, 6, counts));
    put(m, matrix("vel", 3, 6, vel));
    put(m, matrix("trial", 1, 6, trial));
    put(m, matrix("timestep", 1, 6, step));
    put(m, matrix("target", 6, 1, target));
    put(m, matrix("bin_ms", 1, 1, &ms));
    put(m, matrix("clock", 1, 6, clock));
    Mat_Close(m);
}

static void check_matrix(const struct loom_recording *r)
{
    ck_assert_int_eq(r->units, 2);
    ck_near(r->counts->bin_s, 0.02, 1e-15);
    ck_assert_int_eq(r->counts->blocks, 3);
    ck_assert_int_eq(r->counts->first_bin[1], 3);
    ck_assert_int_eq(r->counts->first_bin[2], 5);
    ck_near(r->counts->block_start_s[1], 1.06, 1e-12);
    ck_near(r->counts->block_start_s[2], 1.12, 1e-12);
    for (int i = 0; i < 12; i++)
        ck_assert_int_eq(r->counts->count[i], i);
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_assert(t != NULL && t->rows == 2);
    ck_near(t->stop_s[0], 0.06, 1e-12);
    ck_near(t->stop_s[1], 1.14, 1e-12);
    ck_near(loom_intervals_column(t, "target")->number[1], 7, 0);
    const struct loom_series *vel = loom_recording_series(r, "vel");
    ck_assert(vel != NULL && vel->dims == 2 && vel->samples == 6 && vel->time_s != NULL);
    ck_assert_str_eq(vel->dim_name[1], "y");
    ck_near(vel->time_s[5], 1.13, 1e-12);
    ck_near(vel->value[8], 9, 0);
    ck_assert(isnan(vel->value[11]));
    ck_assert_ptr_nonnull(strstr(warned, "vel: dimension z never changes"));
    ck_assert_ptr_null(loom_recording_series(r, "target"));
}

START_TEST(a_matrix_is_read_from_any_version)
{
    const enum mat_ft version[] = {MAT_FT_MAT5, MAT_FT_MAT73};
    for (size_t i = 0; i < 2; i++) {
        const char *path = scratch_path("matrix.mat");
        make_matrix(path, version[i]);
        struct loom_recordings *set = sound("mat", "", path);
        check_matrix(loom_recordings_at(set, 0));
        loom_recordings_free(set);
        set = sound("mat", "counts_axes = \"unit,bin\"; drop_constant = false; series = ( \"speed = vel\" );", path);
        ck_assert_int_eq(loom_recording_series(loom_recordings_at(set, 0), "speed")->dims, 3);
        ck_assert_int_eq(loom_recordings_at(set, 0)->series_count, 1);
        loom_recordings_free(set);
        set = sound("mat", "times = \"clock\"; time_scale = 1e-3; bin_from = \"\";", path);
        ck_near(loom_recordings_at(set, 0)->counts->bin_s, 0.02, 1e-15);
        ck_near(loom_recordings_at(set, 0)->counts->block_start_s[1], 1, 1e-12);
        loom_recordings_free(set);
    }
}
END_TEST

/* trials(1..3), the second empty; counts [bin, unit], a word, a vector and a number each. */
static void make_structs(const char *path)
{
    static const char *const fields[] = {"counts", "kind", "goal", "pos"};
    const double first[6] = {1, 2, 3, 4, 5, 6}, third[4] = {7, 8, 9, 10}, goal[2] = {0.5, -1}, pos[3] = {1, 2, 3};
    size_t dims[2] = {1, 3}, word[2] = {1, 3}, none[2] = {0, 0};
    mat_t *m = Mat_CreateVer(path, NULL, MAT_FT_MAT5);
    matvar_t *s = Mat_VarCreateStruct("session", 2, dims, (const char **)(uintptr_t)fields, 4);
    for (size_t i = 0; i < 3; i++) {
        Mat_VarSetStructFieldByName(s, "counts", i,
                                    i == 0   ? matrix(NULL, 3, 2, first)
                                    : i == 2 ? matrix(NULL, 2, 2, third)
                                             : Mat_VarCreate(NULL, MAT_C_DOUBLE, MAT_T_DOUBLE, 2, none, NULL, 0));
        Mat_VarSetStructFieldByName(s, "kind", i,
                                    Mat_VarCreate(NULL, MAT_C_CHAR, MAT_T_UTF8, 2, word, i == 0 ? "cue" : "go!", 0));
        Mat_VarSetStructFieldByName(s, "goal", i, matrix(NULL, 2, 1, goal));
        Mat_VarSetStructFieldByName(s, "pos", i, matrix(NULL, i == 0 ? 3 : i == 2 ? 2 : 1, 1, pos));
    }
    put(m, s);
    put(m, matrix("good", 1, 1, (const double[]){2}));
    Mat_Close(m);
}

START_TEST(trials_may_be_structs)
{
    const char *path = scratch_path("structs.mat");
    make_structs(path);
    struct loom_recordings *set = sound("mat", "counts = \"session.counts\"; file_bin_ms = 10.0;", path);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const uint16_t count[10] = {1, 4, 2, 5, 3, 6, 7, 9, 8, 10};
    ck_assert_int_eq(r->counts->blocks, 2);
    ck_assert_int_eq(memcmp(r->counts->count, count, sizeof count), 0);
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_assert_int_eq(t->rows, 2);
    ck_near(loom_intervals_column(t, "number")->number[1], 3, 0);
    ck_near(loom_intervals_column(t, "goal_1")->number[1], -1, 0);
    ck_assert_str_eq(loom_intervals_column(t, "kind")->text[0], "cue");
    ck_assert_str_eq(loom_intervals_column(t, "kind")->text[1], "go!");
    ck_near(loom_recording_series(r, "pos")->value[4], 2, 0);
    ck_assert_ptr_nonnull(strstr(warned, "1 of 3 trials have no counts"));
    loom_recordings_free(set);
    set = sound("mat",
                "counts = \"session(3).counts\"; counts_axes = \"bin,unit\"; units = \"good\"; file_bin_ms = 10.0;",
                path);
    r = loom_recordings_at(set, 0);
    ck_assert_int_eq(r->units, 1);
    ck_assert_str_eq(r->unit[0].name, "ch2");
    ck_assert_int_eq(r->unit[0].electrode, 2);
    ck_assert_int_eq(r->counts->count[0], 9);
    loom_recordings_free(set);
}
END_TEST

START_TEST(spike_times_may_be_cells)
{
    const char *path = scratch_path("cells.mat");
    const double one[3] = {300, 100, NAN}, two[1] = {250};
    size_t dims[2] = {1, 2};
    mat_t *m = Mat_CreateVer(path, NULL, MAT_FT_MAT5);
    matvar_t *cell = Mat_VarCreate("st", MAT_C_CELL, MAT_T_CELL, 2, dims, NULL, 0);
    Mat_VarSetCell(cell, 0, matrix(NULL, 1, 3, one));
    Mat_VarSetCell(cell, 1, matrix(NULL, 1, 1, two));
    put(m, cell);
    put(m, matrix("go", 1, 2, (const double[]){50, 200}));
    put(m, matrix("end", 1, 2, (const double[]){150, 400}));
    put(m, matrix("side", 1, 2, (const double[]){-1, 1}));
    put(m, matrix("eye", 4, 1, (const double[]){1, 2, 3, 4}));
    Mat_Close(m);
    struct loom_recordings *set = sound("mat",
                                        "spike_times = \"st\"; time_scale = 1e-3; trial_start = \"go\"; trial_stop = "
                                        "\"end\"; columns = ( \"side\" ); series = ( \"eye\" ); series_rate_hz = 10.0;",
                                        path);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    ck_assert_int_eq(r->first_spike[2], 3);
    ck_near(r->spike_s[0], 0.1, 1e-15);
    ck_near(r->spike_s[2], 0.25, 1e-15);
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_near(t->stop_s[1], 0.4, 1e-15);
    ck_near(loom_intervals_column(t, "side")->number[0], -1, 0);
    ck_near(loom_recording_series(r, "eye")->rate_hz, 10, 0);
    ck_assert_int_eq(loom_recording_series(r, "eye")->samples, 4);
    loom_recordings_free(set);
}
END_TEST

START_TEST(a_wrong_name_is_told)
{
    static const struct {
        const char *options, *words;
        int code;
    } wrong[] = {
        {"counts = \"spike\";", "has no \"spike\"; did you mean \"spikes\"? (path \"spike\"); there are: spikes, vel",
         LOOM_EDATA},
        {"counts = \"spikes.x\";", "is no struct", LOOM_EDATA},
        {"counts = \"vel\"; counts_axes = \"unit,bin\";", "is no count", LOOM_EDATA},
        {"series = ( \"veel\" );", "did you mean \"vel\"", LOOM_EDATA},
        {"series = ( \"bin_ms\" );", "goes neither by the bins nor by a clock", LOOM_EDATA},
        {"bin_from = \"\";", "set file_bin_ms", LOOM_ECONFIG},
        {"times = \"bin_ms\";", "does not have one number for each of the 6 bins", LOOM_EDATA},
        {"units = \"bin_ms\";", "20 is no number from 1 to 2", LOOM_EDATA},
        {"columns = ( \"vel\" );", "does not have one value for each", LOOM_EDATA},
        {"trial_start = \"trial\";", "trial_start and trial_stop go together", LOOM_ECONFIG},
    };
    const char *path = scratch_path("wrong.mat");
    make_matrix(path, MAT_FT_MAT5);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct loom_recordings *set;
        struct loom_error e = {0};
        ck_fails(read_by(&set, "mat", wrong[i].options, path, anew, &e), wrong[i].code, &e, wrong[i].words);
    }
}
END_TEST

/* ---- made LFADS files ---- */

static void put_cube(hid_t f, const char *path, hsize_t trials, hsize_t bins, hsize_t width, float from)
{
    float x[256];
    hsize_t dims[3] = {trials, bins, width};
    for (hsize_t i = 0; i < trials * bins * width && i < 256; i++)
        x[i] = from + (float)i;
    made_put(f, path, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 3, dims, x, H5P_DEFAULT);
}

START_TEST(lfads_splits_stand_in_order)
{
    const char *path = scratch_path("lfads.h5");
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_cube(f, "/train_data", 2, 3, 2, 0);
    put_cube(f, "/valid_data", 1, 3, 2, 100);
    put_cube(f, "/train_truth", 2, 3, 2, 0);
    put_cube(f, "/valid_latents", 1, 3, 4, 50);
    made_integers(f, "/train_inds", H5T_STD_I64LE, 2, (const int[]){3, 1});
    made_integers(f, "/valid_inds", H5T_STD_I64LE, 1, (const int[]){2});
    H5Fclose(f);
    struct loom_recordings *set = sound("lfads", "file_bin_ms = 5.0; trial_gap_s = 2.0;", path);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_assert_int_eq(r->counts->blocks, 3);
    ck_near(r->counts->block_start_s[2], 2 * 2.015, 1e-12);
    ck_assert_int_eq(r->counts->count[0], 6);
    ck_assert_int_eq(r->counts->count[6], 100);
    ck_assert_int_eq(r->counts->count[12], 0);
    ck_assert_str_eq(loom_intervals_column(t, "split")->text[0], "train");
    ck_assert_str_eq(loom_intervals_column(t, "split")->text[1], "valid");
    ck_near(loom_intervals_column(t, "index")->number[2], 3, 0);
    const struct loom_series *rates = loom_recording_series(r, "rates"), *latents = loom_recording_series(r, "latents");
    ck_near(rates->value[0], 6 / 0.005, 1e-3);
    ck_assert(isnan(rates->value[6]));
    ck_near(rates->time_s[3], 2.015 + 0.0025, 1e-12);
    ck_assert(isnan(latents->value[0]));
    ck_near(latents->value[12], 50, 0);
    loom_recordings_free(set);
}
END_TEST

START_TEST(benchmark_parts_are_joined)
{
    const char *path = scratch_path("nlb.h5");
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_cube(f, "/train_spikes_heldin", 2, 2, 2, 0);
    put_cube(f, "/train_spikes_heldout", 2, 2, 1, 20);
    put_cube(f, "/train_spikes_heldin_forward", 2, 1, 2, 30);
    put_cube(f, "/train_spikes_heldout_forward", 2, 1, 1, 40);
    put_cube(f, "/eval_spikes_heldin", 1, 2, 2, 0);
    H5Fclose(f);
    struct loom_recordings *set = sound("lfads", "file_bin_ms = 5.0;", path);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const uint16_t count[18] = {0, 1, 20, 2, 3, 21, 30, 31, 40, 4, 5, 22, 6, 7, 23, 32, 33, 41};
    ck_assert_int_eq(r->units, 3);
    ck_assert_int_eq(r->unit[1].held_out, 0);
    ck_assert_int_eq(r->unit[2].held_out, 1);
    ck_assert_int_eq(memcmp(r->counts->count, count, sizeof count), 0);
    ck_assert_ptr_nonnull(strstr(warned, "eval: 1 trials lack held-out units"));
    loom_recordings_free(set);
}
END_TEST

START_TEST(lfads_refuses_rates)
{
    const char *path = scratch_path("rates.h5");
    struct loom_recordings *set;
    struct loom_error e = {0};
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    put_cube(f, "/train_data", 2, 3, 2, 0.5f);
    H5Fclose(f);
    ck_fails(read_by(&set, "lfads", "file_bin_ms = 5.0;", path, anew, &e), LOOM_EDATA, &e, "export spike counts");
    ck_fails(read_by(&set, "lfads", "", path, anew, &e), LOOM_ECONFIG, &e, "set file_bin_ms");
    const hsize_t no_units[3] = {2, 3, 0};
    path = scratch_path("bare.h5");
    f = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    made_put(f, "/train_data", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 3, no_units, NULL, H5P_DEFAULT);
    H5Fclose(f);
    ck_fails(read_by(&set, "lfads", "file_bin_ms = 5.0;", path, anew, &e), LOOM_EDATA, &e, "2 trials of 0 counts");
}
END_TEST

/* ---- real files ---- */

struct real {
    const char *source, *pattern, *options;
    int units;
    int64_t bins, spikes;
    int trials, series;
};

static const struct real real[] = {
    {"mat", "m1-centre-out/m1_stevenson_2011.mat", "", 171, 15536, 2352815, -1, 2},
    {"mat", "chewie-mihi/chewie-2013-10-03-100ms.mat", "", 174, 895, 46758, 159, 4},
    {"mat", "chewie-mihi/chewie-2013-12-19-100ms.mat", "", 155, 835, 44144, 180, 4},
    {"mat", "chewie-mihi/mihi-2014-03-03-100ms.mat", "", 187, 1082, 83055, 209, 2},
    {"mat", "bci-instability/20160325.mat", "counts = \"trialData.binCounts\"; file_bin_ms = 45.0;", 96, 38015, 7882609,
     1252, 2},
    {"mat", "bci-learning/exampleData.mat",
     "counts = \"beforeLearning.clouds.spikes\"; counts_axes = \"unit,bin\"; file_bin_ms = 45.0;", 86, -1, -1, 8, -1},
    {"mat", "rat-hippocampus/buddy.mat", "", 48, 6577, 7269, -1, 1},
    {"lfads", "lorenz/lfads_lorenz.h5", "file_bin_ms = 10.0;", 60, 80000, 87770, 800, 2},
    {"nwb", "mc-maze/*.nwb", "", 107, -1, 32897, 100, 0},
    {"nwb", "human-mtl/*.nwb", "", 35, -1, 214278, -1, 2},
    {"nwb", "mouse-alm/*.nwb", "", 1, -1, 1679, 178, 2},
};

static int64_t spikes_of(const struct loom_recording *r)
{
    int64_t n = 0;
    if (r->counts == NULL)
        return r->first_spike[r->units];
    for (int64_t i = 0; i < r->counts->first_bin[r->counts->blocks] * r->units; i++)
        n += r->counts->count[i];
    return n;
}

START_TEST(real_files_hold_what_they_should)
{
    const struct real *is = &real[_i];
    char pattern[512];
    glob_t g;
    snprintf(pattern, sizeof pattern, "%s/%s", getenv("LOOM_DATA"), is->pattern);
    ck_assert_msg(glob(pattern, 0, NULL, &g) == 0, "%s is not there", pattern);
    struct loom_recordings *set = sound(is->source, is->options, g.gl_pathv[0]);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_assert_int_eq(r->units, is->units);
    if (is->bins >= 0)
        ck_assert_int_eq(r->counts->first_bin[r->counts->blocks], is->bins);
    if (is->spikes >= 0)
        ck_assert_int_eq(spikes_of(r), is->spikes);
    ck_assert_int_eq(t != NULL ? t->rows : -1, is->trials);
    if (is->series >= 0)
        ck_assert_int_eq(r->series_count, is->series);
    loom_recordings_free(set);
    globfree(&g);
}
END_TEST

START_TEST(old_nwb_is_refused)
{
    char path[512];
    struct loom_recordings *set;
    struct loom_error e = {0};
    snprintf(path, sizeof path, "%s/retina-nwb1/20080606_R1.nwb", getenv("LOOM_DATA"));
    ck_fails(read_by(&set, "nwb", "", path, anew, &e), LOOM_EDATA, &e, "1.0.6, the old schema");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_matrix_is_read_from_any_version, trials_may_be_structs,      spike_times_may_be_cells, a_wrong_name_is_told,
        lfads_splits_stand_in_order,       benchmark_parts_are_joined, lfads_refuses_rates};
    Suite *s = suite_create("sources");
    TCase *t = tcase_create("made"), *files = tcase_create("real");
    loom_log_set(keep_warning, NULL);
    scratch_make();
    tcase_set_timeout(t, 60);
    tcase_set_timeout(files, 60);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tcase_add_test(t, tests[i]);
    suite_add_tcase(s, t);
    if (getenv("LOOM_DATA") != NULL && getenv("LOOM_DATA")[0] != '\0') {
        tcase_add_loop_test(files, real_files_hold_what_they_should, 0, (int)(sizeof real / sizeof *real));
        tcase_add_test(files, old_nwb_is_refused);
    } else {
        printf("# real files are passed over: set LOOM_DATA to the folder of recordings\n");
    }
    suite_add_tcase(s, files);
    int code = run_tap(s);
    scratch_remove();
    return code;
}
