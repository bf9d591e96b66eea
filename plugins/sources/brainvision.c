/* SPDX-License-Identifier: Apache-2.0 */
/* Source `brainvision`: EEG in three files, .vhdr (channels), .vmrk (markers), .eeg (samples). Layout: Brain Products,
 * BrainVision Core Data Format 1.0. The other two are named by the first, and lie beside it. */
#include <loom/plugin.h>

#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct loom_option brainvision_options[] = {
    {"channels", LOOM_OPT_STRINGS, 0, "*", NULL, NULL, "Channels to read, by name or pattern (* and ?)."},
    {"series_name", LOOM_OPT_STRING, 0, "eeg", NULL, NULL, "Name of the series of all channels."},
    {"subject", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the subject."},
    {"session", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the session; empty = the file's name."},
    {"task", LOOM_OPT_STRING, 0, "", NULL, NULL, "Name of the task."},
    {0},
};

enum { MOST_CHANNELS = 4096, NAME = 64, MOST_TEXT = 64 << 20, LINE = 512 };

struct channel {
    char name[NAME], unit[16];
    double resolution;
    int read;
};

struct job {
    const char *file;
    struct loom_sink *sink;
    const struct loom_options *o;
    struct loom_error *e;
    char data[LINE], markers[LINE], orientation[LINE], format[LINE];
    double interval_us;
    int channels, bytes, is_float, taken;
    struct channel *channel;
    int64_t samples;
};

static int broken(struct job *j, const char *what)
{
    return loom_fail(j->e, LOOM_EDATA, j->file, 0, "%s; the header breaks its format: export the recording anew", what);
}

static int starved(struct job *j)
{
    return loom_fail(j->e, LOOM_ENOMEM, j->file, 0, "out of memory; raise the limit on memory");
}

/* Text of a small file, ended by a zero. Headers of before Unicode are in Latin-1, which every byte is. */
static char *read_text(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *raw = NULL, *text = NULL;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < MOST_TEXT)
        raw = calloc((size_t)st.st_size + 1, 1);
    ssize_t n = raw != NULL ? pread(fd, raw, (size_t)st.st_size, 0) : -1;
    if (fd >= 0)
        close(fd);
    if (n >= 0)
        text = calloc(2 * (size_t)n + 1, 1);
    int latin = n >= 0 && strstr(raw, "UTF-8") == NULL;
    for (size_t i = 0, k = 0; text != NULL && i < (size_t)n; i++) {
        unsigned char c = (unsigned char)raw[i];
        if (latin && c >= 128) {
            text[k++] = (char)(0xc0 | c >> 6);
            text[k++] = (char)(0x80 | (c & 63));
        } else if (c != '\0') {
            text[k++] = (char)c;
        }
    }
    free(raw);
    return text;
}

/* The next line without its end; NULL after the last. */
static const char *next_line(const char *at, char line[LINE])
{
    if (*at == '\0')
        return NULL;
    size_t n = strcspn(at, "\r\n");
    snprintf(line, LINE, "%.*s", (int)(n < LINE - 1 ? n : LINE - 1), at);
    at += n;
    return at + (*at == '\r') + (at[*at == '\r'] == '\n');
}

/* Field k of a list with commas, in which a comma is written \1. */
static void field(const char *list, int k, char *out, size_t size)
{
    for (; k > 0 && list != NULL; k--)
        list = (list = strchr(list, ',')) != NULL ? list + 1 : NULL;
    size_t used = 0;
    for (; list != NULL && *list != '\0' && *list != ',' && used + 1 < size; list++)
        if (list[0] == '\\' && list[1] == '1') {
            out[used++] = ',';
            list++;
        } else {
            out[used++] = *list;
        }
    out[used] = '\0';
}

static int take_channel(struct job *j, const char *line, const char *value)
{
    long number = strtol(line + 2, NULL, 10);
    char resolution[32];
    if (number < 1 || number > j->channels)
        return broken(j, "a channel has a number beyond NumberOfChannels");
    struct channel *c = &j->channel[number - 1];
    field(value, 0, c->name, sizeof c->name);
    field(value, 2, resolution, sizeof resolution);
    field(value, 3, c->unit, sizeof c->unit);
    c->resolution = resolution[0] != '\0' ? strtod(resolution, NULL) : 1;
    if (!isfinite(c->resolution) || c->resolution == 0)
        return broken(j, "a channel has a resolution that is no number");
    if (c->unit[0] == '\0')
        snprintf(c->unit, sizeof c->unit, "µV");
    return LOOM_OK;
}

