/* SPDX-License-Identifier: Apache-2.0 */
#include "h5.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define H5_MOST_BYTES ((hsize_t)1 << 33) /* of one read */
enum { MOST_NAMES = 100000 };

int h5_starved(struct h5_file *f)
{
    return loom_fail(f->e, LOOM_ENOMEM, f->name, 0, "out of memory; raise the limit on memory");
}

static int unreadable(struct h5_file *f, const char *path)
{
    return loom_fail(f->e, LOOM_EDATA, f->name, 0,
                     "%s cannot be read: the file is damaged or cut short; fetch it again", path);
}

static herr_t refuse_external(const char *parent, const char *group, const char *child, const char *object,
                              unsigned *flags, hid_t access, void *data)
{
    (void)parent, (void)group, (void)child, (void)object, (void)flags, (void)access;
    ((struct h5_file *)data)->external = 1;
    return -1;
}

int h5_open(struct h5_file *f, const char *name, struct loom_sink *sink, struct loom_error *e)
{
    *f = (struct h5_file){.id = -1, .access = -1, .name = name, .sink = sink, .e = e};
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0);
    loom_sink_object(sink, "/");
    f->access = H5Pcreate(H5P_LINK_ACCESS);
    if (f->access < 0 || H5Pset_elink_cb(f->access, refuse_external, f) < 0)
        return h5_starved(f);
    f->id = H5Fopen(name, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (f->id < 0)
        return loom_fail(
            e, LOOM_EDATA, name, 0,
            "is no HDF5 file that can be opened: another format, cut short, damaged, or still being written; "
            "close the program that writes it, or fetch it again");
    return LOOM_OK;
}

void h5_close(struct h5_file *f)
{
    if (f->id >= 0)
        H5Fclose(f->id);
    if (f->access >= 0)
        H5Pclose(f->access);
    f->id = f->access = -1;
}

/* Opens step by step: H5Oopen on a path with a missing middle is an error like any other, and each link on the way may
 * be external. */
static hid_t open_object(struct h5_file *f, const char *path)
{
    return path[0] == '/' && path[1] == '\0' ? H5Oopen(f->id, "/", f->access) : H5Oopen(f->id, path, f->access);
}

enum h5_kind h5_kind(struct h5_file *f, const char *path)
{
    loom_sink_object(f->sink, path);
    f->external = 0;
    hid_t id = open_object(f, path);
    if (id < 0)
        return H5_NONE;
    H5I_type_t type = H5Iget_type(id);
    H5Oclose(id);
    return type == H5I_GROUP ? H5_GROUP : type == H5I_DATASET ? H5_DATASET : H5_NONE;
}

/* ---- names ---- */

int h5_join(char out[H5_PATH], const char *father, const char *child)
{
    int n = snprintf(out, H5_PATH, "%s%s%s", father, strcmp(father, "/") == 0 ? "" : "/", child);
    return n >= 0 && n < H5_PATH ? 0 : -1;
}

struct names {
    char **name;
    size_t n, room;
};

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    struct names *l = data;
    (void)group, (void)info;
    if (l->n >= MOST_NAMES)
        return 1;
    if (l->n + 1 >= l->room) {
        size_t room = l->room ? 2 * l->room : 32;
        char **moved = realloc(l->name, room * sizeof *moved);
        if (moved == NULL)
            return -1;
        l->name = moved;
        l->room = room;
    }
    if ((l->name[l->n] = strdup(name)) == NULL)
        return -1;
    l->name[++l->n] = NULL;
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **h5_children(struct h5_file *f, const char *path)
{
    struct names l = {0};
    hid_t id = -1;
    if (h5_kind(f, path) == H5_GROUP && (id = open_object(f, path)) >= 0)
        H5Literate(id, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, add_name, &l);
    if (id >= 0)
        H5Oclose(id);
    if (l.name == NULL)
        return calloc(1, sizeof *l.name);
    qsort(l.name, l.n, sizeof *l.name, by_bytes);
    return l.name;
}

void h5_free_names(char **names)
{
    for (char **n = names; n != NULL && *n != NULL; n++)
        free(*n);
    free(names);
}

