/* SPDX-License-Identifier: Apache-2.0 */
/* Signals and intervals of a brainset. */
#include "brainset.h"

#include "names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct clock {
    double rate_hz, start_s, *time; /* rate 0: times [n] */
    hsize_t n;
};

/* t = domain.start[0] + i / sampling_rate where it is regular, gaps being filled with NaN; else timestamps. */
static int read_clock(struct brainset *w, const char *group, enum brainset_object object, struct clock *c)
{
    char path[H5_PATH];
    double *start = NULL;
    hsize_t n;
    int status;
    if (object == BRAINSET_IRREGULAR)
        return h5_join(path, group, "timestamps") == 0 ? h5_all(&w->h, path, &c->time, &c->n) : LOOM_OK;
    if (!h5_attr_number(&w->h, group, "sampling_rate", &c->rate_hz) || !(c->rate_hz > 0) || !isfinite(c->rate_hz))
        return loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "%s has no sampling_rate above 0; make the file anew",
                         group);
    if (h5_join(path, group, "domain/start") != 0)
        return LOOM_OK;
    status = h5_all(&w->h, path, &start, &n);
    if (status == LOOM_OK && (n < 1 || !isfinite(start[0])))
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "%s is empty; make the file anew", path);
    if (status == LOOM_OK)
        c->start_s = start[0];
    free(start);
    return status;
}

static int begin(struct brainset *w, const char *name, const struct h5_data *d, const struct clock *c)
{
    size_t dims = (size_t)d->row;
    char(*called)[DIM_NAME] = calloc(dims + 1, sizeof *called), unit[64] = "", **ids = NULL;
    const char **dim_name = calloc(dims + 1, sizeof *dim_name);
    struct h5_data channels;
    int number = called != NULL && dim_name != NULL ? LOOM_OK : h5_starved(&w->h);
    h5_attr_text(&w->h, d->path, "unit", unit, sizeof unit);
    if (number == LOOM_OK && dims > 1 && h5_kind(&w->h, "/channels/id") == H5_DATASET &&
        (number = h5_data_open(&w->h, "/channels/id", &channels)) == LOOM_OK) {
        if (channels.rows == d->row && channels.row == 1 && channels.content == H5_TEXT)
            number = h5_texts(&w->h, &channels, &ids);
        h5_data_close(&channels);
    }
    for (size_t i = 0; number == LOOM_OK && i < dims; i++) {
        dim_name_of(called[i], i, dims);
        dim_name[i] = ids != NULL ? ids[i] : called[i];
    }
    if (number == LOOM_OK)
        number = loom_sink_series(w->h.sink, name, unit, (int32_t)dims, dim_name, c->rate_hz, c->start_s);
    h5_free_names(ids);
    free(called);
    free(dim_name);
    return number;
}

static int send_piece(struct brainset *w, const struct h5_data *d, int number, hsize_t from, hsize_t n,
                      const double *time, float *x, double *wide)
{
    int status = wide != NULL ? h5_read(&w->h, d, from, n, wide) : h5_read_floats(&w->h, d, from, n, x);
    for (hsize_t i = 0; wide != NULL && i < n * d->row; i++)
        x[i] = (float)wide[i];
    return status == LOOM_OK ? loom_sink_samples(w->h.sink, number, (int64_t)n, time, x) : status;
}

/* In pieces, so that hours of it need no memory, and unread where the file holds it as it is due. Booleans are
 * enumerations, which read as 0 and 1. */
