/* SPDX-License-Identifier: Apache-2.0 */
/* @NAME@: a source. It reads one file and fills a sink with recordings. This one reads text, one spike a line:
 *
 *     UNIT SECONDS
 *
 * and without a file it makes a recording up: units that are tuned to the velocity of a hand.
 *
 * When its functions are called, and what they may do (<loom/plugin.h> has the whole contract):
 *   create, destroy   [setup]          one thread; may allocate and fail
 *   read              [ingest child]   in a process of its own, with limits on memory and time
 * A source does one thing: fill the sink. Every call of the sink copies, the first failure sticks, and every later call
 * returns it. Whatever the file does to this process, the run lives and names the file. What create allocates destroy
 * frees. */
#include <loom/plugin.h>
#include <loom/rng.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct part {
    int32_t units;
    double seconds;
};

/* [setup] A source has no describe: it offers what its files hold. */
static int part_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct part *p = calloc(1, sizeof *p);
    if (p == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a source; free some");
    p->units = (int32_t)loom_opt_int(loom_setup_options(s), "units");
    p->seconds = loom_opt_real(loom_setup_options(s), "seconds");
    *self = p;
    return LOOM_OK;
}

static void part_destroy(void *self)
{
    free(self);
}

/* Units get numbers 0, 1, … in the order in which they are given to the sink. What is unknown is said to be. */
static int add_unit(struct loom_sink *sink, int32_t number)
{
    char name[32];
    snprintf(name, sizeof name, "unit%d", (int)number);
    const struct loom_unit unit = {
        .name = name, .group = "", .region = "", .electrode = -1, .x = NAN, .y = NAN, .z = NAN};
    return loom_sink_unit(sink, &unit);
}

/* Lines of "UNIT SECONDS". A message names the file and the line, and ends with the remedy. */
static int read_lines(const struct part *p, FILE *f, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    char line[256];
    int rc = loom_sink_recording(sink, "recording", NULL, NULL, NULL, NULL);
    for (int32_t u = 0; u < p->units && rc == LOOM_OK; u++)
        rc = add_unit(sink, u);
    loom_sink_object(sink, "spikes"); /* what the run names if this process dies here */
    int number = 1;
    for (; rc == LOOM_OK && fgets(line, sizeof line, f) != NULL; number++) {
        char *end, *last;
        const long unit = strtol(line, &end, 10);
        const double time_s = strtod(end, &last);
        if (end == line || last == end || unit < 0 || unit >= p->units || !isfinite(time_s))
            return loom_fail(e, LOOM_EDATA, file, number,
                             "is not UNIT SECONDS with a unit below %d; mend the line, or set units", (int)p->units);
        rc = loom_sink_spikes(sink, (int32_t)unit, &time_s, 1);
    }
    if (rc == LOOM_OK && number == 1) /* a file without a word is a mistake, not a recording of silence */
        return loom_fail(e, LOOM_EDATA, file, 0, "holds no line of UNIT SECONDS; is it the right file?");
    return rc == LOOM_OK ? LOOM_OK : loom_fail(e, rc, file, 0, "cannot be taken over; see the messages before this");
}

/* The hand moves on an ellipse, one turn in 2 s; a unit fires most when the hand moves in its preferred direction. */
enum { STEPS_A_SECOND = 100 };

static int made_series(const struct part *p, struct loom_sink *sink)
{
    static const char *const dims[] = {"x", "y"};
    const int32_t series = loom_sink_series(sink, "handVel", "cm/s", 2, dims, STEPS_A_SECOND, 0.0);
    int rc = series < 0 ? series : LOOM_OK;
    for (int64_t i = 0; i < (int64_t)(p->seconds * STEPS_A_SECOND) && rc == LOOM_OK; i++) {
        const double angle = 3.141592653589793 * (double)i / STEPS_A_SECOND;
        const float v[2] = {(float)(10.0 * cos(angle)), (float)(5.0 * sin(angle))};
        rc = loom_sink_samples(sink, series, 1, NULL, v);
    }
    return rc;
}

