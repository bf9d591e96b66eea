/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the simulator share. */
#ifndef LOOM_SOURCES_SIM_H
#define LOOM_SOURCES_SIM_H

#include <loom/plugin.h>
#include <loom/rng.h>

struct sim {
    const struct loom_options *o;
    uint64_t seed;
};

enum { SIM_SPIKES = 4096 }; /* of one unit, gathered before they go to the sink */

/* The option, or `otherwise` where it is 0. */
int32_t sim_count(const struct sim *s, const char *option, int32_t otherwise);
/* Random numbers that hang on (seed, purpose, number, name). */
void sim_stream(const struct sim *s, struct loom_rng *g, const char *purpose, int64_t number, const char *name);
/* Poisson spikes of one step, uniform inside it. Returns how many went to `out`. */
size_t sim_spikes(struct loom_rng *g, double mean, double start_s, double step_s, double *out, size_t room);
/* "prefix0", "prefix1", …; one block of memory, which the caller frees; NULL if there is none. */
const char **sim_numbered(const char *prefix, int32_t n);

int sim_reach(const struct sim *s, int subject, int day, struct loom_sink *sink); /* one recording [sim_reach.c] */
int sim_repeats(const struct sim *s, struct loom_sink *sink);                     /* lorenz, chaos [sim_repeats.c] */

#endif
