/* SPDX-License-Identifier: Apache-2.0 */
/* Splits as spans. Per recording: what was observed, without invalid times → pieces (observed time cut at split
 * boundaries) or trials (rows of an interval table dealt to splits) → spans, disjoint between splits. */
#include "data/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void loom_list_push(struct loom_list *l, const void *item)
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

static void add_observed(struct loom_splitter *m, int64_t begin, int64_t end)
{
    const struct loom_counts *counts = m->r->counts;
    if (m->r->first_spike != NULL || counts == NULL) {
        if (end > begin)
            loom_list_push(&m->observed, &(struct loom_stretch){begin, end});
        return;
    }
    for (int32_t b = 0; b < counts->blocks; b++) {
        int64_t from = loom_ns(counts->block_start_s[b]);
        double length = (double)(counts->first_bin[b + 1] - counts->first_bin[b]) * counts->bin_s;
        int64_t to = loom_ns(counts->block_start_s[b] + length);
        from = from < begin ? loom_stored_edge(m->r, begin) : from;
        to = to > end ? loom_stored_edge(m->r, end) : to;
        if (to > from)
            loom_list_push(&m->observed, &(struct loom_stretch){from, to});
    }
}

static int by_begin(const void *a, const void *b)
{
    const struct loom_stretch *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* [begin, end) without the rows of the table of invalid times. */
static void add_valid(struct loom_splitter *m, const struct loom_stretch *bad, size_t n, int64_t begin, int64_t end)
{
    for (size_t i = 0; i < n; i++) {
        if (bad[i].end <= begin || bad[i].begin >= end)
            continue;
        add_observed(m, begin, bad[i].begin);
        begin = bad[i].end;
    }
    add_observed(m, begin, end);
}

static int find_observed(struct loom_splitter *m)
{
    const struct loom_recording *r = m->r;
    const struct loom_intervals *t = loom_recording_intervals(r, m->c->spec.invalid);
    struct loom_list bad = {.size = sizeof(struct loom_stretch)};
    m->observed.n = 0;
    for (int32_t i = 0; t != NULL && i < t->rows; i++)
        if (isfinite(t->start_s[i]) && isfinite(t->stop_s[i]))
            loom_list_push(&bad, &(struct loom_stretch){loom_ns(t->start_s[i]), loom_ns(t->stop_s[i])});
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
static int64_t clock_of(const struct loom_splitter *m, double position)
{
    const struct loom_stretch *o = m->observed.at;
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

static void cut_pieces(struct loom_splitter *m, int64_t from, int64_t to, int split, int first)
{
    const struct loom_stretch *o = m->observed.at;
    for (size_t i = 0; i < m->observed.n; i++) {
        int64_t begin = o[i].begin > from ? o[i].begin : from, end = o[i].end < to ? o[i].end : to;
        if (end > begin)
            loom_list_push(&m->pieces,
                           &(struct loom_piece){begin, end, split, begin == from && !first && begin > o[i].begin,
                                                end == to && end < o[i].end});
    }
}

static void pieces_by_time(struct loom_splitter *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    const struct loom_stretch *o = m->observed.at;
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

/* ---- pieces: intervals of the file ---- */

/* Between what a split is called and which part of it a table is: "splits.fold_0.train", "a$train", "train_domain". */
static const char between[] = ".$_/";

/* The table of one part: NAME.train by any of its words, or without a name train_domain or splits.train; NULL: none. */
static const struct loom_intervals *own_table(const struct loom_splitter *m, int split)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    const struct loom_intervals *t = NULL;
    char name[512];
    for (int32_t i = 0; i < s->value[split].n; i++) {
        const char *word = s->value[split].word[i];
        for (size_t k = 0; k + 1 < sizeof between && t == NULL; k++) {
            snprintf(name, sizeof name, "%s%c%s", s->name[0] != '\0' ? s->name : "splits", between[k], word);
            t = loom_recording_intervals(m->r, name);
        }
        snprintf(name, sizeof name, "%s_domain", word);
        if (t == NULL && s->name[0] == '\0')
            t = loom_recording_intervals(m->r, name);
        if (t != NULL)
            return t;
    }
    return NULL;
}

/* What the recording has, by its tables of train times. */
static int fail_own(struct loom_splitter *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    char have[512] = "";
    size_t used = 0;
    for (int32_t i = 0; i < m->r->intervals_count; i++) {
        const char *table = m->r->intervals[i].name;
        size_t n = strlen(table);
        for (int32_t k = 0; k < s->value[LOOM_TRAIN].n && used + 80 < sizeof have; k++) {
            size_t w = strlen(s->value[LOOM_TRAIN].word[k]);
            if (n > w + 1 && strcmp(table + n - w, s->value[LOOM_TRAIN].word[k]) == 0 &&
                strchr(between, table[n - w - 1]) != NULL)
                used += (size_t)snprintf(have + used, sizeof have - used, "%s\"%.*s\"", used > 0 ? ", " : "",
                                         (int)(n - w - 1 < 60 ? n - w - 1 : 60), table);
        }
    }
    return loom_fail(m->e, LOOM_EDATA, m->r->file, 0,
                     "recording %s has no split%s%s%s of its own, which split.by = \"file\" takes; %s%s%s", m->r->id,
                     s->name[0] != '\0' ? " \"" : "", s->name, s->name[0] != '\0' ? "\"" : "",
                     used > 0 ? "it has "
                              : "no intervals of it say what train, valid and test are: split by time or trial",
                     have, used > 0 ? ": name one with split.name" : "");
}

static int by_from(const void *a, const void *b)
{
    const struct loom_piece *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static int64_t edge_after(const struct loom_recording *r, int64_t t)
{
    int64_t edge = loom_stored_edge(r, t);
    return edge >= t ? edge : loom_stored_edge(r, t + loom_ns(r->counts->bin_s));
}

/* Intervals of the file as they stand, in the order of time. Those of one split that overlap are one; those of two may
 * not, for then no split would be worth anything. */
static int pieces_by_file(struct loom_splitter *m)
{
    struct loom_list own = {.size = sizeof(struct loom_piece)};
    int found = 0, rc = LOOM_OK;
    for (int k = 0; k < LOOM_SPLITS; k++) {
        const struct loom_intervals *t = own_table(m, k);
        found |= t != NULL;
        for (int32_t i = 0; t != NULL && i < t->rows; i++)
            if (isfinite(t->start_s[i]) && isfinite(t->stop_s[i]) && t->stop_s[i] > t->start_s[i])
                loom_list_push(&own, &(struct loom_piece){edge_after(m->r, loom_ns(t->start_s[i])),
                                                          loom_stored_edge(m->r, loom_ns(t->stop_s[i])), k, 0, 0});
    }
    struct loom_piece *p = own.at;
    if (!found)
        rc = fail_own(m);
    if (own.n > 0)
        qsort(p, own.n, own.size, by_from);
    int64_t done = INT64_MIN;
    for (size_t i = 0, last = 0; i < own.n && rc == LOOM_OK; i++) {
        if (p[i].begin < done && p[i].split != p[last].split) {
            rc = loom_fail(m->e, LOOM_EDATA, m->r->file, 0,
                           "recording %s: parts of its own split share the time from %.9g s to %.9g s, and what is "
                           "tested would be trained on; name another with split.name",
                           m->r->id, 1e-9 * (double)p[i].begin, 1e-9 * (double)(done < p[i].end ? done : p[i].end));
            break;
        }
        cut_pieces(m, p[i].begin > done ? p[i].begin : done, p[i].end, p[i].split, 0);
        if (p[i].end > done) {
            done = p[i].end;
            last = i;
        }
    }
    m->pieces.failed |= own.failed;
    free(own.at);
    return rc;
}

static int split_of_recording(const struct loom_splitter *m)
{
    for (int k = 0; k < LOOM_SPLITS; k++)
        if (loom_words_match(&m->c->spec.split.value[k], m->r->id))
            return k;
    return -1;
}

/* Train time is kept from its begin on, so that a smaller limit is a subset of a larger one. */
static void limit_pieces(struct loom_splitter *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    struct loom_piece *p = m->pieces.at;
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

int loom_split_limited(const struct loom_splitter *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    return s->limit < 1.0 && (s->limit_recordings.n == 0 || loom_words_match(&s->limit_recordings, m->r->id));
}

/* ---- spans ---- */

static void emit(struct loom_splitter *m, const struct loom_trial *t)
{
    loom_list_push(&m->spans, &(struct loom_span){t->low, t->high, t->begin, t->end, m->number, t->split, t->row});
}

/* Windows of a stretch lie on whole bins from its begin. */
static void emit_piece(struct loom_splitter *m, const struct loom_piece *p)
{
    int64_t bins = (p->end - p->begin) / m->c->bin_ns;
    struct loom_trial t = {p->begin, p->begin + bins * m->c->bin_ns, p->begin, p->end, 0, -1, p->split};
    if (bins * m->c->bin_ns > m->c->forward_ns)
        emit(m, &t);
}

/* Trial windows in a split by time or by recording: the trial follows the piece that holds its event; one that reaches
 * into another split's time is left out. */
static void emit_trials_of_pieces(struct loom_splitter *m)
{
    const struct loom_piece *p = m->pieces.at;
    struct loom_trial *t = m->trials.at;
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

/* Where windows of trials of different splits overlap, both end half way; bins to come yield altogether to a trial that
 * begins there. What two trials share afterwards they share within one split. Ends only move down and begins only up,
 * so a pair once parted stays parted. */
static void part_trials(struct loom_trial *t, size_t n, int64_t forward)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n && t[j].begin < t[i].end; j++) {
            if (t[i].split == t[j].split || t[j].low >= t[i].high)
                continue;
            int64_t top = t[i].high < t[j].high ? t[i].high : t[j].high;
            int64_t middle = t[j].low >= t[i].end - forward ? t[j].low : t[j].low + (top - t[j].low) / 2;
            t[i].high = middle;
            t[j].low = middle;
        }
}

static int by_low(const void *a, const void *b)
{
    const struct loom_trial *x = a, *y = b;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

/* What a trial may read reaches half way to the windows beside it. */
static void widen_trials(struct loom_trial *t, size_t n)
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

static void emit_trial(struct loom_splitter *m, struct loom_trial t)
{
    const struct loom_stretch *o = m->observed.at;
    const int trial_window = m->c->spec.window == LOOM_WINDOW_TRIAL;
    const struct loom_trial whole = t;
    /* What stands for a trial: its event, or the moment of what is seen that lies nearest to it. */
    int64_t place = whole.end - m->c->forward_ns - 1;
    place = whole.event < place ? whole.event : place;
    place = place > whole.begin ? place : whole.begin;
    for (size_t i = 0; i < m->observed.n; i++) {
        if (trial_window && (place < o[i].begin || place >= o[i].end))
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

static void emit_trials(struct loom_splitter *m)
{
    struct loom_trial *t = m->trials.at;
    size_t n = 0;
    for (size_t i = 0; i < m->trials.n; i++)
        if (t[i].split >= 0) {
            t[n] = t[i];
            t[n].low = t[n].begin;
            t[n].high = t[n].end;
            n++;
        }
    part_trials(t, n, m->c->forward_ns);
    widen_trials(t, n);
    for (size_t i = 0; i < n; i++)
        emit_trial(m, t[i]);
}

static int split_pieces(struct loom_splitter *m)
{
    const struct loom_data_spec *s = &m->c->spec;
    int rc = LOOM_OK;
    m->pieces.n = 0;
    if (s->split.by == LOOM_BY_TIME)
        pieces_by_time(m);
    else if (s->split.by == LOOM_BY_FILE)
        rc = pieces_by_file(m);
    else
        cut_pieces(m, INT64_MIN, INT64_MAX, split_of_recording(m), 1);
    if (rc != LOOM_OK)
        return rc;
    if (m->pieces.failed)
        return loom_fail(m->e, LOOM_ENOMEM, m->r->file, 0, "no memory to split %s", m->r->id);
    if (loom_split_limited(m))
        limit_pieces(m);
    if (s->window == LOOM_WINDOW_TRIAL) {
        rc = loom_trials_find(m);
        emit_trials_of_pieces(m);
        return rc;
    }
    const struct loom_piece *p = m->pieces.at;
    for (size_t i = 0; i < m->pieces.n; i++)
        if (p[i].split >= 0)
            emit_piece(m, &p[i]);
    return LOOM_OK;
}

static int split_recording(struct loom_splitter *m)
{
    const struct loom_split_spec *s = &m->c->spec.split;
    int rc = find_observed(m);
    if (rc == LOOM_OK && (s->by == LOOM_BY_TIME || s->by == LOOM_BY_RECORDING || s->by == LOOM_BY_FILE))
        return split_pieces(m);
    if (rc == LOOM_OK)
        rc = loom_trials_find(m);
    if (rc == LOOM_OK)
        rc = loom_trials_deal(m);
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
    struct loom_splitter m = {.c = c,
                              .e = e,
                              .observed.size = sizeof(struct loom_stretch),
                              .pieces.size = sizeof(struct loom_piece),
                              .trials.size = sizeof(struct loom_trial),
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
        rc = loom_fail(e, LOOM_EDATA, NULL, 0,
                       "the splits hold nothing at all: check split.train, split.valid, split.test%s and the trial "
                       "table",
                       c->spec.selects > 0 ? ", data.select (whose groups all have to hold)" : "");
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