static int take_line(struct job *j, const char *section, const char *line)
{
    const char *eq = strchr(line, '='), *value = eq != NULL ? eq + 1 : "";
    const struct {
        const char *key;
        char *text;
    } texts[] = {{"DataFile=", j->data},
                 {"MarkerFile=", j->markers},
                 {"DataOrientation=", j->orientation},
                 {"BinaryFormat=", j->format}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strncasecmp(line, texts[i].key, strlen(texts[i].key)) == 0)
            snprintf(texts[i].text, LINE, "%s", value);
    if (strncasecmp(line, "SamplingInterval=", 17) == 0)
        j->interval_us = strtod(value, NULL);
    if (strncasecmp(line, "DataFormat=", 11) == 0 && strcasecmp(value, "BINARY") != 0)
        return loom_fail(j->e, LOOM_EDATA, j->file, 0,
                         "has its samples as text (DataFormat=%.20s); export it as binary", value);
    if (strncasecmp(line, "NumberOfChannels=", 17) == 0 && j->channels == 0) {
        long n = strtol(value, NULL, 10);
        if (n < 1 || n > MOST_CHANNELS)
            return broken(j, "NumberOfChannels is no number from 1 to 4096");
        j->channels = (int)n;
        if ((j->channel = calloc((size_t)n, sizeof *j->channel)) == NULL)
            return starved(j);
        for (int i = 0; i < j->channels; i++) {
            j->channel[i].resolution = 1;
            snprintf(j->channel[i].name, NAME, "ch%d", i + 1);
        }
    }
    return strcasecmp(section, "[Channel Infos]") == 0 && strncasecmp(line, "Ch", 2) == 0 ? take_channel(j, line, value)
                                                                                          : LOOM_OK;
}

static int read_header(struct job *j)
{
    char line[LINE], section[LINE] = "";
    char *text = read_text(j->file);
    const char *at = text;
    int status = LOOM_OK;
    if (text == NULL ||
        (strncmp(text, "Brain Vision Data Exchange", 26) != 0 && strncmp(text, "BrainVision Data Exchange", 25) != 0)) {
        free(text);
        return loom_fail(j->e, LOOM_EDATA, j->file, 0, "is no BrainVision header (.vhdr); name that file");
    }
    while (status == LOOM_OK && (at = next_line(at, line)) != NULL) {
        if (strcasecmp(line, "[Comment]") == 0)
            break;
        if (line[0] == '[')
            memcpy(section, line, sizeof section);
        else if (line[0] != ';' && line[0] != '\0')
            status = take_line(j, section, line);
    }
    free(text);
    j->is_float = strcasecmp(j->format, "IEEE_FLOAT_32") == 0;
    j->bytes = strcasecmp(j->format, "INT_16") == 0 ? 2 : j->is_float || strcasecmp(j->format, "INT_32") == 0 ? 4 : 0;
    if (status == LOOM_OK && j->bytes == 0)
        status = loom_fail(
            j->e, LOOM_EDATA, j->file, 0,
            "has BinaryFormat=%.20s; INT_16, INT_32 and IEEE_FLOAT_32 are read: export it as one of them", j->format);
    if (status == LOOM_OK && (j->channels == 0 || !(j->interval_us > 0 && isfinite(j->interval_us))))
        status = broken(j, "NumberOfChannels or SamplingInterval is missing");
    return status;
}

/* Beside the header: a name that leads elsewhere would pull in another file. $b stands for the header's own name. */
static int beside(struct job *j, const char *name, char *out, size_t size)
{
    const char *slash = strrchr(j->file, '/'), *base = slash != NULL ? slash + 1 : j->file, *dot = strrchr(base, '.');
    int stem = dot != NULL ? (int)(dot - base) : (int)strlen(base), folder = (int)(base - j->file);
    if (name[0] == '\0' || strpbrk(name, "/\\") != NULL)
        return loom_fail(j->e, LOOM_EDATA, j->file, 0,
                         "names the file \"%.80s\"; a file beside it is due: move it there and correct the name", name);
    int n = strncmp(name, "$b", 2) == 0 ? snprintf(out, size, "%.*s%.*s%s", folder, j->file, stem, base, name + 2)
                                        : snprintf(out, size, "%.*s%s", folder, j->file, name);
    return n >= 0 && (size_t)n < size ? LOOM_OK : broken(j, "a name is too long");
}

/* ---- samples ---- */

static float value(const struct job *j, const unsigned char *at)
{
    uint32_t bits = at[0] | (uint32_t)at[1] << 8;
    float x;
    if (j->bytes == 2)
        return (int16_t)bits;
    bits |= (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    memcpy(&x, &bits, sizeof x);
    return j->is_float ? x : (float)(int32_t)bits;
}

static int read_at(struct job *j, int fd, int64_t at, unsigned char *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, out + done, n - done, (off_t)at + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return loom_fail(j->e, LOOM_EDATA, j->file, 0, "%s became shorter while it was read; read it again",
                             j->data);
        done += (size_t)got;
    }
    return LOOM_OK;
}

