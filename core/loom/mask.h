/* SPDX-License-Identifier: Apache-2.0 */
/* Masks: one way of hiding for all objectives.
 *
 * An objective puts LOOM_HIDE_OPTIONS into its option table, calls loom_mask_check in create, adds loom_mask_needs in
 * describe and calls loom_mask_view in plan: one call draws what is hidden and makes the view that asks for it. An
 * objective that asks otherwise calls loom_mask_draw and makes its own views. */
#ifndef LOOM_MASK_H
#define LOOM_MASK_H

#include <loom/model.h>

/* ratio: default of `hide`; how: default of `hide_how`; both as in a pipeline file. */
#define LOOM_HIDE_OPTIONS(ratio, how)                                                                                  \
    {"hide", LOOM_OPT_REAL, LOOM_OPT_LIVE, ratio, "[0,1]", NULL, "share of what is visible that is hidden"},           \
        {"hide_by",                                                                                                    \
         LOOM_OPT_STRINGS,                                                                                             \
         0,                                                                                                            \
         "row",                                                                                                        \
         "row|time|unit|element|block|last|after|causal|inter_region|intra_region",                                    \
         NULL,                                                                                                         \
         "what is hidden together: a row, all rows of a time, a unit, an element; one stretch (block), the last "      \
         "times, or up to that many after a drawn time; causal: times, in a view that holds to the past; a region; "   \
         "units of a region whose others are seen, and no other region; of several, each training step draws one, "    \
         "evaluation takes the first"},                                                                                \
        {"hide_each",                                                                                                  \
         LOOM_OPT_REALS,                                                                                               \
         0,                                                                                                            \
         "",                                                                                                           \
         "[0,1]",                                                                                                      \
         NULL,                                                                                                         \
         "the share for each of several in hide_by, in their order; empty = hide"},                                    \
        {"hide_prompt",                                                                                                \
         LOOM_OPT_BOOL,                                                                                                \
         0,                                                                                                            \
         "false",                                                                                                      \
         NULL,                                                                                                         \
         NULL,                                                                                                         \
         "tell the backbone by a context row which of hide_by was drawn"},                                             \
        {"hide_span",                                                                                                  \
         LOOM_OPT_INT,                                                                                                 \
         0,                                                                                                            \
         "1",                                                                                                          \
         "[1,inf)",                                                                                                    \
         NULL,                                                                                                         \
         "with hide_by time, causal or unit: so many neighbours hidden at once"},                                      \
        {"hide_how",                                                                                                   \
         LOOM_OPT_STRING,                                                                                              \
         0,                                                                                                            \
         how,                                                                                                          \
         "drop|replace|zero|random",                                                                                   \
         NULL,                                                                                                         \
         "what stands in its place: nothing, a mask vector, zeros, or random values"},                                 \
    {                                                                                                                  \
        "hide_mix", LOOM_OPT_REALS, 0, "", "[0,1]", NULL,                                                              \
            "three shares of what is hidden: as hide_how says, random values, left as it is (BERT: 0.8, 0.1, 0.1); "   \
            "empty = all as hide_how says"                                                                             \
    }

/* [setup] LOOM_ECONFIG where the options above contradict each other, with the nearest choice that does not. */
LOOM_API int loom_mask_check(const struct loom_options *o, struct loom_error *e);
/* What the words above need of data, tokenizer and backbone: bits of enum loom_power for `needs`. */
LOOM_API uint64_t loom_mask_needs(const struct loom_options *o);
/* [data] Number of the word of hide_by that holds in this step, in the order of the option's range: the same for every
 * shard. */
LOOM_API int loom_mask_scheme(const struct loom_options *o, const struct loom_plan *p);
/* [data] Draw what is hidden in the visible modality `modality`, segment by segment: how [E] is set to enum loom_how
 * for its elements (others are left), and ask [E] to 1, or to 3 for what hide_mix leaves as it is. Exactly
 * floor(share × n) of n things are hidden in each segment, each set equally likely; where hide_span > 1, centres are
 * drawn, so the share is a little lower where spans overlap (NDT1). intra_region counts the units of its region,
 * inter_region hides one region whatever the share. `purpose` names the draw. Returns the number of elements asked. */
LOOM_API int64_t loom_mask_draw(const struct loom_options *o, struct loom_plan *p, const struct loom_rows *full,
                                int modality, const char *purpose, uint8_t *how, uint8_t *ask);
/* [data] All of it: draw, ask for what is hidden and for what the data hold out, make the view, put the prompt. Returns
 * the view's number or a negative status. */
LOOM_API int loom_mask_view(const struct loom_options *o, struct loom_plan *p, const struct loom_rows *full,
                            int modality, const char *purpose, struct loom_error *e);

#endif
