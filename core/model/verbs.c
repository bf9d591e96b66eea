/* SPDX-License-Identifier: Apache-2.0 */
/* encode, ask, read, nll, emit: what an objective's build calls, as often as it likes. */
#include "model/internal.h"

#include <loom/codes.h>

#include <stdio.h>
#include <string.h>

int loom_model_modality_number(const struct loom_model *m, const char *name)
{
    for (int i = 0; i < m->modalities; i++)
        if (strcmp(m->modality[i].name, name) == 0)
            return i;
    return -1;
}

/* The asked modality, or NULL with the graph failed. */
static const struct loom_modality *modality_of(struct loom_build *b, const char *name, int *number)
{
    *number = loom_model_modality_number(b->model, name);
    if (*number < 0) {
        loom_graph_fail(b->graph, LOOM_EPLUGIN, "the model has no modality '%s'", name);
        return NULL;
    }
    return &b->model->modality[*number];
}

/* What function `who` of part `at` returned, held to the shape that its declaration names; a stand-in of that shape
 * once the graph has failed, so that what follows need not look. columns 0: one axis. */
static struct loom_node *held(struct loom_build *b, const struct loom_instance *at, const char *who,
                              struct loom_node *got, int64_t rows, int64_t columns)
{
    const int64_t due[2] = {rows, columns};
    const int rank = columns > 0 ? 2 : 1;
    char is[96] = "nothing", wanted[64];
    if (got && loom_node_rank(got) == rank && loom_node_dim(got, 0) == rows &&
        (rank == 1 || loom_node_dim(got, 1) == columns))
        return got;
    size_t n = got ? (size_t)snprintf(is, sizeof is, "[") : 0;
    for (int i = 0; got && i < loom_node_rank(got); i++)
        n += (size_t)snprintf(is + n, sizeof is - n, "%s%lld", i ? ", " : "", (long long)loom_node_dim(got, i));
    if (got)
        snprintf(is + n, sizeof is - n, "]");
    snprintf(wanted, sizeof wanted, rank == 2 ? "[%lld, %lld]" : "[%lld]", (long long)rows, (long long)columns);
    loom_graph_fail(b->graph, LOOM_EPLUGIN, "%s of '%s' returned %s, where %s is due", who, at->plugin->id, is, wanted);
    return loom_constant(b->graph, rank, due, 0.0);
}

static int params_of(const struct loom_modality *at)
{
    return at->likelihood->params > 0 ? at->likelihood->params : at->at.traits.classes;
}

/* Rows of modality m of `rows`, as a table of their own; `rows` itself where it holds no other. */
static const struct loom_rows *rows_of(struct loom_build *b, const struct loom_rows *rows, int m, int32_t *keep,
                                       int32_t *count)
{
    *count = 0;
    for (int32_t r = 0; r < rows->rows; r++)
        if (rows->modality[r] == m)
            keep[(*count)++] = r;
    if (*count == rows->rows)
        return rows;
    struct loom_error e = {0};
    struct loom_rows *part = loom_arena_zalloc(b->plan->arena, sizeof(*part));
    if (!part || loom_rows_subset(b->plan->arena, rows, keep, *count, part, &e) != LOOM_OK) {
        loom_graph_fail(b->graph, LOOM_ENOMEM, "a view's rows do not fit the shard's memory");
        return NULL;
    }
    uint8_t *state = (uint8_t *)(uintptr_t)part->state;
    for (int32_t i = 0; i < *count; i++)
        state[i] = rows->state[keep[i]];
    return part;
}

static struct loom_node *embed_modality(struct loom_build *b, int m, const struct loom_rows *rows)
{
    const struct loom_modality *at = &b->model->modality[m];
    char scope[sizeof(at->at.scope)];
    snprintf(scope, sizeof(scope), "%s", at->at.scope);
    loom_scope_push(b, scope);
    const int width = b->model->backbone_at.traits.width;
    struct loom_node *x = at->tokenizer->embed(at->at.self, b, rows, width);
    loom_scope_pop(b);
    return held(b, &at->at, "embed", x, rows->rows, width);
}

