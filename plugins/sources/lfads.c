/* SPDX-License-Identifier: Apache-2.0 */
/* Source `lfads`: the HDF5 layouts of LFADS, lfads-torch and the Neural Latents Benchmark.
 *
 *   LFADS         {train,valid}_data [trial, bin, unit], {…}_truth rates, {…}_lowd or {…}_latents, {…}_inds
 *   lfads-torch   {…}_encod_data [trial, bin, held-in unit], {…}_recon_data [trial, more bins, more units]
 *   benchmark     {train,eval}_spikes_heldin, _heldout, _heldin_forward, _heldout_forward
 *
 * All trials become one recording: blocks with gaps, in the order of their numbers, the split a column of the trials.
 */
#include "h5.h"

#include "names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct loom_option lfads_options[] = {
    {"file_bin_ms", LOOM_OPT_REAL, 0, "0", "[0,inf)", "ms",
     "Width of the file's bins; 0 = from its `dt` (s) or `bin_ms`."},
    {"truth_unit", LOOM_OPT_STRING, 0, "auto", "auto|bin|s", NULL,
     "What the true rates are counted in: spikes a bin or a second; auto compares them with the data."},
    {"trial_gap_s", LOOM_OPT_REAL, 0, "1", "(0,inf)", "s", "Time put between trials, whose times are unknown."},
    {"subject", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the subject."},
    {"session", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the session; empty = the file's name."},
    {"task", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the task."},
    {0},
};

enum { SPLITS = 4, PATH = 64 };

/* Key before the underscore, and what the split column says. */
static const char *const split_key[SPLITS][2] = {
    {"train", "train"}, {"valid", "valid"}, {"test", "test"}, {"eval", "test"}};

/* An array [trial, bin, width] of a split. */
struct cube {
    float *x;
    hsize_t trials, bins, width;
};

struct split {
    const char *name;
    hsize_t trials;
    struct cube counts, rates, latents;
    int64_t *index; /* [trials] or NULL */
};

struct trial {
    int64_t index;
    int split;
    hsize_t number;
};

struct lfads {
    struct h5_file h;
    const struct loom_options *o;
    struct split split[SPLITS];
    hsize_t bins, units, held_in, first_forward;
    double bin_s, gap_s, rate_scale;
    struct trial *trial;
    hsize_t trials;
};

static int has(struct lfads *w, const char *split, const char *what, char path[PATH])
{
    snprintf(path, PATH, "/%s_%s", split, what);
    return h5_kind(&w->h, path) == H5_DATASET;
}

static int broken(struct lfads *w, const char *path, const char *what)
{
    return loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0, "%s %s; export the file anew", path, what);
}

static int read_cube(struct lfads *w, const char *path, struct cube *c)
{
    struct h5_data d;
    int status = h5_data_open(&w->h, path, &d);
    if (status != LOOM_OK)
        return status;
    if (d.rank == 3 && (d.rows == 0 || d.row == 0))
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                           "%s holds nothing: %llu trials of %llu counts (bins times units); export the file with both",
                           path, (unsigned long long)d.rows, (unsigned long long)d.row);
    else if (d.rank != 3 || d.rows > INT32_MAX || d.row > ((hsize_t)1 << 33) / d.rows)
        status = broken(w, path, "is no array [trial, bin, unit] that fits in memory");
    if (status == LOOM_OK) {
        *c = (struct cube){malloc((size_t)(d.rows * d.row) * sizeof *c->x), d.dims[0], d.dims[1], d.dims[2]};
        status = c->x != NULL ? h5_read_floats(&w->h, &d, 0, d.rows, c->x) : h5_starved(&w->h);
    }
    h5_data_close(&d);
    return status;
}

/* Puts `part` into `whole` [trial, bins, width] from a bin and a unit on. */
static void place(const struct cube *part, struct cube *whole, hsize_t bin, hsize_t unit)
{
    for (hsize_t t = 0; t < part->trials; t++)
        for (hsize_t b = 0; b < part->bins; b++)
            memcpy(whole->x + ((t * whole->bins + bin + b) * whole->width + unit),
                   part->x + (t * part->bins + b) * part->width, (size_t)part->width * sizeof *part->x);
}

