/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance suite: what `loom conform` runs on plugins, ours and anybody's.
 *
 * Not part of the installed interface; the functions marked LOOM_API serve the program alone.
 *
 * A check has a stable id, a paragraph that says what it proves, a level, and the kinds of plugins it is for. Each
 * check of each plugin runs in a process of its own with limits on time and memory: the parent never loads a plugin, so
 * nothing that a plugin does ends the suite. A check that breaks a plugin is repeated by the command in its result. */
#ifndef LOOM_CONFORM_H
#define LOOM_CONFORM_H

#include <loom/plugin.h>

enum loom_level { LOOM_REQUIRED = 1, LOOM_STRICT, LOOM_PEDANTIC };

/* What became of a check. Warnings are about speed and never fail a suite. */
enum loom_outcome {
    LOOM_PASSED,
    LOOM_FAILED,
    LOOM_CRASHED,    /* ended by a signal, or by exit() */
    LOOM_HUNG,       /* stopped at its time limit */
    LOOM_SKIPPED,    /* the reason says what is missing */
    LOOM_WARNED,     /* passed, and something deserves a look */
    LOOM_EXPECTED,   /* failed as the list of expected failures says */
    LOOM_UNEXPECTED, /* passed though the list says that it fails: take it off */
};
enum { LOOM_OUTCOMES = LOOM_UNEXPECTED + 1 };

struct loom_trial;
struct loom_conform_spec;

/* Lets the k-th allocation of the calling thread from now on fail (1: the next), with `on` all behind it as well; 0:
 * none any more. Returns how many failed since it was called last. */
typedef uint64_t loom_refuse_fn(uint64_t k, int on);

struct loom_check {
    const char *id;                                        /* "grad-fd-dir" */
    unsigned kinds;                                        /* bit 1 << enum loom_kind for each kind it is for */
    int level;                                             /* enum loom_level */
    int file;                                              /* 1: looks at the file, which built-ins have none of */
    double seconds;                                        /* usual limit; 0 = LOOM_CHECK_SECONDS */
    const char *what;                                      /* what is done and what must hold, as a paragraph */
    int (*possible)(const struct loom_conform_spec *spec); /* 0: not in this build or program; NULL: always */
    int (*run)(struct loom_trial *t);                      /* in the child; enum loom_outcome */
};
enum { LOOM_CHECK_SECONDS = 20 };

/* All checks, in the order in which they run; NULL-ended. */
LOOM_API const struct loom_check *const *loom_checks(void);
LOOM_API const char *loom_level_name(int level);     /* "required" */
LOOM_API int loom_level_of(const char *name);        /* 0: no such level */
LOOM_API const char *loom_outcome_name(int outcome); /* "passed" */

/* One check of one plugin. Valid during the call alone. */
struct loom_verdict {
    const char *file, *kind, *plugin; /* kind and plugin are "" where the file would not load */
    const struct loom_check *check;
    int outcome;
    const char *reason;  /* "" when it passed; else in words that end with the remedy, or what is missing */
    const char *output;  /* the end of what the plugin wrote to its standard streams */
    const char *command; /* repeats it under a debugger */
    double seconds;
};

struct loom_conform_spec {
    const char *program; /* the program to run each check with: loom itself */
    const char
        *plugin_path; /* folders searched for plugins given by id, and for their partners; NULL: the usual ones */
    const char *const *plugin; /* [plugins] files, ids, or kind/id */
    int plugins;
    int level;               /* checks up to this level */
    const char *only, *skip; /* patterns of ids, ',' between them; NULL: all, none */
    const char *xfail;       /* file of expected failures: lines "PLUGIN CHECK reason"; NULL: none */
    const char *const *set;  /* [sets] "key=value" for the plugin's own group; "id.key=value" for plugin id alone */
    int sets;
    const char *const *data; /* [datas] files for sources to read, "id=FILE" for source id alone; the last that fits */
    int datas;
    uint64_t seed;
    double timeout_s;                        /* > 0: instead of each check's own */
    int jobs;                                /* checks at a time; 0: one for each processor */
    loom_refuse_fn *refuse;                  /* NULL: this program cannot make allocations fail */
    int in_process;                          /* 1: no children; for debuggers. A crash is a crash then */
    void (*plan)(void *payload, int checks); /* before the first check: how many there will be; may be NULL */
    void (*each)(void *payload, const struct loom_verdict *v);
    void *payload;
};
struct loom_conform_counts {
    int of[LOOM_OUTCOMES];
};
/* Run the suite. LOOM_OK whatever the plugins do: counts say how many failed. Errors are of the request: an unknown
 * plugin or check (LOOM_ECONFIG, with the nearest name), a child that cannot be started. */
LOOM_API int loom_conform(const struct loom_conform_spec *spec, struct loom_conform_counts *counts,
                          struct loom_error *e);
/* What the child does that loom_conform starts as PROGRAM conform --child …: exit status. `refuse` as in the spec. */
LOOM_API int loom_conform_child(int argc, char **argv, loom_refuse_fn *refuse);

#endif