/* Embed every row of a view, modality by modality, and bring the vectors back into the view's order. */
static struct loom_node *embed_rows(struct loom_build *b, const struct loom_rows *rows)
{
    struct loom_node *part[LOOM_MODALITIES];
    int parts = 0;
    int32_t done = 0, count = 0;
    int32_t *keep = loom_graph_alloc(b->graph, ((size_t)rows->rows + 1) * sizeof(*keep));
    int32_t *place = loom_graph_alloc(b->graph, ((size_t)rows->rows + 1) * sizeof(*place));
    if (!keep || !place)
        return loom_constant(b->graph, 2, (const int64_t[]){0, b->model->backbone_at.traits.width}, 0.0);
    for (int m = 0; m < b->model->modalities; m++) {
        if (!b->model->modality[m].visible)
            continue;
        const struct loom_rows *own = rows_of(b, rows, m, keep, &count);
        if (!own || !count)
            continue;
        part[parts++] = embed_modality(b, m, own);
        for (int32_t i = 0; i < count; i++)
            place[keep[i]] = done + i;
        done += count;
    }
    if (!parts)
        return loom_constant(b->graph, 2, (const int64_t[]){0, b->model->backbone_at.traits.width}, 0.0);
    if (parts == 1)
        return part[0];
    int64_t n = rows->rows;
    return loom_gather(b->graph, loom_concat_rows(b->graph, parts, part), loom_input(b->graph, LOOM_I32, 1, &n, place));
}

/* Such a backbone answers in data units: neither head nor the tokenizer's truth and render stand between. */
static int in_target_space(const struct loom_build *b)
{
    return (b->model->backbone_at.traits.offers & LOOM_TARGET_SPACE) != 0;
}

/* Verbs work from the model's root, whatever scope the objective stands in. */
struct place {
    char path[512];
    size_t length;
};
static struct place leave(struct loom_build *b)
{
    struct place p;
    memcpy(p.path, b->path, sizeof(p.path));
    p.length = b->path_length;
    b->path[0] = '\0';
    b->path_length = 0;
    return p;
}
static void come_back(struct loom_build *b, const struct place *p)
{
    memcpy(b->path, p->path, sizeof(b->path));
    b->path_length = p->length;
}

const struct loom_memory *loom_encode(struct loom_build *b, const struct loom_view *v, unsigned flags)
{
    static const struct loom_memory nothing;
    for (int i = 0; i < b->memories; i++)
        if (b->memory[i].view == v && b->memory[i].flags == flags)
            return &b->memory[i].memory;
    if (b->memories == LOOM_VIEWS * 4) {
        loom_graph_fail(b->graph, LOOM_EPLUGIN, "more than %d encodings in one step", LOOM_VIEWS * 4);
        return &nothing;
    }
    const struct loom_model *m = b->model;
    struct place p = leave(b);
    int stop = b->stop, shadow = b->shadow, tag = b->view_tag;
    b->stop = stop || (flags & (LOOM_STOP | LOOM_SHADOW));
    b->shadow = shadow || (flags & LOOM_SHADOW);
    b->view_tag = v->index;
    struct loom_node *x = in_target_space(b) ? NULL : embed_rows(b, &v->in);
    loom_scope_push(b, m->backbone_at.scope);
    struct loom_memory memory = m->backbone->encode(m->backbone_at.self, b, v, x);
    loom_scope_pop(b);
    if (!memory.rows)
        memory.rows = &v->in;
    if (memory.x)
        memory.x = held(b, &m->backbone_at, "x of encode", memory.x, memory.rows->rows, m->backbone_at.traits.width);
    if (b->stop && memory.x)
        memory.x = loom_stop(b->graph, memory.x);
    b->stop = stop;
    b->shadow = shadow;
    b->view_tag = tag;
    come_back(b, &p);
    b->memory[b->memories].view = v;
    b->memory[b->memories].flags = flags;
    b->memory[b->memories].memory = memory;
    return &b->memory[b->memories++].memory;
}

