/* SPDX-License-Identifier: Apache-2.0 */
/* Behaviour and interval tables of the source `npz`: what has the length of the bins, a clock of its own, or one value
 * a row. */
#include "npz_job.h"

#include "names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A signal of its own, whatever its length. */
static int has_its_clock(struct npz_job *j, const struct npy *a)
{
    return npz_find(j, "%s.time_s", a->name) != NULL || npz_find(j, "%s.rate_hz", a->name) != NULL;
}

/* ---- tables ---- */

/* One value a row, or a few: column, column_0 … */
enum { MOST_WIDE = 4 };

static int send_column(struct npz_job *j, const struct npy *a, const char *name, size_t rows)
{
    double *x = NULL, *one = NULL;
    char **text = NULL;
    int status = LOOM_OK;
    npz_use(j, a);
    if (npy_is_text(a) && a->row == 1) {
        status = npy_texts(&j->z, a, &text);
        if (status == LOOM_OK)
            status = loom_sink_texts(j->sink, name, (const char *const *)text);
        npy_free_texts(text);
        return status;
    }
    status = npz_values(j, a, 0, 1, &x);
    if (status == LOOM_OK && (one = calloc(rows + 1, sizeof *one)) == NULL)
        status = npz_starved(j);
    for (size_t k = 0; k < a->row && status == LOOM_OK; k++) {
        char called[NPY_NAME + 24];
        snprintf(called, sizeof called, a->row > 1 ? "%s_%zu" : "%s", name, k);
        for (size_t i = 0; i < rows; i++)
            one[i] = x[i * a->row + k];
        status = loom_sink_numbers(j->sink, called, one);
    }
    free(x);
    free(one);
    return status;
}

static int fits_table(const struct npy *a, size_t rows)
{
    return a->rank > 0 && a->rows == rows &&
           ((npy_is_number(a) && a->row >= 1 && a->row <= MOST_WIDE) || (npy_is_text(a) && a->row == 1));
}

/* Columns that the user named; else "table.column", and for the trials whatever has one value a trial. */
static int send_columns(struct npz_job *j, const char *table, size_t rows, int trials)
{
    size_t named = trials ? loom_opt_count(j->o, "columns") : 0, n = strlen(table);
    int status = LOOM_OK;
    for (size_t i = 0; i < named && status == LOOM_OK; i++) {
        const char *name = loom_opt_string_at(j->o, "columns", i);
        const struct npy *a = npz_find(j, "%s", name);
        if (a == NULL)
            status = npz_missing(j, name);
        else if (!fits_table(a, rows))
            status =
                loom_fail(j->e, LOOM_EDATA, j->z.file, 0,
                          "column \"%s\" does not have one value for each of the %zu trials; leave it out", name, rows);
        else
            status = send_column(j, a, name, rows);
    }
    for (size_t i = 0; i < j->arrays && named == 0 && status == LOOM_OK; i++) {
        const struct npy *a = &j->array[i];
        int mine = strncmp(a->name, table, n) == 0 && a->name[n] == '.';
        if (!j->used[i] && fits_table(a, rows) && !has_its_clock(j, a) &&
            (mine || (trials && rows != j->b.bins && strchr(a->name, '.') == NULL)))
            status = send_column(j, a, mine ? a->name + n + 1 : a->name, rows);
    }
    return status;
}

static int send_table(struct npz_job *j, const char *name, const struct npy *starts, const struct npy *stops,
                      int trials)
{
    double *start = NULL, *stop = NULL, scale = loom_opt_real(j->o, "time_scale");
    size_t rows = (size_t)(starts->rows * starts->row);
    if (rows > INT32_MAX)
        return loom_fail(j->e, LOOM_EDATA, j->z.file, 0, "%s has %zu rows; is the file damaged?", starts->name, rows);
    int status = npz_values(j, starts, 0, scale, &start);
    if (status == LOOM_OK && stops->rows * stops->row != rows)
        status = loom_fail(j->e, LOOM_EDATA, j->z.file, 0,
                           "%zu starts in %s, %llu ends in %s; name two that belong "
                           "together",
                           rows, starts->name, (unsigned long long)(stops->rows * stops->row), stops->name);
    if (status == LOOM_OK)
        status = npz_values(j, stops, 0, scale, &stop);
    if (status == LOOM_OK)
        status = loom_sink_intervals(j->sink, name, (int32_t)rows, start, stop);
    if (status == LOOM_OK)
        status = send_columns(j, name, rows, trials);
    if (trials)
        j->b.rows = (int32_t)rows;
    free(start);
    free(stop);
    return status;
}

/* Trials as the bins have them. */
static int send_binned_trials(struct npz_job *j)
{
    int status = binned_send_trials(&j->b, j->sink);
    if (status == LOOM_ENOMEM)
        return npz_starved(j);
    return status == LOOM_OK ? send_columns(j, "trials", (size_t)j->b.rows, 1) : status;
}

