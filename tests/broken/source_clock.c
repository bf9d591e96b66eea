/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: source-deterministic; may break: source-bad-file */
#include <loom/plugin.h>

#include <time.h>

static int create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)s, (void)e;
    *self = NULL;
    return LOOM_OK;
}

static int read_file(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    struct timespec now;
    (void)self;
    if (file)
        return loom_fail(e, LOOM_ECONFIG, file, 0, "is not wanted: this source makes its data");
    clock_gettime(CLOCK_REALTIME, &now);
    const double spike[2] = {0.5, 1.0 + 1e-9 * (double)now.tv_nsec};
    const struct loom_unit unit = {.name = "a", .electrode = -1};
    loom_sink_recording(sink, "x", "subject", "session", "task", "2026-01-01");
    loom_sink_unit(sink, &unit);
    return loom_sink_spikes(sink, 0, spike, 2);
}

static const struct loom_source table = {.part = {.size = sizeof(struct loom_source), .create = create},
                                         .read = read_file};
static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "source_clock",
                                          .version = "1.0",
                                          .summary = "a source for tests",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_SOURCE,
                                          .table = &table};
const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