struct loom_answer loom_ask(struct loom_build *b, const struct loom_view *v, const struct loom_memory *m,
                            const char *modality)
{
    struct loom_answer none = {NULL, NULL};
    int number;
    const struct loom_modality *at = modality_of(b, modality, &number);
    if (!at || !v->ask[number].rows)
        return none;
    const struct loom_model *model = b->model;
    const struct loom_rows *ask = &v->ask[number];
    struct place p = leave(b);
    int tag = b->view_tag;
    b->view_tag = v->index;
    struct loom_node *q = NULL;
    if (!in_target_space(b))
        q = embed_modality(b, number, ask);
    loom_scope_push(b, model->backbone_at.scope);
    loom_scope_push(b, at->name);
    struct loom_answer a = model->backbone->answer(model->backbone_at.self, b, v, m, ask, q);
    loom_scope_pop(b);
    loom_scope_pop(b);
    const struct loom_instance *of = &model->backbone_at;
    if (!in_target_space(b))
        a.out = held(b, of, "out of answer", a.out, ask->rows, of->traits.width);
    else if (at->likelihood && a.out)
        a.out = held(b, of, "out of answer", a.out, ask->elems, params_of(at));
    if (a.latent)
        a.latent = held(b, of, "latent of answer", a.latent, ask->rows, of->traits.width);
    b->view_tag = tag;
    come_back(b, &p);
    return a;
}

/* The core's linear head: rows of one layout, elements × params outputs a row. */
static struct loom_node *head(struct loom_build *b, const struct loom_modality *at, const struct loom_rows *ask,
                              struct loom_node *out)
{
    int64_t elems = ask->rows ? ask->first_elem[1] : 0;
    for (int32_t r = 0; r < ask->rows; r++)
        if (ask->first_elem[r + 1] - ask->first_elem[r] != elems)
            loom_graph_fail(b->graph, LOOM_EPLUGIN,
                            "rows of '%s' differ in length, so the core's head cannot read them; its tokenizer must",
                            at->name);
    int params = params_of(at);
    int64_t width = loom_node_dim(out, -1), outputs = elems * params;
    loom_scope_push(b, "head");
    loom_scope_push(b, at->name);
    struct loom_node *w = loom_weight(b, "weight", outputs, width, "fan_in", 0);
    struct loom_node *bias = loom_param(b, "bias", 1, &outputs, "zeros", LOOM_NO_DECAY);
    loom_scope_pop(b);
    loom_scope_pop(b);
    struct loom_node *y = loom_linear(b->graph, out, w, bias, LOOM_ACT_NONE);
    return loom_reshape(b->graph, y, 2, (const int64_t[]){ask->elems, params});
}

static void note_reading(struct loom_build *b, int number, const struct loom_rows *ask, struct loom_node *params,
                         struct loom_node *answers)
{
    const struct loom_modality *at = &b->model->modality[number];
    if (b->mode == LOOM_FIT || b->mode == LOOM_DECLARE || b->reads == LOOM_READS)
        return;
    struct loom_node *rendered = NULL;
    if (b->mode == LOOM_STEP) {
        /* What it says is looked at by checks alone; data units are not. */
    } else if (at->tokenizer->render && !in_target_space(b)) {
        loom_scope_push(b, at->at.scope);
        rendered = at->tokenizer->render(at->at.self, b, ask, params);
        loom_scope_pop(b);
        rendered = held(b, &at->at, "render", rendered, ask->elems, 0);
    } else if (at->likelihood->mean) {
        rendered = at->likelihood->mean(b->graph, params, ask->elems);
    }
    b->read[b->reads++] = (struct loom_read_note){number, ask, params, rendered, answers};
}

