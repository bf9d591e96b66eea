/* SPDX-License-Identifier: Apache-2.0 */
/* /units of an NWB file: spike times by ragged index, electrodes, observed intervals, held-out marks. */
#include "nwb.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Columns of /general/extracellular_ephys/electrodes; NULL where absent. */
struct electrodes {
    hsize_t n;
    int64_t *id;
    double *position[3];
    char **location, **group;
};

struct units {
    struct nwb *w;
    hsize_t n;
    int64_t *id, *spike_end, *electrode_end, *electrode;
    hsize_t electrodes_listed;
    double *held_out;
    char **name, **region, **group;
    struct electrodes at;
};

#define ELECTRODES "/general/extracellular_ephys/electrodes"

/* A column of texts, or of references, by the names of what they point to; NULL where there is none. */
static int texts_at(struct nwb *w, const char *path, hsize_t rows, char ***out)
{
    struct h5_data d;
    *out = NULL;
    if (h5_kind(&w->h, path) != H5_DATASET)
        return LOOM_OK;
    int status = h5_data_open(&w->h, path, &d);
    if (status != LOOM_OK)
        return status;
    if (d.rows == rows && d.content == H5_TEXT)
        status = h5_texts(&w->h, &d, out);
    else if (d.rows == rows && d.content == H5_OBJECT_REF)
        status = h5_referred(&w->h, &d, out);
    h5_data_close(&d);
    return status;
}

static int numbers_at(struct nwb *w, const char *path, hsize_t rows, double **out)
{
    hsize_t n;
    *out = NULL;
    if (h5_kind(&w->h, path) != H5_DATASET)
        return LOOM_OK;
    int status = h5_all(&w->h, path, out, &n);
    if (status == LOOM_OK && n != rows) {
        loom_sink_warn(w->h.sink, "%s has %llu values for %llu rows and is left out", path, (unsigned long long)n,
                       (unsigned long long)rows);
        free(*out);
        *out = NULL;
    }
    return status;
}

static int read_electrodes(struct nwb *w, struct electrodes *e)
{
    static const char *const axis[] = {ELECTRODES "/x", ELECTRODES "/y", ELECTRODES "/z"};
    if (h5_kind(&w->h, ELECTRODES "/id") != H5_DATASET)
        return LOOM_OK;
    int status = h5_all_integers(&w->h, ELECTRODES "/id", &e->id, &e->n);
    for (int i = 0; i < 3 && status == LOOM_OK; i++)
        status = numbers_at(w, axis[i], e->n, &e->position[i]);
    if (status == LOOM_OK)
        status = texts_at(w, ELECTRODES "/location", e->n, &e->location);
    if (status == LOOM_OK)
        status = texts_at(w, ELECTRODES "/group_name", e->n, &e->group);
    return status;
}

/* Ends of the ragged column `name`, checked: cumulative, ascending, never beyond the `length` of what they index. Any
 * width and sign of integer reads alike. NULL: no index. */
static int read_index(struct nwb *w, const char *name, hsize_t rows, hsize_t length, int64_t **out)
{
    char path[H5_PATH];
    hsize_t n;
    snprintf(path, sizeof path, "/units/%s_index", name);
    *out = NULL;
    if (h5_kind(&w->h, path) != H5_DATASET)
        return LOOM_OK;
    int status = h5_all_integers(&w->h, path, out, &n);
    if (status == LOOM_OK && n != rows)
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                           "%s has %llu entries for %llu units; the file breaks its format", path,
                           (unsigned long long)n, (unsigned long long)rows);
    int64_t before = 0;
    for (hsize_t i = 0; i < rows && status == LOOM_OK; i++) {
        int64_t end = (*out)[i];
        if (end < before || (hsize_t)end > length)
            status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                               "%s: entry %llu is %lld, after %lld, of %llu values; the file breaks its format", path,
                               (unsigned long long)i, (long long)end, (long long)before, (unsigned long long)length);
        before = end;
    }
    if (status == LOOM_OK && (hsize_t)before != length)
        loom_sink_warn(w->h.sink, "%s ends at %lld, %llu values belong to no unit", path, (long long)before,
                       (unsigned long long)length - (unsigned long long)before);
    return status;
}

