/* SPDX-License-Identifier: Apache-2.0 */
/* Training windows as a pure function of (seed, step, tuple, slot).
 *
 * An epoch is a list of items: the trials, or for fixed windows the tiles that cover each span, laid anew in every
 * epoch with a random phase. The order of an epoch is a keyed bijection of 0..n-1 (a Feistel network that walks its
 * cycles until it lands inside: Black and Rogaway, Ciphers with arbitrary finite domains, 2002), so any item of any
 * epoch is found without drawing those before it. */
#include "data/spans.h"

#include <loom/rng.h>

#include <stdlib.h>
#include <string.h>

/* Spans of one recording (or of all) with the items that cover them. */
struct pool {
    int32_t first, spans;
    int64_t items;   /* an epoch */
    int64_t batches; /* steps that an epoch takes where a step holds one recording */
};

struct loom_sampler {
    const struct loom_selection *of;
    struct loom_sampler_spec spec;
    int64_t window;         /* bins of a fixed window, forward ones included */
    int64_t *first;         /* [spans+1] items before each span, over all spans */
    struct pool all, *pool; /* whole selection; by recording */
    int32_t pools;
    int64_t batches; /* of all pools */
};

/* ---- a keyed permutation ---- */

static uint32_t mix(uint32_t x, uint64_t key, uint32_t round)
{
    const uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)}, counter[4] = {x, round, 0, 0};
    uint32_t out[4];
    loom_philox(k, counter, out);
    return out[0];
}

