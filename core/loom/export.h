/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that leave neuroloom, or come from elsewhere to be compared: what `loom export` and `loom eval --nlb` call.
 */
#ifndef LOOM_EXPORT_H
#define LOOM_EXPORT_H

#include <loom/types.h>

/* Score a submission to the Neural Latents Benchmark against targets, both HDF5 files as nlb_tools lays them out, as
 * the benchmark's server does. *text is malloc'ed, the caller frees it: a table, or (`json` 1) a list of
 * {"mc_maze_split":
 * {"co-bps": …}}. LOOM_EDATA names the dataset and array that is missing or does not fit; LOOM_EIO; LOOM_ECONFIG in a
 * build without HDF5. A damaged file can end the process: where files come from strangers, call it in one that may. */
LOOM_API int loom_nlb_score_files(const char *submission, const char *targets, int json, char **text,
                                  struct loom_error *e);

#endif
