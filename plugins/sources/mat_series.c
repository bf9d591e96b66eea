/* SPDX-License-Identifier: Apache-2.0 */
/* Behaviour and trial columns of the source `mat`: what stands beside the counts and has their length. */
#include "mat_job.h"

#include "names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIMS = 16, MOST_VECTOR = 4, NAME = 128 };

/* One signal, one list element a piece (or slabs of a cube). */
struct signal {
    char name[NAME];
    struct mat_list l;
    size_t dims;
    int samples_are_rows;
    int longer; /* some piece has a sample more than there are bins */
};

static const matvar_t *of_piece(const struct mat_job *j, const struct mat_list *l, const struct mat_piece *p)
{
    return l->n == 1 && j->values != 1 ? l->v[0] : l->v[p->value];
}

/* Whether axis `d` of each piece is the bins; *dims receives the other. */
static int axis_fits(const struct mat_job *j, const struct mat_list *l, int d, size_t *dims, int *longer)
{
    size_t found = 0;
    *longer = 0;
    for (size_t i = 0; i < j->pieces; i++) {
        const struct mat_piece *p = &j->piece[i];
        const matvar_t *v = of_piece(j, l, p);
        if (mat_count(v) == 0)
            continue;
        if (!mat_is_numeric(v) || v->class_type == MAT_C_SPARSE || (v->rank != 2 && v->rank != 3))
            return 0;
        if (v->rank == 3 && (l->n != 1 || v->dims[2] != j->values))
            return 0;
        size_t samples = v->dims[d], other = v->dims[1 - d];
        if (samples != p->bins && samples != p->bins + 1)
            return 0;
        *longer |= samples == p->bins + 1;
        if (found != 0 && other != found)
            return 0;
        found = other;
    }
    *dims = found;
    return found > 0;
}

static int fits(const struct mat_job *j, struct signal *s)
{
    size_t dims[2];
    int longer[2], ok[2];
    if (s->l.n != j->values && s->l.n != 1)
        return 0;
    if (s->l.n == 1 && j->values != 1 && (s->l.v[0] == NULL || s->l.v[0]->rank != 3))
        return 0;
    for (int d = 0; d < 2; d++)
        ok[d] = axis_fits(j, &s->l, d, &dims[d], &longer[d]);
    if (!ok[0] && !ok[1])
        return 0;
    int d = ok[0] && ok[1] ? longer[0] != longer[1] ? longer[0] : (int)j->unit_stride_rows : !ok[0];
    s->samples_are_rows = d == 0;
    s->dims = dims[d];
    s->longer = longer[d];
    return 1;
}

/* [bins, dims], NaN where a piece has none. */
static float *gather(struct mat_job *j, const struct signal *s)
{
    float *out = calloc(j->b.bins * s->dims + 1, sizeof *out);
    for (size_t i = 0; out != NULL && i < j->pieces; i++) {
        const struct mat_piece *p = &j->piece[i];
        const matvar_t *v = of_piece(j, &s->l, p);
        size_t rows = mat_count(v) > 0 ? v->dims[0] : 0, columns = rows > 0 ? v->dims[1] : 0;
        size_t slab = rows > 0 && v->rank == 3 ? p->value * rows * columns : 0;
        for (size_t b = 0; b < p->bins; b++)
            for (size_t d = 0; d < s->dims; d++) {
                size_t at = slab + (s->samples_are_rows ? d * rows + b : b * rows + d);
                out[(p->first_bin + b) * s->dims + d] = rows > 0 ? (float)mat_number(v, at) : NAN;
            }
    }
    return out;
}

/* Squeezes out dimensions whose finite values are all the same; names of those that stay in `name`. */
static size_t drop_constant(struct mat_job *j, const char *series, float *value, size_t n, size_t dims,
                            char name[][DIM_NAME])
{
    char dropped[128] = "";
    size_t kept = 0, *keep = calloc(dims, sizeof *keep);
    if (keep == NULL)
        return 0;
    for (size_t d = 0; d < dims; d++) {
        float least = INFINITY, most = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            least = fminf(least, value[i * dims + d]);
            most = fmaxf(most, value[i * dims + d]);
        }
        char called[DIM_NAME];
        dim_name_of(called, d, dims);
        if (!loom_opt_bool(j->o, "drop_constant") || least < most) {
            memcpy(name[kept], called, sizeof called);
            keep[kept++] = d;
        } else {
            size_t used = strlen(dropped);
            snprintf(dropped + used, sizeof dropped - used, "%s%s", used > 0 ? ", " : "", called);
        }
    }
    if (kept < dims)
        loom_sink_warn(j->sink, "%s: dimension %s never changes and is left out (drop_constant = false keeps it)",
                       series, dropped);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < kept; k++)
            value[i * kept + k] = value[i * dims + keep[k]];
    free(keep);
    return kept;
}

