/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/arrays.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"

#ifdef HAVE_HDF5

#include "eval/h5.h"

#include <stdio.h>
#include <unistd.h>

/* ---- writing ---- */

int loom_h5_write_text(hid_t at, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    hid_t attribute = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    int ok = attribute >= 0 && H5Awrite(attribute, type, text) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return ok;
}

/* As h5py writes them: FALSE and TRUE over int8. */
static hid_t bool_type(void)
{
    static const int8_t value[] = {0, 1};
    hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
    H5Tenum_insert(type, "FALSE", &value[0]);
    H5Tenum_insert(type, "TRUE", &value[1]);
    return type;
}

static hid_t native_type(int type)
{
    switch (type) {
    case LOOM_ARRAY_F32:
        return H5T_NATIVE_FLOAT;
    case LOOM_ARRAY_F64:
        return H5T_NATIVE_DOUBLE;
    case LOOM_ARRAY_I32:
        return H5T_NATIVE_INT32;
    case LOOM_ARRAY_I64:
        return H5T_NATIVE_INT64;
    default:
        return H5T_NATIVE_UINT8;
    }
}

/* Chunks of whole rows, about a megabyte, compressed where the library can: rates have no fine structure that a larger
 * chunk would catch. */
static hid_t layout_of(const struct loom_array *a)
{
    hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[LOOM_ARRAY_RANK], row = loom_array_width(a->type);
    if (a->rank == 0 || loom_array_count(a) < 1024 || H5Zfilter_avail(H5Z_FILTER_DEFLATE) <= 0)
        return how;
    for (int i = 1; i < a->rank; i++)
        row *= chunk[i] = (hsize_t)a->dim[i];
    chunk[0] = ((hsize_t)1 << 20) / row + 1;
    if (chunk[0] > (hsize_t)a->dim[0])
        chunk[0] = (hsize_t)a->dim[0];
    H5Pset_chunk(how, a->rank, chunk);
    H5Pset_shuffle(how);
    H5Pset_deflate(how, 4);
    return how;
}

static int write_ragged(hid_t file, const struct loom_array *a, hid_t links)
{
    const hsize_t rows = (hsize_t)a->rows;
    hvl_t *row = calloc((size_t)a->rows + 1, sizeof *row);
    for (int64_t i = 0; row != NULL && i < a->rows; i++)
        row[i] = (hvl_t){(size_t)(a->first[i + 1] - a->first[i]),
                         (char *)a->data + (size_t)a->first[i] * loom_array_width(a->type)};
    hid_t type = H5Tvlen_create(native_type(a->type)), space = H5Screate_simple(1, &rows, NULL);
    hid_t set = row != NULL ? H5Dcreate2(file, a->name, type, space, links, H5P_DEFAULT, H5P_DEFAULT) : -1;
    int ok = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, row) >= 0;
    if (set >= 0)
        H5Dclose(set);
    H5Sclose(space);
    H5Tclose(type);
    free(row);
    return ok;
}

static int write_array(hid_t file, const struct loom_array *a, hid_t links)
{
    hsize_t dim[LOOM_ARRAY_RANK];
    if (a->first != NULL)
        return write_ragged(file, a, links);
    for (int i = 0; i < a->rank; i++)
        dim[i] = (hsize_t)a->dim[i];
    hid_t space = a->rank > 0 ? H5Screate_simple(a->rank, dim, NULL) : H5Screate(H5S_SCALAR), how = layout_of(a);
    hid_t type = a->type == LOOM_ARRAY_BOOL ? bool_type() : H5Tcopy(native_type(a->type));
    hid_t set = H5Dcreate2(file, a->name, type, space, links, how, H5P_DEFAULT);
    int ok = set >= 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, a->data) >= 0;
    if (ok && a->axes[0] != '\0')
        ok = loom_h5_write_text(set, "axes", a->axes);
    if (ok && a->unit[0] != '\0')
        ok = loom_h5_write_text(set, "unit", a->unit);
    if (set >= 0)
        H5Dclose(set);
    H5Tclose(type);
    H5Pclose(how);
    H5Sclose(space);
    return ok;
}

