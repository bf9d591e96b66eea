/* SPDX-License-Identifier: Apache-2.0 */
/* The sources `edf` and `brainvision` on small files (tests/peers/eeg.py makes them and holds real ones to MNE and
 * EDFlib), whole and damaged. */
#include "suite.h"

#include "reading.h"

#include "fuzzing.h"

#include <unistd.h>

START_TEST(gaps_are_kept)
{
    struct loom_recordings *set = sound("edf", "", golden("gaps.edf"));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_series *s = loom_recording_series(r, "eeg");
    ck_assert_str_eq(r->subject, "code7");
    ck_assert_str_eq(r->date, "2021-04-05T10:20:30");
    ck_assert(s != NULL && s->dims == 2 && s->samples == 12 && s->time_s != NULL);
    ck_assert_str_eq(s->dim_name[0], "Fc5");
    ck_assert_str_eq(s->dim_name[1], "Cz");
    for (int i = 0; i < 12; i++) {
        ck_near(s->time_s[i], (i < 8 ? 0.25 : 3 - 1.0) + 0.125 * i, 1e-12);
        ck_near(s->value[2 * i], 0.1 * i, 1e-6);
        ck_near(s->value[2 * i + 1], -0.2 * i, 1e-6);
    }
    ck_assert_int_eq(r->observed_count, 2);
    ck_near(r->observed_s[1], 1.25, 1e-12);
    ck_near(r->observed_s[2], 3, 1e-12);
    loom_recordings_free(set);
}
END_TEST

START_TEST(annotations_are_tables)
{
    struct loom_recordings *set = sound("edf", "", golden("gaps.edf"));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_intervals *a = loom_recording_intervals(r, "annotations"),
                                *t = loom_recording_intervals(r, "trials");
    ck_assert(a != NULL && t != NULL && a->rows == 4 && t->rows == 1);
    ck_assert_str_eq(loom_intervals_column(a, "label")->text[0], "early");
    ck_near(a->start_s[0], -0.5, 0);
    ck_assert_str_eq(loom_intervals_column(a, "label")->text[3], "two");
    ck_near(a->start_s[3], 3.1, 1e-12);
    ck_near(t->stop_s[0], 0.75, 1e-12);
    loom_recordings_free(set);
}
END_TEST

START_TEST(rates_have_series_of_their_own)
{
    struct loom_recordings *set = sound("edf", "", golden("rates.edf"));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_series *s = loom_recording_series(r, "eeg"), *t = loom_recording_series(r, "Temp rectal");
    ck_assert(s != NULL && t != NULL && s->dims == 2 && s->samples == 8 && t->samples == 2);
    ck_near(s->rate_hz, 4, 0);
    ck_near(t->rate_hz, 1, 0);
    ck_assert_str_eq(t->unit, "degC");
    ck_near(t->value[0], 34.4, 1e-5);
    ck_near(t->value[1], 40.2, 1e-5);
    ck_near(s->value[2 * 7 + 1], 14, 1e-5);
    loom_recordings_free(set);
    set = sound("edf", "channels = ( \"C*\" ); series_name = \"one\";", golden("rates.edf"));
    ck_assert_int_eq(loom_recordings_at(set, 0)->series_count, 1);
    ck_assert_str_eq(loom_recordings_at(set, 0)->series[0].name, "one");
    loom_recordings_free(set);
    set = sound("edf", "channels = ( \"Temp*\", \"Cz\" );", golden("rates.edf")); /* of two alike the faster one */
    ck_assert_str_eq(loom_recording_series(loom_recordings_at(set, 0), "eeg")->dim_name[0], "Cz");
    loom_recordings_free(set);
}
END_TEST

