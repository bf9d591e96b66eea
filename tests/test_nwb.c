/* SPDX-License-Identifier: Apache-2.0 */
/* The source `nwb` on files made here: what is sound is read, what is untidy is put right, what is broken is refused by
 * name. */
#include "suite.h"

#include "made_nwb.h"
#include "reading.h"

#include "base/io.h"

START_TEST(a_sound_file_is_read)
{
    const char *path = scratch_path("sound.nwb");
    H5Fclose(made_nwb(path));
    struct loom_recordings *set = sound("nwb", "", path);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    ck_assert_str_eq(warned, "");
    ck_assert_str_eq(r->id, "sound");
    ck_assert_str_eq(r->subject, "monkey J");
    ck_assert_str_eq(r->session, "s-7");
    ck_assert_str_eq(r->date, "2020-02-03T04:05:06");
    ck_assert_int_eq(r->units, 3);
    ck_assert_str_eq(r->unit[0].name, "unit11");
    ck_assert_str_eq(r->unit[0].region, "PMd");
    ck_assert_str_eq(r->unit[0].group, "right");
    ck_assert_str_eq(r->unit[1].region, "M1");
    ck_assert_int_eq(r->unit[0].electrode, 101);
    ck_assert_int_eq(r->unit[0].held_out, 0);
    ck_assert_int_eq(r->unit[1].held_out, 1);
    ck_near(r->unit[0].x, 20, 0);
    ck_assert(isnan(r->unit[0].y));
    ck_assert_int_eq(r->first_spike[1], 3);
    ck_assert_int_eq(r->first_spike[2], 3);
    ck_assert_int_eq(r->first_spike[3], 6);
    ck_near(r->spike_s[0], 0.25, 0);
    ck_near(r->spike_s[1], 0.5, 0);
    ck_near(r->spike_s[3], 0.75, 0);
    ck_assert_int_eq(r->observed_count, 2);
    ck_near(r->observed_s[2], 3, 0);
    loom_recordings_free(set);
}
END_TEST

START_TEST(tables_and_series_are_read)
{
    const char *path = scratch_path("sound2.nwb");
    H5Fclose(made_nwb(path));
    struct loom_recordings *set = sound("nwb", "", path);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_assert(t != NULL && t->rows == 3);
    ck_assert_int_eq(t->columns, 4);
    ck_near(loom_intervals_column(t, "target_1")->number[2], 6, 0);
    ck_near(loom_intervals_column(t, "correct")->number[0], 1, 0);
    ck_near(loom_intervals_column(t, "correct")->number[1], 0, 0);
    ck_assert_str_eq(loom_intervals_column(t, "split")->text[2], "test");
    ck_assert_str_eq(loom_intervals_column(t, "split")->text[1], "");
    const struct loom_series *hand = loom_recording_series(r, "hand"), *eye = loom_recording_series(r, "eye");
    ck_assert(hand != NULL && eye != NULL && hand->dims == 2 && hand->samples == 4);
    ck_near(hand->rate_hz, 0.1, 0);
    ck_near(hand->start_s, 2, 0);
    ck_assert_str_eq(hand->unit, "meters");
    ck_near(hand->value[0], 2, 1e-6);
    ck_near(hand->value[7], 16 * 0.5 * 10 + 1, 1e-4);
    ck_near(eye->time_s[2], 3, 0);
    ck_assert(isnan(eye->value[1]));
    loom_recordings_free(set);
}
END_TEST

START_TEST(an_index_may_have_any_width)
{
    const hid_t type[] = {H5T_STD_U8LE, H5T_STD_U16LE, H5T_STD_U32LE, H5T_STD_U64LE, H5T_STD_I32BE, H5T_STD_I64LE};
    const int end[3] = {0, 4, 6};
    for (size_t i = 0; i < sizeof type / sizeof *type; i++) {
        const char *path = scratch_path("index.nwb");
        hid_t f = made_nwb(path);
        made_integers(f, "/units/spike_times_index", type[i], 3, end);
        H5Fclose(f);
        struct loom_recordings *set = sound("nwb", "", path);
        const struct loom_recording *r = loom_recordings_at(set, 0);
        ck_assert_int_eq(r->first_spike[1], 0);
        ck_assert_int_eq(r->first_spike[2], 4);
        ck_assert_int_eq(r->first_spike[3], 6);
        loom_recordings_free(set);
    }
}
END_TEST

enum { MANY = 3 * 32768 + 100, WIDE = 3, HALF_TOLD = 40000 };

