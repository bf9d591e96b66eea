/* SPDX-License-Identifier: Apache-2.0 */
/* Codes of patches of signals (LaBraM's neural tokenizer, Jiang et al. 2024): some samples of one channel, EEG or any
 * other series of the recordings, are one row, and one word of a learnt book.
 *
 *     samples, in deviations of their channel → encoder → z (→ unit) → nearest code
 *     z + stop(q − z) → decoder → the samples again
 *                     → spectrum head → amplitude and phase of their Fourier transform
 *
 * Channels are told apart by name over all recordings, without regard to case and trailing dots: that number is the
 * row's coordinate in space. What is published but for two things: vectors are of their patch alone, so that a code
 * does not hang on the window's length or on other channels, and the samples come back beside the spectrum, so that
 * rows can be asked by any objective. The objective `quantize` trains encoder, decoder and book. */
#include "vq_ops.h"
#include "vq_quantiser.h"

#include <loom/codes.h>
#include <loom/nn.h>
#include <loom/plugin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct signal {
    struct vq_quantiser quantiser; /* first: its functions take the whole */
    char series[64];
    int32_t samples;  /* of a patch */
    int32_t spectrum; /* enum vq_phase */
    int32_t channels, recordings;
    const char **name; /* [channels] borrowed from the recordings */
    int32_t **channel; /* [recordings][dims] number of each channel */
};

static struct loom_node *content(const void *self, struct loom_build *b, const struct loom_rows *rows);

/* ---- setup ---- */

static size_t plain_length(const char *name)
{
    size_t n = strlen(name);
    while (n > 1 && name[n - 1] == '.')
        n--;
    return n;
}

/* Number of the channel of this name; a new one gets the next. */
static int32_t channel_of(struct signal *t, const char *name)
{
    const size_t n = plain_length(name);
    for (int32_t i = 0; i < t->channels; i++)
        if (plain_length(t->name[i]) == n && strncasecmp(t->name[i], name, n) == 0)
            return i;
    t->name[t->channels] = name;
    return t->channels++;
}

static int name_channels(struct signal *t, const struct loom_catalog *c, struct loom_error *e)
{
    size_t dims = 0;
    t->recordings = loom_catalog_count(c);
    for (int32_t i = 0; i < t->recordings; i++) {
        const struct loom_series *s = loom_recording_series(loom_catalog_recording(c, i), t->series);
        if (!s)
            return loom_fail(e, LOOM_EDATA, NULL, 0,
                             "'%s' is no series but a column of the trials, and vq-signal finds codes for series: let "
                             "tokenizer 'label' serve it",
                             t->series);
        dims += (size_t)s->dims;
    }
    t->name = calloc(dims + 1, sizeof(*t->name));
    t->channel = calloc((size_t)t->recordings + 1, sizeof(*t->channel));
    for (int32_t i = 0; t->name && t->channel && i < t->recordings; i++) {
        const struct loom_series *s = loom_recording_series(loom_catalog_recording(c, i), t->series);
        t->channel[i] = calloc((size_t)s->dims + 1, sizeof(**t->channel));
        if (!t->channel[i])
            return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for the channels of '%s'", t->series);
        for (int32_t d = 0; d < s->dims; d++)
            t->channel[i][d] = channel_of(t, s->dim_name[d]);
    }
    return t->name && t->channel
               ? LOOM_OK
               : loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for the channels of '%s'", t->series);
}

static void signal_destroy(void *self)
{
    struct signal *t = self;
    for (int32_t i = 0; t && t->channel && i < t->recordings; i++)
        free(t->channel[i]);
    if (t) {
        free(t->channel);
        free(t->name);
    }
    free(t);
}

static int signal_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    const struct loom_options *o = loom_setup_options(s);
    int status = loom_setup_behavior(s, loom_setup_modality(s), 0.0, e);
    if (status != LOOM_OK)
        return status;
    struct signal *t = calloc(1, sizeof(*t));
    if (!t)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for a tokenizer");
    snprintf(t->series, sizeof(t->series), "%s", loom_setup_modality(s));
    t->samples = (int32_t)loom_opt_int(o, "patch_samples");
    t->spectrum = loom_opt_is(o, "spectrum", "sincos")    ? VQ_SINCOS
                  : loom_opt_is(o, "spectrum", "wrapped") ? VQ_WRAPPED
                                                          : VQ_NO_SPECTRUM;
    vq_quantiser_init(&t->quantiser, s, content);
    status = name_channels(t, loom_setup_catalog(s), e);
    if (status != LOOM_OK) {
        signal_destroy(t);
        return status;
    }
    *self = t;
    return LOOM_OK;
}

static int signal_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    static const char *const axes[] = {"space", NULL};
    (void)self;
    (void)e;
    t->offers = LOOM_CONTENT | LOOM_CODES;
    t->axes = axes;
    t->likelihood = "gaussian";
    return LOOM_OK;
}

