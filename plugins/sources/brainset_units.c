/* SPDX-License-Identifier: Apache-2.0 */
/* Units and spikes of a brainset: /units has one row a unit, /spikes all spikes in order of time with the row of each
 * one's unit. */
#include "brainset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A column of /units under the first of some names that is there and of the kind. */
static int column(struct brainset *w, const char *const *names, enum h5_content content, void **out)
{
    char path[H5_PATH];
    struct h5_data d;
    int status = LOOM_OK;
    *out = NULL;
    for (; *names != NULL && *out == NULL && status == LOOM_OK; names++) {
        if (h5_join(path, "/units", *names) != 0 || h5_kind(&w->h, path) != H5_DATASET)
            continue;
        if ((status = h5_data_open(&w->h, path, &d)) != LOOM_OK)
            break;
        int number = d.content == H5_NUMBER || d.content == H5_BOOL;
        if (d.rows == w->units && d.row == 1 && (content == H5_TEXT ? d.content == H5_TEXT : number)) {
            double *x = content == H5_TEXT ? NULL : malloc((w->units + 1) * sizeof *x);
            status = content == H5_TEXT ? h5_texts(&w->h, &d, (char ***)out)
                     : x != NULL        ? h5_read(&w->h, &d, 0, d.rows, x)
                                        : h5_starved(&w->h);
            if (x != NULL)
                *out = x;
        }
        h5_data_close(&d);
    }
    return status;
}

/* How many units: rows of any column of /units. */
static int count_units(struct brainset *w)
{
    char path[H5_PATH];
    struct h5_data d;
    char **names = h5_children(&w->h, "/units");
    int status = names != NULL ? LOOM_OK : h5_starved(&w->h);
    for (size_t i = 0; status == LOOM_OK && names[i] != NULL; i++)
        if (h5_join(path, "/units", names[i]) == 0 && h5_kind(&w->h, path) == H5_DATASET) {
            status = h5_data_open(&w->h, path, &d);
            if (status == LOOM_OK) {
                w->units = (size_t)d.rows;
                h5_data_close(&d);
            }
            break;
        }
    h5_free_names(names);
    if (status == LOOM_OK && w->units > 1 << 22)
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "/units claims %zu units; is the file damaged?", w->units);
    return status;
}

int brainset_units(struct brainset *w)
{
    static const char *const id[] = {"id", "unit_id", NULL}, *const region[] = {"region",       "brain_area",
                                                                                "brain_region", "location",
                                                                                "area",         NULL};
    static const char *const group[] = {"group", "group_name", "electrode_group", NULL};
    static const char *const electrode[] = {"electrode", "electrode_id", "channel", "channel_number", NULL};
    static const char *const held[] = {"held_out", "heldout", NULL}, *const axis[3][2] = {{"x"}, {"y"}, {"z"}};
    void *text[3] = {NULL}, *number[6] = {NULL};
    w->has_spikes = brainset_object(w, "/spikes") == BRAINSET_IRREGULAR;
    int status = brainset_object(w, "/units") == BRAINSET_DICT ? count_units(w) : LOOM_OK;
    const char *const *texts[] = {id, region, group}, *const *
                                                          numbers[] = {id, electrode, held, axis[0], axis[1], axis[2]};
    for (int i = 0; i < 3 && status == LOOM_OK; i++)
        status = column(w, texts[i], H5_TEXT, &text[i]);
    for (int i = 0; i < 6 && status == LOOM_OK; i++)
        status = column(w, numbers[i], H5_NUMBER, &number[i]);
    for (size_t i = 0; i < w->units && status == LOOM_OK; i++) {
        char name[32];
        double *x[6];
        memcpy(x, number, sizeof x);
        snprintf(name, sizeof name, "unit%.10g", x[0] != NULL ? x[0][i] : (double)i);
        double at = x[1] != NULL ? x[1][i] : -1;
        struct loom_unit u = {text[0] != NULL ? ((char **)text[0])[i] : name,
                              text[2] != NULL ? ((char **)text[2])[i] : "",
                              text[1] != NULL ? ((char **)text[1])[i] : "",
                              at >= 0 && at <= INT32_MAX ? (int32_t)at : -1,
                              x[2] != NULL && x[2][i] != 0,
                              x[3] != NULL ? x[3][i] : NAN,
                              x[4] != NULL ? x[4][i] : NAN,
                              x[5] != NULL ? x[5][i] : NAN};
        status = loom_sink_unit(w->h.sink, &u);
    }
    for (int i = 0; i < 3; i++)
        h5_free_names(text[i]);
    for (int i = 0; i < 6; i++)
        free(number[i]);
    return status;
}

