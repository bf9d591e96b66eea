/* SPDX-License-Identifier: Apache-2.0 */
/* Days of planar reaching: see sim.c */
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const dim_xy[] = {"x", "y"};

static int put_series(struct loom_sink *sink, const char *name, const char *unit, int32_t dims, const char *prefix,
                      double rate_hz, int64_t samples, const float *value)
{
    const char **names = prefix != NULL ? sim_numbered(prefix, dims) : NULL;
    if (prefix != NULL && names == NULL)
        return LOOM_ENOMEM;
    int series = loom_sink_series(sink, name, unit, dims, prefix != NULL ? names : dim_xy, rate_hz, 0.0);
    int rc = series < 0 ? series : loom_sink_samples(sink, series, samples, NULL, value);
    free(names);
    return rc;
}

/* ---- reach: the hand ---- */

/* Steps of 5 ms; behaviour is sampled at every second one. RADIUS and SPEED: scales of tuning. */
enum { STEP_HZ = 200, HAND_HZ = 100, SLOW = 3 };
#define RADIUS 8.0
#define SPEED 20.0

struct day {
    const struct sim *sim;
    char subject[24], id[48];
    int32_t number, trials, units;
    int64_t steps, capacity;
    double (*hand)[2];     /* cm */
    double (*velocity)[2]; /* cm/s */
    double (*slow)[SLOW];
    double *start, *stop, *go, *target, *target_x, *target_y, *angle; /* [trials] */
    float *rates;                                                     /* [samples, units] or NULL */
    double *spike;                                                    /* scratch */
};

static void add_step(struct day *d, double x, double y)
{
    if (d->steps < d->capacity) {
        d->hand[d->steps][0] = x;
        d->hand[d->steps][1] = y;
        d->steps++;
    }
}

static void hold(struct day *d, double seconds)
{
    const double x = d->steps > 0 ? d->hand[d->steps - 1][0] : 0.0, y = d->steps > 0 ? d->hand[d->steps - 1][1] : 0.0;
    for (int64_t n = (int64_t)(seconds * STEP_HZ); n > 0; n--)
        add_step(d, x, y);
}

/* Minimum jerk (Flash and Hogan, J Neurosci 1985), bent sideways by `bend` of its length. */
static void move(struct day *d, double x, double y, double seconds, double bend)
{
    const double x0 = d->hand[d->steps - 1][0], y0 = d->hand[d->steps - 1][1];
    const int64_t n = (int64_t)(seconds * STEP_HZ);
    for (int64_t i = 1; i <= n; i++) {
        double s = (double)i / (double)n, along = s * s * s * (10.0 + s * (6.0 * s - 15.0));
        double side = bend * 16.0 * s * s * (1.0 - s) * (1.0 - s);
        add_step(d, x0 + (x - x0) * along - (y - y0) * side, y0 + (y - y0) * along + (x - x0) * side);
    }
}

static void one_trial(struct day *d, struct loom_rng *g, int32_t i, int centre_out)
{
    const double octant = (double)loom_rng_below(g, 8), pi = acos(-1.0);
    const double *at = d->hand[d->steps - 1];
    const double from_x = at[0], from_y = at[1];
    double x = RADIUS * cos(octant * pi / 4.0), y = RADIUS * sin(octant * pi / 4.0);
    if (!centre_out)
        do {
            x = RADIUS * (2.0 * loom_rng_uniform(g) - 1.0);
            y = RADIUS * (2.0 * loom_rng_uniform(g) - 1.0);
        } while (hypot(x - from_x, y - from_y) < RADIUS / 2.0);
    const double wait = 0.25 + 0.1 * loom_rng_uniform(g), reach = 0.45 + 0.35 * loom_rng_uniform(g);
    const double angle = atan2(y - from_y, x - from_x), turns = angle / (pi / 4.0) + 8.5;
    d->start[i] = (double)d->steps / STEP_HZ;
    d->target[i] = centre_out ? octant : (double)((int)floor(turns) % 8);
    d->target_x[i] = x;
    d->target_y[i] = y;
    d->angle[i] = angle * 180.0 / pi;
    hold(d, wait);
    d->go[i] = (double)d->steps / STEP_HZ;
    const double miss_x = 0.5 * loom_rng_normal(g), miss_y = 0.5 * loom_rng_normal(g);
    move(d, x + miss_x, y + miss_y, reach, 0.1 * loom_rng_normal(g));
    hold(d, 0.2 + 0.2 * loom_rng_uniform(g));
    d->stop[i] = (double)d->steps / STEP_HZ;
    if (!centre_out)
        return;
    hold(d, 0.1 + 0.2 * loom_rng_uniform(g));
    const double home_x = 0.3 * loom_rng_normal(g), home_y = 0.3 * loom_rng_normal(g);
    const double back = 0.5 + 0.3 * loom_rng_uniform(g);
    move(d, home_x, home_y, back, 0.1 * loom_rng_normal(g));
    hold(d, 0.1 + 0.2 * loom_rng_uniform(g));
}

