/* SPDX-License-Identifier: Apache-2.0 */
#include "train/events.h"

#include "base/hash.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char file_name[] = "events.out.tfevents.loom", version[] = "brain.Event:2";
static const size_t LIMIT = (size_t)4 << 30;

/* ---- protobuf ---- */

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void put_varint(struct loom_str *s, uint64_t x)
{
    for (; x >= 128; x >>= 7)
        loom_str_addn(s, &(const char){(char)(x | 128)}, 1);
    loom_str_addn(s, &(const char){(char)x}, 1);
}

static void put_fixed(struct loom_str *s, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        loom_str_addn(s, &(const char){(char)(x >> (8 * i))}, 1);
}

static void put_key(struct loom_str *s, int field, int type)
{
    put_varint(s, (uint64_t)field << 3 | (uint64_t)type);
}

static void put_bytes(struct loom_str *s, int field, const char *bytes, size_t n)
{
    put_key(s, field, BYTES);
    put_varint(s, n);
    loom_str_addn(s, bytes, n);
}

static uint64_t bits64(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static uint32_t bits32(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- records ---- */

static uint32_t masked(const char *bytes, size_t n)
{
    uint32_t c = loom_crc32c(0, bytes, n);
    return (c >> 15 | c << 17) + 0xa282ead8u;
}

static void put_record(struct loom_str *out, const struct loom_str *event)
{
    char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (char)((uint64_t)event->length >> (8 * i));
    loom_str_addn(out, length, 8);
    put_fixed(out, masked(length, 8), 4);
    loom_str_addn(out, event->text, event->length);
    put_fixed(out, masked(event->text, event->length), 4);
    out->failed |= event->failed;
}

static void put_scalar(struct loom_str *out, int64_t step, const char *tag, double x)
{
    struct loom_str value = LOOM_STR_INIT, summary = LOOM_STR_INIT, event = LOOM_STR_INIT;
    put_bytes(&value, 1, tag, strlen(tag));
    put_key(&value, 2, FIXED32);
    put_fixed(&value, bits32((float)x), 4);
    put_bytes(&summary, 1, value.text, value.length);
    put_key(&event, 1, FIXED64);
    put_fixed(&event, bits64(now_s()), 8);
    put_key(&event, 2, VARINT);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, summary.text, summary.length);
    event.failed |= value.failed | summary.failed;
    put_record(out, &event);
    loom_str_release(&value);
    loom_str_release(&summary);
    loom_str_release(&event);
}

static void put_version(struct loom_str *out)
{
    struct loom_str event = LOOM_STR_INIT;
    put_key(&event, 1, FIXED64);
    put_fixed(&event, bits64(now_s()), 8);
    put_bytes(&event, 3, version, sizeof version - 1);
    put_record(out, &event);
    loom_str_release(&event);
}

/* All records in one write, so that a reader beside never sees a part of one for long. */
static int append(const struct loom_rundir *d, const struct loom_str *records, struct loom_error *e)
{
    char path[LOOM_PATH];
    struct loom_str head = LOOM_STR_INIT;
    int code = loom_rundir_path(d, path, e, "%s", file_name);
    if (code != LOOM_OK || records->length == 0)
        return code;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666), ok = fd >= 0;
    if (ok && lseek(fd, 0, SEEK_END) == 0)
        put_version(&head);
    loom_str_addn(&head, records->text, records->length);
    if (head.failed || records->failed)
        code = loom_fail(e, LOOM_ENOMEM, NULL, 0, "no memory for events: free some");
    else if (!ok || write(fd, head.text, head.length) != (ssize_t)head.length)
        code = loom_fail(e, LOOM_EIO, path, 0, "cannot be written: %s: make room, or set events = false",
                         errno != 0 ? strerror(errno) : "the disk is full");
    if (fd >= 0)
        close(fd);
    loom_str_release(&head);
    return code;
}

/* ---- what is said ---- */

static void put_number(struct loom_str *out, int64_t step, const char *stage, const char *name, const json_t *x)
{
    char tag[LOOM_EVENT_TAG];
    if (json_is_number(x) && snprintf(tag, sizeof tag, "%s/%s", stage, name) < (int)sizeof tag)
        put_scalar(out, step, tag, json_number_value(x));
}

