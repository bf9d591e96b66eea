/* SPDX-License-Identifier: Apache-2.0 */
/* A model on its way through training: fitted, some steps taken, saved, read back, held against another. */
#ifndef LOOM_CONFORM_COURSE_H
#define LOOM_CONFORM_COURSE_H

#include "conform/trial.h"

#include "train/optimizer.h"

struct loom_course {
    struct loom_world *world;
    struct loom_model *model;
    struct loom_pool *pool;
    struct loom_stepper *stepper;
    struct loom_optimizer optimizer;
    double loss; /* of the last step */
};
enum { LOOM_COURSE_SHARDS = 3, LOOM_COURSE_BATCH = 5 };
/* A model of its own in the world, fresh from the seed. Not fitted yet. LOOM_OK or `e`; one that failed is released. */
int loom_course_open(struct loom_course *c, struct loom_world *w, struct loom_trial *t, int workers,
                     struct loom_error *e);
void loom_course_release(struct loom_course *c);
/* Fitting passes until no part wants another; nothing for parts that have no update. */
int loom_course_fit(struct loom_course *c, struct loom_error *e);
/* Steps from, …, from + n − 1 of training. Nothing for a model without parameters. */
int loom_course_steps(struct loom_course *c, int from, int n, struct loom_error *e);
/* Checkpoint, and resume from one. */
int loom_course_save(struct loom_course *c, const char *path, struct loom_error *e);
int loom_course_load(struct loom_course *c, const char *path, struct loom_error *e);
/* NULL where parameters, states, moments and the predictions of the first windows are bit for bit the same; else a
 * sentence in `out` that names what differs. Fails with *code. */
const char *loom_course_differ(struct loom_course *a, struct loom_course *b, char out[256], int *code,
                               struct loom_error *e);
/* The same as text for another process: a line "NAME HASH NUMBER" for each block of memory and the predictions,
 * malloc'ed. NULL with `e`. */
char *loom_course_digest(struct loom_course *c, struct loom_error *e);

/* The world's model once more, from `seed`. Sources have none. */
int loom_world_model(struct loom_world *w, const struct loom_trial *t, uint64_t seed, struct loom_model **out,
                     struct loom_error *e);

#endif
