/* SPDX-License-Identifier: Apache-2.0 */
#include "train/runner.h"

#include <stdlib.h>
#include <string.h>

/* Batches of one pass add up in order, each itself the sum of its shards over the fixed tree. */
static int one_pass(struct loom_stepper *stepper, struct loom_model *m, const struct loom_windows *w, int batch,
                    int pass, double *sums, const struct loom_runner *r, struct loom_error *e)
{
    const struct loom_store *store = loom_model_store(m);
    struct loom_step_result result;
    memset(sums, 0, (size_t)store->size[LOOM_LIFE_SUM] * sizeof *sums);
    for (int at = 0; at < w->n; at += batch) {
        int n = w->n - at < batch ? w->n - at : batch, then = w->n - at - n < batch ? w->n - at - n : batch;
        if (loom_runner_stopped(r))
            return loom_fail(e, LOOM_ESTOP, NULL, 0, "stopped while fitting: run again with --resume");
        loom_stepper_announce(stepper, w->sample + at + n, then, 1, LOOM_FIT, (uint64_t)pass);
        int code = loom_stepper_run(stepper, w->sample + at, n, 1, LOOM_FIT, (uint64_t)pass, &result, e);
        if (code != LOOM_OK)
            return code;
        for (int64_t i = 0; i < store->size[LOOM_LIFE_SUM]; i++)
            sums[i] += result.root->sum[i];
    }
    return LOOM_OK;
}

int loom_fit(struct loom_stepper *stepper, struct loom_model *m, const struct loom_windows *w, int batch, int most,
             const struct loom_runner *r, int *passes, struct loom_error *e)
{
    double *sums = calloc((size_t)loom_model_store(m)->size[LOOM_LIFE_SUM] + 1, sizeof *sums);
    int more = 1;
    if (!sums)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for fitting sums: use a smaller model");
    for (*passes = 0; more > 0 && *passes < most; ++*passes) {
        more = one_pass(stepper, m, w, batch, *passes, sums, r, e);
        if (more == LOOM_OK)
            more = loom_model_update(m, sums, 1, *passes, e);
    }
    free(sums);
    return more < 0 ? more : LOOM_OK;
}
