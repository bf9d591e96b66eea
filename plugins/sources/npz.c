/* SPDX-License-Identifier: Apache-2.0 */
/* Source `npz`: NumPy archives, by the names of their arrays.
 *
 * Archives of other programs are read by options that name arrays. One whose arrays follow these names, as `loom data
 * convert` writes them, needs none:
 *     spikes [bin, unit] + bin_ms or time [bin]   or   spike_times [spike] + spike_units [spike], from 0
 *     units.name, .region, .group, .electrode, .held_out [unit], .position [unit, 3]
 *     X [sample, dim] + X.time_s [sample], or X.rate_hz and X.start_s, or neither where it goes by the bins; X.unit,
 *     X.dims
 *     T.start_s, T.stop_s [row] + T.column [row]
 *     observed_s [n, 2]; id, subject, session, task, date
 */
#include "npz_job.h"

#include "names.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct loom_option npz_options[] = {
    {"counts", LOOM_OPT_STRING, 0, "spikes", NULL, NULL, "Array of spike counts."},
    {"counts_axes", LOOM_OPT_STRING, 0, "bin,unit", "bin,unit|unit,bin|trial,bin,unit", NULL,
     "Order of the axes of the counts."},
    {"spike_times", LOOM_OPT_STRING, 0, "spike_times", NULL, NULL,
     "Array of the times of all spikes, instead of counts."},
    {"spike_units", LOOM_OPT_STRING, 0, "spike_units", NULL, NULL, "Array of the unit of each spike, counted from 0."},
    {"unit_names", LOOM_OPT_STRING, 0, "units.name", NULL, NULL, "Array of the units' names, texts or numbers."},
    {"time_scale", LOOM_OPT_REAL, 0, "1", "(0,inf)", "s", "Seconds in one unit of the file's times."},
    {"file_bin_ms", LOOM_OPT_REAL, 0, "0", "[0,inf)", "ms", "Width of the file's bins; 0 = from bin_from or times."},
    {"bin_from", LOOM_OPT_STRING, 0, "bin_ms", NULL, NULL, "Array of one number, the width of the file's bins in ms."},
    {"times", LOOM_OPT_STRING, 0, "time", NULL, NULL, "Array of the start of each bin; a jump begins a new block."},
    {"trial", LOOM_OPT_STRING, 0, "trial", NULL, NULL, "Array of the trial number of each bin."},
    {"trial_gap_s", LOOM_OPT_REAL, 0, "1", "(0,inf)", "s", "Time put between trials whose times are unknown."},
    {"series", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "Arrays of behaviour [sample, dim], \"name = array\" to rename; empty = every array of numbers that has the "
     "length of the bins or a clock."},
    {"series_times", LOOM_OPT_STRING, 0, "", NULL, NULL, "Array of the sample times of series that do not go by bins."},
    {"series_rate_hz", LOOM_OPT_REAL, 0, "0", "[0,inf)", "Hz", "Sampling rate of series that do not go by bins."},
    {"trial_start", LOOM_OPT_STRING, 0, "trials.start_s", NULL, NULL, "Array of trial starts."},
    {"trial_stop", LOOM_OPT_STRING, 0, "trials.stop_s", NULL, NULL, "Array of trial ends."},
    {"columns", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "Arrays of trial columns; empty = every array that has one value a trial."},
    {"region", LOOM_OPT_STRING, 0, "", NULL, NULL, "Brain region of all units."},
    {"subject", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the subject."},
    {"session", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the session; empty = the file's name."},
    {"task", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the task."},
    {"date", LOOM_OPT_STRING, 0, "", NULL, NULL, "Date of the recording, ISO 8601."},
    {0},
};

int npz_starved(struct npz_job *j)
{
    return loom_fail(j->e, LOOM_ENOMEM, j->z.file, 0, "out of memory; raise the limit on memory");
}

const struct npy *npz_find(struct npz_job *j, const char *fmt, ...)
{
    char name[2 * NPY_NAME];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    for (size_t i = 0; i < j->arrays; i++)
        if (strcmp(j->array[i].name, name) == 0)
            return &j->array[i];
    return NULL;
}

void npz_use(struct npz_job *j, const struct npy *a)
{
    if (a != NULL)
        j->used[a - j->array] = 1;
}

int npz_missing(struct npz_job *j, const char *name)
{
    char there[600] = "";
    const char **names = calloc(j->arrays + 1, sizeof *names);
    size_t used = 0;
    if (names == NULL)
        return npz_starved(j);
    for (size_t i = 0; i < j->arrays; i++) {
        names[i] = j->array[i].name;
        if (used + 1 < sizeof there)
            used += (size_t)snprintf(there + used, sizeof there - used, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    const char *nearest = loom_nearest(name, names);
    loom_fail(j->e, LOOM_EDATA, j->z.file, 0, "has no array \"%.64s\"%s%.64s%s; there are: %s", name,
              nearest != NULL ? ", did you mean \"" : "", nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "",
              used > 0 ? there : "none");
    free(names);
    return LOOM_EDATA;
}

int npz_named(struct npz_job *j, const char *option, const struct npy **out)
{
    const char *name = loom_opt_string(j->o, option);
    *out = name[0] != '\0' ? npz_find(j, "%s", name) : NULL;
    npz_use(j, *out);
    return *out == NULL && name[0] != '\0' && loom_opt_given(j->o, option) ? npz_missing(j, name) : LOOM_OK;
}

int npz_values(struct npz_job *j, const struct npy *a, size_t n, double scale, double **out)
{
    loom_sink_object(j->sink, a->name);
    npz_use(j, a);
    *out = NULL;
    if (n > 0 && a->rows * a->row != n)
        return loom_fail(j->e, LOOM_EDATA, j->z.file, 0, "%s has %llu values where %zu are due; name another array",
                         a->name, (unsigned long long)(a->rows * a->row), n);
    int status = npy_all(&j->z, a, out);
    for (size_t i = 0; status == LOOM_OK && i < a->rows * a->row; i++)
        (*out)[i] *= scale;
    return status;
}

int npz_number(struct npz_job *j, const struct npy *a, double *out)
{
    double *x;
    int status = npz_values(j, a, 1, 1, &x);
    if (status == LOOM_OK)
        *out = x[0];
    free(x);
    return status;
}

int npz_text(struct npz_job *j, const struct npy *a, char *out, size_t size)
{
    char **text = NULL;
    npz_use(j, a);
    int status = LOOM_OK;
    if (a->rows * a->row != 1)
        status = loom_fail(j->e, LOOM_EDATA, j->z.file, 0, "%s is no single text; rename the array", a->name);
    if (status == LOOM_OK)
        status = npy_texts(&j->z, a, &text);
    snprintf(out, size, "%s", status == LOOM_OK ? text[0] : "");
    npy_free_texts(text);
    return status;
}

/* ---- the recording ---- */

/* The option where it is given, else the file's text of that name, else `otherwise`. */
static int identity(struct npz_job *j, const char *what, const char *otherwise, char *out, size_t size)
{
    const struct npy *a = npz_find(j, "%s", what);
    const char *given = strcmp(what, "id") != 0 ? loom_opt_string(j->o, what) : "";
    snprintf(out, size, "%s", given[0] != '\0' ? given : otherwise);
    return given[0] == '\0' && a != NULL && npy_is_text(a) ? npz_text(j, a, out, size) : LOOM_OK;
}

static int begin(struct npz_job *j)
{
    char stem[STEM_NAME], id[256], subject[256], session[256], task[256], date[64];
    stem_of(stem, j->z.file);
    int status = identity(j, "id", stem, id, sizeof id);
    if (status == LOOM_OK)
        status = identity(j, "subject", "", subject, sizeof subject);
    if (status == LOOM_OK)
        status = identity(j, "session", stem, session, sizeof session);
    if (status == LOOM_OK)
        status = identity(j, "task", "", task, sizeof task);
    if (status == LOOM_OK)
        status = identity(j, "date", "", date, sizeof date);
    return status == LOOM_OK ? loom_sink_recording(j->sink, id, subject, session, task, date) : status;
}

/* ---- units ---- */

struct about {
    char **name, **region, **group;
    double *number, *electrode, *held_out, *position;
};

static int unit_texts(struct npz_job *j, const char *what, char ***out)
{
    const struct npy *a = npz_find(j, "units.%s", what);
    npz_use(j, a);
    return a != NULL && npy_is_text(a) && a->rows == j->units && a->row == 1 ? npy_texts(&j->z, a, out) : LOOM_OK;
}

static int unit_numbers(struct npz_job *j, const char *what, size_t each, double **out)
{
    const struct npy *a = npz_find(j, "units.%s", what);
    npz_use(j, a);
    return a != NULL && npy_is_number(a) && a->rows == j->units && a->row == each
               ? npz_values(j, a, j->units * each, 1, out)
               : LOOM_OK;
}

static int read_about(struct npz_job *j, struct about *u)
{
    const struct npy *names;
    int status = npz_named(j, "unit_names", &names);
    if (status == LOOM_OK && names != NULL && names->rows * names->row != j->units)
        status = loom_fail(j->e, LOOM_EDATA, j->z.file, 0, "%s has %llu names for %zu units; name another array",
                           names->name, (unsigned long long)(names->rows * names->row), j->units);
    if (status == LOOM_OK && names != NULL)
        status = npy_is_text(names) ? npy_texts(&j->z, names, &u->name) : npz_values(j, names, j->units, 1, &u->number);
    if (status == LOOM_OK)
        status = unit_texts(j, "region", &u->region);
    if (status == LOOM_OK)
        status = unit_texts(j, "group", &u->group);
    if (status == LOOM_OK)
        status = unit_numbers(j, "electrode", 1, &u->electrode);
    if (status == LOOM_OK)
        status = unit_numbers(j, "held_out", 1, &u->held_out);
    return status == LOOM_OK ? unit_numbers(j, "position", 3, &u->position) : status;
}

int npz_send_units(struct npz_job *j)
{
    struct about u = {0};
    int status = read_about(j, &u);
    for (size_t i = 0; i < j->units && status == LOOM_OK; i++) {
        char name[64];
        const double *at = u.position != NULL ? u.position + 3 * i : NULL;
        snprintf(name, sizeof name, "unit%.10g", u.number != NULL ? u.number[i] : (double)i);
        double electrode = u.electrode != NULL ? u.electrode[i] : -1;
        struct loom_unit unit = {u.name != NULL ? u.name[i] : name,
                                 u.group != NULL ? u.group[i] : "",
                                 u.region != NULL ? u.region[i] : loom_opt_string(j->o, "region"),
                                 electrode >= 0 && electrode <= INT32_MAX ? (int32_t)electrode : -1,
                                 u.held_out != NULL && u.held_out[i] != 0,
                                 at != NULL ? at[0] : NAN,
                                 at != NULL ? at[1] : NAN,
                                 at != NULL ? at[2] : NAN};
        status = loom_sink_unit(j->sink, &unit);
    }
    npy_free_texts(u.name);
    npy_free_texts(u.region);
    npy_free_texts(u.group);
    free(u.number);
    free(u.electrode);
    free(u.held_out);
    free(u.position);
    return status;
}

/* ---- spike times ---- */

/* How many units there are: as many as have names, and as the highest number asks for. */
static int count_units(struct npz_job *j, const struct npy *units, const double *unit, size_t n)
{
    const struct npy *names = npz_find(j, "%s", loom_opt_string(j->o, "unit_names"));
    double most = names != NULL ? (double)(names->rows * names->row) - 1 : -1;
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (!(unit[i] >= 0 && unit[i] < 1 << 22) || unit[i] != floor(unit[i]))
            return loom_fail(j->e, LOOM_EDATA, j->z.file, 0,
                             "%s: %g (spike %zu) is no number of a unit; units are counted from 0", units->name,
                             unit[i], i);
        if (unit[i] > most && names != NULL)
            return loom_fail(j->e, LOOM_EDATA, j->z.file, 0,
                             "%s: %g (spike %zu) is the number of none of the %llu units that %s names; units are "
                             "counted from 0: subtract 1 if the file counts from 1",
                             units->name, unit[i], i, (unsigned long long)(names->rows * names->row), names->name);
        most = fmax(most, unit[i]);
        least = fmin(least, unit[i]);
    }
    if (least == 1 && names == NULL)
        loom_sink_warn(j->sink,
                       "%s never names unit 0, which is there without a spike: units are counted from 0; subtract 1 if "
                       "the file counts from 1",
                       units->name);
    j->units = (size_t)(most + 1);
    return LOOM_OK;
}

/* Grouped by unit in one pass over two: the first counts, the second puts each spike where its unit's begin. */
static int send_grouped(struct npz_job *j, const double *time, const double *unit, size_t n)
{
    size_t *end = calloc(j->units + 1, sizeof *end), bad = 0;
    double *grouped = malloc((n + 1) * sizeof *grouped);
    int status = end != NULL && grouped != NULL ? LOOM_OK : npz_starved(j);
    for (size_t i = 0; i < n && status == LOOM_OK; i++)
        end[(size_t)unit[i]] += (size_t)isfinite(time[i]) != 0;
    for (size_t u = 0, sum = 0; u < j->units && status == LOOM_OK; u++) {
        size_t many = end[u];
        end[u] = sum;
        sum += many;
    }
    for (size_t i = 0; i < n && status == LOOM_OK; i++)
        if (isfinite(time[i]))
            grouped[end[(size_t)unit[i]]++] = time[i];
        else
            bad++;
    for (size_t u = 0; u < j->units && status == LOOM_OK; u++) {
        size_t from = u > 0 ? end[u - 1] : 0;
        status = end[u] > from ? loom_sink_spikes(j->sink, (int32_t)u, grouped + from, end[u] - from) : LOOM_OK;
    }
    if (bad > 0)
        loom_sink_warn(j->sink, "%zu spikes have no finite time and are left out", bad);
    free(end);
    free(grouped);
    return status;
}

static int send_spikes(struct npz_job *j, const struct npy *times)
{
    const struct npy *units;
    double *time = NULL, *unit = NULL;
    size_t n = (size_t)(times->rows * times->row);
    int status = npz_named(j, "spike_units", &units);
    if (status == LOOM_OK && units == NULL && loom_opt_string(j->o, "spike_units")[0] != '\0')
        status = npz_missing(j, loom_opt_string(j->o, "spike_units"));
    if (status == LOOM_OK)
        status = npz_values(j, times, 0, loom_opt_real(j->o, "time_scale"), &time);
    if (status == LOOM_OK && units != NULL && units->rows * units->row != n)
        status = loom_fail(j->e, LOOM_EDATA, j->z.file, 0, "%s has %zu values, %s %llu; name two that belong together",
                           times->name, n, units->name, (unsigned long long)(units->rows * units->row));
    if (status == LOOM_OK)
        status = units != NULL                                  ? npz_values(j, units, 0, 1, &unit)
                 : (unit = calloc(n + 1, sizeof *unit)) != NULL ? LOOM_OK
                                                                : npz_starved(j);
    if (status == LOOM_OK)
        status = count_units(j, units != NULL ? units : times, unit, n);
    if (status == LOOM_OK)
        status = npz_send_units(j);
    if (status == LOOM_OK)
        status = send_grouped(j, time, unit, n);
    free(time);
    free(unit);
    return status;
}

static int send_observed(struct npz_job *j)
{
    const struct npy *a = npz_find(j, "observed_s");
    double *pair = NULL;
    if (a == NULL || !npy_is_number(a) || a->row != 2)
        return LOOM_OK;
    int status = npz_values(j, a, 0, 1, &pair);
    for (uint64_t i = 0; i < a->rows && status == LOOM_OK; i++)
        status = loom_sink_observed(j->sink, pair[2 * i], pair[2 * i + 1]);
    free(pair);
    return status;
}

/* ---- the archive ---- */

static int open_arrays(struct npz_job *j, const char *file)
{
    int status = zip_open(&j->z, file, j->e);
    if (status != LOOM_OK)
        return status;
    j->array = calloc(j->z.members + 1, sizeof *j->array);
    j->used = calloc(j->z.members + 1, 1);
    if (j->array == NULL || j->used == NULL)
        return npz_starved(j);
    for (size_t i = 0; i < j->z.members && status == LOOM_OK; i++) {
        const struct zip_member *m = &j->z.member[i];
        size_t n = strlen(m->name);
        loom_sink_object(j->sink, m->name);
        if (n > 4 && n < NPY_NAME && strcmp(m->name + n - 4, ".npy") == 0)
            status = npy_open(&j->array[j->arrays++], &j->z, m);
    }
    if (status == LOOM_OK && j->arrays == 0)
        status = loom_fail(j->e, LOOM_EDATA, file, 0, "holds no NumPy array; is it an .npz?");
    return status;
}

static int read_activity(struct npz_job *j)
{
    const struct npy *counts = NULL, *times;
    int status = npz_named(j, "spike_times", &times);
    if (status == LOOM_OK && (times == NULL || loom_opt_given(j->o, "counts")))
        status = npz_named(j, "counts", &counts);
    if (status != LOOM_OK)
        return status;
    if (counts != NULL)
        return npz_counts(j, counts);
    if (times != NULL)
        return send_spikes(j, times);
    return LOOM_OK;
}

/* Of an archive without spikes that is read whole, EEG for instance, there is nothing to say. */
static void warn_of_rest(struct npz_job *j)
{
    for (size_t i = 0; i < j->arrays && j->units == 0; i++)
        if (!j->used[i] && npy_is_number(&j->array[i])) {
            loom_sink_warn(j->sink,
                           "has neither counts nor spike times: behaviour and tables alone are read, and %s is not; "
                           "name what it holds with counts or spike_times",
                           j->array[i].name);
            return;
        }
}

static int npz_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)e;
    *self = (void *)(uintptr_t)loom_setup_options(s);
    return LOOM_OK;
}

static int npz_read(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    struct npz_job j = {.o = self, .sink = sink, .e = e, .z = {.fd = -1}};
    if (file == NULL)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "source npz reads a file; name it in files");
    int status = open_arrays(&j, file);
    npz_use(&j, npz_find(&j, "observed_s"));
    if (status == LOOM_OK)
        status = begin(&j);
    if (status == LOOM_OK)
        status = read_activity(&j);
    if (status == LOOM_OK)
        status = npz_tables(&j);
    if (status == LOOM_OK)
        status = npz_series(&j);
    if (status == LOOM_OK)
        status = send_observed(&j);
    if (status == LOOM_OK)
        warn_of_rest(&j);
    free(j.array);
    free(j.used);
    binned_release(&j.b);
    zip_close(&j.z);
    return status;
}

static const struct loom_source npz_source = {
    .part = {.size = sizeof npz_source, .create = npz_create},
    .read = npz_read,
    .write = npz_write,
};

static const struct loom_plugin npz_plugin = {
    .size = sizeof npz_plugin,
    .build = LOOM_BUILD_BLOCK,
    .id = "npz",
    .version = "1.0",
    .summary = "NumPy archives (.npz): counts or spike times, behaviour, trials, by the names of their arrays.",
    .license = "Apache-2.0",
    .kind = LOOM_SOURCE,
    .options = npz_options,
    .table = &npz_source,
};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &npz_plugin : NULL;
}
