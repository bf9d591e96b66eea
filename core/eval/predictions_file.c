/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/predictions.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"

#ifdef HAVE_HDF5

#include "base/str.h"
#include "eval/h5.h"

#include <hdf5.h>
#include <math.h>
#include <stddef.h>
#include <unistd.h>

enum { NAME = 256 };

int loom_predictions_supported(void)
{
    return 1;
}

/* ---- writing ---- */

/* [n, columns], columns 0: [n]; `data` is of `type`, the file keeps it as `kept`. */
static int write_column(hid_t group, const char *name, hid_t kept, hid_t type, int64_t n, int columns, const void *data)
{
    const hsize_t dim[2] = {(hsize_t)n, (hsize_t)columns};
    hid_t space = H5Screate_simple(columns > 0 ? 2 : 1, dim, NULL);
    hid_t set = H5Dcreate2(group, name, kept, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int ok = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
    if (set >= 0)
        H5Dclose(set);
    H5Sclose(space);
    return ok;
}

/* A member of the structures of a list, which stands `at` bytes from the begin of each. */
struct member {
    const void *list;
    int64_t n;
    size_t size, at;
};
#define MEMBER(list, n, name) ((struct member){(list), (n), sizeof *(list), offsetof(__typeof__(*(list)), name)})

static int write_member(hid_t group, const char *name, hid_t kept, hid_t type, struct member m)
{
    const size_t width = H5Tget_size(type);
    char *column = calloc((size_t)m.n + 1, width);
    for (int64_t i = 0; column && i < m.n; i++)
        memcpy(column + (size_t)i * width, (const char *)m.list + (size_t)i * m.size + m.at, width);
    int ok = column && write_column(group, name, kept, type, m.n, 0, column);
    free(column);
    return ok;
}

/* Nanoseconds as seconds. */
static int write_times(hid_t group, struct member m)
{
    double *column = calloc((size_t)m.n + 1, sizeof *column);
    for (int64_t i = 0, ns; column && i < m.n; i++) {
        memcpy(&ns, (const char *)m.list + (size_t)i * m.size + m.at, sizeof ns);
        column[i] = 1e-9 * (double)ns;
    }
    int ok = column && write_column(group, "time_s", H5T_NATIVE_DOUBLE, H5T_NATIVE_DOUBLE, m.n, 0, column);
    free(column);
    return ok;
}

static int write_lines(hid_t at, const char *name, char *const *line, int n)
{
    struct loom_str s = LOOM_STR_INIT;
    for (int i = 0; i < n; i++)
        loom_str_printf(&s, "%s%s", i ? "\n" : "", line[i]);
    int ok = !s.failed && loom_h5_write_text(at, name, s.text ? s.text : "");
    loom_str_release(&s);
    return ok;
}

static int write_real(hid_t at, const char *name, double value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(at, name, H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, H5P_DEFAULT);
    int ok = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_DOUBLE, &value) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return ok;
}

static int write_whole(hid_t group, const char *name, struct member m)
{
    return write_member(group, name, H5T_NATIVE_INT32, H5T_NATIVE_INT32, m);
}

static int write_double(hid_t group, const char *name, struct member m)
{
    return write_member(group, name, H5T_NATIVE_DOUBLE, H5T_NATIVE_DOUBLE, m);
}

static int write_table(hid_t group, const struct loom_predictions *p)
{
    return write_times(group, MEMBER(p->row, p->n, time_ns)) &&
           write_whole(group, "recording", MEMBER(p->row, p->n, recording)) &&
           write_whole(group, "element", MEMBER(p->row, p->n, element)) &&
           write_whole(group, "trial", MEMBER(p->row, p->n, trial)) &&
           write_member(group, "held", H5T_NATIVE_UINT8, H5T_NATIVE_UINT8, MEMBER(p->row, p->n, held)) &&
           write_double(group, "target", MEMBER(p->row, p->n, target)) &&
           write_double(group, "predicted", MEMBER(p->row, p->n, predicted)) &&
           write_member(group, "weight", H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE, MEMBER(p->row, p->n, weight));
}

