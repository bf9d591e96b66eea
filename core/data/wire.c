/* SPDX-License-Identifier: Apache-2.0 */
#include "data/wire.h"

#include <stdlib.h>
#include <string.h>

void loom_wire_release(struct loom_wire *w)
{
    free(w->data);
    memset(w, 0, sizeof *w);
}

void loom_wire_bytes(struct loom_wire *w, const void *bytes, size_t n)
{
    if (w->failed || n == 0)
        return;
    if (n > w->room - w->size) {
        size_t room = w->room < 256 ? 256 : w->room;
        while (room - w->size < n && room <= SIZE_MAX / 2)
            room *= 2;
        unsigned char *data = room - w->size < n ? NULL : realloc(w->data, room);
        if (data == NULL) {
            w->failed = 1;
            return;
        }
        w->data = data;
        w->room = room;
    }
    memcpy(w->data + w->size, bytes, n);
    w->size += n;
}

void loom_wire_i32(struct loom_wire *w, int32_t v)
{
    loom_wire_bytes(w, &v, sizeof v);
}

void loom_wire_i64(struct loom_wire *w, int64_t v)
{
    loom_wire_bytes(w, &v, sizeof v);
}

void loom_wire_f64(struct loom_wire *w, double v)
{
    loom_wire_bytes(w, &v, sizeof v);
}

void loom_wire_text(struct loom_wire *w, const char *text)
{
    if (text == NULL)
        text = "";
    size_t n = strlen(text);
    if (n > INT32_MAX - 1) {
        w->failed = 1;
        return;
    }
    loom_wire_i32(w, (int32_t)n);
    loom_wire_bytes(w, text, n + 1);
}

const void *loom_take_bytes(struct loom_view_bytes *v, uint64_t n)
{
    if (v->bad || n > (uint64_t)(v->end - v->at)) {
        v->bad = 1;
        return NULL;
    }
    const void *bytes = v->at;
    v->at += n;
    return bytes;
}

static void take(struct loom_view_bytes *v, void *out, size_t n)
{
    const void *bytes = loom_take_bytes(v, n);
    if (bytes != NULL)
        memcpy(out, bytes, n);
    else
        memset(out, 0, n);
}

int32_t loom_take_i32(struct loom_view_bytes *v)
{
    int32_t x;
    take(v, &x, sizeof x);
    return x;
}

int64_t loom_take_i64(struct loom_view_bytes *v)
{
    int64_t x;
    take(v, &x, sizeof x);
    return x;
}

double loom_take_f64(struct loom_view_bytes *v)
{
    double x;
    take(v, &x, sizeof x);
    return x;
}

const char *loom_take_text(struct loom_view_bytes *v)
{
    int32_t n = loom_take_i32(v);
    if (n < 0)
        v->bad = 1;
    const char *text = loom_take_bytes(v, (uint64_t)(n < 0 ? 0 : n) + 1);
    if (text == NULL || memchr(text, '\0', (size_t)n + 1) != text + n) {
        v->bad = 1;
        return "";
    }
    return text;
}