/* ---- spikes ---- */

enum { PIECE = 1 << 20 };

struct piece {
    double *time, *grouped;
    int64_t *unit;
    size_t *end;
};

/* One piece of the spikes, handed on unit by unit: a count for each, then each spike to its place. */
static int send_piece(struct brainset *w, struct piece *p, hsize_t from, size_t n)
{
    size_t sum = 0, bad = 0;
    memset(p->end, 0, (w->units + 1) * sizeof *p->end);
    for (size_t i = 0; i < n; i++) {
        if (p->unit[i] < 0 || (size_t)p->unit[i] >= w->units)
            return loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                             "/spikes/unit_index: %lld (spike %llu) is no row of /units, which has %zu; make the file "
                             "anew",
                             (long long)p->unit[i], (unsigned long long)from + i, w->units);
        p->end[p->unit[i]] += (size_t)(isfinite(p->time[i]) != 0);
    }
    for (size_t u = 0; u < w->units; u++) {
        size_t many = p->end[u];
        p->end[u] = sum;
        sum += many;
    }
    for (size_t i = 0; i < n; i++)
        if (isfinite(p->time[i]))
            p->grouped[p->end[p->unit[i]]++] = p->time[i];
        else
            bad++;
    int status = LOOM_OK;
    for (size_t u = 0; u < w->units && status == LOOM_OK; u++) {
        size_t begin = u > 0 ? p->end[u - 1] : 0;
        if (p->end[u] > begin)
            status = loom_sink_spikes(w->h.sink, (int32_t)u, p->grouped + begin, p->end[u] - begin);
    }
    if (bad > 0)
        loom_sink_warn(w->h.sink, "/spikes/timestamps: %zu spikes have no finite time and are left out", bad);
    return status;
}

/* Where there are no /units, there are as many as the highest index asks for. */
static int units_by_index(struct brainset *w, const struct h5_data *index, int64_t *unit)
{
    int64_t most = -1;
    int status = LOOM_OK;
    for (hsize_t done = 0; done < index->rows && status == LOOM_OK; done += PIECE) {
        hsize_t n = index->rows - done < PIECE ? index->rows - done : PIECE;
        status = h5_read_integers(&w->h, index, done, n, unit);
        for (hsize_t i = 0; i < n && status == LOOM_OK; i++)
            most = unit[i] > most ? unit[i] : most;
    }
    if (status == LOOM_OK && most >= 1 << 22)
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "/spikes/unit_index goes to %lld; is the file damaged?",
                           (long long)most);
    for (int64_t i = 0; i <= most && status == LOOM_OK; i++) {
        struct loom_unit u = {"", "", "", -1, 0, NAN, NAN, NAN};
        status = loom_sink_unit(w->h.sink, &u);
        w->units++;
    }
    return status;
}