static int write_trials(hid_t group, const struct loom_predictions *p)
{
    hid_t at = H5Gcreate2(group, "trials", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int ok = at >= 0 && write_double(at, "start_s", MEMBER(p->trial, p->trials, start_s)) &&
             write_double(at, "stop_s", MEMBER(p->trial, p->trials, stop_s)) &&
             write_double(at, "zero_s", MEMBER(p->trial, p->trials, zero_s)) &&
             write_whole(at, "recording", MEMBER(p->trial, p->trials, recording)) &&
             write_whole(at, "condition", MEMBER(p->trial, p->trials, condition)) &&
             write_whole(at, "row", MEMBER(p->trial, p->trials, row));
    if (at >= 0)
        H5Gclose(at);
    return ok;
}

static int write_latents(hid_t group, const struct loom_latents *l)
{
    hid_t at = H5Gcreate2(group, "latents", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    int ok = at >= 0 && write_times(at, (struct member){l->time_ns, l->n, sizeof *l->time_ns, 0}) &&
             write_column(at, "recording", H5T_NATIVE_INT32, H5T_NATIVE_INT32, l->n, 0, l->recording) &&
             write_column(at, "rows", H5T_NATIVE_INT32, H5T_NATIVE_INT32, l->n, 0, l->times) &&
             write_column(at, "value", H5T_NATIVE_FLOAT, H5T_NATIVE_FLOAT, l->n, l->width, l->value);
    if (at >= 0)
        H5Gclose(at);
    return ok;
}

static int write_beside(hid_t group, const struct loom_predictions *p)
{
    int ok = !p->date || write_lines(group, "dates", p->date, p->recordings);
    if (ok && p->trials > 0)
        ok = loom_h5_write_text(group, "condition", p->condition_name) &&
             loom_h5_write_text(group, "zero", p->zero_name) &&
             write_lines(group, "conditions", p->condition, p->conditions) && write_trials(group, p);
    return ok && (p->latents.n == 0 || write_latents(group, &p->latents));
}

static int write_group(hid_t group, const struct loom_predictions *p, const struct loom_predictions_baseline *baseline,
                       int baselines)
{
    int ok = loom_h5_write_text(group, "likelihood", p->likelihood) && loom_h5_write_text(group, "unit", p->unit) &&
             write_real(group, "bin_s", p->bin_s) && write_lines(group, "recordings", p->recording, p->recordings) &&
             write_lines(group, "elements", p->element, p->elements) &&
             write_lines(group, "classes", p->class_name, p->class_names) && write_table(group, p) &&
             write_beside(group, p);
    if (ok && p->param)
        ok = write_column(group, "params", H5T_NATIVE_DOUBLE, H5T_NATIVE_DOUBLE, p->n, p->params, p->param);
    hid_t below = ok && baselines > 0 ? H5Gcreate2(group, "baselines", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) : -1;
    for (int i = 0; ok && i < baselines; i++)
        ok = below >= 0 && write_column(below, baseline[i].name, H5T_NATIVE_DOUBLE, H5T_NATIVE_DOUBLE, p->n, 0,
                                        baseline[i].predicted);
    if (below >= 0)
        H5Gclose(below);
    return ok;
}

static int copy_file(const char *from, const char *to)
{
    char block[65536];
    FILE *in = fopen(from, "rb"), *out = in != NULL ? fopen(to, "wb") : NULL;
    size_t n = 1;
    while (out != NULL && n > 0 && (n = fread(block, 1, sizeof block, in)) > 0)
        n = fwrite(block, 1, n, out) == n ? n : 0;
    int ok = out != NULL && feof(in) && !ferror(in) && !ferror(out);
    if (in != NULL)
        fclose(in);
    return out != NULL && fclose(out) == 0 && ok;
}

/* A copy of the file, to take its place once it is whole: a run may die while it writes. One that cannot be opened is
 * made anew. */
static hid_t open_copy(const char *path, const char *temp)
{
    hid_t file = access(path, F_OK) == 0 && copy_file(path, temp) ? H5Fopen(temp, H5F_ACC_RDWR, H5P_DEFAULT) : -1;
    return file >= 0 ? file : H5Fcreate(temp, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
}

int loom_predictions_write(const struct loom_predictions *p, const char *path, const char *stage, const char *split,
                           const struct loom_predictions_baseline *baseline, int baselines, struct loom_error *e)
{
    char name[NAME], temp[4096];
    int ok = 0;
    if ((size_t)snprintf(temp, sizeof temp, "%s.part", path) >= sizeof temp)
        return loom_fail(e, LOOM_EIO, path, 0, "the path is too long: shorten it");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(name, sizeof name, "/%s/%s/%s", stage, split, p->modality);
    hid_t file = open_copy(path, temp), links = H5Pcreate(H5P_LINK_CREATE), group = -1;
    H5Pset_create_intermediate_group(links, 1);
    if (file >= 0) {
        H5Ldelete(file, name, H5P_DEFAULT);
        group = H5Gcreate2(file, name, links, H5P_DEFAULT, H5P_DEFAULT);
        ok = group >= 0 && write_group(group, p, baseline, baselines);
        if (group >= 0)
            H5Gclose(group);
        ok = H5Fclose(file) >= 0 && ok && rename(temp, path) == 0;
    }
    H5Pclose(links);
    if (ok)
        return LOOM_OK;
    unlink(temp);
    return loom_fail(e, LOOM_EIO, path, 0, "predictions cannot be written: make room, or set predictions = false");
}

/* ---- reading ---- */

static int64_t count_rows(hid_t group, const char *name, int *columns)
{
    hsize_t dim[2] = {0, 1};
    hid_t set = H5Dopen2(group, name, H5P_DEFAULT);
    if (set < 0)
        return -1;
    hid_t space = H5Dget_space(set);
    int rank = H5Sget_simple_extent_ndims(space);
    if (rank == 1 || rank == 2)
        H5Sget_simple_extent_dims(space, dim, NULL);
    H5Sclose(space);
    H5Dclose(set);
    if (columns)
        *columns = (int)dim[1];
    return rank == 1 || rank == 2 ? (int64_t)dim[0] : -1;
}

/* [n, columns] of `type`, malloc'ed; NULL: no such column, or another length. */
static void *read_as(hid_t type, hid_t group, const char *name, int64_t n, int columns)
{
    int found = 1;
    if (H5Lexists(group, name, H5P_DEFAULT) <= 0 || count_rows(group, name, &found) != n || found != columns)
        return NULL;
    void *out = calloc((size_t)n * (size_t)columns + 1, H5Tget_size(type));
    hid_t set = H5Dopen2(group, name, H5P_DEFAULT);
    if (out && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0) {
        free(out);
        out = NULL;
    }
    H5Dclose(set);
    return out;
}

static double *read_column(hid_t group, const char *name, int64_t n, int columns)
{
    return read_as(H5T_NATIVE_DOUBLE, group, name, n, columns);
}

/* Malloc'ed text; NULL: not there. */
static char *read_text(hid_t at, const char *name)
{
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
    if (attribute < 0)
        return NULL;
    hid_t type = H5Aget_type(attribute);
    size_t n = H5Tget_size(type);
    char *out = H5Tget_class(type) == H5T_STRING && !H5Tis_variable_str(type) ? calloc(n + 1, 1) : NULL;
    if (out && H5Aread(attribute, type, out) < 0) {
        free(out);
        out = NULL;
    }
    H5Tclose(type);
    H5Aclose(attribute);
    return out;
}

static int read_lines(hid_t at, const char *name, char ***out)
{
    char *text = read_text(at, name);
    int n = 0;
    size_t most = 1;
    for (const char *c = text; c && *c; c++)
        most += *c == '\n';
    *out = calloc(most, sizeof **out);
    for (char *line = text && *text ? text : NULL, *end; line && *out; line = end) {
        end = strchr(line, '\n');
        if (end)
            *end++ = '\0';
        (*out)[n] = strdup(line);
        n += (*out)[n] != NULL;
    }
    free(text);
    return n;
}

static void read_attribute(hid_t at, const char *name, char *out, size_t size)
{
    char *text = read_text(at, name);
    snprintf(out, size, "%s", text ? text : "");
    free(text);
}

enum { TIME, RECORDING, ELEMENT, HELD, TARGET, PREDICTED, WEIGHT, TRIAL, COLUMNS };

/* Row i says nothing that cannot be: others index by it. */
static int is_sound(double *const column[COLUMNS], int64_t i, const struct loom_predictions *p)
{
    enum { MOST_ELEMENTS = 1 << 20 };
    const double most_s = 9e9; /* in nanoseconds 64 bits are full */
    return fabs(column[TIME][i]) < most_s && column[RECORDING][i] >= 0 && column[RECORDING][i] < p->recordings &&
           column[ELEMENT][i] >= 0 && column[ELEMENT][i] < MOST_ELEMENTS && column[HELD][i] >= 0 &&
           column[HELD][i] <= LOOM_HELD_FORWARD && (column[TRIAL] == NULL || fabs(column[TRIAL][i]) <= INT32_MAX);
}

static int read_table(hid_t group, struct loom_predictions *p)
{
    static const char *const names[] = {"time_s", "recording", "element", "held",
                                        "target", "predicted", "weight",  "trial"};
    double *column[COLUMNS] = {NULL};
    int ok = (p->n = count_rows(group, "time_s", NULL)) >= 0;
    p->row = ok ? calloc((size_t)p->n + 1, sizeof *p->row) : NULL;
    ok = p->row != NULL;
    for (int k = 0; ok && k < COLUMNS; k++)
        ok = (column[k] = read_column(group, names[k], p->n, 1)) != NULL || k == TRIAL; /* files of before have none */
    for (int64_t i = 0; ok && i < p->n; i++)
        ok = is_sound(column, i, p);
    for (int64_t i = 0; ok && i < p->n; i++)
        p->row[i] = (struct loom_predicted){.time_ns = llround(column[TIME][i] * 1e9),
                                            .recording = (int32_t)column[RECORDING][i],
                                            .element = (int32_t)column[ELEMENT][i],
                                            .held = (uint8_t)column[HELD][i],
                                            .times = 1,
                                            .target = column[TARGET][i],
                                            .predicted = column[PREDICTED][i],
                                            .weight = column[WEIGHT][i],
                                            .trial = column[TRIAL] ? (int32_t)column[TRIAL][i] : -1};
    for (int k = 0; k < COLUMNS; k++)
        free(column[k]);
    p->capacity = p->n;
    return ok;
}

/* Columns of one length, the last of which files of before have not; 1, or 0 when they are not sound. */
static int read_trials(hid_t group, struct loom_predictions *p)
{
    enum { NEEDED = 5, COLUMNS_OF_TRIALS };
    static const char *const names[] = {"start_s", "stop_s", "recording", "condition", "row", "zero_s"};
    double *column[COLUMNS_OF_TRIALS] = {NULL};
    hid_t at = H5Gopen2(group, "trials", H5P_DEFAULT);
    int64_t n = at >= 0 ? count_rows(at, names[0], NULL) : -1;
    int ok = n >= 0 && n < INT32_MAX;
    p->trial = ok ? calloc((size_t)n + 1, sizeof *p->trial) : NULL;
    ok = p->trial != NULL;
    for (int k = 0; ok && k < COLUMNS_OF_TRIALS; k++)
        ok = (column[k] = read_column(at, names[k], n, 1)) != NULL || k >= NEEDED;
    for (int64_t i = 0; ok && i < n; i++) {
        p->trial[i] =
            (struct loom_predicted_trial){.start_s = column[0][i],
                                          .stop_s = column[1][i],
                                          .recording = (int32_t)column[2][i],
                                          .row = (int32_t)column[4][i],
                                          .zero_s = column[NEEDED] != NULL ? column[NEEDED][i] : column[0][i]};
        p->trial[i].condition = column[3][i] >= 0 && column[3][i] < p->conditions ? (int32_t)column[3][i] : -1;
        ok = column[2][i] >= 0 && column[2][i] < p->recordings;
    }
    p->trials = ok ? (int32_t)n : 0;
    for (int k = 0; k < COLUMNS_OF_TRIALS; k++)
        free(column[k]);
    if (at >= 0)
        H5Gclose(at);
    return ok;
}

static int read_latents(hid_t group, struct loom_predictions *p)
{
    struct loom_latents *l = &p->latents;
    hid_t at = H5Gopen2(group, "latents", H5P_DEFAULT);
    int64_t n = at >= 0 ? count_rows(at, "value", &l->width) : -1;
    double *time = NULL;
    int ok = n >= 0 && l->width > 0 && (time = read_column(at, "time_s", n, 1)) != NULL &&
             (l->recording = read_as(H5T_NATIVE_INT32, at, "recording", n, 1)) != NULL &&
             (l->times = read_as(H5T_NATIVE_INT32, at, "rows", n, 1)) != NULL &&
             (l->value = read_as(H5T_NATIVE_FLOAT, at, "value", n, l->width)) != NULL &&
             (l->time_ns = calloc((size_t)n + 1, sizeof *l->time_ns)) != NULL;
    for (int64_t i = 0; ok && i < n; i++) {
        l->time_ns[i] = llround(time[i] * 1e9);
        ok = l->recording[i] >= 0 && l->recording[i] < p->recordings;
    }
    l->n = l->most = ok ? n : 0;
    free(time);
    if (at >= 0)
        H5Gclose(at);
    return ok;
}

/* What stands beside the rows; files of before had less. */
static int read_beside(hid_t group, struct loom_predictions *p)
{
    int ok = 1;
    if (H5Aexists(group, "dates") > 0) {
        int n = read_lines(group, "dates", &p->date);
        ok = n == p->recordings;
        for (int i = 0; !ok && i < n; i++)
            free(p->date[i]);
        if (!ok) {
            free(p->date);
            p->date = NULL;
        }
    }
    if (ok && H5Lexists(group, "trials", H5P_DEFAULT) > 0) {
        read_attribute(group, "condition", p->condition_name, sizeof p->condition_name);
        if (H5Aexists(group, "zero") > 0)
            read_attribute(group, "zero", p->zero_name, sizeof p->zero_name);
        p->conditions = read_lines(group, "conditions", &p->condition);
        ok = read_trials(group, p);
    }
    return ok && (H5Lexists(group, "latents", H5P_DEFAULT) <= 0 || read_latents(group, p));
}

/* What was predicted of a label is one of its classes, whose probabilities stand beside it. */
static int names_classes(const struct loom_predictions *p)
{
    for (int64_t i = 0; i < p->n; i++)
        if (isfinite(p->row[i].predicted) && !(p->row[i].predicted >= 0 && p->row[i].predicted < p->params))
            return 0;
    return 1;
}

static hid_t open_group(const char *path, const char *stage, const char *split, const char *modality, hid_t *file)
{
    char name[NAME];
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(name, sizeof name, "/%s/%s/%s", stage, split, modality);
    *file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    return *file >= 0 ? H5Gopen2(*file, name, H5P_DEFAULT) : -1;
}

int loom_predictions_read(struct loom_predictions *p, const char *path, const char *stage, const char *split,
                          const char *modality, struct loom_error *e)
{
    hid_t file, group = open_group(path, stage, split, modality, &file);
    int ok = group >= 0, columns = 1;
    loom_predictions_init(p);
    if (ok) {
        snprintf(p->modality, sizeof p->modality, "%s", modality);
        read_attribute(group, "likelihood", p->likelihood, sizeof p->likelihood);
        read_attribute(group, "unit", p->unit, sizeof p->unit);
        hid_t attribute = H5Aopen(group, "bin_s", H5P_DEFAULT);
        if (attribute >= 0) {
            H5Aread(attribute, H5T_NATIVE_DOUBLE, &p->bin_s);
            H5Aclose(attribute);
        }
        p->recordings = read_lines(group, "recordings", &p->recording);
        p->elements = read_lines(group, "elements", &p->element);
        p->class_names = read_lines(group, "classes", &p->class_name);
        ok = read_table(group, p) && read_beside(group, p);
    }
    if (ok && H5Lexists(group, "params", H5P_DEFAULT) > 0 && count_rows(group, "params", &columns) == p->n) {
        p->params = columns;
        p->param = read_column(group, "params", p->n, columns);
        ok = strcmp(p->likelihood, "categorical") != 0 || names_classes(p);
    }
    if (group >= 0)
        H5Gclose(group);
    if (file >= 0)
        H5Fclose(file);
    if (ok)
        return LOOM_OK;
    loom_predictions_release(p);
    return loom_fail(e, LOOM_EDATA, path, 0, "has no sound group /%s/%s/%s: run the evaluation again", stage, split,
                     modality);
}

double *loom_predictions_read_baseline(const struct loom_predictions *p, const char *path, const char *stage,
                                       const char *split, const char *name)
{
    char column[NAME];
    hid_t file, group = open_group(path, stage, split, p->modality, &file);
    snprintf(column, sizeof column, "baselines/%s", name);
    int there = group >= 0 && H5Lexists(group, "baselines", H5P_DEFAULT) > 0;
    double *out = there ? read_column(group, column, p->n, 1) : NULL;
    if (group >= 0)
        H5Gclose(group);
    if (file >= 0)
        H5Fclose(file);
    return out;
}

struct walk {
    int (*each)(void *payload, const char *stage, const char *split, const char *modality);
    void *payload;
    char name[3][NAME];
    int depth, code;
};

static herr_t visit(hid_t at, const char *name, const H5L_info_t *info, void *data)
{
    struct walk *w = data;
    (void)info;
    snprintf(w->name[w->depth], NAME, "%s", name);
    if (w->depth == 2) {
        w->code = w->each(w->payload, w->name[0], w->name[1], w->name[2]);
        return w->code != LOOM_OK;
    }
    hid_t below = H5Gopen2(at, name, H5P_DEFAULT);
    if (below < 0)
        return 0;
    w->depth++;
    herr_t rc = H5Literate(below, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, w);
    w->depth--;
    H5Gclose(below);
    return rc;
}

int loom_predictions_walk(const char *path,
                          int (*each)(void *payload, const char *stage, const char *split, const char *modality),
                          void *payload, struct loom_error *e)
{
    struct walk w = {.each = each, .payload = payload};
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        return loom_fail(e, LOOM_EIO, path, 0, "cannot be read as HDF5: run the evaluation again");
    H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, &w);
    H5Fclose(file);
    return w.code;
}

#else

int loom_predictions_supported(void)
{
    return 0;
}

static int missing(const char *path, struct loom_error *e)
{
    return loom_fail(e, LOOM_ECONFIG, path, 0,
                     "this build cannot write or read HDF5: install libhdf5-dev and configure again");
}

int loom_predictions_write(const struct loom_predictions *p, const char *path, const char *stage, const char *split,
                           const struct loom_predictions_baseline *baseline, int baselines, struct loom_error *e)
{
    (void)p, (void)stage, (void)split, (void)baseline, (void)baselines;
    return missing(path, e);
}

int loom_predictions_read(struct loom_predictions *p, const char *path, const char *stage, const char *split,
                          const char *modality, struct loom_error *e)
{
    (void)stage, (void)split, (void)modality;
    loom_predictions_init(p);
    return missing(path, e);
}

double *loom_predictions_read_baseline(const struct loom_predictions *p, const char *path, const char *stage,
                                       const char *split, const char *name)
{
    (void)p, (void)path, (void)stage, (void)split, (void)name;
    return NULL;
}

int loom_predictions_walk(const char *path,
                          int (*each)(void *payload, const char *stage, const char *split, const char *modality),
                          void *payload, struct loom_error *e)
{
    (void)each, (void)payload;
    return missing(path, e);
}

#endif
