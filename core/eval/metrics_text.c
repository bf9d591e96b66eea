/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/metrics.h"

#include "base/str.h"

#include <stdlib.h>

/* "0.831 [0.802, 0.857]" in a column. */
static void cell(struct loom_str *s, const json_t *metric)
{
    struct loom_str text = LOOM_STR_INIT;
    const json_t *mean = json_object_get(metric, "mean"), *interval = json_object_get(metric, "interval");
    if (json_is_number(metric))
        loom_str_printf(&text, "%.4g", json_number_value(metric));
    else if (json_is_number(mean))
        loom_str_printf(&text, "%.4g", json_number_value(mean));
    else
        loom_str_add(&text, "-");
    if (json_array_size(interval) == 2)
        loom_str_printf(&text, " [%.3g, %.3g]", json_number_value(json_array_get(interval, 0)),
                        json_number_value(json_array_get(interval, 1)));
    loom_str_printf(s, " %26s", text.text != NULL ? text.text : "");
    loom_str_release(&text);
}

static int is_metric(const json_t *j)
{
    return json_is_object(j) && json_object_get(j, "mean") != NULL;
}

/* One row: of each metric of `head` what `of` holds under its name, or, with a key, what that holds under the key. */
static char *row(const char *name, json_t *head, json_t *of, const char *key)
{
    struct loom_str s = LOOM_STR_INIT;
    const char *metric;
    json_t *x;
    int any = 0;
    loom_str_printf(&s, "  %-18s", name);
    json_object_foreach(head, metric, x)
    {
        const json_t *value = json_object_get(of, metric);
        if (!is_metric(x))
            continue;
        value = key != NULL ? json_object_get(value, key) : value;
        any |= value != NULL;
        cell(&s, value);
    }
    if (!any)
        loom_str_release(&s);
    return any ? loom_str_take(&s) : NULL;
}

static void tell(void (*line)(void *payload, const char *text), void *payload, char *text)
{
    if (text != NULL)
        line(payload, text);
    free(text);
}

void loom_metrics_tell(json_t *split, void (*line)(void *payload, const char *text), void *payload)
{
    struct loom_str head = LOOM_STR_INIT;
    const char *name;
    json_t *x;
    loom_str_printf(&head, "  %-18s", "");
    json_object_foreach(split, name, x)
    {
        if (is_metric(x))
            loom_str_printf(&head, " %26s", name);
    }
    tell(line, payload, loom_str_take(&head));
    tell(line, payload, row("this model", split, split, NULL));
    json_object_foreach(json_object_get(split, "baselines"), name, x)
    {
        tell(line, payload, row(name, split, x, NULL));
    }
    tell(line, payload, row("chance", split, split, "chance"));
    tell(line, payload, row("targets of others", split, split, "shuffle"));
}
