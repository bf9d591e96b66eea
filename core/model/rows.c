/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rows.h"

#include <string.h>

void loom_rows_begin(struct loom_rows_builder *b, struct loom_arena *arena, int axes, int segments)
{
    memset(b, 0, sizeof(*b));
    b->arena = arena;
    b->axes = axes;
    b->segments = segments;
    b->segment = loom_arena_zalloc(arena, ((size_t)segments + 1) * sizeof(*b->segment));
    b->first_row = loom_arena_zalloc(arena, ((size_t)segments + 1) * sizeof(*b->first_row));
    b->first_elem = loom_arena_zalloc(arena, sizeof(*b->first_elem));
    b->failed = !b->segment || !b->first_row || !b->first_elem;
}

/* A larger copy of `old`, or NULL with the builder failed. */
static void *larger(struct loom_rows_builder *b, const void *old, size_t size, int32_t used, int32_t capacity)
{
    void *p = loom_arena_alloc(b->arena, size * (size_t)capacity);
    if (!p)
        b->failed = 1;
    else if (old && used)
        memcpy(p, old, size * (size_t)used);
    return p;
}

#define GROW(column, used, capacity) ((column) = larger(b, (column), sizeof(*(column)), (used), (capacity)))

static int reserve_rows(struct loom_rows_builder *b, int32_t more)
{
    if (b->rows + more > b->rows_cap) {
        int32_t capacity = b->rows_cap ? b->rows_cap : 512;
        while (capacity < b->rows + more)
            capacity *= 2;
        GROW(b->first_elem, b->rows + 1, capacity + 1);
        GROW(b->segment_of, b->rows, capacity);
        GROW(b->modality, b->rows, capacity);
        GROW(b->layout, b->rows, capacity);
        GROW(b->source, b->rows, capacity);
        GROW(b->state, b->rows, capacity);
        for (int a = 0; a < b->axes; a++)
            GROW(b->axis[a], b->rows, capacity);
        b->rows_cap = capacity;
    }
    return !b->failed;
}

static int reserve_elems(struct loom_rows_builder *b, int32_t more)
{
    if (b->elems + more > b->elems_cap) {
        int32_t capacity = b->elems_cap ? b->elems_cap : 4096;
        while (capacity < b->elems + more)
            capacity *= 2;
        GROW(b->value, b->elems, capacity);
        GROW(b->held, b->elems, capacity);
        if (b->target)
            GROW(b->target, b->elems, capacity);
        b->elems_cap = capacity;
    }
    return !b->failed;
}

void loom_rows_segment(struct loom_rows_builder *b, int32_t s, const struct loom_segment *segment)
{
    if (b->failed)
        return;
    b->now_segment = s;
    b->segment[s] = *segment;
    b->first_row[s] = b->rows;
    for (int32_t after = s + 1; after <= b->segments; after++)
        b->first_row[after] = b->rows;
}

void loom_rows_tokenizer(struct loom_rows_builder *b, int32_t modality, int axes, const int *axis)
{
    b->now_modality = modality;
    b->now_axes = axes;
    b->now_axis = axis;
    b->with_target = 0;
}

void loom_rows_reveal(struct loom_rows_builder *b, int32_t row)
{
    if (!b->target && !b->failed) {
        b->target = larger(b, b->value, sizeof(*b->target), b->elems, b->elems_cap ? b->elems_cap : 1);
    } else if (!b->failed && b->rows > row) {
        memcpy(b->target + b->first_elem[row], b->value + b->first_elem[row],
               (size_t)(b->elems - b->first_elem[row]) * sizeof(*b->target));
    }
    b->with_target = 1;
    b->target_row = row;
}

void *loom_rows_scratch(struct loom_rows_builder *b, size_t bytes)
{
    void *p = loom_arena_alloc(b->arena, bytes);
    b->failed |= !p;
    return p;
}

static int32_t find_layout(const struct loom_rows_builder *b, int32_t n, const int32_t *index)
{
    for (int32_t i = b->layouts - 1; i >= 0; i--)
        if (b->layout_of[i].n == n && memcmp(b->layout_of[i].index, index, (size_t)n * sizeof(*index)) == 0)
            return i;
    return -1;
}