static int send_piece(struct job *j, int fd, int series, int64_t from, int64_t n, unsigned char *raw, float *out)
{
    int across = strcasecmp(j->orientation, "VECTORIZED") == 0, status = LOOM_OK, dim = 0;
    int64_t size = j->bytes, all = j->channels;
    if (!across)
        status = read_at(j, fd, from * all * size, raw, (size_t)(n * all * size));
    for (int c = 0; c < j->channels && status == LOOM_OK; c++) {
        if (!j->channel[c].read)
            continue;
        if (across)
            status = read_at(j, fd, (c * j->samples + from) * size, raw, (size_t)(n * size));
        for (int64_t i = 0; i < n && status == LOOM_OK; i++)
            out[i * j->taken + dim] =
                (float)(value(j, raw + (across ? i : i * all + c) * size) * j->channel[c].resolution);
        dim++;
    }
    return status == LOOM_OK ? loom_sink_samples(j->sink, series, n, NULL, out) : status;
}

static int begin_series(struct job *j)
{
    const char **name = calloc((size_t)j->channels + 1, sizeof *name), *unit = NULL;
    if (name == NULL)
        return starved(j);
    for (int c = 0; c < j->channels; c++) {
        struct channel *x = &j->channel[c];
        for (size_t i = 0; i < loom_opt_count(j->o, "channels") && !x->read; i++)
            x->read = fnmatch(loom_opt_string_at(j->o, "channels", i), x->name, 0) == 0;
        if (x->read && unit != NULL && strcmp(unit, x->unit) != 0) {
            loom_sink_warn(j->sink, "channel %s is in %s, not in %s, and is left out; name it alone in channels",
                           x->name, x->unit, unit);
            x->read = 0;
        }
        if (x->read) {
            unit = x->unit;
            name[j->taken++] = x->name;
        }
    }
    int series = j->taken > 0 ? loom_sink_series(j->sink, loom_opt_string(j->o, "series_name"), unit, j->taken, name,
                                                 1e6 / j->interval_us, 0)
                              : loom_fail(j->e, LOOM_EDATA, j->file, 0,
                                          "has no channel that channels names; its first is \"%s\" of %d",
                                          j->channel[0].name, j->channels);
    free(name);
    return series;
}

static int send_samples(struct job *j)
{
    char path[2 * LINE + 4096];
    struct stat st;
    int status = beside(j, j->data, path, sizeof path);
    int fd = status == LOOM_OK ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (status == LOOM_OK && (fd < 0 || fstat(fd, &st) != 0))
        status = loom_fail(j->e, LOOM_EDATA, j->file, 0,
                           "names the file %s, which cannot be opened: %s; the three files "
                           "belong into one folder",
                           j->data, strerror(errno));
    int64_t sample = (int64_t)j->channels * j->bytes, most = 1 + ((int64_t)1 << 21) / sample;
    if (status == LOOM_OK) {
        j->samples = st.st_size / sample;
        if (st.st_size % sample != 0 || j->samples == 0)
            status =
                loom_fail(j->e, LOOM_EDATA, j->file, 0,
                          "%s holds %lld bytes, which are no whole samples of %d channels: it is cut short; fetch it "
                          "again",
                          j->data, (long long)st.st_size, j->channels);
    }
    int series = status == LOOM_OK ? begin_series(j) : 0;
    status = status == LOOM_OK && series < 0 ? series : status;
    unsigned char *raw = malloc((size_t)(most * sample));
    float *out = malloc((size_t)most * (size_t)(j->channels) * sizeof *out);
    if (status == LOOM_OK && (raw == NULL || out == NULL))
        status = starved(j);
    loom_sink_object(j->sink, j->data);
    for (int64_t done = 0; done < j->samples && status == LOOM_OK; done += most)
        status = send_piece(j, fd, series, done, j->samples - done < most ? j->samples - done : most, raw, out);
    free(raw);
    free(out);
    if (fd >= 0)
        close(fd);
    return status;
}

/* ---- markers: MkN=type,description,position from 1,length,channel ---- */

struct marks {
    double *start, *stop;
    char **type, **label;
    int32_t n;
};

