/* SPDX-License-Identifier: Apache-2.0 */
/* Building tables of rows in an arena: tokenizers' appends, and the views that a plan cuts out of them. */
#ifndef LOOM_MODEL_ROWS_H
#define LOOM_MODEL_ROWS_H

#include "base/arena.h"
#include <loom/model.h>
#include <loom/rows.h>

enum { LOOM_AXES = 8 }; /* of one model, time included */

/* Growing columns of a table. Everything lies in `arena`; grown columns leave their old copies behind. */
struct loom_rows_builder {
    struct loom_arena *arena;
    int failed;
    int axes; /* of the model */
    int32_t segments, rows, elems, layouts;
    int32_t rows_cap, elems_cap, layouts_cap;
    struct loom_segment *segment; /* [segments], whole from the start */
    int32_t *first_row;           /* [segments+1] */
    int32_t *first_elem;          /* [rows_cap+1] */
    int32_t *segment_of, *modality, *layout, *source;
    uint8_t *state;
    double *axis[LOOM_AXES];
    struct loom_layout *layout_of;
    uint8_t *held;
    loom_real *value;
    int32_t now_segment;
    /* of the tokenizer now appending: */
    int32_t now_modality, now_axes;
    const int *now_axis; /* [now_axes] model's axis of each of its own, -1 = not wanted */
    int with_target;     /* second pass of a held-out window: appends go to `target`, checked against what is there */
    int32_t target_row;
    loom_real *target; /* [elems_cap] or NULL: value and target are the same */
};

/* `segments` segments are given whole; rows arrive segment by segment. */
void loom_rows_begin(struct loom_rows_builder *b, struct loom_arena *arena, int axes, int segments);
void loom_rows_segment(struct loom_rows_builder *b, int32_t s, const struct loom_segment *segment); /* rows follow */
void loom_rows_tokenizer(struct loom_rows_builder *b, int32_t modality, int axes, const int *axis);
/* Tokenize the current segment's modality again, contents revealed: appends fill `target` from row `row` on. */
void loom_rows_reveal(struct loom_rows_builder *b, int32_t row);
/* The finished table. Its `target` is what was revealed, or value. LOOM_ENOMEM. */
int loom_rows_finish(struct loom_rows_builder *b, const char *const *axis_name, struct loom_rows *out,
                     struct loom_error *e);

/* Rows `keep` [count] of `from`, in that order, with all their elements; value, target, weight as given [elements of
 * the new table] or NULL. state NULL = all SEEN. LOOM_ENOMEM. */
int loom_rows_subset(struct loom_arena *a, const struct loom_rows *from, const int32_t *keep, int32_t count,
                     struct loom_rows *out, struct loom_error *e);

#endif
