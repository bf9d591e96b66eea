/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated recordings whose truth is known. Everything drawn is a function of names: (seed, subject, unit, day).
 *
 * reach   subjects make planar reaches; units fire with log-linear tuning to the hand's future velocity, speed and
 *         position, preferred directions turn with posture (Caminiti, Johnson, Urbano, J Neurosci 1990), slow states
 *         are shared, noise is private. From day to day units are lost and found, and tuning drifts.
 * lorenz  LFADS's benchmark (Sussillo, Jozefowicz, Abbott, Pandarinath 2016; Pandarinath et al., Nat Methods 2018).
 * chaos   a chaotic rate network, g = 1.5 (the same papers; Ye and Pandarinath, NDT, 2021). */
#include <loom/plugin.h>
#include <loom/rng.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct loom_option options[] = {
    {"kind", LOOM_OPT_STRING, 0, "reach", "reach|lorenz|chaos", NULL, "what is simulated"},
    {"seed", LOOM_OPT_INT, 0, "0", NULL, NULL, "another number makes another world"},
    {"subjects", LOOM_OPT_INT, 0, "1", "[1,100]", NULL, "reach: animals"},
    {"sessions", LOOM_OPT_INT, 0, "1", "[1,1000]", NULL, "reach: days of recording of each animal"},
    {"units", LOOM_OPT_INT, 0, "0", "[0,2000]", NULL, "units of a recording; 0 = 96, 60, 50 for reach, lorenz, chaos"},
    {"trials", LOOM_OPT_INT, 0, "0", "[0,100000]", NULL, "trials of a recording; 0 = 300, 800, 1300"},
    {"conditions", LOOM_OPT_INT, 0, "0", "[0,100000]", NULL, "lorenz, chaos: initial states; 0 = 20, 130"},
    {"task", LOOM_OPT_STRING, 0, "centre_out", "centre_out|random_target", NULL,
     "reach: eight targets around a centre, or each target anywhere"},
    {"turnover", LOOM_OPT_REAL, 0, "0.2", "[0,1]", NULL, "reach: share of units replaced from one day to the next"},
    {"drift", LOOM_OPT_REAL, 0, "8.0", "[0,180]", "degrees", "reach: spread of a day's change of preferred direction"},
    {"gain_drift", LOOM_OPT_REAL, 0, "0.1", "[0,2]", NULL, "reach: spread of a day's change of log rate"},
    {"rate", LOOM_OPT_REAL, 0, "8.0", "(0,500]", "Hz", "reach: typical rate of a unit at rest"},
    {"depth", LOOM_OPT_REAL, 0, "0.6", "[0,5]", NULL, "reach: typical change of log rate at full speed"},
    {"posture", LOOM_OPT_REAL, 0, "70.0", "[0,180]", "degrees",
     "reach: turn of preferred directions from the centre to a target; what a linear decoder cannot undo"},
    {"shared", LOOM_OPT_REAL, 0, "0.3", "[0,3]", NULL,
     "reach: spread of log rate due to slow states shared by all units"},
    {"noise", LOOM_OPT_REAL, 0, "0.3", "[0,3]", NULL, "reach: spread of log rate that is each unit's own"},
    {"truth", LOOM_OPT_BOOL, 0, "false", NULL, NULL,
     "offer the true rates and latents as the series rates and latents"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
};

struct sim {
    const struct loom_options *o;
    uint64_t seed;
};

static int sim_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the simulator");
    sim->o = loom_setup_options(s);
    sim->seed = (uint64_t)loom_opt_int(sim->o, "seed");
    *self = sim;
    return LOOM_OK;
}

static void sim_destroy(void *self)
{
    free(self);
}

static int32_t count_of(const struct sim *s, const char *option, int32_t otherwise)
{
    int64_t n = loom_opt_int(s->o, option);
    return n > 0 ? (int32_t)n : otherwise;
}

static void stream(const struct sim *s, struct loom_rng *g, const char *purpose, int64_t number, const char *name)
{
    loom_rng_init(g, s->seed, purpose, (uint64_t)number, loom_hash(name, strlen(name), 0));
}

/* Poisson spikes of one step, uniform inside it. Times stay clear of the step's end: rounding must not move one on. */
static size_t step_spikes(struct loom_rng *g, double mean, double start_s, double step_s, double *out, size_t room)
{
    int64_t n = loom_rng_poisson(g, mean);
    size_t kept = 0;
    for (int64_t i = 0; i < n && kept < room; i++)
        out[kept++] = start_s + step_s * 0.999999 * loom_rng_uniform(g);
    return kept;
}

static const char *const dim_xy[] = {"x", "y"};

/* "prefix0", "prefix1", …; one block of memory. */
static const char **numbered(const char *prefix, int32_t n)
{
    enum { TEXT = 24 };
    const char **name = malloc((size_t)n * (sizeof *name + TEXT) + 1);
    char *text = name != NULL ? (char *)(name + n) : NULL;
    for (int32_t i = 0; name != NULL && i < n; i++) {
        snprintf(text + (size_t)i * TEXT, TEXT, "%s%d", prefix, (int)i);
        name[i] = text + (size_t)i * TEXT;
    }
    return name;
}

static int put_series(struct loom_sink *sink, const char *name, const char *unit, int32_t dims, const char *prefix,
                      double rate_hz, int64_t samples, const float *value)
{
    const char **names = prefix != NULL ? numbered(prefix, dims) : NULL;
    if (prefix != NULL && names == NULL)
        return LOOM_ENOMEM;
    int series = loom_sink_series(sink, name, unit, dims, prefix != NULL ? names : dim_xy, rate_hz, 0.0);
    int rc = series < 0 ? series : loom_sink_samples(sink, series, samples, NULL, value);
    free(names);
    return rc;
}

