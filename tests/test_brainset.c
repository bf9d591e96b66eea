/* SPDX-License-Identifier: Apache-2.0 */
/* The source `brainset` on a file that temporaldata wrote (tests/peers/brainset.py has what is in it), what it writes
 * itself, and damaged files. */
#include "suite.h"

#include "reading.h"

#include "fuzzing.h"

#include "data/spans.h"
#include "eval/arrays.h"

#include <loom/npz.h>
#include <loom/plugin.h>

#include <math.h>

static void check_golden(const struct loom_recording *r)
{
    const double spike[6] = {0.25, 2.5, 0.1, 1.5, 1.75, 0.5};
    const struct loom_series *vel = loom_recording_series(r, "cursor.vel"),
                             *hand = loom_recording_series(r, "hand.speed");
    const struct loom_series *moving = loom_recording_series(r, "cursor.moving");
    const struct loom_intervals *t = loom_recording_intervals(r, "trials"), *s = loom_recording_intervals(r, "splits");
    ck_assert_str_eq(r->subject, "monkey");
    ck_assert_str_eq(r->session, "day1");
    ck_assert_str_eq(r->task, "reach");
    ck_assert_str_eq(r->date, "2020-02-03T04:05:06");
    ck_assert_int_eq(r->units, 3);
    ck_assert_str_eq(r->unit[2].name, "b/1");
    ck_assert_str_eq(r->unit[1].region, "PMd");
    ck_assert_int_eq(r->unit[2].electrode, 7);
    ck_assert_int_eq(r->first_spike[1], 2);
    ck_assert_int_eq(r->first_spike[2], 5);
    for (int i = 0; i < 6; i++)
        ck_near(r->spike_s[i], spike[i], 0);
    ck_assert(vel != NULL && hand != NULL && moving != NULL && r->series_count == 4);
    for (int i = 0; i < 10; i++)
        ck_near(vel->value[i], -i, 0);
    ck_near(vel->time_s[4], 2, 0);
    ck_near(moving->value[1], 0, 0);
    ck_near(moving->value[2], 1, 0);
    ck_near(hand->rate_hz, 4, 0);
    ck_near(hand->start_s, 0.5, 0);
    ck_near(hand->value[7], 7, 0);
    ck_assert(t != NULL && s != NULL && t->rows == 3 && s->rows == 4);
    ck_near(loom_intervals_column(t, "go_cue_time")->number[1], 1.2, 0);
    ck_assert(isnan(loom_intervals_column(t, "go_cue_time")->number[2]));
    ck_near(loom_intervals_column(t, "is_valid")->number[2], 0, 0);
    ck_assert_str_eq(loom_intervals_column(t, "result")->text[1], "F");
    ck_assert_str_eq(loom_intervals_column(s, "split")->text[1], "valid");
    ck_assert_int_eq(loom_recording_intervals(r, "movement_phases.hold_period")->rows, 1);
    ck_near(r->observed_s[1], 3, 0);
}

START_TEST(what_temporaldata_wrote_is_read)
{
    struct loom_recordings *set = sound("brainset", "", golden("brainset.h5"));
    ck_assert_str_eq(warned, "");
    check_golden(loom_recordings_at(set, 0));
    loom_recordings_free(set);
}
END_TEST

static void write_out(const struct loom_recordings *set, const char *path)
{
    struct loom_registry *registry;
    struct loom_error e = {0};
    const struct loom_plugin *p;
    ck_ok(loom_registry_new(&registry, NULL, &e), &e);
    ck_ok(loom_registry_find(registry, LOOM_SOURCE, "brainset", &p, &e), &e);
    const struct loom_source *source = p->table;
    ck_ok(source->write(loom_recordings_at(set, 0), path, &e), &e);
    ck_fails(source->write(loom_recordings_at(set, 0), "/nowhere/x.h5", &e), LOOM_EIO, &e, "does its folder exist");
    loom_registry_free(registry);
}

/* Spans of the golden file split by what it says itself, as text: "train 0 1, …" in tenths of a second. */
static void spans_by_file(const struct loom_recordings *set, const char *name, int trials, char out[1100])
{
    static const char *const words[LOOM_SPLITS][2] = {{"train"}, {"valid", "val"}, {"test"}};
    const struct loom_recording *r = loom_recordings_at(set, 0);
    struct loom_data_spec spec = LOOM_DATA_SPEC;
    struct loom_catalog *c;
    struct loom_error e = {0};
    size_t n = 0;
    spec.split.by = LOOM_BY_FILE;
    spec.split.name = name;
    spec.bin_s = 0.05;
    spec.window_s = 0.25;
    for (int k = 0; k < LOOM_SPLITS; k++)
        spec.split.value[k] = (struct loom_words){k == LOOM_VALID ? 2 : 1, words[k]};
    if (trials) {
        spec.window = LOOM_WINDOW_TRIAL;
        spec.post_s = 0.4;
    }
    snprintf(out, 1100, "none");
    if (loom_catalog_new(&c, &r, 1, &spec, &e) != LOOM_OK) {
        snprintf(out, 1100, "%s", e.message);
        loom_error_clear(&e);
        return;
    }
    ck_ok(loom_catalog_check_leaks(c, &e), &e);
    for (int32_t i = 0; i < c->spans; i++)
        n += (size_t)snprintf(out + n, 1100 - n, "%s%s %g %g", i > 0 ? ", " : "", words[c->span[i].split][0],
                              1e-8 * (double)c->span[i].window_ns, 1e-8 * (double)c->span[i].stop_ns);
    loom_catalog_free(c);
}

