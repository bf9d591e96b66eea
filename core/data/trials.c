/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of an interval table dealt to splits. */
#include "data/columns.h"
#include "data/split.h"

#include "base/mt19937.h"

#include <loom/rng.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int need_table(struct loom_splitter *m)
{
    const char *name = m->c->spec.split.table;
    m->table = loom_recording_intervals(m->r, name);
    if (m->table != NULL)
        return LOOM_OK;
    char have[256] = "no interval table at all";
    size_t used = 0;
    for (int32_t i = 0; i < m->r->intervals_count && used + 64 < sizeof have; i++)
        used += (size_t)snprintf(have + used, sizeof have - used, "%s\"%.48s\"", i > 0 ? ", " : "",
                                 m->r->intervals[i].name);
    return loom_fail(
        m->e, LOOM_EDATA, m->r->file, 0,
        "recording %s has no interval table \"%s\", which splits or windows by trial need; it has %s: name "
        "one with split.table, or use split.by = \"time\" and window = \"fixed\"",
        m->r->id, name, have);
}

static int fail_column(struct loom_splitter *m, const char *option, const char *name)
{
    const char *words[65];
    int n = 0;
    for (; n < m->table->columns && n < 64; n++)
        words[n] = m->table->column[n].name;
    words[n] = NULL;
    const char *near = loom_nearest(name, words);
    return loom_fail(m->e, LOOM_EDATA, m->r->file, 0,
                     "recording %s: table \"%s\" has no %s column \"%s\"%s%s%s; name another with %s", m->r->id,
                     m->table->name, strcmp(option, "align") == 0 ? "numeric" : "usable", name,
                     near != NULL ? " (near: \"" : "", near != NULL ? near : "", near != NULL ? "\")" : "", option);
}

/* The window of a row: around its event, or the row itself. 0: the row cannot be used. */
static int place(const struct loom_splitter *m, int32_t row, const struct loom_column *align, struct loom_trial *t)
{
    const struct loom_data_spec *s = &m->c->spec;
    const int64_t bin = m->c->bin_ns;
    double start = m->table->start_s[row], stop = m->table->stop_s[row];
    double event = align != NULL ? align->number[row] : start;
    if (!isfinite(start) || !isfinite(stop) || !isfinite(event) || stop <= start)
        return 0;
    *t = (struct loom_trial){.row = row, .split = -1, .event = loom_ns(event)};
    if (s->window == LOOM_WINDOW_FIXED) {
        t->begin = loom_stored_edge(m->r, loom_ns(start));
        t->end = loom_stored_edge(m->r, loom_ns(stop));
    } else {
        const int64_t first = loom_ns(event) - loom_ns(s->pre_s);
        t->begin =
            s->clock && m->r->first_spike != NULL ? loom_ceil_div(first, bin) * bin : loom_stored_edge(m->r, first);
        int64_t end = s->post_s >= 0.0 ? t->begin + loom_ns(s->pre_s) + loom_ns(s->post_s) + bin / 2 : loom_ns(stop);
        t->end = t->begin + (end - t->begin) / bin * bin + m->c->forward_ns;
    }
    return t->end - t->begin >= bin + m->c->forward_ns;
}