int npz_tables(struct npz_job *j)
{
    const struct npy *start, *stop;
    char name[NPY_NAME];
    int status = npz_named(j, "trial_start", &start);
    if (status == LOOM_OK)
        status = npz_named(j, "trial_stop", &stop);
    if (status == LOOM_OK && (start == NULL) != (stop == NULL))
        return loom_fail(j->e, LOOM_ECONFIG, j->z.file, 0, "trial_start and trial_stop go together; name both");
    if (status == LOOM_OK && start != NULL)
        status = send_table(j, "trials", start, stop, 1);
    else if (status == LOOM_OK && j->b.rows > 0)
        status = send_binned_trials(j);
    for (size_t i = 0; i < j->arrays && status == LOOM_OK; i++) {
        const char *dot = strrchr(j->array[i].name, '.');
        if (j->used[i] || dot == NULL || strcmp(dot, ".start_s") != 0 || !npy_is_number(&j->array[i]))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - j->array[i].name), j->array[i].name);
        if ((stop = npz_find(j, "%s.stop_s", name)) != NULL && npy_is_number(stop))
            status = send_table(j, name, &j->array[i], stop, 0);
    }
    return status;
}

/* ---- series ---- */

struct signal {
    char name[NPY_NAME], unit[64];
    const struct npy *a;
    size_t samples, dims;
    double rate_hz, start_s, *time; /* rate 0: times [samples] */
};

/* The clock of a series: its own times or rate, those of the options, or the bins, in whose middle its values stand, as
 * their counts do on average. 0: it has none. */
static int find_clock(struct npz_job *j, struct signal *s, int *status)
{
    const struct npy *time = npz_find(j, "%s.time_s", s->a->name), *rate = npz_find(j, "%s.rate_hz", s->a->name);
    const struct npy *start = npz_find(j, "%s.start_s", s->a->name);
    const char *times = loom_opt_string(j->o, "series_times");
    double scale = 1;
    if (time == NULL && rate == NULL && times[0] != '\0') {
        scale = loom_opt_real(j->o, "time_scale");
        if ((time = npz_find(j, "%s", times)) == NULL)
            *status = npz_missing(j, times);
        else if (time->rows * time->row != s->samples)
            time = NULL;
    }
    if (*status == LOOM_OK && time != NULL) {
        *status = npz_values(j, time, s->samples, scale, &s->time);
        return 1;
    }
    if (*status == LOOM_OK && rate != NULL) {
        *status = npz_number(j, rate, &s->rate_hz);
        if (*status == LOOM_OK && start != NULL)
            *status = npz_number(j, start, &s->start_s);
        if (*status == LOOM_OK && !(s->rate_hz > 0 && isfinite(s->rate_hz) && isfinite(s->start_s)))
            *status = loom_fail(j->e, LOOM_EDATA, j->z.file, 0, "%s is no rate above 0; correct the file", rate->name);
        return 1;
    }
    if (*status != LOOM_OK || j->b.bins == 0 || s->samples != j->b.bins)
        return *status == LOOM_OK && (s->rate_hz = loom_opt_real(j->o, "series_rate_hz")) > 0;
    int regular = 1;
    for (size_t b = 1; b < j->b.bins; b++)
        regular &= binned_goes_on(&j->b, b - 1);
    s->rate_hz = regular ? 1 / j->b.bin_s : 0;
    s->start_s = j->b.start_s[0] + 0.5 * j->b.bin_s;
    if (!regular && (s->time = calloc(j->b.bins + 1, sizeof *s->time)) == NULL)
        *status = npz_starved(j);
    for (size_t b = 0; s->time != NULL && b < j->b.bins; b++)
        s->time[b] = j->b.start_s[b] + 0.5 * j->b.bin_s;
    return 1;
}

static int begin(struct npz_job *j, struct signal *s)
{
    const struct npy *unit = npz_find(j, "%s.unit", s->a->name), *dims = npz_find(j, "%s.dims", s->a->name);
    char(*called)[DIM_NAME] = calloc(s->dims + 1, sizeof *called), **text = NULL;
    const char **name = calloc(s->dims + 1, sizeof *name);
    int status = called != NULL && name != NULL ? LOOM_OK : npz_starved(j);
    if (status == LOOM_OK && unit != NULL && npy_is_text(unit))
        status = npz_text(j, unit, s->unit, sizeof s->unit);
    if (status == LOOM_OK && dims != NULL && npy_is_text(dims) && dims->rows * dims->row == s->dims)
        status = npy_texts(&j->z, dims, &text);
    for (size_t d = 0; status == LOOM_OK && d < s->dims; d++) {
        dim_name_of(called[d], d, s->dims);
        name[d] = text != NULL ? text[d] : called[d];
    }
    if (status == LOOM_OK)
        status = loom_sink_series(j->sink, s->name, s->unit, (int32_t)s->dims, name, s->rate_hz, s->start_s);
    free(called);
    free(name);
    npy_free_texts(text);
    return status;
}