/* Values [n, dims] as a series: at times, or from start_s at a rate. */
static int send(struct mat_job *j, const char *name, float *value, size_t n, size_t dims, double rate_hz,
                double start_s, const double *time_s)
{
    char(*called)[DIM_NAME] = calloc(dims, sizeof *called);
    const char **dim_name = calloc(dims, sizeof *dim_name);
    int status = called == NULL || dim_name == NULL ? mat_starved(j) : LOOM_OK;
    size_t kept = status == LOOM_OK ? drop_constant(j, name, value, n, dims, called) : 0;
    if (status == LOOM_OK && kept > 0) {
        for (size_t k = 0; k < kept; k++)
            dim_name[k] = called[k];
        int series = loom_sink_series(j->sink, name, "", (int32_t)kept, dim_name, rate_hz, start_s);
        status = series < 0 ? series : loom_sink_samples(j->sink, series, (int64_t)n, time_s, value);
    }
    free(called);
    free(dim_name);
    return status;
}

/* A value of a bin stands at the bin's middle, as the bin's counts do on average. */
static int send_by_bins(struct mat_job *j, const struct signal *s)
{
    float *value = gather(j, s);
    double *time = calloc(j->b.bins, sizeof *time);
    int status = value == NULL || time == NULL ? mat_starved(j) : LOOM_OK, regular = 1;
    for (size_t b = 0; b < j->b.bins && status == LOOM_OK; b++) {
        time[b] = j->b.start_s[b] + 0.5 * j->b.bin_s;
        regular &= b == 0 || binned_goes_on(&j->b, b - 1);
    }
    if (status == LOOM_OK)
        status = send(j, s->name, value, j->b.bins, s->dims, regular ? 1 / j->b.bin_s : 0, regular ? time[0] : 0,
                      regular ? NULL : time);
    free(value);
    free(time);
    return status;
}

/* ---- signals with a clock of their own ---- */

static int send_by_clock(struct mat_job *j, const struct signal *s)
{
    struct mat_list l = {0};
    const char *clock = loom_opt_string(j->o, "series_times");
    double rate = loom_opt_real(j->o, "series_rate_hz"), *time = NULL;
    const matvar_t *v = s->l.n == 1 ? s->l.v[0] : NULL;
    int status = LOOM_OK;
    if (!mat_is_numeric(v) || v->rank != 2 || v->class_type == MAT_C_SPARSE)
        return loom_fail(j->e, LOOM_EDATA, j->file, 0, "series \"%s\" is no matrix of numbers; name another", s->name);
    size_t rows = v->dims[0], columns = v->dims[1], n = rows >= columns ? rows : columns;
    if (clock[0] != '\0') {
        status = mat_find(&j->m, clock, &l, j->e);
        if (status == LOOM_OK && l.n == 1 && mat_is_numeric(l.v[0])) {
            n = mat_count(l.v[0]);
            time = mat_numbers(l.v[0]);
        }
        mat_list_release(&l);
        for (size_t i = 0; time != NULL && i < n; i++)
            time[i] *= loom_opt_real(j->o, "time_scale");
    }
    if (status == LOOM_OK && ((n != rows && n != columns) || (time == NULL && !(rate > 0))))
        status = loom_fail(j->e, LOOM_EDATA, j->file, 0,
                           "series \"%s\" [%zu, %zu] goes neither by the bins nor by a clock; set series_times or "
                           "series_rate_hz, or leave it out",
                           s->name, rows, columns);
    size_t dims = n > 0 ? rows * columns / n : 0;
    float *value = status == LOOM_OK ? calloc(n * dims + 1, sizeof *value) : NULL;
    if (status == LOOM_OK && value == NULL)
        status = mat_starved(j);
    for (size_t i = 0; status == LOOM_OK && i < n; i++)
        for (size_t d = 0; d < dims; d++)
            value[i * dims + d] = (float)mat_number(v, n == rows ? d * rows + i : i * rows + d);
    if (status == LOOM_OK && n > 0)
        status = send(j, s->name, value, n, dims, time != NULL ? 0 : rate, 0, time);
    free(value);
    free(time);
    return status;
}

/* ---- which ---- */