/* The benchmark's four parts as one array; a split without the held-out ones cannot stand beside one that has them. */
static int read_parts(struct lfads *w, const char *key, struct cube *out)
{
    static const char *const what[4] = {"spikes_heldin", "spikes_heldout", "spikes_heldin_forward",
                                        "spikes_heldout_forward"};
    struct cube part[4] = {{0}};
    char path[PATH];
    int status = LOOM_OK, there[4];
    for (int i = 0; i < 4 && status == LOOM_OK; i++)
        if ((there[i] = has(w, key, what[i], path)))
            status = read_cube(w, path, &part[i]);
    hsize_t in = part[0].width, units = in + part[1].width, bins = part[0].bins, forward = part[2].bins;
    for (int i = 1; i < 4 && status == LOOM_OK; i++)
        if (there[i] && (part[i].trials != part[0].trials || part[i].bins != (i < 2 ? bins : forward) ||
                         part[i].width != (i == 2 ? in : units - in)))
            status = broken(w, path, "and its companions do not fit each other");
    int with_forward = there[2] && (there[3] || !there[1]);
    if (status == LOOM_OK) {
        hsize_t all = part[0].trials * (bins + (with_forward ? forward : 0)) * units;
        *out = (struct cube){calloc((size_t)all + 1, sizeof *out->x), part[0].trials,
                             bins + (with_forward ? forward : 0), units};
        status = out->x != NULL ? LOOM_OK : h5_starved(&w->h);
    }
    for (int i = 0; i < (with_forward ? 4 : 2) && status == LOOM_OK; i++)
        if (there[i])
            place(&part[i], out, i < 2 ? 0 : bins, i % 2 ? in : 0);
    if (status == LOOM_OK && (there[1] || w->held_in == 0)) {
        w->held_in = in;
        w->first_forward = bins;
    }
    for (int i = 0; i < 4; i++)
        free(part[i].x);
    return status;
}

static int read_counts(struct lfads *w, const char *key, struct split *s)
{
    char path[PATH], encoded[PATH];
    struct h5_data d;
    int status = LOOM_OK;
    if (has(w, key, "data", path)) {
        status = read_cube(w, path, &s->counts);
    } else if (has(w, key, "recon_data", path)) {
        status = read_cube(w, path, &s->counts);
        if (status == LOOM_OK && has(w, key, "encod_data", encoded) &&
            (status = h5_data_open(&w->h, encoded, &d)) == LOOM_OK) {
            if (d.rank == 3) {
                w->held_in = d.dims[2];
                w->first_forward = d.dims[1];
            }
            h5_data_close(&d);
        }
    } else if (has(w, key, "encod_data", path)) {
        status = read_cube(w, path, &s->counts);
    } else if (has(w, key, "spikes_heldin", path)) {
        status = read_parts(w, key, &s->counts);
    }
    s->trials = s->counts.trials;
    return status;
}

static int read_truth(struct lfads *w, const char *key, struct split *s)
{
    static const char *const rates[] = {"truth", "rates"}, *const latents[] = {"lowd", "latents"};
    char path[PATH];
    int status = LOOM_OK;
    for (int i = 0; i < 2 && status == LOOM_OK; i++) {
        if (s->rates.x == NULL && has(w, key, rates[i], path))
            status = read_cube(w, path, &s->rates);
        if (status == LOOM_OK && s->latents.x == NULL && has(w, key, latents[i], path))
            status = read_cube(w, path, &s->latents);
    }
    hsize_t n = 0;
    if (status == LOOM_OK && has(w, key, "inds", path))
        status = h5_all_integers(&w->h, path, &s->index, &n);
    if (status == LOOM_OK && s->index != NULL && n != s->trials) {
        free(s->index);
        s->index = NULL;
        loom_sink_warn(w->h.sink, "%s does not have one number a trial and is ignored", path);
    }
    return status;
}