/* ---- rows ---- */

/* Samples first … end of one dimension. An element's index says channel × samples + place in the patch. */
static int append_patch(const struct signal *t, const struct loom_window *w, const struct loom_window_series *x,
                        struct loom_rows_builder *b, int32_t first, int32_t end, int32_t d)
{
    const int32_t channel = t->channel[w->recording][d], n = end - first;
    const double space = channel, time = 0.5 * (x->time_s[first] + x->time_s[end - 1]);
    int32_t *index = loom_rows_scratch(b, (size_t)n * sizeof(*index));
    loom_real *value = loom_rows_scratch(b, (size_t)n * sizeof(*value));
    uint8_t *held = loom_rows_scratch(b, (size_t)n);
    if (!index || !value || !held)
        return LOOM_ENOMEM;
    for (int32_t k = 0; k < n; k++) {
        value[k] = x->value[(int64_t)(first + k) * x->dims + d];
        held[k] = isfinite((double)value[k]) ? 0 : 2;
        index[k] = channel * t->samples + k;
    }
    return loom_rows_append(b, time, &space, loom_rows_layout(b, n, index), value, held);
}

static int signal_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *b,
                           struct loom_error *e)
{
    const struct signal *t = self;
    const struct loom_window_series *x = NULL;
    (void)e;
    for (int32_t i = 0; i < w->series_count; i++)
        if (strcmp(w->series[i].name, t->series) == 0)
            x = &w->series[i];
    for (int32_t first = 0; x && first < x->samples; first += t->samples) {
        const int32_t end = first + t->samples < x->samples ? first + t->samples : x->samples;
        for (int32_t d = 0; d < x->dims; d++) {
            int status = append_patch(t, w, x, b, first, end, d);
            if (status != LOOM_OK)
                return status;
        }
    }
    return LOOM_OK;
}

/* ---- graph ---- */

/* A number of each element's channel, a row of STATE `name` [channels, 1]; → [n, 1]. */
static struct loom_node *of_channel(const struct signal *t, struct loom_build *b, const char *name, const char *init,
                                    int64_t n, const int32_t *channel)
{
    struct loom_graph *g = loom_build_graph(b);
    struct loom_node *each = loom_state(b, name, 2, (const int64_t[]){t->channels, 1}, init);
    return loom_gather(g, each, loom_input(g, LOOM_I32, 1, &n, channel));
}

/* x [n, 1] in deviations of each channel over the train split. Fitting passes find them where `there` is not 0; NULL:
 * they are found elsewhere. */
static struct loom_node *deviations(const struct signal *t, struct loom_build *b, struct loom_node *x, int64_t n,
                                    const int32_t *channel, const loom_real *there)
{
    struct loom_graph *g = loom_build_graph(b);
    if (there && loom_fitting(b))
        loom_sum_into(b, "moments",
                      vq_sums(g, loom_input(g, LOOM_I32, 1, &n, channel), x, loom_input(g, LOOM_REAL, 1, &n, there),
                              t->channels));
    loom_state(b, "deviation", 2, (const int64_t[]){t->channels, 1}, "ones");
    x = loom_sub(g, x, of_channel(t, b, "mean", "zeros", n, channel));
    return loom_mul(g, x, of_channel(t, b, "inverse_deviation", "ones", n, channel));
}

/* Content of rows in patches [R, samples], and 1 where there is some. Of questions their truth. */
struct patches {
    loom_real *value, *there;
    int32_t *channel;
};

static int fill(const struct signal *t, struct loom_graph *g, const struct loom_rows *rows, struct patches *p)
{
    const size_t n = (size_t)rows->rows * (size_t)t->samples;
    const loom_real *value = rows->target ? rows->target : rows->value;
    *p = (struct patches){loom_graph_alloc(g, (n + 1) * sizeof(*p->value)),
                          loom_graph_alloc(g, (n + 1) * sizeof(*p->there)),
                          loom_graph_alloc(g, (n + 1) * sizeof(*p->channel))};
    if (!p->value || !p->there || !p->channel)
        return 0;
    memset(p->value, 0, n * sizeof(*p->value));
    memset(p->there, 0, n * sizeof(*p->there));
    for (int32_t r = 0; r < rows->rows; r++) {
        const struct loom_layout *l = &rows->layout_of[rows->layout[r]];
        for (int32_t k = 0; k < t->samples; k++)
            p->channel[(int64_t)r * t->samples + k] = l->n > 0 ? l->index[0] / t->samples : 0;
        for (int32_t i = rows->first_elem[r], k = 0; i < rows->first_elem[r + 1]; i++, k++) {
            const int64_t at = (int64_t)r * t->samples + l->index[k] % t->samples;
            if (rows->held[i] || !isfinite((double)value[i]))
                continue;
            p->value[at] = value[i];
            p->there[at] = 1;
        }
    }
    return 1;
}

