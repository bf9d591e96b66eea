/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: abi-build-block */
#include <loom/plugin.h>

LOOM_API int tests_no_entry(void);

int tests_no_entry(void)
{
    return 0;
}