START_TEST(samples_may_have_24_bits)
{
    struct loom_recordings *set = sound("edf", "", golden("short.bdf"));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_series *s = loom_recording_series(r, "eeg");
    const struct loom_intervals *t = loom_recording_intervals(r, "status");
    ck_assert(s != NULL && s->samples == 6 && t != NULL && t->rows == 2);
    const int digital[6] = {-8388608, 0, 8388607, 32, -32, 64};
    for (int i = 0; i < 6; i++)
        ck_near(s->value[i], (digital[i] + 8388608.0) * 524287 / 16777215 - 262144, 0.01);
    ck_near(loom_intervals_column(t, "value")->number[0], 5, 0);
    ck_near(t->start_s[0], 1.0 / 3, 1e-12);
    ck_near(loom_intervals_column(t, "value")->number[1], 7, 0);
    ck_near(t->start_s[1], 4.0 / 3, 1e-12);
    loom_recordings_free(set);
}
END_TEST

struct change {
    size_t at;
    const char *put;
};

/* A copy of a golden file with `n` places overwritten, cut to `cut` bytes where that is not 0. */
static const char *changed(const char *file, const char *as, int n, const struct change *change, size_t cut)
{
    struct loom_error e = {0};
    char *bytes;
    size_t size;
    ck_ok(loom_file_read(&bytes, &size, golden(file), 1 << 20, &e), &e);
    for (int i = 0; i < n; i++)
        memcpy(bytes + change[i].at, change[i].put, strlen(change[i].put));
    ck_ok(loom_file_write(scratch_path(as), bytes, cut > 0 ? cut : size, &e), &e);
    free(bytes);
    return scratch_path(as);
}

/* A subject without a name, a date of two digits, a comma in a number, an end that was never written; a trigger that
 * stands from the beginning is none. */
START_TEST(headers_of_other_programs)
{
    static const struct change edf[] = {
        {8, "X    "}, {88, "somewhere            "}, {168, "05.04.99"}, {236, "-1      "}, {244, "0,5     "}};
    static const struct change bdf[] = {{768 + 9, "\x09"}};
    struct loom_recordings *set = sound("edf", "", changed("gaps.edf", "other.edf", 5, edf, 0));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    ck_assert_str_eq(r->subject, "");
    ck_assert_str_eq(r->date, "1999-04-05T10:20:30");
    ck_assert_int_eq(loom_recording_series(r, "eeg")->samples, 12);
    ck_assert_ptr_nonnull(strstr(warned, "never finished: all of its 3 whole records"));
    loom_recordings_free(set);
    set = sound("edf", "", changed("short.bdf", "other.bdf", 1, bdf, 0));
    ck_assert_int_eq(loom_recording_intervals(loom_recordings_at(set, 0), "status")->rows, 2);
    loom_recordings_free(set);
}
END_TEST