START_TEST(its_own_splits_are_taken)
{
    static const char domains[] = "train 0 10, train 20 30, valid 10 15, test 15 20";
    struct loom_recordings *set = sound("brainset", "", golden("brainset.h5"));
    for (int again = 0; again < 2; again++) {
        char said[1100];
        spans_by_file(set, "", 0, said);
        ck_assert_str_eq(said, domains);
        spans_by_file(set, "splits.fold_0", 0, said);
        ck_assert_str_eq(said, domains);
        spans_by_file(set, "splits.lite$fold1", 0, said);
        ck_assert_str_eq(said, "train 10 30, valid 5 10, test 0 5");
        spans_by_file(set, "", 1, said); /* trials begin at 0, 1 and 2 s */
        ck_assert_str_eq(said, "train 0 4, train 20 24, valid 10 14");
        spans_by_file(set, "splits.shared", 0, said);
        ck_assert_msg(strstr(said, "share the time from 1.75 s to 2 s") != NULL, "%s", said);
        spans_by_file(set, "splits.fold_1", 0, said);
        ck_assert_msg(strstr(said, "has no split \"splits.fold_1\" of its own") != NULL, "%s", said);
        ck_assert_msg(strstr(said, "\"splits.fold_0\"") != NULL && strstr(said, "\"splits.lite$fold1\"") != NULL, "%s",
                      said);
        if (again == 0) { /* and from what is written of it */
            const char *path = scratch_path("own.h5");
            write_out(set, path);
            loom_recordings_free(set);
            set = sound("brainset", "", path);
        }
    }
    loom_recordings_free(set);
    char said[1100];
    set = sound("sim", "sessions = 1; subjects = 1; trials = 5; units = 20;", NULL);
    spans_by_file(set, "", 0, said);
    ck_assert_msg(strstr(said, "split by time or trial") != NULL, "%s", said);
    loom_recordings_free(set);
}
END_TEST

START_TEST(what_is_written_is_read_again)
{
    struct loom_recordings *set = sound("brainset", "", golden("brainset.h5"));
    const char *path = scratch_path("again.h5");
    write_out(set, path);
    loom_recordings_free(set);
    set = sound("brainset", "", path);
    check_golden(loom_recordings_at(set, 0));
    loom_recordings_free(set);
}
END_TEST

/* Spikes of many units, merged and parted again; a table with texts beyond ASCII; counts in blocks. */
START_TEST(made_recordings_go_there_and_back)
{
    struct loom_recordings *made = sound("sim", "sessions = 1; subjects = 1; trials = 5; units = 20;", NULL);
    const struct loom_recording *a = loom_recordings_at(made, 0);
    write_out(made, scratch_path("sim.h5"));
    struct loom_recordings *set = sound("brainset", "", scratch_path("sim.h5"));
    const struct loom_recording *b = loom_recordings_at(set, 0);
    ck_assert_int_eq(b->units, a->units);
    ck_assert_int_eq(b->first_spike[b->units], a->first_spike[a->units]);
    ck_assert_int_eq(memcmp(a->spike_s, b->spike_s, (size_t)a->first_spike[a->units] * sizeof *a->spike_s), 0);
    const struct loom_series *v = loom_recording_series(a, "handVel"), *w = loom_recording_series(b, "handVel");
    ck_assert_int_eq(v->samples, w->samples);
    ck_assert_str_eq(v->unit, w->unit);
    ck_assert_int_eq(memcmp(v->value, w->value, (size_t)(v->samples * v->dims) * sizeof *v->value), 0);
    ck_near(loom_recording_intervals(b, "trials")->stop_s[4], loom_recording_intervals(a, "trials")->stop_s[4], 0);
    loom_recordings_free(set);
    loom_recordings_free(made);
    char path[512];
    snprintf(path, sizeof path, "%s", golden("arrays.npz"));
    made = sound("npz", "", path);
    a = loom_recordings_at(made, 0);
    write_out(made, scratch_path("binned.h5"));
    set = sound("brainset", "", scratch_path("binned.h5"));
    b = loom_recordings_at(set, 0);
    ck_assert_int_eq(b->counts->blocks, 2);
    ck_near(b->counts->bin_s, a->counts->bin_s, 0);
    ck_near(b->counts->block_start_s[1], a->counts->block_start_s[1], 0);
    ck_assert_int_eq(memcmp(a->counts->count, b->counts->count, 36 * sizeof *a->counts->count), 0);
    ck_assert_str_eq(b->unit[1].name, "β");
    ck_assert_str_eq(loom_intervals_column(loom_recording_intervals(b, "trials"), "label")->text[1], "nö");
    loom_recordings_free(set);
    loom_recordings_free(made);
}
END_TEST

