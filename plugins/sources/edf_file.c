/* SPDX-License-Identifier: Apache-2.0 */
/* Layout: Kemp et al., A simple format for exchange of digitized polygraphic recordings, 1992; Kemp & Olivan, European
 * data format 'plus', 2003; BioSemi's 24-bit variant. A reader of our own, for EDFlib refuses every file with gaps, and
 * keeps open files in global tables. */
#include "edf.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_RECORD ((int64_t)1 << 28) /* bytes */
enum { MAIN = 256, SIGNAL = 256, MOST_NOTES = 1 << 24 };

static int broken(struct edf *f, const char *what)
{
    return loom_fail(f->e, LOOM_EDATA, f->file, 0,
                     "%s; the file is damaged or breaks its format: fetch it again, or export it anew", what);
}

static int read_at(struct edf *f, int64_t at, void *out, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(f->fd, (char *)out + done, n - done, (off_t)at + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return broken(f, "it is cut short");
        done += (size_t)got;
    }
    return LOOM_OK;
}

int edf_read(struct edf *f, int64_t from, int64_t n, unsigned char *out)
{
    return read_at(f, f->header + from * f->record, out, (size_t)(n * f->record));
}

/* A field of the header without the blanks around it. */
static void field(char *out, const char *at, size_t n)
{
    while (n > 0 && (at[n - 1] == ' ' || at[n - 1] == '\0'))
        n--;
    while (n > 0 && *at == ' ')
        at++, n--;
    memcpy(out, at, n);
    out[n] = '\0';
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?';
}

static int number(struct edf *f, const char *what, const char *at, size_t n, double *out)
{
    char text[24], *end;
    field(text, at, n < 20 ? n : 20);
    for (char *c = text; *c != '\0'; c++)
        if (*c == ',')
            *c = '.';
    *out = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(*out))
        return loom_fail(f->e, LOOM_EDATA, f->file, 0,
                         "its header says \"%s\" for %s, which is no number; the file breaks its format", text, what);
    return LOOM_OK;
}

/* The date of an EDF+ stands in full behind "Startdate"; that of an EDF has two digits for the year, from 1985 on. */
static void take_date(struct edf *f, const char *head)
{
    static const char months[] = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC";
    int day = 0, month = 0, year = 0, hour = 0, minute = 0, second = 0;
    char text[81], name[4] = "";
    field(text, head + 88, 80);
    if (sscanf(text, "Startdate %d-%3[A-Z]-%d", &day, name, &year) == 3 && strstr(months, name) != NULL)
        month = (int)(strstr(months, name) - months) / 3 + 1;
    else if (sscanf(head + 168, "%2d.%2d.%2d", &day, &month, &year) == 3)
        year += year >= 85 ? 1900 : 2000;
    sscanf(head + 176, "%2d.%2d.%2d", &hour, &minute, &second);
    if (year >= 1985 && year < 3000 && month >= 1 && month <= 12 && day >= 1 && day <= 31)
        snprintf(f->date, sizeof f->date, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, hour % 100, minute % 100,
                 second % 100);
}

static int take_main(struct edf *f, const char *head)
{
    char kind[45], patient[81];
    double header, records, signals;
    field(kind, head + 192, 44);
    field(patient, head + 8, 80);
    f->bytes = (unsigned char)head[0] == 255 ? 3 : 2;
    f->plus = strncmp(kind, "EDF+", 4) == 0 || strncmp(kind, "BDF+", 4) == 0;
    f->gaps = f->plus && kind[4] == 'D';
    int code = (int)strcspn(patient, " ");
    snprintf(f->subject, sizeof f->subject, "%.*s", f->plus ? code : 80, patient);
    if (strcmp(f->subject, "X") == 0)
        f->subject[0] = '\0';
    take_date(f, head);
    int status = number(f, "the bytes of the header", head + 184, 8, &header);
    if (status == LOOM_OK)
        status = number(f, "the number of records", head + 236, 8, &records);
    if (status == LOOM_OK)
        status = number(f, "the length of a record", head + 244, 8, &f->record_s);
    if (status == LOOM_OK)
        status = number(f, "the number of signals", head + 252, 4, &signals);
    if (status == LOOM_OK && !(signals >= 1 && signals <= EDF_MOST_SIGNALS && signals == floor(signals) &&
                               header == MAIN + SIGNAL * signals && f->record_s >= 0 && records >= -1))
        status = loom_fail(f->e, LOOM_EDATA, f->file, 0,
                           "its header speaks of %g signals in %g bytes of header, %g records of %g s; the file breaks "
                           "its format",
                           signals, header, records, f->record_s);
    if (status == LOOM_OK) {
        f->signals = (int)signals;
        f->header = (int64_t)header;
        f->records = (int64_t)records;
    }
    return status;
}