/* Attributes hold 64 KiB at most: longer metadata are a dataset of bytes. */
static int write_metadata(hid_t file, const char *text)
{
    const size_t n = strlen(text);
    if (n < 60000)
        return loom_h5_write_text(file, "metadata", text);
    const struct loom_array about = {
        .name = "metadata", .type = LOOM_ARRAY_U8, .rank = 1, .dim = {(int64_t)n}, .data = (void *)(uintptr_t)text};
    return write_array(file, &about, H5P_DEFAULT);
}

int loom_arrays_write_h5(const struct loom_arrays *a, const char *path, struct loom_error *e)
{
    char temp[4096];
    if ((size_t)snprintf(temp, sizeof temp, "%s.part", path) >= sizeof temp)
        return loom_fail(e, LOOM_EIO, path, 0, "the path is too long: shorten it");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t file = H5Fcreate(temp, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), links = H5Pcreate(H5P_LINK_CREATE);
    int ok = file >= 0;
    H5Pset_create_intermediate_group(links, 1);
    for (int i = 0; i < a->n && ok; i++)
        ok = write_array(file, &a->at[i], links);
    if (ok && a->metadata != NULL)
        ok = write_metadata(file, a->metadata);
    H5Pclose(links);
    if (file >= 0)
        ok = H5Fclose(file) >= 0 && ok;
    ok = ok && rename(temp, path) == 0;
    if (ok)
        return LOOM_OK;
    unlink(temp);
    return loom_fail(e, LOOM_EIO, path, 0, "cannot be written: see that the folder is there and has room");
}

/* ---- reading ---- */

enum { MOST_DEPTH = 4, MOST_LINKS = 10000 };

struct reading {
    struct loom_arrays *into;
    struct loom_error *e;
    int depth, links, code;
    char path[128];
};

/* No data from other files, and no lists but of whole numbers. */
static int is_own(hid_t set)
{
    hid_t how = H5Dget_create_plist(set);
    int own = how >= 0 && H5Pget_external_count(how) == 0 && H5Pget_layout(how) != H5D_VIRTUAL;
    if (how >= 0)
        H5Pclose(how);
    return own;
}

static int broken(struct reading *r)
{
    return r->code = loom_fail(r->e, LOOM_EDATA, NULL, 0, "%s cannot be read: write the file anew", r->path);
}

/* Lists as one array with their beginnings. */
static void read_ragged(struct reading *r, hid_t set, int64_t rows)
{
    hid_t type = H5Tvlen_create(H5T_NATIVE_INT64), space = H5Dget_space(set);
    hvl_t *row = calloc((size_t)rows + 1, sizeof *row);
    int64_t *first = calloc((size_t)rows + 1, sizeof *first), total = 0;
    struct loom_array *a = NULL;
    if (row == NULL || first == NULL)
        r->code = loom_fail(r->e, LOOM_ENOMEM, NULL, 0, "no memory for %s: free some", r->path);
    else if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, row) < 0)
        broken(r);
    for (int64_t i = 0; r->code == LOOM_OK && i < rows; i++)
        first[i + 1] = total += (int64_t)row[i].len;
    if (r->code == LOOM_OK) {
        a = loom_arrays_add(r->into, r->path, LOOM_ARRAY_I64, 1, &total, NULL, r->e);
        r->code = a != NULL ? LOOM_OK : LOOM_ENOMEM;
    }
    for (int64_t i = 0; a != NULL && i < rows; i++)
        if (row[i].len > 0)
            memcpy((int64_t *)a->data + first[i], row[i].p, row[i].len * sizeof(int64_t));
    if (row != NULL)
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, row);
    if (a != NULL) {
        a->rows = rows;
        a->first = first;
        first = NULL;
    }
    free(first);
    free(row);
    H5Sclose(space);
    H5Tclose(type);
}

