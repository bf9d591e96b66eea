/* SPDX-License-Identifier: Apache-2.0 */
#include "train/stream.h"

#include "base/blas.h"
#include "tensor/packs.h"

#include <stdlib.h>
#include <time.h>

struct loom_stream {
    struct loom_shard *shard;
    struct loom_packs *packs;
    int blas_threads; /* before */
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int loom_stream_new(struct loom_stream **out, struct loom_model *model, struct loom_pool *pool, size_t arena,
                    struct loom_error *e)
{
    const size_t weights = (size_t)loom_model_store(model)->size[LOOM_LIFE_PARAM] * sizeof(loom_real);
    struct loom_stream *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a stream: free some");
    s->blas_threads = loom_blas_threads();
    loom_blas_set_threads(1);
    int code = loom_shard_new(&s->shard, model, arena, e);
    if (code == LOOM_OK)
        code = loom_packs_new(&s->packs, 2 * weights + (1 << 20), e);
    if (code != LOOM_OK) {
        loom_stream_free(s);
        return code;
    }
    loom_shard_share(s->shard, s->packs);
    loom_shard_threads(s->shard, pool);
    *out = s;
    return LOOM_OK;
}

void loom_stream_free(struct loom_stream *s)
{
    if (!s)
        return;
    loom_shard_free(s->shard);
    loom_packs_free(s->packs);
    loom_blas_set_threads(s->blas_threads);
    free(s);
}

void loom_stream_set_kernels(struct loom_stream *s, const struct loom_kernels *kernels)
{
    loom_shard_set_kernels(s->shard, kernels);
    loom_packs_stale(s->packs);
}

int loom_stream_step(struct loom_stream *s, const struct loom_sample *window, struct loom_stream_times *times,
                     struct loom_error *e)
{
    double began = now_s();
    int code = loom_shard_plan(s->shard, window, 1, LOOM_EVALUATE, 0, e);
    double planned = now_s();
    if (code == LOOM_OK)
        code = loom_shard_build(s->shard, loom_shard_masses(s->shard), NULL, 1, e);
    if (code != LOOM_OK)
        return code;
    double built = now_s();
    loom_shard_run(s->shard);
    if (times)
        *times = (struct loom_stream_times){planned - began, built - planned, now_s() - built};
    return LOOM_OK;
}

const struct loom_shard *loom_stream_shard(const struct loom_stream *s)
{
    return s->shard;
}

struct loom_graph *loom_stream_graph(const struct loom_stream *s)
{
    return loom_shard_graph(s->shard);
}

void loom_stream_stale(struct loom_stream *s)
{
    loom_packs_stale(s->packs);
}

size_t loom_stream_peak(const struct loom_stream *s)
{
    return loom_shard_peak(s->shard) + loom_packs_peak(s->packs);
}

uint64_t loom_stream_packed(const struct loom_stream *s)
{
    return loom_packs_made(s->packs);
}
