/* SPDX-License-Identifier: Apache-2.0 */
#include "mat_file.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int starved(const struct mat_file *m, struct loom_error *e)
{
    return loom_fail(e, LOOM_ENOMEM, m->file, 0, "out of memory; raise the limit on memory");
}

static void silent(int level, char *message)
{
    (void)level;
    (void)message;
}

int mat_open(struct mat_file *m, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    memset(m, 0, sizeof *m);
    m->file = file;
    m->sink = sink;
    Mat_LogInitFunc("loom", silent);
    loom_sink_object(sink, "directory of variables");
    m->mat = Mat_Open(file, MAT_ACC_RDONLY);
    if (m->mat != NULL)
        m->name = Mat_GetDir(m->mat, &m->names);
    if (m->mat == NULL || m->name == NULL || m->names == 0)
        return loom_fail(e, LOOM_EDATA, file, 0,
                         "is no MATLAB file that can be read (v4, v5, v6, v7, v7.3), or it is empty; save it anew, or "
                         "name another source");
    m->root = calloc(m->names, sizeof *m->root);
    return m->root != NULL ? LOOM_OK : starved(m, e);
}

void mat_close(struct mat_file *m)
{
    for (size_t i = 0; m->root != NULL && i < m->names; i++)
        Mat_VarFree(m->root[i]);
    free(m->root);
    if (m->mat != NULL)
        Mat_Close(m->mat);
    memset(m, 0, sizeof *m);
}

static size_t word_length(const char *path)
{
    return strcspn(path, ".({");
}

static size_t root_of(const struct mat_file *m, const char *path)
{
    size_t n = word_length(path), i = 0;
    while (i < m->names && (strncmp(m->name[i], path, n) != 0 || m->name[i][n] != '\0'))
        i++;
    return i;
}

int mat_has(const struct mat_file *m, const char *path)
{
    return root_of(m, path) < m->names;
}

static void list_up(char *out, size_t size, char *const *names, size_t n)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n && used + 1 < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "", names[i]);
}

/* "no variable "spkies" (nearest: "spikes"); there are: …" */
static int nowhere(const struct mat_file *m, const char *path, const char *word, char *const *names, size_t n,
                   struct loom_error *e)
{
    char there[512];
    const char **ended = calloc(n + 1, sizeof *ended);
    const char *nearest = NULL;
    if (ended != NULL) {
        memcpy(ended, names, n * sizeof *ended);
        nearest = loom_nearest(word, ended);
    }
    list_up(there, sizeof there, names, n);
    free(ended);
    return loom_fail(e, LOOM_EDATA, m->file, 0, "has no \"%s\"%s%.64s%s (path \"%.128s\"); there are: %s", word,
                     nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "\"?" : "", path, there);
}

static int add(struct mat_list *l, matvar_t *v)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 16;
        matvar_t **moved = realloc(l->v, room * sizeof *moved);
        if (moved == NULL)
            return -1;
        l->v = moved;
        l->room = room;
    }
    l->v[l->n++] = v;
    return 0;
}

void mat_list_release(struct mat_list *l)
{
    free(l->v);
    memset(l, 0, sizeof *l);
}

/* One step of the walk: what stands now, and, for a struct array that was indexed, the element. */
struct walk {
    struct mat_list at;
    size_t element; /* of at.v[0]; SIZE_MAX = all */
};

static int step_field(struct mat_file *m, struct walk *w, const char *path, const char *field, struct loom_error *e)
{
    struct mat_list next = {0};
    int status = LOOM_OK;
    for (size_t i = 0; i < w->at.n && status == LOOM_OK; i++) {
        matvar_t *v = w->at.v[i];
        if (v == NULL || v->class_type != MAT_C_STRUCT) {
            status = loom_fail(e, LOOM_EDATA, m->file, 0,
                               "\"%s\": what stands before \".%s\" is no struct; end the path there", path, field);
            break;
        }
        size_t n = mat_count(v), from = w->element == SIZE_MAX ? 0 : w->element;
        size_t to = w->element == SIZE_MAX ? n : w->element + 1;
        char *const *fields = Mat_VarGetStructFieldnames(v);
        size_t known = Mat_VarGetNumberOfFields(v), f = 0;
        while (f < known && strcmp(fields[f], field) != 0)
            f++;
        if (f == known)
            status = nowhere(m, path, field, fields, known, e);
        for (size_t k = from; k < to && k < n && status == LOOM_OK; k++)
            if (add(&next, Mat_VarGetStructFieldByIndex(v, f, k)) != 0)
                status = starved(m, e);
    }
    mat_list_release(&w->at);
    w->at = next;
    w->element = SIZE_MAX;
    return status;
}

