/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: desc-complete */
#include "whole.h"

#define TEN "tokenizer "
#define FIFTY TEN TEN TEN TEN TEN

static const struct loom_plugin wordy = {.size = sizeof wordy,
                                         .build = LOOM_BUILD_BLOCK,
                                         .id = "long_summary",
                                         .version = "1.0",
                                         .summary = FIFTY FIFTY FIFTY FIFTY FIFTY,
                                         .license = "Apache-2.0",
                                         .kind = LOOM_TOKENIZER,
                                         .options = options,
                                         .table = &table};
WHOLE_ENTRY(wordy)