/* Spikes and a signal of some length, as `how` lays them out on the disk. The first unit ends within the second chunk,
 * and has a spike without a time. */
static void put_many(hid_t f, hid_t how, hid_t how_wide)
{
    double *t = malloc(MANY * sizeof *t);
    float *x = malloc(MANY * WIDE * sizeof *x);
    const hsize_t n = MANY, wide[2] = {MANY, WIDE};
    for (size_t i = 0; i < MANY; i++)
        t[i] = 1e-3 * (double)i;
    for (size_t i = 0; i < MANY * WIDE; i++)
        x[i] = (float)i;
    t[HALF_TOLD / 2] = NAN;
    x[5] = INFINITY;
    made_put(f, "/units/spike_times", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &n, t, how);
    made_integers(f, "/units/spike_times_index", H5T_STD_U32LE, 3, (const int[]){HALF_TOLD, HALF_TOLD, MANY});
    made_put(f, "/acquisition/long/data", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, wide, x, how_wide);
    made_reals(f, "/acquisition/long/starting_time", 1, (const double[]){0});
    made_attr_real(f, "/acquisition/long/starting_time", "rate", H5T_IEEE_F64LE, 1000);
    made_put(f, "/acquisition/stamped/data", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 2, wide, x, how_wide);
    t[HALF_TOLD / 2] = t[HALF_TOLD / 2 - 1];
    made_put(f, "/acquisition/stamped/timestamps", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &n, t, how);
    free(t);
    free(x);
}

static void check_long(const struct loom_series *s)
{
    ck_assert(s != NULL && s->samples == MANY && s->dims == WIDE);
    for (size_t i = 0; i < MANY * WIDE; i++)
        ck_assert(i == 5 ? isnan(s->value[i]) : s->value[i] == (float)i);
}

/* However a file is laid out, it holds the same: what is taken from its places and what is read through the library. */
START_TEST(all_layouts_are_one)
{
    static const struct {
        hsize_t chunk;
        int packed;
        hsize_t user_block;
    } layout[] = {{0, 0, 0}, {32768, 0, 0}, {1000, 0, 0}, {32768, 1, 0}, {0, 0, 512}, {32768, 0, 512}};
    for (size_t i = 0; i < sizeof layout / sizeof *layout; i++) {
        const char *path = scratch_path("laid.nwb");
        const hsize_t chunk[2] = {layout[i].chunk, WIDE};
        hid_t how = H5Pcreate(H5P_DATASET_CREATE), wide = H5Pcreate(H5P_DATASET_CREATE);
        if (chunk[0] > 0) {
            H5Pset_chunk(how, 1, chunk);
            H5Pset_chunk(wide, 2, chunk);
        }
        if (layout[i].packed) {
            H5Pset_shuffle(how);
            H5Pset_shuffle(wide);
        }
        hid_t f = made_nwb_behind(path, layout[i].user_block);
        put_many(f, how, wide);
        H5Pclose(how);
        H5Pclose(wide);
        H5Fclose(f);
        struct loom_recordings *set = sound("nwb", "", path);
        const struct loom_recording *r = loom_recordings_at(set, 0);
        ck_assert_ptr_nonnull(strstr(warned, "/units/spike_times: 1 spikes of unit 0 have no finite time"));
        ck_assert_ptr_nonnull(strstr(warned, "infinite values are read as missing"));
        ck_assert(r->first_spike[1] == HALF_TOLD - 1 && r->first_spike[2] == HALF_TOLD - 1 &&
                  r->first_spike[3] == MANY - 1);
        for (int64_t k = 0; k < MANY - 1; k++)
            ck_assert(r->spike_s[k] == 1e-3 * (double)(k < HALF_TOLD / 2 ? k : k + 1));
        check_long(loom_recording_series(r, "long"));
        check_long(loom_recording_series(r, "stamped"));
        ck_assert(loom_recording_series(r, "stamped")->time_s[MANY - 1] == 1e-3 * (double)(MANY - 1));
        loom_recordings_free(set);
    }
}
END_TEST

/* ---- broken files ---- */

