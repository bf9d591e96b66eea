/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: empty-input (crashed); may break: * */
/* Ends the process as if all were well. */
#include "whole.h"

#include <stdlib.h>

static int leave(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)s;
    (void)self;
    (void)e;
    exit(0);
}

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    static struct loom_tokenizer leaving;
    static struct loom_plugin exits = {WHOLE_PLUGIN("exits")};
    leaving = table;
    leaving.part.create = leave;
    exits.table = &leaving;
    return index == 0 ? &exits : NULL;
}
