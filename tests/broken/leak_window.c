/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: leak-asan */
/* Instances leave nothing behind, and every window does. */
#include "altered.h"

static int forget(const void *self, const struct loom_window *w, struct loom_rows_builder *b, struct loom_error *e)
{
    void *volatile lost = malloc(100);
    (void)lost;
    return ndt2_tokenize(self, w, b, e);
}
ALTERED_TOKENIZE("leak_window", forget)
