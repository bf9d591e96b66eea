/* SPDX-License-Identifier: Apache-2.0 */
#include "data/spool.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int loom_spool_open(const char *folder)
{
    char path[PATH_MAX];
    int nameless = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (nameless >= 0)
        return nameless;
    snprintf(path, sizeof path, "%s/spool-XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}
