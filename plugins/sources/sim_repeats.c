/* SPDX-License-Identifier: Apache-2.0 */
/* Trials around repeated initial states: see sim.c */
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lorenz, chaos: trials of one second around repeated initial states, in bins of 10 ms ---- */

enum { BINS = 100, CELLS = 50 };
#define BIN_S 0.01
#define TRIAL_S 2.0 /* from one trial's start to the next: nobody recorded in between */

struct truth {
    int32_t trials, units, conditions, dims;
    float *rate;   /* Hz [conditions, BINS, units] */
    float *latent; /* [conditions, BINS, dims] */
};

static void lorenz_slope(const double x[3], double out[3])
{
    out[0] = 10.0 * (x[1] - x[0]);
    out[1] = x[0] * (28.0 - x[2]) - x[1];
    out[2] = x[0] * x[1] - 8.0 / 3.0 * x[2];
}

/* Runge-Kutta of fourth order. */
static void lorenz_step(double x[3], double h)
{
    static const double ahead[4] = {0.0, 0.5, 0.5, 1.0}, weight[4] = {1.0, 2.0, 2.0, 1.0};
    double slope[3] = {0.0, 0.0, 0.0}, sum[3] = {0.0, 0.0, 0.0};
    for (int k = 0; k < 4; k++) {
        double at[3];
        for (int i = 0; i < 3; i++)
            at[i] = x[i] + h * ahead[k] * slope[i];
        lorenz_slope(at, slope);
        for (int i = 0; i < 3; i++)
            sum[i] += weight[k] * slope[i];
    }
    for (int i = 0; i < 3; i++)
        x[i] += h / 6.0 * sum[i];
}

/* Initial states U(-10, 10), five time units later, on the attractor; states standardised by (0, 0, 25.8) and
 * (8.6, 9.4, 7.2); readout U(-1, 1); rate in Hz is the exponential. */
static void lorenz_truth(const struct sim *s, struct truth *t, double *readout)
{
    static const double mean[3] = {0.0, 0.0, 25.8}, spread[3] = {8.6, 9.4, 7.2};
    struct loom_rng g;
    sim_stream(s, &g, "readout", 0, "lorenz");
    for (int32_t i = 0; i < 3 * t->units; i++)
        readout[i] = 2.0 * loom_rng_uniform(&g) - 1.0;
    for (int32_t c = 0; c < t->conditions; c++) {
        double x[3];
        sim_stream(s, &g, "condition", c, "lorenz");
        for (int i = 0; i < 3; i++)
            x[i] = 20.0 * loom_rng_uniform(&g) - 10.0;
        for (int i = 0; i < 500; i++)
            lorenz_step(x, BIN_S);
        for (int32_t b = 0; b < BINS; b++) {
            const int64_t at = (int64_t)c * BINS + b;
            for (int i = 0; i < 3; i++)
                t->latent[at * 3 + i] = (float)((x[i] - mean[i]) / spread[i]);
            for (int32_t u = 0; u < t->units; u++) {
                double log_rate = 0.0;
                for (int i = 0; i < 3; i++)
                    log_rate += (double)t->latent[at * 3 + i] * readout[i * t->units + u];
                t->rate[at * t->units + u] = (float)exp(log_rate);
            }
            lorenz_step(x, BIN_S);
        }
    }
}

/* Rates between 0 and 30 Hz: each unit's tanh(x) stretched to its range within the condition. */
static void stretch(struct truth *t, int32_t c, int32_t u)
{
    float *rate = t->rate + (int64_t)c * BINS * t->units + u;
    float low = rate[0], high = rate[0];
    for (int32_t b = 1; b < BINS; b++) {
        low = fminf(low, rate[b * t->units]);
        high = fmaxf(high, rate[b * t->units]);
    }
    for (int32_t b = 0; b < BINS; b++)
        rate[b * t->units] = high > low ? 30.0f * (rate[b * t->units] - low) / (high - low) : 0.0f;
}

/* x' = (1 - dt/tau) x + (dt/tau) g W tanh(x), W ~ N(0, 1/N), g = 1.5, tau = 25 ms, dt = 10 ms, x0 ~ N(0, 1). The units
 * are the network's cells. */
static void chaos_truth(const struct sim *s, struct truth *t, double *work)
{
    const int32_t n = t->units;
    double *weight = work, *x = work + (int64_t)n * n, *r = x + n;
    struct loom_rng g;
    sim_stream(s, &g, "weights", 0, "chaos");
    for (int64_t i = 0; i < (int64_t)n * n; i++)
        weight[i] = loom_rng_normal(&g) / sqrt((double)n);
    for (int32_t c = 0; c < t->conditions; c++) {
        sim_stream(s, &g, "condition", c, "chaos");
        for (int32_t i = 0; i < n; i++)
            x[i] = loom_rng_normal(&g);
        for (int32_t b = 0; b < BINS; b++) {
            const int64_t at = ((int64_t)c * BINS + b) * n;
            for (int32_t i = 0; i < n; i++) {
                r[i] = tanh(x[i]);
                t->rate[at + i] = t->latent[at + i] = (float)r[i];
            }
            for (int32_t i = 0; i < n; i++) {
                double in = 0.0;
                for (int32_t k = 0; k < n; k++)
                    in += weight[(int64_t)i * n + k] * r[k];
                x[i] += 0.01 / 0.025 * (1.5 * in - x[i]);
            }
        }
        for (int32_t u = 0; u < n; u++)
            stretch(t, c, u);
    }
}