/* ---- reach: the hand ---- */

/* Steps of 5 ms; behaviour is sampled at every second one. RADIUS and SPEED: scales of tuning. */
enum { STEP_HZ = 200, HAND_HZ = 100, SLOW = 3, SPIKES = 4096 };
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
    stream(d->sim, &g, "hand", d->number, d->subject);
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
    stream(d->sim, &g, "slow", d->number, d->subject);
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
        stream(d->sim, &g, "turnover", day, name);
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
    stream(d->sim, &g, "unit", 0, name);
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
        stream(d->sim, &g, "drift", day, name);
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
                                             .region = "M1",
                                             .electrode = unit,
                                             .x = column * 400.0,
                                             .y = row * 400.0,
                                             .z = 0.0});
    stream(d->sim, &g, "spikes", d->number, key);
    for (int64_t t = 0; t < d->steps; t++) {
        if (t % EVERY == 0)
            own = slower(&g, own, keep);
        double x = log_rate_at(d, &u, t) + noise * own, rate = x < log(300.0) ? exp(x) : 300.0;
        if (d->rates != NULL && t % (STEP_HZ / HAND_HZ) == 0)
            d->rates[t / (STEP_HZ / HAND_HZ) * d->units + unit] = (float)rate;
        n += step_spikes(&g, rate * step_s, (double)t * step_s, step_s, d->spike + n, SPIKES - n);
        if (n > SPIKES / 2 || t + 1 == d->steps) {
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
    d->spike = malloc(SPIKES * sizeof *d->spike);
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

static int simulate_day(const struct sim *s, int subject, int number, struct loom_sink *sink)
{
    struct day d = {
        .sim = s, .number = number, .trials = count_of(s, "trials", 300), .units = count_of(s, "units", 96)};
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

/* Initial states U(-10, 10), five time units later, on the attractor; states standardised by (0, 0, 25.8) and (8.6, 9.4, 7.2); readout U(-1, 1); rate in Hz is
 * the exponential. */
static void lorenz_truth(const struct sim *s, struct truth *t, double *readout)
{
    static const double mean[3] = {0.0, 0.0, 25.8}, spread[3] = {8.6, 9.4, 7.2};
    struct loom_rng g;
    stream(s, &g, "readout", 0, "lorenz");
    for (int32_t i = 0; i < 3 * t->units; i++)
        readout[i] = 2.0 * loom_rng_uniform(&g) - 1.0;
    for (int32_t c = 0; c < t->conditions; c++) {
        double x[3];
        stream(s, &g, "condition", c, "lorenz");
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
    stream(s, &g, "weights", 0, "chaos");
    for (int64_t i = 0; i < (int64_t)n * n; i++)
        weight[i] = loom_rng_normal(&g) / sqrt((double)n);
    for (int32_t c = 0; c < t->conditions; c++) {
        stream(s, &g, "condition", c, "chaos");
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
    stream(s, &g, "spikes", unit, loom_opt_string(s->o, "kind"));
    for (int32_t k = 0; k < t->trials; k++) {
        const float *rate = t->rate + (int64_t)(k % t->conditions) * BINS * t->units + unit;
        for (int32_t b = 0; b < BINS; b++)
            n += step_spikes(&g, (double)rate[b * t->units] * BIN_S, TRIAL_S * k + BIN_S * b, BIN_S, spike + n,
                             SPIKES - n);
        if (n > SPIKES / 2 || k + 1 == t->trials) {
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
    const char **names = numbered(name, dims);
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

static int simulate_repeats(const struct sim *s, struct loom_sink *sink)
{
    const int lorenz = loom_opt_is(s->o, "kind", "lorenz");
    const char *kind = loom_opt_string(s->o, "kind");
    struct truth t = {.trials = count_of(s, "trials", lorenz ? 800 : 1300),
                      .units = count_of(s, "units", lorenz ? 60 : CELLS),
                      .conditions = count_of(s, "conditions", lorenz ? 20 : 130)};
    const size_t n = (size_t)t.conditions * BINS, units = (size_t)t.units;
    t.dims = lorenz ? 3 : t.units;
    t.rate = malloc(n * units * sizeof *t.rate);
    t.latent = malloc(n * (size_t)t.dims * sizeof *t.latent);
    double *work = malloc((units * units + 3 * units + SPIKES) * sizeof *work);
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

static int sim_read(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    const struct sim *s = self;
    int rc = LOOM_OK;
    if (file != NULL)
        return loom_fail(e, LOOM_ECONFIG, file, 0, "the simulator reads no files: leave data.files out");
    if (!loom_opt_is(s->o, "kind", "reach"))
        rc = simulate_repeats(s, sink);
    else
        for (int i = 0; i < (int)loom_opt_int(s->o, "subjects"); i++)
            for (int k = 0; k < (int)loom_opt_int(s->o, "sessions") && rc == LOOM_OK; k++)
                rc = simulate_day(s, i, k, sink);
    return rc == LOOM_OK ? rc : loom_fail(e, rc, NULL, 0, "the simulation could not be written: make it smaller");
}

static const struct loom_source source = {
    .part = {.size = sizeof source, .create = sim_create, .destroy = sim_destroy},
    .read = sim_read,
};

static const struct loom_plugin plugin = {
    .size = sizeof plugin,
    .build = LOOM_BUILD_BLOCK,
    .id = "sim",
    .version = "1.0.0",
    .summary = "simulated reaching over days, Lorenz and chaotic networks, with known truth",
    .license = "Apache-2.0",
    .kind = LOOM_SOURCE,
    .options = options,
    .table = &source,
};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
