/* SPDX-License-Identifier: Apache-2.0 */
/* Bins of a file that holds counts, for the sources that find them as plain arrays (mat, npz): when each begins, and
 * which belong to one trial. */
#ifndef LOOM_SOURCES_BINNED_H
#define LOOM_SOURCES_BINNED_H

#include <loom/data.h>

struct binned {
    size_t bins;
    double bin_s;
    double *start_s;   /* [bins] */
    int32_t *row;      /* [bins] row of the table of trials, -1 = there is none */
    int32_t rows;      /* of that table */
    size_t *row_bin;   /* [rows + 1] first bin of each row, then bins */
    double *row_label; /* [rows] the trial's number in the file */
};

/* Room for b->bins bins and as many rows, zeroed; 0: out of memory, binned_release then too. */
int binned_alloc(struct binned *b);
void binned_release(struct binned *b);
/* Width of bins that begin at `start_s` [n]: the median step. Widths are given in round figures: the nearest one within
 * a thousandth is meant. 0 where there is no step, or no memory. */
double binned_width(const double *start_s, size_t n);
/* 1 where bin i + 1 is there, follows bin i without a gap and belongs to the same trial. */
int binned_goes_on(const struct binned *b, size_t i);
/* The table "trials", from the first bin of each row to the end of its last, with its column "number". LOOM_ENOMEM, or
 * what the sink says. */
int binned_send_trials(const struct binned *b, struct loom_sink *s);

#endif
