/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: input, question and answer are one table, ragged in rows and in elements, never padded.
 *
 * segment (one window of one sample) ⊃ row (a token: what a tokenizer made) ⊃ element (a count, a sample, a code).
 * A question is a row whose content is hidden. Host memory of one shard, immutable once made, valid until the step
 * ends.
 */
#ifndef LOOM_ROWS_H
#define LOOM_ROWS_H

#include <loom/graph.h>

enum loom_row_state {
    LOOM_SEEN = 0,   /* content may be read, apart from elements that the view hid */
    LOOM_HIDDEN = 1, /* stands in the view without content: a mask token, a query */
};

struct loom_segment {
    uint64_t key;          /* the sample's name: (recording, window, slot, draw). All random draws hang on it */
    int32_t recording;     /* number in the catalogue */
    int32_t tuple, slot;   /* windows of one tuple form a contrastive set; slot counts within it */
    int32_t fold;          /* contiguous part of the split this window lies in, for cross-validation inside a fit */
    int64_t origin_ns;     /* on the recording's clock */
    double begin_s, end_s; /* span that may be asked about, from the origin; forward bins included */
};

/* What a row's elements are: unit numbers, dimensions, classes, … Rows of one layout make one dense product. */
struct loom_layout {
    int32_t n;
    const int32_t *index; /* [n] */
};

struct loom_rows {
    uint32_t size; /* sizeof as the host built it */
    int32_t segments, rows, elems, layouts;
    const struct loom_segment *segment; /* [segments] */
    const int32_t *first_row;           /* [segments+1] */
    const int32_t *first_elem;          /* [rows+1] */
    const int32_t *segment_of;          /* [rows] */
    int32_t axes;
    const char *const *axis_name;        /* [axes]; axis 0 is "time", seconds from the segment's origin */
    const double *const *axis;           /* [axes][rows]; 0 where a tokenizer does not supply the axis */
    const int32_t *modality;             /* [rows] number of the modality in the model */
    const uint8_t *state;                /* [rows] enum loom_row_state */
    const int32_t *layout;               /* [rows] */
    const struct loom_layout *layout_of; /* [layouts] */
    const int32_t *source; /* [rows] this row's number in the shard's full table: equal numbers are the same row */
    const uint8_t *held;   /* [elems] bits of enum loom_hold (loom/data.h): hidden by the data, not known; no plugin can
                            * undo it */
    const loom_real
        *value; /* [elems] what embed may see: after zeroing, randomising, scaling; hidden content reads 0 */
    const loom_real *target; /* [elems] of a question; NULL in a view's input */
    const loom_real *weight; /* [elems] of a question: 0 = not scored */
    const uint8_t *shown;    /* [elems] of a question: 1 = asked though the view shows it; its score is a copy's */
    struct loom_groups
        groups; /* rows by segment, keyed by the segment's key: what attention, dropout and pooling take */
};

enum { LOOM_MODALITIES = 16, LOOM_PROMPTS = 4 };

/* One forward pass: what is seen, and what is asked of each modality (rows == 0: nothing). */
struct loom_view {
    uint32_t size;
    int32_t index;          /* number of the view in its plan */
    int32_t causal;         /* rows see rows of the same time and before */
    double back_s, ahead_s; /* further limits of sight; < 0 = none */
    struct loom_rows in;
    struct loom_rows ask[LOOM_MODALITIES];
    /* Prompts: one context row each, the same for every segment: row `prompt[i]` of the table `prompt_table[i]`. */
    int32_t prompts;
    const char *prompt_table[LOOM_PROMPTS];
    int32_t prompt[LOOM_PROMPTS];
};

/* ---- how tokenizers append rows [data] ---- */
struct loom_rows_builder;
/* A layout by content; the same content gives the same number. Valid while rows are being built. Negative = out of
 * memory. */
LOOM_API int32_t loom_rows_layout(struct loom_rows_builder *b, int32_t n, const int32_t *index);
/* Append one row: time from the origin, one coordinate for each of the tokenizer's own axes (NULL = none declared),
 * elements as the layout says. held [n] may be NULL (nothing). */
LOOM_API int loom_rows_append(struct loom_rows_builder *b, double time_s, const double *coordinates, int32_t layout,
                              const loom_real *value, const uint8_t *held);

/* Memory for tokenize's own use, gone when the step ends; NULL = full (return LOOM_ENOMEM). */
LOOM_API void *loom_rows_scratch(struct loom_rows_builder *b, size_t bytes);

#endif