static int length_of(struct nwb *w, const char *path, hsize_t *rows)
{
    struct h5_data d;
    *rows = 0;
    int status = h5_data_open(&w->h, path, &d);
    if (status == LOOM_OK) {
        *rows = d.rows;
        h5_data_close(&d);
    }
    return status;
}

/* How many units: ids say, else the index, else one that owns all spikes. */
static int count_units(struct units *u)
{
    hsize_t n;
    if (h5_kind(&u->w->h, "/units/id") == H5_DATASET)
        return h5_all_integers(&u->w->h, "/units/id", &u->id, &u->n);
    if (h5_kind(&u->w->h, "/units/spike_times_index") == H5_DATASET)
        return length_of(u->w, "/units/spike_times_index", &u->n);
    int status =
        h5_kind(&u->w->h, "/units/spike_times") == H5_DATASET ? length_of(u->w, "/units/spike_times", &n) : LOOM_OK;
    u->n = h5_kind(&u->w->h, "/units/spike_times") == H5_DATASET;
    return status;
}

static int read_electrode_rows(struct units *u)
{
    if (h5_kind(&u->w->h, "/units/electrodes") != H5_DATASET)
        return LOOM_OK;
    int status = h5_all_integers(&u->w->h, "/units/electrodes", &u->electrode, &u->electrodes_listed);
    if (status == LOOM_OK)
        status = read_index(u->w, "electrodes", u->n, u->electrodes_listed, &u->electrode_end);
    if (status == LOOM_OK && u->electrode_end == NULL && u->electrodes_listed != u->n)
        loom_sink_warn(u->w->h.sink, "/units/electrodes has neither an index nor one row a unit and is left out");
    return status;
}

