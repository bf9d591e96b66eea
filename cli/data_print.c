/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_VALUES = 6, MOST_ROWS = 40, WORD = 48 };

static const char *or_unknown(const char *text)
{
    return text[0] != '\0' ? text : "unknown";
}

/* A stretch of time in the unit that a person would use. */
static const char *span_text(double s, char out[WORD])
{
    if (s >= 7200)
        snprintf(out, WORD, "%.2f h", s / 3600);
    else if (s >= 300)
        snprintf(out, WORD, "%.1f min", s / 60);
    else
        snprintf(out, WORD, "%.4g s", s);
    return out;
}

static void print_identity(FILE *out, const struct loom_recording *r)
{
    char total[WORD], seen[WORD];
    double observed = 0;
    for (int32_t i = 0; i < r->observed_count; i++)
        observed += r->observed_s[2 * i + 1] - r->observed_s[2 * i];
    fprintf(out, "%s\n", r->id);
    fprintf(out, "  file      %s\n", or_unknown(r->file));
    fprintf(out, "  subject   %s, session %s, task %s, date %s\n", or_unknown(r->subject), or_unknown(r->session),
            or_unknown(r->task), or_unknown(r->date));
    fprintf(out, "  time      %.3f s to %.3f s (%s); observed %s in %d stretch%s\n", r->start_s, r->stop_s,
            span_text(r->stop_s - r->start_s, total), span_text(observed, seen), r->observed_count,
            r->observed_count == 1 ? "" : "es");
}

/* Spikes of each unit, and the seconds they were counted in. */
static int64_t *spikes_of_units(const struct loom_recording *r, double *seconds)
{
    int64_t *n = calloc((size_t)r->units + 1, sizeof *n);
    *seconds = 0;
    if (n == NULL)
        return NULL;
    if (r->counts == NULL) {
        for (int32_t u = 0; u < r->units; u++)
            n[u] = r->first_spike[u + 1] - r->first_spike[u];
        for (int32_t i = 0; i < r->observed_count; i++)
            *seconds += r->observed_s[2 * i + 1] - r->observed_s[2 * i];
        return n;
    }
    int64_t bins = r->counts->first_bin[r->counts->blocks];
    *seconds = (double)bins * r->counts->bin_s;
    for (int64_t b = 0; b < bins; b++)
        for (int32_t u = 0; u < r->units; u++)
            n[u] += r->counts->count[b * r->units + u];
    return n;
}

static int descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static const char *region_of(const struct loom_recording *r, int32_t u)
{
    return r->unit[u].region;
}

static const char *group_of(const struct loom_recording *r, int32_t u)
{
    return r->unit[u].group;
}

/* "M1 60, PMd 47": how many units have each text. */
static void print_kinds(FILE *out, const struct loom_recording *r, const char *title,
                        const char *(*text)(const struct loom_recording *, int32_t))
{
    int32_t first[MOST_VALUES], n[MOST_VALUES], kinds = 0, more = 0;
    for (int32_t u = 0; u < r->units; u++) {
        int32_t k = 0;
        while (k < kinds && strcmp(text(r, first[k]), text(r, u)) != 0)
            k++;
        if (k == MOST_VALUES) {
            more++;
        } else if (k == kinds) {
            first[kinds] = u;
            n[kinds++] = 1;
        } else {
            n[k]++;
        }
    }
    if (kinds == 0 || (kinds == 1 && text(r, first[0])[0] == '\0'))
        return;
    fprintf(out, "            %s:", title);
    for (int32_t k = 0; k < kinds; k++)
        fprintf(out, "%s %s %d", k > 0 ? "," : "", or_unknown(text(r, first[k])), n[k]);
    fprintf(out, more > 0 ? ", %d in others\n" : "\n", more);
}