/* [R, samples] in deviations; what is missing is 0. Of questions truth finds the moments: there it is known what
 * counts.
 */
static struct loom_node *content(const void *self, struct loom_build *b, const struct loom_rows *rows)
{
    const struct signal *t = self;
    struct loom_graph *g = loom_build_graph(b);
    const int64_t shape[2] = {rows->rows, t->samples}, n = shape[0] * shape[1];
    struct patches p;
    if (!fill(t, g, rows, &p))
        return loom_constant(g, 2, shape, 0.0);
    struct loom_node *x = loom_input(g, LOOM_REAL, 2, (const int64_t[]){n, 1}, p.value);
    x = loom_reshape(g, deviations(t, b, x, n, p.channel, rows->target ? NULL : p.there), 2, shape);
    return loom_mul(g, x, loom_input(g, LOOM_REAL, 2, shape, p.there));
}

/* Of y [R, samples] what was asked for: [E, 1]. */
static struct loom_node *elements(const struct signal *t, struct loom_build *b, const struct loom_rows *ask,
                                  struct loom_node *y)
{
    struct loom_graph *g = loom_build_graph(b);
    int64_t n = ask->elems;
    int32_t *slot = loom_graph_alloc(g, ((size_t)n + 1) * sizeof(*slot));
    for (int32_t r = 0; slot && r < ask->rows; r++)
        for (int32_t i = ask->first_elem[r], k = 0; i < ask->first_elem[r + 1]; i++, k++)
            slot[i] = r * t->samples + ask->layout_of[ask->layout[r]].index[k] % t->samples;
    y = loom_reshape(g, y, 2, (const int64_t[]){(int64_t)ask->rows * t->samples, 1});
    return loom_gather(g, y, loom_input(g, LOOM_I32, 1, &n, slot));
}

static struct loom_node *signal_read(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                     struct loom_node *answer)
{
    const struct signal *t = self;
    return elements(t, b, ask, loom_nn_linear(b, "samples", answer, t->samples, LOOM_ACT_NONE));
}

/* Channel of every element of a question. */
static const int32_t *channels_of(const struct signal *t, struct loom_build *b, const struct loom_rows *ask)
{
    int32_t *channel = loom_graph_alloc(loom_build_graph(b), ((size_t)ask->elems + 1) * sizeof(*channel));
    for (int32_t r = 0; channel && r < ask->rows; r++)
        for (int32_t i = ask->first_elem[r], k = 0; i < ask->first_elem[r + 1]; i++, k++)
            channel[i] = ask->layout_of[ask->layout[r]].index[k] / t->samples;
    return channel;
}

static struct loom_node *signal_truth(const void *self, struct loom_build *b, const struct loom_rows *ask)
{
    const struct signal *t = self;
    struct loom_graph *g = loom_build_graph(b);
    const int32_t *channel = channels_of(t, b, ask);
    const int64_t n = ask->elems;
    struct loom_node *x = loom_input(g, LOOM_REAL, 2, (const int64_t[]){n, 1}, ask->target);
    return loom_reshape(g, deviations(t, b, x, n, channel, ask->weight), 1, &n);
}

static struct loom_node *signal_render(const void *self, struct loom_build *b, const struct loom_rows *ask,
                                       struct loom_node *params)
{
    const struct signal *t = self;
    struct loom_graph *g = loom_build_graph(b);
    const int32_t *channel = channels_of(t, b, ask);
    const int64_t n = ask->elems;
    struct loom_node *x = loom_reshape(g, params, 2, (const int64_t[]){n, 1});
    x = loom_mul(g, x, of_channel(t, b, "deviation", "ones", n, channel));
    return loom_reshape(g, loom_add(g, x, of_channel(t, b, "mean", "zeros", n, channel)), 1, &n);
}

/* ---- codes ---- */

/* Σ over rows of the mean squared error over all frequencies of the circle, of amplitude and of phase. Rows with a
 * sample that is missing or not scored have no spectrum. */
static struct loom_node *spectrum(const struct signal *t, struct loom_build *b, const struct loom_rows *ask,
                                  struct loom_node *hidden, struct loom_node *x)
{
    struct loom_graph *g = loom_build_graph(b);
    const int32_t bins = t->samples / 2 + 1;
    const int64_t shape[2] = {ask->rows, (int64_t)bins * (1 + t->spectrum)};
    loom_real *weight = loom_graph_alloc(g, ((size_t)(shape[0] * shape[1]) + 1) * sizeof(*weight));
    for (int32_t r = 0; weight && r < ask->rows; r++) {
        int whole = ask->first_elem[r + 1] - ask->first_elem[r] == t->samples;
        for (int32_t i = ask->first_elem[r]; i < ask->first_elem[r + 1]; i++)
            whole &= ask->weight[i] != 0;
        for (int64_t k = 0; k < shape[1]; k++) {
            const int64_t f = k % bins;
            weight[r * shape[1] + k] = (loom_real)(whole * (f == 0 || 2 * f == t->samples ? 1.0 : 2.0) / t->samples);
        }
    }
    struct loom_node *y = loom_nn_linear(b, "spectrum", hidden, shape[1], LOOM_ACT_NONE);
    return loom_squared_error(g, y, vq_spectrum(g, x, t->spectrum), loom_input(g, LOOM_REAL, 2, shape, weight));
}