static int send(struct brainset *w, const char *name, struct h5_data *d, const struct clock *c)
{
    hsize_t most = ((hsize_t)1 << 18) / d->row + 1;
    float *x = malloc((size_t)(most * d->row) * sizeof *x);
    double *wide = d->content == H5_BOOL ? malloc((size_t)(most * d->row) * sizeof *wide) : NULL;
    int number = begin(w, name, d, c), status = number < 0 ? number : LOOM_OK;
    if (status == LOOM_OK && (x == NULL || (d->content == H5_BOOL && wide == NULL)))
        status = h5_starved(&w->h);
    for (hsize_t done = 0; done < d->rows && status == LOOM_OK;) {
        const double *time = c->time != NULL ? c->time + done : NULL;
        uint64_t at;
        hsize_t n;
        if (h5_place(&w->h, d, 1, done, &at, &n)) {
            status = loom_sink_samples_at(w->h.sink, number, (int64_t)n, time, at);
        } else {
            n = n < most ? n : most;
            status = send_piece(w, d, number, done, n, time, x, wide);
        }
        done += n;
    }
    free(x);
    free(wide);
    return status;
}

static int send_array(struct brainset *w, const char *group, const char *key, const struct clock *c)
{
    char path[H5_PATH], name[H5_PATH];
    struct h5_data d;
    int named;
    if (h5_join(path, group, key) != 0 || h5_kind(&w->h, path) != H5_DATASET)
        return LOOM_OK;
    brainset_name(name, strcmp(key, "value") == 0 ? group : path);
    if (!brainset_wants(w, "series", name, &named))
        return LOOM_OK;
    int status = h5_data_open(&w->h, path, &d);
    if (status != LOOM_OK)
        return status;
    int numbers = d.content == H5_NUMBER || d.content == H5_BOOL;
    if (c->rate_hz == 0 && d.rows != c->n)
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "%s has %llu samples for %llu timestamps; make it anew",
                           path, (unsigned long long)d.rows, (unsigned long long)c->n);
    else if (!numbers || d.row < 1 || d.row > 100000 || (!named && d.row > (hsize_t)loom_opt_int(w->o, "max_dims")))
        loom_sink_warn(w->h.sink, "%s has %llu dimensions of %s and is left out%s", path, (unsigned long long)d.row,
                       numbers ? "numbers" : "texts", numbers ? " (name it in series)" : "");
    else if (d.rows > 0)
        status = send(w, name, &d, c);
    h5_data_close(&d);
    return status;
}

int brainset_series(struct brainset *w, const char *group, enum brainset_object object)
{
    struct clock c = {0};
    char **names = h5_children(&w->h, group);
    int status = names != NULL ? read_clock(w, group, object, &c) : h5_starved(&w->h);
    for (size_t i = 0; status == LOOM_OK && names[i] != NULL; i++)
        if (strcmp(names[i], "timestamps") != 0 && strcmp(names[i], "timestamp_indices_1s") != 0 &&
            strcmp(names[i], "domain") != 0)
            status = send_array(w, group, names[i], &c);
    free(c.time);
    h5_free_names(names);
    return status;
}

/* ---- intervals ---- */

enum { MOST_WIDE = 8 };

static int send_numbers(struct brainset *w, const struct h5_data *d, const char *name)
{
    double *x = malloc((size_t)(d->rows * d->row + 1) * sizeof *x), *one = malloc((size_t)(d->rows + 1) * sizeof *one);
    int status = x != NULL && one != NULL ? h5_read(&w->h, d, 0, d->rows, x) : h5_starved(&w->h);
    for (hsize_t k = 0; k < d->row && status == LOOM_OK; k++) {
        char called[H5_PATH];
        snprintf(called, sizeof called, d->row > 1 ? "%.400s_%llu" : "%.400s", name, (unsigned long long)k);
        for (hsize_t i = 0; i < d->rows; i++)
            one[i] = x[i * d->row + k];
        status = loom_sink_numbers(w->h.sink, called, one);
    }
    free(x);
    free(one);
    return status;
}

static int send_column(struct brainset *w, const char *group, const char *name, hsize_t rows)
{
    char path[H5_PATH];
    struct h5_data d;
    char **text = NULL;
    if (h5_join(path, group, name) != 0 || h5_kind(&w->h, path) != H5_DATASET)
        return LOOM_OK;
    int status = h5_data_open(&w->h, path, &d);
    if (status != LOOM_OK)
        return status;
    if (d.rows != rows || d.row < 1 || d.row > MOST_WIDE)
        loom_sink_warn(w->h.sink, "%s does not have one value a row and is left out", path);
    else if (d.content == H5_TEXT && d.row == 1) {
        status = h5_texts(&w->h, &d, &text);
        if (status == LOOM_OK)
            status = loom_sink_texts(w->h.sink, name, (const char *const *)text);
        h5_free_names(text);
    } else if (d.content == H5_NUMBER || d.content == H5_BOOL)
        status = send_numbers(w, &d, name);
    h5_data_close(&d);
    return status;
}