static void index_back(hid_t f)
{
    made_integers(f, "/units/spike_times_index", H5T_STD_I32LE, 3, (const int[]){4, 3, 6});
}
static void index_beyond(hid_t f)
{
    made_integers(f, "/units/spike_times_index", H5T_STD_U8LE, 3, (const int[]){3, 3, 7});
}
static void index_negative(hid_t f)
{
    made_integers(f, "/units/spike_times_index", H5T_STD_I32LE, 3, (const int[]){-1, 3, 6});
}
static void index_short(hid_t f)
{
    made_integers(f, "/units/spike_times_index", H5T_STD_U8LE, 2, (const int[]){3, 6});
}
static void index_missing(hid_t f)
{
    made_drop(f, "/units/spike_times_index");
}
static void spikes_text(hid_t f)
{
    const char *const x[3] = {"a", "b", "c"};
    made_texts(f, "/units/spike_times", 1, 3, x);
}
static void version_old(hid_t f)
{
    const char *x = "NWB-1.0.6";
    hid_t root = H5Gopen2(f, "/", H5P_DEFAULT);
    H5Adelete(root, "nwb_version");
    H5Gclose(root);
    made_texts(f, "/nwb_version", 1, 1, &x);
}
static void version_none(hid_t f)
{
    hid_t root = H5Gopen2(f, "/", H5P_DEFAULT);
    H5Adelete(root, "nwb_version");
    H5Gclose(root);
}
static void version_new(hid_t f)
{
    made_attr_text(f, "/", "nwb_version", 1, "3.0.0");
}
static void units_elsewhere(hid_t f)
{
    made_drop(f, "/units/spike_times");
    H5Lcreate_external("other.nwb", "/units/spike_times", f, "/units/spike_times", H5P_DEFAULT, H5P_DEFAULT);
}
static void storage_elsewhere(hid_t f)
{
    hsize_t n = 6;
    hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(how, "/etc/passwd", 0, 48);
    made_put(f, "/units/spike_times", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &n, NULL, how);
    H5Pclose(how);
}
static size_t same(unsigned flags, size_t n, const unsigned values[], size_t bytes, size_t *size, void **buffer)
{
    (void)flags, (void)n, (void)values, (void)size, (void)buffer;
    return bytes;
}
static void strange_filter(hid_t f)
{
    static const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 300, 1, 1, "tangle", NULL, NULL, same};
    const double x[6] = {1, 2, 3, 4, 5, 6};
    hsize_t n = 6;
    hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    H5Zregister(&filter);
    H5Pset_chunk(how, 1, &n);
    H5Pset_filter(how, 300, H5Z_FLAG_MANDATORY, 0, NULL);
    made_put(f, "/units/spike_times", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &n, x, how);
    H5Pclose(how);
}
static void stop_short(hid_t f)
{
    made_reals(f, "/intervals/trials/stop_time", 2, (const double[]){1, 2});
}
static void group_for_data(hid_t f)
{
    made_drop(f, "/intervals/trials/stop_time");
    made_group(f, "/intervals/trials/stop_time");
}

static const struct {
    void (*spoil)(hid_t f);
    const char *options, *words;
} broken[] = {
    {index_back, "", "/units/spike_times_index: entry 1 is 3, after 4"},
    {index_beyond, "", "/units/spike_times_index: entry 2 is 7, after 3, of 6 values"},
    {index_negative, "", "/units/spike_times_index: entry 0 is -1"},
    {index_short, "", "/units/spike_times_index has 2 entries for 3 units"},
    {index_missing, "", "/units/spike_times_index is missing"},
    {spikes_text, "", "/units/spike_times is no list of numbers"},
    {version_old, "", "is NWB-1.0.6, the old schema"},
    {version_none, "", "no NWB file"},
    {version_new, "", "is NWB 3.0.0"},
    {storage_elsewhere, "", "/units/spike_times keeps its data in another file"},
    {strange_filter, "", "/units/spike_times is compressed by filter 300 (tangle)"},
    {stop_short, "", "/intervals/trials/start_time has 3 rows, /intervals/trials/stop_time 2"},
    {group_for_data, "", "/intervals/trials/stop_time is a group"},
    {NULL, "series = ( \"hnad\" );", "has no /processing/hnad"},
    {NULL, "unit_name = \"quality\";", "has no /units/quality"},
};

START_TEST(a_broken_file_is_refused)
{
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const char *path = scratch_path("broken.nwb");
        struct loom_recordings *set;
        struct loom_error e = {0};
        hid_t f = made_nwb(path);
        if (broken[i].spoil != NULL)
            broken[i].spoil(f);
        H5Fclose(f);
        ck_fails(read_by(&set, "nwb", broken[i].options, path, anew, &e), LOOM_EDATA, &e, broken[i].words);
    }
}
END_TEST

START_TEST(no_hdf5_is_refused)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    const char *path = scratch_path("text.nwb");
    ck_ok(loom_file_write(path, "hello", 5, &e), &e);
    ck_fails(read_by(&set, "nwb", "", path, anew, &e), LOOM_EDATA, &e, "is no HDF5 file");
}
END_TEST

