/* SPDX-License-Identifier: Apache-2.0 */
/* The source `npz` on archives that NumPy wrote (tests/golden/arrays.py has what is in them), whole and damaged. */
#include "suite.h"

#include "reading.h"

#include "fuzzing.h"

#include <loom/npz.h>
#include <loom/plugin.h>

#include <math.h>

/* Two blocks, for the clock jumps after bin 6. */
START_TEST(types_and_orders_are_read)
{
    struct loom_recordings *set = sound("npz", "", golden("arrays.npz"));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    ck_assert_int_eq(r->units, 3);
    ck_assert_str_eq(r->unit[1].name, "β");
    ck_assert_int_eq(r->unit[2].electrode, 9);
    ck_assert_str_eq(r->subject, "monkey");
    ck_assert_int_eq(r->counts->blocks, 2);
    ck_near(r->counts->bin_s, 0.02, 1e-15);
    ck_near(r->counts->block_start_s[1], 1.2, 1e-12);
    for (int i = 0; i < 36; i++)
        ck_assert_int_eq(r->counts->count[i], i);
    const struct loom_series *vel = loom_recording_series(r, "vel"), *force = loom_recording_series(r, "force");
    const struct loom_series *small = loom_recording_series(r, "small"), *moving = loom_recording_series(r, "moving");
    ck_assert(vel != NULL && force != NULL && small != NULL && moving != NULL && r->series_count == 5);
    ck_assert_int_eq(vel->dims, 2);
    for (int i = 0; i < 12; i++) {
        ck_near(vel->value[2 * i], i + 0.5, 0);
        ck_near(vel->value[2 * i + 1], -i, 0);
        ck_near(vel->time_s[i], 1 + 0.02 * (i < 7 ? i : i + 3) + 0.01, 1e-12);
        ck_near(force->value[i], i / 4.0, 0);
        ck_near(small->value[i], i / 8.0, 0);
        ck_near(moving->value[i], i % 2, 0);
    }
    loom_recordings_free(set);
}
END_TEST

START_TEST(series_may_have_clocks)
{
    struct loom_recordings *set = sound("npz", "", golden("arrays.npz"));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_series *eye = loom_recording_series(r, "eye");
    ck_assert(eye != NULL && eye->samples == 4 && eye->dims == 2);
    ck_near(eye->rate_hz, 250, 0);
    ck_near(eye->start_s, 1.5, 0);
    ck_assert_str_eq(eye->unit, "mm");
    ck_assert_str_eq(eye->dim_name[1], "right");
    ck_near(eye->value[7], 7, 0);
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_assert(t != NULL && t->rows == 2 && t->columns == 3);
    ck_near(t->stop_s[1], 1.3, 1e-12);
    ck_near(loom_intervals_column(t, "target_0")->number[1], 3, 0);
    ck_near(loom_intervals_column(t, "target_1")->number[0], 2, 0);
    ck_assert_str_eq(loom_intervals_column(t, "label")->text[1], "nö");
    loom_recordings_free(set);
}
END_TEST

START_TEST(spike_times_go_to_their_units)
{
    struct loom_recordings *set =
        sound("npz",
              "spike_times = \"t\"; spike_units = \"who\"; time_scale = 1e-3; trial_start = \"go\"; trial_stop = "
              "\"end\"; series_times = \"lfp_t\";",
              golden("spikes.npz"));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    ck_assert_int_eq(r->units, 3);
    ck_assert_int_eq(r->first_spike[1], 2);
    ck_assert_int_eq(r->first_spike[2], 2);
    ck_assert_int_eq(r->first_spike[3], 4);
    ck_near(r->spike_s[0], 0.01, 1e-15);
    ck_near(r->spike_s[1], 0.3, 1e-15);
    ck_near(r->spike_s[2], 0.1, 1e-15);
    ck_assert_ptr_nonnull(strstr(warned, "1 spikes have no finite time"));
    const struct loom_series *lfp = loom_recording_series(r, "lfp");
    ck_assert(lfp != NULL && lfp->samples == 20 && r->series_count == 1);
    ck_near(lfp->time_s[19], 0.19, 1e-12);
    const struct loom_intervals *t = loom_recording_intervals(r, "trials");
    ck_near(t->stop_s[1], 0.4, 1e-15);
    ck_assert_str_eq(loom_intervals_column(t, "side")->text[1], "right");
    loom_recordings_free(set);
}
END_TEST