int h5_missing(struct h5_file *f, const char *path)
{
    char there[600] = "", father[H5_PATH];
    if (f->external)
        return loom_fail(f->e, LOOM_EDATA, f->name, 0,
                         "%s is a link into another file, which is not followed; copy what it points to into this file "
                         "(h5copy, or export without links)",
                         path);
    snprintf(father, sizeof father, "%s", path);
    char *slash = strrchr(father, '/');
    if (slash != NULL)
        slash[slash == father] = '\0';
    char **names = h5_children(f, father);
    size_t used = 0;
    for (size_t i = 0; names != NULL && names[i] != NULL && used + 1 < sizeof there; i++)
        used += (size_t)snprintf(there + used, sizeof there - used, "%s%s", i > 0 ? ", " : "", names[i]);
    const char *nearest =
        names != NULL && slash != NULL ? loom_nearest(strrchr(path, '/') + 1, (const char *const *)names) : NULL;
    loom_fail(f->e, LOOM_EDATA, f->name, 0, "has no %s%s%.64s%s; %s holds: %s", path,
              nearest != NULL ? ", did you mean \"" : "", nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "",
              father, used > 0 ? there : "nothing");
    h5_free_names(names);
    return LOOM_EDATA;
}

/* ---- datasets ---- */

/* Filters that this library has built in are safe to run in this process; others would load code. */
static int check_layout(struct h5_file *f, const struct h5_data *d)
{
    hid_t how = H5Dget_create_plist(d->id);
    int status = how >= 0 ? LOOM_OK : unreadable(f, d->path);
    if (status == LOOM_OK && H5Pget_external_count(how) > 0)
        status = loom_fail(f->e, LOOM_EDATA, f->name, 0,
                           "%s keeps its data in another file, which is not read; repack it into one file (h5repack)",
                           d->path);
    if (status == LOOM_OK && H5Pget_layout(how) == H5D_VIRTUAL)
        status = loom_fail(
            f->e, LOOM_EDATA, f->name, 0,
            "%s is a virtual dataset over other files, which is not read; copy it into one file (h5copy)", d->path);
    int filters = status == LOOM_OK ? H5Pget_nfilters(how) : 0;
    for (int i = 0; i < filters && status == LOOM_OK; i++) {
        unsigned flags, config;
        size_t none = 0;
        char name[64] = "";
        H5Z_filter_t id = H5Pget_filter2(how, (unsigned)i, &flags, &none, NULL, sizeof name, name, &config);
        if (id < 0)
            status = unreadable(f, d->path);
        else if (H5Zfilter_avail(id) <= 0)
            status =
                loom_fail(f->e, LOOM_EDATA, f->name, 0,
                          "%s is compressed by filter %d (%.60s), which this HDF5 does not have built in; rewrite it "
                          "with gzip: h5repack -f GZIP=4 old new, on a machine that has the filter",
                          d->path, (int)id, name[0] != '\0' ? name : "unnamed");
    }
    if (how >= 0)
        H5Pclose(how);
    return status;
}

static enum h5_content content_of(hid_t type)
{
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
    case H5T_FLOAT:
        return H5_NUMBER;
    case H5T_ENUM:
        return H5_BOOL;
    case H5T_STRING:
        return H5_TEXT;
    case H5T_REFERENCE:
        return H5Tequal(type, H5T_STD_REF_OBJ) > 0 ? H5_OBJECT_REF : H5_OTHER;
    default:
        return H5_OTHER;
    }
}

static int take_shape(struct h5_file *f, struct h5_data *d)
{
    hid_t space = H5Dget_space(d->id);
    int status = LOOM_OK;
    H5S_class_t form = space >= 0 ? H5Sget_simple_extent_type(space) : H5S_NO_CLASS;
    d->rank = form == H5S_SIMPLE ? H5Sget_simple_extent_ndims(space) : 0;
    if (form == H5S_NO_CLASS || d->rank < 0 || d->rank > H5_RANK ||
        (d->rank > 0 && H5Sget_simple_extent_dims(space, d->dims, NULL) < 0))
        status = unreadable(f, d->path);
    d->rows = form == H5S_NULL ? 0 : d->rank > 0 ? d->dims[0] : 1;
    d->row = 1;
    for (int i = 1; i < d->rank && status == LOOM_OK; i++)
        if (__builtin_mul_overflow(d->row, d->dims[i], &d->row))
            status = unreadable(f, d->path);
    hsize_t all;
    if (status == LOOM_OK && __builtin_mul_overflow(d->rows, d->row, &all))
        status = unreadable(f, d->path);
    if (space >= 0)
        H5Sclose(space);
    return status;
}