static void print_units(FILE *out, const struct loom_recording *r)
{
    double seconds;
    int64_t *n = spikes_of_units(r, &seconds), total = 0;
    int32_t held = 0, silent = 0, placed = 0;
    if (n == NULL || r->units == 0) {
        fprintf(out, "  units     none\n");
        free(n);
        return;
    }
    for (int32_t u = 0; u < r->units; u++) {
        held += r->unit[u].held_out;
        silent += n[u] == 0;
        placed += isfinite(r->unit[u].x);
        total += n[u];
    }
    qsort(n, (size_t)r->units, sizeof *n, descending);
    fprintf(out, "  units     %d", r->units);
    if (held > 0)
        fprintf(out, ", %d of them held out", held);
    if (silent > 0)
        fprintf(out, ", %d silent", silent);
    if (placed > 0)
        fprintf(out, ", %d with positions", placed);
    fprintf(out, "\n");
    print_kinds(out, r, "regions", region_of);
    print_kinds(out, r, "groups", group_of);
    fprintf(out, "  spikes    %lld", (long long)total);
    if (r->counts != NULL)
        fprintf(out, " in %lld bins of %g ms (%d block%s)", (long long)r->counts->first_bin[r->counts->blocks],
                r->counts->bin_s * 1e3, r->counts->blocks, r->counts->blocks == 1 ? "" : "s");
    else
        fprintf(out, ", as times");
    if (seconds > 0)
        fprintf(out, "; mean rate %.3g Hz a unit, median %.3g, from %.3g to %.3g", (double)total / seconds / r->units,
                (double)n[r->units / 2] / seconds, (double)n[r->units - 1] / seconds, (double)n[0] / seconds);
    fprintf(out, "\n");
    free(n);
}

struct summary {
    float least, most;
    double sum;
    int64_t missing;
};

/* One pass over the samples, which are let go behind: series may be larger than memory, and stand in a mapped file. */
static void summarize(const struct loom_series *s, struct summary *of, int32_t dims)
{
    const int64_t most = 1 + ((int64_t)2 << 20) / s->dims;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    for (int32_t d = 0; d < dims; d++)
        of[d] = (struct summary){INFINITY, -INFINITY, 0, 0};
    for (int64_t done = 0; done < s->samples; done += most) {
        int64_t n = s->samples - done < most ? s->samples - done : most;
        const float *x = s->value + done * s->dims;
        for (int64_t i = 0; i < n; i++)
            for (int32_t d = 0; d < dims; d++) {
                float v = x[i * s->dims + d];
                if (v < of[d].least)
                    of[d].least = v;
                if (v > of[d].most)
                    of[d].most = v;
                if (v == v)
                    of[d].sum += (double)v;
                else
                    of[d].missing++;
            }
        uintptr_t from = ((uintptr_t)x + page - 1) & ~(page - 1), to = (uintptr_t)(x + n * s->dims) & ~(page - 1);
        if (to > from)
            madvise((void *)from, to - from, MADV_DONTNEED);
    }
}

static void print_one_series(FILE *out, const struct loom_series *s)
{
    char rate[WORD];
    if (s->rate_hz > 0)
        snprintf(rate, sizeof rate, "%.6g Hz", s->rate_hz);
    else if (s->samples > 1 && s->time_s[s->samples - 1] > s->time_s[0])
        snprintf(rate, sizeof rate, "with times, %.4g a second",
                 (double)(s->samples - 1) / (s->time_s[s->samples - 1] - s->time_s[0]));
    else
        snprintf(rate, sizeof rate, "with times");
    fprintf(out, "            %s: %lld samples, %s", s->name, (long long)s->samples, rate);
    if (s->unit[0] != '\0')
        fprintf(out, ", %s", s->unit);
    fprintf(out, "\n");
    struct summary of[MOST_VALUES];
    int32_t dims = s->dims < MOST_VALUES ? s->dims : MOST_VALUES;
    summarize(s, of, dims);
    for (int32_t d = 0; d < dims; d++) {
        int64_t there = s->samples - of[d].missing;
        fprintf(out, "              %-8s", s->dim_name[d]);
        if (there > 0)
            fprintf(out, " %.4g to %.4g, mean %.4g", (double)of[d].least, (double)of[d].most,
                    of[d].sum / (double)there);
        if (of[d].missing > 0)
            fprintf(out, ", %.1f %% missing", 100.0 * (double)of[d].missing / (double)s->samples);
        fprintf(out, "\n");
    }
    if (s->dims > MOST_VALUES)
        fprintf(out, "              … and %d dimensions more\n", s->dims - MOST_VALUES);
}

