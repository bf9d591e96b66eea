/* SPDX-License-Identifier: Apache-2.0 */
/* Options: declared as a table before anything is created, read as typed values afterwards.
 *
 * Names that the core reads in the same group are taken: plugin, visible, name.
 *
 * One table is the single source for parsing, range checks, errors with file and line and the nearest known key,
 * `loom plugins describe`, the reference documentation and option fuzzing. */
#ifndef LOOM_OPTIONS_H
#define LOOM_OPTIONS_H

#include <loom/types.h>

enum loom_option_type {
    LOOM_OPT_INT = 1,     /* 64-bit; `64`, `5000000000L` */
    LOOM_OPT_REAL = 2,    /* double; an integer is accepted, never the other way round */
    LOOM_OPT_BOOL = 3,    /* true, false */
    LOOM_OPT_STRING = 4,  /* text; `range` NULL or the allowed words "a|b|c" */
    LOOM_OPT_REALS = 5,   /* list of numbers */
    LOOM_OPT_STRINGS = 6, /* list of text; a single text is accepted as a list of one; `range` as for STRING */
};

enum loom_option_flags {
    LOOM_OPT_LIVE = 1,     /* a scalar that ramps, schedules and population training may write between steps */
    LOOM_OPT_REQUIRED = 2, /* no default: must be given */
};

/* One option. Strings are static. Fixed-width members: this struct crosses the plugin boundary. */
struct loom_option {
    const char *name;
    uint32_t type;  /* enum loom_option_type */
    uint32_t flags; /* enum loom_option_flags */
    const char
        *dflt; /* as it would stand in a pipeline file, text without quotes: "0.5", "true", "relu", "" = empty list */
    const char *range; /* NULL = any; numbers "[0,1]", "(0,1)", "[1,inf)"; words "a|b|c" */
    const char *unit;  /* "ms", "bins", "Hz"; NULL = none */
    const char *doc;   /* one sentence, what it does */
};

/* Values of one table. Const after parsing except LIVE values; owned by whoever parsed it (a plugin only borrows).
 * Asking for a name that the table does not declare, or as another type, is a programmer's error (assert). */
struct loom_options;
LOOM_API int64_t loom_opt_int(const struct loom_options *o, const char *name);
LOOM_API double loom_opt_real(const struct loom_options *o, const char *name);
LOOM_API int loom_opt_bool(const struct loom_options *o, const char *name);
LOOM_API const char *loom_opt_string(const struct loom_options *o, const char *name); /* never NULL */
LOOM_API int loom_opt_is(const struct loom_options *o, const char *name,
                         const char *word);                                     /* string option equals word */
LOOM_API size_t loom_opt_count(const struct loom_options *o, const char *name); /* elements of a list */
LOOM_API double loom_opt_real_at(const struct loom_options *o, const char *name, size_t i);
LOOM_API const char *loom_opt_string_at(const struct loom_options *o, const char *name, size_t i);
/* 1: the user asks for other than the default. 0 where it was written out too, as a resolved pipeline writes all, which
 * must mean the same. */
LOOM_API int loom_opt_given(const struct loom_options *o, const char *name);
/* Fill `e` with LOOM_ECONFIG and the place in the file where option `name` was set (or its group), and return the code.
 */
LOOM_API int loom_opt_fail(const struct loom_options *o, const char *name, struct loom_error *e, const char *fmt, ...)
    LOOM_PRINTF(4, 5);

#endif
