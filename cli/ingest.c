/* SPDX-License-Identifier: Apache-2.0 */
/* loom-ingest: the process that reads one recording for loom, so that a damaged file kills it and nothing else. */
#include <loom/data.h>

#include <stdio.h>
#include <unistd.h>

int main(void)
{
    if (isatty(STDIN_FILENO)) {
        fprintf(stderr, "loom-ingest: started by loom to read recordings; use `loom data`\n");
        return 2;
    }
    int code = loom_ingest_child();
    /* No destructors: libraries that have read a damaged file may not survive them. */
    _exit(code);
}
