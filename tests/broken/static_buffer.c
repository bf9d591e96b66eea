/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: thread-instances; may break: det-threads */
#include "altered.h"
#include <time.h>

enum { ROOM = 1 << 16 };
static uint16_t buffer[ROOM];

/* Long enough for another thread to come by. */
static int borrowed(const void *self, const struct loom_window *w, struct loom_rows_builder *b, struct loom_error *e)
{
    struct loom_window own = *w;
    const size_t n = (size_t)w->bins * (size_t)w->units;
    if (n > ROOM)
        return loom_fail(e, LOOM_EINVAL, NULL, 0, "the window is too large: shorten it");
    memcpy(buffer, w->count, n * sizeof *buffer);
    nanosleep(&(struct timespec){0, 300000}, NULL);
    own.count = buffer;
    return ndt2_tokenize(self, &own, b, e);
}
ALTERED_TOKENIZE("static_buffer", borrowed)
