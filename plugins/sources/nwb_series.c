/* SPDX-License-Identifier: Apache-2.0 */
/* Time series of an NWB file: any group with `data` and `timestamps` or `starting_time`, wherever it lies. */
#include "nwb.h"

#include "names.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 8, MOST_GROUPS = 20000, MOST_DIMS_EVER = 100000 };

struct series {
    struct nwb *w;
    const char *path;
    int named; /* 1: the user asked for it, so what is wrong with it is an error */
    struct h5_data d;
    hsize_t samples, dims;
    int transposed;
    double rate_hz, start_s, conversion, offset;
    double *time, *channel; /* [samples] or NULL; [dims] or NULL */
    char unit[64], name[256];
};

struct hunt {
    struct nwb *w;
    size_t groups;
    size_t *hits; /* per pattern */
    char **taken; /* names given so far */
    size_t taken_count;
};

/* A series that cannot be read: an error if it was asked for, a warning if it was only found. Returns 1 then. */
static int pass_over(struct series *s, const char *why)
{
    if (s->named)
        return loom_fail(s->w->h.e, LOOM_EDATA, s->w->h.name, 0, "%s %s; name another series", s->path, why);
    loom_sink_warn(s->w->h.sink, "%s %s and is left out", s->path, why);
    return 1;
}

static int child(const struct series *s, const char *name, char out[H5_PATH])
{
    return h5_join(out, s->path, name) == 0 && h5_kind(&s->w->h, out) != H5_NONE;
}

/* ---- time ---- */

/* Timestamps where they are, else start and rate. */
static int read_clock(struct series *s)
{
    char path[H5_PATH];
    hsize_t n;
    int timed = child(s, "timestamps", path);
    if (timed) {
        char other[H5_PATH];
        if (child(s, "starting_time", other))
            loom_sink_warn(s->w->h.sink, "%s has timestamps and a starting time; the timestamps are taken", s->path);
        child(s, "timestamps", path);
        int status = h5_all(&s->w->h, path, &s->time, &n);
        if (status != LOOM_OK)
            return status;
        if (n != s->samples && n == s->dims && s->d.rank == 2) {
            loom_sink_warn(s->w->h.sink,
                           "%s/data is [channel, time] where [time, channel] is due; it is read transposed", s->path);
            s->transposed = 1;
            s->dims = s->samples;
            s->samples = n;
        }
        return n == s->samples ? LOOM_OK : pass_over(s, "has another number of timestamps than of samples");
    }
    if (!child(s, "starting_time", path))
        return pass_over(s, "has neither timestamps nor a starting time");
    double *start = NULL;
    int status = h5_all(&s->w->h, path, &start, &n);
    if (status == LOOM_OK && (n != 1 || !isfinite(start[0])))
        status = pass_over(s, "has a starting time that is no number");
    if (status == LOOM_OK)
        s->start_s = start[0];
    free(start);
    if (status == LOOM_OK &&
        (!h5_attr_number(&s->w->h, path, "rate", &s->rate_hz) || !(s->rate_hz > 0) || !isfinite(s->rate_hz)))
        status = pass_over(s, "has a starting time without a rate above 0");
    return status;
}

struct stamp {
    double time;
    hsize_t sample;
};

static int by_time(const void *a, const void *b)
{
    const struct stamp *x = a, *y = b;
    return x->time != y->time ? (x->time > y->time) - (x->time < y->time)
                              : (x->sample > y->sample) - (x->sample < y->sample);
}

/* Samples without a time go; those out of order are put in order, as events that several writers append come. On return
 * s->time holds the times kept, keep[] their samples. */
static int order_times(struct series *s, size_t *kept, hsize_t *keep)
{
    struct stamp *at = calloc((size_t)s->samples + 1, sizeof *at);
    size_t n = 0, back = 0;
    if (at == NULL)
        return h5_starved(&s->w->h);
    for (hsize_t i = 0; i < s->samples; i++)
        if (isfinite(s->time[i])) {
            back += n > 0 && s->time[i] < at[n - 1].time;
            at[n++] = (struct stamp){s->time[i], i};
        }
    if (back > 0) {
        loom_sink_warn(s->w->h.sink, "%s: timestamps go back %zu times; its samples are put in order", s->path, back);
        qsort(at, n, sizeof *at, by_time);
    }
    if (n < s->samples)
        loom_sink_warn(s->w->h.sink, "%s: %llu samples have no finite time and are left out", s->path,
                       (unsigned long long)s->samples - n);
    for (size_t i = 0; i < n; i++) {
        s->time[i] = at[i].time;
        keep[i] = at[i].sample;
    }
    *kept = n;
    free(at);
    return LOOM_OK;
}

/* ---- values ---- */

static int scaled(const struct series *s)
{
    return s->conversion != 1 || s->offset != 0 || s->channel != NULL;
}