/* One step of first-order autoregressive noise of unit variance; `keep` as keep_of says. */
static double slower(struct loom_rng *g, double x, double keep)
{
    return keep * x + sqrt(1.0 - keep * keep) * loom_rng_normal(g);
}

static double keep_of(double tau_s, double step_s)
{
    return exp(-step_s / tau_s);
}

/* The hand is never quite still: a slow drift of about 1 cm/s that pulls back to where the hand should be. */
static void add_sway(struct day *d, struct loom_rng *g)
{
    const double step_s = 1.0 / STEP_HZ, keep = keep_of(0.15, step_s);
    double at[2] = {0.0, 0.0}, speed[2] = {0.0, 0.0};
    for (int64_t t = 0; t < d->steps; t++)
        for (int k = 0; k < 2; k++) {
            speed[k] = slower(g, speed[k], keep);
            at[k] += step_s * (speed[k] - at[k] / 0.5);
            d->hand[t][k] += at[k];
        }
}

static void simulate_path(struct day *d)
{
    struct loom_rng g;
    const int centre_out = loom_opt_is(d->sim->o, "task", "centre_out");
    sim_stream(d->sim, &g, "hand", d->number, d->subject);
    add_step(d, 0.0, 0.0);
    hold(d, 0.5);
    for (int32_t i = 0; i < d->trials; i++)
        one_trial(d, &g, i, centre_out);
    hold(d, 0.5);
    add_sway(d, &g);
}

/* Velocity as the hand's central difference, and the slow states. */
static void simulate_states(struct day *d)
{
    struct loom_rng g;
    for (int64_t t = 0; t < d->steps; t++)
        for (int k = 0; k < 2; k++) {
            int64_t before = t > 0 ? t - 1 : t, after = t + 1 < d->steps ? t + 1 : t;
            d->velocity[t][k] = (d->hand[after][k] - d->hand[before][k]) * STEP_HZ / (double)(after - before);
        }
    sim_stream(d->sim, &g, "slow", d->number, d->subject);
    for (int k = 0; k < SLOW; k++)
        for (int64_t t = 0; t < d->steps; t++)
            d->slow[t][k] = slower(&g, t > 0 ? d->slow[t - 1][k] : 0.0, keep_of(0.2 * (k + 1), 1.0 / STEP_HZ));
}

/* ---- reach: the units ---- */

struct tuning {
    double base, depth, direction, speed, turn, place_x, place_y, load[SLOW];
    int64_t lead; /* steps by which it fires before the hand moves */
};

/* The unit on an electrode, by the day it came: the last day on which the electrode was refilled. */
static int32_t generation(const struct day *d, int32_t electrode)
{
    char name[64];
    const double turnover = loom_opt_real(d->sim->o, "turnover");
    int32_t born = 0;
    snprintf(name, sizeof name, "%s/%d", d->subject, (int)electrode);
    for (int32_t day = 1; day <= d->number; day++) {
        struct loom_rng g;
        sim_stream(d->sim, &g, "turnover", day, name);
        if (loom_rng_uniform(&g) < turnover)
            born = day;
    }
    return born;
}

