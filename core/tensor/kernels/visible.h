/* SPDX-License-Identifier: Apache-2.0 */
/* Which key a query may see within its group. */
#ifndef LOOM_TENSOR_VISIBLE_H
#define LOOM_TENSOR_VISIBLE_H

#include <loom/graph.h>

/* Whether the rule hides anything beyond the group's bounds. */
static inline int loom_rule_hides(const struct loom_attention *rule)
{
    return rule->causal || rule->back_s >= 0 || rule->ahead_s >= 0 || (rule->q_context && rule->k_context);
}

/* Context keys are seen by all; context queries see nothing else; the rest is ruled by time. */
static inline int loom_visible(const struct loom_attention *rule, int64_t q, int64_t k)
{
    if (rule->k_context && rule->k_context[k])
        return 1;
    if (rule->q_context && rule->q_context[q])
        return 0;
    if (rule->causal && rule->k_time[k] > rule->q_time[q])
        return 0;
    if (rule->back_s >= 0 && rule->k_time[k] < rule->q_time[q] - rule->back_s)
        return 0;
    return !(rule->ahead_s >= 0 && rule->k_time[k] > rule->q_time[q] + rule->ahead_s);
}

#endif
