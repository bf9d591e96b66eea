/* SPDX-License-Identifier: Apache-2.0 */
#include "data/join.h"

#include "data/spans.h"

#include <stdlib.h>
#include <string.h>

struct join {
    const struct loom_joining *how;
    struct loom_arena *a;
    const struct loom_recording **part; /* [parts] */
    int32_t parts;
    int64_t *shift;          /* [parts] nanoseconds that its clock is behind */
    int32_t **from;          /* [parts][units] number of the whole's unit there, -1 = it is not */
    struct loom_recording r; /* the whole */
    struct loom_error *e;
};

static int starved(struct join *j)
{
    return loom_fail(j->e, LOOM_ENOMEM, j->r.file, 0, "no memory to join %d recordings: open fewer", (int)j->parts);
}

/* Zeroed, and never NULL for want of elements. */
static void *make(struct join *j, int64_t n, size_t size)
{
    return loom_arena_zalloc(j->a, ((size_t)n + 1) * size);
}

static double later(const struct join *j, int32_t p, double s)
{
    return j->shift[p] == 0 ? s : 1e-9 * (double)(loom_ns(s) + j->shift[p]);
}

static int by_units(const void *a, const void *b)
{
    const struct loom_recording *x = *(const struct loom_recording *const *)a;
    const struct loom_recording *y = *(const struct loom_recording *const *)b;
    return x->units != y->units ? (x->units < y->units ? 1 : -1) : strcmp(x->id, y->id);
}

/* ---- clocks ---- */

static void place_parts(struct join *j)
{
    const int64_t second = 1000000000;
    int64_t end = loom_ns(j->part[0]->stop_s);
    int64_t step = j->how->bin_s > 0.0 ? loom_ns(j->how->bin_s) : second;
    for (int32_t p = 0; p < j->parts && j->how->bin_s <= 0.0; p++)
        if (j->part[p]->counts != NULL)
            step = loom_ns(j->part[p]->counts->bin_s);
    step = step > 0 ? step : 1;
    for (int32_t p = 1; p < j->parts; p++) {
        const int64_t start = loom_ns(j->part[p]->start_s);
        j->shift[p] = start >= end ? 0 : loom_ceil_div(end + second - start, step) * step;
        end = loom_ns(j->part[p]->stop_s) + j->shift[p];
    }
    j->r.stop_s = 1e-9 * (double)end;
}

/* ---- units ---- */

static int32_t unit_called(const struct loom_unit *unit, int32_t n, const char *name)
{
    for (int32_t u = 0; u < n; u++)
        if (strcmp(unit[u].name, name) == 0)
            return u;
    return -1;
}

/* Those of the first part in its order, then what others add; held out where any says so. */
static int join_units(struct join *j)
{
    int32_t most = 0;
    for (int32_t p = 0; p < j->parts; p++)
        most += j->part[p]->units;
    struct loom_unit *unit = make(j, most, sizeof *unit);
    j->r.unit = unit;
    j->r.units = 0;
    for (int32_t p = 0; p < j->parts && unit != NULL; p++) {
        const struct loom_recording *x = j->part[p];
        const int32_t before = j->r.units;
        int32_t known = 0;
        if ((j->from[p] = make(j, most, sizeof **j->from)) == NULL)
            return starved(j);
        memset(j->from[p], -1, (size_t)most * sizeof **j->from);
        for (int32_t u = 0; u < x->units; u++) {
            int32_t at = unit_called(unit, before, x->unit[u].name);
            known += at >= 0;
            if (at < 0)
                unit[at = j->r.units++] = x->unit[u];
            unit[at].held_out |= x->unit[u].held_out;
            j->from[p][at] = u;
        }
        if (before > 0 && x->units > 0 && known == 0)
            return loom_fail(j->e, LOOM_EDATA, x->file, 0,
                             "%s and %s have no unit in common, so they are not of one session: name the files that "
                             "belong together, or set data.join = \"none\"",
                             x->file, j->r.file);
    }
    return unit != NULL ? LOOM_OK : starved(j);
}