static void print_texts(FILE *out, const char *const *text, int32_t rows)
{
    int32_t first[MOST_VALUES], n[MOST_VALUES], kinds = 0, more = 0;
    for (int32_t i = 0; i < rows; i++) {
        int32_t k = 0;
        while (k < kinds && strcmp(text[first[k]], text[i]) != 0)
            k++;
        if (k == MOST_VALUES) {
            more++;
        } else if (k == kinds) {
            first[kinds] = i;
            n[kinds++] = 1;
        } else {
            n[k]++;
        }
    }
    for (int32_t k = 0; k < kinds; k++)
        fprintf(out, "%s \"%.24s\" %d", k > 0 ? "," : "", text[first[k]], n[k]);
    fprintf(out, more > 0 ? ", %d others\n" : "\n", more);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_numbers(FILE *out, const double *number, int32_t rows)
{
    double *sorted = calloc((size_t)rows + 1, sizeof *sorted);
    int32_t n = 0, kinds = 0;
    for (int32_t i = 0; i < rows && sorted != NULL; i++)
        if (!isnan(number[i]))
            sorted[n++] = number[i];
    if (n > 0) {
        qsort(sorted, (size_t)n, sizeof *sorted, by_value);
        for (int32_t i = 0; i < n; i++)
            kinds += i == 0 || sorted[i] != sorted[i - 1];
        fprintf(out, " %.6g to %.6g, %d value%s", sorted[0], sorted[n - 1], kinds, kinds == 1 ? "" : "s");
    }
    if (n < rows)
        fprintf(out, "%s %d missing", n > 0 ? "," : "", rows - n);
    fprintf(out, "\n");
    free(sorted);
}

static void print_table(FILE *out, const struct loom_intervals *t)
{
    char shortest[WORD], longest[WORD];
    double least = INFINITY, most = 0;
    for (int32_t i = 0; i < t->rows; i++) {
        least = fmin(least, t->stop_s[i] - t->start_s[i]);
        most = fmax(most, t->stop_s[i] - t->start_s[i]);
    }
    fprintf(out, "            %s: %d rows", t->name, t->rows);
    if (t->rows > 0)
        fprintf(out, " of %s to %s", span_text(least, shortest), span_text(most, longest));
    fprintf(out, "\n");
    for (int32_t c = 0; c < t->columns && c < MOST_ROWS; c++) {
        fprintf(out, "              %-20s", t->column[c].name);
        if (t->column[c].text != NULL)
            print_texts(out, t->column[c].text, t->rows);
        else
            print_numbers(out, t->column[c].number, t->rows);
    }
    if (t->columns > MOST_ROWS)
        fprintf(out, "              … and %d columns more\n", t->columns - MOST_ROWS);
}

void loom_data_print(FILE *out, const struct loom_recording *r)
{
    print_identity(out, r);
    print_units(out, r);
    fprintf(out, "  series    %d\n", r->series_count);
    for (int32_t i = 0; i < r->series_count && i < MOST_ROWS; i++)
        print_one_series(out, &r->series[i]);
    if (r->series_count > MOST_ROWS)
        fprintf(out, "            … and %d series more\n", r->series_count - MOST_ROWS);
    fprintf(out, "  tables    %d\n", r->intervals_count);
    for (int32_t i = 0; i < r->intervals_count; i++)
        print_table(out, &r->intervals[i]);
}
