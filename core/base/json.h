/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: written into a growing string, read by jansson behind limits; its values as numbers that may be NaN. */
#ifndef LOOM_BASE_JSON_H
#define LOOM_BASE_JSON_H

#include "base/str.h"

#include <jansson.h>

/* "text" with its quotes. Bytes that are not UTF-8 are written as U+FFFD: names of files may hold anything. */
void loom_json_string(struct loom_str *s, const char *text);
/* The number, null where it is not finite: JSON knows no NaN. */
void loom_json_real(struct loom_str *s, double x);

/* The number as a value, null where it is not finite. */
json_t *loom_json_number(double x);
/* The number that a value is, NaN if it is none: null, a text, absent. */
double loom_json_to_real(const json_t *x);
/* The same of member `key`; its text, "" where it has none. */
double loom_json_real_at(const json_t *of, const char *key);
const char *loom_json_text_at(const json_t *of, const char *key);
/* SHA-256 of what a value holds, whatever the order of its keys. LOOM_ENOMEM. */
int loom_json_sum(const json_t *x, char out[65], struct loom_error *e);

/* Parse `n` bytes strictly (UTF-8, no duplicate keys, nothing behind the end, at most 2048 levels deep). NULL with
 * LOOM_EDATA naming `file` and the line at fault. The caller calls json_decref(). */
json_t *loom_json_parse(const char *bytes, size_t n, const char *file, struct loom_error *e);
/* The same for a file of at most `limit` bytes; LOOM_EIO if it cannot be read. */
json_t *loom_json_load(const char *path, size_t limit, struct loom_error *e);

#endif
