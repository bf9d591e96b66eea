/* SPDX-License-Identifier: Apache-2.0 */
/* What the Neural Latents Benchmark scores against, made of a recording: as nlb_tools' make_eval_target_tensors, number
 * for number, and what its model gets to see. */
#ifndef LOOM_EVAL_NLB_TARGET_H
#define LOOM_EVAL_NLB_TARGET_H

#include "data/nlb_sets.h"
#include "eval/arrays.h"

#include <loom/data.h>

struct loom_nlb_making {
    const struct loom_recording *recording; /* spike times; series as recorded; table "trials" with column `split` */
    const struct loom_nlb_set *set;
    int bin_ms;       /* 5 or 20 */
    const char *eval; /* value of `split` that is scored: "val" (trained on "train") or "test" (on "train", "val") */
    int inputs;       /* 1: {train,eval}_spikes_{heldin,heldout} and the training's forward bins as well */
};

/* Arrays of group SET (SET_20 for 20 ms) into *out: eval_spikes_heldout, {train,eval}_behavior,
 * eval_spikes_{heldin,heldout}_forward, and where the set has them {train,eval}_decode_mask, psth,
 * {train,eval}_cond_idx, {train,eval}_jitter. Trials without the event are left out. Where the set's trials may not
 * overlap, behaviour and histograms of one end where the window of the next of its split, or of its condition, begins.
 * LOOM_EDATA names what the recording lacks, and trials whose spikes would be cut so; LOOM_ENOMEM. */
int loom_nlb_target(const struct loom_nlb_making *how, struct loom_arrays *out, struct loom_error *e);

#endif
