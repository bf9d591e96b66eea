/* SPDX-License-Identifier: Apache-2.0 */
/* loom-ingest: the process that does for loom what may kill a process, and kills it and nothing else: it reads one
 * recording, which may be damaged, or loads one plugin, which may be anything. */
#include <loom/data.h>

#include "plugin/tried.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--plugin") == 0)
        return loom_plugin_try_child(argv[2]);
    if (isatty(STDIN_FILENO)) {
        fprintf(stderr, "loom-ingest: started by loom to read recordings and to try plugins; use `loom data`\n");
        return 2;
    }
    int code = loom_ingest_child();
    /* No destructors: libraries that have read a damaged file may not survive them. */
    _exit(code);
}
