/* SPDX-License-Identifier: Apache-2.0 */
/* The process that reads one file. It may die at any line: nothing here is needed by anybody after the last message. */
#include "data/ingest.h"

#include <loom/config.h>
#include <loom/plugin.h>

#include "data/sink.h"
#include "plugin/registry.h"
#include "plugin/setup.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RESERVES_ADDRESSES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define RESERVES_ADDRESSES 1
#endif
#endif

static void limit(int what, rlim_t soft, rlim_t hard)
{
    struct rlimit now;
    if (getrlimit(what, &now) == 0) {
        now.rlim_cur = now.rlim_max < soft ? now.rlim_max : soft;
        now.rlim_max = now.rlim_max < hard ? now.rlim_max : hard;
        setrlimit(what, &now);
    }
}

static void confine(int64_t memory_bytes, double cpu_s)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    closefrom(LOOM_INGEST_SINK + 1);
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_CPU, (rlim_t)cpu_s + 1, (rlim_t)cpu_s + 2);
#ifndef RESERVES_ADDRESSES
    limit(RLIMIT_AS, (rlim_t)memory_bytes, (rlim_t)memory_bytes);
#else
    (void)memory_bytes; /* sanitizers map terabytes that they never touch */
#endif
}

static int read_request(struct loom_wire *w)
{
    char piece[4096];
    ssize_t n;
    while ((n = read(STDIN_FILENO, piece, sizeof piece)) != 0) {
        if (n < 0 && errno != EINTR)
            return LOOM_EIO;
        if (n > 0)
            loom_wire_bytes(w, piece, (size_t)n);
    }
    return w->failed ? LOOM_ENOMEM : LOOM_OK;
}

static int read_file(const struct loom_source *source, const struct loom_options *options, const char *file,
                     struct loom_sink *sink, struct loom_error *e)
{
    const struct loom_setup setup = {.options = options};
    void *self = NULL;
    int status = source->part.create != NULL ? source->part.create(&setup, &self, e) : LOOM_OK;
    if (status == LOOM_OK)
        status = source->read(self, file[0] != '\0' ? file : NULL, sink, e);
    if (source->part.destroy != NULL)
        source->part.destroy(self);
    return status;
}

static int serve(struct loom_view_bytes *request, struct loom_sink *sink, struct loom_error *e)
{
    struct loom_registry *registry = NULL;
    struct loom_config *config = NULL;
    struct loom_options *options = NULL;
    const struct loom_plugin *plugin = NULL;
    const char *module = loom_take_text(request), *id = loom_take_text(request), *file = loom_take_text(request);
    const char *text = loom_take_text(request);
    int64_t memory_bytes = loom_take_i64(request);
    double cpu_s = loom_take_f64(request);
    if (request->bad)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "loom-ingest serves loom alone; call loom");
    confine(memory_bytes, cpu_s);
    int status = loom_registry_new(&registry, NULL, e);
    if (status == LOOM_OK)
        status = loom_registry_find(registry, LOOM_SOURCE, module[0] != '\0' ? module : id, &plugin, e);
    if (status == LOOM_OK)
        status = loom_config_parse(&config, text, id, 0, NULL, e);
    if (status == LOOM_OK)
        status = loom_options_parse(&options, plugin->options, loom_config_root(config), id, NULL, e);
    if (status == LOOM_OK)
        status = read_file(plugin->table, options, file, sink, e);
    loom_options_free(options);
    loom_config_free(config);
    loom_registry_free(registry);
    return status;
}

int loom_ingest_child(void)
{
    struct loom_wire request = {0};
    struct loom_error e = {0};
    struct loom_sink *sink = loom_sink_new(LOOM_INGEST_SINK);
    if (sink == NULL)
        return EXIT_FAILURE;
    int status = read_request(&request);
    struct loom_view_bytes v = {request.data, request.data + request.size, 0};
    if (status == LOOM_OK)
        status = serve(&v, sink, &e);
    loom_sink_close(sink, status, e.message);
    loom_wire_release(&request);
    return status == LOOM_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
