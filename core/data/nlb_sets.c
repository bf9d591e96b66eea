/* SPDX-License-Identifier: Apache-2.0 */
#include "data/nlb_sets.h"

#include "config/tree.h"

#include <stdio.h>
#include <string.h>

#define MAZE                                                                                                           \
    .align = "move_onset_time", .pre_ms = 250, .post_ms = 450, .behavior = "hand_vel",                                 \
    .condition = {"trial_type", "trial_version"}

const struct loom_nlb_set loom_nlb_sets[] = {
    {.name = "mc_maze", MAZE, .lag_ms = 100, .psth_ms = 70},
    {.name = "mc_rtt",
     .align = "",
     .post_ms = 600,
     .behavior = "finger_vel",
     .lag_ms = 140,
     .targets_overlap = 1,
     .inputs_overlap = 1},
    {.name = "area2_bump",
     .align = "move_onset_time",
     .pre_ms = 100,
     .post_ms = 500,
     .behavior = "hand_vel",
     .lag_ms = -20,
     .condition = {"cond_dir", "ctr_hold_bump"},
     .psth_ms = 40,
     .decoder = "ctr_hold_bump",
     .targets_overlap = 1},
    {.name = "dmfc_rsg",
     .align = "go_time",
     .pre_ms = 1500,
     .scalar = {"is_eye", "theta", "is_short", "ts", "tp"},
     .condition = {"is_eye", "theta", "is_short", "ts"},
     .psth_ms = 70,
     .outlier = "is_outlier",
     .from = "set_time",
     .targets_overlap = 1,
     .inputs_overlap = 1,
     .jitter = "tp",
     .jitter_until_ms = 1500,
     .jitter_most_ms = 300},
    {.name = "mc_maze_large", MAZE, .lag_ms = 120, .psth_ms = 50, .prefix = "[500] "},
    {.name = "mc_maze_medium", MAZE, .lag_ms = 120, .psth_ms = 50, .prefix = "[250] "},
    {.name = "mc_maze_small", MAZE, .lag_ms = 120, .psth_ms = 50, .prefix = "[100] "},
    {.name = NULL},
};

const struct loom_nlb_set *loom_nlb_set(const char *name)
{
    for (const struct loom_nlb_set *s = loom_nlb_sets; s->name != NULL; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

const char *loom_nlb_set_instead(const char *name)
{
    const char *names[16];
    int n = 0;
    for (const struct loom_nlb_set *s = loom_nlb_sets; s->name != NULL; s++)
        names[n++] = s->name;
    names[n] = NULL;
    const char *near = name != NULL ? loom_nearest(name, names) : NULL;
    return near != NULL ? near
                        : "mc_maze, mc_rtt, area2_bump, dmfc_rsg, mc_maze_large, mc_maze_medium or mc_maze_small";
}

void loom_nlb_group(char out[LOOM_NLB_GROUP], const struct loom_nlb_set *set, int bin_ms)
{
    snprintf(out, LOOM_NLB_GROUP, "%s%s", set->name, bin_ms == 5 ? "" : "_20");
}

/* ---- a group's keys ---- */

struct preset {
    const struct loom_group *group, *from; /* from: the node of `nlb` */
    struct loom_error *e;
    int code;
};

static void set(struct preset *p, const char *name, const char *value)
{
    char text[256];
    if (p->code != LOOM_OK || loom_group_has(p->group, name))
        return;
    snprintf(text, sizeof text, "%s.%s=%s", loom_group_path(p->group), name, value);
    p->code = loom_tree_override(p->group->body->config, text, p->e);
    struct loom_group *node = p->code == LOOM_OK ? loom_node_member(p->group, name) : NULL;
    if (node != NULL) {
        node->file = p->from->file;
        node->line = p->from->line;
    }
}

static void set_ms(struct preset *p, const char *name, double ms)
{
    char text[32];
    snprintf(text, sizeof text, "%.17g", ms);
    set(p, name, text);
}

int loom_nlb_set_apply(const struct loom_group *data, struct loom_error *e)
{
    const char *name = loom_group_text(data, "nlb");
    const struct loom_nlb_set *s = name != NULL && *name != '\0' ? loom_nlb_set(name) : NULL;
    struct preset p = {.group = data, .e = e};
    if (name == NULL || *name == '\0')
        return LOOM_OK;
    if (s == NULL)
        return loom_group_fail(data, "nlb", e, LOOM_ECONFIG, "the benchmark has no dataset '%s': write %s", name,
                               loom_nlb_set_instead(name));
    p.from = loom_node_member(data, "nlb");
    set(&p, "source", "nwb");
    set(&p, "join", "all");
    set(&p, "window", "trial");
    set(&p, "bins", "clock");
    set_ms(&p, "bin_ms", 5);
    set(&p, "align", s->align);
    set_ms(&p, "pre_ms", s->pre_ms);
    set_ms(&p, "post_ms", s->post_ms);
    set_ms(&p, "forward_ms", LOOM_NLB_FORWARD_MS);
    if (s->jitter != NULL) {
        set(&p, "jitter_column", s->jitter);
        set_ms(&p, "jitter_until_ms", s->jitter_until_ms);
        set_ms(&p, "jitter_ms", s->jitter_most_ms);
    }
    p.group = loom_group_ensure(data, "split");
    if (p.group == NULL || p.group->body == NULL)
        return p.code != LOOM_OK ? p.code : loom_group_fail(data, "split", e, LOOM_ECONFIG, "is no group");
    set(&p, "by", "column");
    return p.code;
}