START_TEST(sizes_may_have_64_bits)
{
    struct loom_recordings *set = sound("npz", "file_bin_ms = 10.0; counts_axes = \"unit,bin\";", golden("zip64.npz"));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    ck_assert_int_eq(r->units, 12);
    ck_assert_int_eq(r->counts->first_bin[1], 3);
    ck_assert_int_eq(r->counts->count[12 + 4], 13);
    loom_recordings_free(set);
}
END_TEST

/* ---- what is written is read again ---- */

static void write_out(const struct loom_recording *r, const char *path)
{
    struct loom_registry *registry;
    struct loom_error e = {0};
    const struct loom_plugin *p;
    ck_ok(loom_registry_new(&registry, NULL, &e), &e);
    ck_ok(loom_registry_find(registry, LOOM_SOURCE, "npz", &p, &e), &e);
    const struct loom_source *source = p->table;
    ck_ok(source->write(r, path, &e), &e);
    ck_fails(source->write(r, "/nowhere/x.npz", &e), LOOM_EIO, &e, "cannot create");
    loom_registry_free(registry);
}

/* Bits, so that a missing value is one again. */
static void same_bits(const void *a, const void *b, int64_t n, size_t width)
{
    ck_assert(n == 0 || memcmp(a, b, (size_t)n * width) == 0);
}

static void same_units(const struct loom_recording *a, const struct loom_recording *b)
{
    ck_assert_int_eq(a->units, b->units);
    for (int32_t i = 0; i < a->units; i++) {
        const struct loom_unit *u = &a->unit[i], *v = &b->unit[i];
        ck_assert_str_eq(u->name, v->name);
        ck_assert_str_eq(u->group, v->group);
        ck_assert_str_eq(u->region, v->region);
        ck_assert(u->electrode == v->electrode && u->held_out == v->held_out);
        same_bits(&u->x, &v->x, 1, sizeof u->x);
        same_bits(&u->z, &v->z, 1, sizeof u->z);
    }
    ck_assert((a->counts == NULL) == (b->counts == NULL));
    if (a->counts != NULL) {
        const struct loom_counts *c = a->counts, *d = b->counts;
        ck_near(d->bin_s, c->bin_s, 0);
        ck_assert_int_eq(c->blocks, d->blocks);
        same_bits(c->block_start_s, d->block_start_s, c->blocks, sizeof *c->block_start_s);
        same_bits(c->first_bin, d->first_bin, c->blocks + 1, sizeof *c->first_bin);
        same_bits(c->count, d->count, c->first_bin[c->blocks] * a->units, sizeof *c->count);
    } else if (a->units > 0) {
        same_bits(a->first_spike, b->first_spike, a->units + 1, sizeof *a->first_spike);
        same_bits(a->spike_s, b->spike_s, a->first_spike[a->units], sizeof *a->spike_s);
    }
}

static void same_table(const struct loom_intervals *t, const struct loom_intervals *u)
{
    ck_assert(u != NULL && t->rows == u->rows && t->columns == u->columns);
    same_bits(t->start_s, u->start_s, t->rows, sizeof *t->start_s);
    same_bits(t->stop_s, u->stop_s, t->rows, sizeof *t->stop_s);
    for (int32_t k = 0; k < t->columns; k++) {
        const struct loom_column *c = &t->column[k], *d = loom_intervals_column(u, c->name);
        ck_assert(d != NULL && (c->text == NULL) == (d->text == NULL));
        if (c->number != NULL)
            same_bits(c->number, d->number, t->rows, sizeof *c->number);
        for (int32_t i = 0; c->text != NULL && i < t->rows; i++)
            ck_assert_str_eq(c->text[i], d->text[i]);
    }
}