static struct loom_rebuilt signal_rebuild(const void *self, struct loom_build *b, const struct loom_rows *ask)
{
    const struct signal *t = self;
    struct loom_node *x = content(t, b, ask);
    struct loom_rebuilt out = {.least = 0.0};
    loom_scope_push(b, "vq");
    struct loom_node *y = vq_through(&t->quantiser, b, ask, x, &out.commitment);
    y = loom_nn_linear(b, "decoder0", y, t->quantiser.hidden, LOOM_ACT_GELU);
    out.params = elements(t, b, ask, loom_nn_linear(b, "decoder1", y, t->samples, LOOM_ACT_NONE));
    if (t->spectrum != VQ_NO_SPECTRUM)
        out.further = spectrum(t, b, ask, y, x);
    loom_scope_pop(b);
    return out;
}

/* ---- update ---- */

static void settle(const struct signal *t, struct loom_update *u)
{
    const double *sum = loom_update_sum(u, "moments", NULL); /* of each channel: count, Σ x², Σ x */
    loom_real *mean = loom_update_state(u, "mean", NULL), *deviation = loom_update_state(u, "deviation", NULL);
    loom_real *inverse = loom_update_state(u, "inverse_deviation", NULL);
    for (int32_t c = 0; sum && mean && deviation && inverse && c < t->channels; c++, sum += 3) {
        const double n = sum[0] > 0.0 ? sum[0] : 1.0, m = sum[2] / n, variance = sum[1] / n - m * m;
        const double sd = variance > 1e-12 * m * m && variance > 0.0 ? sqrt(variance) : 1.0;
        mean[c] = (loom_real)m;
        deviation[c] = (loom_real)sd;
        inverse[c] = (loom_real)(1.0 / sd);
    }
}

/* The first fitting pass finds deviations; books are fitted to what these make of the samples. */
static int signal_update(const void *self, struct loom_update *u, struct loom_error *e)
{
    const struct signal *t = self;
    const int fitting = loom_update_fitting(u), pass = loom_update_pass(u);
    (void)e;
    if (fitting)
        settle(t, u);
    if (fitting && pass == 0)
        return loom_update_state(u, "vq.codebook", NULL) != NULL;
    return vq_quantiser_update(&t->quantiser, u, fitting ? pass - 1 : 0);
}

static const void *signal_extension(const void *self, const char *id)
{
    static const struct loom_codes codes = {.size = sizeof(struct loom_codes),
                                            .count = vq_count,
                                            .levels = vq_levels,
                                            .codes = vq_codes,
                                            .rebuild = signal_rebuild};
    (void)self;
    return strcmp(id, LOOM_CODES_ID) == 0 ? &codes : NULL;
}

static const struct loom_option options[] = {
    {"patch_samples", LOOM_OPT_INT, 0, "200", "[2,4096]", "samples",
     "of one channel in one row (LaBraM: one second at 200 Hz)"},
    {"input", LOOM_OPT_STRING, 0, "patch", "patch|codes", NULL,
     "what a backbone sees of a row: its samples through a small network, or the vectors of its codes"},
    {"spectrum", LOOM_OPT_STRING, 0, "sincos", "none|wrapped|sincos", NULL,
     "what else codes are trained to bring back: nothing, or amplitudes and phases, these as angles (LaBraM) or as "
     "their sine and cosine, which do not jump at half a turn"},
    VQ_OPTIONS,
    {0}};

static const struct loom_tokenizer table = {.part = {.size = sizeof(struct loom_tokenizer),
                                                     .create = signal_create,
                                                     .destroy = signal_destroy,
                                                     .describe = signal_describe,
                                                     .update = signal_update,
                                                     .extension = signal_extension},
                                            .tokenize = signal_tokenize,
                                            .embed = vq_embed,
                                            .read = signal_read,
                                            .truth = signal_truth,
                                            .render = signal_render};

static const struct loom_op *const ops[] = {&vq_nearest_op, &vq_interleave_op, &vq_sums_op, &vq_spectrum_op, NULL};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "vq-signal",
                                          .version = "0.1",
                                          .summary = "patches of samples of one channel with codes of a learnt book",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .options = options,
                                          .table = &table,
                                          .ops = ops};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
