/* SPDX-License-Identifier: Apache-2.0 */
/* Splits as spans. Per recording: what was observed, without invalid times → pieces (observed time cut at split
 * boundaries) or trials (rows of an interval table dealt to splits) → spans, disjoint between splits. */
#include "data/spans.h"

#include <loom/rng.h>

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct interval {
    int64_t begin, end;
};
/* A part of one observed interval that belongs to one split. */
struct piece {
    int64_t begin, end;
    int split;              /* -1: to none */
    int cut_begin, cut_end; /* 1: another split, or a gap, lies on that side */
};
/* A row of the interval table on its way to a span. */
struct trial {
    int64_t begin, end; /* its window */
    int64_t low, high;  /* what it may read */
    int64_t event;
    int32_t row;
    int split;
};

struct list {
    void *at;
    size_t n, capacity, size;
    int failed;
};

struct maker {
    struct loom_catalog *c;
    const struct loom_recording *r;
    int32_t number; /* of r */
    struct list observed, pieces, trials, spans;
    const struct loom_intervals *table;
    struct loom_error *e;
};

static void push(struct list *l, const void *item)
{
    if (l->n == l->capacity) {
        size_t capacity = l->capacity == 0 ? 64 : l->capacity * 2;
        void *at = realloc(l->at, capacity * l->size);
        if (at == NULL) {
            l->failed = 1;
            return;
        }
        l->at = at;
        l->capacity = capacity;
    }
    memcpy((char *)l->at + l->n++ * l->size, item, l->size);
}

/* ---- what was observed ---- */

static void add_observed(struct maker *m, int64_t begin, int64_t end)
{
    const struct loom_counts *counts = m->r->counts;
    if (m->r->first_spike != NULL || counts == NULL) {
        if (end > begin)
            push(&m->observed, &(struct interval){begin, end});
        return;
    }
    for (int32_t b = 0; b < counts->blocks; b++) {
        int64_t from = loom_ns(counts->block_start_s[b]);
        double length = (double)(counts->first_bin[b + 1] - counts->first_bin[b]) * counts->bin_s;
        int64_t to = loom_ns(counts->block_start_s[b] + length);
        from = from < begin ? loom_stored_edge(m->r, begin) : from;
        to = to > end ? loom_stored_edge(m->r, end) : to;
        if (to > from)
            push(&m->observed, &(struct interval){from, to});
    }
}