static void same_series(const struct loom_series *s, const struct loom_series *t)
{
    ck_assert(t != NULL && s->dims == t->dims && s->samples == t->samples);
    ck_assert_str_eq(s->unit, t->unit);
    ck_near(t->rate_hz, s->rate_hz, 0);
    if (s->rate_hz > 0)
        ck_near(t->start_s, s->start_s, 0);
    else
        same_bits(s->time_s, t->time_s, s->samples, sizeof *s->time_s);
    for (int32_t d = 0; d < s->dims; d++)
        ck_assert_str_eq(s->dim_name[d], t->dim_name[d]);
    same_bits(s->value, t->value, s->samples * s->dims, sizeof *s->value);
}

/* Read `options` of `file` by `source`, written and read again without options. Returns the numbers of its units. */
static int32_t there_and_back(const char *source, const char *options, const char *file)
{
    struct loom_recordings *one, *other;
    struct loom_error e = {0};
    const char *path = scratch_path("again.npz");
    ck_ok(read_by(&one, source, options, file, anew, &e), &e);
    const struct loom_recording *a = loom_recordings_at(one, 0);
    write_out(a, path);
    ck_ok(read_by(&other, "npz", "", path, anew, &e), &e);
    const struct loom_recording *b = loom_recordings_at(other, 0);
    int32_t units = a->units;
    ck_assert_str_eq(a->id, b->id);
    ck_assert_str_eq(a->subject, b->subject);
    ck_assert_str_eq(a->session, b->session);
    ck_assert_str_eq(a->task, b->task);
    ck_assert_str_eq(a->date, b->date);
    same_units(a, b);
    ck_assert(a->intervals_count == b->intervals_count && a->series_count == b->series_count);
    for (int32_t i = 0; i < a->intervals_count; i++)
        same_table(&a->intervals[i], loom_recording_intervals(b, a->intervals[i].name));
    for (int32_t i = 0; i < a->series_count; i++)
        same_series(&a->series[i], loom_recording_series(b, a->series[i].name));
    ck_assert_int_eq(a->observed_count, b->observed_count);
    same_bits(a->observed_s, b->observed_s, 2 * a->observed_count, sizeof *a->observed_s);
    loom_recordings_free(one);
    loom_recordings_free(other);
    return units;
}

START_TEST(a_recording_goes_there_and_back)
{
    ck_assert_int_eq(there_and_back("sim", "sessions = 1; subjects = 1; trials = 5; units = 70; truth = true;", NULL),
                     70);
    ck_assert_int_eq(there_and_back("npz", "", golden("arrays.npz")), 3);
    warned[0] = '\0';
    ck_assert_int_eq(there_and_back("edf", "", golden("gaps.edf")), 0);
    ck_assert_ptr_null(strstr(warned, "neither counts"));
    loom_recordings_free(sound("npz", "counts = \"\"; spike_times = \"\";", golden("spikes.npz")));
    ck_assert_ptr_nonnull(strstr(warned, "has neither counts nor spike times"));
}
END_TEST

/* As many samples as there are trials, but a clock of its own: no column. An array that lacks bytes is no archive. */
START_TEST(what_has_a_clock_is_no_column)
{
    const char *path = scratch_path("clock.npz");
    const double start[2] = {0, 1}, stop[2] = {0.5, 1.5}, rate = 4;
    struct loom_npz *z;
    struct loom_error e = {0};
    for (int n = 2; n > 0; n--) {
        ck_ok(loom_npz_open(&z, path, &e), &e);
        loom_npz_begin(z, "trials.start_s", "<f8", 1, (const int64_t[]){2});
        loom_npz_put(z, start, sizeof start);
        loom_npz_begin(z, "trials.stop_s", "<f8", 1, (const int64_t[]){2});
        loom_npz_put(z, stop, (size_t)n * sizeof *stop);
        loom_npz_begin(z, "x", "<f8", 1, (const int64_t[]){2});
        loom_npz_put(z, start, sizeof start);
        loom_npz_begin(z, "x.rate_hz", "<f8", 0, NULL);
        loom_npz_put(z, &rate, sizeof rate);
        if (n == 2)
            ck_ok(loom_npz_close(z, &e), &e);
        else
            ck_fails(loom_npz_close(z, &e), LOOM_EINVAL, &e, "trials.stop_s.npy lacks 8 of its bytes");
    }
    struct loom_recordings *set;
    ck_ok(read_by(&set, "npz", "", path, anew, &e), &e);
    ck_assert_ptr_nonnull(loom_recording_series(loom_recordings_at(set, 0), "x"));
    ck_assert_int_eq(loom_recording_intervals(loom_recordings_at(set, 0), "trials")->columns, 0);
    loom_recordings_free(set);
}
END_TEST

