/* SPDX-License-Identifier: Apache-2.0 */
/* Interval tables of an NWB file: everything under /intervals, and the event tables of 2.10. */
#include "nwb.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows with times, and which of the file's rows they are. */
struct table {
    struct nwb *w;
    const char *path;
    hsize_t rows; /* in the file */
    int32_t kept;
    hsize_t *row; /* [kept] */
    double *start, *stop;
};

/* A row without a stop lasts until the next one starts, the last until it starts. */
static size_t close_rows(struct table *t)
{
    size_t open = 0;
    for (hsize_t i = 0; i < t->rows; i++)
        if (isfinite(t->start[i]) && !isfinite(t->stop[i])) {
            open++;
            t->stop[i] = i + 1 < t->rows && t->start[i + 1] >= t->start[i] ? t->start[i + 1] : t->start[i];
        }
    return open;
}

static int drop_rows(struct table *t)
{
    size_t open = close_rows(t);
    if ((t->row = calloc((size_t)t->rows + 1, sizeof *t->row)) == NULL)
        return h5_starved(&t->w->h);
    for (hsize_t i = 0; i < t->rows; i++)
        if (isfinite(t->start[i]) && isfinite(t->stop[i]) && t->stop[i] >= t->start[i]) {
            t->start[t->kept] = t->start[i];
            t->stop[t->kept] = t->stop[i];
            if (!(t->stop[i] <= t->w->last_trial_s))
                t->w->last_trial_s = t->stop[i];
            t->row[t->kept++] = i;
        }
    if (open > 0)
        loom_sink_warn(t->w->h.sink, "%s: %zu of %llu rows have no stop; each lasts until the next starts", t->path,
                       open, (unsigned long long)t->rows);
    if ((hsize_t)t->kept < t->rows)
        loom_sink_warn(t->w->h.sink, "%s: %llu of %llu rows have no start, or end before they begin, and are left out",
                       t->path, (unsigned long long)t->rows - (unsigned long long)t->kept, (unsigned long long)t->rows);
    return LOOM_OK;
}

/* start_time and stop_time, or timestamp and the optional duration of an event table. */
static int read_times(struct table *t)
{
    char path[H5_PATH], other[H5_PATH];
    hsize_t n = 0;
    int events = h5_join(path, t->path, "timestamp") == 0 && h5_kind(&t->w->h, path) == H5_DATASET;
    h5_join(path, t->path, events ? "timestamp" : "start_time");
    h5_join(other, t->path, events ? "duration" : "stop_time");
    int status = h5_all(&t->w->h, path, &t->start, &t->rows);
    if (status == LOOM_OK && (!events || h5_kind(&t->w->h, other) == H5_DATASET))
        status = h5_all(&t->w->h, other, &t->stop, &n);
    else if (status == LOOM_OK && (t->stop = calloc((size_t)t->rows + 1, sizeof *t->stop)) == NULL)
        status = h5_starved(&t->w->h);
    else
        n = t->rows;
    if (status == LOOM_OK && (n != t->rows || t->rows > INT32_MAX))
        status =
            loom_fail(t->w->h.e, LOOM_EDATA, t->w->h.name, 0, "%s has %llu rows, %s %llu; the file breaks its format",
                      path, (unsigned long long)t->rows, other, (unsigned long long)n);
    for (hsize_t i = 0; i < t->rows && status == LOOM_OK && events; i++)
        t->stop[i] = t->start[i] + (isfinite(t->stop[i]) && t->stop[i] > 0 ? t->stop[i] : 0);
    return status == LOOM_OK ? drop_rows(t) : status;
}

static int send_numbers(struct table *t, const struct h5_data *d, const char *name)
{
    double *all = malloc((size_t)(d->rows * d->row) * sizeof *all + 8), *x = calloc((size_t)t->kept + 1, sizeof *x);
    int status = all != NULL && x != NULL ? h5_read(&t->w->h, d, 0, d->rows, all) : h5_starved(&t->w->h);
    for (hsize_t k = 0; k < d->row && status == LOOM_OK; k++) {
        char called[256];
        snprintf(called, sizeof called, d->row > 1 ? "%.200s_%d" : "%.200s", name, (int)k);
        for (int32_t i = 0; i < t->kept; i++)
            x[i] = all[t->row[i] * d->row + k];
        status = loom_sink_numbers(t->w->h.sink, called, x);
    }
    free(all);
    free(x);
    return status;
}