/* Times before 0, two at once, and the first spike at or after each second of what was observed, as
 * numpy.searchsorted(timestamps, numpy.arange(-2, 3 + 1)) has them. */
START_TEST(spikes_stand_in_order_of_time)
{
    static const double time[] = {0.25, 2, -1, -1.5, 0.25}, observed[] = {-2, 3}, due[] = {-1.5, -1, 0.25, 0.25, 2};
    static const int64_t unit[] = {0, 0, 0, 1, 1}, whose[] = {1, 0, 0, 1, 0}, second[] = {0, 1, 2, 4, 4, 5};
    static const uint8_t held[] = {0, 1};
    struct loom_npz *z;
    struct loom_arrays a = {0};
    struct loom_error e = {0};
    ck_ok(loom_npz_open(&z, scratch_path("spikes.npz"), &e), &e);
    loom_npz_begin(z, "spike_times", "<f8", 1, (const int64_t[]){5});
    loom_npz_put(z, time, sizeof time);
    loom_npz_begin(z, "spike_units", "<i8", 1, (const int64_t[]){5});
    loom_npz_put(z, unit, sizeof unit);
    loom_npz_begin(z, "units.held_out", "|b1", 1, (const int64_t[]){2});
    loom_npz_put(z, held, sizeof held);
    loom_npz_begin(z, "observed_s", "<f8", 2, (const int64_t[]){1, 2});
    loom_npz_put(z, observed, sizeof observed);
    ck_ok(loom_npz_close(z, &e), &e);
    struct loom_recordings *set = sound("npz", "", scratch_path("spikes.npz"));
    const char *path = scratch_path("spikes.h5");
    write_out(set, path);
    loom_recordings_free(set);
    set = sound("brainset", "", path);
    ck_assert(!loom_recordings_at(set, 0)->unit[0].held_out && loom_recordings_at(set, 0)->unit[1].held_out);
    loom_recordings_free(set);
    ck_ok(loom_arrays_read_h5(&a, path, &e), &e);
    const struct loom_array *t = loom_arrays_find(&a, "spikes/timestamps"),
                            *u = loom_arrays_find(&a, "spikes/unit_index"),
                            *s = loom_arrays_find(&a, "spikes/timestamp_indices_1s");
    ck_assert(t != NULL && u != NULL && s != NULL && t->dim[0] == 5 && u->dim[0] == 5 && s->dim[0] == 6);
    ck_assert_mem_eq(t->data, due, sizeof due);
    ck_assert_mem_eq(u->data, whose, sizeof whose);
    ck_assert_mem_eq(s->data, second, sizeof second);
    loom_arrays_release(&a);
}
END_TEST

START_TEST(what_cannot_be_read_is_told)
{
    struct loom_recordings *set;
    struct loom_error e = {0};
    ck_fails(read_by(&set, "brainset", "", golden("nlb_targets.h5"), anew, &e), LOOM_EDATA, &e, "no brainset");
    ck_fails(read_by(&set, "brainset", "", golden("arrays.npz"), anew, &e), LOOM_EDATA, &e, "is no HDF5 file");
    set = sound("brainset", "series = ( \"vel\" ); tables = ( \"trials\" );", golden("brainset.h5"));
    ck_assert_int_eq(loom_recordings_at(set, 0)->series_count, 1);
    ck_assert_int_eq(loom_recordings_at(set, 0)->intervals_count, 2);
    loom_recordings_free(set);
}
END_TEST

START_TEST(damaged_files_are_survived)
{
    char path[512];
    snprintf(path, sizeof path, "%s", golden("brainset.h5"));
    fuzz("brainset", "", path, "fuzzed.h5", '/', 12, 12);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {what_temporaldata_wrote_is_read, its_own_splits_are_taken,
                                  what_is_written_is_read_again,   made_recordings_go_there_and_back,
                                  spikes_stand_in_order_of_time,   what_cannot_be_read_is_told,
                                  damaged_files_are_survived};
    loom_log_set(keep_warning, NULL);
    scratch_make();
    int code = run_suite("brainset", (int)(sizeof tests / sizeof *tests), tests, 60);
    scratch_remove();
    return code;
}
