/* SPDX-License-Identifier: Apache-2.0 */
/* Legality is one subset test: everything that parts need must be offered by another. */
#include "model/internal.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

struct power {
    uint64_t bit;
    const char *name, *provider, *sentence, *remedy;
};

static const struct power powers[] = {
    {LOOM_REGIONS, "regions", "the data", "every unit carries a brain region",
     "choose a source whose file names regions"},
    {LOOM_ELECTRODES, "electrodes", "the data", "every unit carries a position",
     "choose a source whose file has positions"},
    {LOOM_TRIALS, "trials", "the data", "recordings have a table of trials", "name the trial variable in data"},
    {LOOM_BEHAVIOR, "behavior", "the data", "the behaviour asked for exists in every recording",
     "name it in data.series"},
    {LOOM_LABELS, "labels", "the data", "a column of the trials is asked for",
     "let an objective ask for one (decode: target = \"condition\")"},
    {LOOM_STEPS, "steps", "the tokenizer of spikes", "one row a bin, without gaps",
     "use tokenizer: { plugin = \"bins\"; }"},
    {LOOM_ELEMENTS, "elements", "the tokenizer of spikes", "elements of a row can be hidden one by one",
     "use hide_by = \"row\""},
    {LOOM_CONTENT, "content", "the tokenizer of spikes", "rows have a likelihood and can be asked",
     "choose a tokenizer with a likelihood"},
    {LOOM_UNITS, "units", "the tokenizer of spikes", "elements are units by name",
     "choose a tokenizer that keeps units apart"},
    {LOOM_UNORDERED, "unordered", "the tokenizer of spikes", "the order of units changes nothing",
     "use tokenizer: { plugin = \"bins\"; }"},
    {LOOM_CODES, "codes", "the tokenizer of spikes", "rows have codes", "use tokenizer: { plugin = \"vq\"; }"},
    {LOOM_HOLES, "holes", "the backbone", "rows may be missing", "use hide_how = \"zero\" or another backbone"},
    {LOOM_BLANKS, "blanks", "the backbone", "rows may be hidden in place", "use hide_how = \"drop\" or \"zero\""},
    {LOOM_IN_PLACE, "in-place", "the backbone", "questions that stand on a row of the view are answered",
     "choose a backbone that answers in place"},
    {LOOM_ANYWHERE, "anywhere", "the backbone", "questions that stand on no row of the view are answered",
     "give the backbone a decoder (vit: decoder_depth >= 1) or use hide_how = \"zero\""},
    {LOOM_AHEAD, "ahead", "the backbone", "questions after the last row are answered", "set data.forward_ms = 0"},
    {LOOM_LATENT, "latent", "the backbone", "answers carry a latent", "choose a backbone with a regressor"},
    {LOOM_OPEN, "open", "the backbone", "answers see the memory through its vectors alone", "choose another backbone"},
    {LOOM_CAUSAL, "causal", "the backbone", "attention can hold to the past", "set causal = false"},
    {LOOM_CARRY, "carry", "the backbone", "it streams with carried state", "stream in mode \"slide\""},
    {LOOM_TARGET_SPACE, "target-space", "the backbone", "it answers in the target's own space", "use it as a baseline"},
    {LOOM_ESTIMATES, "estimates", "the objective", "gradients are estimates", "add objectives: ( quantize )"},
    {LOOM_KEEPS_ROWS, "keeps-rows", "the objective", "no row is dropped", "use hide_how = \"zero\""},
    {LOOM_FITS_SHARD, "fits-shard", "the objective", "samples are coupled inside a shard at most",
     "make the group smaller"},
    {LOOM_COUPLES, "couples", "the objective", "samples of a shard are compared", "add objectives: ( contrastive )"},
};

enum { POWERS = sizeof(powers) / sizeof(powers[0]) };

/* Whose tokenizer "the tokenizer of spikes" is: of signals alone the first in the pipeline stands for them. */
static const struct loom_modality *lead_of(const struct loom_model *m)
{
    int at = loom_model_modality_number(m, "spikes");
    return m->modalities == 0 ? NULL : &m->modality[at < 0 ? 0 : at];
}