static void array(struct loom_npz *z, const char *name, const char *type, int rank, const int64_t *dim, const void *x,
                  size_t bytes)
{
    loom_npz_begin(z, name, type, rank, dim);
    loom_npz_put(z, x, bytes);
}

/* Numbers below 0 and at the ends of their types, characters beyond 16 bits and none at all, and a cube of trials whose
 * times are unknown: they lie a gap apart. */
START_TEST(ends_of_types_and_a_cube)
{
    static const uint8_t count[6] = {0, 1, 2, 3, 4, 255};
    static const uint16_t half[6] = {0xc000, 0x0001, 0x8001, 0x7bff, 0x3555, 0x7c00};
    static const double halves[5] = {-2, 0x1p-24, -0x1p-24, 65504, 1365.0 / 4096};
    static const int16_t low[6] = {-32768, -1, 0, 1, 32767, 2};
    static const int64_t cube[3] = {2, 3, 1}, flat[2] = {2, 3};
    const char *path = scratch_path("ends.npz"), *name = "\xf0\x9f\xa7\xa0 \xff!";
    struct loom_npz *z;
    struct loom_recordings *set;
    struct loom_error e = {0};
    ck_ok(loom_npz_open(&z, path, &e), &e);
    array(z, "spikes", "|u1", 3, cube, count, sizeof count);
    array(z, "half", "<f2", 2, flat, half, sizeof half);
    array(z, "low", "<i2", 2, flat, low, sizeof low);
    loom_npz_texts(z, "subject", -1, &name);
    ck_ok(loom_npz_close(z, &e), &e);
    ck_ok(read_by(&set, "npz", "counts_axes = \"trial,bin,unit\"; file_bin_ms = 20.0; series = ( \"half\", \"low\" );",
                  path, anew, &e),
          &e);
    const struct loom_recording *r = loom_recordings_at(set, 0);
    ck_assert_str_eq(r->subject, "\xf0\x9f\xa7\xa0 \xef\xbf\xbd!");
    ck_assert(r->units == 1 && r->counts->blocks == 2 && r->counts->first_bin[1] == 3);
    ck_near(r->counts->block_start_s[1], 1.06, 1e-12);
    ck_assert_int_eq(memcmp(r->counts->count, (const uint16_t[]){0, 1, 2, 3, 4, 255}, 12), 0);
    const struct loom_series *h = loom_recording_series(r, "half"), *l = loom_recording_series(r, "low");
    ck_assert(h != NULL && l != NULL && h->samples == 6 && l->samples == 6);
    for (int i = 0; i < 6; i++) {
        ck_near(l->value[i], low[i], 0);
        ck_near(l->time_s[i], 0.02 * (i % 3) + 0.01 + (i < 3 ? 0 : 1.06), 1e-12);
        if (i < 5)
            ck_near(h->value[i], halves[i], 0);
    }
    ck_assert(isnan(h->value[5])); /* no number is infinite here */
    loom_recordings_free(set);
    ck_ok(loom_npz_open(&z, path, &e), &e);
    array(z, "low", "<i2", 2, (const int64_t[]){2, 2}, low, sizeof low);
    ck_fails(loom_npz_close(z, &e), LOOM_EINVAL, &e, "low.npy has 4 bytes more than its shape");
}
END_TEST

