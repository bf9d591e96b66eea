/* SPDX-License-Identifier: Apache-2.0 */
/* Weights by name: parameters and states of a model out of a safetensors file that anyone may have made.
 *
 *   tensors   NAME: a parameter; state.NAME: a state. F64, F32, F16 or BF16, row-major, shapes as
 *             `loom check --parameters` lists them. adam.*, shadow.* (of a checkpoint) are not looked at.
 *   metadata  all optional. vocabularies: JSON, vocabulary → names of its rows; tables: JSON, NAME → vocabulary, where
 *             it is not the model's own. A table whose vocabulary is there is read row by row, by name; rows that the
 *             data do not have are left. A table without one has as many rows as the model's, in the model's order. */
#ifndef LOOM_TRAIN_WEIGHTS_H
#define LOOM_TRAIN_WEIGHTS_H

#include "model/store.h"

struct loom_weights;
/* partial 1: what the file lacks stays as it is, what the model lacks is left. LOOM_EIO, LOOM_EDATA. */
int loom_weights_open(struct loom_weights **out, const char *path, int partial, struct loom_error *e);
void loom_weights_free(struct loom_weights *w); /* NULL is a no-op */
/* Fill the model's parameters, and those states that the file has; the shadow becomes a copy of the parameters.
 * *taken: how many. LOOM_EDATA lists what is missing (a row of a table too), with the nearest name in the file, and
 * what has another shape or dtype, which `partial` does not excuse. */
int loom_weights_load(struct loom_weights *w, struct loom_store *store, int *taken, struct loom_error *e);
/* 1: the file has every state of the model. */
int loom_weights_has_states(const struct loom_weights *w, const struct loom_store *store);
/* After all models were loaded: LOOM_EDATA when tensors were left that no model has a name for. */
int loom_weights_finish(const struct loom_weights *w, struct loom_error *e);

#endif
