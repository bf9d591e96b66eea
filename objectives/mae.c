/* SPDX-License-Identifier: Apache-2.0 */
/* Masked autoencoding: part of the neural rows is hidden, and asked for (He et al. 2022; NDT2's shuffle infill, Ye et
 * al. 2023). Every segment has its own draw, and hides exactly the same share. What the data hold out is asked for as
 * well. With several words in hide_by, one is drawn for each step and told by a prompt (MtM, Zhang et al. 2024). */
#include <loom/mask.h>
#include <loom/plugin.h>

#include <stdlib.h>

struct mae {
    const struct loom_options *options;
    const char *modality;
};

static int mae_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    struct mae *m = calloc(1, sizeof(*m));
    if (!m)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "out of memory for an objective");
    m->options = loom_setup_options(s);
    m->modality = loom_opt_string(m->options, "modality");
    int status = loom_mask_check(m->options, e);
    if (status != LOOM_OK) {
        free(m);
        return status;
    }
    *self = m;
    return LOOM_OK;
}

static void mae_destroy(void *self)
{
    free(self);
}

static int mae_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    const struct mae *m = self;
    (void)e;
    t->needs = LOOM_CONTENT | loom_mask_needs(m->options);
    t->offers = LOOM_FITS_SHARD;
    if (!loom_opt_is(m->options, "hide_how", "drop"))
        t->offers |= LOOM_KEEPS_ROWS;
    return LOOM_OK;
}

static int mae_plan(const void *self, const struct loom_rows *full, struct loom_plan *p, struct loom_error *e)
{
    const struct mae *m = self;
    int modality = loom_plan_chosen(p, m->options, "modality", e);
    int *kept = loom_plan_alloc(p, sizeof(*kept));
    if (modality < 0)
        return modality;
    if (!kept)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory to plan; use a smaller batch");
    int view = loom_mask_view(m->options, p, full, modality, "mae.mask", e);
    if (view < 0)
        return view;
    *kept = view;
    loom_plan_keep(p, kept);
    loom_plan_mass(p, "mae.elements", loom_rows_scored(&loom_plan_get(p, view)->ask[modality]));
    return LOOM_OK;
}

static void mae_build(const void *self, struct loom_build *b, const struct loom_plan *p)
{
    const struct mae *m = self;
    const struct loom_view *v = loom_plan_get(p, *(const int *)loom_plan_kept(p));
    double mass = loom_mass(b, "mae.elements"), weight = loom_opt_real(m->options, "weight");
    struct loom_answer a = loom_ask(b, v, loom_encode(b, v, 0), m->modality);
    struct loom_node *log_rate = loom_read(b, v, a, m->modality);
    loom_emit(b, "mae", loom_nll(b, v, log_rate, m->modality), mass > 0.0 ? weight / mass : 0.0, 0);
}

static const struct loom_option options[] = {
    LOOM_HIDE_OPTIONS("0.5", "drop"),
    {"modality", LOOM_OPT_STRING, 0, "spikes", NULL, NULL, "what is hidden and reconstructed"},
    {"weight", LOOM_OPT_REAL, LOOM_OPT_LIVE, "1.0", "[0,inf)", NULL, "of this term in the loss"},
    {0}};

static const struct loom_objective table = {.part = {.size = sizeof(struct loom_objective),
                                                     .create = mae_create,
                                                     .destroy = mae_destroy,
                                                     .describe = mae_describe},
                                            .plan = mae_plan,
                                            .build = mae_build};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "mae",
                                          .version = "0.1",
                                          .summary = "masked autoencoding: hide part of the neural rows, ask for it",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_OBJECTIVE,
                                          .options = options,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
