/* SPDX-License-Identifier: Apache-2.0 */
/* Common spatial patterns (Ramoser, Müller-Gerking & Pfurtscheller 2000; Blankertz et al. 2008): which class a window
 * of a signal is of, by the power of a few weighted sums of its channels in a band of frequencies.
 *
 *     window [samples, channels] → C, its covariance in the band → log wᵀ C w for each filter w → discriminant
 *
 * Filters of class k are the generalised eigenvectors with the largest eigenvalues of Σ_k w = λ Σ_j Σ_j w, Σ_j the mean
 * covariance of class j: with two classes the two ends of one spectrum. Two fitting passes: mean covariances, then the
 * discriminant of the features that the filters make of the same windows.
 *
 * The covariance in a band is a sum over the frequencies of the window's Fourier transform (Parseval), of samples less
 * their mean under Hann's taper: what a filter and its settling would give, without either. */
#include "discriminant.h"

#include <loom/linalg.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct csp {
    char signal[64];
    int32_t channels, filters;
    double rate_hz, low_hz, high_hz, shrinkage, lda_shrinkage;
};

/* State: what is known (0 nothing, 1 filters, 2 all), filters [classes × filters, channels], discriminant. Sums:
 * [classes] windows, [classes] packed covariances, then the discriminant's. */
static int64_t features(const struct csp *c, int64_t classes)
{
    return classes * c->filters;
}

static int64_t csp_states(const void *self, const struct loom_recording *of, int32_t dims)
{
    const struct csp *c = self;
    const int64_t n = features(c, dims);
    (void)of;
    return 1 + n * c->channels + discriminant_states(n, dims);
}

static int64_t csp_sums(const void *self, const struct loom_recording *of, int32_t dims)
{
    const struct csp *c = self;
    (void)of;
    return dims * (1 + loom_triangle_size(c->channels)) + discriminant_sums(features(c, dims), dims);
}

/* ---- a window ---- */

struct scratch {
    double *x;                /* [samples, channels] */
    double *cosine, *sine;    /* [samples] of one turn */
    double *real, *imaginary; /* [channels] */
    double *covariance;       /* [channels, channels] */
    double *feature, *answer; /* [features], [classes] */
};

static int64_t csp_scratch(const void *self, const struct loom_recording *of, int32_t dims, int32_t samples)
{
    const struct csp *c = self;
    const int64_t n = c->channels;
    (void)of;
    return samples * (n + 2) + 2 * n + n * n + features(c, dims) + dims + 1;
}

static struct scratch cut(const struct csp *c, const struct loom_sequence *s, double *at)
{
    struct scratch w;
    w.x = at;
    w.cosine = w.x + (int64_t)s->bins * c->channels;
    w.sine = w.cosine + s->bins;
    w.real = w.sine + s->bins;
    w.imaginary = w.real + c->channels;
    w.covariance = w.imaginary + c->channels;
    w.feature = w.covariance + (int64_t)c->channels * c->channels;
    w.answer = w.feature + features(c, s->dims);
    return w;
}

/* Samples less their channel's mean, what is missing 0, under the taper. Returns Σ taper². */
static double taper(const struct csp *c, const struct loom_sequence *s, double *x)
{
    const int64_t first = s->in->first_elem[s->first], n = c->channels;
    const loom_real *value = s->in->value + first;
    const uint8_t *held = s->in->held != NULL ? s->in->held + first : NULL;
    double energy = 0.0;
    for (int64_t d = 0; d < n; d++) {
        double sum = 0.0, seen = 0.0;
        for (int64_t t = 0; t < s->bins; t++)
            if (held == NULL || !held[t * n + d]) {
                sum += (double)value[t * n + d];
                seen += 1.0;
            }
        for (int64_t t = 0; t < s->bins; t++)
            x[t * n + d] = held == NULL || !held[t * n + d] ? (double)value[t * n + d] - sum / seen : 0.0;
    }
    for (int64_t t = 0; t < s->bins; t++) {
        const double w = 0.5 - 0.5 * cos(2.0 * M_PI * ((double)t + 0.5) / (double)s->bins);
        energy += w * w;
        for (int64_t d = 0; d < n; d++)
            x[t * n + d] *= w;
    }
    return energy;
}

