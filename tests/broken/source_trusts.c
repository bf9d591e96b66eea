/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: source-bad-file (crashed) */
#include <loom/plugin.h>

#include <stdio.h>

static int create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)s, (void)e;
    *self = NULL;
    return LOOM_OK;
}

static int read_file(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    char line[64];
    FILE *f = file ? fopen(file, "r") : NULL;
    (void)self, (void)sink;
    if (!f)
        return loom_fail(e, LOOM_EDATA, file, 0, "cannot be read: name a file");
    volatile char *first = fgets(line, sizeof line, f); /* NULL where there is none */
    fclose(f);
    return first[0] ? loom_fail(e, LOOM_EDATA, file, 0, "is no recording: name another") : LOOM_OK;
}

static const struct loom_source table = {.part = {.size = sizeof(struct loom_source), .create = create},
                                         .read = read_file};
static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "source_trusts",
                                          .version = "1.0",
                                          .summary = "a source for tests",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_SOURCE,
                                          .table = &table};
const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