int32_t loom_rows_layout(struct loom_rows_builder *b, int32_t n, const int32_t *index)
{
    if (b->failed)
        return LOOM_ENOMEM;
    int32_t at = find_layout(b, n, index);
    if (at >= 0)
        return at;
    if (b->layouts == b->layouts_cap) {
        int32_t capacity = b->layouts_cap ? 2 * b->layouts_cap : 64;
        GROW(b->layout_of, b->layouts, capacity);
        b->layouts_cap = capacity;
    }
    int32_t *copy = loom_arena_alloc(b->arena, (size_t)(n ? n : 1) * sizeof(*copy));
    if (b->failed || !copy) {
        b->failed = 1;
        return LOOM_ENOMEM;
    }
    memcpy(copy, index, (size_t)n * sizeof(*copy));
    b->layout_of[b->layouts] = (struct loom_layout){.n = n, .index = copy};
    return b->layouts++;
}

/* The revealed pass must make the same rows: what differs is content alone. */
static int append_target(struct loom_rows_builder *b, int32_t layout, const loom_real *value)
{
    int32_t r = b->target_row++;
    if (r >= b->rows || b->layout[r] != layout || b->modality[r] != b->now_modality)
        return LOOM_EPLUGIN;
    if (b->layout_of[layout].n > 0)
        memcpy(b->target + b->first_elem[r], value, (size_t)b->layout_of[layout].n * sizeof(*value));
    return LOOM_OK;
}

int loom_rows_append(struct loom_rows_builder *b, double time_s, const double *coordinates, int32_t layout,
                     const loom_real *value, const uint8_t *held)
{
    if (b->failed || layout < 0 || layout >= b->layouts)
        return b->failed ? LOOM_ENOMEM : LOOM_EINVAL;
    if (b->with_target)
        return append_target(b, layout, value);
    int32_t n = b->layout_of[layout].n;
    if (!reserve_rows(b, 1) || !reserve_elems(b, n))
        return LOOM_ENOMEM;
    int32_t r = b->rows, at = b->elems;
    b->segment_of[r] = b->now_segment;
    b->modality[r] = b->now_modality;
    b->layout[r] = layout;
    b->source[r] = r;
    b->state[r] = LOOM_SEEN;
    for (int a = 1; a < b->axes; a++)
        b->axis[a][r] = 0.0;
    b->axis[0][r] = time_s;
    for (int a = 0; a < b->now_axes; a++)
        if (b->now_axis[a] > 0)
            b->axis[b->now_axis[a]][r] = coordinates[a];
    if (n > 0) { /* a row of a recording without units has nothing, and nowhere to put it */
        memcpy(b->value + at, value, (size_t)n * sizeof(*value));
        if (held)
            memcpy(b->held + at, held, (size_t)n);
        else
            memset(b->held + at, 0, (size_t)n);
        if (b->target)
            memcpy(b->target + at, value, (size_t)n * sizeof(*value));
    }
    b->rows = r + 1;
    b->elems = at + n;
    b->first_elem[b->rows] = b->elems;
    for (int32_t s = b->now_segment + 1; s <= b->segments; s++)
        b->first_row[s] = b->rows;
    return LOOM_OK;
}

static void set_groups(struct loom_rows *t, const uint64_t *key)
{
    t->groups = (struct loom_groups){.n = t->segments, .first = t->first_row, .row = NULL, .key = key};
}

static uint64_t *segment_keys(struct loom_arena *a, const struct loom_segment *segment, int32_t n)
{
    uint64_t *key = loom_arena_alloc(a, ((size_t)n + 1) * sizeof(*key));
    for (int32_t i = 0; key && i < n; i++)
        key[i] = segment[i].key;
    return key;
}

static int no_memory(struct loom_error *e)
{
    return loom_fail(
        e, LOOM_ENOMEM, NULL, 0,
        "the rows of one shard do not fit its memory; use a smaller batch, shorter windows or more shards");
}

