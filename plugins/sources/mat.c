/* SPDX-License-Identifier: Apache-2.0 */
/* Source `mat`: MATLAB files of any version, by the names of their variables.
 *
 * Counts are one matrix, a cell array or field of a struct array with one matrix a trial, or a cube; the rest is found
 * by its length. Bins that are not neighbours in time (another trial, a jump of the clock) stand in blocks of their
 * own, so no window crosses from one to the other. */
#include "mat_job.h"

#include "names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct loom_option mat_options[] = {
    {"counts", LOOM_OPT_STRING, 0, "spikes", NULL, NULL, "Path of the spike counts: a matrix, or one matrix a trial."},
    {"counts_axes", LOOM_OPT_STRING, 0, "auto", "auto|unit,bin|bin,unit|unit,bin,trial|bin,unit,trial|trial,bin,unit",
     NULL, "Order of the axes of the counts; auto finds it by the lengths of the other variables."},
    {"spike_times", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "Path of spike times, one vector a unit (cell or struct array), instead of counts."},
    {"time_scale", LOOM_OPT_REAL, 0, "1", "(0,inf)", "s", "Seconds in one unit of the file's times."},
    {"file_bin_ms", LOOM_OPT_REAL, 0, "0", "[0,inf)", "ms", "Width of the file's bins; 0 = from bin_from or times."},
    {"bin_from", LOOM_OPT_STRING, 0, "bin_ms", NULL, NULL, "Path of a number, the width of the file's bins in ms."},
    {"times", LOOM_OPT_STRING, 0, "time", NULL, NULL, "Path of the time of each bin; a jump begins a new block."},
    {"trial", LOOM_OPT_STRING, 0, "trial", NULL, NULL, "Path of the trial number of each bin."},
    {"bin_index", LOOM_OPT_STRING, 0, "timestep", NULL, NULL,
     "Path of the number of each bin within its trial; a jump begins a new block."},
    {"trial_gap_s", LOOM_OPT_REAL, 0, "1", "(0,inf)", "s", "Time put between trials whose times are unknown."},
    {"series", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "Paths of behaviour, \"name = path\" to rename; empty = everything beside the counts that has their length."},
    {"series_times", LOOM_OPT_STRING, 0, "", NULL, NULL, "Path of the sample times of series that do not go by bins."},
    {"series_rate_hz", LOOM_OPT_REAL, 0, "0", "[0,inf)", "Hz", "Sampling rate of series that do not go by bins."},
    {"drop_constant", LOOM_OPT_BOOL, 0, "true", NULL, NULL, "Leave out dimensions of series that never change."},
    {"columns", LOOM_OPT_STRINGS, 0, "", NULL, NULL,
     "Paths of trial columns; empty = everything beside the counts that has one value a trial."},
    {"trial_start", LOOM_OPT_STRING, 0, "", NULL, NULL, "Path of trial starts, for spike times."},
    {"trial_stop", LOOM_OPT_STRING, 0, "", NULL, NULL, "Path of trial ends, for spike times."},
    {"units", LOOM_OPT_STRING, 0, "", NULL, NULL,
     "Path of the units to keep: numbers from 1, or a logical mask. Their numbers become their electrodes."},
    {"region", LOOM_OPT_STRING, 0, "", NULL, NULL, "Brain region of all units."},
    {"subject", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the subject."},
    {"session", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the session; empty = the file's name."},
    {"task", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the task."},
    {"date", LOOM_OPT_STRING, 0, "", NULL, NULL, "Date of the recording, ISO 8601."},
    {0},
};

int mat_starved(struct mat_job *j)
{
    return loom_fail(j->e, LOOM_ENOMEM, j->file, 0, "out of memory; raise the limit on memory");
}

int mat_wants(struct mat_job *j, const char *option)
{
    const char *path = loom_opt_string(j->o, option);
    return path[0] != '\0' && (loom_opt_given(j->o, option) || mat_has(&j->m, path));
}

/* ---- pieces ---- */

/* How many variables beside the counts have this length: bins are shared, units are not. */
static int shared(struct mat_job *j, size_t length)
{
    int n = 0;
    size_t r, c;
    for (size_t i = 0; i < j->m.names; i++)
        if (strcmp(j->m.name[i], j->path) != 0 && mat_shape(&j->m, j->m.name[i], &r, &c))
            n += r == length || c == length;
    return n;
}

/* 1: units are rows. Pieces tell by the axis that varies, a single matrix by what else has the length. */
static int units_are_rows(struct mat_job *j, int *rows)
{
    const char *axes = loom_opt_string(j->o, "counts_axes");
    size_t first[2] = {0, 0};
    int varies[2] = {0, 0};
    *rows = strcmp(axes, "unit,bin") == 0 || strcmp(axes, "unit,bin,trial") == 0;
    if (strcmp(axes, "auto") != 0)
        return LOOM_OK;
    for (size_t i = 0; i < j->counts.n; i++)
        for (int d = 0; d < 2 && mat_count(j->counts.v[i]) > 0; d++) {
            if (first[d] == 0)
                first[d] = j->counts.v[i]->dims[d];
            varies[d] |= j->counts.v[i]->dims[d] != first[d];
        }
    if (varies[0] != varies[1]) {
        *rows = varies[1];
        return LOOM_OK;
    }
    int by_row = shared(j, first[0]), by_column = shared(j, first[1]);
    if (varies[0] || j->counts.n > 1 || (by_row == by_column && first[0] == first[1]))
        return loom_fail(
            j->e, LOOM_ECONFIG, j->file, 0,
            "which axis of \"%s\" is the units cannot be told; set counts_axes to \"unit,bin\" or \"bin,unit\"",
            j->path);
    *rows = by_row != by_column ? by_column > by_row : first[1] > first[0];
    if (by_row == by_column)
        loom_sink_warn(j->sink, "the longer axis of \"%s\" is taken for the bins; set counts_axes if it is not",
                       j->path);
    return LOOM_OK;
}

/* Rank 2, or 3 where counts_axes names three. */
static int check_piece(struct mat_job *j, size_t i, int cube)
{
    const matvar_t *v = j->counts.v[i];
    if (mat_count(v) == 0)
        return LOOM_OK;
    if (!mat_is_numeric(v))
        return loom_fail(j->e, LOOM_EDATA, j->file, 0,
                         "\"%s\" holds what is no matrix of numbers (element %zu); name the counts with counts",
                         j->path, i + 1);
    if (v->rank != (cube ? 3 : 2))
        return loom_fail(j->e, LOOM_EDATA, j->file, 0, "\"%s\" has %d axes where counts_axes has %d; set counts_axes",
                         j->path, v->rank, cube ? 3 : 2);
    return LOOM_OK;
}

static int add_piece(struct mat_job *j, size_t value, size_t offset, size_t units, size_t bins)
{
    if (j->units_all == 0)
        j->units_all = units;
    if (units != j->units_all)
        return loom_fail(j->e, LOOM_EDATA, j->file, 0,
                         "\"%s\": element %zu has %zu units, others %zu; set counts_axes, or leave it out", j->path,
                         value + 1, units, j->units_all);
    j->piece[j->pieces++] = (struct mat_piece){value, offset, bins, j->b.bins};
    j->b.bins += bins;
    return LOOM_OK;
}

static int take_cube(struct mat_job *j)
{
    const matvar_t *v = j->counts.v[0];
    if (j->counts.n != 1 || loom_opt_is(j->o, "counts_axes", "trial,bin,unit"))
        return loom_fail(j->e, LOOM_EDATA, j->file, 0,
                         "\"%s\": a cube of counts is one array with the trial as its last axis; permute it in MATLAB",
                         j->path);
    size_t rows = v->dims[0], columns = v->dims[1], trials = v->dims[2];
    j->values = trials;
    if ((j->piece = calloc(trials, sizeof *j->piece)) == NULL)
        return mat_starved(j);
    int status = LOOM_OK;
    for (size_t t = 0; t < trials && status == LOOM_OK; t++)
        status = add_piece(j, t, t * rows * columns, j->unit_stride_rows ? rows : columns,
                           j->unit_stride_rows ? columns : rows);
    return status;
}

static int take_pieces(struct mat_job *j)
{
    int rows, status = mat_find(&j->m, j->path, &j->counts, j->e);
    int cube = strstr(loom_opt_string(j->o, "counts_axes"), "trial") != NULL;
    for (size_t i = 0; i < j->counts.n && status == LOOM_OK; i++)
        status = check_piece(j, i, cube);
    if (status == LOOM_OK)
        status = units_are_rows(j, &rows);
    if (status != LOOM_OK)
        return status;
    j->unit_stride_rows = (size_t)rows;
    if (cube)
        return take_cube(j);
    j->values = j->counts.n;
    if ((j->piece = calloc(j->counts.n + 1, sizeof *j->piece)) == NULL)
        return mat_starved(j);
    for (size_t i = 0; i < j->counts.n && status == LOOM_OK; i++) {
        const matvar_t *v = j->counts.v[i];
        if (mat_count(v) > 0)
            status = add_piece(j, i, 0, v->dims[rows ? 0 : 1], v->dims[rows ? 1 : 0]);
    }
    if (status == LOOM_OK && j->b.bins == 0)
        status = loom_fail(j->e, LOOM_EDATA, j->file, 0, "\"%s\" is empty; name the counts with counts", j->path);
    if (status == LOOM_OK && j->pieces < j->values)
        loom_sink_warn(j->sink, "%zu of %zu trials have no counts and are left out", j->values - j->pieces, j->values);
    return status;
}

/* ---- units ---- */

static int keep_listed(struct mat_job *j)
{
    struct mat_list l;
    int status = mat_find(&j->m, loom_opt_string(j->o, "units"), &l, j->e);
    const matvar_t *v = status == LOOM_OK && l.n == 1 ? l.v[0] : NULL;
    if (status == LOOM_OK && !mat_is_numeric(v))
        status = loom_fail(j->e, LOOM_EDATA, j->file, 0, "units: \"%s\" is no list of numbers; name one",
                           loom_opt_string(j->o, "units"));
    size_t n = status == LOOM_OK ? mat_count(v) : 0;
    int mask = status == LOOM_OK && v->isLogical;
    for (size_t i = 0; i < n && status == LOOM_OK; i++) {
        double x = mat_number(v, i), number = mask ? (double)i : x - 1;
        if (mask && x == 0)
            continue;
        if (!(number >= 0) || number >= (double)j->units_all || number != floor(number) || j->units == j->units_all)
            status = loom_fail(j->e, LOOM_EDATA, j->file, 0, "units: %g is no number from 1 to %zu; name another list",
                               x, j->units_all);
        else
            j->keep[j->units++] = (size_t)number;
    }
    mat_list_release(&l);
    return status;
}

static int send_units(struct mat_job *j)
{
    int status = LOOM_OK, listed = loom_opt_string(j->o, "units")[0] != '\0';
    if ((j->keep = calloc(j->units_all + 1, sizeof *j->keep)) == NULL)
        return mat_starved(j);
    if (listed)
        status = keep_listed(j);
    else
        for (j->units = 0; j->units < j->units_all; j->units++)
            j->keep[j->units] = j->units;
    if (status == LOOM_OK && j->units == 0)
        status = loom_fail(j->e, LOOM_EDATA, j->file, 0, "\"%s\": no unit is left; check units", j->path);
    for (size_t i = 0; i < j->units && status == LOOM_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, listed ? "ch%zu" : "unit%zu", j->keep[i] + (listed ? 1 : 0));
        struct loom_unit u = {name, "", loom_opt_string(j->o, "region"), listed ? (int32_t)j->keep[i] + 1 : -1, 0, NAN,
                              NAN,  NAN};
        status = loom_sink_unit(j->sink, &u);
    }
    return status;
}

/* ---- time of bins ---- */

/* A vector with one number a bin, for a single matrix alone; NULL where there is none. */
static double *per_bin(struct mat_job *j, const char *option, int *status)
{
    struct mat_list l;
    double *x = NULL;
    if (*status != LOOM_OK || !mat_wants(j, option))
        return NULL;
    *status = mat_find(&j->m, loom_opt_string(j->o, option), &l, j->e);
    if (*status == LOOM_OK && l.n == 1 && mat_is_numeric(l.v[0]) && mat_count(l.v[0]) == j->b.bins && j->pieces == 1) {
        x = mat_numbers(l.v[0]);
        if (x == NULL)
            *status = mat_starved(j);
    } else if (*status == LOOM_OK && loom_opt_given(j->o, option)) {
        *status = loom_fail(j->e, LOOM_EDATA, j->file, 0,
                            "%s: \"%s\" does not have one number for each of the %zu bins; name another", option,
                            loom_opt_string(j->o, option), j->b.bins);
    }
    mat_list_release(&l);
    return x;
}

static int find_bin(struct mat_job *j, const double *times)
{
    struct mat_list l = {0};
    int status = LOOM_OK;
    double ms = loom_opt_real(j->o, "file_bin_ms");
    if (!(ms > 0) && mat_wants(j, "bin_from")) {
        status = mat_find(&j->m, loom_opt_string(j->o, "bin_from"), &l, j->e);
        if (status == LOOM_OK && l.n > 0 && mat_is_numeric(l.v[0]) && mat_count(l.v[0]) > 0)
            ms = mat_number(l.v[0], 0);
        mat_list_release(&l);
    }
    j->b.bin_s = ms > 0 ? 1e-3 * ms : times != NULL ? binned_width(times, j->b.bins) : 0;
    if (status == LOOM_OK && !(j->b.bin_s > 0 && isfinite(j->b.bin_s)))
        status =
            loom_fail(j->e, LOOM_ECONFIG, j->file, 0,
                      "the width of its bins is unknown; set file_bin_ms, or name a variable with bin_from or times");
    return status;
}

/* Start of every bin, and the row of its trial. */
static int place_bins(struct mat_job *j, const double *times, const double *trial, const double *index)
{
    double gap = loom_opt_real(j->o, "trial_gap_s");
    size_t p = 0;
    for (size_t b = 0; b < j->b.bins; b++) {
        while (b >= j->piece[p].first_bin + j->piece[p].bins)
            p++;
        int begins = b == 0 || b == j->piece[p].first_bin || (trial != NULL && trial[b] != trial[b - 1]);
        double step = index != NULL && !begins ? index[b] - index[b - 1] : 1;
        if (!(step >= 1) || step != floor(step))
            return loom_fail(j->e, LOOM_EDATA, j->file, 0,
                             "bin_index does not ascend within a trial (bin %zu); set bin_index = \"\"", b + 1);
        if (times != NULL)
            j->b.start_s[b] = times[b];
        else if (b == 0)
            j->b.start_s[b] = 0;
        else
            j->b.start_s[b] = j->b.start_s[b - 1] + step * j->b.bin_s + (begins ? gap : 0);
        if (begins && (trial != NULL || j->values > 1)) {
            j->b.row_bin[j->b.rows] = b;
            j->b.row_label[j->b.rows++] = trial != NULL ? trial[b] : (double)j->piece[p].value + 1;
        }
        j->b.row[b] = j->b.rows - 1;
        if (!isfinite(j->b.start_s[b]) || (b > 0 && !(j->b.start_s[b] > j->b.start_s[b - 1] + 0.5 * j->b.bin_s)))
            return loom_fail(j->e, LOOM_EDATA, j->file, 0,
                             "times do not ascend by a bin's width (bin %zu); check times and file_bin_ms", b + 1);
    }
    j->b.row_bin[j->b.rows] = j->b.bins;
    return LOOM_OK;
}

static int time_bins(struct mat_job *j)
{
    int status = LOOM_OK;
    double *times = per_bin(j, "times", &status), *trial = per_bin(j, "trial", &status);
    double *index = trial != NULL ? per_bin(j, "bin_index", &status) : NULL;
    for (size_t b = 0; times != NULL && b < j->b.bins; b++)
        times[b] *= loom_opt_real(j->o, "time_scale");
    if (!binned_alloc(&j->b) && status == LOOM_OK)
        status = mat_starved(j);
    if (status == LOOM_OK)
        status = find_bin(j, times);
    if (status == LOOM_OK)
        status = place_bins(j, times, trial, index);
    free(times);
    free(trial);
    free(index);
    return status;
}

/* ---- counts ---- */

static int copy_bins(struct mat_job *j, const struct mat_piece *p, const double *full, size_t from, size_t n,
                     uint16_t *out)
{
    const matvar_t *v = j->counts.v[j->counts.n > 1 ? p->value : 0];
    size_t unit_step = j->unit_stride_rows ? 1 : p->bins, bin_step = j->unit_stride_rows ? j->units_all : 1;
    for (size_t b = 0; b < n; b++)
        for (size_t u = 0; u < j->units; u++) {
            size_t at = p->offset + (from + b) * bin_step + j->keep[u] * unit_step;
            double x = full != NULL ? full[at] : mat_number(v, at);
            if (!(x >= 0 && x <= UINT16_MAX) || x != floor(x))
                return loom_fail(j->e, LOOM_EDATA, j->file, 0,
                                 "\"%s\": %g (bin %zu, unit %zu) is no count; name the counts with counts", j->path, x,
                                 from + b + 1, j->keep[u] + 1);
            out[b * j->units + u] = (uint16_t)x;
        }
    return LOOM_OK;
}

/* A block ends with its piece, its trial, and where the next bin is not the neighbour. */
static int block_ends(const struct mat_job *j, const struct mat_piece *p, size_t b)
{
    return b + 1 == p->first_bin + p->bins || !binned_goes_on(&j->b, b);
}

static int send_piece(struct mat_job *j, const struct mat_piece *p)
{
    const matvar_t *v = j->counts.v[j->counts.n > 1 ? p->value : 0];
    double *full = v->class_type == MAT_C_SPARSE ? mat_numbers(v) : NULL;
    uint16_t *out = calloc(p->bins * j->units, sizeof *out);
    int status = out == NULL || (v->class_type == MAT_C_SPARSE && full == NULL) ? mat_starved(j) : LOOM_OK;
    for (size_t from = 0; from < p->bins && status == LOOM_OK;) {
        size_t n = 1;
        while (!block_ends(j, p, p->first_bin + from + n - 1))
            n++;
        status = copy_bins(j, p, full, from, n, out);
        if (status == LOOM_OK)
            status = loom_sink_counts(j->sink, j->b.start_s[p->first_bin + from], j->b.bin_s, (int64_t)n, out);
        from += n;
    }
    free(full);
    free(out);
    return status;
}

static int send_trials(struct mat_job *j)
{
    int status = binned_send_trials(&j->b, j->sink);
    if (status == LOOM_ENOMEM)
        return mat_starved(j);
    return status == LOOM_OK ? mat_take_columns(j) : status;
}

static int read_counts(struct mat_job *j)
{
    j->path = loom_opt_string(j->o, "counts");
    int status = take_pieces(j);
    if (status == LOOM_OK)
        status = time_bins(j);
    if (status == LOOM_OK)
        status = send_units(j);
    loom_sink_object(j->sink, j->path);
    for (size_t p = 0; p < j->pieces && status == LOOM_OK; p++)
        status = send_piece(j, &j->piece[p]);
    if (status == LOOM_OK && j->b.rows > 0)
        status = send_trials(j);
    return status == LOOM_OK ? mat_take_series(j) : status;
}

/* ---- spike times ---- */

static int send_spikes(struct mat_job *j, const struct mat_list *l)
{
    double scale = loom_opt_real(j->o, "time_scale");
    int status = LOOM_OK;
    for (size_t u = 0; u < j->units && status == LOOM_OK; u++) {
        const matvar_t *v = l->v[j->keep[u]];
        size_t n = mat_is_numeric(v) ? mat_count(v) : 0;
        double *t = n > 0 ? mat_numbers(v) : NULL;
        if (n > 0 && t == NULL)
            return mat_starved(j);
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (isfinite(t[i]))
                t[kept++] = t[i] * scale;
        if (kept < n)
            loom_sink_warn(j->sink, "unit %zu: %zu spikes without a finite time are left out", j->keep[u] + 1,
                           n - kept);
        status = kept > 0 ? loom_sink_spikes(j->sink, (int32_t)u, t, kept) : LOOM_OK;
        free(t);
    }
    return status;
}

static int times_of_trials(struct mat_job *j, const char *option, double **out, size_t *n)
{
    struct mat_list l;
    double scale = loom_opt_real(j->o, "time_scale");
    int status = mat_find(&j->m, loom_opt_string(j->o, option), &l, j->e);
    *n = 0;
    if (status != LOOM_OK)
        return status;
    size_t many = l.n == 1 ? mat_count(l.v[0]) : l.n;
    *out = calloc(many + 1, sizeof **out);
    if (*out == NULL)
        status = mat_starved(j);
    for (size_t i = 0; i < many && status == LOOM_OK; i++) {
        const matvar_t *v = l.v[l.n == 1 ? 0 : i];
        (*out)[i] = mat_is_numeric(v) && mat_count(v) > 0 ? scale * mat_number(v, l.n == 1 ? i : 0) : NAN;
        if (!isfinite((*out)[i]))
            status = loom_fail(j->e, LOOM_EDATA, j->file, 0, "%s: trial %zu has no time; name another variable", option,
                               i + 1);
    }
    *n = many;
    mat_list_release(&l);
    return status;
}

static int send_timed_trials(struct mat_job *j)
{
    double *start = NULL, *stop = NULL;
    size_t n = 0, m = 0;
    int status = times_of_trials(j, "trial_start", &start, &n);
    if (status == LOOM_OK)
        status = times_of_trials(j, "trial_stop", &stop, &m);
    if (status == LOOM_OK && (n != m || n > INT32_MAX))
        status = loom_fail(j->e, LOOM_EDATA, j->file, 0, "%zu trial starts, %zu ends; check trial_start and trial_stop",
                           n, m);
    j->values = n;
    if (status == LOOM_OK && (j->b.row_label = calloc(n + 1, sizeof *j->b.row_label)) == NULL)
        status = mat_starved(j);
    for (size_t i = 0; i < n && status == LOOM_OK; i++)
        j->b.row_label[i] = (double)i + 1;
    if (status == LOOM_OK)
        status = loom_sink_intervals(j->sink, "trials", (int32_t)n, start, stop);
    j->b.rows = (int32_t)n;
    if (status == LOOM_OK)
        status = mat_take_columns(j);
    free(start);
    free(stop);
    return status;
}

static int read_times(struct mat_job *j)
{
    struct mat_list l;
    j->path = loom_opt_string(j->o, "spike_times");
    int status = mat_find(&j->m, j->path, &l, j->e);
    if (status != LOOM_OK)
        return status;
    j->units_all = l.n;
    status = send_units(j);
    if (status == LOOM_OK)
        status = send_spikes(j, &l);
    mat_list_release(&l);
    if (status == LOOM_OK && loom_opt_string(j->o, "trial_start")[0] != '\0')
        status = send_timed_trials(j);
    return status == LOOM_OK ? mat_take_series(j) : status;
}

/* ---- the source ---- */

static int mat_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    *self = (void *)(uintptr_t)o;
    if ((loom_opt_string(o, "trial_start")[0] != '\0') != (loom_opt_string(o, "trial_stop")[0] != '\0'))
        return loom_opt_fail(o, "trial_start", e, "trial_start and trial_stop go together; set both");
    return LOOM_OK;
}

