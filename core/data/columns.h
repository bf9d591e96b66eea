/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of the table of trials: between trials.c (selection, splits) and the catalogue (classes). */
#ifndef LOOM_DATA_COLUMNS_H
#define LOOM_DATA_COLUMNS_H

#include "data/spans.h"

struct loom_str;

enum { LOOM_CLASSES = 64 }; /* most values of a column that sorts trials into classes */

/* A column of the table of trials as classes of windows. */
struct loom_label {
    const char *name;
    int32_t classes;   /* LOOM_CLASSES + 1: more than can be told apart; the two below are NULL then */
    const char **word; /* [classes] values as text, numbers in their order and before texts */
    int32_t *of_span;  /* [spans] class of each span's trial, -1 = unknown: an empty text, a number that is none */
};

/* 1: the row's value is one of the words, texts by their bytes, numbers by what they are. */
int loom_column_matches(const struct loom_words *words, const struct loom_column *col, int32_t row);
/* 1: every one of data.select admits the row; their columns have been checked. */
int loom_trial_selected(const struct loom_data_spec *s, const struct loom_intervals *t, int32_t row);
/* Every column of data.select is there, and every value is some trial's. LOOM_EDATA, LOOM_ECONFIG. */
int loom_selects_check(const struct loom_catalog *c, struct loom_error *e);
/* Fills c->label, once spans are there. LOOM_ENOMEM. */
int loom_labels_make(struct loom_catalog *c, struct loom_error *e);
/* Names of the table's columns, for a message. */
const char *loom_columns_list(const struct loom_intervals *t, struct loom_str *out);

#endif
