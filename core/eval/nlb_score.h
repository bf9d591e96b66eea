/* SPDX-License-Identifier: Apache-2.0 */
/* Submissions to the Neural Latents Benchmark, scored as its server does: every dataset that stands in both files, at
 * 5 ms ("mc_maze") and at 20 ms ("mc_maze_20").
 *
 *   submission  {train,eval}_rates_{heldin,heldout} and, where the future is predicted, eval_rates_{heldin,heldout}
 *               _forward: [trial, bin, unit], expected spikes a bin
 *   targets     eval_spikes_heldout, train_behavior, eval_behavior, eval_spikes_{heldin,heldout}_forward; {train,eval}
 *               _decode_mask [trial, decoder] where several decoders are fitted; psth [condition, bin, unit],
 *               eval_cond_idx (a list of trials for each condition), eval_jitter [trial] bins */
#ifndef LOOM_EVAL_NLB_SCORE_H
#define LOOM_EVAL_NLB_SCORE_H

#include "base/json.h"
#include "eval/arrays.h"

/* *out: [{"mc_maze_split": {"co-bps": …, "vel R2": …, "psth R2": …, "fp-bps": …}}, …], as nlb_tools' evaluate returns
 * it: dmfc_rsg has "tp corr" for "vel R2"; mc_maze_large, _medium and _small are one entry, mc_maze_scaling_split, with
 * keys "[500] co-bps", "[250] …", "[100] …". A dataset without held-out rates, or without targets, is left out.
 * LOOM_EDATA names the dataset and what is missing or does not fit, or says that nothing could be scored. */
int loom_nlb_score(const struct loom_arrays *submission, const struct loom_arrays *targets, json_t **out,
                   struct loom_error *e);

#endif
