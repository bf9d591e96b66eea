/* SPDX-License-Identifier: Apache-2.0 */
/* The plugins that a run can reach: found by name, loaded once, mapped until the process ends.
 *
 * Not part of the installed interface; the functions marked LOOM_API serve the program alone. One thread at a time.
 * A plugin's descriptor and table are handed out as copies of this build's size, zero beyond what the author's build
 * knew, so a reader never looks past the end of an older table. */
#ifndef LOOM_PLUGIN_REGISTRY_H
#define LOOM_PLUGIN_REGISTRY_H

#include <loom/plugin.h>

/* Plugins that the library itself holds, NULL-ended. Their ids cannot be taken by files. */
extern const struct loom_plugin *const loom__builtins[];

struct loom_registry;

/* One plugin that loaded. Borrowed, lives as long as the registry. */
struct loom_known {
    const struct loom_plugin *plugin;
    const char *file; /* NULL: built in */
};
/* One file that did not, and why, in words that end with the remedy. */
struct loom_refused {
    char *file, *reason;
};

/* Search order of names without '/': the folders of `path` (':'-separated; what --plugin-path gave; NULL = none), those
 * of $LOOM_PLUGIN_PATH, the folder compiled in. Nothing is loaded yet. LOOM_ENOMEM. The caller frees *out. */
LOOM_API int loom_registry_new(struct loom_registry **out, const char *path, struct loom_error *e);
/* Frees the lists. Modules stay mapped: nothing that points into them dangles, and leak reports can name them. */
LOOM_API void loom_registry_free(struct loom_registry *r);

/* From now on a process of its own tries files before they are loaded here, as loom_registry_scan does: what crashes or
 * hangs while it is loaded is refused in words. A file costs some 20 ms. */
enum loom_care {
    LOOM_CARE_NONE = 0,
    LOOM_CARE_STRANGERS = 1, /* all but those in the folder compiled in: for those who use plugins */
    LOOM_CARE_ALL = 2,       /* for those who look at them */
};
LOOM_API void loom_registry_careful(struct loom_registry *r, enum loom_care care);

/* From now on what is loaded is held against `host` (borrowed) instead of this build's own block, NULL = its own again:
 * how a test is the later version that meets an older plugin. */
void loom_registry_host(struct loom_registry *r, const struct loom_build_block *host);

/* The plugin `name` of `kind` (0 = of any kind): a built-in, one already loaded, NAME.so in the first folder that has a
 * sound one, or, where `name` holds a '/', that file. LOOM_EPLUGIN with every path tried and why it would not do, and
 * the nearest id of that kind there is. */
LOOM_API int loom_registry_find(struct loom_registry *r, uint32_t kind, const char *name,
                                const struct loom_plugin **out, struct loom_error *e);
/* Load every *.so of every folder; files that will not load are listed, not errors. Each is tried in a process of its
 * own first, so one that crashes or hangs is listed like any other. LOOM_ENOMEM; LOOM_EIO without processes. */
LOOM_API int loom_registry_scan(struct loom_registry *r, struct loom_error *e);

/* What has been loaded so far, built-ins first; NULL beyond the end. */
LOOM_API const struct loom_known *loom_registry_at(const struct loom_registry *r, size_t i);
LOOM_API const struct loom_refused *loom_registry_refused(const struct loom_registry *r, size_t i);
/* The folders searched, in order; NULL beyond the end. */
LOOM_API const char *loom_registry_folder(const struct loom_registry *r, size_t i);
/* The file a plugin came from; NULL: built in. */
LOOM_API const char *loom_registry_file(const struct loom_registry *r, const struct loom_plugin *p);

LOOM_API const char *loom_kind_name(uint32_t kind); /* "tokenizer"; NULL for no kind */
LOOM_API uint32_t loom_kind_of(const char *name);   /* 0: no such kind */

enum loom_plugin_format { LOOM_PLUGIN_TEXT, LOOM_PLUGIN_MARKDOWN, LOOM_PLUGIN_JSON };
/* Everything loaded and everything refused, by kind and id. *out is malloc'ed, the caller frees it. */
LOOM_API int loom_registry_list(const struct loom_registry *r, int format, char **out, struct loom_error *e);
/* One plugin with its options. *out as above. */
LOOM_API int loom_registry_describe(const struct loom_registry *r, const struct loom_plugin *p, int format, char **out,
                                    struct loom_error *e);

#endif
