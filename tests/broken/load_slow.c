/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: load-time (warned) */
#include "whole.h"

#include <time.h>

/* 0.2 s of processor time before anybody asked for anything. */
__attribute__((constructor)) static void work(void)
{
    struct timespec now;
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while (now.tv_sec == 0 && now.tv_nsec < 200000000);
}

static const struct loom_plugin slow = {WHOLE_PLUGIN("load_slow")};
WHOLE_ENTRY(slow)
