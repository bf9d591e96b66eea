/* SPDX-License-Identifier: Apache-2.0 */
/* Source `edf`: EEG and sleep recordings in EDF, EDF+, BDF and BDF+, gaps included. */
#include "edf.h"

#include "names.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct loom_option edf_options[] = {
    {"channels", LOOM_OPT_STRINGS, 0, "*", NULL, NULL, "Channels to read, by name or pattern (* and ?)."},
    {"series_name", LOOM_OPT_STRING, 0, "eeg", NULL, NULL,
     "Name of the series that holds the largest group of channels with one rate and unit."},
    {"subject", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the subject; empty = the file's."},
    {"session", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the session; empty = the file's name."},
    {"task", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the task."},
    {0},
};

enum { MOST_GROUPS = 256, NAME = 64 };

/* Channels that share rate and unit become one series. */
struct group {
    int dims, first;
    int64_t samples; /* a record */
    int series;
    char name[NAME];
};

struct job {
    struct edf f;
    const struct loom_options *o;
    struct group group[MOST_GROUPS];
    int groups;
};

static int starved(struct job *j)
{
    return loom_fail(j->f.e, LOOM_ENOMEM, j->f.file, 0, "out of memory; raise the limit on memory");
}

static int wanted(const struct job *j, const char *label)
{
    for (size_t i = 0; i < loom_opt_count(j->o, "channels"); i++)
        if (fnmatch(loom_opt_string_at(j->o, "channels", i), label, 0) == 0)
            return 1;
    return 0;
}

static double rate(const struct job *j, const struct group *g)
{
    return (double)g->samples / j->f.record_s;
}

static void name_groups(struct job *j)
{
    int most = 0;
    for (int g = 1; g < j->groups; g++)
        if (j->group[g].dims > j->group[most].dims ||
            (j->group[g].dims == j->group[most].dims && j->group[g].samples > j->group[most].samples))
            most = g;
    for (int g = 0; g < j->groups; g++) {
        struct group *x = &j->group[g];
        const struct edf_signal *s = &j->f.signal[x->first];
        if (g == most)
            snprintf(x->name, NAME, "%.40s", loom_opt_string(j->o, "series_name"));
        else if (x->dims == 1)
            snprintf(x->name, NAME, "%s", s->label);
        else
            snprintf(x->name, NAME, "%.20s_%gHz_%s", loom_opt_string(j->o, "series_name"), rate(j, x), s->unit);
        for (int k = 0; k < g; k++)
            if (strcmp(j->group[k].name, x->name) == 0) {
                size_t n = strlen(x->name);
                snprintf(x->name + n, NAME - n, "#%d", g);
                break;
            }
    }
}

static int find_groups(struct job *j)
{
    int found = 0;
    for (int i = 0; i < j->f.signals; i++) {
        struct edf_signal *s = &j->f.signal[i];
        s->group = -1;
        if (s->kind != EDF_SIGNAL || !wanted(j, s->label))
            continue;
        found++;
        for (int g = 0; g < j->groups && s->group < 0; g++) {
            const struct edf_signal *first = &j->f.signal[j->group[g].first];
            if (j->group[g].samples == s->samples && strcmp(first->unit, s->unit) == 0)
                s->group = g;
        }
        if (s->group < 0 && j->groups < MOST_GROUPS) {
            s->group = j->groups;
            j->group[j->groups++] = (struct group){.first = i, .samples = s->samples};
        }
        if (s->group >= 0)
            j->group[s->group].dims++;
        else
            loom_sink_warn(j->f.sink,
                           "channel \"%s\" is left out: there are more than %d rates and units; name fewer in channels",
                           s->label, MOST_GROUPS);
    }
    if (found == 0 && loom_opt_given(j->o, "channels"))
        return loom_fail(j->f.e, LOOM_EDATA, j->f.file, 0,
                         "has no channel that channels names; its first is \"%s\" of %d", j->f.signal[0].label,
                         j->f.signals);
    if (found > 0 && !(j->f.record_s > 0))
        return loom_fail(j->f.e, LOOM_EDATA, j->f.file, 0, "has signals in records of no length; it breaks its format");
    name_groups(j);
    return LOOM_OK;
}

static int begin_series(struct job *j, int g)
{
    struct group *x = &j->group[g];
    const char **name = calloc((size_t)x->dims + 1, sizeof *name);
    int dims = 0;
    if (name == NULL)
        return starved(j);
    for (int i = 0; i < j->f.signals; i++)
        if (j->f.signal[i].group == g)
            name[dims++] = j->f.signal[i].label;
    x->series = loom_sink_series(j->f.sink, x->name, j->f.signal[x->first].unit, dims, name, j->f.gaps ? 0 : rate(j, x),
                                 j->f.gaps ? 0 : j->f.onset[0]);
    free(name);
    return x->series < 0 ? x->series : LOOM_OK;
}

static int digital(const struct edf *f, const unsigned char *at)
{
    if (f->bytes == 2)
        return (int16_t)(at[0] | at[1] << 8);
    return (int32_t)((uint32_t)at[0] << 8 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 24) >> 8;
}

/* One group's share of n records, [n · samples, dims]. */
static int send_group(struct job *j, int g, int64_t from, int64_t n, const unsigned char *raw, float *value,
                      double *time)
{
    const struct group *x = &j->group[g];
    int dim = 0;
    for (int i = 0; i < j->f.signals; i++) {
        const struct edf_signal *s = &j->f.signal[i];
        if (s->group != g)
            continue;
        for (int64_t r = 0; r < n; r++)
            for (int64_t k = 0; k < s->samples; k++)
                value[(r * s->samples + k) * x->dims + dim] =
                    (float)(digital(&j->f, raw + r * j->f.record + s->at + k * j->f.bytes) * s->scale + s->offset);
        dim++;
    }
    for (int64_t r = 0; r < n && j->f.gaps; r++)
        for (int64_t k = 0; k < x->samples; k++)
            time[r * x->samples + k] = j->f.onset[from + r] + (double)k / rate(j, x);
    return loom_sink_samples(j->f.sink, x->series, n * x->samples, j->f.gaps ? time : NULL, value);
}

/* BioSemi's triggers: the lower 16 bits of the status channel, at each change to another value than 0. */
struct status {
    double *time, *value;
    size_t n, room;
    int before;
};

static int take_status(struct job *j, struct status *t, int64_t from, int64_t n, const unsigned char *raw)
{
    for (int i = 0; i < j->f.signals; i++) {
        const struct edf_signal *s = &j->f.signal[i];
        for (int64_t r = 0; r < n && s->kind == EDF_STATUS; r++)
            for (int64_t k = 0; k < s->samples; k++) {
                int now = digital(&j->f, raw + r * j->f.record + s->at + k * j->f.bytes) & 0xffff;
                if (now != t->before && now != 0 && t->before >= 0) {
                    if (t->n == t->room) {
                        size_t room = t->room ? 2 * t->room : 64;
                        double *time = realloc(t->time, room * sizeof *time);
                        t->time = time != NULL ? time : t->time;
                        double *value = time != NULL ? realloc(t->value, room * sizeof *value) : NULL;
                        t->value = value != NULL ? value : t->value;
                        if (value == NULL)
                            return starved(j);
                        t->room = room;
                    }
                    t->time[t->n] = j->f.onset[from + r] + (double)k * j->f.record_s / (double)s->samples;
                    t->value[t->n++] = now;
                }
                t->before = now;
            }
    }
    return LOOM_OK;
}

static int send_signals(struct job *j)
{
    struct status t = {.before = -1};
    int64_t most = 1 + ((int64_t)1 << 22) / j->f.record, widest = 0, longest = 0;
    for (int g = 0; g < j->groups; g++) {
        int64_t all = j->group[g].samples * j->group[g].dims;
        widest = all > widest ? all : widest;
        longest = j->group[g].samples > longest ? j->group[g].samples : longest;
    }
    most = most < j->f.records ? most : j->f.records;
    unsigned char *raw = malloc((size_t)(most * j->f.record));
    float *value = malloc((size_t)(most * widest + 1) * sizeof *value);
    double *time = malloc((size_t)(most * longest + 1) * sizeof *time);
    int status = raw != NULL && value != NULL && time != NULL ? LOOM_OK : starved(j);
    for (int g = 0; g < j->groups && status == LOOM_OK; g++)
        status = begin_series(j, g);
    loom_sink_object(j->f.sink, "records");
    for (int64_t done = 0; done < j->f.records && status == LOOM_OK; done += most) {
        int64_t n = j->f.records - done < most ? j->f.records - done : most;
        status = edf_read(&j->f, done, n, raw);
        for (int g = 0; g < j->groups && status == LOOM_OK; g++)
            status = send_group(j, g, done, n, raw, value, time);
        if (status == LOOM_OK)
            status = take_status(j, &t, done, n, raw);
    }
    if (status == LOOM_OK && t.n > 0)
        status = loom_sink_intervals(j->f.sink, "status", (int32_t)t.n, t.time, t.time);
    if (status == LOOM_OK && t.n > 0)
        status = loom_sink_numbers(j->f.sink, "value", t.value);
    free(raw);
    free(value);
    free(time);
    free(t.time);
    free(t.value);
    return status;
}

/* ---- tables ---- */

static int by_start(const void *a, const void *b)
{
    const struct edf_note *x = *(struct edf_note *const *)a, *y = *(struct edf_note *const *)b;
    return x->start_s != y->start_s ? (x->start_s > y->start_s) - (x->start_s < y->start_s) : (x > y) - (x < y);
}

/* All annotations, or as "trials" those that last. */
static int send_notes(struct job *j, const char *table, int lasting)
{
    const struct edf_note **note = calloc(j->f.notes + 1, sizeof *note);
    double *x = calloc(2 * j->f.notes + 1, sizeof *x);
    const char **text = calloc(j->f.notes + 1, sizeof *text);
    size_t n = 0;
    int status = note != NULL && x != NULL && text != NULL ? LOOM_OK : starved(j);
    for (size_t i = 0; i < j->f.notes && status == LOOM_OK; i++)
        if (!lasting || j->f.note[i].seconds > 0)
            note[n++] = &j->f.note[i];
    if (status == LOOM_OK && n > 0) {
        qsort(note, n, sizeof *note, by_start);
        for (size_t i = 0; i < n; i++) {
            x[i] = note[i]->start_s;
            x[j->f.notes + i] = note[i]->start_s + fmax(note[i]->seconds, 0);
            text[i] = note[i]->text;
        }
        status = loom_sink_intervals(j->f.sink, table, (int32_t)n, x, x + j->f.notes);
        if (status == LOOM_OK)
            status = loom_sink_texts(j->f.sink, "label", text);
    }
    free(note);
    free(x);
    free(text);
    return status;
}

/* Stretches of records that follow one another. */
static int send_observed(struct job *j)
{
    int status = LOOM_OK;
    for (int64_t from = 0, r = 1; r <= j->f.records && status == LOOM_OK; r++)
        if (r == j->f.records || j->f.onset[r] - j->f.onset[r - 1] - j->f.record_s > 1e-3) {
            status = loom_sink_observed(j->f.sink, j->f.onset[from], j->f.onset[r - 1] + j->f.record_s);
            from = r;
        }
    return status;
}

static int begin(struct job *j)
{
    char stem[STEM_NAME];
    const char *session = loom_opt_string(j->o, "session"), *subject = loom_opt_string(j->o, "subject");
    stem_of(stem, j->f.file);
    return loom_sink_recording(j->f.sink, stem, subject[0] != '\0' ? subject : j->f.subject,
                               session[0] != '\0' ? session : stem, loom_opt_string(j->o, "task"), j->f.date);
}

static int edf_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)e;
    *self = (void *)(uintptr_t)loom_setup_options(s);
    return LOOM_OK;
}