static int step_index(struct mat_file *m, struct walk *w, const char *path, size_t k, struct loom_error *e)
{
    if (w->at.n != 1 || w->element != SIZE_MAX) {
        if (k < 1 || k > w->at.n)
            return loom_fail(e, LOOM_EDATA, m->file, 0, "\"%s\": index %zu is beyond the %zu elements there", path, k,
                             w->at.n);
        w->at.v[0] = w->at.v[k - 1];
        w->at.n = 1;
        return LOOM_OK;
    }
    matvar_t *v = w->at.v[0];
    if (k < 1 || k > mat_count(v))
        return loom_fail(e, LOOM_EDATA, m->file, 0, "\"%s\": index %zu is beyond the %zu elements there", path, k,
                         mat_count(v));
    if (v->class_type == MAT_C_STRUCT)
        w->element = k - 1;
    else if (v->class_type == MAT_C_CELL)
        w->at.v[0] = Mat_VarGetCell(v, (int)(k - 1));
    else
        return loom_fail(e, LOOM_EDATA, m->file, 0, "\"%s\": only struct and cell arrays take an index; drop it", path);
    return LOOM_OK;
}

/* A cell at the end of the path stands for its elements. */
static int open_cells(struct mat_file *m, struct mat_list *l, struct loom_error *e)
{
    struct mat_list flat = {0};
    for (size_t i = 0; i < l->n; i++) {
        matvar_t *v = l->v[i];
        size_t n = v != NULL && v->class_type == MAT_C_CELL ? mat_count(v) : 0;
        int failed = v != NULL && v->class_type == MAT_C_CELL ? 0 : add(&flat, v);
        for (size_t k = 0; k < n && !failed; k++)
            failed = add(&flat, Mat_VarGetCell(v, (int)k));
        if (failed) {
            mat_list_release(&flat);
            return starved(m, e);
        }
    }
    mat_list_release(l);
    *l = flat;
    return LOOM_OK;
}

static matvar_t *read_root(struct mat_file *m, size_t i, struct loom_error *e)
{
    if (m->root[i] == NULL) {
        loom_sink_object(m->sink, m->name[i]);
        m->root[i] = Mat_VarRead(m->mat, m->name[i]);
        if (m->root[i] == NULL)
            loom_fail(e, LOOM_EDATA, m->file, 0, "variable \"%s\" cannot be read; the file is damaged: fetch it again",
                      m->name[i]);
    }
    return m->root[i];
}

int mat_find(struct mat_file *m, const char *path, struct mat_list *out, struct loom_error *e)
{
    struct walk w = {.element = SIZE_MAX};
    char word[128];
    size_t root = root_of(m, path);
    memset(out, 0, sizeof *out);
    snprintf(word, sizeof word, "%.*s", (int)word_length(path), path);
    if (root == m->names)
        return nowhere(m, path, word, m->name, m->names, e);
    matvar_t *v = read_root(m, root, e);
    if (v == NULL)
        return LOOM_EDATA;
    int status = add(&w.at, v) == 0 ? LOOM_OK : starved(m, e);
    for (const char *at = path + word_length(path); *at != '\0' && status == LOOM_OK;) {
        if (*at == '.') {
            size_t n = word_length(at + 1);
            snprintf(word, sizeof word, "%.*s", (int)n, at + 1);
            status = step_field(m, &w, path, word, e);
            at += 1 + n;
        } else {
            char *end;
            unsigned long k = strtoul(at + 1, &end, 10);
            if (end == at + 1 || *end != (*at == '(' ? ')' : '}'))
                status = loom_fail(e, LOOM_ECONFIG, NULL, 0, "\"%s\": an index is a number in (…) or {…}", path);
            else
                status = step_index(m, &w, path, k, e);
            at = end + 1;
        }
    }
    if (status == LOOM_OK && w.element == SIZE_MAX)
        status = open_cells(m, &w.at, e);
    if (status == LOOM_OK)
        *out = w.at;
    else
        mat_list_release(&w.at);
    return status;
}

static char **copy_names(char *const *names, size_t n)
{
    char **copy = calloc(n + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < n; i++)
        if ((copy[i] = strdup(names[i])) == NULL) {
            mat_names_free(copy);
            return NULL;
        }
    return copy;
}

void mat_names_free(char **names)
{
    for (char **n = names; n != NULL && *n != NULL; n++)
        free(*n);
    free(names);
}