int h5_data_open(struct h5_file *f, const char *path, struct h5_data *d)
{
    *d = (struct h5_data){.id = -1, .type = -1};
    snprintf(d->path, sizeof d->path, "%s", path);
    enum h5_kind kind = h5_kind(f, path);
    if (kind == H5_NONE)
        return h5_missing(f, path);
    if (kind == H5_GROUP)
        return loom_fail(f->e, LOOM_EDATA, f->name, 0,
                         "%s is a group where a dataset is due; the file breaks its format", path);
    d->id = open_object(f, path);
    d->type = d->id >= 0 ? H5Dget_type(d->id) : -1;
    int status = d->type >= 0 ? take_shape(f, d) : unreadable(f, path);
    if (status == LOOM_OK) {
        d->content = content_of(d->type);
        status = check_layout(f, d);
    }
    if (status != LOOM_OK)
        h5_data_close(d);
    return status;
}

void h5_data_close(struct h5_data *d)
{
    if (d->type >= 0)
        H5Tclose(d->type);
    if (d->id >= 0)
        H5Oclose(d->id);
    d->id = d->type = -1;
}

/* H5Dread of rows [from, from + n) as `type`. */
static int read_rows(struct h5_file *f, const struct h5_data *d, hsize_t from, hsize_t n, hid_t type, void *out)
{
    hsize_t start[H5_RANK] = {from}, count[H5_RANK];
    if (n == 0 || d->row == 0)
        return LOOM_OK;
    if (from > d->rows || n > d->rows - from)
        return unreadable(f, d->path);
    memcpy(count, d->dims, sizeof count);
    count[0] = n;
    loom_sink_object(f->sink, d->path);
    hid_t disk = d->rank > 0 ? H5Dget_space(d->id) : H5S_ALL;
    hid_t memory = d->rank > 0 ? H5Screate_simple(d->rank, count, NULL) : H5S_ALL;
    int failed = disk < 0 || memory < 0 ||
                 (d->rank > 0 && H5Sselect_hyperslab(disk, H5S_SELECT_SET, start, NULL, count, NULL) < 0) ||
                 H5Dread(d->id, type, memory, disk, H5P_DEFAULT, out) < 0;
    if (d->rank > 0 && disk >= 0)
        H5Sclose(disk);
    if (d->rank > 0 && memory >= 0)
        H5Sclose(memory);
    return failed ? unreadable(f, d->path) : LOOM_OK;
}

/* What each value of an enumeration means: 1 and 0 for its members "true" and "false" in whatever order and case, the
 * value itself for others. */
static double meaning(hid_t type, const void *value, double number)
{
    char name[16] = "";
    if (H5Tenum_nameof(type, value, name, sizeof name) < 0)
        return number;
    return strcasecmp(name, "true") == 0 ? 1 : strcasecmp(name, "false") == 0 ? 0 : number;
}

static int read_enums(struct h5_file *f, const struct h5_data *d, hsize_t from, hsize_t n, double *out)
{
    hid_t type = H5Tget_native_type(d->type, H5T_DIR_ASCEND);
    size_t size = type >= 0 ? H5Tget_size(type) : 0, all = (size_t)(n * d->row);
    char *raw = size >= 1 && size <= 8 ? calloc(all + 1, size) : NULL;
    int status = raw != NULL ? read_rows(f, d, from, n, type, raw) : unreadable(f, d->path);
    for (size_t i = 0; i < all && status == LOOM_OK; i++) {
        int64_t x = 0;
        memcpy(&x, raw + i * size, size);
        out[i] = meaning(type, raw + i * size, (double)x);
    }
    free(raw);
    if (type >= 0)
        H5Tclose(type);
    return status;
}

static int check_read(struct h5_file *f, const struct h5_data *d, hsize_t n)
{
    if (d->content != H5_NUMBER && d->content != H5_BOOL)
        return loom_fail(f->e, LOOM_EDATA, f->name, 0, "%s holds no numbers; the file breaks its format", d->path);
    if (d->row != 0 && n > H5_MOST_BYTES / 8 / d->row)
        return loom_fail(f->e, LOOM_EDATA, f->name, 0, "%s claims %llu × %llu values; is the file damaged?", d->path,
                         (unsigned long long)n, (unsigned long long)d->row);
    return LOOM_OK;
}

int h5_read(struct h5_file *f, const struct h5_data *d, hsize_t from, hsize_t n, double *out)
{
    int status = check_read(f, d, n);
    if (status != LOOM_OK)
        return status;
    return d->content == H5_BOOL ? read_enums(f, d, from, n, out) : read_rows(f, d, from, n, H5T_NATIVE_DOUBLE, out);
}