static int read_all(struct job *j, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    int status = edf_open(&j->f, file, sink, e);
    if (status == LOOM_OK)
        status = begin(j);
    if (status == LOOM_OK)
        status = find_groups(j);
    if (status == LOOM_OK)
        status = send_notes(j, "annotations", 0);
    if (status == LOOM_OK)
        status = send_notes(j, "trials", 1);
    if (status == LOOM_OK)
        status = send_signals(j);
    if (status == LOOM_OK)
        status = send_observed(j);
    edf_close(&j->f);
    return status;
}

static int edf_read_file(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    if (file == NULL)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "source edf reads a file; name it in files");
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return loom_fail(e, LOOM_ENOMEM, file, 0, "out of memory; raise the limit on memory");
    j->o = self;
    int status = read_all(j, file, sink, e);
    free(j);
    return status;
}

static const struct loom_source edf_source = {
    .part = {.size = sizeof edf_source, .create = edf_create},
    .read = edf_read_file,
};

static const struct loom_plugin edf_plugin = {
    .size = sizeof edf_plugin,
    .build = LOOM_BUILD_BLOCK,
    .id = "edf",
    .version = "1.0",
    .summary = "EEG in EDF, EDF+ (with gaps too), BDF: channels by rate and unit, annotations, triggers.",
    .license = "Apache-2.0",
    .kind = LOOM_SOURCE,
    .options = edf_options,
    .table = &edf_source,
};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &edf_plugin : NULL;
}
