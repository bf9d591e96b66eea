/* SPDX-License-Identifier: Apache-2.0 */
/* Codes: what a tokenizer that quantises offers beside its table, and how objectives ask for it.
 *
 * Such a tokenizer has LOOM_CODES among its offers, and `extension` returns a struct loom_codes for LOOM_CODES_ID. One
 * objective trains it (rebuild: content → codes → content), another asks a backbone for the codes of what is hidden; as
 * both are stages of one model, the tokenizer's memory goes from one to the next by name, and what the second only
 * reads is frozen there. */
#ifndef LOOM_CODES_H
#define LOOM_CODES_H

#include <loom/model.h>

#define LOOM_CODES_ID "loom.codes/1"

/* Content after it went through its codes. */
struct loom_rebuilt {
    struct loom_node *params;     /* [E, params] of the modality's likelihood */
    struct loom_node *commitment; /* F64 [1]: Σ over rows of the mean squared distance of a row's vector to its code */
    double least;                 /* what the likelihood costs at least (params at the targets themselves) */
    struct loom_node *further;    /* F64 [1]: Σ over rows of the cost of what else comes back of them, their spectrum
                                     say; NULL = nothing */
};

struct loom_codes {
    uint32_t size;
    int32_t (*count)(const void *self);  /* of a level: codes are 0 … count - 1 */
    int32_t (*levels)(const void *self); /* codes of one row */
    /* [build] Codes of the rows of a question, by their `target`: I32 [rows × levels], row by row. What the data hold
     * out (held) reads 0. No gradient. */
    struct loom_node *(*codes)(const void *self, struct loom_build *b, const struct loom_rows *ask);
    /* [build] The same rows through codes and back, with gradients (straight through the codes) and with the sums that
     * move them. Rows that are not scored count for nothing. */
    struct loom_rebuilt (*rebuild)(const void *self, struct loom_build *b, const struct loom_rows *ask);
};

/* [build] Of the tokenizer of `modality`; a graph fails with the remedy where it has none. */
LOOM_API int32_t loom_codes_count(struct loom_build *b, const char *modality);
LOOM_API int32_t loom_codes_levels(struct loom_build *b, const char *modality);
/* Codes of all rows that view v asks of `modality`, as above. The tokenizer is read, not trained. */
LOOM_API struct loom_node *loom_codes_of(struct loom_build *b, const struct loom_view *v, const char *modality);
LOOM_API struct loom_rebuilt loom_codes_rebuild(struct loom_build *b, const struct loom_view *v, const char *modality);

#endif