/* value = data · conversion · channel_conversion + offset (NWB 2.2 on). */
static void scale(const struct series *s, float *x, size_t n)
{
    if (!scaled(s))
        return;
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < s->dims; d++) {
            double k = s->conversion * (s->channel != NULL ? s->channel[d] : 1);
            x[i * s->dims + d] = (float)((double)x[i * s->dims + d] * k + s->offset);
        }
}

static int begin(struct series *s)
{
    char(*called)[DIM_NAME] = calloc((size_t)s->dims, sizeof *called);
    const char **dim_name = calloc((size_t)s->dims, sizeof *dim_name);
    int number = LOOM_ENOMEM;
    for (hsize_t d = 0; called != NULL && dim_name != NULL && d < s->dims; d++) {
        dim_name_of(called[d], (size_t)d, (size_t)s->dims);
        dim_name[d] = called[d];
    }
    if (called != NULL && dim_name != NULL)
        number = loom_sink_series(s->w->h.sink, s->name, s->unit, (int32_t)s->dims, dim_name, s->rate_hz, s->start_s);
    else
        h5_starved(&s->w->h);
    free(called);
    free(dim_name);
    return number;
}

/* 1: resampled and sent; 0: it stays as it is. */
static int send_resampled(struct series *s, const float *x, size_t kept)
{
    const struct nwb_regular in = {(int64_t)kept, (int64_t)s->dims, s->time, s->start_s, s->rate_hz, x};
    const double step_s = 1e-3 * loom_opt_real(s->w->o, "resample_ms");
    float *out = NULL;
    int64_t n = 0;
    int status = nwb_resample(s->w, &in, &out, &n);
    if (status != LOOM_OK)
        return status == 1 ? 0 : status;
    s->rate_hz = 1 / step_s;
    s->start_s = 0;
    int number = begin(s);
    status = number < 0 ? number : loom_sink_samples(s->w->h.sink, number, n, NULL, out);
    free(out);
    return status == LOOM_OK ? 1 : status;
}

/* Whole, for series that are untidy, transposed or resampled: rows are picked or turned in memory. */
static int send_whole(struct series *s)
{
    int number;
    size_t all = (size_t)(s->samples * s->dims), kept = (size_t)s->samples;
    float *raw = malloc((all + 1) * sizeof *raw), *x = malloc((all + 1) * sizeof *x);
    hsize_t *keep = calloc((size_t)s->samples + 1, sizeof *keep);
    int status = raw != NULL && x != NULL && keep != NULL ? h5_read_floats(&s->w->h, &s->d, 0, s->d.rows, raw)
                                                          : h5_starved(&s->w->h);
    for (hsize_t i = 0; i < s->samples && status == LOOM_OK; i++)
        keep[i] = i;
    if (status == LOOM_OK && s->time != NULL)
        status = order_times(s, &kept, keep);
    for (size_t i = 0; i < kept && status == LOOM_OK; i++)
        for (size_t d = 0; d < s->dims; d++)
            x[i * s->dims + d] = s->transposed ? raw[d * s->samples + keep[i]] : raw[keep[i] * s->dims + d];
    if (status == LOOM_OK) {
        scale(s, x, kept);
        status = loom_opt_real(s->w->o, "resample_ms") > 0 ? send_resampled(s, x, kept) : 0;
        if (status == 0) {
            number = begin(s);
            status = number < 0 ? number : loom_sink_samples(s->w->h.sink, number, (int64_t)kept, s->time, x);
        }
        status = status == 1 ? LOOM_OK : status;
    }
    free(raw);
    free(x);
    free(keep);
    return status;
}

static int send_piece(struct series *s, int number, hsize_t from, hsize_t n, float *x)
{
    int status = h5_read_floats(&s->w->h, &s->d, from, n, x);
    if (status != LOOM_OK)
        return status;
    scale(s, x, (size_t)n);
    return loom_sink_samples(s->w->h.sink, number, (int64_t)n, NULL, x);
}

/* Regular series in pieces, so that hours of them need no memory, and unread where the file holds them as they are due.
 */
static int send_regular(struct series *s)
{
    hsize_t most = ((hsize_t)1 << 20) / s->dims + 1;
    float *x = malloc((size_t)(most * s->dims) * sizeof *x);
    int number = begin(s), status = x != NULL ? number < 0 ? number : LOOM_OK : h5_starved(&s->w->h);
    for (hsize_t done = 0; done < s->samples && status == LOOM_OK;) {
        uint64_t at = 0;
        hsize_t n = s->samples - done;
        if (!scaled(s) && h5_place(&s->w->h, &s->d, 1, done, &at, &n)) {
            status = loom_sink_samples_at(s->w->h.sink, number, (int64_t)n, NULL, at);
        } else {
            n = n < most ? n : most;
            status = send_piece(s, number, done, n, x);
        }
        done += n;
    }
    free(x);
    return status;
}