static int read_splits(struct lfads *w)
{
    int status = LOOM_OK;
    for (int i = 0; i < SPLITS && status == LOOM_OK; i++) {
        struct split *s = &w->split[i];
        s->name = split_key[i][1];
        status = read_counts(w, split_key[i][0], s);
        if (status == LOOM_OK && s->trials > 0)
            status = read_truth(w, split_key[i][0], s);
    }
    for (int i = 0; i < SPLITS && status == LOOM_OK; i++) {
        struct split *s = &w->split[i];
        w->units = s->counts.width > w->units ? s->counts.width : w->units;
        w->bins = s->counts.bins > w->bins ? s->counts.bins : w->bins;
    }
    if (status == LOOM_OK && w->units == 0)
        status = loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                           "has none of train_data, train_encod_data, train_spikes_heldin; name another source");
    for (int i = 0; i < SPLITS && status == LOOM_OK; i++) {
        struct split *s = &w->split[i];
        if (s->trials > 0 && s->counts.width != w->units) {
            loom_sink_warn(w->h.sink, "%s: %llu trials lack held-out units and are left out", split_key[i][0],
                           (unsigned long long)s->trials);
            s->trials = 0;
        }
        w->trials += s->trials;
    }
    return status;
}

static int by_index(const void *a, const void *b)
{
    const struct trial *x = a, *y = b;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return x->split != y->split ? x->split - y->split : (x->number > y->number) - (x->number < y->number);
}

/* In the order of the file's numbers where every split has them, else split by split. */
static int order_trials(struct lfads *w)
{
    hsize_t n = 0;
    int numbered = 1;
    for (int i = 0; i < SPLITS; i++)
        numbered &= w->split[i].trials == 0 || w->split[i].index != NULL;
    if ((w->trial = calloc((size_t)w->trials + 1, sizeof *w->trial)) == NULL)
        return h5_starved(&w->h);
    for (int i = 0; i < SPLITS; i++)
        for (hsize_t t = 0; t < w->split[i].trials; t++, n++)
            w->trial[n] = (struct trial){numbered ? w->split[i].index[t] : (int64_t)n, i, t};
    qsort(w->trial, (size_t)n, sizeof *w->trial, by_index);
    for (hsize_t t = 1; t < n; t++)
        if (w->trial[t].index == w->trial[t - 1].index) {
            loom_sink_warn(w->h.sink, "trial numbers repeat (%lld); trials stand in their order all the same",
                           (long long)w->trial[t].index);
            break;
        }
    return LOOM_OK;
}

static int find_bin(struct lfads *w)
{
    double *x = NULL, ms = loom_opt_real(w->o, "file_bin_ms");
    hsize_t n;
    int status = LOOM_OK;
    if (!(ms > 0) && h5_kind(&w->h, "/dt") == H5_DATASET && (status = h5_all(&w->h, "/dt", &x, &n)) == LOOM_OK)
        ms = n > 0 ? 1e3 * x[0] : 0;
    else if (!(ms > 0) && status == LOOM_OK && h5_kind(&w->h, "/bin_ms") == H5_DATASET &&
             (status = h5_all(&w->h, "/bin_ms", &x, &n)) == LOOM_OK)
        ms = n > 0 ? x[0] : 0;
    free(x);
    if (status == LOOM_OK && !(ms > 0 && isfinite(ms)))
        status = loom_fail(w->h.e, LOOM_ECONFIG, w->h.name, 0, "does not say how wide its bins are; set file_bin_ms");
    w->bin_s = 1e-3 * ms;
    w->gap_s = loom_opt_real(w->o, "trial_gap_s");
    return status;
}

/* Spikes a second, or a bin? Whichever makes the mean rate the mean count. */
static void scale_rates(struct lfads *w)
{
    double counted = 0, rated = 0;
    for (int i = 0; i < SPLITS; i++) {
        const struct split *s = &w->split[i];
        if (s->rates.x == NULL || s->rates.bins != s->counts.bins || s->rates.width != s->counts.width)
            continue;
        for (hsize_t k = 0; k < s->trials * s->counts.bins * s->counts.width; k++) {
            counted += (double)s->counts.x[k];
            rated += (double)s->rates.x[k];
        }
    }
    int a_bin =
        loom_opt_is(w->o, "truth_unit", "bin") || (loom_opt_is(w->o, "truth_unit", "auto") && counted > 0 &&
                                                   fabs(log(rated / counted)) < fabs(log(rated * w->bin_s / counted)));
    w->rate_scale = a_bin ? 1 / w->bin_s : 1;
}