static struct tuning tune(const struct day *d, int32_t electrode, int32_t born)
{
    const struct loom_options *o = d->sim->o;
    const double pi = acos(-1.0), depth = loom_opt_real(o, "depth"), shared = loom_opt_real(o, "shared");
    char name[64];
    struct loom_rng g;
    struct tuning u;
    snprintf(name, sizeof name, "%s/%d/%d", d->subject, (int)electrode, (int)born);
    sim_stream(d->sim, &g, "unit", 0, name);
    u.base = log(loom_opt_real(o, "rate")) + 0.7 * loom_rng_normal(&g);
    u.depth = depth * (0.3 + 1.4 * loom_rng_uniform(&g));
    u.direction = 2.0 * pi * loom_rng_uniform(&g);
    u.speed = depth * 0.5 * loom_rng_normal(&g);
    u.turn = loom_opt_real(o, "posture") * pi / 180.0 * (0.5 + loom_rng_uniform(&g)) / RADIUS;
    u.place_x = depth * 0.4 * loom_rng_normal(&g) / RADIUS;
    u.place_y = depth * 0.4 * loom_rng_normal(&g) / RADIUS;
    u.lead = (int64_t)((0.04 + 0.12 * loom_rng_uniform(&g)) * STEP_HZ);
    for (int k = 0; k < SLOW; k++)
        u.load[k] = shared * loom_rng_normal(&g) / sqrt((double)SLOW);
    for (int32_t day = born + 1; day <= d->number; day++) {
        sim_stream(d->sim, &g, "drift", day, name);
        u.direction += loom_opt_real(o, "drift") * pi / 180.0 * loom_rng_normal(&g);
        u.base += loom_opt_real(o, "gain_drift") * loom_rng_normal(&g);
    }
    return u;
}

static double log_rate_at(const struct day *d, const struct tuning *u, int64_t t)
{
    const int64_t ahead = t + u->lead < d->steps ? t + u->lead : d->steps - 1;
    const double *v = d->velocity[ahead], *p = d->hand[ahead];
    const double direction = u->direction + u->turn * p[0];
    double x = u->base + u->depth * (v[0] * cos(direction) + v[1] * sin(direction)) / SPEED;
    x += u->speed * hypot(v[0], v[1]) / SPEED + u->place_x * p[0] + u->place_y * p[1];
    for (int k = 0; k < SLOW; k++)
        x += u->load[k] * d->slow[t][k];
    return x;
}

static const char *region_of(const struct day *d, int32_t unit)
{
    static const char *const name[] = {"M1", "PMd", "PMv", "S1"};
    return name[(int64_t)unit * loom_opt_int(d->sim->o, "regions") / d->units];
}

static int simulate_unit(struct day *d, int32_t unit, struct loom_sink *sink)
{
    enum { EVERY = 4 }; /* steps between changes of the unit's own noise */
    const int32_t born = generation(d, unit);
    const struct tuning u = tune(d, unit, born);
    const double noise = loom_opt_real(d->sim->o, "noise"), step_s = 1.0 / STEP_HZ, keep = keep_of(0.1, EVERY * step_s);
    char name[32], key[96];
    struct loom_rng g;
    double own = 0.0;
    size_t n = 0;
    snprintf(name, sizeof name, "e%d.%d", (int)unit, (int)born);
    snprintf(key, sizeof key, "%s/%s", d->subject, name);
    const double row = unit % 10, column = (double)(unit / 10);
    loom_sink_unit(sink, &(struct loom_unit){.name = name,
                                             .group = "array",
                                             .region = region_of(d, unit),
                                             .electrode = unit,
                                             .x = column * 400.0,
                                             .y = row * 400.0,
                                             .z = 0.0});
    sim_stream(d->sim, &g, "spikes", d->number, key);
    for (int64_t t = 0; t < d->steps; t++) {
        if (t % EVERY == 0)
            own = slower(&g, own, keep);
        double x = log_rate_at(d, &u, t) + noise * own, rate = x < log(300.0) ? exp(x) : 300.0;
        if (d->rates != NULL && t % (STEP_HZ / HAND_HZ) == 0)
            d->rates[t / (STEP_HZ / HAND_HZ) * d->units + unit] = (float)rate;
        n += sim_spikes(&g, rate * step_s, (double)t * step_s, step_s, d->spike + n, SIM_SPIKES - n);
        if (n > SIM_SPIKES / 2 || t + 1 == d->steps) {
            int rc = loom_sink_spikes(sink, unit, d->spike, n);
            if (rc != LOOM_OK)
                return rc;
            n = 0;
        }
    }
    return LOOM_OK;
}

/* ---- reach: a day ---- */

static void day_release(struct day *d)
{
    free(d->hand);
    free(d->velocity);
    free(d->slow);
    free(d->start);
    free(d->rates);
    free(d->spike);
}

