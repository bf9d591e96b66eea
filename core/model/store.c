/* SPDX-License-Identifier: Apache-2.0 */
#include "model/store.h"

#include <loom/model.h>
#include <loom/rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Offsets are multiples of this many elements, so that every parameter starts on a cache line. */
enum { ALIGN = 16 };

int loom_store_new(struct loom_store **out, uint64_t seed, struct loom_error *e)
{
    struct loom_store *s = calloc(1, sizeof(*s));
    if (!s)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for the model's parameters");
    s->seed = seed;
    *out = s;
    return LOOM_OK;
}

void loom_store_free(struct loom_store *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->count; i++) {
        free(s->entry[i].name);
        free(s->entry[i].init);
        free(s->entry[i].vocabulary);
    }
    free(s->entry);
    free(s->index);
    free(s->param);
    free(s->shadow);
    free(s->state);
    free(s);
}

static uint64_t name_hash(int lifetime, const char *name)
{
    return loom_hash(name, strlen(name), (uint64_t)lifetime);
}

static int slot_of(const struct loom_store *s, int lifetime, const char *name, uint64_t hash)
{
    unsigned mask = (unsigned)s->index_size - 1u;
    unsigned slot = (unsigned)hash & mask;
    while (s->index[slot] >= 0) {
        const struct loom_entry *n = &s->entry[s->index[slot]];
        if (n->hash == hash && n->lifetime == lifetime && strcmp(n->name, name) == 0)
            break;
        slot = (slot + 1u) & mask;
    }
    return (int)slot;
}

struct loom_entry *loom_store_find(const struct loom_store *s, int lifetime, const char *name)
{
    if (!s->index_size)
        return NULL;
    int at = s->index[slot_of(s, lifetime, name, name_hash(lifetime, name))];
    return at < 0 ? NULL : &s->entry[at];
}

static int grow(struct loom_store *s)
{
    int capacity = s->capacity ? 2 * s->capacity : 64;
    struct loom_entry *entry = realloc(s->entry, (size_t)capacity * sizeof(*entry));
    if (!entry)
        return 0;
    s->entry = entry;
    s->capacity = capacity;
    int32_t *index = malloc((size_t)capacity * 4 * sizeof(*index));
    if (!index)
        return 0;
    free(s->index);
    s->index = index;
    s->index_size = capacity * 4;
    for (int i = 0; i < s->index_size; i++)
        index[i] = -1;
    for (int i = 0; i < s->count; i++)
        index[slot_of(s, entry[i].lifetime, entry[i].name, entry[i].hash)] = i;
    return 1;
}

static int same_shape(const struct loom_entry *n, int rank, const int64_t *dim)
{
    if (n->rank != rank)
        return 0;
    for (int a = 0; a < rank; a++)
        if (n->dim[a] != dim[a])
            return 0;
    return 1;
}

