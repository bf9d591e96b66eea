/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <loom/types.h>

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("loom %s\n%s", loom_version(), loom_build_info());
        return 0;
    }
    fprintf(stderr, "usage: loom --version\n");
    return 2;
}