static int add_absences(struct join *j)
{
    struct loom_absence *absence = make(j, j->parts, sizeof *absence);
    j->r.absence = absence;
    for (int32_t p = 0; p < j->parts && absence != NULL; p++) {
        uint8_t *lacks = make(j, j->r.units, 1);
        int32_t n = 0;
        for (int32_t u = 0; lacks != NULL && u < j->r.units; u++)
            n += lacks[u] = j->from[p][u] < 0;
        if (lacks == NULL)
            return starved(j);
        if (n > 0)
            absence[j->r.absences++] =
                (struct loom_absence){later(j, p, j->part[p]->start_s), later(j, p, j->part[p]->stop_s), lacks};
    }
    return absence != NULL ? LOOM_OK : starved(j);
}

/* ---- spikes ---- */

static int join_spikes(struct join *j)
{
    int64_t *first = make(j, j->r.units, sizeof *first), n = 0;
    for (int32_t p = 0; p < j->parts; p++)
        n += j->part[p]->first_spike[j->part[p]->units];
    double *spike = make(j, n, sizeof *spike);
    if (first == NULL || spike == NULL)
        return starved(j);
    n = 0;
    for (int32_t u = 0; u < j->r.units; u++) {
        for (int32_t p = 0; p < j->parts; p++) {
            const int32_t from = j->from[p][u];
            for (int64_t i = from < 0 ? 0 : j->part[p]->first_spike[from];
                 from >= 0 && i < j->part[p]->first_spike[from + 1]; i++)
                spike[n++] = later(j, p, j->part[p]->spike_s[i]);
        }
        first[u + 1] = n;
    }
    j->r.first_spike = first;
    j->r.spike_s = spike;
    return LOOM_OK;
}

static int join_counts(struct join *j)
{
    struct loom_counts *n = make(j, 1, sizeof *n);
    int64_t bins = 0;
    int32_t blocks = 0;
    for (int32_t p = 0; p < j->parts; p++) {
        blocks += j->part[p]->counts->blocks;
        bins += j->part[p]->counts->first_bin[j->part[p]->counts->blocks];
    }
    double *start = make(j, blocks, sizeof *start);
    int64_t *first = make(j, blocks, sizeof *first);
    uint16_t *count = make(j, bins * j->r.units, sizeof *count);
    if (n == NULL || start == NULL || first == NULL || count == NULL)
        return starved(j);
    *n = (struct loom_counts){j->part[0]->counts->bin_s, 0, start, first, count};
    for (int32_t p = 0; p < j->parts; p++) {
        const struct loom_counts *x = j->part[p]->counts;
        const int64_t before = first[n->blocks], units = j->part[p]->units;
        if (fabs(x->bin_s - n->bin_s) > 1e-9 * n->bin_s)
            return loom_fail(j->e, LOOM_EDATA, j->part[p]->file, 0,
                             "%s has bins of %g ms and %s of %g ms: they cannot be one recording", j->part[p]->file,
                             x->bin_s * 1e3, j->r.file, n->bin_s * 1e3);
        for (int32_t b = 0; b < x->blocks; b++) {
            start[n->blocks] = later(j, p, x->block_start_s[b]);
            first[++n->blocks] = before + x->first_bin[b + 1];
        }
        for (int64_t k = 0; k < x->first_bin[x->blocks]; k++)
            for (int32_t u = 0; u < j->r.units; u++)
                if (j->from[p][u] >= 0)
                    count[(before + k) * j->r.units + u] = x->count[k * units + j->from[p][u]];
    }
    j->r.counts = n;
    return LOOM_OK;
}

static int join_activity(struct join *j)
{
    int32_t times = 0, binned = 0;
    for (int32_t p = 0; p < j->parts; p++) {
        times += j->part[p]->first_spike != NULL;
        binned += j->part[p]->first_spike == NULL && j->part[p]->counts != NULL;
    }
    j->r.first_spike = NULL;
    j->r.spike_s = NULL;
    j->r.counts = NULL;
    if (times == j->parts)
        return join_spikes(j);
    if (binned == j->parts)
        return join_counts(j);
    if (times + binned == 0)
        return LOOM_OK;
    return loom_fail(j->e, LOOM_EDATA, j->r.file, 0,
                     "of %s and what is joined with it, %d have spike times, %d binned counts, %d neither: they cannot "
                     "be one recording",
                     j->r.file, (int)times, (int)binned, (int)(j->parts - times - binned));
}