/* Random numbers are functions of names, so that everybody gets the same recording. */
static int made_spikes(const struct part *p, struct loom_sink *sink)
{
    int rc = LOOM_OK;
    for (int32_t u = 0; u < p->units && rc == LOOM_OK; u++) {
        struct loom_rng rng;
        loom_rng_init(&rng, 1, "@NAME@", 0, (uint64_t)u);
        const double preferred = 6.283185307179586 * u / p->units;
        for (int64_t i = 0; i < (int64_t)(p->seconds * STEPS_A_SECOND) && rc == LOOM_OK; i++) {
            const double angle = 3.141592653589793 * (double)i / STEPS_A_SECOND;
            const double rate_hz = 15.0 * exp(cos(angle - preferred) - 0.5);
            const double time_s = ((double)i + 0.99 * loom_rng_uniform(&rng)) / STEPS_A_SECOND;
            if (loom_rng_uniform(&rng) < rate_hz / STEPS_A_SECOND)
                rc = loom_sink_spikes(sink, u, &time_s, 1);
        }
    }
    return rc;
}

/* Trials of 2 s: what splits and `loom data info` speak of. */
static int made_trials(const struct part *p, struct loom_sink *sink)
{
    const int32_t n = (int32_t)(p->seconds / 2.0);
    double *start = calloc((size_t)n + 1, sizeof *start), *stop = calloc((size_t)n + 1, sizeof *stop);
    int rc = start != NULL && stop != NULL ? LOOM_OK : LOOM_ENOMEM;
    for (int32_t i = 0; i < n && rc == LOOM_OK; i++) {
        start[i] = 2.0 * i;
        stop[i] = 2.0 * (i + 1);
    }
    if (rc == LOOM_OK)
        rc = loom_sink_intervals(sink, "trials", n, start, stop);
    free(start);
    free(stop);
    return rc;
}

static int make_up(const struct part *p, struct loom_sink *sink, struct loom_error *e)
{
    int rc = loom_sink_recording(sink, "made-up", "nobody", "day0", "circles", NULL);
    for (int32_t u = 0; u < p->units && rc == LOOM_OK; u++)
        rc = add_unit(sink, u);
    if (rc == LOOM_OK)
        rc = loom_sink_observed(sink, 0.0, p->seconds);
    if (rc == LOOM_OK)
        rc = made_series(p, sink);
    if (rc == LOOM_OK)
        rc = made_spikes(p, sink);
    if (rc == LOOM_OK)
        rc = made_trials(p, sink);
    return rc == LOOM_OK ? LOOM_OK : loom_fail(e, rc, NULL, 0, "no recording could be made up; make it shorter");
}

/* [ingest child] */
static int part_read(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    const struct part *p = self;
    if (file == NULL)
        return make_up(p, sink, e);
    FILE *f = fopen(file, "r");
    if (f == NULL)
        return loom_fail(e, LOOM_EDATA, file, 0, "cannot be opened; check the path and its permissions");
    const int rc = read_lines(p, f, file, sink, e);
    fclose(f);
    return rc;
}

static const struct loom_option options[] = {
    {"units", LOOM_OPT_INT, 0, "16", "[1,10000]", NULL, "Units of a recording."},
    {"seconds", LOOM_OPT_REAL, 0, "120", "[10,36000]", "s", "Length of the recording that is made up."},
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};

static const struct loom_source table = {.part = {.size = sizeof table, .create = part_create, .destroy = part_destroy},
                                         .read = part_read};

/* The id is the file's name without ".so". */
static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "@NAME@",
                                          .version = "0.1",
                                          .summary = "text of UNIT SECONDS, or a recording that is made up",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_SOURCE,
                                          .options = options,
                                          .table = &table};

/* [load] The one symbol that the file shows. */
const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