/* Where item i of 0..n-1 goes; n <= 2^62. */
static int64_t permute(int64_t i, int64_t n, uint64_t key)
{
    int half = 1;
    while (half < 31 && ((int64_t)1 << (2 * half)) < n)
        half++;
    const uint32_t mask = (uint32_t)(((uint64_t)1 << half) - 1);
    uint64_t x = (uint64_t)i;
    do {
        uint32_t left = (uint32_t)(x >> half) & mask, right = (uint32_t)x & mask;
        for (uint32_t round = 0; round < 4; round++) {
            uint32_t next = left ^ (mix(right, key, round) & mask);
            left = right;
            right = next;
        }
        x = ((uint64_t)left << half) | right;
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}

static uint64_t name_of(const struct loom_sampler *s, const char *purpose, int64_t number, uint64_t who)
{
    const uint64_t name[3] = {s->spec.seed, (uint64_t)number, who};
    return loom_hash(name, sizeof name, loom_hash(purpose, strlen(purpose), 0));
}

/* ---- items ---- */

static const struct loom_span *span_at(const struct loom_sampler *s, int32_t i)
{
    return &s->of->catalog->span[s->of->span[i]];
}

static int64_t bins_of(const struct loom_sampler *s, const struct loom_span *span)
{
    return (span->stop_ns - span->window_ns) / s->of->catalog->bin_ns;
}

/* Tiles for a span of n bins: one more than needed where that leaves less than half a window of freedom for the phase,
 * so that epochs differ. */
static int64_t tiles_of(const struct loom_sampler *s, const struct loom_span *span)
{
    const int64_t n = bins_of(s, span), w = s->window;
    if (s->of->catalog->spec.window == LOOM_WINDOW_TRIAL || n <= w)
        return 1;
    const int64_t tiles = (n + w - 1) / w;
    return tiles + (tiles * w - n < w / 2);
}

static struct pool *pool_of(const struct loom_sampler *s, int64_t index, int64_t *inside)
{
    struct pool *p = s->pool;
    for (; index >= p->batches; p++)
        index -= p->batches;
    *inside = index;
    return p;
}

/* Pool and number of the item for a tuple, over all epochs of that pool. */
static const struct pool *item_of(const struct loom_sampler *s, uint64_t step, int32_t tuple, int64_t *number)
{
    const struct loom_data_spec *d = &s->of->catalog->spec;
    const int64_t batch = s->spec.batch, n = (int64_t)step * batch + tuple;
    const struct pool *p = &s->all;
    if (d->batch_by == LOOM_BATCH_MIXED && d->balance == LOOM_BALANCE_WINDOWS) {
        *number = n;
    } else if (d->batch_by == LOOM_BATCH_MIXED) {
        int64_t round = n / s->pools;
        p = &s->pool[permute(n % s->pools, s->pools, name_of(s, "recordings", round, 0))];
        *number = round;
    } else if (d->balance == LOOM_BALANCE_RECORDINGS) {
        int64_t round = (int64_t)step / s->pools;
        p = &s->pool[permute((int64_t)step % s->pools, s->pools, name_of(s, "recordings", round, 0))];
        *number = round * batch + tuple;
    } else {
        int64_t round = (int64_t)step / s->batches, inside;
        p = pool_of(s, permute((int64_t)step % s->batches, s->batches, name_of(s, "batches", round, 0)), &inside);
        *number = (round * p->batches + inside) * batch + tuple;
    }
    return p;
}

/* Shift in [-jitter, jitter], on stored bins where a recording comes binned. */
static int64_t jittered(const struct loom_catalog *c, const struct loom_sample *s, struct loom_rng *rng, int64_t origin)
{
    const int64_t jitter = loom_ns(c->spec.crop_jitter_s);
    if (jitter <= 0)
        return origin;
    int64_t shift = (int64_t)floor((loom_rng_uniform(rng) * 2.0 - 1.0) * (double)jitter + 0.5);
    return loom_stored_edge(c->recording[s->recording], origin + shift);
}

static void place_fixed(const struct loom_sampler *s, const struct loom_span *span, int64_t tile,
                        struct loom_rng *phase, struct loom_rng *rng, struct loom_sample *out)
{
    const struct loom_catalog *c = s->of->catalog;
    const int64_t n = bins_of(s, span), w = s->window < n ? s->window : n, tiles = tiles_of(s, span);
    /* A phase in this range keeps the tiles apart where they are moved inward at the span's ends. */
    const int64_t slack = tiles * s->window - n, most = slack < w - 1 ? slack : w - 1;
    const int64_t least = slack - (w - 1) > 0 ? slack - (w - 1) : 0;
    int64_t at = n <= w ? 0 : tile * w - least - (int64_t)loom_rng_below(phase, (uint32_t)(most - least + 1));
    at = at < 0 ? 0 : at > n - w ? n - w : at;
    int64_t origin = jittered(c, out, rng, span->window_ns + at * c->bin_ns), last = span->stop_ns - w * c->bin_ns;
    out->origin_ns = origin < span->window_ns ? span->window_ns : origin > last ? last : origin;
    out->length_s = (double)w * c->spec.bin_s;
}

static int32_t span_of_item(const struct loom_sampler *s, const struct pool *p, int64_t item)
{
    int32_t low = p->first, high = p->first + p->spans;
    item += s->first[p->first];
    while (high - low > 1) {
        int32_t middle = low + (high - low) / 2;
        if (s->first[middle] <= item)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A partner: the same span, up to partner_s away. */
static void place_partner(const struct loom_sampler *s, const struct loom_span *span, struct loom_rng *rng,
                          struct loom_sample *out)
{
    const struct loom_catalog *c = s->of->catalog;
    const int64_t reach = loom_ns(s->spec.partner_s) / c->bin_ns;
    const int64_t length = (int64_t)floor(out->length_s / c->spec.bin_s + 0.5) * c->bin_ns;
    int64_t shift = (int64_t)loom_rng_below(rng, (uint32_t)(2 * reach + 1)) - reach;
    int64_t origin = loom_stored_edge(c->recording[out->recording], out->origin_ns + shift * c->bin_ns);
    int64_t last = span->stop_ns - length;
    out->origin_ns = origin < span->window_ns ? span->window_ns : origin > last ? last : origin;
}

void loom_sampler_draw(const struct loom_sampler *s, uint64_t step, int32_t tuple, int32_t slot,
                       struct loom_sample *out)
{
    const struct loom_catalog *c = s->of->catalog;
    int64_t number;
    const struct pool *p = item_of(s, step, tuple, &number);
    const int64_t epoch = number / p->items;
    const uint64_t whose = p == &s->all ? 0 : (uint64_t)(p - s->pool) + 1;
    const int64_t item = permute(number % p->items, p->items, name_of(s, "order", epoch, whose));
    const int32_t i = span_of_item(s, p, item);
    const struct loom_span *span = span_at(s, i);
    struct loom_rng phase, rng;
    *out = (struct loom_sample){
        .recording = span->recording, .span = s->of->span[i], .trial = span->row, .tuple = tuple, .slot = slot};
    loom_rng_init(&phase, s->spec.seed, "phase", (uint64_t)epoch,
                  (uint64_t)span->window_ns ^ (uint64_t)out->span << 48);
    loom_rng_init(&rng, s->spec.seed, "jitter", (uint64_t)epoch, (uint64_t)item ^ whose << 48);
    if (c->spec.window == LOOM_WINDOW_TRIAL) {
        out->origin_ns = jittered(c, out, &rng, span->window_ns);
        out->length_s = (double)bins_of(s, span) * c->spec.bin_s;
    } else {
        place_fixed(s, span, item - (s->first[i] - s->first[p->first]), &phase, &rng, out);
    }
    for (int32_t k = 0; k < slot && c->spec.window == LOOM_WINDOW_FIXED; k++)
        if (k + 1 == slot)
            place_partner(s, span, &rng, out);
        else
            loom_rng_u32(&rng);
    out->end_s = out->length_s;
    out->key = loom_sample_key(c, out, epoch);
}

/* ---- making it ---- */

static int make_pools(struct loom_sampler *s)
{
    const int32_t spans = s->of->spans;
    s->first = malloc(((size_t)spans + 1) * sizeof *s->first);
    s->pool = calloc((size_t)s->of->catalog->recordings, sizeof *s->pool);
    if (s->first == NULL || s->pool == NULL)
        return LOOM_ENOMEM;
    s->first[0] = 0;
    for (int32_t i = 0; i < spans; i++) {
        if (i == 0 || span_at(s, i - 1)->recording != span_at(s, i)->recording)
            s->pool[s->pools++].first = i;
        struct pool *p = &s->pool[s->pools - 1];
        p->spans++;
        p->items += tiles_of(s, span_at(s, i));
        s->first[i + 1] = s->first[i] + tiles_of(s, span_at(s, i));
    }
    s->all = (struct pool){.spans = spans, .items = s->first[spans]};
    return LOOM_OK;
}

double loom_sampler_longest_s(const struct loom_sampler *s)
{
    int64_t longest = 0;
    for (int32_t i = 0; i < s->of->spans; i++) {
        int64_t n = bins_of(s, span_at(s, i));
        n = s->of->catalog->spec.window == LOOM_WINDOW_FIXED && n > s->window ? s->window : n;
        longest = n > longest ? n : longest;
    }
    return (double)longest * s->of->catalog->spec.bin_s;
}

int loom_sampler_new(struct loom_sampler **out, const struct loom_selection *selection,
                     const struct loom_sampler_spec *spec, struct loom_error *e)
{
    const struct loom_catalog *c = selection->catalog;
    *out = NULL;
    struct loom_sampler *s = calloc(1, sizeof *s);
    if (s == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a sampler");
    s->of = selection;
    s->spec = *spec;
    s->spec.arity = spec->arity > 1 ? spec->arity : 1;
    s->window = (int64_t)floor(c->spec.window_s / c->spec.bin_s + 0.5) + c->forward_ns / c->bin_ns;
    if (make_pools(s) != LOOM_OK) {
        loom_sampler_free(s);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a sampler over %d spans", (int)selection->spans);
    }
    if (s->spec.batch <= 0) {
        double fit = spec->batch_s / (loom_sampler_longest_s(s) * s->spec.arity);
        s->spec.batch = fit >= 1.0 ? (int32_t)fit : 1;
    }
    for (int32_t i = 0; i < s->pools; i++) {
        s->pool[i].batches = (s->pool[i].items + s->spec.batch - 1) / s->spec.batch;
        s->batches += s->pool[i].batches;
    }
    *out = s;
    return LOOM_OK;
}

void loom_sampler_free(struct loom_sampler *s)
{
    if (s == NULL)
        return;
    free(s->first);
    free(s->pool);
    free(s);
}

int32_t loom_sampler_batch(const struct loom_sampler *s)
{
    return s->spec.batch;
}

int64_t loom_sampler_epoch(const struct loom_sampler *s)
{
    return s->all.items;
}