/* Upper triangle of the covariance inside the band. */
static void covariance_in_band(const struct csp *c, const struct loom_sequence *s, struct scratch *w)
{
    const int64_t n = c->channels, samples = s->bins;
    const double energy = taper(c, s, w->x), step = c->rate_hz / (double)(samples > 0 ? samples : 1);
    for (int64_t t = 0; t < samples; t++) {
        w->cosine[t] = cos(2.0 * M_PI * (double)t / (double)samples);
        w->sine[t] = sin(2.0 * M_PI * (double)t / (double)samples);
    }
    memset(w->covariance, 0, (size_t)(n * n) * sizeof *w->covariance);
    for (int64_t k = (int64_t)ceil(c->low_hz / step - 1e-9); 2 * k < samples && (double)k * step <= c->high_hz + 1e-9;
         k++) {
        memset(w->real, 0, (size_t)(2 * n) * sizeof *w->real);
        for (int64_t t = 0; t < samples; t++)
            for (int64_t d = 0; d < n; d++) {
                w->real[d] += w->cosine[k * t % samples] * w->x[t * n + d];
                w->imaginary[d] += w->sine[k * t % samples] * w->x[t * n + d];
            }
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = i; j < n; j++)
                w->covariance[i * n + j] += w->real[i] * w->real[j] + w->imaginary[i] * w->imaginary[j];
    }
    for (int64_t i = 0; i < n * n && samples > 0; i++)
        w->covariance[i] *= 2.0 / ((double)samples * energy);
}

/* log wᵀ C w of every filter. */
static void find_features(const struct csp *c, const double *filter, int64_t count, const double *covariance,
                          double *out)
{
    const double least = 1e-30; /* of a silent window */
    for (int64_t f = 0; f < count; f++, filter += c->channels) {
        double power = 0.0;
        for (int64_t i = 0; i < c->channels; i++) {
            power += filter[i] * filter[i] * covariance[i * c->channels + i];
            for (int64_t j = i + 1; j < c->channels; j++)
                power += 2.0 * filter[i] * filter[j] * covariance[i * c->channels + j];
        }
        out[f] = log(fmax(power, least));
    }
}

static void csp_add(const void *self, const struct loom_sequence *s, const double *state, double *sums, double *scratch)
{
    const struct csp *c = self;
    const int64_t n = features(c, s->dims), size = loom_triangle_size(c->channels);
    struct scratch w = cut(c, s, scratch);
    if (s->asks == 0 || s->bins == 0 || loom_sequence_target(s, 0, w.answer) == 0)
        return;
    const int64_t is = (int64_t)w.answer[0];
    if (is < 0 || is >= s->dims)
        return;
    covariance_in_band(c, s, &w);
    if (state[0] > 0.0) {
        find_features(c, state + 1, n, w.covariance, w.feature);
        discriminant_add(sums + s->dims * (1 + size), w.feature, n, s->dims, is);
        return;
    }
    double *to = sums + s->dims + is * size;
    sums[is] += 1.0;
    for (int64_t i = 0; i < c->channels; i++)
        for (int64_t j = i; j < c->channels; j++)
            *to++ += w.covariance[i * c->channels + j];
}

static void csp_predict(const void *self, const struct loom_sequence *s, const double *state, double *out,
                        double *scratch)
{
    const struct csp *c = self;
    const int64_t n = features(c, s->dims);
    struct scratch w = cut(c, s, scratch);
    if (state[0] < 2.0 || s->bins == 0)
        return;
    covariance_in_band(c, s, &w);
    find_features(c, state + 1, n, w.covariance, w.feature);
    for (int32_t q = 0; q < s->asks; q++)
        discriminant_say(state + 1 + n * c->channels, w.feature, n, s->dims, out + (int64_t)q * s->dims);
}

/* ---- filters ---- */

struct pencil {
    double *mean;          /* [classes, channels, channels] shrunk, all of each matrix */
    double *all, *whitens; /* [channels, channels]; rows of whitens: to unit variance of `all` */
    double *value, *vector, *room;
};

static void mean_covariances(const struct csp *c, const double *sums, int32_t classes, struct pencil *p)
{
    const int64_t n = c->channels, size = loom_triangle_size(n);
    for (int32_t k = 0; k < classes; k++) {
        double *m = p->mean + k * n * n, trace = 0.0;
        loom_triangle_unpack(m, sums + classes + k * size, n);
        for (int64_t i = 0; i < n; i++)
            trace += m[i * n + i] / (double)n;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = i; j < n; j++) {
                double x = (1.0 - c->shrinkage) * m[i * n + j] + (i == j ? c->shrinkage * trace : 0.0);
                m[i * n + j] = m[j * n + i] = sums[k] > 0.0 ? x / sums[k] : 0.0;
            }
        for (int64_t i = 0; i < n * n; i++)
            p->all[i] += m[i];
    }
}

/* Λ^-½ Vᵀ of `all`; directions without variance are left out, as rows of 0. */
static void whiten(const struct csp *c, struct pencil *p)
{
    const int64_t n = c->channels;
    memcpy(p->room, p->all, (size_t)(n * n) * sizeof *p->room);
    loom_eigen(p->room, n, p->value, p->vector);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            p->whitens[i * n + j] = p->value[i] > 1e-12 * p->value[0] ? p->vector[i * n + j] / sqrt(p->value[i]) : 0.0;
}