/* 1: its samples stand in the file as they are due, all together, at times in order, and need not be read here. */
static int stands_ready(struct series *s, uint64_t *at)
{
    hsize_t n;
    for (hsize_t i = 0; i < s->samples; i++)
        if (!isfinite(s->time[i]) || (i > 0 && s->time[i] < s->time[i - 1]))
            return 0;
    return !scaled(s) && h5_place(&s->w->h, &s->d, 1, 0, at, &n) && n == s->samples;
}

static int send_timed(struct series *s)
{
    uint64_t at;
    if (!stands_ready(s, &at))
        return send_whole(s);
    int number = begin(s);
    return number < 0 ? number : loom_sink_samples_at(s->w->h.sink, number, (int64_t)s->samples, s->time, at);
}

/* Texts with times are events: a table of moments with one column. */
static int send_texts(struct series *s)
{
    char **text = NULL;
    size_t kept = 0;
    hsize_t *keep = calloc((size_t)s->samples + 1, sizeof *keep);
    int status = keep != NULL ? LOOM_OK : h5_starved(&s->w->h);
    if (status == LOOM_OK && s->time == NULL)
        status = pass_over(s, "holds texts without timestamps");
    if (status == LOOM_OK)
        status = order_times(s, &kept, keep);
    if (status == LOOM_OK)
        status = h5_texts(&s->w->h, &s->d, &text);
    const char **picked = calloc(kept + 1, sizeof *picked);
    if (status == LOOM_OK && picked == NULL)
        status = h5_starved(&s->w->h);
    for (size_t i = 0; i < kept && status == LOOM_OK; i++)
        picked[i] = text[keep[i]];
    if (status == LOOM_OK)
        status = loom_sink_intervals(s->w->h.sink, s->name, (int32_t)kept, s->time, s->time);
    if (status == LOOM_OK)
        status = loom_sink_texts(s->w->h.sink, "label", picked);
    free(keep);
    free(picked);
    h5_free_names(text);
    return status;
}

static void read_scale(struct series *s, const char *data)
{
    char path[H5_PATH];
    hsize_t n = 0;
    s->conversion = 1;
    h5_attr_number(&s->w->h, data, "conversion", &s->conversion);
    h5_attr_number(&s->w->h, data, "offset", &s->offset);
    h5_attr_text(&s->w->h, data, "unit", s->unit, sizeof s->unit);
    if (!isfinite(s->conversion) || !isfinite(s->offset)) {
        loom_sink_warn(s->w->h.sink, "%s: conversion or offset is not finite and is ignored", s->path);
        s->conversion = 1;
        s->offset = 0;
    }
    struct loom_error *e = s->w->h.e, ignored = {0};
    s->w->h.e = &ignored;
    if (child(s, "channel_conversion", path) && h5_all(&s->w->h, path, &s->channel, &n) == LOOM_OK && n != s->dims) {
        loom_sink_warn(s->w->h.sink, "%s has %llu values for %llu channels and is ignored", path, (unsigned long long)n,
                       (unsigned long long)s->dims);
        free(s->channel);
        s->channel = NULL;
    }
    s->w->h.e = e;
}

static int read_open(struct series *s, const char *data)
{
    hsize_t most = s->named ? MOST_DIMS_EVER : (hsize_t)loom_opt_int(s->w->o, "max_dims");
    int texts = s->d.content == H5_TEXT && s->d.rank == 1;
    s->samples = s->d.rank > 0 ? s->d.rows : 0;
    s->dims = s->d.row;
    if (s->d.rank == 0 || (!texts && s->d.content != H5_NUMBER && s->d.content != H5_BOOL))
        return pass_over(s, "holds no series of numbers");
    int status = read_clock(s);
    if (status != LOOM_OK)
        return status;
    if (s->samples == 0 || s->dims == 0)
        return pass_over(s, "is empty");
    if (s->dims > most)
        return pass_over(s, "has more dimensions than max_dims");
    if (texts)
        return send_texts(s);
    read_scale(s, data);
    if (s->time == NULL && s->dims > 1 && s->dims > 16 * s->samples)
        loom_sink_warn(s->w->h.sink, "%s/data is [%llu, %llu]: it may be [channel, time] where [time, channel] is due",
                       s->path, (unsigned long long)s->samples, (unsigned long long)s->dims);
    if (s->transposed || s->d.content == H5_BOOL || loom_opt_real(s->w->o, "resample_ms") > 0)
        return send_whole(s);
    return s->time != NULL ? send_timed(s) : send_regular(s);
}