int brainset_spikes(struct brainset *w)
{
    struct h5_data time = {.id = -1, .type = -1}, index = {.id = -1, .type = -1};
    struct piece p = {0};
    int status = h5_data_open(&w->h, "/spikes/timestamps", &time);
    if (status == LOOM_OK)
        status = h5_data_open(&w->h, "/spikes/unit_index", &index);
    if (status == LOOM_OK && (index.rows != time.rows || index.row != 1 || time.row != 1))
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                           "/spikes has %llu timestamps and %llu unit indices; make the file anew",
                           (unsigned long long)(time.rows * time.row), (unsigned long long)(index.rows * index.row));
    hsize_t most = status == LOOM_OK && time.rows < PIECE ? time.rows : PIECE;
    p.time = malloc((size_t)(most + 1) * sizeof *p.time);
    p.grouped = malloc((size_t)(most + 1) * sizeof *p.grouped);
    p.unit = malloc((size_t)(most + 1) * sizeof *p.unit);
    if (status == LOOM_OK && (p.time == NULL || p.grouped == NULL || p.unit == NULL))
        status = h5_starved(&w->h);
    if (status == LOOM_OK && w->units == 0)
        status = units_by_index(w, &index, p.unit);
    if (status == LOOM_OK && (p.end = calloc(w->units + 1, sizeof *p.end)) == NULL)
        status = h5_starved(&w->h);
    for (hsize_t done = 0; status == LOOM_OK && done < time.rows; done += PIECE) {
        hsize_t n = time.rows - done < PIECE ? time.rows - done : PIECE;
        status = h5_read(&w->h, &time, done, n, p.time);
        if (status == LOOM_OK)
            status = h5_read_integers(&w->h, &index, done, n, p.unit);
        if (status == LOOM_OK)
            status = send_piece(w, &p, done, (size_t)n);
    }
    h5_data_close(&time);
    h5_data_close(&index);
    free(p.time);
    free(p.grouped);
    free(p.unit);
    free(p.end);
    return status;
}

/* ---- counts: a group of ours, for recordings that come binned, which the layout has no place for ---- */

static int send_counts(struct brainset *w, const struct h5_data *d, const double *start, double bin_s)
{
    size_t bins = (size_t)d->rows, units = (size_t)d->row;
    double *x = malloc((units + 1) * sizeof *x);
    uint16_t *count = malloc((bins * units + 1) * sizeof *count);
    int status = x != NULL && count != NULL ? LOOM_OK : h5_starved(&w->h);
    for (size_t b = 0; b < bins && status == LOOM_OK; b++) {
        status = h5_read(&w->h, d, b, 1, x);
        for (size_t u = 0; u < units && status == LOOM_OK; u++) {
            if (!(x[u] >= 0 && x[u] <= UINT16_MAX) || x[u] != floor(x[u]))
                status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "%s: %g (bin %zu, unit %zu) is no count", d->path,
                                   x[u], b, u);
            else
                count[b * units + u] = (uint16_t)x[u];
        }
    }
    for (size_t from = 0; from < bins && status == LOOM_OK;) {
        size_t n = 1;
        while (from + n < bins && !(start[from + n] - start[from + n - 1] > 1.001 * bin_s))
            n++;
        status = loom_sink_counts(w->h.sink, start[from], bin_s, (int64_t)n, count + from * units);
        from += n;
    }
    free(x);
    free(count);
    return status;
}

int brainset_counts(struct brainset *w)
{
    struct h5_data d = {.id = -1, .type = -1};
    double *start = NULL, bin_s = 0;
    hsize_t n = 0;
    if (w->units == 0 || brainset_object(w, "/binned_spikes") != BRAINSET_IRREGULAR)
        return LOOM_OK;
    int status = h5_all(&w->h, "/binned_spikes/timestamps", &start, &n);
    if (status == LOOM_OK)
        status = h5_data_open(&w->h, "/binned_spikes/counts", &d);
    if (status == LOOM_OK && (d.rows != n || d.row != w->units || d.rows > ((hsize_t)1 << 33) / (d.row + 1) ||
                              !h5_attr_number(&w->h, "/binned_spikes", "bin_s", &bin_s) || !(bin_s > 0)))
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                           "/binned_spikes/counts is not [timestamps, units] with an attribute bin_s; make it anew");
    if (status == LOOM_OK)
        status = send_counts(w, &d, start, bin_s);
    h5_data_close(&d);
    free(start);
    return status;
}
