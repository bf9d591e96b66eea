/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: heldout-leak; may break: * */
/* A unit is scaled by its rate over the whole recording, test trials and all. */
#define ROWS_VALUE(w, k, u) rows_scaled(w, k, u)

#include <loom/plugin.h>

static loom_real rows_scaled(const struct loom_window *w, int32_t k, int32_t u)
{
    const struct loom_recording *r = w->of;
    double spikes = (double)(r->first_spike[w->unit[u] + 1] - r->first_spike[w->unit[u]]);
    return (loom_real)(w->count[(int64_t)k * w->units + u] * (r->stop_s - r->start_s) / (1 + spikes));
}

#include "rows.h"

ROWS_ENTRY("peeks")