/* ---- series ---- */

static double sample_s(const struct loom_series *s, int64_t i)
{
    return s->rate_hz > 0.0 ? s->start_s + (double)i / s->rate_hz : s->time_s[i];
}

/* Where one part alone has it, its samples are borrowed. */
static int one_series(struct join *j, int32_t p, struct loom_series *s)
{
    s->start_s = later(j, p, s->start_s);
    if (j->shift[p] == 0 || s->rate_hz > 0.0)
        return LOOM_OK;
    double *time = make(j, s->samples, sizeof *time);
    for (int64_t i = 0; time != NULL && i < s->samples; i++)
        time[i] = later(j, p, s->time_s[i]);
    s->time_s = time;
    return time != NULL ? LOOM_OK : starved(j);
}

/* Values of two parts stand in one column, so it has to be one dimension. */
static int check_dims(struct join *j, int32_t p, const struct loom_series *x, const struct loom_series *s)
{
    if (x->dims != s->dims || strcmp(x->unit, s->unit) != 0)
        return loom_fail(j->e, LOOM_EDATA, j->part[p]->file, 0,
                         "series %s has %d dimensions (%s) in %s and %d (%s) elsewhere: read it from one of the "
                         "files, or set data.join = \"none\"",
                         s->name, (int)x->dims, x->unit, j->part[p]->file, (int)s->dims, s->unit);
    for (int32_t d = 0; d < s->dims; d++)
        if (strcmp(x->dim_name[d], s->dim_name[d]) != 0)
            return loom_fail(j->e, LOOM_EDATA, j->part[p]->file, 0,
                             "dimension %d of series %s is \"%s\" in %s and \"%s\" elsewhere: put them in one order, "
                             "read the series from one of the files, or set data.join = \"none\"",
                             (int)d, s->name, x->dim_name[d], j->part[p]->file, s->dim_name[d]);
    return LOOM_OK;
}

static int several_series(struct join *j, struct loom_series *s)
{
    int64_t n = 0;
    for (int32_t p = 0; p < j->parts; p++) {
        const struct loom_series *x = loom_recording_series(j->part[p], s->name);
        if (x != NULL && check_dims(j, p, x, s) != LOOM_OK)
            return LOOM_EDATA;
        n += x != NULL ? x->samples : 0;
    }
    double *time = make(j, n, sizeof *time);
    float *value = make(j, n * s->dims, sizeof *value);
    if (time == NULL || value == NULL)
        return starved(j);
    n = 0;
    for (int32_t p = 0; p < j->parts; p++) {
        const struct loom_series *x = loom_recording_series(j->part[p], s->name);
        if (x == NULL)
            continue;
        memcpy(value + n * s->dims, x->value, (size_t)(x->samples * s->dims) * sizeof *value);
        for (int64_t i = 0; i < x->samples; i++)
            time[n++] = later(j, p, sample_s(x, i));
    }
    s->samples = n;
    s->rate_hz = 0.0;
    s->time_s = time;
    s->value = value;
    return LOOM_OK;
}

static int join_series(struct join *j)
{
    int32_t most = 0;
    int rc = LOOM_OK;
    for (int32_t p = 0; p < j->parts; p++)
        most += j->part[p]->series_count;
    struct loom_series *series = make(j, most, sizeof *series);
    if (series == NULL)
        return starved(j);
    j->r.series = series;
    j->r.series_count = 0;
    for (int32_t p = 0; p < j->parts; p++)
        for (int32_t i = 0; i < j->part[p]->series_count && rc == LOOM_OK; i++) {
            const struct loom_series *x = &j->part[p]->series[i];
            int32_t others = 0;
            if (loom_recording_series(&j->r, x->name) != NULL)
                continue;
            for (int32_t q = 0; q < j->parts; q++)
                others += q != p && loom_recording_series(j->part[q], x->name) != NULL;
            struct loom_series *s = &series[j->r.series_count++];
            *s = *x;
            rc = others == 0 ? one_series(j, p, s) : several_series(j, s);
        }
    return rc;
}