static uint64_t offers_of(const struct loom_model *m)
{
    const struct loom_modality *lead = lead_of(m);
    uint64_t offers = loom_catalog_offers(m->catalog) | m->backbone_at.traits.offers;
    for (int i = 0; i < m->needs; i++) /* loom_setup_behavior has refused what no recording has */
        offers |= m->need[i].label ? LOOM_BEHAVIOR | LOOM_LABELS : LOOM_BEHAVIOR;
    if (lead)
        offers |= lead->at.traits.offers;
    for (int i = 0; i < m->modalities; i++) /* an objective says whose: a modality without them is refused by name */
        offers |= m->modality[i].at.traits.offers & LOOM_CODES;
    /* A promise of objectives holds when every one of them gives it. */
    uint64_t promise = LOOM_KEEPS_ROWS | LOOM_FITS_SHARD;
    for (int i = 0; i < m->objectives; i++)
        promise &= m->objective_at[i].traits.offers;
    return offers | promise;
}

static int missing(const struct loom_instance *who, uint64_t offers, struct loom_error *e)
{
    for (int i = 0; i < POWERS; i++)
        if ((who->traits.needs & powers[i].bit) && !(offers & powers[i].bit))
            return loom_fail(e, LOOM_ECONFIG, NULL, 0, "%s '%s' needs of %s that %s, which is not offered; %s",
                             loom_kind_name(who->plugin->kind), who->plugin->id, powers[i].provider, powers[i].sentence,
                             powers[i].remedy);
    return LOOM_OK;
}

int loom_model_legal(const struct loom_model *m, struct loom_error *e)
{
    uint64_t offers = offers_of(m);
    int status = missing(&m->backbone_at, offers, e);
    for (int i = 0; i < m->modalities && status == LOOM_OK; i++)
        status = missing(&m->modality[i].at, offers, e);
    for (int i = 0; i < m->objectives && status == LOOM_OK; i++)
        status = missing(&m->objective_at[i], offers, e);
    return status;
}

static void list_powers(struct loom_str *out, const char *word, uint64_t bits)
{
    loom_str_printf(out, "    %-7s", word);
    for (int i = 0; i < POWERS; i++)
        if (bits & powers[i].bit)
            loom_str_printf(out, " %s", powers[i].name);
    loom_str_add(out, bits ? "\n" : " nothing\n");
}

static void describe_part(struct loom_str *out, const struct loom_instance *at, const char *what)
{
    loom_str_printf(out, "  %s: %s %s %s\n", what, loom_kind_name(at->plugin->kind), at->plugin->id,
                    at->plugin->version);
    list_powers(out, "needs", at->traits.needs);
    list_powers(out, "offers", at->traits.offers);
}

int loom_model_describe(const struct loom_model *m, struct loom_str *out)
{
    loom_str_add(out, "parts\n");
    for (int i = 0; i < m->modalities; i++) {
        const struct loom_modality *at = &m->modality[i];
        char what[96];
        snprintf(what, sizeof(what), "%s (%s, %s)", at->name, at->visible ? "seen" : "asked only",
                 at->likelihood ? at->likelihood->name : "cannot be asked");
        describe_part(out, &at->at, what);
    }
    describe_part(out, &m->backbone_at, "backbone");
    for (int i = 0; i < m->objectives; i++)
        describe_part(out, &m->objective_at[i], "objective");
    loom_str_printf(out, "parameters: %lld\n", (long long)loom_store_parameters(m->store));
    for (int i = 0; i < m->store->count; i++) {
        const struct loom_entry *n = &m->store->entry[i];
        if (n->lifetime != LOOM_LIFE_PARAM)
            continue;
        loom_str_printf(out, "  %-56s [", n->name);
        for (int a = 0; a < n->rank; a++)
            loom_str_printf(out, a ? ", %lld" : "%lld", (long long)n->dim[a]);
        loom_str_printf(out, "]%s%s\n", n->vocabulary ? " by " : "", n->vocabulary ? n->vocabulary : "");
    }
    return out->failed ? LOOM_ENOMEM : LOOM_OK;
}
