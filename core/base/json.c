/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/hash.h"
#include "base/io.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void loom_json_string(struct loom_str *s, const char *text)
{
    loom_str_addn(s, "\"", 1);
    while (*text != '\0') {
        size_t n = loom_utf8_bytes((const unsigned char *)text);
        if (n == 0)
            loom_str_utf8(s, (const char[]){*text, '\0'});
        else if (*text == '"' || *text == '\\')
            loom_str_printf(s, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            loom_str_printf(s, "\\u%04x", (unsigned char)*text);
        else
            loom_str_addn(s, text, n);
        text += n == 0 ? 1 : n;
    }
    loom_str_addn(s, "\"", 1);
}

void loom_json_real(struct loom_str *s, double x)
{
    if (isfinite(x))
        loom_str_real(s, x);
    else
        loom_str_add(s, "null");
}

json_t *loom_json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

double loom_json_to_real(const json_t *x)
{
    return json_is_number(x) ? json_number_value(x) : NAN;
}

double loom_json_real_at(const json_t *of, const char *key)
{
    return loom_json_to_real(json_object_get(of, key));
}

const char *loom_json_text_at(const json_t *of, const char *key)
{
    const char *text = json_string_value(json_object_get(of, key));
    return text != NULL ? text : "";
}

int loom_json_sum(const json_t *x, char out[65], struct loom_error *e)
{
    struct loom_sha256 sum;
    char *text = json_dumps(x, JSON_SORT_KEYS | JSON_COMPACT);
    if (text == NULL)
        return loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for a checksum: free some");
    loom_sha256_init(&sum);
    loom_sha256_add(&sum, text, strlen(text));
    loom_sha256_hex(&sum, out);
    free(text);
    return LOOM_OK;
}

json_t *loom_json_parse(const char *bytes, size_t n, const char *file, struct loom_error *e)
{
    json_error_t fault;
    json_t *json = json_loadb(bytes, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &fault);
    if (json == NULL)
        loom_fail(e, LOOM_EDATA, file, fault.line, "not valid JSON: %s (column %d); the file is damaged or is no JSON",
                  fault.text, fault.column);
    return json;
}

json_t *loom_json_load(const char *path, size_t limit, struct loom_error *e)
{
    char *bytes;
    size_t n;
    if (loom_file_read(&bytes, &n, path, limit, e) != LOOM_OK)
        return NULL;
    json_t *json = loom_json_parse(bytes, n, path, e);
    free(bytes);
    return json;
}
