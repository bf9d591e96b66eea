/* SPDX-License-Identifier: Apache-2.0 */
/* breaks: mask-leak-finite; may break: * */
/* A question is embedded with its own answer. */
#define ROWS_CONTENT(rows, r, i) ((rows)->target ? (rows)->target[i] : (rows)->value[i])
#include "rows.h"

ROWS_ENTRY("sees_target")
