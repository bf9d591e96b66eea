/* SPDX-License-Identifier: Apache-2.0 */
/* @NAME@: an objective. It says what is hidden, what is asked, and what a wrong answer costs. This one hides part of
 * the neural rows, asks for them, and costs the mean negative log-likelihood of what was hidden.
 *
 * When its functions are called, and what they may do (<loom/plugin.h> has the whole contract):
 *   create, describe, destroy   [setup]  one thread; may allocate and fail
 *   plan                        [data]   many threads at once, one shard of a batch each; no graph
 *   build                       [build]  many threads at once; appends nodes to a graph; cannot fail
 * The instance (`self`) is const from create to destroy. What plan leaves for build it allocates from the plan
 * (loom_plan_alloc, loom_plan_keep), which lives until the step ends. What create allocates destroy frees. */
#include <loom/mask.h>
#include <loom/plugin.h>

#include <stdlib.h>

struct part {
    const struct loom_options *options;
    const char *modality; /* what is hidden and asked; borrowed from the options */
};

/* [setup] */
static int part_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct part *p = calloc(1, sizeof *p);
    if (p == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for an objective; free some");
    p->options = loom_setup_options(s);
    p->modality = loom_opt_string(p->options, "modality");
    const int status = loom_mask_check(p->options, e);
    if (status != LOOM_OK) {
        free(p);
        return status;
    }
    *self = p;
    return LOOM_OK;
}

static void part_destroy(void *self)
{
    free(self);
}

/* [setup] What it needs of the parts beside it: a pipeline in which one does not offer that is refused before it runs,
 * with the remedy. FITS_SHARD: a sample's loss depends on no other shard. */
static int part_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct part *p = self;
    (void)e;
    t->needs = LOOM_CONTENT | loom_mask_needs(p->options);
    t->offers = LOOM_FITS_SHARD;
    if (!loom_opt_is(p->options, "hide_how", "drop"))
        t->offers |= LOOM_KEEPS_ROWS;
    return LOOM_OK;
}

/* [data] For one shard: `full` has all rows of its windows. loom_mask_view draws what is hidden, by the sample's name,
 * so that a draw depends neither on the batch nor on the number of threads, and makes the view that asks for it (draw
 * anything else with loom_plan_rng for the same reason, and make views of your own with loom_plan_view). The mass is
 * the denominator of the mean: it is summed over all shards of the batch before anything is built. */
static int part_plan(const void *self, const struct loom_rows *full, struct loom_plan *plan, struct loom_error *e)
{
    const struct part *p = self;
    const int modality = loom_plan_chosen(plan, p->options, "modality", e);
    int *kept = loom_plan_alloc(plan, sizeof *kept);
    if (modality < 0)
        return modality;
    if (kept == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    const int view = loom_mask_view(p->options, plan, full, modality, "@NAME@.mask", e);
    if (view < 0)
        return view;
    *kept = view;
    loom_plan_keep(plan, kept);
    loom_plan_mass(plan, "@NAME@.elements", loom_rows_scored(&loom_plan_get(plan, view)->ask[modality]));
    return LOOM_OK;
}

/* [build] The walk in verbs: encode what is visible, ask, read the answer, score it, add a term. loss += scale × sum.
 */
static void part_build(const void *self, struct loom_build *b, const struct loom_plan *plan)
{
    const struct part *p = self;
    const struct loom_view *v = loom_plan_get(plan, *(const int *)loom_plan_kept(plan));
    const double mass = loom_mass(b, "@NAME@.elements"), weight = loom_opt_real(p->options, "weight");
    const struct loom_memory *memory = loom_encode(b, v, 0);
    struct loom_node *parameters = loom_read(b, v, loom_ask(b, v, memory, p->modality), p->modality);
    loom_emit(b, "@NAME@", loom_nll(b, v, parameters, p->modality), mass > 0.0 ? weight / mass : 0.0, 0);
}

/* LOOM_HIDE_OPTIONS gives every objective the same words for hiding: hide, hide_by, hide_how, … */
static const struct loom_option options[] = {
    LOOM_HIDE_OPTIONS("0.3", "replace"),
    {"modality", LOOM_OPT_STRING, 0, "spikes", NULL, NULL, "What is hidden and asked for."},
    {"weight", LOOM_OPT_REAL, LOOM_OPT_LIVE, "1.0", "[0,inf)", NULL, "Of this term in the loss."},
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};

static const struct loom_objective table = {
    .part = {.size = sizeof table, .create = part_create, .destroy = part_destroy, .describe = part_describe},
    .plan = part_plan,
    .build = part_build};

/* The id is the file's name without ".so". */
static const struct loom_plugin plugin = {.size = sizeof plugin,
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "@NAME@",
                                          .version = "0.1",
                                          .summary = "hide part of the neural rows and ask for it",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_OBJECTIVE,
                                          .options = options,
                                          .table = &table};

/* [load] The one symbol that the file shows. */
const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