static int send_units(struct lfads *w)
{
    int status = LOOM_OK;
    hsize_t in = w->held_in > 0 && w->held_in < w->units ? w->held_in : w->units;
    for (hsize_t u = 0; u < w->units && status == LOOM_OK; u++) {
        char name[32];
        snprintf(name, sizeof name, "unit%llu", (unsigned long long)u);
        struct loom_unit unit = {name, "", "", -1, u >= in, NAN, NAN, NAN};
        status = loom_sink_unit(w->h.sink, &unit);
    }
    if (w->first_forward > 0 && w->first_forward < w->bins)
        loom_sink_warn(w->h.sink, "bins from %llu of each trial on are the forward part",
                       (unsigned long long)w->first_forward);
    return status;
}

static double start_of(const struct lfads *w, hsize_t trial)
{
    return (double)trial * ((double)w->bins * w->bin_s + w->gap_s);
}

static int send_counts(struct lfads *w)
{
    uint16_t *out = malloc((size_t)(w->bins * w->units) * sizeof *out);
    int status = out != NULL ? LOOM_OK : h5_starved(&w->h);
    for (hsize_t t = 0; t < w->trials && status == LOOM_OK; t++) {
        const struct cube *c = &w->split[w->trial[t].split].counts;
        const float *x = c->x + w->trial[t].number * c->bins * c->width;
        for (hsize_t k = 0; k < c->bins * c->width && status == LOOM_OK; k++) {
            if (!(x[k] >= 0 && x[k] <= UINT16_MAX) || x[k] != floorf(x[k]))
                status =
                    loom_fail(w->h.e, LOOM_EDATA, w->h.name, 0,
                              "%s: trial %llu holds %g where counts are due; export spike counts, not smoothed rates",
                              split_key[w->trial[t].split][0], (unsigned long long)w->trial[t].number, (double)x[k]);
            else
                out[k] = (uint16_t)x[k];
        }
        if (status == LOOM_OK)
            status = loom_sink_counts(w->h.sink, start_of(w, t), w->bin_s, (int64_t)c->bins, out);
    }
    free(out);
    return status;
}

/* The true rates or latents, one sample in the middle of each bin; missing in splits that have none. */
static int send_truth(struct lfads *w, const char *name, const char *unit, size_t member, double scale)
{
    hsize_t width = 0;
    for (int i = 0; i < SPLITS; i++) {
        const struct cube *c = (const void *)((const char *)&w->split[i] + member);
        if (c->x != NULL && c->bins == w->split[i].counts.bins && c->trials == w->split[i].counts.trials)
            width = c->width;
    }
    if (width == 0)
        return LOOM_OK;
    const char **dim = calloc((size_t)width, sizeof *dim);
    char(*called)[12] = calloc((size_t)width, sizeof *called);
    float *out = malloc((size_t)(w->bins * width) * sizeof *out);
    double *time = malloc((size_t)w->bins * sizeof *time);
    int status = dim != NULL && called != NULL && out != NULL && time != NULL ? LOOM_OK : h5_starved(&w->h),
        number = -1;
    for (hsize_t d = 0; d < width && status == LOOM_OK; d++) {
        snprintf(called[d], sizeof *called, "%d", (int)(d % 1000000));
        dim[d] = called[d];
    }
    if (status == LOOM_OK && (number = loom_sink_series(w->h.sink, name, unit, (int32_t)width, dim, 0, 0)) < 0)
        status = number;
    for (hsize_t t = 0; t < w->trials && status == LOOM_OK; t++) {
        const struct split *s = &w->split[w->trial[t].split];
        const struct cube *c = (const void *)((const char *)s + member);
        int there = c->x != NULL && c->bins == s->counts.bins && c->width == width && c->trials == s->counts.trials;
        for (hsize_t b = 0; b < s->counts.bins; b++) {
            time[b] = start_of(w, t) + ((double)b + 0.5) * w->bin_s;
            for (hsize_t d = 0; d < width; d++)
                out[b * width + d] =
                    there ? (float)(scale * (double)c->x[(w->trial[t].number * c->bins + b) * width + d]) : NAN;
        }
        status = loom_sink_samples(w->h.sink, number, (int64_t)s->counts.bins, time, out);
    }
    free(dim);
    free(called);
    free(out);
    free(time);
    return status;
}