static int by_trial_begin(const void *a, const void *b)
{
    const struct loom_trial *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

int loom_trials_find(struct loom_splitter *m)
{
    const struct loom_data_spec *s = &m->c->spec;
    const struct loom_column *align = NULL;
    struct loom_trial t;
    m->trials.n = 0;
    if (need_table(m) != LOOM_OK)
        return LOOM_EDATA;
    if (s->window == LOOM_WINDOW_TRIAL && s->align[0] != '\0') {
        align = loom_intervals_column(m->table, s->align);
        if (align == NULL || align->number == NULL)
            return fail_column(m, "align", s->align);
    }
    for (int32_t i = 0; i < m->table->rows; i++)
        if (loom_trial_selected(s, m->table, i) && place(m, i, align, &t))
            loom_list_push(&m->trials, &t);
    if (m->trials.failed)
        return loom_fail(m->e, LOOM_ENOMEM, m->r->file, 0, "no memory for the trials of %s", m->r->id);
    if (m->trials.n > 0)
        qsort(m->trials.at, m->trials.n, m->trials.size, by_trial_begin);
    return LOOM_OK;
}

static int deal_by_column(struct loom_splitter *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    const struct loom_column *col = loom_intervals_column(m->table, s->column);
    struct loom_trial *t = m->trials.at;
    if (col == NULL)
        return fail_column(m, "split.column", s->column);
    for (size_t i = 0; i < m->trials.n; i++)
        for (int k = LOOM_SPLITS - 1; k >= 0; k--)
            if (loom_column_matches(&s->value[k], col, t[i].row))
                t[i].split = k;
    return LOOM_OK;
}

/* The place of each trial in a shuffle that hangs on the seed and the recording's name. */
static int32_t *shuffled_ranks(const struct loom_splitter *m)
{
    size_t n = m->trials.n;
    int32_t *order = malloc((n + 1) * sizeof *order), *rank = malloc((n + 1) * sizeof *rank);
    struct loom_rng rng;
    if (order == NULL || rank == NULL) {
        free(order);
        free(rank);
        return NULL;
    }
    loom_rng_init(&rng, (uint64_t)m->c->spec.split.seed, "split", 0, loom_hash(m->r->id, strlen(m->r->id), 0));
    for (size_t i = 0; i < n; i++)
        order[i] = (int32_t)i;
    loom_rng_shuffle(&rng, order, n);
    for (size_t i = 0; i < n; i++)
        rank[order[i]] = (int32_t)i;
    free(order);
    return rank;
}

/* Largest remainder: trial i goes to the split that lags furthest behind its share of the first i + 1. */
static int interleave(const double *fraction, size_t i, size_t *given)
{
    double worst = 1e-9, done = 0.0;
    int best = -1;
    for (int k = 0; k < LOOM_SPLITS; k++) {
        double lag = fraction[k] * (double)(i + 1) - (double)given[k];
        done += fraction[k];
        if (lag > worst) {
            worst = lag;
            best = k;
        }
    }
    size_t all = given[0] + given[1] + given[2];
    if (best >= 0 && done * (double)(i + 1) - (double)all >= 0.5 - 1e-9)
        given[best]++;
    else
        best = -1;
    return best;
}

static int deal_by_share(struct loom_splitter *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    struct loom_trial *t = m->trials.at;
    size_t n = m->trials.n, given[LOOM_SPLITS] = {0};
    int32_t *rank = shuffled_ranks(m);
    if (rank == NULL)
        return loom_fail(m->e, LOOM_ENOMEM, m->r->file, 0, "no memory to split %zu trials", n);
    for (size_t i = 0; i < n; i++) {
        if (s->order == LOOM_ORDER_INTERLEAVED) {
            t[i].split = interleave(s->fraction, i, given);
            continue;
        }
        double at = (double)(s->order == LOOM_ORDER_SHUFFLED ? (size_t)rank[i] : i) + 0.5, done = 0.0;
        for (int k = 0; k < LOOM_SPLITS && t[i].split < 0; k++) {
            done += s->fraction[k] * (double)n;
            if (at < done)
                t[i].split = k;
        }
    }
    free(rank);
    return LOOM_OK;
}

/* Keeps a share of the train trials: the first of them (contiguous), else those that rank lowest in a shuffle, so that
 * a smaller limit is a subset of a larger one. */
static int limit_trials(struct loom_splitter *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    struct loom_trial *t = m->trials.at;
    size_t train = 0;
    int32_t *rank = shuffled_ranks(m);
    if (rank == NULL)
        return loom_fail(m->e, LOOM_ENOMEM, m->r->file, 0, "no memory to limit %zu trials", m->trials.n);
    if (s->order == LOOM_ORDER_CONTIGUOUS)
        for (size_t i = 0; i < m->trials.n; i++)
            rank[i] = (int32_t)i;
    for (size_t i = 0; i < m->trials.n; i++)
        train += t[i].split == LOOM_TRAIN;
    size_t keep = (size_t)ceil(s->limit * (double)train - 1e-9);
    for (; train > keep; train--) {
        size_t last = m->trials.n;
        for (size_t i = 0; i < m->trials.n; i++)
            if (t[i].split == LOOM_TRAIN && (last == m->trials.n || rank[i] > rank[last]))
                last = i;
        t[last].split = -1;
    }
    free(rank);
    return LOOM_OK;
}

/* ---- jitter ---- */

/* Split of each row of the table, those included that have no window; malloc'ed. */
static int *splits_of_rows(const struct loom_splitter *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    const struct loom_trial *t = m->trials.at;
    const struct loom_column *col = s->by == LOOM_BY_COLUMN ? loom_intervals_column(m->table, s->column) : NULL;
    int *split = malloc(((size_t)m->table->rows + 1) * sizeof *split);
    for (int32_t i = 0; split != NULL && i < m->table->rows; i++) {
        split[i] = -1;
        for (int k = LOOM_SPLITS - 1; col != NULL && k >= 0; k--)
            if (loom_column_matches(&s->value[k], col, i))
                split[i] = k;
    }
    for (size_t i = 0; split != NULL && i < m->trials.n && col == NULL; i++)
        split[t[i].row] = t[i].split;
    return split;
}

/* Bins that a row lies later. */
static int64_t jitter_of(const struct loom_data_spec *s, const struct loom_column *col, int32_t row, double u)
{
    double most = s->jitter_s;
    if (col != NULL)
        most = fmin(fmax(s->jitter_until_s - 1e-3 * col->number[row], 0.0), most);
    return loom_jitter_bins(most, s->bin_s, u);
}

static int jitter_trials(struct loom_splitter *m)
{
    const struct loom_data_spec *s = &m->c->spec;
    const struct loom_column *col =
        *s->jitter_column != '\0' ? loom_intervals_column(m->table, s->jitter_column) : NULL;
    struct loom_trial *t = m->trials.at;
    if (*s->jitter_column != '\0' && (col == NULL || col->number == NULL))
        return fail_column(m, "jitter_column", s->jitter_column);
    int64_t *shift = calloc((size_t)m->table->rows + 1, sizeof *shift);
    int *split = splits_of_rows(m);
    for (int k = 0; k < LOOM_TEST && shift != NULL && split != NULL; k++) {
        struct loom_mt19937 g;
        loom_mt19937_init(&g, 0);
        for (int32_t i = 0; i < m->table->rows; i++)
            if (split[i] == k)
                shift[i] = m->c->bin_ns * jitter_of(s, col, i, loom_mt19937_uniform(&g));
    }
    for (size_t i = 0; i < m->trials.n && shift != NULL; i++) {
        t[i].event += shift[t[i].row];
        t[i].begin += shift[t[i].row];
        t[i].end += shift[t[i].row];
    }
    const int starved = shift == NULL || split == NULL;
    free(shift);
    free(split);
    if (starved)
        return loom_fail(m->e, LOOM_ENOMEM, m->r->file, 0, "no memory for the trials of %s", m->r->id);
    if (m->trials.n > 0)
        qsort(t, m->trials.n, m->trials.size, by_trial_begin);
    return LOOM_OK;
}

int loom_trials_deal(struct loom_splitter *m)
{
    int rc = m->c->spec.split.by == LOOM_BY_COLUMN ? deal_by_column(m) : deal_by_share(m);
    if (rc == LOOM_OK && m->c->spec.window == LOOM_WINDOW_TRIAL && m->c->spec.jitter_s > 0.0)
        rc = jitter_trials(m);
    return rc == LOOM_OK && loom_split_limited(m) ? limit_trials(m) : rc;
}