/* In pieces, so that hours of it need no memory. */
static int send(struct npz_job *j, struct signal *s)
{
    size_t most = ((size_t)1 << 17) / s->dims + 1;
    struct npy_reader *r = malloc(sizeof *r);
    double *x = malloc(most * s->dims * sizeof *x);
    float *value = malloc(most * s->dims * sizeof *value);
    int number = begin(j, s), status = number < 0 ? number : LOOM_OK;
    loom_sink_object(j->sink, s->a->name);
    npz_use(j, s->a);
    if (status == LOOM_OK)
        status = r != NULL && x != NULL && value != NULL ? npy_begin(r, &j->z, s->a) : npz_starved(j);
    else if (r != NULL)
        *r = (struct npy_reader){.a = s->a};
    for (size_t done = 0; done < s->samples && status == LOOM_OK;) {
        size_t n = s->samples - done < most ? s->samples - done : most;
        status = npy_read(r, n * s->dims, x);
        for (size_t i = 0; i < n * s->dims; i++)
            value[i] = status == LOOM_OK ? (float)x[i] : 0;
        if (status == LOOM_OK)
            status = loom_sink_samples(j->sink, number, (int64_t)n, s->time != NULL ? s->time + done : NULL, value);
        done += n;
    }
    if (r != NULL)
        npy_end(r);
    free(r);
    free(x);
    free(value);
    return status;
}

/* Samples first; a cube [trial, bin, dim] beside a cube of counts goes by its bins. */
static void measure(const struct npz_job *j, struct signal *s)
{
    int cube = j->pieces > 1 && s->a->rank >= 2 && s->a->dims[0] == j->pieces && s->a->dims[1] == j->piece_bins;
    s->samples = (size_t)(cube ? j->b.bins : s->a->rows);
    s->dims = s->samples > 0 ? (size_t)(s->a->rows * s->a->row / s->samples) : 0;
}

enum { MOST_DIMS = 4096, MOST_DIMS_FOUND = 64 };

static int take_named(struct npz_job *j, const char *given)
{
    struct signal s = {.name = ""};
    const char *eq = strchr(given, '='), *path = eq != NULL ? eq + 1 + strspn(eq + 1, " ") : given;
    int status = LOOM_OK, length = eq != NULL ? (int)(eq - given) : (int)strlen(given);
    while (length > 0 && given[length - 1] == ' ')
        length--;
    snprintf(s.name, sizeof s.name, "%.*s", length, given);
    if ((s.a = npz_find(j, "%s", path)) == NULL)
        return npz_missing(j, path);
    measure(j, &s);
    if (!npy_is_number(s.a) || s.dims < 1 || s.dims > MOST_DIMS)
        status = loom_fail(j->e, LOOM_EDATA, j->z.file, 0,
                           "series \"%s\" of type \"%s\", [%zu, %zu], is no matrix of numbers [sample, dim]; name "
                           "another",
                           path, s.a->kind == 'O' ? "Python objects" : s.a->descr, s.samples, s.dims);
    else if (!find_clock(j, &s, &status) && status == LOOM_OK)
        status = loom_fail(j->e, LOOM_EDATA, j->z.file, 0,
                           "series \"%s\" [%zu, %zu] goes neither by the bins nor by a clock; samples come first: set "
                           "series_times or series_rate_hz, transpose it, or leave it out",
                           path, s.samples, s.dims);
    if (status == LOOM_OK)
        status = send(j, &s);
    free(s.time);
    return status;
}

static int take_found(struct npz_job *j, size_t i)
{
    struct signal s = {.a = &j->array[i]};
    int status = LOOM_OK;
    const char *dot = strrchr(s.a->name, '.');
    measure(j, &s);
    int has_clock = has_its_clock(j, s.a);
    if (!npy_is_number(s.a) || s.samples < (has_clock ? 1 : 2) || s.dims < 1 ||
        s.dims > (has_clock ? MOST_DIMS : MOST_DIMS_FOUND) ||
        (dot != NULL && (strcmp(dot, ".time_s") == 0 || strcmp(dot, ".rate_hz") == 0 || strcmp(dot, ".start_s") == 0)))
        return LOOM_OK;
    /* A rate for all is for arrays that were named: here it would make a signal of any list of numbers. */
    const struct npy *times = npz_find(j, "%s", loom_opt_string(j->o, "series_times"));
    if (!has_clock && s.samples != j->b.bins && (times == NULL || times == s.a || times->rows != s.samples))
        return LOOM_OK;
    memcpy(s.name, s.a->name, sizeof s.name);
    if (find_clock(j, &s, &status) && status == LOOM_OK)
        status = send(j, &s);
    free(s.time);
    return status;
}

int npz_series(struct npz_job *j)
{
    size_t n = loom_opt_count(j->o, "series");
    int status = LOOM_OK;
    for (size_t i = 0; i < n && status == LOOM_OK; i++)
        status = take_named(j, loom_opt_string_at(j->o, "series", i));
    for (size_t i = 0; i < j->arrays && n == 0 && status == LOOM_OK; i++)
        if (!j->used[i])
            status = take_found(j, i);
    for (size_t i = 0; i < j->arrays && n == 0 && status == LOOM_OK; i++)
        if (!j->used[i] && j->array[i].kind == 'O')
            loom_sink_warn(j->sink, "%s holds Python objects (a pickle) and is left out", j->array[i].name);
    return status;
}
