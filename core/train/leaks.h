/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of science: does a number hang on what it must not know? Each runs a model on its own data and on data that
 * differ only where the number may not look, and compares bit by bit. `loom check` runs them on a user's pipeline, the
 * conformance suite on a single plugin in a small world. */
#ifndef LOOM_TRAIN_LEAKS_H
#define LOOM_TRAIN_LEAKS_H

#include "train/probe.h"

enum loom_leak_outcome {
    LOOM_LEAK_NONE,
    LOOM_LEAK_FOUND,
    LOOM_LEAK_UNASKED, /* there is nothing to look at; `text` says why */
};
struct loom_leak {
    int outcome;
    char text[768]; /* what was seen, what is due, the remedy */
};

/* All: LOOM_OK with *out filled, or an error of running the model. Restart nothing; p may be used again after. */

/* Counts and behaviours that are asked and scored are replaced: what is said of them must keep its bits, in training
 * and in evaluation, and the loss must change. */
int loom_leak_mask(struct loom_probe *p, struct loom_leak *out, struct loom_error *e);
/* NaN in the place of values that are asked and scored: what is said must be finite and keep its bits. */
int loom_leak_nan(struct loom_probe *p, struct loom_leak *out, struct loom_error *e);
/* Everything outside the train split is replaced by noise: loss, gradients and what was fitted must keep their bits.
 * Then units that the data hold out: what is said must. */
int loom_leak_heldout(struct loom_probe *p, struct loom_leak *out, struct loom_error *e);
/* Activity after a time t0 of each window is replaced: what is said of times before t0 must keep its bits,
 * wherever a view or the backbone holds to the past by its option `causal`. */
int loom_leak_causal(struct loom_probe *p, struct loom_leak *out, struct loom_error *e);
/* *ahead = 1 where anything that is said of a time before t0 hangs on activity after it, whatever was promised: what an
 * evaluation compares should see alike. */
int loom_leak_sight(struct loom_probe *p, int *ahead, struct loom_error *e);
/* All other windows of a batch are replaced: what is said of the first, and its gradient, must keep their bits. */
int loom_leak_batch(struct loom_probe *p, struct loom_leak *out, struct loom_error *e);
#endif