/* "name = path", or a path whose last word is the name. */
static const char *split_name(const char *given, char name[NAME])
{
    const char *eq = strchr(given, '='), *path = given;
    if (eq != NULL) {
        snprintf(name, NAME, "%.*s", (int)(eq - given), given);
        for (size_t n = strlen(name); n > 0 && name[n - 1] == ' '; n--)
            name[n - 1] = '\0';
        path = eq + 1 + strspn(eq + 1, " ");
    } else {
        const char *dot = strrchr(given, '.');
        snprintf(name, NAME, "%s", dot != NULL ? dot + 1 : given);
    }
    return path;
}

static int take_named(struct mat_job *j, const char *given)
{
    struct signal s = {.dims = 0};
    const char *path = split_name(given, s.name);
    int status = mat_find(&j->m, path, &s.l, j->e);
    if (status == LOOM_OK) {
        if (j->b.bins > 0 && fits(j, &s)) {
            if (s.longer)
                loom_sink_warn(j->sink, "%s has one sample more than there are bins; the last is left out", s.name);
            status = send_by_bins(j, &s);
        } else {
            status = send_by_clock(j, &s);
        }
    }
    mat_list_release(&s.l);
    return status;
}

/* 1: a number a bin that is the same in each bin of a trial: a column, no series. */
static int constant_in_trials(const struct mat_job *j, const struct mat_list *l)
{
    if (j->b.rows == 0 || j->pieces != 1 || l->n != 1 || !mat_is_numeric(l->v[0]) || mat_count(l->v[0]) != j->b.bins)
        return 0;
    for (size_t b = 1; b < j->b.bins; b++)
        if (j->b.row[b] == j->b.row[b - 1] && mat_number(l->v[0], b) != mat_number(l->v[0], b - 1))
            return 0;
    return 1;
}

/* Variables that are something else already, or that cannot fit and would only be read in vain. */
static int passed_over(struct mat_job *j, const char *prefix, const char *name)
{
    static const char *const taken[] = {"counts", "spike_times", "times", "trial", "bin_index", "bin_from", "units"};
    char path[512];
    size_t rows, columns;
    snprintf(path, sizeof path, "%s%s", prefix, name);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcmp(loom_opt_string(j->o, taken[i]), path) == 0)
            return 1;
    if (prefix[0] != '\0')
        return 0;
    return !mat_shape(&j->m, name, &rows, &columns) ||
           (rows != j->b.bins && columns != j->b.bins && rows * columns != j->values);
}

static int take_beside(struct mat_job *j)
{
    char prefix[256];
    char **names = mat_beside(&j->m, j->path, prefix, sizeof prefix);
    int status = names != NULL ? LOOM_OK : mat_starved(j);
    for (size_t i = 0; status == LOOM_OK && names[i] != NULL; i++) {
        struct signal s = {.dims = 0};
        char path[512];
        struct loom_error ignored = {0};
        snprintf(path, sizeof path, "%s%s", prefix, names[i]);
        snprintf(s.name, sizeof s.name, "%s", names[i]);
        if (passed_over(j, prefix, names[i]) || mat_find(&j->m, path, &s.l, &ignored) != LOOM_OK)
            continue;
        if (fits(j, &s) && s.dims <= MOST_DIMS && !s.longer && !constant_in_trials(j, &s.l))
            status = send_by_bins(j, &s);
        mat_list_release(&s.l);
    }
    mat_names_free(names);
    return status;
}

int mat_take_series(struct mat_job *j)
{
    size_t n = loom_opt_count(j->o, "series");
    int status = LOOM_OK;
    if (n == 0)
        return j->b.bins > 0 ? take_beside(j) : LOOM_OK;
    for (size_t i = 0; i < n && status == LOOM_OK; i++)
        status = take_named(j, loom_opt_string_at(j->o, "series", i));
    return status;
}

/* ---- columns ---- */

static size_t value_of_row(const struct mat_job *j, int32_t row)
{
    return j->pieces > 0 ? j->piece[row].value : (size_t)row;
}

/* Element k of row's value; NaN where the file has none. */
static double number_at(const struct mat_job *j, const struct mat_list *l, int by_bin, int32_t row, size_t k)
{
    if (by_bin)
        return mat_number(l->v[0], j->b.row_bin[row]);
    if (l->n == 1 && j->values != 1)
        return mat_number(l->v[0], value_of_row(j, row));
    const matvar_t *v = l->v[value_of_row(j, row)];
    return mat_count(v) > k ? mat_number(v, k) : NAN;
}