/* ---- untidy files ---- */

static void spikes_nan(hid_t f)
{
    made_reals(f, "/units/spike_times", 6, (const double[]){0.5, NAN, -1.5, 2.5, INFINITY, 2.5});
}
static void no_spikes(hid_t f)
{
    made_drop(f, "/units/spike_times");
    made_drop(f, "/units/spike_times_index");
}
static void no_units(hid_t f)
{
    made_drop(f, "/units");
}
static void spikes_in_ms(hid_t f)
{
    made_reals(f, "/units/spike_times", 6, (const double[]){500, 250, 1500, 2500, 750, 3500});
}
static void index_leaves_some(hid_t f)
{
    made_integers(f, "/units/spike_times_index", H5T_STD_U8LE, 3, (const int[]){2, 2, 4});
}
static void electrode_outside(hid_t f)
{
    made_integers(f, "/units/electrodes", H5T_STD_I64LE, 3, (const int[]){5, 0, -1});
}
static void linked_elsewhere(hid_t f)
{
    H5Lcreate_external("other.nwb", "/x", f, "/processing/behavior/far", H5P_DEFAULT, H5P_DEFAULT);
}
static void times_back(hid_t f)
{
    made_reals(f, "/processing/behavior/eye/timestamps", 3, (const double[]){3, 1, 2});
}
static void times_nan(hid_t f)
{
    made_reals(f, "/processing/behavior/eye/timestamps", 3, (const double[]){1, NAN, 3});
}
static void two_clocks(hid_t f)
{
    made_reals(f, "/processing/behavior/eye/starting_time", 1, (const double[]){0});
}
static void no_clock(hid_t f)
{
    made_drop(f, "/processing/behavior/eye/timestamps");
}
static void no_rate(hid_t f)
{
    made_attr_real(f, "/processing/behavior/Position/hand/starting_time", "rate", H5T_IEEE_F32LE, 0);
}
static void transposed(hid_t f)
{
    made_table(f, "/processing/behavior/eye/data", 2, 3, (const double[]){1, 2, 3, 4, 5, 6});
}
static void lengths_differ(hid_t f)
{
    made_reals(f, "/processing/behavior/eye/data", 4, (const double[]){1, 2, 3, 4});
}
static void nothing_recorded(hid_t f)
{
    hsize_t none = 0, most = H5S_UNLIMITED, chunk = 16;
    hid_t how = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &none, &most);
    H5Pset_chunk(how, 1, &chunk);
    made_drop(f, "/processing/behavior/eye/data");
    made_drop(f, "/processing/behavior/eye/timestamps");
    H5Dclose(H5Dcreate2(f, "/processing/behavior/eye/data", H5T_IEEE_F64LE, space, H5P_DEFAULT, how, H5P_DEFAULT));
    H5Dclose(
        H5Dcreate2(f, "/processing/behavior/eye/timestamps", H5T_IEEE_F64LE, space, H5P_DEFAULT, how, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(how);
}
static void soft_links(hid_t f)
{
    H5Lcreate_soft("/nowhere", f, "/processing/behavior/gone", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/processing", f, "/processing/behavior/loop", H5P_DEFAULT, H5P_DEFAULT);
    made_reals(f, "/processing/behavior/two words \xc3\xa9/data", 3, (const double[]){1, 2, 3});
    H5Lcreate_soft("/processing/behavior/eye/timestamps", f, "/processing/behavior/two words \xc3\xa9/timestamps",
                   H5P_DEFAULT, H5P_DEFAULT);
}
static void open_trials(hid_t f)
{
    made_reals(f, "/intervals/trials/stop_time", 3, (const double[]){NAN, 2, NAN});
}
static void odd_trials(hid_t f)
{
    made_reals(f, "/intervals/trials/start_time", 3, (const double[]){0, NAN, 3});
}
static void observed_odd(hid_t f)
{
    made_table(f, "/units/obs_intervals", 2, 2, (const double[]){2, 0, 3, 4});
}

struct expected {
    int64_t units, spikes, trials, eye; /* rows; samples, -1 = left out */
};

static const struct {
    void (*spoil)(hid_t f);
    const char *words; /* of the warning; "" = none is due */
    struct expected is;
} untidy[] = {
    {spikes_nan, "1 spikes of unit 0 have no finite time", {3, 4, 3, 3}},
    {no_spikes, "/units holds no spike times", {3, 0, 3, 3}},
    {no_units, "", {0, 0, 3, 3}},
    {spikes_in_ms, "may be in milliseconds", {3, 6, 3, 3}},
    {index_leaves_some, "2 values belong to no unit", {3, 4, 3, 3}},
    {electrode_outside, "outside the electrode table for 2 units", {3, 6, 3, 3}},
    {linked_elsewhere, "/processing/behavior/far is a link into another file", {3, 6, 3, 3}},
    {times_back, "timestamps go back 1 times", {3, 6, 3, 3}},
    {times_nan, "1 samples have no finite time", {3, 6, 3, 2}},
    {two_clocks, "has timestamps and a starting time", {3, 6, 3, 3}},
    {no_clock, "neither timestamps nor a starting time", {3, 6, 3, -1}},
    {no_rate, "without a rate above 0", {3, 6, 3, 3}},
    {transposed, "read transposed", {3, 6, 3, 3}},
    {lengths_differ, "another number of timestamps", {3, 6, 3, -1}},
    {nothing_recorded, "eye is empty", {3, 6, 3, -1}},
    {soft_links, "", {3, 6, 3, 3}},
    {open_trials, "2 of 3 rows have no stop", {3, 6, 3, 3}},
    {odd_trials, "1 of 3 rows have no start", {3, 6, 2, 3}},
    {observed_odd, "1 of 2 intervals make no sense", {3, 6, 3, 3}},
};

START_TEST(an_untidy_file_is_put_right)
{
    for (size_t i = 0; i < sizeof untidy / sizeof *untidy; i++) {
        const char *path = scratch_path("untidy.nwb");
        hid_t f = made_nwb(path);
        untidy[i].spoil(f);
        H5Fclose(f);
        struct loom_recordings *set = sound("nwb", "", path);
        const struct loom_recording *r = loom_recordings_at(set, 0);
        const struct loom_series *eye = loom_recording_series(r, "eye");
        struct expected is = {r->units, r->first_spike[r->units], loom_recording_intervals(r, "trials")->rows,
                              eye != NULL ? eye->samples : -1};
        ck_assert_msg(strstr(warned, untidy[i].words) != NULL && (untidy[i].words[0] == '\0') == (warned[0] == '\0'),
                      "\"%s\" is due, warned: %s", untidy[i].words, warned);
        ck_assert_msg(memcmp(&is, &untidy[i].is, sizeof is) == 0, "\"%s\": %d units, %d spikes, %d trials, %d samples",
                      untidy[i].words, (int)is.units, (int)is.spikes, (int)is.trials, (int)is.eye);
        loom_recordings_free(set);
    }
}
END_TEST

START_TEST(values_put_right_are_right)
{
    const char *path = scratch_path("right.nwb");
    hid_t f = made_nwb(path);
    transposed(f);
    times_back(f);
    open_trials(f);
    soft_links(f);
    H5Fclose(f);
    struct loom_recordings *set = sound("nwb", "", path);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_series *eye = loom_recording_series(r, "eye"),
                             *two = loom_recording_series(r, "two words \xc3\xa9");
    ck_assert_int_eq(eye->dims, 2);
    ck_near(eye->time_s[0], 1, 0);
    ck_near(eye->value[0], 2, 0);
    ck_near(eye->value[1], 5, 0);
    ck_near(eye->value[4], 1, 0);
    ck_assert_ptr_nonnull(two);
    ck_near(two->value[0], 2, 0);
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_near(t->stop_s[0], 1, 0);
    ck_near(t->stop_s[2], 3, 0);
    loom_recordings_free(set);
}
END_TEST

START_TEST(a_link_elsewhere_is_refused_when_needed)
{
    const char *path = scratch_path("far.nwb");
    hid_t f = made_nwb(path);
    units_elsewhere(f);
    H5Fclose(f);
    H5Fclose(made_nwb(scratch_path("other.nwb")));
    struct loom_recordings *set = sound("nwb", "", path);
    ck_assert_int_eq(loom_recordings_at(set, 0)->first_spike[3], 0);
    ck_assert_ptr_nonnull(strstr(warned, "/units holds no spike times"));
    loom_recordings_free(set);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_sound_file_is_read,        tables_and_series_are_read, an_index_may_have_any_width,
        all_layouts_are_one,         a_broken_file_is_refused,   no_hdf5_is_refused,
        an_untidy_file_is_put_right, values_put_right_are_right, a_link_elsewhere_is_refused_when_needed};
    loom_log_set(keep_warning, NULL);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    scratch_make();
    int code = run_suite("nwb", (int)(sizeof tests / sizeof *tests), tests, 60);
    scratch_remove();
    return code;
}