static void read_numbers(struct reading *r, hid_t set, int real, int rank, const hsize_t *dim)
{
    int64_t d[LOOM_ARRAY_RANK];
    for (int i = 0; i < rank; i++)
        d[i] = (int64_t)dim[i];
    struct loom_array *a =
        loom_arrays_add(r->into, r->path, real ? LOOM_ARRAY_F64 : LOOM_ARRAY_I64, rank, d, NULL, r->e);
    if (a == NULL)
        r->code = LOOM_ENOMEM;
    else if (H5Dread(set, real ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, a->data) < 0)
        broken(r);
}

/* h5py writes bool as an enumeration over int8, which is read as it is. */
static void read_bools(struct reading *r, hid_t set, hid_t type, int rank, const hsize_t *dim)
{
    int64_t d[LOOM_ARRAY_RANK];
    for (int i = 0; i < rank; i++)
        d[i] = (int64_t)dim[i];
    if (H5Tget_size(type) != 1)
        return;
    struct loom_array *a = loom_arrays_add(r->into, r->path, LOOM_ARRAY_BOOL, rank, d, NULL, r->e);
    if (a == NULL)
        r->code = LOOM_ENOMEM;
    else if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, a->data) < 0)
        broken(r);
}

static void read_set(struct reading *r, hid_t set)
{
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    hsize_t dim[H5S_MAX_RANK] = {0};
    int rank = H5Sget_simple_extent_ndims(space);
    H5T_class_t class = H5Tget_class(type);
    if (rank < 0 || rank > LOOM_ARRAY_RANK || !is_own(set))
        goto out;
    H5Sget_simple_extent_dims(space, dim, NULL);
    if (class == H5T_FLOAT || class == H5T_INTEGER) {
        read_numbers(r, set, class == H5T_FLOAT, rank, dim);
    } else if (class == H5T_ENUM) {
        read_bools(r, set, type, rank, dim);
    } else if (class == H5T_VLEN && rank == 1 && dim[0] < (1u << 24)) {
        hid_t of = H5Tget_super(type);
        if (H5Tget_class(of) == H5T_INTEGER)
            read_ragged(r, set, (int64_t)dim[0]);
        H5Tclose(of);
    }
out:
    H5Sclose(space);
    H5Tclose(type);
}

static herr_t visit(hid_t at, const char *name, const H5L_info_t *info, void *data)
{
    struct reading *r = data;
    const size_t kept = strlen(r->path);
    if (info->type != H5L_TYPE_HARD || ++r->links > MOST_LINKS || kept + strlen(name) + 2 > sizeof r->path)
        return 0;
    snprintf(r->path + kept, sizeof r->path - kept, "%s%s", kept > 0 ? "/" : "", name);
    hid_t object = H5Oopen(at, name, H5P_DEFAULT);
    H5I_type_t kind = object >= 0 ? H5Iget_type(object) : H5I_BADID;
    if (kind == H5I_DATASET) {
        read_set(r, object);
    } else if (kind == H5I_GROUP && r->depth < MOST_DEPTH) {
        r->depth++;
        H5Literate(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, r);
        r->depth--;
    }
    if (object >= 0)
        H5Oclose(object);
    if (r->code == LOOM_OK)
        r->path[kept] = '\0';
    return r->code != LOOM_OK;
}

int loom_arrays_read_h5(struct loom_arrays *a, const char *path, struct loom_error *e)
{
    struct reading r = {.into = a, .e = e};
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (access(path, R_OK) != 0)
        return loom_fail(e, LOOM_EIO, path, 0, "there is no such file, or it may not be read");
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        return loom_fail(e, LOOM_EDATA, path, 0, "is no HDF5 file: write it anew");
    H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, &r);
    H5Fclose(file);
    if (r.code != LOOM_OK && e != NULL)
        snprintf(e->file, sizeof e->file, "%s", path);
    return r.code;
}

#else

static int missing(const char *path, struct loom_error *e)
{
    return loom_fail(e, LOOM_ECONFIG, path, 0,
                     "this build cannot write or read HDF5: install libhdf5-dev and configure again");
}

int loom_arrays_write_h5(const struct loom_arrays *a, const char *path, struct loom_error *e)
{
    (void)a;
    return missing(path, e);
}

int loom_arrays_read_h5(struct loom_arrays *a, const char *path, struct loom_error *e)
{
    (void)a;
    return missing(path, e);
}

#endif
