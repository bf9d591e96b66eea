/* SPDX-License-Identifier: Apache-2.0 */
#include "brainset_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH = 1024 };

static void note(struct out *o, int ok)
{
    if (!ok)
        o->failed = 1;
}

int out_exists(struct out *o, const char *path)
{
    char part[PATH];
    size_t n = strlen(path);
    if (n >= sizeof part)
        return 0;
    for (size_t i = 1; i <= n; i++)
        if (path[i] == '/' || path[i] == '\0') {
            snprintf(part, sizeof part, "%.*s", (int)i, path);
            if (H5Lexists(o->file, part, H5P_DEFAULT) <= 0)
                return 0;
        }
    return 1;
}

static void make_group(struct out *o, const char *path, const char *object)
{
    hid_t g = o->failed ? -1 : H5Gcreate2(o->file, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    note(o, g >= 0);
    if (g >= 0)
        H5Gclose(g);
    out_attr_text(o, path, "object", object);
    if (strcmp(object, "Data") == 0)
        out_attr_real(o, path, "absolute_start", 0);
}

void out_group(struct out *o, const char *path, const char *object)
{
    char part[PATH];
    size_t n = strlen(path);
    note(o, n < sizeof part);
    for (size_t i = 1; i < n && !o->failed; i++)
        if (path[i] == '/') {
            snprintf(part, sizeof part, "%.*s", (int)i, path);
            if (out_exists(o, part))
                continue;
            make_group(o, part, "Data");
            snprintf(part, sizeof part, "%.*s/domain", (int)(i < PATH - 8 ? i : PATH - 8), path);
            out_interval(o, part, o->observed, o->observed_s);
        }
    make_group(o, path, object);
}

static void put_attr(struct out *o, const char *path, const char *key, hid_t type, hid_t space, const void *value)
{
    hid_t object = o->failed ? -1 : H5Oopen(o->file, path, H5P_DEFAULT);
    hid_t attr = object >= 0 ? H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT) : -1;
    note(o, attr >= 0 && (value == NULL || H5Awrite(attr, type, value) >= 0));
    if (attr >= 0)
        H5Aclose(attr);
    if (object >= 0)
        H5Oclose(object);
}

static hid_t text_type(size_t size, H5T_cset_t set)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size);
    H5Tset_cset(type, set);
    H5Tset_strpad(type, size == H5T_VARIABLE ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
    return type;
}

void out_attr_text(struct out *o, const char *path, const char *key, const char *text)
{
    hid_t type = text_type(H5T_VARIABLE, H5T_CSET_UTF8), space = H5Screate(H5S_SCALAR);
    put_attr(o, path, key, type, space, (const void *)&text);
    H5Sclose(space);
    H5Tclose(type);
}

void out_attr_real(struct out *o, const char *path, const char *key, double x)
{
    hid_t space = H5Screate(H5S_SCALAR);
    put_attr(o, path, key, H5T_IEEE_F64LE, space, &x);
    H5Sclose(space);
}

static char *packed(size_t n, const char *const *words, size_t *size)
{
    *size = 1;
    for (size_t i = 0; i < n; i++)
        *size = strlen(words[i]) > *size ? strlen(words[i]) : *size;
    char *at = calloc(n + 1, *size);
    for (size_t i = 0; at != NULL && i < n; i++)
        memcpy(at + i * *size, words[i], strlen(words[i]));
    return at;
}

void out_attr_keys(struct out *o, const char *path, const char *key, size_t n, const char *const *words)
{
    size_t size;
    hsize_t many = n;
    char *at = packed(n, words, &size);
    hid_t type = text_type(size, H5T_CSET_ASCII), space = H5Screate_simple(1, &many, NULL);
    note(o, at != NULL);
    put_attr(o, path, key, type, space, n > 0 ? at : NULL);
    H5Sclose(space);
    H5Tclose(type);
    free(at);
}

hid_t out_begin(struct out *o, const char *path, hid_t disk, hsize_t rows, hsize_t row)
{
    const hsize_t dims[2] = {rows, row};
    hid_t space = H5Screate_simple(row > 0 ? 2 : 1, dims, NULL);
    hid_t how = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_obj_track_times(how, 0); /* the same recording is the same bytes whenever it is written */
    hid_t set = o->failed ? -1 : H5Dcreate2(o->file, path, disk, space, H5P_DEFAULT, how, H5P_DEFAULT);
    note(o, set >= 0);
    H5Pclose(how);
    H5Sclose(space);
    return set;
}

void out_rows(struct out *o, hid_t set, hid_t memory, hsize_t from, hsize_t n, hsize_t row, const void *x)
{
    const hsize_t start[2] = {from, 0}, count[2] = {n, row};
    if (o->failed || n == 0)
        return;
    hid_t disk = H5Dget_space(set), here = H5Screate_simple(row > 0 ? 2 : 1, count, NULL);
    note(o, H5Sselect_hyperslab(disk, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Dwrite(set, memory, here, disk, H5P_DEFAULT, x) >= 0);
    H5Sclose(here);
    H5Sclose(disk);
}

void out_end(struct out *o, hid_t set)
{
    if (set >= 0)
        note(o, H5Dclose(set) >= 0);
}

void out_reals(struct out *o, const char *path, hsize_t n, const double *x)
{
    hid_t set = out_begin(o, path, H5T_IEEE_F64LE, n, 0);
    out_rows(o, set, H5T_NATIVE_DOUBLE, 0, n, 0, x);
    out_end(o, set);
}

void out_integers(struct out *o, const char *path, hsize_t n, const int64_t *x)
{
    hid_t set = out_begin(o, path, H5T_STD_I64LE, n, 0);
    out_rows(o, set, H5T_NATIVE_INT64, 0, n, 0, x);
    out_end(o, set);
}

int out_texts(struct out *o, const char *path, hsize_t n, const char *const *text)
{
    int ascii = 1;
    size_t size = H5T_VARIABLE;
    for (hsize_t i = 0; i < n; i++)
        for (const char *c = text[i]; *c != '\0'; c++)
            ascii &= (unsigned char)*c < 128;
    char *at = ascii ? packed((size_t)n, text, &size) : NULL;
    note(o, !ascii || at != NULL);
    hid_t type = text_type(size, ascii ? H5T_CSET_ASCII : H5T_CSET_UTF8), set = out_begin(o, path, type, n, 0);
    out_rows(o, set, type, 0, n, 0, ascii ? (const void *)at : (const void *)text);
    out_end(o, set);
    H5Tclose(type);
    free(at);
    return ascii;
}

void out_interval(struct out *o, const char *path, hsize_t n, const double *pairs)
{
    static const char *const keys[] = {"start", "end"};
    char at[PATH];
    double *x = malloc((size_t)(2 * n + 1) * sizeof *x);
    out_group(o, path, "Interval");
    out_attr_keys(o, path, "timekeys", 2, keys);
    out_attr_keys(o, path, "_unicode_keys", 0, NULL);
    note(o, x != NULL);
    for (hsize_t i = 0; x != NULL && i < n; i++) {
        x[i] = pairs[2 * i];
        x[n + i] = pairs[2 * i + 1];
    }
    for (int k = 0; k < 2 && x != NULL; k++) {
        snprintf(at, sizeof at, "%.900s/%s", path, keys[k]);
        out_reals(o, at, n, x + (hsize_t)k * n);
    }
    free(x);
}
