/* SPDX-License-Identifier: Apache-2.0 */
/* Pipeline files: read, overridden from the command line, checked against option tables, written back resolved.
 *
 * The language is libconfig's. What differs from reading it plainly: `@include "x.cfg"` is relative to the including
 * file; integers are 64 bits wide with or without the suffix L; an integer serves where a real is wanted, never the
 * other way round; a value remembers where it came from (default, file and line, command line).
 *
 * Life of a pipeline:
 *     loom_config_open(&cfg, "ndt2.cfg", nover, over, e);
 *     static const char *const elsewhere[] = {"plugin", "hide", NULL};           // keys of this group that others read
 *     const struct loom_group *g = loom_config_group(cfg, "backbone");
 *     const char *plugin = loom_group_text(g, "plugin");
 *     loom_options_parse(&options, table_of(plugin), g, "backbone", elsewhere, e);
 *     ...                                                                         // every group finds its reader
 *     loom_config_unread(cfg, e);                                                 // refuses groups that found none
 *     loom_config_resolved(cfg, &text, e);                                        // every default written out
 */
#ifndef LOOM_CONFIG_H
#define LOOM_CONFIG_H

#include <loom/options.h>
#include <loom/types.h>

struct loom_config; /* one pipeline file with its overrides */
struct loom_group; /* one { … } of it; borrowed, lives as long as the config; safe to read from one thread at a time */

/* Read `path` and apply `overrides`, each "path.to.key=value". A path names a key, and an element of a list by its
 * member `name` or its index: "stages.pretrain.optimizer.lr=1e-3", "stages.0.steps=100". The value is libconfig's
 * grammar; what does not parse as that is taken as text, so quotes are not needed. Groups on the way are created;
 * elements of lists are not. LOOM_EIO if a file cannot be read, LOOM_ECONFIG otherwise. The caller frees *out. */
LOOM_API int loom_config_open(struct loom_config **out, const char *path, int noverrides, const char *const *overrides,
                              struct loom_error *e);
/* The same from memory; `name` stands in errors where the file would, and includes are relative to its folder. */
LOOM_API int loom_config_parse(struct loom_config **out, const char *text, const char *name, int noverrides,
                               const char *const *overrides, struct loom_error *e);
LOOM_API void loom_config_free(struct loom_config *c);

/* ---- Walking ---- */

LOOM_API const struct loom_group *loom_config_root(const struct loom_config *c);
/* The group at a path from the root, "data.split" or "stages.pretrain"; NULL if there is none. */
LOOM_API const struct loom_group *loom_config_group(const struct loom_config *c, const char *path);
/* The member `name` of `g` if it is a group, else NULL. `g` may be NULL. */
LOOM_API const struct loom_group *loom_group_child(const struct loom_group *g, const char *name);
/* As above, but an absent group is made, empty, so that its defaults enter the resolved file. NULL if out of memory, or
 * if `name` is there and no group. */
LOOM_API const struct loom_group *loom_group_ensure(const struct loom_group *g, const char *name);
/* Elements of the list `name` (a single group counts as a list of one); 0 if absent. */
LOOM_API size_t loom_group_list_count(const struct loom_group *g, const char *name);
/* Element i if it is a group, else NULL. */
LOOM_API const struct loom_group *loom_group_list(const struct loom_group *g, const char *name, size_t i);
/* Members in the order of the file, for groups whose keys are names ("models: { vq: {…}; main: {…}; }"). */
LOOM_API size_t loom_group_count(const struct loom_group *g);
LOOM_API const char *loom_group_key(const struct loom_group *g, size_t i);             /* NULL beyond the end */
LOOM_API const struct loom_group *loom_group_at(const struct loom_group *g, size_t i); /* NULL if no group */
LOOM_API int loom_group_has(const struct loom_group *g, const char *name);             /* 1: written, as anything */
/* The text of member `name`; NULL if absent or no text. For keys that decide who reads the rest ("plugin"). */
LOOM_API const char *loom_group_text(const struct loom_group *g, const char *name);
LOOM_API const char *
loom_group_path(const struct loom_group *g); /* "stages.pretrain.optimizer", for messages; root "" */
/* Fill `e` with `code` and the place of member `name` of `g` (of `g` itself if `name` is NULL or absent); return
 * `code`. */
LOOM_API int loom_group_fail(const struct loom_group *g, const char *name, struct loom_error *e, int code,
                             const char *fmt, ...) LOOM_PRINTF(5, 6);

/* ---- Options ---- */

/* Read `group` by `table` (ends with a NULL name; static, or at least as long-lived as *out; NULL: no options, as in
 * struct loom_plugin). NULL group: all defaults. `where` begins messages about a NULL group ("backbone"). `reserved`
 * (may be NULL, ends with NULL) names the members that others read; any other member that is not in the table is an
 * error which names place, key, nearest key and the keys there are. One group may be read by several tables, each
 * reserving the keys of the others. LOOM_ECONFIG for type, range, word, required and unknown. The caller frees *out; it
 * does not refer to the config. */
LOOM_API int loom_options_parse(struct loom_options **out, const struct loom_option *table,
                                const struct loom_group *group, const char *where, const char *const *reserved,
                                struct loom_error *e);
LOOM_API void loom_options_free(struct loom_options *o);
/* Write a LIVE scalar (INT takes the nearest integer, BOOL value != 0). LOOM_EINVAL if it is not LIVE, LOOM_ECONFIG if
 * out of range; the old value stays then. */
LOOM_API int loom_options_set(struct loom_options *o, const char *name, double value, struct loom_error *e);
/* Is the table itself sound: names are identifiers and unique, types known, defaults parse and keep their own range,
 * every option has its sentence? LOOM_EPLUGIN with the option at fault. */
LOOM_API int loom_options_check(const struct loom_option *table, struct loom_error *e);

enum loom_describe_format { LOOM_DESCRIBE_TEXT, LOOM_DESCRIBE_MARKDOWN };
/* The table for a reader: name, type, default, range, unit, sentence. *out is malloc'ed, the caller frees it. */
LOOM_API int loom_options_describe(const struct loom_option *table, int format, char **out, struct loom_error *e);

/* ---- The whole ---- */

/* LOOM_ECONFIG naming the first group or list whose members nobody has parsed: a misspelt block. */
LOOM_API int loom_config_unread(const struct loom_config *c, struct loom_error *e);
/* The pipeline as it runs: includes and overrides applied, every default of every table that was parsed written out,
 * and behind each value where it came from: `# default`, `# ndt2.cfg:12`, `# command line`. Valid libconfig, which
 * parses back to the same values. *out is malloc'ed, the caller frees it. */
LOOM_API int loom_config_resolved(const struct loom_config *c, char **out, struct loom_error *e);
/* The same into a file, atomically. */
LOOM_API int loom_config_write_resolved(const struct loom_config *c, const char *path, struct loom_error *e);

#endif