/* Width of the column's values: 0 when it has none a trial. */
static size_t column_width(const struct mat_job *j, const struct mat_list *l)
{
    size_t width = 0;
    if (constant_in_trials(j, l))
        return 1;
    if (l->n == 1 && j->values != 1)
        return mat_is_numeric(l->v[0]) && mat_count(l->v[0]) == j->values ? 1 : 0;
    if (l->n != j->values || (j->pieces == 1 && j->b.rows != 1))
        return 0;
    for (size_t i = 0; i < l->n; i++) {
        size_t n = mat_count(l->v[i]);
        if (n == 0)
            continue;
        if (!mat_is_numeric(l->v[i]) || l->v[i]->class_type == MAT_C_SPARSE || n > MOST_VECTOR ||
            (width != 0 && n != width))
            return 0;
        width = n;
    }
    return width;
}

static int all_text(const struct mat_job *j, const struct mat_list *l)
{
    size_t texts = 0;
    if (l->n != j->values || (j->pieces == 1 && j->b.rows != 1))
        return 0;
    for (size_t i = 0; i < l->n; i++) {
        if (mat_count(l->v[i]) > 0 && !mat_is_text(l->v[i]))
            return 0;
        texts += mat_is_text(l->v[i]);
    }
    return texts > 0;
}

static int send_numbers(struct mat_job *j, const char *name, const struct mat_list *l, size_t width)
{
    double *x = calloc((size_t)j->b.rows + 1, sizeof *x);
    int by_bin = constant_in_trials(j, l);
    int status = x != NULL ? LOOM_OK : mat_starved(j);
    for (size_t k = 0; k < width && status == LOOM_OK; k++) {
        char called[NAME + 24];
        snprintf(called, sizeof called, width > 1 ? "%s_%zu" : "%s", name, k);
        for (int32_t r = 0; r < j->b.rows; r++)
            x[r] = number_at(j, l, by_bin, r, k);
        status = loom_sink_numbers(j->sink, called, x);
    }
    free(x);
    return status;
}

static int send_texts(struct mat_job *j, const char *name, const struct mat_list *l)
{
    enum { TEXT = 256 };
    char(*text)[TEXT] = calloc((size_t)j->b.rows + 1, sizeof *text);
    const char **at = calloc((size_t)j->b.rows + 1, sizeof *at);
    int status = text != NULL && at != NULL ? LOOM_OK : mat_starved(j);
    for (int32_t r = 0; r < j->b.rows && status == LOOM_OK; r++) {
        mat_text(l->v[value_of_row(j, r)], text[r], TEXT);
        at[r] = text[r];
    }
    if (status == LOOM_OK)
        status = loom_sink_texts(j->sink, name, at);
    free(text);
    free(at);
    return status;
}

static int take_column(struct mat_job *j, const char *name, const char *path, int named)
{
    struct mat_list l;
    struct loom_error ignored = {0};
    int status = mat_find(&j->m, path, &l, named ? j->e : &ignored);
    if (status != LOOM_OK)
        return named ? status : LOOM_OK;
    size_t width = column_width(j, &l);
    if (width > 0)
        status = send_numbers(j, name, &l, width);
    else if (all_text(j, &l))
        status = send_texts(j, name, &l);
    else if (named)
        status = loom_fail(j->e, LOOM_EDATA, j->file, 0,
                           "column \"%s\" does not have one value for each of the %zu trials; leave it out", path,
                           j->values);
    mat_list_release(&l);
    return status;
}

int mat_take_columns(struct mat_job *j)
{
    char prefix[256], path[512], name[NAME];
    size_t n = loom_opt_count(j->o, "columns");
    int status = LOOM_OK;
    for (size_t i = 0; i < n && status == LOOM_OK; i++) {
        const char *at = split_name(loom_opt_string_at(j->o, "columns", i), name);
        status = take_column(j, name, at, 1);
    }
    if (n > 0)
        return status;
    char **names =
        mat_beside(&j->m, j->pieces > 0 ? j->path : loom_opt_string(j->o, "trial_start"), prefix, sizeof prefix);
    status = names != NULL ? LOOM_OK : mat_starved(j);
    for (size_t i = 0; status == LOOM_OK && names[i] != NULL; i++) {
        snprintf(path, sizeof path, "%s%s", prefix, names[i]);
        if (!passed_over(j, prefix, names[i]))
            status = take_column(j, names[i], path, 0);
    }
    mat_names_free(names);
    return status;
}