static int put_spikes(const struct sim *s, const struct truth *t, int32_t unit, double *spike, struct loom_sink *sink)
{
    char name[24];
    struct loom_rng g;
    size_t n = 0;
    snprintf(name, sizeof name, "unit%d", (int)unit);
    loom_sink_unit(sink, &(struct loom_unit){
                             .name = name, .group = "", .region = "", .electrode = -1, .x = NAN, .y = NAN, .z = NAN});
    sim_stream(s, &g, "spikes", unit, loom_opt_string(s->o, "kind"));
    for (int32_t k = 0; k < t->trials; k++) {
        const float *rate = t->rate + (int64_t)(k % t->conditions) * BINS * t->units + unit;
        for (int32_t b = 0; b < BINS; b++)
            n += sim_spikes(&g, (double)rate[b * t->units] * BIN_S, TRIAL_S * k + BIN_S * b, BIN_S, spike + n,
                            SIM_SPIKES - n);
        if (n > SIM_SPIKES / 2 || k + 1 == t->trials) {
            int rc = loom_sink_spikes(sink, unit, spike, n);
            if (rc != LOOM_OK)
                return rc;
            n = 0;
        }
    }
    return LOOM_OK;
}

/* A series that stands at the same values in every trial of a condition. */
static int put_repeated(const struct truth *t, const char *name, const char *unit, int32_t dims, const float *of,
                        struct loom_sink *sink)
{
    const char **names = sim_numbered(name, dims);
    double time[BINS];
    int series = names != NULL ? loom_sink_series(sink, name, unit, dims, names, 0.0, 0.0) : LOOM_ENOMEM;
    int rc = series < 0 ? series : LOOM_OK;
    for (int32_t k = 0; k < t->trials && rc == LOOM_OK; k++) {
        for (int b = 0; b < BINS; b++)
            time[b] = TRIAL_S * k + BIN_S * b;
        rc = loom_sink_samples(sink, series, BINS, time, of + (int64_t)(k % t->conditions) * BINS * dims);
    }
    free(names);
    return rc;
}

static int put_repeats(const struct truth *t, struct loom_sink *sink)
{
    double *start = malloc(3 * (size_t)t->trials * sizeof *start + 1);
    int rc = start != NULL ? LOOM_OK : LOOM_ENOMEM;
    for (int32_t k = 0; k < t->trials && rc == LOOM_OK; k++) {
        start[k] = TRIAL_S * k;
        start[t->trials + k] = TRIAL_S * k + BIN_S * BINS;
        start[2 * t->trials + k] = k % t->conditions;
        rc = loom_sink_observed(sink, start[k], start[t->trials + k]);
    }
    if (rc == LOOM_OK)
        rc = loom_sink_intervals(sink, "trials", t->trials, start, start + t->trials);
    if (rc == LOOM_OK)
        rc = loom_sink_numbers(sink, "condition", start + 2 * t->trials);
    free(start);
    return rc;
}

int sim_repeats(const struct sim *s, struct loom_sink *sink)
{
    const int lorenz = loom_opt_is(s->o, "kind", "lorenz");
    const char *kind = loom_opt_string(s->o, "kind");
    struct truth t = {.trials = sim_count(s, "trials", lorenz ? 800 : 1300),
                      .units = sim_count(s, "units", lorenz ? 60 : CELLS),
                      .conditions = sim_count(s, "conditions", lorenz ? 20 : 130)};
    const size_t n = (size_t)t.conditions * BINS, units = (size_t)t.units;
    t.dims = lorenz ? 3 : t.units;
    t.rate = malloc(n * units * sizeof *t.rate);
    t.latent = malloc(n * (size_t)t.dims * sizeof *t.latent);
    double *work = malloc((units * units + 3 * units + SIM_SPIKES) * sizeof *work);
    int rc = t.rate != NULL && t.latent != NULL && work != NULL ? LOOM_OK : LOOM_ENOMEM;
    if (rc == LOOM_OK) {
        (lorenz ? lorenz_truth : chaos_truth)(s, &t, work);
        rc = loom_sink_recording(sink, kind, "simulated", kind, kind, NULL);
    }
    for (int32_t u = 0; u < t.units && rc == LOOM_OK; u++)
        rc = put_spikes(s, &t, u, work, sink);
    if (rc == LOOM_OK)
        rc = put_repeats(&t, sink);
    if (rc == LOOM_OK && loom_opt_bool(s->o, "truth"))
        rc = put_repeated(&t, "rates", "Hz", t.units, t.rate, sink);
    if (rc == LOOM_OK && loom_opt_bool(s->o, "truth"))
        rc = put_repeated(&t, "latents", "", t.dims, t.latent, sink);
    free(t.rate);
    free(t.latent);
    free(work);
    return rc;
}