static void mat_release(struct mat_job *j)
{
    mat_list_release(&j->counts);
    mat_close(&j->m);
    free(j->keep);
    free(j->piece);
    binned_release(&j->b);
}

static int mat_read(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    struct mat_job j = {.sink = sink, .o = self, .e = e, .file = file};
    if (file == NULL)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "source mat reads a file; name it in files");
    const char *session = loom_opt_string(j.o, "session");
    char stem[STEM_NAME];
    stem_of(stem, file);
    int status = mat_open(&j.m, file, sink, e);
    if (status == LOOM_OK)
        status = loom_sink_recording(sink, stem, loom_opt_string(j.o, "subject"), session[0] != '\0' ? session : stem,
                                     loom_opt_string(j.o, "task"), loom_opt_string(j.o, "date"));
    if (status == LOOM_OK)
        status = loom_opt_string(j.o, "spike_times")[0] != '\0' ? read_times(&j) : read_counts(&j);
    mat_release(&j);
    return status;
}

static const struct loom_source mat_source = {
    .part = {.size = sizeof mat_source, .create = mat_create},
    .read = mat_read,
};

static const struct loom_plugin mat_plugin = {
    .size = sizeof mat_plugin,
    .build = LOOM_BUILD_BLOCK,
    .id = "mat",
    .version = "1.0",
    .summary = "MATLAB files: counts or spike times, behaviour and trials by the names of their variables.",
    .license = "Apache-2.0",
    .kind = LOOM_SOURCE,
    .options = mat_options,
    .table = &mat_source,
};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &mat_plugin : NULL;
}
