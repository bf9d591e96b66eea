/* SPDX-License-Identifier: Apache-2.0 */
/* POYO's token: one spike (Azabou et al. 2023, A Unified, Scalable Framework for Neural Population Decoding). Its
 * vector is its unit's, a row of a table kept by name, plus its kind's; when it happened is the row's time, which a
 * backbone takes up by rotation. Every unit is announced by two tokens, at the window's start and at its end, so that a
 * silent unit is known to be silent and one that was dropped or held out is not there at all.
 *
 * A row has one element, whose layout's index says who and what: KINDS × unit + kind. Its value is 1. */
#include <loom/nn.h>
#include <loom/plugin.h>

#include <stdatomic.h>

/* Rows of the table of kinds. The last stands for a row without content. */
enum kind { SPIKE, START, END, HIDDEN, KINDS };

/* Says once a process that recordings come binned: their spikes' times are then bins' centres. */
static void say_counts(const struct loom_catalog *c)
{
    static atomic_int said;
    for (int i = 0; i < loom_catalog_count(c); i++) {
        const struct loom_recording *r = loom_catalog_recording(c, i);
        if (r->first_spike != NULL || r->counts == NULL || atomic_exchange(&said, 1))
            continue;
        loom_log(
            LOOM_WARN,
            "recording %s holds counts in bins of %g ms and no spike times: the tokenizer poyo makes one token for "
            "each counted spike, at its bin's centre",
            r->id, 1e3 * loom_catalog_bin_s(c));
    }
}

static int poyo_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)e;
    say_counts(loom_setup_catalog(s));
    *self = NULL;
    return LOOM_OK;
}

static int poyo_describe(const void *self, struct loom_traits *t, struct loom_error *e)
{
    (void)self;
    (void)e;
    t->offers = LOOM_UNORDERED;
    t->elems = 1;
    t->events = 1;
    return LOOM_OK;
}

static int append(struct loom_rows_builder *b, double time_s, int32_t unit, enum kind kind)
{
    const int32_t who = KINDS * unit + (int32_t)kind;
    const loom_real one = 1;
    return loom_rows_append(b, time_s, NULL, loom_rows_layout(b, 1, &who), &one, NULL);
}

static int is_held(const struct loom_window *w, int32_t bin, int32_t u)
{
    return w->held && w->held[(int64_t)bin * w->units + u];
}

/* Some bin of the unit may be seen: only then is the unit announced. */
static int is_seen(const struct loom_window *w, int32_t u)
{
    for (int32_t k = 0; k < w->bins; k++)
        if (!is_held(w, k, u))
            return 1;
    return 0;
}

static int announce(const struct loom_window *w, struct loom_rows_builder *b, double time_s, enum kind kind)
{
    int status = LOOM_OK;
    for (int32_t u = 0; u < w->units && status == LOOM_OK; u++)
        if (is_seen(w, u))
            status = append(b, time_s, w->unit[u], kind);
    return status;
}

static int append_counts(const struct loom_window *w, struct loom_rows_builder *b)
{
    int status = LOOM_OK;
    for (int32_t k = 0; k < w->bins; k++)
        for (int32_t u = 0; u < w->units; u++) {
            int32_t n = is_held(w, k, u) ? 0 : w->count[(int64_t)k * w->units + u];
            for (int32_t i = 0; i < n && status == LOOM_OK; i++)
                status = append(b, (k + 0.5) * w->bin_s, w->unit[u], SPIKE);
        }
    return status;
}

/* In order of time: all starts, spikes, all ends. What is held never becomes a row, so that the revealed window makes
 * the same ones. */
static int poyo_tokenize(const void *self, const struct loom_window *w, struct loom_rows_builder *b,
                         struct loom_error *e)
{
    (void)self;
    (void)e;
    int status = announce(w, b, 0.0, START);
    if (status == LOOM_OK && w->spikes < 0)
        status = append_counts(w, b);
    for (int64_t i = 0; i < w->spikes && status == LOOM_OK; i++)
        status = append(b, w->spike_s[i], w->unit[w->spike_unit[i]], SPIKE);
    return status == LOOM_OK ? announce(w, b, w->length_s, END) : status;
}

static struct loom_node *rows_of(struct loom_build *b, struct loom_node *table, int64_t n, const int32_t *index)
{
    struct loom_graph *g = loom_build_graph(b);
    return loom_gather(g, table, loom_input(g, LOOM_I32, 1, &n, index));
}

static struct loom_node *poyo_embed(const void *self, struct loom_build *b, const struct loom_rows *rows, int width)
{
    struct loom_graph *g = loom_build_graph(b);
    int32_t *unit = loom_graph_alloc(g, ((size_t)rows->rows + 1) * sizeof(*unit));
    int32_t *kind = loom_graph_alloc(g, ((size_t)rows->rows + 1) * sizeof(*kind));
    (void)self;
    for (int32_t r = 0; unit && kind && r < rows->rows; r++) {
        const int32_t who = rows->layout_of[rows->layout[r]].index[0];
        const int hidden = rows->state[r] == LOOM_HIDDEN;
        kind[r] = hidden ? HIDDEN : who % KINDS;
        unit[r] = hidden ? -1 : loom_table_row(b, "unit", rows->segment[rows->segment_of[r]].recording, who / KINDS);
    }
    struct loom_node *units = loom_table(b, "unit", "unit", width, "normal:0.02", LOOM_NO_DECAY);
    struct loom_node *kinds = loom_param(b, "type", 2, (const int64_t[]){KINDS, width}, "normal:0.02", LOOM_NO_DECAY);
    if (!unit || !kind)
        return loom_constant(g, 2, (const int64_t[]){rows->rows, width}, 0.0);
    return loom_add(g, rows_of(b, units, rows->rows, unit), rows_of(b, kinds, rows->rows, kind));
}

static const struct loom_tokenizer table = {
    .part = {.size = sizeof(struct loom_tokenizer), .create = poyo_create, .describe = poyo_describe},
    .tokenize = poyo_tokenize,
    .embed = poyo_embed};

static const struct loom_plugin plugin = {.size = sizeof(struct loom_plugin),
                                          .build = LOOM_BUILD_BLOCK,
                                          .id = "poyo",
                                          .version = "0.1",
                                          .summary = "one token a spike, units by name, each announced at both ends",
                                          .license = "Apache-2.0",
                                          .kind = LOOM_TOKENIZER,
                                          .table = &table};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &plugin : NULL;
}