static int take_mark(struct job *j, struct marks *m, const char *list)
{
    char type[128], label[256], position[32], length[32], *end;
    field(list, 0, type, sizeof type);
    field(list, 1, label, sizeof label);
    field(list, 2, position, sizeof position);
    field(list, 3, length, sizeof length);
    double at = strtod(position, &end), long_ = strtod(length, NULL), step = 1e-6 * j->interval_us;
    if (end == position || !(at >= 1) || !isfinite(at) || !(long_ >= 0) || !isfinite(long_)) {
        loom_sink_warn(j->sink, "marker \"%.60s\" has no position and is left out", list);
        return LOOM_OK;
    }
    m->start[m->n] = (at - 1) * step;
    m->stop[m->n] = (at - 1 + (long_ > 1 ? long_ : 0)) * step;
    m->type[m->n] = strdup(type);
    m->label[m->n] = strdup(label);
    m->n++;
    return m->type[m->n - 1] != NULL && m->label[m->n - 1] != NULL ? LOOM_OK : starved(j);
}

static int send_marks(struct job *j)
{
    char path[2 * LINE + 4096], line[LINE];
    struct marks m = {0};
    int status = j->markers[0] != '\0' ? beside(j, j->markers, path, sizeof path) : LOOM_OK;
    char *text = status == LOOM_OK && j->markers[0] != '\0' ? read_text(path) : NULL;
    size_t lines = 1;
    loom_sink_object(j->sink, j->markers);
    if (status != LOOM_OK || text == NULL) {
        if (status == LOOM_OK)
            loom_sink_warn(j->sink, "has no markers that can be read (%s)", j->markers);
        return status;
    }
    for (const char *c = text; *c != '\0'; c++)
        lines += *c == '\n' || *c == '\r';
    m.start = calloc(lines, sizeof *m.start);
    m.stop = calloc(lines, sizeof *m.stop);
    m.type = calloc(lines, sizeof *m.type);
    m.label = calloc(lines, sizeof *m.label);
    if (m.start == NULL || m.stop == NULL || m.type == NULL || m.label == NULL)
        status = starved(j);
    for (const char *at = text; status == LOOM_OK && (at = next_line(at, line)) != NULL;)
        if (strncasecmp(line, "Mk", 2) == 0 && strchr(line, '=') != NULL)
            status = take_mark(j, &m, strchr(line, '=') + 1);
    if (status == LOOM_OK && m.n > 0)
        status = loom_sink_intervals(j->sink, "annotations", m.n, m.start, m.stop);
    if (status == LOOM_OK && m.n > 0)
        status = loom_sink_texts(j->sink, "label", (const char *const *)m.label);
    if (status == LOOM_OK && m.n > 0)
        status = loom_sink_texts(j->sink, "type", (const char *const *)m.type);
    for (int32_t i = 0; i < m.n; i++) {
        free(m.type[i]);
        free(m.label[i]);
    }
    free(m.start);
    free(m.stop);
    free(m.type);
    free(m.label);
    free(text);
    return status;
}

/* ---- the plugin ---- */

static int brainvision_create(const struct loom_setup *s, void **self, struct loom_error *e)
{
    (void)e;
    *self = (void *)(uintptr_t)loom_setup_options(s);
    return LOOM_OK;
}

static int brainvision_read(const void *self, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    struct job j = {.file = file, .o = self, .sink = sink, .e = e};
    char stem[STEM_NAME];
    if (file == NULL)
        return loom_fail(e, LOOM_ECONFIG, NULL, 0, "source brainvision reads a file; name its .vhdr in files");
    const char *session = loom_opt_string(j.o, "session");
    stem_of(stem, file);
    loom_sink_object(sink, "header");
    int status = read_header(&j);
    if (status == LOOM_OK)
        status = loom_sink_recording(sink, stem, loom_opt_string(j.o, "subject"), session[0] != '\0' ? session : stem,
                                     loom_opt_string(j.o, "task"), "");
    if (status == LOOM_OK)
        status = send_samples(&j);
    if (status == LOOM_OK)
        status = send_marks(&j);
    if (status == LOOM_OK)
        status = loom_sink_observed(sink, 0, (double)j.samples * 1e-6 * j.interval_us);
    free(j.channel);
    return status;
}

static const struct loom_source brainvision_source = {
    .part = {.size = sizeof brainvision_source, .create = brainvision_create},
    .read = brainvision_read,
};

static const struct loom_plugin brainvision_plugin = {
    .size = sizeof brainvision_plugin,
    .build = LOOM_BUILD_BLOCK,
    .id = "brainvision",
    .version = "1.0",
    .summary = "EEG of BrainVision (.vhdr, .vmrk, .eeg): channels scaled by their resolution, markers.",
    .license = "Apache-2.0",
    .kind = LOOM_SOURCE,
    .options = brainvision_options,
    .table = &brainvision_source,
};

const struct loom_plugin *loom_plugin_entry(uint32_t index)
{
    return index == 0 ? &brainvision_plugin : NULL;
}