struct loom_entry *loom_store_declare(struct loom_store *s, int lifetime, const char *name, int rank,
                                      const int64_t *dim, const char *init, unsigned flags, struct loom_error *e)
{
    struct loom_entry *n = loom_store_find(s, lifetime, name);
    if (n) {
        if (same_shape(n, rank, dim))
            return n;
        loom_fail(e, LOOM_ESHAPE, NULL, 0,
                  "'%s' is asked for with two shapes (axis 0: %lld and %lld); give one of them another name", name,
                  (long long)n->dim[0], (long long)(rank ? dim[0] : 0));
        return NULL;
    }
    if (s->sealed) {
        loom_fail(e, LOOM_EPLUGIN, NULL, 0,
                  "'%s' was not named when the model was first built; what a part names must not depend on the data",
                  name);
        return NULL;
    }
    if (rank < 1 || rank > 4) {
        loom_fail(e, LOOM_ESHAPE, NULL, 0, "'%s' has %d axes; 1 to 4 are allowed", name, rank);
        return NULL;
    }
    int64_t size = 1;
    for (int a = 0; a < rank; a++) {
        if (dim[a] < 0 || (dim[a] > 0 && size > INT64_MAX / 16 / dim[a])) {
            loom_fail(e, LOOM_ESHAPE, NULL, 0, "'%s' has an impossible axis of %lld", name, (long long)dim[a]);
            return NULL;
        }
        size *= dim[a];
    }
    if (s->count == s->capacity && !grow(s))
        goto memory;
    n = &s->entry[s->count];
    memset(n, 0, sizeof(*n));
    n->name = strdup(name);
    n->init = strdup(init ? init : "zeros");
    if (!n->name || !n->init) {
        free(n->name);
        free(n->init);
        goto memory;
    }
    n->hash = name_hash(lifetime, name);
    n->lifetime = lifetime;
    n->rank = rank;
    memcpy(n->dim, dim, (size_t)rank * sizeof(*dim));
    n->size = size;
    n->offset = s->size[lifetime];
    n->flags = flags;
    n->lr_scale = 1.0;
    s->size[lifetime] += (size + ALIGN - 1) / ALIGN * ALIGN;
    s->index[slot_of(s, lifetime, name, n->hash)] = s->count++;
    return n;
memory:
    loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory while naming the parameters");
    return NULL;
}

/* One recipe of loom_param, for `count` values of an entry whose rows have `fan_in` inputs. */
static int draw(const char *init, int64_t fan_in, int64_t fan_out, struct loom_rng *r, loom_real *out, int64_t count)
{
    double half = -1.0, constant = 0.0, deviation = -1.0;
    if (strcmp(init, "ones") == 0)
        constant = 1.0;
    else if (strncmp(init, "constant:", 9) == 0)
        constant = strtod(init + 9, NULL);
    else if (strncmp(init, "normal:", 7) == 0)
        deviation = strtod(init + 7, NULL);
    else if (strncmp(init, "uniform:", 8) == 0)
        half = strtod(init + 8, NULL);
    else if (strcmp(init, "fan_in") == 0)
        half = 1.0 / sqrt((double)(fan_in > 0 ? fan_in : 1));
    else if (strcmp(init, "xavier") == 0)
        half = sqrt(6.0 / (double)(fan_in + fan_out > 0 ? fan_in + fan_out : 1));
    else if (strcmp(init, "zeros") != 0)
        return 0;
    for (int64_t i = 0; i < count; i++) {
        double x = constant;
        if (half >= 0.0)
            x = half * (2.0 * loom_rng_uniform(r) - 1.0);
        else if (deviation >= 0.0)
            x = deviation * loom_rng_normal(r);
        out[i] = (loom_real)x;
    }
    return 1;
}

int loom_store_init_entry(const struct loom_store *s, const struct loom_entry *n, loom_real *out, struct loom_error *e)
{
    int64_t fan_in = n->dim[n->rank - 1], fan_out = n->dim[0];
    int64_t rows = n->row ? n->dim[0] : 1, width = rows ? n->size / rows : 0;
    for (int64_t i = 0; i < rows; i++) {
        struct loom_rng r;
        uint64_t key = n->row ? loom_hash(n->row[i], strlen(n->row[i]), 1) : 0;
        loom_rng_init(&r, s->seed, n->name, 0, key);
        if (!draw(n->init, fan_in, fan_out, &r, out + i * width, width))
            return loom_fail(e, LOOM_EPLUGIN, NULL, 0,
                             "'%s' wants the initial values '%s'; known are zeros, ones, constant:x, normal:x, "
                             "uniform:x, fan_in, xavier",
                             n->name, n->init);
    }
    return LOOM_OK;
}

static loom_real *block_of(int64_t n)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, (size_t)(n > 0 ? n : 1) * sizeof(loom_real)) != 0)
        return NULL;
    memset(p, 0, (size_t)n * sizeof(loom_real));
    return p;
}