/* Field `i` of the signals' part, which has all labels first, then all transducers … */
static int take_signal(struct edf *f, const char *head, int i)
{
    static const int width[] = {16, 80, 8, 8, 8, 8, 8, 80, 8, 32};
    static const char *const what[] = {NULL,
                                       NULL,
                                       NULL,
                                       "a physical minimum",
                                       "a physical maximum",
                                       "a digital minimum",
                                       "a digital maximum",
                                       NULL,
                                       "the samples of a record"};
    struct edf_signal *s = &f->signal[i];
    double x[9] = {0};
    const char *at = head;
    int status = LOOM_OK;
    for (int k = 0; k < 9 && status == LOOM_OK; at += width[k] * f->signals, k++) {
        if (k == 0)
            field(s->label, at + 16 * i, 16);
        else if (k == 2)
            field(s->unit, at + 8 * i, 8);
        else if (what[k] != NULL)
            status = number(f, what[k], at + 8 * i, 8, &x[k]);
    }
    if (status != LOOM_OK)
        return status;
    int note = strcmp(s->label, "EDF Annotations") == 0 || strcmp(s->label, "BDF Annotations") == 0;
    s->kind = note ? EDF_ANNOTATIONS : f->bytes == 3 && strcmp(s->label, "Status") == 0 ? EDF_STATUS : EDF_SIGNAL;
    if (!(x[8] >= 1 && x[8] <= (double)MOST_RECORD) || x[8] != floor(x[8]))
        return loom_fail(f->e, LOOM_EDATA, f->file, 0,
                         "signal \"%s\" has %g samples a record; the file breaks its format", s->label, x[8]);
    s->samples = (int64_t)x[8];
    s->at = f->record;
    f->record += s->samples * f->bytes;
    s->scale = x[6] != x[5] ? (x[4] - x[3]) / (x[6] - x[5]) : 0;
    if (s->kind == EDF_SIGNAL && (s->scale == 0 || !isfinite(s->scale))) {
        loom_sink_warn(f->sink, "signal \"%s\" has no range to scale by; its digital values are read as they are",
                       s->label);
        s->scale = 1;
    } else {
        s->offset = x[3] - x[5] * s->scale;
    }
    for (size_t n = strlen(s->label); n > 0 && (s->label[n - 1] == '.' || s->label[n - 1] == ' '); n--)
        s->label[n - 1] = '\0';
    return LOOM_OK;
}

static int count_records(struct edf *f)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0 || st.st_size < f->header)
        return broken(f, "it ends within its header");
    int64_t whole = (st.st_size - f->header) / f->record;
    if (f->records < 0)
        loom_sink_warn(f->sink, "the recording was never finished: all of its %lld whole records are read",
                       (long long)whole);
    if (f->records > whole)
        return loom_fail(f->e, LOOM_EDATA, f->file, 0,
                         "its header promises %lld records, and the file holds %lld: it is cut short; fetch it again",
                         (long long)f->records, (long long)whole);
    if (f->records >= 0 && whole > f->records)
        loom_sink_warn(f->sink, "%lld bytes behind the last record are passed over",
                       (long long)(st.st_size - f->header - f->records * f->record));
    f->records = f->records < 0 ? whole : f->records;
    return f->records > 0 ? LOOM_OK : broken(f, "it holds no record");
}

static int read_header(struct edf *f)
{
    char head[MAIN + 1] = {0};
    int status = read_at(f, 0, head, MAIN);
    if (status != LOOM_OK || (memcmp(head, "0       ", 8) != 0 && memcmp(head,
                                                                         "\xff"
                                                                         "BIOSEMI",
                                                                         8) != 0))
        return loom_fail(f->e, LOOM_EDATA, f->file, 0, "is neither EDF nor BDF; name another source");
    status = take_main(f, head);
    char *more = status == LOOM_OK ? calloc((size_t)f->signals + 1, SIGNAL) : NULL;
    f->signal = status == LOOM_OK ? calloc((size_t)f->signals, sizeof *f->signal) : NULL;
    if (status == LOOM_OK)
        status = more != NULL && f->signal != NULL
                     ? read_at(f, MAIN, more, (size_t)f->signals * SIGNAL)
                     : loom_fail(f->e, LOOM_ENOMEM, f->file, 0, "out of memory; raise the limit on memory");
    for (int i = 0; i < f->signals && status == LOOM_OK; i++)
        status = take_signal(f, more, i);
    if (status == LOOM_OK && f->record > MOST_RECORD)
        status = broken(f, "its records are longer than can be");
    free(more);
    return status == LOOM_OK ? count_records(f) : status;
}

/* ---- annotations: "+onset[\25duration]\24text\24…\0", the first of a record without text: where the record begins
 * ---- */

static int add_note(struct edf *f, double start_s, double seconds, const char *text, size_t n)
{
    if (f->notes == f->note_room) {
        size_t room = f->note_room ? 2 * f->note_room : 64;
        struct edf_note *moved = room <= MOST_NOTES ? realloc(f->note, room * sizeof *moved) : NULL;
        if (moved == NULL)
            return loom_fail(f->e, LOOM_ENOMEM, f->file, 0, "out of memory for annotations");
        f->note = moved;
        f->note_room = room;
    }
    char *copy = strndup(text, n);
    if (copy == NULL)
        return loom_fail(f->e, LOOM_ENOMEM, f->file, 0, "out of memory for annotations");
    f->note[f->notes++] = (struct edf_note){start_s, seconds, copy};
    return LOOM_OK;
}