static int send_trials(struct lfads *w)
{
    double *x = calloc(3 * (size_t)w->trials + 1, sizeof *x);
    const char **text = calloc((size_t)w->trials + 1, sizeof *text);
    double *start = x, *stop = x + w->trials, *index = x + 2 * w->trials;
    int status = x != NULL && text != NULL ? LOOM_OK : h5_starved(&w->h);
    for (hsize_t t = 0; t < w->trials && status == LOOM_OK; t++) {
        start[t] = start_of(w, t);
        stop[t] = start[t] + (double)w->split[w->trial[t].split].counts.bins * w->bin_s;
        index[t] = (double)w->trial[t].index;
        text[t] = w->split[w->trial[t].split].name;
    }
    if (status == LOOM_OK)
        status = loom_sink_intervals(w->h.sink, "trials", (int32_t)w->trials, start, stop);
    if (status == LOOM_OK)
        status = loom_sink_numbers(w->h.sink, "index", index);
    if (status == LOOM_OK)
        status = loom_sink_texts(w->h.sink, "split", text);
    free(x);
    free(text);
    return status;
}

static int begin(struct lfads *w, const char *file)
{
    char stem[STEM_NAME];
    const char *session = loom_opt_string(w->o, "session");
    stem_of(stem, file);
    return loom_sink_recording(w->h.sink, stem, loom_opt_string(w->o, "subject"), session[0] != '\0' ? session : stem,
                               loom_opt_string(w->o, "task"), "");
}

static int lfads_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)e;
    *self = (void *)(uintptr_t)loom_setup_options(s);
    return LOOM_OK;
}

static int lfads_read(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    struct lfads w = {.o = self};
    if (file == NULL)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "source lfads reads a file; name it in files");
    int status = h5_open(&w.h, file, sink, e);
    if (status == LOOM_OK)
        status = find_bin(&w);
    if (status == LOOM_OK)
        status = begin(&w, file);
    if (status == LOOM_OK)
        status = read_splits(&w);
    if (status == LOOM_OK)
        status = order_trials(&w);
    if (status == LOOM_OK)
        status = send_units(&w);
    if (status == LOOM_OK)
        status = send_counts(&w);
    if (status == LOOM_OK)
        status = send_trials(&w);
    scale_rates(&w);
    if (status == LOOM_OK)
        status = send_truth(&w, "rates", "Hz", offsetof(struct split, rates), w.rate_scale);
    if (status == LOOM_OK)
        status = send_truth(&w, "latents", "", offsetof(struct split, latents), 1);
    for (int i = 0; i < SPLITS; i++) {
        free(w.split[i].counts.x);
        free(w.split[i].rates.x);
        free(w.split[i].latents.x);
        free(w.split[i].index);
    }
    free(w.trial);
    h5_close(&w.h);
    return status;
}

static const struct loom_source lfads_source = {
    .part = {.size = sizeof lfads_source, .create = lfads_create},
    .read = lfads_read,
};

static const struct loom_plugin lfads_plugin = {
    .size = sizeof lfads_plugin,
    .build = LOOM_BUILD_BLOCK,
    .id = "lfads",
    .version = "1.0",
    .summary =
        "HDF5 of LFADS, lfads-torch and the Neural Latents Benchmark: trials of binned counts, true rates, latents.",
    .license = "Apache-2.0",
    .kind = LOOM_SOURCE,
    .options = lfads_options,
    .table = &lfads_source,
};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &lfads_plugin : NULL;
}