int h5_read_floats(struct h5_file *f, const struct h5_data *d, hsize_t from, hsize_t n, float *out)
{
    int status = check_read(f, d, n);
    return status == LOOM_OK ? read_rows(f, d, from, n, H5T_NATIVE_FLOAT, out) : status;
}

int h5_read_integers(struct h5_file *f, const struct h5_data *d, hsize_t from, hsize_t n, int64_t *out)
{
    int status = check_read(f, d, n);
    return status == LOOM_OK ? read_rows(f, d, from, n, H5T_NATIVE_INT64, out) : status;
}

static int all_of(struct h5_file *f, const char *path, int integers, void **out, hsize_t *n)
{
    struct h5_data d;
    *out = NULL;
    *n = 0;
    int status = h5_data_open(f, path, &d);
    if (status != LOOM_OK)
        return status;
    status = check_read(f, &d, d.rows);
    if (status == LOOM_OK && (*out = malloc((size_t)(d.rows * d.row) * 8 + 8)) == NULL)
        status = h5_starved(f);
    if (status == LOOM_OK)
        status = integers ? h5_read_integers(f, &d, 0, d.rows, *out) : h5_read(f, &d, 0, d.rows, *out);
    *n = d.rows * d.row;
    h5_data_close(&d);
    if (status != LOOM_OK) {
        free(*out);
        *out = NULL;
        *n = 0;
    }
    return status;
}

int h5_all(struct h5_file *f, const char *path, double **out, hsize_t *n)
{
    void *x;
    int status = all_of(f, path, 0, &x, n);
    *out = x;
    return status;
}

int h5_all_integers(struct h5_file *f, const char *path, int64_t **out, hsize_t *n)
{
    void *x;
    int status = all_of(f, path, 1, &x, n);
    *out = x;
    return status;
}

/* ---- texts ---- */

static int read_fixed(struct h5_file *f, const struct h5_data *d, char **text)
{
    size_t size = H5Tget_size(d->type);
    if (size == 0 || size > (size_t)1 << 24 || d->rows > H5_MOST_BYTES / size)
        return unreadable(f, d->path);
    char *raw = calloc((size_t)d->rows + 1, size);
    int status = raw != NULL ? read_rows(f, d, 0, d->rows, d->type, raw) : h5_starved(f);
    int spaces = H5Tget_strpad(d->type) == H5T_STR_SPACEPAD;
    for (size_t i = 0; i < d->rows && status == LOOM_OK; i++) {
        size_t n = strnlen(raw + i * size, size);
        while (spaces && n > 0 && raw[i * size + n - 1] == ' ')
            n--;
        if ((text[i] = strndup(raw + i * size, n)) == NULL)
            status = h5_starved(f);
    }
    free(raw);
    return status;
}

static int read_variable(struct h5_file *f, const struct h5_data *d, char **text)
{
    char **raw = calloc((size_t)d->rows + 1, sizeof *raw);
    hid_t type = H5Tcopy(H5T_C_S1);
    int status =
        raw != NULL && type >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 && H5Tset_cset(type, H5Tget_cset(d->type)) >= 0
            ? read_rows(f, d, 0, d->rows, type, raw)
            : h5_starved(f);
    for (size_t i = 0; i < d->rows && status == LOOM_OK; i++)
        if ((text[i] = strdup(raw[i] != NULL ? raw[i] : "")) == NULL)
            status = h5_starved(f);
    for (size_t i = 0; raw != NULL && i < d->rows; i++)
        if (raw[i] != NULL)
            H5free_memory(raw[i]);
    if (type >= 0)
        H5Tclose(type);
    free(raw);
    return status;
}

int h5_texts(struct h5_file *f, const struct h5_data *d, char ***out)
{
    *out = NULL;
    if (d->content != H5_TEXT || d->row != 1)
        return loom_fail(f->e, LOOM_EDATA, f->name, 0, "%s holds no list of texts; the file breaks its format",
                         d->path);
    if (d->rows > (hsize_t)1 << 27)
        return unreadable(f, d->path);
    char **text = calloc((size_t)d->rows + 1, sizeof *text);
    if (text == NULL)
        return h5_starved(f);
    int status = H5Tis_variable_str(d->type) > 0 ? read_variable(f, d, text) : read_fixed(f, d, text);
    if (status == LOOM_OK)
        *out = text;
    else
        h5_free_names(text);
    return status;
}

