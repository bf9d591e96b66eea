/* SPDX-License-Identifier: Apache-2.0 */
/* EDF, EDF+, BDF and BDF+ files: header, places in time of the records, annotations. */
#ifndef LOOM_EDF_H
#define LOOM_EDF_H

#include <loom/plugin.h>

enum { EDF_MOST_SIGNALS = 4096 };

struct edf_signal {
    char label[17], unit[9];
    double scale, offset; /* physical = digital · scale + offset */
    int64_t samples;      /* a record */
    int64_t at;           /* bytes from the beginning of a record */
    int kind;             /* enum edf_kind */
    int group;            /* of signals with one clock and unit; -1 = not read */
};
enum edf_kind { EDF_SIGNAL, EDF_ANNOTATIONS, EDF_STATUS };

struct edf_note {
    double start_s, seconds; /* seconds -1: not given */
    char *text;
};

struct edf {
    int fd;
    const char *file;
    struct loom_sink *sink;
    struct loom_error *e;
    int bytes;      /* of a sample: 2 EDF, 3 BDF */
    int plus, gaps; /* plus: has annotations; gaps: records do not follow one another */
    char subject[81], date[32];
    int signals;
    struct edf_signal *signal;
    int64_t header, record, records; /* bytes, bytes, number */
    double record_s;
    double *onset; /* [records] seconds */
    struct edf_note *note;
    size_t notes, note_room;
};

/* Header, onsets of records, annotations. edf_close after failure too. */
int edf_open(struct edf *f, const char *file, struct loom_sink *sink, struct loom_error *e);
void edf_close(struct edf *f);
/* Records [from, from + n) into out [n · record bytes]. */
int edf_read(struct edf *f, int64_t from, int64_t n, unsigned char *out);

#endif