/* Class numbers for a categorical likelihood; -1 where nothing is scored, or what is there is no class. */
static struct loom_node *labels(struct loom_build *b, const struct loom_rows *ask, const loom_real *weight,
                                int32_t classes)
{
    int64_t n = ask->elems;
    int32_t *label = loom_graph_alloc(b->graph, ((size_t)n + 1) * sizeof(*label));
    for (int64_t i = 0; label && i < n; i++)
        label[i] =
            weight[i] != 0 && ask->target[i] >= 0 && ask->target[i] < (loom_real)classes ? (int32_t)ask->target[i] : -1;
    return loom_input(b->graph, LOOM_I32, 1, &n, label);
}

/* Targets as the likelihood scores them. */
static struct loom_node *targets(struct loom_build *b, const struct loom_modality *at, const struct loom_rows *ask,
                                 const loom_real *weight)
{
    const int64_t n = ask->elems;
    if (at->tokenizer->truth && !in_target_space(b)) {
        loom_scope_push(b, at->at.scope);
        struct loom_node *target = at->tokenizer->truth(at->at.self, b, ask);
        loom_scope_pop(b);
        return held(b, &at->at, "truth", target, n, 0);
    }
    return at->likelihood->params < 0 ? labels(b, ask, weight, params_of(at))
                                      : loom_input(b->graph, LOOM_REAL, 1, &n, ask->target);
}

/* See struct loom_stand_in. */
static struct loom_node *stand_in(struct loom_build *b, const struct loom_modality *at, const struct loom_rows *ask,
                                  struct loom_node *params)
{
    const struct loom_stand_in *x = b->stand_in;
    const int64_t dims[2] = {ask->elems, params_of(at)};
    struct loom_node *out = loom_scale(b->graph, params, x->keep, x->by);
    if (x->right == 0)
        return out;
    if (at->likelihood->likeliest && at->tokenizer->truth && !in_target_space(b))
        return out;
    if (at->likelihood->likeliest) {
        loom_real *right = loom_graph_alloc(b->graph, (size_t)(dims[0] * dims[1] + 1) * sizeof *right);
        if (right)
            at->likelihood->likeliest(right, ask->target, dims[0], dims[1]);
        return loom_add(b->graph, out, loom_input(b->graph, LOOM_REAL, 2, dims, right));
    }
    return loom_add(b->graph, out, loom_reshape(b->graph, targets(b, at, ask, ask->weight), 2, dims));
}

struct loom_node *loom_read(struct loom_build *b, const struct loom_view *v, struct loom_answer a, const char *modality)
{
    int number;
    const struct loom_modality *at = modality_of(b, modality, &number);
    if (!at || !a.out)
        return NULL;
    if (!at->likelihood) {
        loom_graph_fail(b->graph, LOOM_EPLUGIN, "the tokenizer of '%s' names no likelihood: it cannot be asked",
                        at->name);
        return NULL;
    }
    const struct loom_rows *ask = &v->ask[number];
    struct place p = leave(b);
    struct loom_node *params = a.out;
    if (!in_target_space(b)) {
        if (at->tokenizer->read) {
            loom_scope_push(b, at->at.scope);
            params = at->tokenizer->read(at->at.self, b, ask, a.out);
            loom_scope_pop(b);
            params = held(b, &at->at, "read", params, ask->elems, params_of(at));
        } else {
            params = head(b, at, ask, a.out);
        }
    }
    if (b->stand_in)
        params = stand_in(b, at, ask, params);
    note_reading(b, number, ask, params, in_target_space(b) ? NULL : a.out);
    come_back(b, &p);
    return params;
}

struct loom_node *loom_nll(struct loom_build *b, const struct loom_view *v, struct loom_node *params,
                           const char *modality)
{
    return loom_nll_weighed(b, v, params, modality, NULL);
}