START_TEST(what_cannot_be_read_is_told)
{
    static const struct {
        const char *file, *options, *words;
        int code;
    } wrong[] = {
        {"pickle.npz", "", "Python objects, that is a pickle, which runs code", LOOM_EDATA},
        {"zip64.npz", "", "set file_bin_ms", LOOM_ECONFIG},
        {"zip64.npz", "counts = \"spike\";", "did you mean \"spikes\"?; there are: spikes", LOOM_EDATA},
        {"zip64.npz", "counts_axes = \"trial,bin,unit\";", "has 2 axes", LOOM_EDATA},
        {"arrays.npz", "times = \"moving\";", "times do not ascend", LOOM_EDATA},
        {"arrays.npz", "series = ( \"units.electrode\" );", "goes neither by the bins nor by a clock", LOOM_EDATA},
        {"arrays.npz", "series = ( \"notes\" );", "of type \"<c16\"", LOOM_EDATA},
        {"arrays.npz", "counts = \"vel\"; unit_names = \"\";", "0.5 (bin 0, unit 0) is no count", LOOM_EDATA},
        {"arrays.npz", "trial_stop = \"\";", "trial_start and trial_stop go together", LOOM_ECONFIG},
        {"arrays.npz", "columns = ( \"vel\" );", "does not have one value for each of the 2 trials", LOOM_EDATA},
        {"spikes.npz", "spike_times = \"t\";", "has no array \"spike_units\"", LOOM_EDATA},
        {"spikes.npz", "spike_times = \"t\"; spike_units = \"lfp\";", "has 5 values, lfp 20", LOOM_EDATA},
        {"spikes.npz", "spike_times = \"t\"; spike_units = \"who\"; unit_names = \"go\";",
         "2 (spike 1) is the number of none of the 2 units", LOOM_EDATA},
        {"arrays.py", "", "is no zip archive", LOOM_EDATA},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct loom_recordings *set;
        struct loom_error e = {0};
        ck_fails(read_by(&set, "npz", wrong[i].options, golden(wrong[i].file), anew, &e), wrong[i].code, &e,
                 wrong[i].words);
    }
}
END_TEST

/* `file` with the byte that lies `at` bytes behind the first `mark` changed. */
static const char *altered(const char *file, const char *mark, size_t at, int to)
{
    struct loom_error e = {0};
    const char *path = scratch_path("altered.npz");
    char *bytes, *found = NULL;
    size_t size;
    ck_ok(loom_file_read(&bytes, &size, golden(file), 1 << 20, &e), &e);
    found = memmem(bytes, size, mark, strlen(mark));
    ck_assert_ptr_nonnull(found);
    ck_assert_int_ne(found[at], to);
    found[at] = (char)to;
    ck_ok(loom_file_write(path, bytes, size, &e), &e);
    free(bytes);
    return path;
}

/* In the directory's entry stand what was done to a member and its checksum. */
START_TEST(members_are_told)
{
    static const struct {
        const char *mark, *words;
        size_t at;
        int to;
    } wrong[] = {{"PK\1\2", "spikes.npy is encrypted", 8, 1},
                 {"PK\1\2", "compressed by zip's method 12", 10, 12},
                 {"PK\1\2", "spikes.npy does not have its checksum", 16, 0},
                 {"\x93NUMPY", "spikes.npy does not have its checksum", 130, 200}};
    struct loom_recordings *set;
    struct loom_error e = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *path = altered("zip64.npz", wrong[i].mark, wrong[i].at, wrong[i].to);
        ck_fails(read_by(&set, "npz", "file_bin_ms = 10.0;", path, anew, &e), LOOM_EDATA, &e, wrong[i].words);
    }
}
END_TEST

START_TEST(damaged_archives_are_survived)
{
    char path[512];
    snprintf(path, sizeof path, "%s", golden("arrays.npz"));
    struct tally t = fuzz("npz", "", path, "fuzzed.npz", 0, 40, 7);
    ck_assert_int_eq(t.died + t.stopped, 0);
    snprintf(path, sizeof path, "%s", golden("zip64.npz"));
    t = fuzz("npz", "file_bin_ms = 20.0;", path, "fuzzed64.npz", 0, 40, 8);
    ck_assert_int_eq(t.died + t.stopped, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        types_and_orders_are_read,    series_may_have_clocks,          spike_times_go_to_their_units,
        sizes_may_have_64_bits,       a_recording_goes_there_and_back, what_has_a_clock_is_no_column,
        ends_of_types_and_a_cube,     what_cannot_be_read_is_told,     members_are_told,
        damaged_archives_are_survived};
    loom_log_set(keep_warning, NULL);
    scratch_make();
    int code = run_suite("npz", (int)(sizeof tests / sizeof *tests), tests, 60);
    scratch_remove();
    return code;
}