/* A header field overwritten, a file cut short. */
START_TEST(what_cannot_be_read_is_told)
{
    static const struct {
        size_t at, cut;
        const char *put, *words;
    } wrong[] = {{0, 0, "1       ", "is neither EDF nor BDF"},
                 {184, 0, "512     ", "in 512 bytes of header"},
                 {236, 0, "9       ", "promises 9 records, and the file holds 3"},
                 {244, 0, "long    ", "\"long\" for the length of a record, which is no number"},
                 {0, 1300, "", "the file holds 2: it is cut short"},
                 {1024 + 16, 0, "x0.25", "an annotation has no time"},
                 {1024 + 96 + 16, 0, "+0.30", "record 1 begins at 0.3 s, before the end of the one before it"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct loom_recordings *set;
        struct loom_error e = {0};
        const struct change one = {wrong[i].at, wrong[i].put};
        const char *path = changed("gaps.edf", "wrong.edf", 1, &one, wrong[i].cut);
        ck_fails(read_by(&set, "edf", "", path, anew, &e), LOOM_EDATA, &e, wrong[i].words);
    }
}
END_TEST

START_TEST(brainvision_is_read_in_either_order)
{
    static const double resolution[3] = {0.5, 2, 0.1};
    struct loom_recordings *set = sound("brainvision", "", golden("short.vhdr"));
    const struct loom_recording *r = loom_recordings_at(set, 0);
    const struct loom_series *s = loom_recording_series(r, "eeg");
    const struct loom_intervals *a = loom_recording_intervals(r, "annotations");
    ck_assert(s != NULL && a != NULL && s->dims == 3 && s->samples == 6 && a->rows == 3);
    ck_near(s->rate_hz, 250, 1e-9);
    ck_assert_str_eq(s->unit, "µV");
    ck_assert_str_eq(s->dim_name[1], "Cz,x");
    for (int i = 0; i < 18; i++)
        ck_near(s->value[i], (i - 5) * resolution[i % 3], 1e-6);
    ck_assert_str_eq(loom_intervals_column(a, "label")->text[1], "S  1");
    ck_assert_str_eq(loom_intervals_column(a, "type")->text[1], "Stimulus");
    ck_assert_str_eq(loom_intervals_column(a, "label")->text[2], "left, then right");
    ck_near(a->start_s[1], 2 * 0.004, 1e-12);
    ck_near(a->stop_s[2], 6 * 0.004, 1e-12);
    ck_assert_int_eq(r->observed_count, 1);
    ck_near(r->observed_s[1], 6 * 0.004, 1e-12);
    loom_recordings_free(set);
    set = sound("brainvision", "", golden("across.vhdr"));
    r = loom_recordings_at(set, 0);
    s = loom_recording_series(r, "eeg");
    ck_assert(s->dims == 2 && s->samples == 6);
    ck_assert_ptr_nonnull(strstr(warned, "EMG is in mV, not in µV"));
    for (int i = 0; i < 6; i++)
        for (int d = 0; d < 2; d++)
            ck_near(s->value[2 * i + d], (3 * i + d - 5) / 8.0, 1e-6);
    loom_recordings_free(set);
}
END_TEST

/* A recording of an amplifier: markers are where MNE 1.13 has them (tests/peers/eeg.py compares them all), which leaves
 * out the nameless segment at the beginning. */
START_TEST(markers_are_where_mne_has_them)
{
    static const struct {
        double start_s;
        const char *type, *label;
    } mne[] = {{0.486, "Stimulus", "S253"}, {0.496, "Stimulus", "S255"}, {1.769, "Event", "254"},
               {1.779, "Stimulus", "S255"}, {3.252, "Event", "254"},     {3.262, "Stimulus", "S255"},
               {4.935, "Stimulus", "S253"}, {4.945, "Stimulus", "S255"}, {5.999, "Response", "R255"},
               {6.619, "Event", "254"},     {6.629, "Stimulus", "S255"}, {7.629, "SyncStatus", "Sync On"},
               {7.699, "Optic", "O  1"}};
    const int markers = (int)(sizeof mne / sizeof *mne);
    const char *data = getenv("LOOM_DATA");
    char path[512];
    snprintf(path, sizeof path, "%s/eeg-formats/test.vhdr", data != NULL ? data : "");
    if (data == NULL || access(path, R_OK) != 0) {
        fprintf(stderr, "# skipped: no $LOOM_DATA/eeg-formats/test.vhdr\n");
        return;
    }
    struct loom_recordings *set = sound("brainvision", "", path);
    const struct loom_intervals *a = loom_recording_intervals(loom_recordings_at(set, 0), "annotations");
    ck_assert(a != NULL && a->rows == markers + 1);
    for (int i = 0; i < markers; i++) {
        ck_near(a->start_s[i + 1], mne[i].start_s, 1e-9);
        ck_near(a->stop_s[i + 1], a->start_s[i + 1], 0); /* of one sample: a moment */
        ck_assert_str_eq(loom_intervals_column(a, "type")->text[i + 1], mne[i].type);
        ck_assert_str_eq(loom_intervals_column(a, "label")->text[i + 1], mne[i].label);
    }
    loom_recordings_free(set);
}
END_TEST

/* Headers of before Unicode are in Latin-1, samples may have 32 bits; markers that are not there are no reason to read
 * nothing. */
START_TEST(brainvision_of_before_unicode)
{
    struct loom_error e = {0};
    char *text, *data, *to;
    size_t n, size;
    ck_ok(loom_file_read(&text, &n, golden("short.vhdr"), 1 << 20, &e), &e);
    ck_ok(loom_file_read(&data, &size, golden("short.eeg"), 1 << 20, &e), &e);
    memcpy(strstr(text, "UTF-8"), "Latin", 5);
    memcpy(strstr(text, "INT_16"), "INT_32", 6); /* -5 and -4 become one sample */
    to = text;
    for (const char *c = text; *c != '\0'; c++)
        if (*c != '\xc2')
            *to++ = *c;
    ck_assert(to < text + n);
    ck_ok(loom_file_write(scratch_path("latin.vhdr"), text, (size_t)(to - text), &e), &e);
    ck_ok(loom_file_write(scratch_path("latin.eeg"), data, size, &e), &e);
    free(text);
    free(data);
    struct loom_recordings *set = sound("brainvision", "", scratch_path("latin.vhdr"));
    ck_assert_str_eq(loom_recording_series(loom_recordings_at(set, 0), "eeg")->unit, "µV");
    ck_assert_int_eq(loom_recording_series(loom_recordings_at(set, 0), "eeg")->samples, 3);
    ck_near(loom_recording_series(loom_recordings_at(set, 0), "eeg")->value[0], 0.5 * (65536 - 5 - 4 * 65536), 0);
    ck_assert_ptr_nonnull(strstr(warned, "no markers that can be read"));
    loom_recordings_free(set);
}
END_TEST

START_TEST(brainvision_names_files_beside_it)
{
    static const struct {
        const char *was, *is, *words;
    } wrong[] = {{"$b.eeg", "/etc/x", "a file beside it is due"},
                 {"$b.eeg", "../abc", "a file beside it is due"},
                 {"$b.eeg", "no.eeg", "no.eeg, which cannot be opened"},
                 {"INT_16", "INT_24", "has BinaryFormat=INT_24"},
                 {"BINARY", "ASCII ", "has its samples as text"},
                 {"NumberOfChannels=3", "NumberOfChannels=0", "no number from 1 to 4096"},
                 {"NumberOfChannels=3", "NumberOfChannels=5", "no whole samples of 5 channels"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct loom_recordings *set;
        struct loom_error e = {0};
        char *text, *data;
        size_t n, size;
        ck_ok(loom_file_read(&text, &n, golden("short.vhdr"), 1 << 20, &e), &e);
        ck_ok(loom_file_read(&data, &size, golden("short.eeg"), 1 << 20, &e), &e);
        memcpy(strstr(text, wrong[i].was), wrong[i].is, strlen(wrong[i].is));
        ck_ok(loom_file_write(scratch_path("wrong.vhdr"), text, n, &e), &e);
        ck_ok(loom_file_write(scratch_path("wrong.eeg"), data, size, &e), &e);
        free(text);
        free(data);
        ck_fails(read_by(&set, "brainvision", "", scratch_path("wrong.vhdr"), anew, &e), LOOM_EDATA, &e,
                 wrong[i].words);
    }
}
END_TEST

START_TEST(damaged_files_are_refused)
{
    char path[512];
    snprintf(path, sizeof path, "%s", golden("gaps.edf"));
    struct tally t = fuzz("edf", "", path, "fuzzed.edf", 0, 40, 3);
    ck_assert_int_eq(t.died + t.stopped, 0);
    snprintf(path, sizeof path, "%s", golden("short.bdf"));
    t = fuzz("edf", "", path, "fuzzed.bdf", 0, 20, 4);
    ck_assert_int_eq(t.died + t.stopped, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {gaps_are_kept,
                                  annotations_are_tables,
                                  rates_have_series_of_their_own,
                                  samples_may_have_24_bits,
                                  headers_of_other_programs,
                                  what_cannot_be_read_is_told,
                                  brainvision_is_read_in_either_order,
                                  markers_are_where_mne_has_them,
                                  brainvision_of_before_unicode,
                                  brainvision_names_files_beside_it,
                                  damaged_files_are_refused};
    loom_log_set(keep_warning, NULL);
    scratch_make();
    int code = run_suite("edf", (int)(sizeof tests / sizeof *tests), tests, 60);
    scratch_remove();
    return code;
}
