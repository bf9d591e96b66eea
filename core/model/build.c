/* SPDX-License-Identifier: Apache-2.0 */
/* Memory by name, while a graph is built. */
#include "model/internal.h"
#include "tensor/node.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

void loom_build_begin(struct loom_build *b, struct loom_model *m, struct loom_graph *g, struct loom_plan *p,
                      const struct loom_masses *masses, struct loom_block *block, int first)
{
    b->model = m;
    b->graph = g;
    b->plan = p;
    b->mode = p->mode;
    b->step = p->step;
    b->masses = masses;
    b->block = block;
    b->first = first;
    b->stop = b->shadow = 0;
    b->view_tag = 0;
    b->path[0] = '\0';
    b->path_length = 0;
    b->depth = b->lost = 0;
    b->terms = b->sums = b->reads = b->memories = 0;
}

void loom_build_objectives(struct loom_build *b)
{
    struct loom_model *m = b->model;
    for (int i = 0; i < m->objectives; i++) {
        const struct loom_objective *o = (const struct loom_objective *)m->objective_at[i].part;
        b->plan->objective = i;
        loom_scope_push(b, m->objective_at[i].scope);
        o->build(m->objective_at[i].self, b, b->plan);
        loom_scope_pop(b);
    }
}

struct loom_graph *loom_build_graph(struct loom_build *b)
{
    return b->graph;
}

/* "path.name" into `out`; 0 if it does not fit. */
static int full_name(const struct loom_build *b, const char *name, char *out, size_t size)
{
    size_t n = strlen(name), at = b->path_length;
    if (at + n + 2 > size)
        return 0;
    memcpy(out, b->path, at);
    if (at)
        out[at++] = '.';
    memcpy(out + at, name, n + 1);
    return 1;
}

void loom_scope_push(struct loom_build *b, const char *name)
{
    char path[sizeof(b->path)];
    if (b->depth == LOOM_DEPTH || !full_name(b, name, path, sizeof(path))) {
        loom_graph_fail(b->graph, LOOM_EPLUGIN, "scope '%s' under '%s' is too deep", name, b->path);
        b->lost++;
        return;
    }
    b->length_at[b->depth++] = b->path_length;
    b->path_length = strlen(path);
    memcpy(b->path, path, b->path_length + 1);
    loom_graph_scope_push(b->graph, name);
}

void loom_scope_pop(struct loom_build *b)
{
    if (b->lost > 0) {
        b->lost--;
        return;
    }
    if (b->depth == 0)
        return;
    b->path_length = b->length_at[--b->depth];
    b->path[b->path_length] = '\0';
    loom_graph_scope_pop(b->graph);
}

/* The entry `name` of the current scope; NULL with the graph failed. */
static struct loom_entry *entry_of(struct loom_build *b, int lifetime, const char *name, int rank, const int64_t *dim,
                                   const char *init, unsigned flags)
{
    char full[sizeof(b->path)];
    struct loom_error e = {0};
    if (!full_name(b, name, full, sizeof(full))) {
        loom_graph_fail(b->graph, LOOM_EPLUGIN, "the name '%s' under '%s' is too long", name, b->path);
        return NULL;
    }
    struct loom_entry *n = loom_store_declare(b->model->store, lifetime, full, rank, dim, init, flags, &e);
    if (!n)
        loom_graph_fail(b->graph, e.code, "%s", e.message);
    return n;
}

void loom_freeze_push(struct loom_build *b)
{
    b->stop++;
}

void loom_freeze_pop(struct loom_build *b)
{
    b->stop--;
}

static struct loom_node *param_leaf(struct loom_build *b, struct loom_entry *n)
{
    const struct loom_store *s = b->model->store;
    if (!n)
        return loom_leaf(b->graph, "?", 0, NULL, NULL, NULL);
    if (b->mode == LOOM_DECLARE && !b->stop && !b->shadow)
        n->moves = 1;
    const loom_real *value = b->shadow && s->shadow ? s->shadow : s->param;
    int gradient = b->mode == LOOM_STEP && b->block && !b->stop && !b->shadow && n->lr_scale != 0.0;
    struct loom_node *leaf = loom_leaf(b->graph, n->name, n->rank, n->dim, value ? value + n->offset : NULL,
                                       gradient ? b->block->grad + n->offset : NULL);
    if (gradient)
        loom_leaf_unwritten(leaf, &b->block->written[n - s->entry]);
    return leaf;
}

struct loom_node *loom_param(struct loom_build *b, const char *name, int rank, const int64_t *dim, const char *init,
                             unsigned flags)
{
    return param_leaf(b, entry_of(b, LOOM_LIFE_PARAM, name, rank, dim, init, flags));
}

static int is_adapted(const struct loom_lora *l, const char *name)
{
    for (int32_t i = 0; l && l->rank > 0 && i < l->match.n; i++)
        if (fnmatch(l->match.word[i], name, FNM_NOESCAPE) == 0)
            return 1;
    return 0;
}

/* The factors are multiplied, not the rows through both: one product of small matrices a shard, whatever the rows. B
 * begins at 0, so that step 0 is the unadapted model's to the last bit. */
