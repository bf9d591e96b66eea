/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/report_groups.h"

#include <stdlib.h>
#include <string.h>

static int32_t trials_of(const struct loom_predictions *p, int32_t condition)
{
    int32_t n = 0;
    for (int32_t k = 0; k < p->trials; k++)
        n += p->trial[k].condition == condition;
    return n;
}

void loom_report_conditions(struct loom_report_conditions *c, const struct loom_predictions *p)
{
    int32_t count[LOOM_WHEEL_COLOURS] = {0};
    *c = (struct loom_report_conditions){.n = 0};
    for (int32_t k = 0; k < p->conditions; k++) {
        int32_t n = trials_of(p, k);
        int worst = 0;
        c->of += n > 0;
        for (int i = 1; i < c->n; i++)
            worst = count[i] < count[worst] ? i : worst;
        if (n == 0 || (c->n == LOOM_WHEEL_COLOURS && n <= count[worst]))
            continue;
        for (int i = worst; c->n == LOOM_WHEEL_COLOURS && i + 1 < c->n; i++) {
            count[i] = count[i + 1];
            c->at[i] = c->at[i + 1];
        }
        c->n -= c->n == LOOM_WHEEL_COLOURS;
        count[c->n] = n;
        c->at[c->n++] = k;
    }
    for (int i = 0; i < c->n; i++)
        snprintf(c->name[i], sizeof c->name[i], "%s %s", p->condition_name, p->condition[c->at[i]]);
    if (c->n == 0 && p->trials > 0) {
        c->n = c->of = 1;
        c->at[0] = -1;
        snprintf(c->name[0], sizeof c->name[0], "all trials");
    }
}

int loom_report_condition(const struct loom_report_conditions *c, const struct loom_predictions *p, int32_t trial)
{
    for (int i = 0; trial >= 0 && i < c->n; i++)
        if (p->trial[trial].condition == c->at[i] || (c->n == 1 && c->at[0] == -1))
            return i;
    return -1;
}

void loom_report_origin(struct loom_str *s, const struct loom_page *page, const struct loom_report_group *g)
{
    const char *base = page->seeds > 0 ? strrchr(page->seed[page->shown], '/') : NULL;
    loom_str_printf(s, "%s split", g->split);
    if (base != NULL)
        loom_str_printf(s, ", %s of %d seeds", base + 1, page->seeds);
}

int loom_report_trial_rows(const struct loom_predictions *p, int32_t trial, int64_t *first, int64_t *last)
{
    const struct loom_predicted_trial *t = &p->trial[trial];
    int64_t low = 0, high = p->n;
    while (low < high) {
        int64_t k = low + (high - low) / 2;
        const struct loom_predicted *row = &p->row[k];
        if (row->recording < t->recording ||
            (row->recording == t->recording && 1e-9 * (double)row->time_ns < t->start_s))
            low = k + 1;
        else
            high = k;
    }
    *first = *last = low;
    while (*last < p->n && p->row[*last].recording == t->recording && 1e-9 * (double)p->row[*last].time_ns < t->stop_s)
        ++*last;
    return *last > *first;
}

int32_t loom_report_busiest(const struct loom_predictions *p)
{
    int32_t best = -1, most = 0;
    for (int32_t r = 0; r < p->recordings; r++) {
        int32_t n = 0;
        for (int32_t k = 0; k < p->trials; k++)
            n += p->trial[k].recording == r;
        if (n > most) {
            most = n;
            best = r;
        }
    }
    return best;
}