int loom_events_log(const struct loom_rundir *d, const char *line, struct loom_error *e)
{
    json_t *j = json_loads(line, 0, NULL), *x;
    const char *stage = json_string_value(json_object_get(j, "stage")), *key;
    const char *event = json_string_value(json_object_get(j, "event"));
    int64_t step = json_integer_value(json_object_get(j, "step"));
    struct loom_str out = LOOM_STR_INIT;
    char name[LOOM_EVENT_TAG];
    if (event && stage && strcmp(event, "step") == 0) {
        static const char *const names[] = {"loss", "lr", "norm", "tokens_per_s"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            put_number(&out, step, stage, names[i], json_object_get(j, names[i]));
        json_object_foreach(json_object_get(j, "terms"), key, x)
        {
            snprintf(name, sizeof name, "terms/%s", key);
            put_number(&out, step, stage, name, x);
        }
    } else if (event && stage && strcmp(event, "valid") == 0) {
        json_object_foreach(j, key, x)
        {
            snprintf(name, sizeof name, "valid/%s", key);
            if (strcmp(key, "step") != 0 && strcmp(key, "seconds") != 0 && strcmp(key, "best_step") != 0)
                put_number(&out, step, stage, name, x);
        }
    }
    int code = append(d, &out, e);
    loom_str_release(&out);
    json_decref(j);
    return code;
}

static void put_means(struct loom_str *out, const char *stage, const char *split, const char *of, json_t *metrics)
{
    const char *metric;
    char name[LOOM_EVENT_TAG];
    json_t *x;
    json_object_foreach(metrics, metric, x)
    {
        snprintf(name, sizeof name, "%s%s%s/%s", split, of ? "/" : "", of ? of : "", metric);
        put_number(out, 0, stage, name, json_object_get(x, "mean"));
    }
}

int loom_events_metrics(const struct loom_rundir *d, const char *stage, json_t *metrics, struct loom_error *e)
{
    const char *split, *name;
    json_t *of, *baseline;
    struct loom_str out = LOOM_STR_INIT;
    json_object_foreach(metrics, split, of)
    {
        put_means(&out, stage, split, NULL, of);
        json_object_foreach(json_object_get(of, "baselines"), name, baseline)
            put_means(&out, stage, split, name, baseline);
    }
    int code = append(d, &out, e);
    loom_str_release(&out);
    return code;
}

/* ---- reading ---- */

static uint64_t get_fixed(const char *bytes, int n)
{
    uint64_t x = 0;
    for (int i = 0; i < n; i++)
        x |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
    return x;
}

/* A field of a message: its number; its bytes, or of others its value. 0: the message ends, or is none. */
static int get_field(const char **at, const char *end, const char **bytes, uint64_t *value)
{
    uint64_t x[2] = {0, 0};
    int type = 0;
    for (int k = 0; k < 2; k++) {
        int shift = 0, more = k == 0 || type == VARINT || type == BYTES;
        for (; more && *at < end && shift < 64; shift += 7) {
            unsigned char byte = (unsigned char)*(*at)++;
            x[k] |= (uint64_t)(byte & 127) << shift;
            more = byte >= 128;
        }
        if (more)
            return 0;
        type = (int)(x[0] & 7);
    }
    size_t n = type == BYTES ? (size_t)x[1] : type == FIXED64 ? 8 : type == FIXED32 ? 4 : 0;
    if (n > (size_t)(end - *at))
        return 0;
    *bytes = *at;
    *value = type == BYTES ? x[1] : n > 0 ? get_fixed(*at, (int)n) : x[1];
    *at += n;
    return (int)(x[0] >> 3);
}

static void get_value(const char *at, const char *end, struct loom_event *out)
{
    const char *bytes;
    uint64_t x;
    for (int field; (field = get_field(&at, end, &bytes, &x)) != 0;) {
        if (field == 1)
            snprintf(out->tag, sizeof out->tag, "%.*s", (int)(x < LOOM_EVENT_TAG ? x : LOOM_EVENT_TAG), bytes);
        uint32_t low = (uint32_t)x;
        if (field == 2)
            memcpy(&out->value, &low, sizeof low);
    }
}

int loom_events_read(const char *bytes, size_t size, size_t *at, struct loom_event *out)
{
    *out = (struct loom_event){0};
    if (size - *at < 16 || *at > size)
        return 0;
    uint64_t n = get_fixed(bytes + *at, 8);
    if (get_fixed(bytes + *at + 8, 4) != masked(bytes + *at, 8) || n > size - *at - 16)
        return 0;
    const char *event = bytes + *at + 12, *end = event + n, *field, *inner;
    if (get_fixed(end, 4) != masked(event, (size_t)n))
        return 0;
    uint64_t x, y;
    for (int number; (number = get_field(&event, end, &field, &x)) != 0;) {
        if (number == 1)
            memcpy(&out->wall_s, &x, sizeof x);
        if (number == 2)
            out->step = (int64_t)x;
        for (const char *in = field; number == 5 && get_field(&in, field + x, &inner, &y) == 1;)
            get_value(inner, inner + y, out);
    }
    *at += 16 + n;
    return 1;
}

int loom_events_rewind(const struct loom_rundir *d, const char *stage, int64_t step, struct loom_error *e)
{
    char path[LOOM_PATH], *bytes = NULL;
    size_t size = 0, at = 0, keep = 0, n = strlen(stage);
    struct loom_event event;
    int code = loom_rundir_path(d, path, e, "%s", file_name);
    if (code != LOOM_OK || !loom_file_exists(path))
        return code;
    code = loom_file_read(&bytes, &size, path, LIMIT, e);
    while (code == LOOM_OK && loom_events_read(bytes, size, &at, &event) &&
           !(strncmp(event.tag, stage, n) == 0 && event.tag[n] == '/' && event.step > step))
        keep = at;
    free(bytes);
    if (code == LOOM_OK && keep < size && truncate(path, (off_t)keep) != 0)
        code = loom_fail(e, LOOM_EIO, path, 0, "cannot be cut: %s: remove it, and it begins anew", strerror(errno));
    return code;
}
