/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: tok-answers; may break: * */
/* Every element of a row is told what the first one is told. */
#define ROWS_PICK(name) 0
#include "rows.h"

ROWS_ENTRY("one_answer")