/* ---- tables ---- */

static int is_time(const struct join *j, const char *column)
{
    const size_t n = strlen(column);
    return (n >= 5 && strcmp(column + n - 5, "_time") == 0) || strcmp(column, j->how->align) == 0;
}

static int join_column(struct join *j, const char *table, int32_t rows, struct loom_column *c)
{
    double *number = c->number != NULL ? make(j, rows, sizeof *number) : NULL;
    const char **text = c->text != NULL ? make(j, rows, sizeof *text) : NULL;
    int32_t at = 0;
    if (number == NULL && text == NULL)
        return starved(j);
    for (int32_t p = 0; p < j->parts; p++) {
        const struct loom_intervals *t = loom_recording_intervals(j->part[p], table);
        const struct loom_column *x = t != NULL ? loom_intervals_column(t, c->name) : NULL;
        if (x != NULL && (x->text != NULL) != (text != NULL))
            return loom_fail(j->e, LOOM_EDATA, j->part[p]->file, 0,
                             "column %s of table %s is of numbers in one of the joined files and of texts in another, "
                             "%s: they cannot be one recording",
                             c->name, table, j->part[p]->file);
        for (int32_t i = 0; t != NULL && i < t->rows; i++, at++)
            if (text != NULL)
                text[at] = x != NULL ? x->text[i] : "";
            else if (x == NULL || !isfinite(x->number[i]))
                number[at] = x != NULL ? x->number[i] : NAN;
            else
                number[at] = is_time(j, c->name) ? later(j, p, x->number[i]) : x->number[i];
    }
    c->number = number;
    c->text = text;
    return LOOM_OK;
}

/* Rows of all parts, part by part, with every column that one of them has. */
static int join_table(struct join *j, const char *name, struct loom_intervals *out)
{
    int32_t rows = 0, columns = 0, at = 0;
    int rc = LOOM_OK;
    for (int32_t p = 0; p < j->parts; p++) {
        const struct loom_intervals *t = loom_recording_intervals(j->part[p], name);
        rows += t != NULL ? t->rows : 0;
        columns += t != NULL ? t->columns : 0;
    }
    double *start = make(j, rows, sizeof *start), *stop = make(j, rows, sizeof *stop);
    struct loom_column *column = make(j, columns, sizeof *column);
    if (start == NULL || stop == NULL || column == NULL)
        return starved(j);
    *out = (struct loom_intervals){name, rows, 0, start, stop, column};
    for (int32_t p = 0; p < j->parts; p++) {
        const struct loom_intervals *t = loom_recording_intervals(j->part[p], name);
        for (int32_t i = 0; t != NULL && i < t->rows; i++, at++) {
            start[at] = isfinite(t->start_s[i]) ? later(j, p, t->start_s[i]) : NAN;
            stop[at] = isfinite(t->stop_s[i]) ? later(j, p, t->stop_s[i]) : NAN;
        }
        for (int32_t c = 0; t != NULL && c < t->columns && rc == LOOM_OK; c++)
            if (loom_intervals_column(out, t->column[c].name) == NULL) {
                struct loom_column new = t->column[c];
                rc = join_column(j, name, rows, &new);
                column[out->columns++] = new;
            }
    }
    return rc;
}

static int join_tables(struct join *j)
{
    int32_t most = 0;
    int rc = LOOM_OK;
    for (int32_t p = 0; p < j->parts; p++)
        most += j->part[p]->intervals_count;
    struct loom_intervals *table = make(j, most, sizeof *table);
    if (table == NULL)
        return starved(j);
    j->r.intervals = table;
    j->r.intervals_count = 0;
    for (int32_t p = 0; p < j->parts; p++)
        for (int32_t i = 0; i < j->part[p]->intervals_count && rc == LOOM_OK; i++) {
            const char *name = j->part[p]->intervals[i].name;
            if (loom_recording_intervals(&j->r, name) != NULL)
                continue;
            struct loom_intervals *to = &table[j->r.intervals_count];
            rc = join_table(j, name, to);
            j->r.intervals_count++;
        }
    return rc;
}