int loom_store_seal(struct loom_store *s, int with_shadow, struct loom_error *e)
{
    s->param = block_of(s->size[LOOM_LIFE_PARAM]);
    s->state = block_of(s->size[LOOM_LIFE_STATE]);
    if (with_shadow)
        s->shadow = block_of(s->size[LOOM_LIFE_PARAM]);
    if (!s->param || !s->state || (with_shadow && !s->shadow))
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for %lld parameters; make the model smaller",
                         (long long)s->size[LOOM_LIFE_PARAM]);
    for (int i = 0; i < s->count; i++) {
        const struct loom_entry *n = &s->entry[i];
        int status = LOOM_OK;
        if (n->lifetime == LOOM_LIFE_PARAM)
            status = loom_store_init_entry(s, n, s->param + n->offset, e);
        else if (n->lifetime == LOOM_LIFE_STATE)
            status = loom_store_init_entry(s, n, s->state + n->offset, e);
        if (status != LOOM_OK)
            return status;
    }
    if (with_shadow)
        memcpy(s->shadow, s->param, (size_t)s->size[LOOM_LIFE_PARAM] * sizeof(loom_real));
    s->sealed = 1;
    return LOOM_OK;
}

int64_t loom_store_parameters(const struct loom_store *s)
{
    int64_t n = 0;
    for (int i = 0; i < s->count; i++)
        if (s->entry[i].lifetime == LOOM_LIFE_PARAM)
            n += s->entry[i].size;
    return n;
}

int loom_block_init(struct loom_block *b, const struct loom_store *s, struct loom_error *e)
{
    b->grad = block_of(s->size[LOOM_LIFE_PARAM]);
    b->sum = calloc((size_t)s->size[LOOM_LIFE_SUM] + 1, sizeof(double));
    b->term = calloc((size_t)s->size[LOOM_LIFE_TERM] + 1, sizeof(double));
    b->written = malloc((size_t)s->count + 1);
    if (!b->grad || !b->sum || !b->term || !b->written) {
        loom_block_release(b);
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for the gradients of a shard; use fewer threads");
    }
    memset(b->written, 1, (size_t)s->count);
    return LOOM_OK;
}

void loom_block_release(struct loom_block *b)
{
    free(b->grad);
    free(b->sum);
    free(b->term);
    free(b->written);
    b->grad = NULL;
    b->written = NULL;
    b->sum = b->term = NULL;
}

void loom_block_zero(struct loom_block *b, const struct loom_store *s)
{
    loom_block_start(b, s);
    loom_block_finish(b, s);
}

void loom_block_start(struct loom_block *b, const struct loom_store *s)
{
    memset(b->written, 0, (size_t)s->count);
    memset(b->sum, 0, (size_t)s->size[LOOM_LIFE_SUM] * sizeof(*b->sum));
    memset(b->term, 0, (size_t)s->size[LOOM_LIFE_TERM] * sizeof(*b->term));
}

void loom_block_finish(struct loom_block *b, const struct loom_store *s)
{
    for (int i = 0; i < s->count; i++) {
        const struct loom_entry *n = &s->entry[i];
        if (n->lifetime == LOOM_LIFE_PARAM && !b->written[i])
            memset(b->grad + n->offset, 0, (size_t)n->size * sizeof(*b->grad));
        b->written[i] = 1;
    }
}

void loom_block_join(struct loom_block *left, const struct loom_block *right, const struct loom_store *s)
{
    for (int64_t i = 0; i < s->size[LOOM_LIFE_PARAM]; i++)
        left->grad[i] += right->grad[i];
    for (int64_t i = 0; i < s->size[LOOM_LIFE_SUM]; i++)
        left->sum[i] += right->sum[i];
    for (int64_t i = 0; i < s->size[LOOM_LIFE_TERM]; i++)
        left->term[i] += right->term[i];
}
