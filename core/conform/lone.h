/* SPDX-License-Identifier: Apache-2.0 */
/* An instance that no model holds, made and destroyed as a model would: with the options of a pipeline's group, the
 * catalogue of the simulated experiment, and a behaviour to ask for. */
#ifndef LOOM_CONFORM_LONE_H
#define LOOM_CONFORM_LONE_H

#include "conform/trial.h"

#include "plugin/setup.h"

struct loom_lone {
    struct loom_trial neutral; /* whose world this is: partners alone, the plugin is not in it */
    struct loom_world world;   /* nothing, for a source */
    struct loom_config *config;
    struct loom_options *options;
    struct loom_setup setup;
    int refuse; /* 1: the host grants no behaviour */
};
/* Everything but the instance, of a plugin that is loaded: options as the suite was asked to set them. Big: not for the
 * stack. LOOM_OK, or t->e; one that failed to open is released. */
int loom_lone_open(struct loom_lone *l, struct loom_trial *t);
void loom_lone_release(struct loom_lone *l);
/* Options anew: what the suite was asked to set and behind it n lines "key=value". LOOM_ECONFIG where the table refuses
 * them; the options in force stay then. */
int loom_lone_set(struct loom_lone *l, const struct loom_trial *t, const char *const *line, int n,
                  struct loom_error *e);
/* create, then describe, of part `p`. Checks what a host relies on: a failure comes with an error, LOOM_EPLUGIN if it
 * does not. traits may be NULL. Whatever comes of it, destroy *self. */
int loom_lone_create(const struct loom_lone *l, const struct loom_part *p, void **self, struct loom_traits *traits,
                     struct loom_error *e);
void loom_lone_destroy(const struct loom_part *p, void *self);

size_t loom_live_bytes(void); /* allocated in this process; 0 where nobody can tell */

/* What a pass computed, to hold another against bit by bit. */
struct loom_bits {
    double loss;
    int64_t n;          /* of grad */
    loom_real *grad;    /* [size[PARAM]] or NULL */
    int64_t readings;   /* numbers in `reading` */
    loom_real *reading; /* what evaluation predicted, in the order in which it was read */
};
/* Copy gradients (STEP) or readings (EVALUATE) of a pass that ran. LOOM_ENOMEM. */
int loom_bits_take(struct loom_bits *b, const struct loom_pass *p, const struct loom_store *store,
                   struct loom_error *e);
void loom_bits_release(struct loom_bits *b);
/* NULL if they are the same, else a sentence that names what differs most; in `out`. */
const char *loom_bits_differ(const struct loom_bits *a, const struct loom_bits *b, const struct loom_store *store,
                             char out[256]);

#endif