struct loom_node *loom_weight(struct loom_build *b, const char *name, int64_t out, int64_t in, const char *init,
                              unsigned flags)
{
    const struct loom_lora *l = b->model->lora;
    struct loom_graph *g = b->graph;
    char full[sizeof(b->path)], factor[sizeof(b->path) + 8];
    struct loom_node *w = loom_param(b, name, 2, (const int64_t[]){out, in}, init, flags);
    if (!l || !full_name(b, name, full, sizeof(full)) || !is_adapted(l, full))
        return w;
    size_t length = b->path_length;
    b->path_length = 0; /* factors hang on the root */
    snprintf(factor, sizeof(factor), "lora.%s.a", full);
    struct loom_node *a = loom_param(b, factor, 2, (const int64_t[]){l->rank, in}, "fan_in", 0);
    snprintf(factor, sizeof(factor), "lora.%s.b", full);
    struct loom_node *bb = loom_param(b, factor, 2, (const int64_t[]){out, l->rank}, "zeros", 0);
    b->path_length = length;
    return loom_add(g, w, loom_scale(g, loom_matmul(g, bb, a, 0, 0), l->alpha / l->rank, 0.0));
}

struct loom_node *loom_table(struct loom_build *b, const char *vocabulary, const char *name, int width,
                             const char *init, unsigned flags)
{
    int32_t names = 0;
    const char *const *row = loom_catalog_names(b->model->catalog, vocabulary, &names);
    if (!row) {
        loom_graph_fail(b->graph, LOOM_EPLUGIN,
                        "table '%s' hangs on the unknown vocabulary '%s' (session, subject, task, unit, class:COLUMN)",
                        name, vocabulary);
        return loom_leaf(b->graph, "?", 0, NULL, NULL, NULL);
    }
    struct loom_entry *n =
        entry_of(b, LOOM_LIFE_PARAM, name, 2, (const int64_t[]){names, width}, init, flags | LOOM_SPARSE_ROWS);
    if (n && !n->vocabulary) {
        n->vocabulary = strdup(vocabulary);
        n->row = row;
    }
    return param_leaf(b, n);
}

int32_t loom_table_row(const struct loom_build *b, const char *vocabulary, int32_t recording, int32_t unit)
{
    return loom_catalog_row(b->model->catalog, vocabulary, recording, unit);
}

struct loom_node *loom_state(struct loom_build *b, const char *name, int rank, const int64_t *dim, const char *init)
{
    struct loom_entry *n = entry_of(b, LOOM_LIFE_STATE, name, rank, dim, init, 0);
    if (!n)
        return loom_leaf(b->graph, "?", 0, NULL, NULL, NULL);
    const loom_real *value = b->model->store->state;
    return loom_leaf(b->graph, n->name, n->rank, n->dim, value ? value + n->offset : NULL, NULL);
}

void loom_sum_into(struct loom_build *b, const char *name, struct loom_node *addend)
{
    int64_t dim[LOOM_MAX_RANK];
    int rank = loom_node_rank(addend);
    for (int a = 0; a < rank; a++)
        dim[a] = loom_node_dim(addend, a);
    struct loom_entry *n = entry_of(b, LOOM_LIFE_SUM, name, rank, dim, "zeros", 0);
    if (!n || b->mode == LOOM_EVALUATE || b->mode == LOOM_DECLARE)
        return;
    if (loom_node_dtype(addend) != LOOM_F64)
        loom_graph_fail(b->graph, LOOM_ESHAPE, "sum '%s' is added to with a node that is not F64", n->name);
    else if (b->sums == LOOM_SUMS)
        loom_graph_fail(b->graph, LOOM_EPLUGIN, "more than %d sums in one build", LOOM_SUMS);
    else
        b->sum[b->sums++] = (struct loom_summed){n, addend};
}

void loom_sum_declare(struct loom_build *b, const char *name, int rank, const int64_t *dim)
{
    entry_of(b, LOOM_LIFE_SUM, name, rank, dim, "zeros", 0);
}

int loom_fitting(const struct loom_build *b)
{
    return b->mode == LOOM_FIT || b->mode == LOOM_DECLARE;
}

int loom_training(const struct loom_build *b)
{
    return b->mode == LOOM_STEP && !b->shadow;
}

uint64_t loom_seed(const struct loom_build *b)
{
    return b->model->seed;
}

uint64_t loom_step(const struct loom_build *b)
{
    return b->step;
}

const struct loom_catalog *loom_build_catalog(const struct loom_build *b)
{
    return b->model->catalog;
}

const char *loom_purpose(struct loom_build *b, const char *what)
{
    size_t n = b->path_length + strlen(what) + 16;
    char *out = loom_graph_alloc(b->graph, n);
    if (!out)
        return what;
    snprintf(out, n, "%d:%s.%s", b->view_tag, b->path, what);
    return out;
}

/* ---- update ---- */

static struct loom_entry *update_entry(struct loom_update *u, int lifetime, const char *name, size_t *n)
{
    char full[512];
    snprintf(full, sizeof(full), "%s.%s", u->scope, name);
    struct loom_entry *entry = loom_store_find(u->model->store, lifetime, full);
    if (n)
        *n = entry ? (size_t)entry->size : 0;
    return entry;
}

const double *loom_update_sum(const struct loom_update *u, const char *name, size_t *n)
{
    const struct loom_entry *entry = update_entry((struct loom_update *)(uintptr_t)u, LOOM_LIFE_SUM, name, n);
    return entry ? u->sums + entry->offset : NULL;
}

loom_real *loom_update_state(struct loom_update *u, const char *name, size_t *n)
{
    const struct loom_entry *entry = update_entry(u, LOOM_LIFE_STATE, name, n);
    return entry ? u->model->store->state + entry->offset : NULL;
}

loom_real *loom_update_param(struct loom_update *u, const char *name, size_t *n)
{
    const struct loom_entry *entry = u->fitting ? update_entry(u, LOOM_LIFE_PARAM, name, n) : NULL;
    return entry ? u->model->store->param + entry->offset : NULL;
}

int loom_update_fitting(const struct loom_update *u)
{
    return u->fitting;
}

int loom_update_pass(const struct loom_update *u)
{
    return u->pass;
}