static int day_init(struct day *d, int truth)
{
    enum { LONGEST = 4 * STEP_HZ };
    const size_t n = (size_t)d->trials;
    d->capacity = (int64_t)(n + 1) * LONGEST;
    d->hand = malloc((size_t)d->capacity * sizeof *d->hand);
    d->start = malloc(7 * n * sizeof *d->start + 1);
    d->spike = malloc(SIM_SPIKES * sizeof *d->spike);
    if (d->hand == NULL || d->start == NULL || d->spike == NULL)
        return LOOM_ENOMEM;
    double **column[] = {&d->stop, &d->go, &d->target, &d->target_x, &d->target_y, &d->angle};
    for (size_t i = 0; i < sizeof column / sizeof *column; i++)
        *column[i] = d->start + (i + 1) * n;
    simulate_path(d);
    const size_t steps = (size_t)d->steps, samples = steps / (STEP_HZ / HAND_HZ) + 1;
    d->velocity = malloc(steps * sizeof *d->velocity);
    d->slow = malloc(steps * sizeof *d->slow);
    d->rates = truth ? calloc(samples * (size_t)d->units, sizeof *d->rates) : NULL;
    if (d->velocity == NULL || d->slow == NULL || (truth && d->rates == NULL))
        return LOOM_ENOMEM;
    simulate_states(d);
    return LOOM_OK;
}

static int put_hand(const struct day *d, struct loom_sink *sink)
{
    const int64_t every = STEP_HZ / HAND_HZ, samples = d->steps / every;
    float *value = malloc((size_t)samples * SLOW * sizeof *value + 1);
    int rc = value != NULL ? LOOM_OK : LOOM_ENOMEM;
    for (int k = 0; k < 2 && rc == LOOM_OK; k++) {
        for (int64_t i = 0; i < samples * 2; i++)
            value[i] = (float)(k == 0 ? d->hand : d->velocity)[i / 2 * every][i % 2];
        rc = put_series(sink, k == 0 ? "handPos" : "handVel", k == 0 ? "cm" : "cm/s", 2, NULL, HAND_HZ, samples, value);
    }
    if (rc == LOOM_OK && d->rates != NULL) {
        for (int64_t i = 0; i < samples * SLOW; i++)
            value[i] = (float)d->slow[i / SLOW * every][i % SLOW];
        rc = put_series(sink, "latents", "", SLOW, "z", HAND_HZ, samples, value);
    }
    if (rc == LOOM_OK && d->rates != NULL)
        rc = put_series(sink, "rates", "Hz", d->units, "unit", HAND_HZ, samples, d->rates);
    free(value);
    return rc;
}

static int put_trials(const struct day *d, struct loom_sink *sink)
{
    const struct {
        const char *name;
        const double *value;
    } column[] = {{"go", d->go},
                  {"target", d->target},
                  {"target_x", d->target_x},
                  {"target_y", d->target_y},
                  {"direction", d->angle}};
    int rc = loom_sink_intervals(sink, "trials", d->trials, d->start, d->stop);
    for (size_t i = 0; i < sizeof column / sizeof *column && rc == LOOM_OK; i++)
        rc = loom_sink_numbers(sink, column[i].name, column[i].value);
    return rc;
}

int sim_reach(const struct sim *s, int subject, int number, struct loom_sink *sink)
{
    struct day d = {
        .sim = s, .number = number, .trials = sim_count(s, "trials", 300), .units = sim_count(s, "units", 96)};
    char session[16], date[24];
    snprintf(d.subject, sizeof d.subject, "sim%d", subject + 1);
    snprintf(session, sizeof session, "day%d", number + 1);
    snprintf(d.id, sizeof d.id, "%s_%s", d.subject, session);
    snprintf(date, sizeof date, "2000-%02d-%02d", number / 28 % 12 + 1, number % 28 + 1);
    int rc = loom_sink_recording(sink, d.id, d.subject, d.id, loom_opt_string(s->o, "task"), date);
    if (rc == LOOM_OK)
        rc = day_init(&d, loom_opt_bool(s->o, "truth"));
    for (int32_t u = 0; u < d.units && rc == LOOM_OK; u++)
        rc = simulate_unit(&d, u, sink);
    if (rc == LOOM_OK)
        rc = put_hand(&d, sink);
    if (rc == LOOM_OK)
        rc = put_trials(&d, sink);
    if (rc == LOOM_OK)
        rc = loom_sink_observed(sink, 0.0, (double)d.steps / STEP_HZ);
    day_release(&d);
    return rc;
}