static void filters_of(const struct csp *c, struct pencil *p, int32_t class, double *filter)
{
    const int64_t n = c->channels;
    const double *m = p->mean + class * n * n;
    for (int64_t i = 0; i < n; i++) /* vector = whitens m, for a while */
        for (int64_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k < n; k++)
                sum += p->whitens[i * n + k] * m[k * n + j];
            p->vector[i * n + j] = sum;
        }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k < n; k++)
                sum += p->vector[i * n + k] * p->whitens[j * n + k];
            p->room[i * n + j] = sum;
        }
    loom_eigen(p->room, n, p->value, p->vector);
    for (int64_t f = 0; f < c->filters; f++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k < n; k++)
                sum += p->vector[f * n + k] * p->whitens[k * n + j];
            filter[f * n + j] = sum;
        }
}

static int solve_filters(const struct csp *c, const double *sums, int32_t classes, double *filter, struct loom_error *e)
{
    const int64_t n = c->channels, square = n * n;
    double *memory = calloc((size_t)(square * (classes + 4) + n + 1), sizeof *memory);
    if (memory == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to fit a baseline; free some");
    struct pencil p = {.mean = memory,
                       .all = memory + square * classes,
                       .whitens = memory + square * (classes + 1),
                       .vector = memory + square * (classes + 2),
                       .room = memory + square * (classes + 3),
                       .value = memory + square * (classes + 4)};
    mean_covariances(c, sums, classes, &p);
    whiten(c, &p);
    for (int32_t k = 0; k < classes; k++)
        filters_of(c, &p, k, filter + k * c->filters * n);
    free(memory);
    return LOOM_OK;
}

static int csp_solve(const void *self, const struct loom_estimate *x, struct loom_error *e)
{
    const struct csp *c = self;
    const int64_t n = features(c, x->dims), covariances = x->dims * (1 + loom_triangle_size(c->channels));
    double windows = 0.0;
    if (x->sums[0] == NULL)
        return LOOM_OK;
    if (x->state[0] > 0.0) {
        x->state[0] = 2.0;
        return discriminant_solve(x->sums[0] + covariances, n, x->dims, c->lda_shrinkage,
                                  x->state + 1 + n * c->channels, e);
    }
    for (int32_t k = 0; k < x->dims; k++)
        windows += x->sums[0][k];
    if (windows == 0.0) {
        loom_log(LOOM_WARN, "%s is not fitted: no training trial has a class", x->asked);
        return LOOM_OK;
    }
    int rc = solve_filters(c, x->sums[0], x->dims, x->state + 1, e);
    x->state[0] = 1.0;
    return rc == LOOM_OK ? 1 : rc;
}

static const struct loom_estimator patterns = {.name = "patterns",
                                               .shared = 1,
                                               .states = csp_states,
                                               .sums = csp_sums,
                                               .scratch = csp_scratch,
                                               .add = csp_add,
                                               .predict = csp_predict,
                                               .solve = csp_solve};

/* ---- the part ---- */

/* One set of filters for all recordings: channels must be the same, in the same order and as fast. */
static int check_channels(struct csp *c, const struct loom_catalog *catalog, struct loom_error *e)
{
    const struct loom_series *first = NULL;
    for (int i = 0; i < loom_catalog_count(catalog); i++) {
        const struct loom_recording *r = loom_catalog_recording(catalog, i);
        const struct loom_series *s = loom_recording_series(r, c->signal);
        first = first != NULL ? first : s;
        if (!(s->rate_hz > 0.0))
            return loom_fail(e, LOOM_EDATA, r->file, 0,
                             "'%s' of %s has a time of its own for each sample, and csp needs a rate: name another "
                             "signal, or resample it",
                             c->signal, r->id);
        if (fabs(s->rate_hz - first->rate_hz) > 1e-6 * first->rate_hz)
            return loom_fail(e, LOOM_EDATA, r->file, 0,
                             "'%s' has %g Hz in %s and %g Hz elsewhere: csp has one set of filters for all, so select "
                             "recordings of one rate",
                             c->signal, s->rate_hz, r->id, first->rate_hz);
        for (int32_t d = 0; d < s->dims; d++)
            if (strcmp(s->dim_name[d], first->dim_name[d]) != 0)
                return loom_fail(e, LOOM_EDATA, r->file, 0,
                                 "channel %d of '%s' is \"%s\" in %s and \"%s\" elsewhere: csp has one set of filters "
                                 "for all, so select recordings with the same channels",
                                 (int)d, c->signal, s->dim_name[d], r->id, first->dim_name[d]);
    }
    c->channels = first->dims;
    c->rate_hz = first->rate_hz;
    return LOOM_OK;
}

static int check_band(const struct csp *c, const struct loom_options *o, double window_s, struct loom_error *e)
{
    if (!(c->low_hz < c->high_hz && c->high_hz < 0.5 * c->rate_hz))
        return loom_opt_fail(o, "high_hz", e,
                             "the band from %g to %g Hz must rise, and end below half of '%s' rate of %g", c->low_hz,
                             c->high_hz, c->signal, c->rate_hz);
    if (!((c->high_hz - c->low_hz) * window_s >= 1.0))
        return loom_opt_fail(
            o, "high_hz", e,
            "a band of %g Hz cannot be told in windows of %g s, which need 1/length at least: widen it",
            c->high_hz - c->low_hz, window_s);
    return LOOM_OK;
}

static int csp_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    const struct loom_catalog *catalog = loom_setup_catalog(s);
    const struct loom_recording *first = loom_catalog_recording(catalog, 0);
    const char *signal = loom_opt_string(o, "signal");
    struct csp *c = calloc(1, sizeof *c);
    if (c == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a baseline; free some");
    signal = *signal == '\0' && first->series_count > 0 ? first->series[0].name : signal;
    size_t n = strlen(signal);
    memcpy(c->signal, signal, n < sizeof c->signal ? n : sizeof c->signal - 1);
    c->low_hz = loom_opt_real(o, "low_hz");
    c->high_hz = loom_opt_real(o, "high_hz");
    c->shrinkage = loom_opt_real(o, "shrinkage");
    c->lda_shrinkage = loom_opt_real(o, "lda_shrinkage");
    int rc = loom_setup_behavior(s, c->signal, 0.0, e);
    if (rc == LOOM_OK)
        rc = check_channels(c, catalog, e);
    if (rc == LOOM_OK)
        rc = check_band(c, o, loom_catalog_window_s(catalog), e);
    if (rc != LOOM_OK) {
        free(c);
        return rc;
    }
    c->filters = (int32_t)loom_opt_int(o, "filters");
    c->filters = c->filters < c->channels ? c->filters : c->channels;
    *self = c;
    return LOOM_OK;
}

static void csp_destroy(void *self)
{
    free(self);
}

static int csp_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self, (void)e;
    t->needs = LOOM_LABELS;
    t->offers = LOOM_TARGET_SPACE | LOOM_IN_PLACE | LOOM_ANYWHERE | LOOM_CAUSAL; /* it is asked at the window's end */
    t->width = 1;
    return LOOM_OK;
}