/* One list, from *at to the zero behind it. *onset: of its record, where it is the first. */
static int take_list(struct edf *f, const char **at, const char *end, double *onset)
{
    char *stop;
    const char *p = *at;
    double start = strtod(p, &stop), seconds = -1;
    int status = LOOM_OK;
    if ((*p != '+' && *p != '-') || stop == p || !isfinite(start))
        return broken(f, "an annotation has no time");
    if (*stop == '\25') {
        p = stop + 1;
        seconds = strtod(p, &stop);
        if (stop == p || !(seconds >= 0 && isfinite(seconds)))
            return broken(f, "an annotation has no length");
    }
    if (*stop != '\24')
        return broken(f, "an annotation breaks off");
    for (p = stop + 1; p < end && *p != '\0' && status == LOOM_OK;) {
        const char *mark = memchr(p, '\24', (size_t)(end - p));
        if (mark == NULL)
            return broken(f, "an annotation breaks off");
        if (mark > p)
            status = add_note(f, start, seconds, p, (size_t)(mark - p));
        p = mark + 1;
    }
    if (isnan(*onset))
        *onset = start;
    *at = p;
    return status;
}

/* All signals of annotations of a record; the buffer has a zero behind it, which ends every number. */
static int take_record(struct edf *f, int64_t record, char *buffer)
{
    int status = LOOM_OK, first = 1;
    for (int i = 0; i < f->signals && status == LOOM_OK; i++) {
        const struct edf_signal *s = &f->signal[i];
        if (s->kind != EDF_ANNOTATIONS)
            continue;
        size_t n = (size_t)(s->samples * f->bytes);
        double begins = first ? NAN : 0;
        status = read_at(f, f->header + record * f->record + s->at, buffer, n);
        buffer[n] = '\0';
        for (const char *p = buffer; status == LOOM_OK && p < buffer + n;)
            if (*p == '\0')
                p++;
            else
                status = take_list(f, &p, buffer + n, &begins);
        if (first && status == LOOM_OK && !isnan(begins))
            f->onset[record] = begins;
        first = 0;
    }
    return status;
}

static int read_notes(struct edf *f)
{
    size_t most = 0;
    int status = LOOM_OK;
    for (int i = 0; i < f->signals; i++)
        if (f->signal[i].kind == EDF_ANNOTATIONS && (size_t)(f->signal[i].samples * f->bytes) > most)
            most = (size_t)(f->signal[i].samples * f->bytes);
    f->onset = calloc((size_t)f->records, sizeof *f->onset);
    char *buffer = malloc(most + 1);
    if (f->onset == NULL || buffer == NULL)
        status = loom_fail(f->e, LOOM_ENOMEM, f->file, 0, "out of memory; raise the limit on memory");
    for (int64_t r = 0; r < f->records && status == LOOM_OK; r++) {
        f->onset[r] = r == 0 || f->gaps ? (double)r * f->record_s : f->onset[0] + (double)r * f->record_s;
        if (most > 0)
            status = take_record(f, r, buffer);
    }
    free(buffer);
    return status;
}

/* Records that say they follow one another do, whatever the letter in the header. */
static int check_onsets(struct edf *f)
{
    int gaps = 0;
    for (int64_t r = 1; r < f->records; r++) {
        double late = f->onset[r] - f->onset[r - 1] - f->record_s;
        if (late < -1e-3)
            return loom_fail(
                f->e, LOOM_EDATA, f->file, 0,
                "record %lld begins at %g s, before the end of the one before it; the file breaks its format",
                (long long)r, f->onset[r]);
        gaps |= late > 1e-3;
    }
    if (gaps && !f->gaps)
        loom_sink_warn(f->sink, "is declared continuous and has gaps, which are kept");
    f->gaps = gaps;
    return LOOM_OK;
}

int edf_open(struct edf *f, const char *file, struct loom_sink *sink, struct loom_error *e)
{
    *f = (struct edf){.fd = open(file, O_RDONLY | O_CLOEXEC), .file = file, .sink = sink, .e = e};
    if (f->fd < 0)
        return loom_fail(e, LOOM_EDATA, file, 0, "cannot open: %s; check its name", strerror(errno));
    loom_sink_object(sink, "header");
    int status = read_header(f);
    if (status == LOOM_OK) {
        loom_sink_object(sink, "annotations");
        status = read_notes(f);
    }
    return status == LOOM_OK ? check_onsets(f) : status;
}

void edf_close(struct edf *f)
{
    if (f->fd >= 0)
        close(f->fd);
    for (size_t i = 0; i < f->notes; i++)
        free(f->note[i].text);
    free(f->note);
    free(f->signal);
    free(f->onset);
}
