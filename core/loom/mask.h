/* SPDX-License-Identifier: Apache-2.0 */
/* Masks: one way of hiding for all objectives.
 *
 * An objective puts LOOM_HIDE_OPTIONS into its option table and calls loom_mask_draw in plan. */
#ifndef LOOM_MASK_H
#define LOOM_MASK_H

#include <loom/model.h>

#define LOOM_HIDE_OPTIONS(ratio, how)                                                                                   \
    {"hide", LOOM_OPT_REAL, LOOM_OPT_LIVE, ratio, "[0,1]", NULL, "share of what is visible that is hidden"},            \
        {"hide_by",                                                                                                     \
         LOOM_OPT_STRING,                                                                                               \
         0,                                                                                                             \
         "row",                                                                                                         \
         "row|time|unit|element",                                                                                       \
         NULL,                                                                                                          \
         "what is hidden together: one row, all rows of one time, one unit throughout, or one element"},                \
        {"hide_span", LOOM_OPT_INT, 0, "1", "[1,inf)", "bins", "with hide_by time: neighbouring times hidden at once"}, \
    {                                                                                                                   \
        "hide_how", LOOM_OPT_STRING, 0, how, "drop|replace|zero|random", NULL,                                          \
            "what stands in its place: nothing, a mask vector, zeros, or random values"                                 \
    }

/* What the words above need of backbone and tokenizer: bits of enum loom_power for `needs`. */
LOOM_API uint64_t loom_mask_needs(const struct loom_options *o);
/* [data] Draw what is hidden in the visible modality `modality`, segment by segment: how [E] is set to enum loom_how
 * for its elements (others are left), and hidden [E] to 1. Exactly floor(hide × n) of n things are hidden in each
 * segment, each set equally likely (hide_span > 1: centres are drawn, so the share is a little lower where spans
 * overlap). `purpose` names the draw. Returns the number of elements hidden. */
LOOM_API int64_t loom_mask_draw(const struct loom_options *o, struct loom_plan *p, const struct loom_rows *full,
                                int modality, const char *purpose, uint8_t *how, uint8_t *hidden);

#endif