int brainset_ends(struct brainset *w, const char *group, double **start, double **end, hsize_t *n)
{
    char path[H5_PATH];
    hsize_t m = 0;
    *start = *end = NULL;
    *n = 0;
    int status = h5_join(path, group, "start") == 0 ? h5_all(&w->h, path, start, n) : LOOM_OK;
    if (status == LOOM_OK && h5_join(path, group, "end") == 0)
        status = h5_all(&w->h, path, end, &m);
    if (status == LOOM_OK && (*n != m || *n > INT32_MAX))
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "%s has %llu starts and %llu ends; make the file anew",
                           group, (unsigned long long)*n, (unsigned long long)m);
    return status;
}

int brainset_table(struct brainset *w, const char *group)
{
    char name[H5_PATH];
    double *start = NULL, *end = NULL;
    hsize_t n = 0;
    int named;
    brainset_name(name, group);
    if (!brainset_wants(w, "tables", name, &named))
        return LOOM_OK;
    char **names = h5_children(&w->h, group);
    int status = names != NULL ? brainset_ends(w, group, &start, &end, &n) : h5_starved(&w->h);
    if (status == LOOM_OK)
        status = loom_sink_intervals(w->h.sink, name, (int32_t)n, start, end);
    for (size_t i = 0; status == LOOM_OK && names[i] != NULL; i++)
        if (strcmp(names[i], "start") != 0 && strcmp(names[i], "end") != 0)
            status = send_column(w, group, names[i], n);
    free(start);
    free(end);
    h5_free_names(names);
    return status;
}

/* ---- splits ---- */

struct row {
    double start, end;
    const char *split;
};

static int by_start(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

/* train_domain, valid_domain and test_domain as one table with a column `split`, which is what `split.by = "column"`
 * wants. */
int brainset_splits(struct brainset *w)
{
    static const char *const splits[] = {"train", "valid", "test"};
    struct row *row = NULL;
    size_t rows = 0;
    int status = LOOM_OK;
    for (int k = 0; k < 3 && status == LOOM_OK; k++) {
        char path[32];
        double *start, *end;
        hsize_t n;
        snprintf(path, sizeof path, "/%s_domain", splits[k]);
        if (brainset_object(w, path) != BRAINSET_INTERVAL)
            continue;
        status = brainset_ends(w, path, &start, &end, &n);
        struct row *more = status == LOOM_OK ? realloc(row, (rows + (size_t)n + 1) * sizeof *more) : NULL;
        if (status == LOOM_OK && more == NULL)
            status = h5_starved(&w->h);
        row = more != NULL ? more : row;
        for (hsize_t i = 0; i < n && status == LOOM_OK; i++)
            row[rows++] = (struct row){start[i], end[i], splits[k]};
        free(start);
        free(end);
    }
    double *x = calloc(2 * rows + 1, sizeof *x);
    const char **text = calloc(rows + 1, sizeof *text);
    if (status == LOOM_OK && (x == NULL || text == NULL))
        status = h5_starved(&w->h);
    if (status == LOOM_OK && rows > 0) {
        qsort(row, rows, sizeof *row, by_start);
        for (size_t i = 0; i < rows; i++) {
            x[i] = row[i].start;
            x[rows + i] = row[i].end;
            text[i] = row[i].split;
        }
        status = loom_sink_intervals(w->h.sink, "splits", (int32_t)rows, x, x + rows);
        if (status == LOOM_OK)
            status = loom_sink_texts(w->h.sink, "split", text);
    }
    free(row);
    free(x);
    free(text);
    return status;
}