static int by_begin(const void *a, const void *b)
{
    const struct interval *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* [begin, end) without the rows of the table of invalid times. */
static void add_valid(struct maker *m, const struct interval *bad, size_t n, int64_t begin, int64_t end)
{
    for (size_t i = 0; i < n; i++) {
        if (bad[i].end <= begin || bad[i].begin >= end)
            continue;
        add_observed(m, begin, bad[i].begin);
        begin = bad[i].end;
    }
    add_observed(m, begin, end);
}

static int find_observed(struct maker *m)
{
    const struct loom_recording *r = m->r;
    const struct loom_intervals *t = loom_recording_intervals(r, m->c->spec.invalid);
    struct list bad = {.size = sizeof(struct interval)};
    m->observed.n = 0;
    for (int32_t i = 0; t != NULL && i < t->rows; i++)
        if (isfinite(t->start_s[i]) && isfinite(t->stop_s[i]))
            push(&bad, &(struct interval){loom_ns(t->start_s[i]), loom_ns(t->stop_s[i])});
    if (bad.n > 0)
        qsort(bad.at, bad.n, bad.size, by_begin);
    if (r->observed_count == 0)
        add_valid(m, bad.at, bad.n, loom_ns(r->start_s), loom_ns(r->stop_s));
    for (int32_t i = 0; i < r->observed_count; i++)
        add_valid(m, bad.at, bad.n, loom_ns(r->observed_s[2 * i]), loom_ns(r->observed_s[2 * i + 1]));
    free(bad.at);
    if (m->observed.failed || bad.failed)
        return loom_fail(m->e, LOOM_ENOMEM, r->file, 0, "no memory for the observed intervals of %s", r->id);
    return LOOM_OK;
}

/* ---- pieces: observed time by split ---- */

/* Clock time of a position in observed time, on the bin grid of the interval that holds it. */
static int64_t clock_of(const struct maker *m, double position)
{
    const struct interval *o = m->observed.at;
    for (size_t i = 0; i < m->observed.n; i++) {
        double length = (double)(o[i].end - o[i].begin);
        if (position < length || i + 1 == m->observed.n) {
            int64_t bins = (int64_t)floor(fmin(position, length) / (double)m->c->bin_ns + 0.5);
            int64_t t = o[i].begin + bins * m->c->bin_ns;
            return t < o[i].end ? t : o[i].end;
        }
        position -= length;
    }
    return 0;
}

static void cut_pieces(struct maker *m, int64_t from, int64_t to, int split, int first)
{
    const struct interval *o = m->observed.at;
    for (size_t i = 0; i < m->observed.n; i++) {
        int64_t begin = o[i].begin > from ? o[i].begin : from, end = o[i].end < to ? o[i].end : to;
        if (end > begin)
            push(&m->pieces, &(struct piece){begin, end, split, begin == from && !first && begin > o[i].begin,
                                             end == to && end < o[i].end});
    }
}

static void pieces_by_time(struct maker *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    const struct interval *o = m->observed.at;
    int64_t gap = loom_ceil_div(loom_ns(s->gap_s), m->c->bin_ns) * m->c->bin_ns;
    double total = 0.0;
    for (size_t i = 0; i < m->observed.n; i++)
        total += (double)(o[i].end - o[i].begin);
    for (int64_t b = 0; b < s->blocks; b++) {
        double done = 0.0;
        for (int k = 0; k < LOOM_SPLITS; k++) {
            int first = b == 0 && done == 0.0;
            int64_t from = clock_of(m, total * ((double)b + done) / (double)s->blocks);
            done += s->fraction[k];
            int64_t to = clock_of(m, total * ((double)b + fmin(done, 1.0)) / (double)s->blocks);
            if (s->fraction[k] > 0.0)
                cut_pieces(m, first ? from : from + gap, to, k, first);
        }
    }
}

static int split_of_recording(const struct maker *m)
{
    for (int k = 0; k < LOOM_SPLITS; k++)
        if (loom_words_match(&m->c->spec.split.value[k], m->r->id))
            return k;
    return -1;
}

/* Train time is kept from its begin on, so that a smaller limit is a subset of a larger one. */
static void limit_pieces(struct maker *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    struct piece *p = m->pieces.at;
    double total = 0.0;
    for (size_t i = 0; i < m->pieces.n; i++)
        total += p[i].split == LOOM_TRAIN ? (double)(p[i].end - p[i].begin) : 0.0;
    int64_t left = (int64_t)(total * s->limit);
    for (size_t i = 0; i < m->pieces.n; i++) {
        if (p[i].split != LOOM_TRAIN)
            continue;
        int64_t length = p[i].end - p[i].begin;
        if (length > left) {
            p[i].end = p[i].begin + left / m->c->bin_ns * m->c->bin_ns;
            p[i].cut_end = 1;
        }
        left -= length < left ? length : left;
    }
}

static int is_limited(const struct maker *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    return s->limit < 1.0 && (s->limit_recordings.n == 0 || loom_words_match(&s->limit_recordings, m->r->id));
}

/* ---- trials: rows by split ---- */

static int need_table(struct maker *m)
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

static int fail_column(struct maker *m, const char *option, const char *name)
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
static int place(const struct maker *m, int32_t row, const struct loom_column *align, struct trial *t)
{
    const struct loom_data_spec *s = &m->c->spec;
    const int64_t bin = m->c->bin_ns;
    double start = m->table->start_s[row], stop = m->table->stop_s[row];
    double event = align != NULL ? align->number[row] : start;
    if (!isfinite(start) || !isfinite(stop) || !isfinite(event) || stop <= start)
        return 0;
    *t = (struct trial){.row = row, .split = -1, .event = loom_ns(event)};
    if (s->window == LOOM_WINDOW_FIXED) {
        t->begin = loom_stored_edge(m->r, loom_ns(start));
        t->end = loom_stored_edge(m->r, loom_ns(stop));
    } else {
        t->begin = loom_stored_edge(m->r, loom_ns(event) - loom_ns(s->pre_s));
        int64_t end = s->post_s >= 0.0 ? loom_ns(event) + loom_ns(s->post_s) + bin / 2 : loom_ns(stop);
        t->end = t->begin + (end - t->begin) / bin * bin + m->c->forward_ns;
    }
    return t->end - t->begin >= bin + m->c->forward_ns;
}

static int by_trial_begin(const void *a, const void *b)
{
    const struct trial *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static int find_trials(struct maker *m)
{
    const struct loom_data_spec *s = &m->c->spec;
    const struct loom_column *align = NULL;
    struct trial t;
    m->trials.n = 0;
    if (need_table(m) != LOOM_OK)
        return LOOM_EDATA;
    if (s->window == LOOM_WINDOW_TRIAL && s->align[0] != '\0') {
        align = loom_intervals_column(m->table, s->align);
        if (align == NULL || align->number == NULL)
            return fail_column(m, "align", s->align);
    }
    for (int32_t i = 0; i < m->table->rows; i++)
        if (place(m, i, align, &t))
            push(&m->trials, &t);
    if (m->trials.failed)
        return loom_fail(m->e, LOOM_ENOMEM, m->r->file, 0, "no memory for the trials of %s", m->r->id);
    if (m->trials.n > 0)
        qsort(m->trials.at, m->trials.n, m->trials.size, by_trial_begin);
    return LOOM_OK;
}

static int value_matches(const struct loom_words *words, const struct loom_column *col, int32_t row)
{
    for (int32_t i = 0; i < words->n; i++) {
        if (col->text != NULL && strcmp(col->text[row], words->word[i]) == 0)
            return 1;
        char *end;
        double x = strtod(words->word[i], &end);
        if (col->number != NULL && *end == '\0' && x == col->number[row])
            return 1;
    }
    return 0;
}

static int deal_by_column(struct maker *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    const struct loom_column *col = loom_intervals_column(m->table, s->column);
    struct trial *t = m->trials.at;
    if (col == NULL)
        return fail_column(m, "split.column", s->column);
    for (size_t i = 0; i < m->trials.n; i++)
        for (int k = LOOM_SPLITS - 1; k >= 0; k--)
            if (value_matches(&s->value[k], col, t[i].row))
                t[i].split = k;
    return LOOM_OK;
}

/* The place of each trial in a shuffle that hangs on the seed and the recording's name. */
static int32_t *shuffled_ranks(const struct maker *m)
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

static int deal_by_share(struct maker *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    struct trial *t = m->trials.at;
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
static int limit_trials(struct maker *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    struct trial *t = m->trials.at;
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

/* ---- spans ---- */

static void emit(struct maker *m, const struct trial *t)
{
    push(&m->spans, &(struct loom_span){t->low, t->high, t->begin, t->end, m->number, t->split, t->row});
}

/* Windows of a stretch lie on whole bins from its begin. */
static void emit_piece(struct maker *m, const struct piece *p)
{
    int64_t bins = (p->end - p->begin) / m->c->bin_ns;
    struct trial t = {p->begin, p->begin + bins * m->c->bin_ns, p->begin, p->end, 0, -1, p->split};
    if (bins * m->c->bin_ns > m->c->forward_ns)
        emit(m, &t);
}

/* Trial windows in a split by time or by recording: the trial follows the piece that holds its event; one that reaches
 * into another split's time is left out. */
static void emit_trials_of_pieces(struct maker *m)
{
    const struct piece *p = m->pieces.at;
    struct trial *t = m->trials.at;
    for (size_t i = 0; i < m->trials.n; i++)
        for (size_t k = 0; k < m->pieces.n; k++) {
            if (t[i].event < p[k].begin || t[i].event >= p[k].end || p[k].split < 0)
                continue;
            if ((p[k].cut_begin && t[i].begin < p[k].begin) || (p[k].cut_end && t[i].end > p[k].end))
                continue;
            t[i].low = p[k].begin;
            t[i].high = p[k].end;
            t[i].split = p[k].split;
            emit(m, &t[i]);
        }
}

/* Where windows of trials of different splits overlap, both end half way. What two trials share afterwards they share
 * within one split. Ends only move down and begins only up, so a pair once parted stays parted. */
static void part_trials(struct trial *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n && t[j].begin < t[i].end; j++) {
            if (t[i].split == t[j].split || t[j].low >= t[i].high)
                continue;
            int64_t top = t[i].high < t[j].high ? t[i].high : t[j].high;
            int64_t middle = t[j].low + (top - t[j].low) / 2;
            t[i].high = middle;
            t[j].low = middle;
        }
}

static int by_low(const void *a, const void *b)
{
    const struct trial *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* What a trial may read reaches half way to the windows beside it. */
static void widen_trials(struct trial *t, size_t n)
{
    int64_t latest = INT64_MIN;
    if (n > 0)
        qsort(t, n, sizeof *t, by_low);
    for (size_t i = 0; i < n; i++) {
        int64_t begin = t[i].low, end = t[i].high;
        if (i == 0)
            t[i].low = INT64_MIN / 2;
        else if (latest < begin)
            t[i].low = begin - (begin - latest) / 2;
        latest = end > latest ? end : latest;
        if (i + 1 == n)
            t[i].high = INT64_MAX / 2;
        else if (latest == end && t[i + 1].low > end)
            t[i].high = end + (t[i + 1].low - end) / 2;
    }
}

static int64_t edge_after(const struct loom_recording *r, int64_t t)
{
    int64_t edge = loom_stored_edge(r, t);
    return edge >= t ? edge : loom_stored_edge(r, t + loom_ns(r->counts->bin_s));
}

static void emit_trial(struct maker *m, struct trial t)
{
    const struct interval *o = m->observed.at;
    const int trial_window = m->c->spec.window == LOOM_WINDOW_TRIAL;
    const struct trial whole = t;
    for (size_t i = 0; i < m->observed.n; i++) {
        if (trial_window && (whole.event < o[i].begin || whole.event >= o[i].end))
            continue;
        t.low = whole.low > o[i].begin ? whole.low : o[i].begin;
        t.high = whole.high < o[i].end ? whole.high : o[i].end;
        if (!trial_window) {
            t.begin = whole.begin > t.low ? whole.begin : edge_after(m->r, t.low);
            int64_t end = whole.end < t.high ? whole.end : t.high;
            t.end = t.begin + (end > t.begin ? (end - t.begin) / m->c->bin_ns * m->c->bin_ns : 0);
        }
        int64_t low = t.begin > t.low ? t.begin : t.low, high = t.end < t.high ? t.end : t.high;
        if (high - low >= m->c->bin_ns + m->c->forward_ns)
            emit(m, &t);
    }
}

static void emit_trials(struct maker *m)
{
    struct trial *t = m->trials.at;
    size_t n = 0;
    for (size_t i = 0; i < m->trials.n; i++)
        if (t[i].split >= 0) {
            t[n] = t[i];
            t[n].low = t[n].begin;
            t[n].high = t[n].end;
            n++;
        }
    part_trials(t, n);
    widen_trials(t, n);
    for (size_t i = 0; i < n; i++)
        emit_trial(m, t[i]);
}

static int split_pieces(struct maker *m)
{
    const struct loom_data_spec *s = &m->c->spec;
    m->pieces.n = 0;
    if (s->split.by == LOOM_BY_TIME)
        pieces_by_time(m);
    else
        cut_pieces(m, INT64_MIN, INT64_MAX, split_of_recording(m), 1);
    if (m->pieces.failed)
        return loom_fail(m->e, LOOM_ENOMEM, m->r->file, 0, "no memory to split %s", m->r->id);
    if (is_limited(m))
        limit_pieces(m);
    if (s->window == LOOM_WINDOW_TRIAL) {
        int rc = find_trials(m);
        emit_trials_of_pieces(m);
        return rc;
    }
    const struct piece *p = m->pieces.at;
    for (size_t i = 0; i < m->pieces.n; i++)
        if (p[i].split >= 0)
            emit_piece(m, &p[i]);
    return LOOM_OK;
}

static int split_recording(struct maker *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    int rc = find_observed(m);
    if (rc == LOOM_OK && (s->by == LOOM_BY_TIME || s->by == LOOM_BY_RECORDING))
        return split_pieces(m);
    if (rc == LOOM_OK)
        rc = find_trials(m);
    if (rc == LOOM_OK)
        rc = s->by == LOOM_BY_COLUMN ? deal_by_column(m) : deal_by_share(m);
    if (rc == LOOM_OK && is_limited(m))
        rc = limit_trials(m);
    if (rc == LOOM_OK)
        emit_trials(m);
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const struct loom_span *x = a, *y = b;
    if (x->recording != y->recording)
        return x->recording < y->recording ? -1 : 1;
    if (x->split != y->split)
        return x->split < y->split ? -1 : 1;
    if (x->window_ns != y->window_ns)
        return x->window_ns < y->window_ns ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

int loom_spans_make(struct loom_catalog *c, struct loom_error *e)
{
    struct maker m = {.c = c,
                      .e = e,
                      .observed.size = sizeof(struct interval),
                      .pieces.size = sizeof(struct piece),
                      .trials.size = sizeof(struct trial),
                      .spans.size = sizeof(struct loom_span)};
    int rc = LOOM_OK;
    for (int32_t i = 0; i < c->recordings && rc == LOOM_OK; i++) {
        m.r = c->recording[i];
        m.number = i;
        rc = split_recording(&m);
    }
    if (rc == LOOM_OK && m.spans.failed)
        rc = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for the spans of the splits");
    if (rc == LOOM_OK && m.spans.n == 0)
        rc =
            loom_fail(e, LOOM_EDATA, NULL, 0,
                      "the splits hold nothing at all: check split.train, split.valid, split.test and the trial table");
    if (rc == LOOM_OK)
        qsort(m.spans.at, m.spans.n, m.spans.size, by_place);
    else
        free(m.spans.at);
    c->span = rc == LOOM_OK ? m.spans.at : NULL;
    c->spans = rc == LOOM_OK ? (int32_t)m.spans.n : 0;
    free(m.observed.at);
    free(m.pieces.at);
    free(m.trials.at);
    return rc;
}