static struct loom_memory csp_encode(const void *self, struct loom_build *b, const struct loom_view *v,
                                     struct loom_node *x)
{
    (void)self, (void)b, (void)x;
    return (struct loom_memory){.rows = &v->in};
}

static struct loom_answer csp_answer(const void *self, struct loom_build *b, const struct loom_view *v,
                                     const struct loom_memory *m, const struct loom_rows *ask, struct loom_node *q)
{
    (void)m, (void)q;
    return loom_estimator_classes(&patterns, self, 1, b, v, ask);
}

static int csp_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    return loom_estimator_update(&patterns, self, 1, 1, u, e);
}

static const struct loom_option options[] = {
    {"signal", LOOM_OPT_STRING, 0, "", NULL, NULL, "Series that is looked at; empty = the recordings' first."},
    {"low_hz", LOOM_OPT_REAL, 0, "8.0", "[0,inf)", "Hz", "Lower end of the band."},
    {"high_hz", LOOM_OPT_REAL, 0, "30.0", "(0,inf)", "Hz", "Upper end of the band."},
    {"filters", LOOM_OPT_INT, 0, "3", "[1,64]", NULL, "Spatial filters for each class."},
    {"shrinkage", LOOM_OPT_REAL, 0, "0.05", "[0,1]", NULL,
     "Of each class's covariance: a share that goes to independent channels of the same power."},
    {"lda_shrinkage", LOOM_OPT_REAL, 0, "0.05", "[0,1]", NULL, "The same of the features' covariance within classes."},
    {0}};

static const struct loom_backbone table = {.part = {.size = sizeof(struct loom_backbone),
                                                    .create = csp_create,
                                                    .destroy = csp_destroy,
                                                    .describe = csp_describe,
                                                    .update = csp_update},
                                           .encode = csp_encode,
                                           .answer = csp_answer};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "csp",
                                          .version = "1.0.0",
                                          .summary =
                                              "common spatial patterns and a linear discriminant: the class of a "
                                              "trial from a signal",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_BASELINE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