int h5_referred(struct h5_file *f, const struct h5_data *d, char ***out)
{
    *out = NULL;
    if (d->content != H5_OBJECT_REF || d->row != 1 || d->rows > (hsize_t)1 << 24)
        return loom_fail(f->e, LOOM_EDATA, f->name, 0, "%s holds no references; the file breaks its format", d->path);
    hobj_ref_t *ref = calloc((size_t)d->rows + 1, sizeof *ref);
    char **text = calloc((size_t)d->rows + 1, sizeof *text);
    int status = ref != NULL && text != NULL ? read_rows(f, d, 0, d->rows, H5T_STD_REF_OBJ, ref) : h5_starved(f);
    for (size_t i = 0; i < d->rows && status == LOOM_OK; i++) {
        char name[H5_PATH] = "";
        H5Rget_name(d->id, H5R_OBJECT, &ref[i], name, sizeof name);
        if ((text[i] = strdup(name)) == NULL)
            status = h5_starved(f);
    }
    free(ref);
    if (status == LOOM_OK)
        *out = text;
    else
        h5_free_names(text);
    return status;
}

int h5_text(struct h5_file *f, const char *path, char *out, size_t size)
{
    struct h5_data d;
    struct loom_error *e = f->e, ignored = {0};
    char **text = NULL;
    int found = 0;
    out[0] = '\0';
    if (h5_kind(f, path) != H5_DATASET)
        return 0;
    f->e = &ignored;
    if (h5_data_open(f, path, &d) == LOOM_OK) {
        if (d.rows == 1 && h5_texts(f, &d, &text) == LOOM_OK) {
            snprintf(out, size, "%s", text[0]);
            found = 1;
        }
        h5_free_names(text);
        h5_data_close(&d);
    }
    f->e = e;
    return found;
}

/* ---- attributes ---- */

static hid_t open_attr(struct h5_file *f, const char *path, const char *attr, hid_t *object)
{
    char called[H5_PATH + 64];
    snprintf(called, sizeof called, "%s@%.60s", path, attr);
    loom_sink_object(f->sink, called);
    *object = open_object(f, path);
    if (*object < 0 || H5Aexists(*object, attr) <= 0)
        return -1;
    return H5Aopen(*object, attr, H5P_DEFAULT);
}

static int attr_is_one(hid_t attr)
{
    hid_t space = attr >= 0 ? H5Aget_space(attr) : -1;
    hssize_t n = space >= 0 ? H5Sget_simple_extent_npoints(space) : 0;
    if (space >= 0)
        H5Sclose(space);
    return n == 1;
}

/* A rate of 0.1 that was stored as float is 0.1 again, and no drift grows from the digits it never had. */
static double widened(double x)
{
    char text[32];
    snprintf(text, sizeof text, "%.7g", x);
    double round_figure = strtod(text, NULL);
    return (float)round_figure == (float)x ? round_figure : x;
}

int h5_attr_number(struct h5_file *f, const char *path, const char *attr, double *out)
{
    hid_t object, id = open_attr(f, path, attr, &object), type = id >= 0 ? H5Aget_type(id) : -1;
    int found =
        attr_is_one(id) && type >= 0 && content_of(type) == H5_NUMBER && H5Aread(id, H5T_NATIVE_DOUBLE, out) >= 0;
    if (found && H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) == 4)
        *out = widened(*out);
    if (type >= 0)
        H5Tclose(type);
    if (id >= 0)
        H5Aclose(id);
    if (object >= 0)
        H5Oclose(object);
    return found;
}

int h5_attr_text(struct h5_file *f, const char *path, const char *attr, char *out, size_t size)
{
    hid_t object, id = open_attr(f, path, attr, &object), type = id >= 0 ? H5Aget_type(id) : -1;
    int found = 0;
    out[0] = '\0';
    if (attr_is_one(id) && type >= 0 && H5Tget_class(type) == H5T_STRING) {
        size_t n = H5Tget_size(type);
        if (H5Tis_variable_str(type) > 0) {
            char *text = NULL;
            found = H5Aread(id, type, &text) >= 0 && text != NULL;
            if (found)
                snprintf(out, size, "%s", text);
            H5free_memory(text);
        } else if (n > 0 && n < (size_t)1 << 16) {
            char *text = calloc(n + 1, 1);
            found = text != NULL && H5Aread(id, type, text) >= 0;
            if (found)
                snprintf(out, size, "%s", text);
            free(text);
        }
    }
    if (type >= 0)
        H5Tclose(type);
    if (id >= 0)
        H5Aclose(id);
    if (object >= 0)
        H5Oclose(object);
    return found;
}
