/* SPDX-License-Identifier: Apache-2.0 */
/* Binned counts of the source `npz`. Bins that are not neighbours in time (another trial, a jump of the clock) stand in
 * blocks of their own, so no window crosses from one to the other. */
#include "npz_job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int take_shape(struct npz_job *j, const struct npy *a)
{
    int cube = loom_opt_is(j->o, "counts_axes", "trial,bin,unit"), flat = loom_opt_is(j->o, "counts_axes", "unit,bin");
    if (!npy_is_number(a))
        return npy_refuse(&j->z, a, "counts");
    if (a->rank != (cube ? 3 : 2))
        return loom_fail(j->e, LOOM_EDATA, j->z.file, 0,
                         "%s has %d axes of type \"%s\" where counts [%s] are due; set counts and counts_axes", a->name,
                         a->rank, a->descr, loom_opt_string(j->o, "counts_axes"));
    j->pieces = cube ? a->dims[0] : 1;
    j->piece_bins = cube ? a->dims[1] : a->dims[flat ? 1 : 0];
    j->units = cube ? a->dims[2] : a->dims[flat ? 0 : 1];
    if (j->units == 0 || j->piece_bins == 0 || j->pieces == 0)
        return loom_fail(j->e, LOOM_EDATA, j->z.file, 0, "%s is empty; name the counts with counts", a->name);
    if (j->units >= 1 << 22 || j->pieces > (uint64_t)1 << 33 || j->piece_bins > (uint64_t)1 << 33 ||
        j->pieces > ((uint64_t)1 << 33) / j->piece_bins || j->pieces * j->piece_bins > ((uint64_t)1 << 40) / j->units)
        return loom_fail(j->e, LOOM_EDATA, j->z.file, 0, "%s is larger than can be; is the file damaged?", a->name);
    j->b.bins = j->pieces * j->piece_bins;
    return LOOM_OK;
}

static int find_bin(struct npz_job *j, const double *times)
{
    const struct npy *from = NULL;
    double ms = loom_opt_real(j->o, "file_bin_ms");
    int status = LOOM_OK;
    if (!(ms > 0))
        status = npz_named(j, "bin_from", &from);
    if (status == LOOM_OK && from != NULL)
        status = npz_number(j, from, &ms);
    j->b.bin_s = ms > 0 ? 1e-3 * ms : times != NULL ? binned_width(times, j->b.bins) : 0;
    if (status == LOOM_OK && !(j->b.bin_s > 0 && isfinite(j->b.bin_s)))
        status =
            loom_fail(j->e, LOOM_ECONFIG, j->z.file, 0,
                      "the width of its bins is unknown; set file_bin_ms, or name an array with bin_from or times");
    return status;
}

/* Start of every bin, and the row of its trial. */
static int place_bins(struct npz_job *j, const double *times, const double *trial)
{
    double gap = loom_opt_real(j->o, "trial_gap_s");
    for (size_t b = 0; b < j->b.bins; b++) {
        int begins = b % j->piece_bins == 0 || (trial != NULL && trial[b] != trial[b - 1]);
        j->b.start_s[b] = times != NULL ? times[b] : b == 0 ? 0 : j->b.start_s[b - 1] + j->b.bin_s + (begins ? gap : 0);
        if (begins && (trial != NULL || j->pieces > 1)) {
            j->b.row_bin[j->b.rows] = b;
            j->b.row_label[j->b.rows++] = trial != NULL ? trial[b] : (double)(b / j->piece_bins);
        }
        j->b.row[b] = j->b.rows - 1;
        if (!isfinite(j->b.start_s[b]) || (b > 0 && !(j->b.start_s[b] > j->b.start_s[b - 1] + 0.5 * j->b.bin_s)))
            return loom_fail(j->e, LOOM_EDATA, j->z.file, 0,
                             "times do not ascend by a bin's width (bin %zu); check times and file_bin_ms", b);
    }
    j->b.row_bin[j->b.rows] = j->b.bins;
    return LOOM_OK;
}

static int time_bins(struct npz_job *j)
{
    const struct npy *times = NULL, *trial = NULL;
    double *time = NULL, *label = NULL;
    int status = npz_named(j, "times", &times);
    if (status == LOOM_OK)
        status = npz_named(j, "trial", &trial);
    if (times != NULL && !loom_opt_given(j->o, "times") && times->rows * times->row != j->b.bins)
        times = NULL;
    if (status == LOOM_OK && times != NULL)
        status = npz_values(j, times, j->b.bins, loom_opt_real(j->o, "time_scale"), &time);
    if (status == LOOM_OK && trial != NULL && (trial->rows * trial->row == j->b.bins || loom_opt_given(j->o, "trial")))
        status = npz_values(j, trial, j->b.bins, 1, &label);
    if (!binned_alloc(&j->b) && status == LOOM_OK)
        status = npz_starved(j);
    if (status == LOOM_OK)
        status = find_bin(j, time);
    if (status == LOOM_OK)
        status = place_bins(j, time, label);
    free(time);
    free(label);
    return status;
}

/* [bin, unit], whichever of the two the file has first. */
static int read_counts(struct npz_job *j, const struct npy *a, uint16_t *out)
{
    enum { PIECE = 4096 };
    double x[PIECE];
    struct npy_reader *r = malloc(sizeof *r);
    size_t all = j->b.bins * j->units, unit_first = (size_t)loom_opt_is(j->o, "counts_axes", "unit,bin");
    int status = r != NULL ? npy_begin(r, &j->z, a) : npz_starved(j);
    for (size_t done = 0; done < all && status == LOOM_OK;) {
        size_t n = all - done < PIECE ? all - done : PIECE;
        status = npy_read(r, n, x);
        for (size_t i = 0; i < n && status == LOOM_OK; i++, done++) {
            size_t bin = unit_first ? done % j->b.bins : done / j->units;
            size_t unit = unit_first ? done / j->b.bins : done % j->units;
            if (!(x[i] >= 0 && x[i] <= UINT16_MAX) || x[i] != floor(x[i]))
                status = loom_fail(j->e, LOOM_EDATA, j->z.file, 0,
                                   "%s: %g (bin %zu, unit %zu) is no count; name the counts with counts", a->name, x[i],
                                   bin, unit);
            else
                out[bin * j->units + unit] = (uint16_t)x[i];
        }
    }
    if (r != NULL)
        npy_end(r);
    free(r);
    return status;
}

static int send_blocks(struct npz_job *j, const uint16_t *count)
{
    int status = LOOM_OK;
    for (size_t from = 0; from < j->b.bins && status == LOOM_OK;) {
        size_t n = 1;
        while ((from + n) % j->piece_bins != 0 && binned_goes_on(&j->b, from + n - 1))
            n++;
        status = loom_sink_counts(j->sink, j->b.start_s[from], j->b.bin_s, (int64_t)n, count + from * j->units);
        from += n;
    }
    return status;
}

int npz_counts(struct npz_job *j, const struct npy *counts)
{
    int status = take_shape(j, counts);
    if (status == LOOM_OK)
        status = time_bins(j);
    if (status == LOOM_OK)
        status = npz_send_units(j);
    uint16_t *count = status == LOOM_OK ? malloc(j->b.bins * j->units * sizeof *count) : NULL;
    if (status == LOOM_OK && count == NULL)
        status = npz_starved(j);
    loom_sink_object(j->sink, counts->name);
    if (status == LOOM_OK)
        status = read_counts(j, counts, count);
    if (status == LOOM_OK)
        status = send_blocks(j, count);
    free(count);
    return status;
}