static int send_texts(struct table *t, const struct h5_data *d, const char *name)
{
    char **text;
    int status = h5_texts(&t->w->h, d, &text);
    const char **kept = status == LOOM_OK ? calloc((size_t)t->kept + 1, sizeof *kept) : NULL;
    if (status == LOOM_OK && kept == NULL)
        status = h5_starved(&t->w->h);
    for (int32_t i = 0; i < t->kept && status == LOOM_OK; i++)
        kept[i] = text[t->row[i]];
    if (status == LOOM_OK)
        status = loom_sink_texts(t->w->h.sink, name, kept);
    free(kept);
    h5_free_names(text);
    return status;
}

/* Numbers first, texts afterwards: variable-length strings are where damaged files kill the library. Ragged columns,
 * references and subtables are passed over. */
static int send_column(struct table *t, const char *name, int texts)
{
    static const char *const own[] = {"start_time", "stop_time", "timestamp", "duration", "id"};
    char path[H5_PATH], index[H5_PATH + 8];
    struct h5_data d;
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(name, own[i]) == 0)
            return LOOM_OK;
    if (h5_join(path, t->path, name) != 0 || (n > 6 && strcmp(name + n - 6, "_index") == 0))
        return LOOM_OK;
    snprintf(index, sizeof index, "%s_index", path);
    if (h5_kind(&t->w->h, index) == H5_DATASET || h5_kind(&t->w->h, path) != H5_DATASET)
        return LOOM_OK;
    int status = h5_data_open(&t->w->h, path, &d);
    if (status != LOOM_OK)
        return status;
    if (d.rows != t->rows || (d.rank == 0 && t->rows != 1)) {
        if (!texts)
            loom_sink_warn(t->w->h.sink, "%s has %llu rows, its table %llu; it is left out", path,
                           (unsigned long long)d.rows, (unsigned long long)t->rows);
    } else if (!texts && (d.content == H5_NUMBER || d.content == H5_BOOL) && d.row >= 1 && d.row <= NWB_MOST_WIDE) {
        status = send_numbers(t, &d, name);
    } else if (texts && d.content == H5_TEXT && d.row == 1) {
        status = send_texts(t, &d, name);
    }
    h5_data_close(&d);
    return status;
}

static int send_table(struct nwb *w, const char *path, const char *name)
{
    struct table t = {.w = w, .path = path};
    int status = read_times(&t);
    if (status == LOOM_OK)
        status = loom_sink_intervals(w->h.sink, name, t.kept, t.start, t.stop);
    char **columns = h5_children(&w->h, path);
    if (status == LOOM_OK && columns == NULL)
        status = h5_starved(&w->h);
    for (int texts = 0; texts < 2; texts++)
        for (size_t i = 0; status == LOOM_OK && columns[i] != NULL; i++)
            status = send_column(&t, columns[i], texts);
    h5_free_names(columns);
    free(t.row);
    free(t.start);
    free(t.stop);
    return status;
}

static int wanted(const struct nwb *w, const char *name)
{
    for (size_t i = 0; i < loom_opt_count(w->o, "tables"); i++)
        if (fnmatch(loom_opt_string_at(w->o, "tables", i), name, 0) == 0)
            return 1;
    return 0;
}

static int all_below(struct nwb *w, const char *father, const char *mark, size_t *found)
{
    char path[H5_PATH], times[H5_PATH];
    char **names = h5_children(&w->h, father);
    int status = names != NULL ? LOOM_OK : h5_starved(&w->h);
    for (size_t i = 0; status == LOOM_OK && names[i] != NULL; i++)
        if (wanted(w, names[i]) && h5_join(path, father, names[i]) == 0 && h5_join(times, path, mark) == 0 &&
            h5_kind(&w->h, times) == H5_DATASET) {
            status = send_table(w, path, names[i]);
            ++*found;
        }
    h5_free_names(names);
    return status;
}

int nwb_tables(struct nwb *w)
{
    size_t found = 0;
    int status = all_below(w, "/intervals", "start_time", &found);
    if (status == LOOM_OK)
        status = all_below(w, "/events", "timestamp", &found);
    int named = 0;
    for (size_t i = 0; i < loom_opt_count(w->o, "tables"); i++)
        named |= strcmp(loom_opt_string_at(w->o, "tables", i), "*") != 0;
    if (status == LOOM_OK && found == 0 && named)
        status = h5_missing(&w->h, "/intervals/(the tables named)");
    return status;
}
