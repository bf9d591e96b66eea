/* SPDX-License-Identifier: Apache-2.0 */
/* Which part of a recording figures over time show. */
#include "base/order.h"
#include "eval/report_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps without a row that are a gap; room between spans, as a share of what is shown. */
enum { GAP = 5, STEPS = 512 };
static const double room = 0.03;

static double time_of(const struct loom_predictions *p, int64_t row)
{
    return 1e-9 * (double)p->row[row].time_ns;
}

/* The usual step from one time to the next: the median of some, for samples may have times of their own. */
static double usual_step(const struct loom_predictions *p, int64_t begin, int64_t end)
{
    double step[STEPS];
    size_t n = 0;
    for (int64_t i = begin + 1; i < end && n < STEPS; i++)
        if (p->row[i].time_ns > p->row[i - 1].time_ns)
            step[n++] = time_of(p, i) - time_of(p, i - 1);
    qsort(step, n, sizeof *step, loom_ascending);
    return n > 0 ? step[n / 2] : p->bin_s > 0.0 ? p->bin_s : 1.0;
}

/* Rows of the recording in the middle. */
static void middle(const struct loom_predictions *p, int64_t *begin, int64_t *end)
{
    *begin = *end = p->n / 2;
    while (*begin > 0 && p->row[*begin - 1].recording == p->row[*begin].recording)
        --*begin;
    while (*end < p->n && p->row[*end].recording == p->row[*begin].recording)
        ++*end;
}

/* A trial's own rows: where they begin and end. 0: it has none. */
static int span_of_trial(struct loom_report_span *t, const struct loom_predictions *p, int32_t trial, double step_s)
{
    int64_t first = -1, last = -1;
    int32_t condition = p->trial[trial].condition;
    if (!loom_report_trial_rows(p, trial, &t->first, &t->last))
        return 0;
    for (int64_t i = t->first; i < t->last; i++)
        if (loom_predictions_trial_of(p, &p->row[i]) == trial) {
            first = first < 0 ? i : first;
            last = i;
        }
    if (first < 0)
        return 0;
    t->trial = trial;
    t->from_s = time_of(p, first) - 0.5 * step_s;
    t->to_s = time_of(p, last) + 0.5 * step_s;
    t->zero_s = p->trial[trial].zero_s;
    snprintf(t->name, sizeof t->name, "%s", condition >= 0 ? p->condition[condition] : "");
    return 1;
}

/* Trials from the middle one on, as many as there is time for, and one in any case. */
static void take_trials(struct loom_report_spans *s, const struct loom_predictions *p, double most_s)
{
    int32_t begin = 0, end;
    double taken = 0.0;
    while (begin < p->trials && p->trial[begin].recording < s->recording)
        begin++;
    for (end = begin; end < p->trials && p->trial[end].recording == s->recording;)
        end++;
    for (int32_t k = begin + (end - begin) / 2; k < end && s->n < LOOM_REPORT_SPANS; k++) {
        struct loom_report_span *t = &s->at[s->n];
        if (!span_of_trial(t, p, k, s->step_s))
            continue;
        if (s->n > 0 && taken + (t->to_s - t->from_s) > most_s * (1.0 + 1e-9))
            break;
        t->to_s = fmin(t->to_s, t->from_s + most_s);
        taken += t->to_s - t->from_s;
        s->n++;
    }
}

/* Rows from the middle on, a span wherever none is missing. */
static void take_time(struct loom_report_spans *s, const struct loom_predictions *p, int64_t begin, int64_t end,
                      double most_s)
{
    struct loom_report_span *t = s->at;
    int64_t i = begin + (end - begin) / 2;
    double left = most_s;
    while (i > begin && p->row[i - 1].time_ns == p->row[i].time_ns)
        i--;
    for (; i < end && left > 0.5 * s->step_s; i++) {
        double time = time_of(p, i);
        if (s->n == 0 || time > t->to_s + (GAP - 0.5) * s->step_s) {
            if (s->n == LOOM_REPORT_SPANS)
                return;
            t = &s->at[s->n++];
            *t = (struct loom_report_span){.trial = -1, .first = i, .from_s = time - 0.5 * s->step_s};
            t->to_s = t->from_s;
        }
        left -= time + 0.5 * s->step_s - t->to_s;
        t->to_s = time + 0.5 * s->step_s;
        t->last = i + 1;
        while (i + 1 < end && p->row[i + 1].time_ns == p->row[i].time_ns)
            t->last = ++i + 1;
    }
}

void loom_report_spans(struct loom_report_spans *s, const struct loom_predictions *p, double most_s)
{
    int64_t begin, end;
    double sum = 0.0, at = 0.0;
    *s = (struct loom_report_spans){.n = 0};
    middle(p, &begin, &end);
    s->step_s = strcmp(p->likelihood, "poisson") == 0 && p->bin_s > 0.0 ? p->bin_s : usual_step(p, begin, end);
    s->recording = p->row[begin].recording;
    take_trials(s, p, most_s);
    if (s->n == 0)
        take_time(s, p, begin, end, most_s);
    for (int k = 0; k < s->n; k++)
        sum += s->at[k].to_s - s->at[k].from_s;
    for (int k = 0; k < s->n; k++) {
        struct loom_report_span *t = &s->at[k];
        t->at_s = at;
        at += t->to_s - t->from_s;
        s->panel[k] = (struct loom_panel){.from = t->at_s,
                                          .to = at,
                                          .reads = t->from_s - t->zero_s,
                                          .unseen = NAN,
                                          .name = t->name,
                                          .columns = (int)lround((t->to_s - t->from_s) / s->step_s)};
        at += room * sum;
        for (int64_t i = t->first; i < t->last && isnan(s->panel[k].unseen); i++)
            if (p->row[i].held == LOOM_HELD_FORWARD && loom_report_span_of(s, p, i) == k)
                s->panel[k].unseen = time_of(p, i) - 0.5 * s->step_s - t->zero_s;
    }
}

int loom_report_span_of(const struct loom_report_spans *s, const struct loom_predictions *p, int64_t row)
{
    double time = time_of(p, row);
    int32_t trial = s->n > 0 && s->at[0].trial >= 0 ? loom_predictions_trial_of(p, &p->row[row]) : -1;
    for (int k = 0; k < s->n; k++)
        if (row >= s->at[k].first && row < s->at[k].last && s->at[k].trial == trial && time < s->at[k].to_s)
            return k;
    return -1;
}

void loom_report_spans_note(struct loom_str *note, const struct loom_report_spans *s, const struct loom_predictions *p)
{
    int unseen = 0, named = 0;
    for (int k = 0; k < s->n; k++) {
        unseen |= isfinite(s->panel[k].unseen);
        named |= s->at[k].name[0] != '\0';
    }
    loom_str_add(note, p->recording[s->recording]);
    if (s->n > 0 && s->at[0].trial >= 0)
        loom_str_printf(note, ", %d trial%s", s->n, s->n == 1 ? "" : "s");
    if (named)
        loom_str_printf(note, " (above: %s)", p->condition_name);
    if (unseen)
        loom_str_add(note, "; from the solid line on: bins to come");
}

void loom_report_spans_label(char out[96], const struct loom_report_spans *s, const struct loom_predictions *p)
{
    if (s->n == 0 || s->at[0].trial < 0)
        snprintf(out, 96, "time in the recording, s");
    else if (p->zero_name[0] != '\0')
        snprintf(out, 96, "time from %s, s", p->zero_name);
    else
        snprintf(out, 96, "time in the trial, s");
}