struct loom_node *loom_nll_weighed(struct loom_build *b, const struct loom_view *v, struct loom_node *params,
                                   const char *modality, const loom_real *weights)
{
    int number;
    const struct loom_modality *at = modality_of(b, modality, &number);
    if (!at || !params || !at->likelihood)
        return NULL;
    const struct loom_rows *ask = &v->ask[number];
    if (!weights)
        weights = ask->weight;
    int64_t n = ask->elems;
    struct place p = leave(b);
    struct loom_node *target = targets(b, at, ask, weights);
    struct loom_node *weight = loom_input(b->graph, LOOM_REAL, 1, &n, weights);
    struct loom_node *sum = at->likelihood->nll(b->graph, params, target, weight, ask->elems);
    come_back(b, &p);
    return sum;
}

double loom_mass(const struct loom_build *b, const char *name)
{
    for (int i = 0; b->masses && i < b->masses->n; i++)
        if (strcmp(b->masses->name[i], name) == 0)
            return b->masses->amount[i];
    return 0.0;
}

void loom_emit(struct loom_build *b, const char *term, struct loom_node *sum, double scale, unsigned flags)
{
    struct loom_error e = {0};
    const struct loom_entry *n =
        loom_store_declare(b->model->store, LOOM_LIFE_TERM, term, 1, (const int64_t[]){1}, "zeros", flags, &e);
    if (!n)
        loom_graph_fail(b->graph, e.code, "%s", e.message);
    else if (b->terms == LOOM_TERMS)
        loom_graph_fail(b->graph, LOOM_EPLUGIN, "more than %d terms in one step", LOOM_TERMS);
    else if (sum && !((flags & LOOM_ONCE) && !b->first))
        b->term[b->terms++] = (struct loom_emitted){n, sum, scale, flags};
}

/* ---- codes ---- */

/* The tokenizer's table of codes and its modality, or NULL with the graph failed. */
static const struct loom_codes *codes_table(struct loom_build *b, const char *modality, const struct loom_modality **at,
                                            int *number)
{
    *at = modality_of(b, modality, number);
    if (!*at)
        return NULL;
    const struct loom_part *part = (*at)->at.part;
    const struct loom_codes *c = part->extension ? part->extension((*at)->at.self, LOOM_CODES_ID) : NULL;
    if (!c)
        loom_graph_fail(b->graph, LOOM_ECONFIG,
                        "the tokenizer '%s' of '%s' has no codes; use one that has (plugin = \"vq\")",
                        (*at)->at.plugin->id, modality);
    return c;
}

int32_t loom_codes_count(struct loom_build *b, const char *modality)
{
    const struct loom_modality *at;
    int number;
    const struct loom_codes *c = codes_table(b, modality, &at, &number);
    return c ? c->count(at->at.self) : 1;
}

int32_t loom_codes_levels(struct loom_build *b, const char *modality)
{
    const struct loom_modality *at;
    int number;
    const struct loom_codes *c = codes_table(b, modality, &at, &number);
    return c ? c->levels(at->at.self) : 1;
}

struct loom_node *loom_codes_of(struct loom_build *b, const struct loom_view *v, const char *modality)
{
    const struct loom_modality *at;
    int number;
    const struct loom_codes *c = codes_table(b, modality, &at, &number);
    if (!c)
        return NULL;
    struct place p = leave(b);
    loom_freeze_push(b);
    loom_scope_push(b, at->at.scope);
    struct loom_node *codes = c->codes(at->at.self, b, &v->ask[number]);
    loom_scope_pop(b);
    loom_freeze_pop(b);
    come_back(b, &p);
    return codes;
}

struct loom_rebuilt loom_codes_rebuild(struct loom_build *b, const struct loom_view *v, const char *modality)
{
    struct loom_rebuilt out = {0};
    const struct loom_modality *at;
    int number;
    const struct loom_codes *c = codes_table(b, modality, &at, &number);
    if (!c)
        return out;
    struct place p = leave(b);
    loom_scope_push(b, at->at.scope);
    out = c->rebuild(at->at.self, b, &v->ask[number]);
    loom_scope_pop(b);
    come_back(b, &p);
    return out;
}