/* The unit's first electrode as a row of the electrode table; -1 = none, or out of range. */
static int64_t electrode_row(const struct units *u, hsize_t i, int *outside)
{
    int64_t at = (int64_t)i;
    if (u->electrode == NULL || (u->electrode_end == NULL && u->electrodes_listed != u->n))
        return -1;
    if (u->electrode_end != NULL) {
        at = i > 0 ? u->electrode_end[i - 1] : 0;
        if (at >= u->electrode_end[i])
            return -1;
    }
    int64_t row = u->electrode[at];
    if (row >= 0 && (hsize_t)row < u->at.n)
        return row;
    *outside += u->at.n > 0;
    return -1;
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int send_units(struct units *u)
{
    int status = LOOM_OK, outside = 0;
    for (hsize_t i = 0; i < u->n && status == LOOM_OK; i++) {
        char name[32];
        int64_t row = electrode_row(u, i, &outside), id = u->id != NULL ? u->id[i] : (int64_t)i;
        snprintf(name, sizeof name, "unit%lld", (long long)id);
        struct loom_unit unit = {name, "", "", -1, u->held_out != NULL && u->held_out[i] != 0, NAN, NAN, NAN};
        if (u->name != NULL)
            unit.name = u->name[i];
        if (u->group != NULL)
            unit.group = last_name(u->group[i]);
        if (row >= 0) {
            double *const *p = u->at.position;
            unit.electrode = u->at.id[row] >= 0 && u->at.id[row] <= INT32_MAX ? (int32_t)u->at.id[row] : -1;
            unit.x = p[0] != NULL ? p[0][row] : NAN;
            unit.y = p[1] != NULL ? p[1][row] : NAN;
            unit.z = p[2] != NULL ? p[2][row] : NAN;
            if (u->at.location != NULL)
                unit.region = u->at.location[row];
            if (u->at.group != NULL)
                unit.group = u->at.group[row];
        }
        if (u->region != NULL)
            unit.region = u->region[i];
        status = loom_sink_unit(u->w->h.sink, &unit);
    }
    if (outside > 0)
        loom_sink_warn(u->w->h.sink, "/units/electrodes points outside the electrode table for %d units", outside);
    return status;
}

/* Reads and sends the finite ones among [from, to). */
static int send_read(struct units *u, const struct h5_data *d, hsize_t unit, hsize_t from, hsize_t to, double *most)
{
    enum { PIECE = 1 << 17 };
    hsize_t bad = 0;
    double *t = malloc((size_t)(to - from < PIECE ? to - from + 1 : PIECE) * sizeof *t);
    int status = t != NULL ? LOOM_OK : h5_starved(&u->w->h);
    while (from < to && status == LOOM_OK) {
        size_t n = to - from < PIECE ? (size_t)(to - from) : PIECE, kept = 0;
        status = h5_read(&u->w->h, d, from, n, t);
        for (size_t i = 0; i < n && status == LOOM_OK; i++) {
            *most = isfinite(t[i]) && t[i] > *most ? t[i] : *most;
            if (isfinite(t[i]))
                t[kept++] = t[i];
            else
                bad++;
        }
        if (status == LOOM_OK && kept > 0)
            status = loom_sink_spikes(u->w->h.sink, (int32_t)unit, t, kept);
        from += n;
    }
    if (bad > 0)
        loom_sink_warn(u->w->h.sink,
                       "/units/spike_times: %llu spikes of unit %llu have no finite time and are left out",
                       (unsigned long long)bad, (unsigned long long)unit);
    free(t);
    return status;
}

/* Spikes [from, to), which are not read here where the file holds them as they are due. */
static int send_train(struct units *u, struct h5_data *d, hsize_t unit, hsize_t from, hsize_t to, double *most)
{
    int status = LOOM_OK;
    while (from < to && status == LOOM_OK) {
        uint64_t at;
        hsize_t n;
        double last = NAN;
        int placed = h5_place(&u->w->h, d, 0, from, &at, &n);
        n = n < to - from ? n : to - from;
        if (!placed) {
            status = send_read(u, d, unit, from, from + n, most);
        } else if ((status = h5_read(&u->w->h, d, from + n - 1, 1, &last)) == LOOM_OK) {
            *most = isfinite(last) && last > *most ? last : *most; /* the greatest, since they ascend */
            status = loom_sink_spikes_at(u->w->h.sink, (int32_t)unit, at, (size_t)n);
        }
        from += n;
    }
    return status;
}

static int send_spikes(struct units *u)
{
    struct h5_data d;
    double most = -INFINITY;
    if (u->n == 0 || h5_kind(&u->w->h, "/units/spike_times") != H5_DATASET) {
        loom_sink_warn(u->w->h.sink, "/units holds no spike times");
        return LOOM_OK;
    }
    int status = h5_data_open(&u->w->h, "/units/spike_times", &d);
    if (status != LOOM_OK)
        return status;
    if (d.row != 1 || d.content != H5_NUMBER)
        status = loom_fail(u->w->h.e, LOOM_EDATA, u->w->h.name, 0,
                           "/units/spike_times is no list of numbers; the file breaks its format");
    if (status == LOOM_OK)
        status = read_index(u->w, "spike_times", u->n, d.rows, &u->spike_end);
    if (status == LOOM_OK && u->spike_end == NULL && u->n != 1)
        status = loom_fail(
            u->w->h.e, LOOM_EDATA, u->w->h.name, 0,
            "/units/spike_times_index is missing, so spikes cannot be told apart among %llu units; export the "
            "file anew",
            (unsigned long long)u->n);
    for (hsize_t i = 0; i < u->n && status == LOOM_OK; i++) {
        int64_t from = u->spike_end != NULL && i > 0 ? u->spike_end[i - 1] : 0;
        int64_t to = u->spike_end != NULL ? u->spike_end[i] : (int64_t)d.rows;
        status = send_train(u, &d, i, (hsize_t)from, (hsize_t)to, &most);
    }
    if (status == LOOM_OK && most > 100 * u->w->last_trial_s)
        loom_sink_warn(
            u->w->h.sink,
            "/units/spike_times go to %g s, the interval tables to %g s: the spikes may be in milliseconds or "
            "samples by mistake",
            most, u->w->last_trial_s);
    h5_data_close(&d);
    return status;
}

/* Units were seen at the same times in practice; where they were not, the union is what was recorded. */
static int send_observed(struct units *u)
{
    double *pair;
    hsize_t n;
    hsize_t bad = 0;
    if (h5_kind(&u->w->h, "/units/obs_intervals") != H5_DATASET)
        return LOOM_OK;
    int status = h5_all(&u->w->h, "/units/obs_intervals", &pair, &n);
    for (hsize_t i = 0; i + 1 < n && status == LOOM_OK; i += 2) {
        if (!isfinite(pair[i]) || !isfinite(pair[i + 1]) || pair[i + 1] < pair[i])
            bad++;
        else if (i < 2 || pair[i] != pair[i - 2] || pair[i + 1] != pair[i - 1])
            status = loom_sink_observed(u->w->h.sink, pair[i], pair[i + 1]);
        if (isfinite(pair[i + 1]) && !(pair[i + 1] <= u->w->last_observed_s))
            u->w->last_observed_s = pair[i + 1];
    }
    if (bad > 0)
        loom_sink_warn(u->w->h.sink, "/units/obs_intervals: %llu of %llu intervals make no sense and are left out",
                       (unsigned long long)bad, (unsigned long long)n / 2);
    free(pair);
    return status;
}

static int read_texts(struct units *u)
{
    static const char *const regions[] = {"location", "brain_area", "brain_region", "region", "area"};
    const char *name = loom_opt_string(u->w->o, "unit_name"), *region = loom_opt_string(u->w->o, "unit_region");
    char path[H5_PATH];
    int status = LOOM_OK;
    if (name[0] != '\0') {
        h5_join(path, "/units", name);
        status =
            h5_kind(&u->w->h, path) == H5_DATASET ? texts_at(u->w, path, u->n, &u->name) : h5_missing(&u->w->h, path);
    }
    if (status == LOOM_OK && region[0] != '\0') {
        h5_join(path, "/units", region);
        return h5_kind(&u->w->h, path) == H5_DATASET ? texts_at(u->w, path, u->n, &u->region)
                                                     : h5_missing(&u->w->h, path);
    }
    for (size_t i = 0;
         i < sizeof regions / sizeof *regions && status == LOOM_OK && u->at.location == NULL && u->region == NULL;
         i++) {
        h5_join(path, "/units", regions[i]);
        status = texts_at(u->w, path, u->n, &u->region);
    }
    if (status == LOOM_OK && u->at.group == NULL)
        status = texts_at(u->w, "/units/electrode_group", u->n, &u->group);
    return status;
}

static void release(struct units *u)
{
    free(u->id);
    free(u->spike_end);
    free(u->electrode_end);
    free(u->electrode);
    free(u->held_out);
    h5_free_names(u->name);
    h5_free_names(u->region);
    h5_free_names(u->group);
    free(u->at.id);
    for (int i = 0; i < 3; i++)
        free(u->at.position[i]);
    h5_free_names(u->at.location);
    h5_free_names(u->at.group);
}

int nwb_units(struct nwb *w)
{
    struct units u = {.w = w};
    char path[H5_PATH];
    if (h5_kind(&w->h, "/units") != H5_GROUP)
        return LOOM_OK;
    int status = count_units(&u);
    if (status == LOOM_OK && u.n > INT32_MAX)
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "/units claims %llu units; is the file damaged?",
                           (unsigned long long)u.n);
    if (status == LOOM_OK)
        status = read_electrode_rows(&u);
    if (status == LOOM_OK && h5_join(path, "/units", loom_opt_string(w->o, "held_out_column")) == 0)
        status = numbers_at(w, path, u.n, &u.held_out);
    if (status == LOOM_OK)
        status = read_electrodes(w, &u.at);
    if (status == LOOM_OK)
        status = read_texts(&u);
    if (status == LOOM_OK)
        status = send_units(&u);
    if (status == LOOM_OK)
        status = send_spikes(&u);
    if (status == LOOM_OK)
        status = send_observed(&u);
    release(&u);
    return status;
}
