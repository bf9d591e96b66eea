/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: bare-recording */
/* A model is made of any recording, and its run ends at the first window of one that has no units. */
#include "altered.h"

static int strict(const void *self, const struct loom_window *w, struct loom_rows_builder *b, struct loom_error *e)
{
    if (w->units == 0)
        return loom_fail(e, LOOM_EDATA, NULL, 0, "a window without units; leave its recording out");
    return ndt2_tokenize(self, w, b, e);
}
ALTERED_TOKENIZE("needs_units", strict)