char **mat_beside(struct mat_file *m, const char *path, char *prefix, size_t size)
{
    const char *dot = strrchr(path, '.');
    struct loom_error ignored = {0};
    prefix[0] = '\0';
    if (dot == NULL)
        return copy_names(m->name, m->names);
    /* The father's own elements are struct arrays, which mat_find leaves whole. */
    char father[256];
    snprintf(father, sizeof father, "%.*s", (int)(dot - path), path);
    snprintf(prefix, size, "%s.", father);
    struct mat_list l;
    if (mat_find(m, father, &l, &ignored) != LOOM_OK)
        return copy_names(NULL, 0);
    matvar_t *v = l.n > 0 ? l.v[0] : NULL;
    char **names = v != NULL && v->class_type == MAT_C_STRUCT
                       ? copy_names(Mat_VarGetStructFieldnames(v), Mat_VarGetNumberOfFields(v))
                       : copy_names(NULL, 0);
    mat_list_release(&l);
    return names;
}

int mat_shape(struct mat_file *m, const char *name, size_t *rows, size_t *columns)
{
    matvar_t *v = Mat_VarReadInfo(m->mat, name);
    int ok =
        v != NULL && v->rank == 2 && v->class_type >= MAT_C_DOUBLE && v->class_type <= MAT_C_UINT64 && !v->isComplex;
    if (ok) {
        *rows = v->dims[0];
        *columns = v->dims[1];
    }
    Mat_VarFree(v);
    return ok;
}

size_t mat_count(const matvar_t *v)
{
    size_t n = 1;
    if (v == NULL || v->dims == NULL)
        return 0;
    for (int d = 0; d < v->rank; d++)
        if (__builtin_mul_overflow(n, v->dims[d], &n))
            return 0;
    return n;
}

int mat_is_numeric(const matvar_t *v)
{
    return v != NULL && !v->isComplex && v->data != NULL &&
           ((v->class_type >= MAT_C_DOUBLE && v->class_type <= MAT_C_UINT64) || v->class_type == MAT_C_SPARSE);
}

int mat_is_text(const matvar_t *v)
{
    return v != NULL && v->class_type == MAT_C_CHAR;
}

static double element(const void *data, enum matio_types type, size_t i)
{
    switch (type) {
    case MAT_T_DOUBLE:
        return ((const double *)data)[i];
    case MAT_T_SINGLE:
        return ((const float *)data)[i];
    case MAT_T_INT8:
        return ((const int8_t *)data)[i];
    case MAT_T_UINT8:
        return ((const uint8_t *)data)[i];
    case MAT_T_INT16:
        return ((const int16_t *)data)[i];
    case MAT_T_UINT16:
        return ((const uint16_t *)data)[i];
    case MAT_T_INT32:
        return ((const int32_t *)data)[i];
    case MAT_T_UINT32:
        return ((const uint32_t *)data)[i];
    case MAT_T_INT64:
        return (double)((const int64_t *)data)[i];
    case MAT_T_UINT64:
        return (double)((const uint64_t *)data)[i];
    default:
        return NAN;
    }
}

double mat_number(const matvar_t *v, size_t i)
{
    return element(v->data, v->data_type, i);
}

static void fill_sparse(const matvar_t *v, double *out)
{
    const mat_sparse_t *s = v->data;
    size_t rows = v->dims[0], columns = v->dims[1];
    for (size_t c = 0; c < columns && c + 1 < s->njc; c++)
        for (size_t k = s->jc[c]; k < s->jc[c + 1] && k < s->nir && k < s->ndata; k++)
            if (s->ir[k] < rows)
                out[c * rows + s->ir[k]] = element(s->data, v->data_type, k);
}

double *mat_numbers(const matvar_t *v)
{
    size_t n = mat_count(v);
    double *out = calloc(n + 1, sizeof *out);
    if (out == NULL)
        return NULL;
    if (v->class_type == MAT_C_SPARSE && v->rank == 2)
        fill_sparse(v, out);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = mat_number(v, i);
    return out;
}

/* matio gives characters as UTF-8 bytes or as 16-bit units, whatever the file held. */
void mat_text(const matvar_t *v, char *out, size_t size)
{
    size_t n = v != NULL && v->rank == 2 && v->data != NULL ? v->dims[1] : 0, used = 0;
    size_t rows = n > 0 ? v->dims[0] : 0;
    for (size_t i = 0; i < n && rows > 0 && used + 4 < size; i++) {
        unsigned c = v->data_size == 2 ? ((const uint16_t *)v->data)[i * rows] : ((const uint8_t *)v->data)[i * rows];
        if (c < 0x80 || v->data_size != 2) {
            out[used++] = (char)c;
        } else if (c < 0x800) {
            out[used++] = (char)(0xc0 | c >> 6);
            out[used++] = (char)(0x80 | (c & 0x3f));
        } else {
            out[used++] = (char)(0xe0 | c >> 12);
            out[used++] = (char)(0x80 | (c >> 6 & 0x3f));
            out[used++] = (char)(0x80 | (c & 0x3f));
        }
    }
    out[used] = '\0';
}