/* The last name, or as much of the path as tells it from one that is taken. */
static int give_name(struct hunt *h, struct series *s)
{
    const char *at = strrchr(s->path, '/') + 1;
    for (int again = 1; again;) {
        again = 0;
        for (size_t i = 0; i < h->taken_count && !again; i++)
            again = strcmp(h->taken[i], at) == 0;
        if (again && at <= s->path + 1)
            return pass_over(s, "is there twice");
        if (again)
            for (at--; at > s->path + 1 && at[-1] != '/'; at--)
                continue;
    }
    snprintf(s->name, sizeof s->name, "%s", at);
    char **taken = realloc(h->taken, (h->taken_count + 1) * sizeof *taken);
    if (taken == NULL)
        return h5_starved(&s->w->h);
    h->taken = taken;
    if ((h->taken[h->taken_count] = strdup(at)) == NULL)
        return h5_starved(&s->w->h);
    h->taken_count++;
    return LOOM_OK;
}

static int read_series(struct hunt *h, const char *path, const char *data, int named)
{
    struct series s = {.w = h->w, .path = path, .named = named};
    int status = h5_data_open(&h->w->h, data, &s.d);
    if (status != LOOM_OK)
        return status;
    status = give_name(h, &s);
    if (status == LOOM_OK)
        status = read_open(&s, data);
    h5_data_close(&s.d);
    free(s.time);
    free(s.channel);
    return status == 1 ? LOOM_OK : status;
}

/* Whether a pattern takes this path: 2 by a name of its own, 1 by a pattern that takes anything. */
static int wanted(struct hunt *h, const char *path)
{
    int want = 0;
    for (size_t i = 0; i < loom_opt_count(h->w->o, "series"); i++) {
        const char *p = loom_opt_string_at(h->w->o, "series", i);
        if (fnmatch(p, path, 0) != 0 && fnmatch(p, strrchr(path, '/') + 1, 0) != 0)
            continue;
        h->hits[i]++;
        want = strpbrk(p, "*?[") == NULL ? 2 : want > 1 ? want : 1;
    }
    return want;
}

/* Raw voltages and images are no behaviour: read only when named. */
static int is_bulk(struct nwb *w, const char *path)
{
    char type[64];
    h5_attr_text(&w->h, path, "neurodata_type", type, sizeof type);
    return strcmp(type, "ElectricalSeries") == 0 || strstr(type, "Image") != NULL || strstr(type, "Photon") != NULL ||
           strcmp(type, "SpikeEventSeries") == 0 || strcmp(type, "IndexSeries") == 0;
}

static int hunt_below(struct hunt *h, const char *father, int depth)
{
    char path[H5_PATH], data[H5_PATH];
    if (depth > MOST_DEPTH || h->groups > MOST_GROUPS)
        return LOOM_OK;
    char **names = h5_children(&h->w->h, father);
    int status = names != NULL ? LOOM_OK : h5_starved(&h->w->h);
    for (size_t i = 0; status == LOOM_OK && names[i] != NULL; i++) {
        if (h5_join(path, father, names[i]) != 0 || ++h->groups > MOST_GROUPS)
            continue;
        enum h5_kind kind = h5_kind(&h->w->h, path);
        if (kind == H5_NONE && h->w->h.external)
            loom_sink_warn(h->w->h.sink, "%s is a link into another file, which is not followed", path);
        if (kind != H5_GROUP)
            continue;
        if (h5_join(data, path, "data") == 0 && h5_kind(&h->w->h, data) == H5_DATASET) {
            int want = wanted(h, path);
            if (want == 2 || (want == 1 && !is_bulk(h->w, path)))
                status = read_series(h, path, data, want == 2);
        } else {
            status = hunt_below(h, path, depth + 1);
        }
    }
    h5_free_names(names);
    return status;
}

int nwb_series(struct nwb *w)
{
    static const char *const places[] = {"/processing", "/acquisition", "/analysis", "/stimulus/presentation"};
    size_t patterns = loom_opt_count(w->o, "series");
    struct hunt h = {.w = w, .hits = calloc(patterns + 1, sizeof *h.hits)};
    int status = h.hits != NULL ? LOOM_OK : h5_starved(&w->h);
    for (size_t i = 0; i < sizeof places / sizeof *places && status == LOOM_OK && patterns > 0; i++)
        status = hunt_below(&h, places[i], 0);
    for (size_t i = 0; i < patterns && status == LOOM_OK; i++) {
        const char *p = loom_opt_string_at(w->o, "series", i);
        char path[H5_PATH];
        if (h.hits[i] > 0 || strcmp(p, "*") == 0) /* everything may be nothing, and resolved files write it out */
            continue;
        h5_join(path, "/processing", p);
        status = h5_missing(&w->h, p[0] == '/' ? p : path);
    }
    for (size_t i = 0; i < h.taken_count; i++)
        free(h.taken[i]);
    free(h.taken);
    free(h.hits);
    return status;
}
