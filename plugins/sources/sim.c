/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated recordings whose truth is known. Everything drawn is a function of names: (seed, subject, unit, day).
 *
 * reach   subjects make planar reaches; units fire with log-linear tuning to the hand's future velocity, speed and
 *         position, preferred directions turn with posture (Caminiti, Johnson, Urbano, J Neurosci 1990), slow states
 *         are shared, noise is private. From day to day units are lost and found, and tuning drifts.
 * lorenz  LFADS's benchmark (Sussillo, Jozefowicz, Abbott, Pandarinath 2016; Pandarinath et al., Nat Methods 2018).
 * chaos   a chaotic rate network, g = 1.5 (the same papers; Ye and Pandarinath, NDT, 2021). */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct loom_option options[] = {
    {"kind", LOOM_OPT_STRING, 0, "reach", "reach|lorenz|chaos", NULL, "What is simulated."},
    {"seed", LOOM_OPT_INT, 0, "0", NULL, NULL, "Another number makes another world."},
    {"subjects", LOOM_OPT_INT, 0, "1", "[1,100]", NULL, "Reach: animals."},
    {"sessions", LOOM_OPT_INT, 0, "1", "[1,1000]", NULL, "Reach: days of recording of each animal."},
    {"units", LOOM_OPT_INT, 0, "0", "[0,2000]", NULL, "Units of a recording; 0 = 96, 60, 50 for reach, lorenz, chaos."},
    {"trials", LOOM_OPT_INT, 0, "0", "[0,100000]", NULL, "Trials of a recording; 0 = 300, 800, 1300."},
    {"conditions", LOOM_OPT_INT, 0, "0", "[0,100000]", NULL, "Lorenz, chaos: initial states; 0 = 20, 130."},
    {"regions", LOOM_OPT_INT, 0, "1", "[1,4]", NULL,
     "Reach: regions that neighbouring units are dealt to: M1, PMd, PMv, S1. Their tuning does not hang on it."},
    {"task", LOOM_OPT_STRING, 0, "centre_out", "centre_out|random_target", NULL,
     "Reach: eight targets around a centre, or each target anywhere."},
    {"turnover", LOOM_OPT_REAL, 0, "0.2", "[0,1]", NULL, "Reach: share of units replaced from one day to the next."},
    {"drift", LOOM_OPT_REAL, 0, "8.0", "[0,180]", "degrees", "Reach: spread of a day's change of preferred direction."},
    {"gain_drift", LOOM_OPT_REAL, 0, "0.1", "[0,2]", NULL, "Reach: spread of a day's change of log rate."},
    {"rate", LOOM_OPT_REAL, 0, "8.0", "(0,500]", "Hz", "Reach: typical rate of a unit at rest."},
    {"depth", LOOM_OPT_REAL, 0, "0.6", "[0,5]", NULL, "Reach: typical change of log rate at full speed."},
    {"posture", LOOM_OPT_REAL, 0, "70.0", "[0,180]", "degrees",
     "Reach: turn of preferred directions from the centre to a target; what a linear decoder cannot undo."},
    {"shared", LOOM_OPT_REAL, 0, "0.3", "[0,3]", NULL,
     "Reach: spread of log rate due to slow states shared by all units."},
    {"noise", LOOM_OPT_REAL, 0, "0.3", "[0,3]", NULL, "Reach: spread of log rate that is each unit's own."},
    {"truth", LOOM_OPT_BOOL, 0, "false", NULL, NULL,
     "Offer the true rates and latents as the series rates and latents."},
    {NULL, 0, 0, NULL, NULL, NULL, NULL},
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

int32_t sim_count(const struct sim *s, const char *option, int32_t otherwise)
{
    int64_t n = loom_opt_int(s->o, option);
    return n > 0 ? (int32_t)n : otherwise;
}

void sim_stream(const struct sim *s, struct loom_rng *g, const char *purpose, int64_t number, const char *name)
{
    loom_rng_init(g, s->seed, purpose, (uint64_t)number, loom_hash(name, strlen(name), 0));
}

/* Poisson spikes of one step, uniform inside it. Times stay clear of the step's end: rounding must not move one on. */
size_t sim_spikes(struct loom_rng *g, double mean, double start_s, double step_s, double *out, size_t room)
{
    int64_t n = loom_rng_poisson(g, mean);
    size_t kept = 0;
    for (int64_t i = 0; i < n && kept < room; i++)
        out[kept++] = start_s + step_s * 0.999999 * loom_rng_uniform(g);
    return kept;
}

/* "prefix0", "prefix1", …; one block of memory. */
const char **sim_numbered(const char *prefix, int32_t n)
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

static int sim_read(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    const struct sim *s = self;
    int rc = LOOM_OK;
    if (file != NULL)
        return loom_fail(e, LOOM_ECONFIG, file, 0, "the simulator reads no files: leave data.files out");
    if (!loom_opt_is(s->o, "kind", "reach"))
        rc = sim_repeats(s, sink);
    else
        for (int i = 0; i < (int)loom_opt_int(s->o, "subjects"); i++)
            for (int k = 0; k < (int)loom_opt_int(s->o, "sessions") && rc == LOOM_OK; k++)
                rc = sim_reach(s, i, k, sink);
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