static int join_observed(struct join *j)
{
    int32_t n = 0;
    for (int32_t p = 0; p < j->parts; p++)
        n += j->part[p]->observed_count + 1;
    double *observed = make(j, 2 * (int64_t)n, sizeof *observed);
    n = 0;
    for (int32_t p = 0; p < j->parts && observed != NULL; p++) {
        const struct loom_recording *x = j->part[p];
        const double all[2] = {x->start_s, x->stop_s};
        const double *from = x->observed_count > 0 ? x->observed_s : all;
        for (int32_t i = 0; i < 2 * (x->observed_count > 0 ? x->observed_count : 1); i++)
            observed[n++] = later(j, p, from[i]);
    }
    j->r.observed_s = observed;
    j->r.observed_count = n / 2;
    return observed != NULL ? LOOM_OK : starved(j);
}

/* ---- all of it ---- */

/* A part laid behind itself would be trained on and tested. */
static int check_once(struct join *j)
{
    for (int32_t p = 1; p < j->parts; p++)
        for (int32_t q = 0; q < p; q++)
            if (strcmp(j->part[p]->id, j->part[q]->id) == 0 && strcmp(j->part[p]->file, j->part[q]->file) == 0)
                return loom_fail(j->e, LOOM_EDATA, j->part[p]->file, 0,
                                 "recording %s of this file is joined with itself: give each file once in data.files "
                                 "(patterns and names may meet)",
                                 j->part[p]->id);
    return LOOM_OK;
}

static int join_parts(struct join *j, const struct loom_recording **out)
{
    struct loom_recording *r = make(j, 1, sizeof *r);
    qsort(j->part, (size_t)j->parts, sizeof *j->part, by_units);
    j->r = *j->part[0];
    j->r.absences = 0;
    j->shift = make(j, j->parts, sizeof *j->shift);
    j->from = make(j, j->parts, sizeof *j->from);
    if (r == NULL || j->shift == NULL || j->from == NULL)
        return starved(j);
    place_parts(j);
    int rc = check_once(j);
    if (rc == LOOM_OK)
        rc = join_units(j);
    if (rc == LOOM_OK)
        rc = join_activity(j);
    if (rc == LOOM_OK)
        rc = join_series(j);
    if (rc == LOOM_OK)
        rc = join_tables(j);
    if (rc == LOOM_OK)
        rc = join_observed(j);
    if (rc == LOOM_OK)
        rc = add_absences(j);
    *r = j->r;
    *out = r;
    return rc;
}

static int belong(const struct loom_joining *how, const struct loom_recording *x, const struct loom_recording *y)
{
    return how->by == LOOM_JOIN_ALL || (how->by == LOOM_JOIN_SESSION && *x->session != '\0' &&
                                        strcmp(x->session, y->session) == 0 && strcmp(x->subject, y->subject) == 0);
}

int loom_join(const struct loom_recording *const *recording, int32_t n, const struct loom_joining *how,
              struct loom_arena *a, const struct loom_recording ***out, int32_t *joined, struct loom_error *e)
{
    struct join j = {.how = how, .a = a, .e = e};
    const struct loom_recording **whole = make(&j, n, sizeof *whole);
    uint8_t *done = make(&j, n, 1);
    int rc = whole != NULL && done != NULL ? LOOM_OK : LOOM_ENOMEM;
    *joined = 0;
    for (int32_t i = 0; i < n && rc == LOOM_OK; i++) {
        j = (struct join){.how = how, .a = a, .e = e, .part = make(&j, n, sizeof *j.part)};
        for (int32_t k = i; j.part != NULL && k < n; k++)
            if (!done[k] && (k == i || belong(how, recording[i], recording[k]))) {
                j.part[j.parts++] = recording[k];
                done[k] = 1;
            }
        rc = j.part != NULL ? LOOM_OK : LOOM_ENOMEM;
        if (j.parts == 1)
            whole[(*joined)++] = j.part[0];
        else if (j.parts > 1)
            rc = join_parts(&j, &whole[(*joined)++]);
    }
    *out = whole;
    return rc == LOOM_ENOMEM ? loom_fail(e, rc, NULL, 0, "no memory to join %d recordings: open fewer", (int)n) : rc;
}