int loom_rows_finish(struct loom_rows_builder *b, const char *const *axis_name, struct loom_rows *out,
                     struct loom_error *e)
{
    if (!b->failed)
        reserve_rows(b, 1); /* columns exist even for an empty table */
    if (!b->failed)
        reserve_elems(b, 1);
    const double **axis = loom_arena_alloc(b->arena, LOOM_AXES * sizeof(*axis));
    uint64_t *key = b->failed ? NULL : segment_keys(b->arena, b->segment, b->segments);
    if (b->failed || !axis || !key)
        return no_memory(e);
    for (int a = 0; a < b->axes; a++)
        axis[a] = b->axis[a];
    *out = (struct loom_rows){.size = sizeof(*out),
                              .segments = b->segments,
                              .rows = b->rows,
                              .elems = b->elems,
                              .layouts = b->layouts,
                              .segment = b->segment,
                              .first_row = b->first_row,
                              .first_elem = b->first_elem,
                              .segment_of = b->segment_of,
                              .axes = b->axes,
                              .axis_name = axis_name,
                              .axis = axis,
                              .modality = b->modality,
                              .state = b->state,
                              .layout = b->layout,
                              .layout_of = b->layout_of,
                              .source = b->source,
                              .held = b->held,
                              .value = b->value,
                              .target = b->target ? b->target : b->value};
    set_groups(out, key);
    return LOOM_OK;
}

#define COLUMN(type, n) ((type *)loom_arena_alloc(a, ((size_t)(n) + 1) * sizeof(type)))

int loom_rows_subset(struct loom_arena *a, const struct loom_rows *from, const int32_t *keep, int32_t count,
                     struct loom_rows *out, struct loom_error *e)
{
    int32_t elems = 0;
    for (int32_t i = 0; i < count; i++)
        elems += from->first_elem[keep[i] + 1] - from->first_elem[keep[i]];
    int32_t *first_row = COLUMN(int32_t, from->segments + 1), *first_elem = COLUMN(int32_t, count + 1);
    int32_t *segment_of = COLUMN(int32_t, count), *modality = COLUMN(int32_t, count), *layout = COLUMN(int32_t, count);
    int32_t *source = COLUMN(int32_t, count);
    uint8_t *state = COLUMN(uint8_t, count), *held = COLUMN(uint8_t, elems);
    loom_real *value = COLUMN(loom_real, elems);
    double **axis = COLUMN(double *, LOOM_AXES);
    if (!first_row || !first_elem || !segment_of || !modality || !layout || !source || !state || !held || !value ||
        !axis)
        return no_memory(e);
    for (int k = 0; k < from->axes; k++)
        if (!(axis[k] = COLUMN(double, count)))
            return no_memory(e);
    int32_t at = 0, segment = 0;
    first_row[0] = 0;
    for (int32_t i = 0; i < count; i++) {
        int32_t r = keep[i], n = from->first_elem[r + 1] - from->first_elem[r];
        while (segment < from->segment_of[r])
            first_row[++segment] = i;
        first_elem[i] = at;
        segment_of[i] = from->segment_of[r];
        modality[i] = from->modality[r];
        layout[i] = from->layout[r];
        source[i] = from->source[r];
        state[i] = LOOM_SEEN;
        for (int k = 0; k < from->axes; k++)
            axis[k][i] = from->axis[k][r];
        memcpy(held + at, from->held + from->first_elem[r], (size_t)n);
        memcpy(value + at, from->value + from->first_elem[r], (size_t)n * sizeof(*value));
        at += n;
    }
    while (segment < from->segments)
        first_row[++segment] = count;
    first_elem[count] = at;
    *out = *from;
    out->rows = count;
    out->elems = elems;
    out->first_row = first_row;
    out->first_elem = first_elem;
    out->segment_of = segment_of;
    out->axis = (const double *const *)axis;
    out->modality = modality;
    out->state = state;
    out->layout = layout;
    out->source = source;
    out->held = held;
    out->value = value;
    out->target = out->weight = NULL;
    out->shown = NULL;
    set_groups(out, from->groups.key);
    return LOOM_OK;
}
