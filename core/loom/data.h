/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings: what a session of an experiment holds, however its file was laid out.
 *
 * All times are seconds as double on the recording's own clock. A recording is immutable once read; it is mapped from a
 * checksummed cache, so a file larger than memory works. Pointers below are borrowed from that mapping.
 *
 * Sources (plugins) read in a child process with limits, where they can do one thing: fill a sink. What they may be
 * able to write is a recording as it stands in the cache.
 */
#ifndef LOOM_DATA_H
#define LOOM_DATA_H

#include <loom/types.h>

struct loom_options;
struct loom_plugin;

struct loom_unit {
    const char *name;   /* unique in the recording; "unit0" … where the file has no names */
    const char *group;  /* electrode group or array; "" = unknown */
    const char *region; /* brain region; "" = unknown */
    int32_t electrode;  /* channel or electrode number; -1 = unknown */
    int32_t held_out;   /* 1: the file names it held out (co-smoothing) */
    double x, y, z;     /* position, micrometres; NaN = unknown */
};

/* Spike counts in bins of one width, for recordings that come binned. Blocks are stretches without gaps; the time
 * between blocks was not recorded. */
struct loom_counts {
    double bin_s;
    int32_t blocks;
    const double *block_start_s; /* [blocks] */
    const int64_t *first_bin;    /* [blocks+1] */
    const uint16_t *count;       /* [bins, units] */
};

/* A signal sampled in time: behaviour, stimulus, EEG, or the truth of a simulation ("rates" in Hz [samples, units],
 * "latents"). */
struct loom_series {
    const char *name; /* "handVel" */
    const char *unit; /* "cm/s"; "" = unknown */
    int32_t dims;
    const char *const *dim_name; /* [dims], "x", "y"; never NULL */
    int64_t samples;
    double rate_hz; /* > 0: sample i stands at start_s + i / rate_hz; 0: time_s holds */
    double start_s;
    const double *time_s; /* [samples] ascending, or NULL when rate_hz > 0 */
    const float *value;   /* [samples, dims], conversion and offset applied; NaN = missing */
};

struct loom_column {
    const char *name;
    const double *number;    /* [rows] or NULL */
    const char *const *text; /* [rows] or NULL: exactly one of the two */
};

/* A table of intervals: trials, epochs, invalid times. */
struct loom_intervals {
    const char *name; /* "trials" */
    int32_t rows, columns;
    const double *start_s, *stop_s; /* [rows] */
    const struct loom_column *column;
};

/* A stretch of a recording that some units are missing from: its file has them elsewhere alone. */
struct loom_absence {
    double start_s, stop_s;
    const uint8_t *unit; /* [units] 1 = not recorded there */
};

struct loom_recording {
    const char *id;                                     /* unique in a run: what transfer, splits and reports call it */
    const char *subject, *session, *task, *date, *file; /* "" = unknown; date ISO 8601 */
    double start_s, stop_s;                             /* span of everything below */
    int32_t units;
    const struct loom_unit *unit;
    const int64_t *first_spike;       /* [units+1], or NULL when counts hold the spikes */
    const double *spike_s;            /* ascending within each unit */
    const struct loom_counts *counts; /* or NULL when spike times are known */
    int32_t series_count;
    const struct loom_series *series;
    int32_t intervals_count;
    const struct loom_intervals *intervals;
    int32_t observed_count;
    const double *observed_s; /* [observed_count, 2], ascending, disjoint: outside nothing was recorded */
    int32_t absences;
    const struct loom_absence *absence; /* [absences] ascending, disjoint; none: all units were there throughout */
};

LOOM_API const struct loom_series *loom_recording_series(const struct loom_recording *r,
                                                         const char *name); /* NULL: none */
LOOM_API const struct loom_intervals *loom_recording_intervals(const struct loom_recording *r,
                                                               const char *name); /* NULL: none */
LOOM_API const struct loom_column *loom_intervals_column(const struct loom_intervals *t,
                                                         const char *name); /* NULL: none */

/* ---- reading a file ---- */
/* How to read one file. Zero is the default of every member after `file`. */
struct loom_ingest {
    const struct loom_plugin *source;   /* kind LOOM_SOURCE */
    const char *module;                 /* file that `source` was loaded from; NULL: built into the library */
    const struct loom_options *options; /* of the source's table; NULL = all defaults */
    const char *file;                   /* NULL: the source makes its data itself */
    const char *cache;    /* folder; default $LOOM_CACHE, else $XDG_CACHE_HOME/loom, else ~/.cache/loom. It is made */
    int64_t memory_bytes; /* that the reading process may map; default 8 GiB */
    int64_t data_bytes;   /* that the file may hold; default 256 GiB */
    double cpu_s, wall_s; /* that reading may take; default 3600 and 7200 */
    double silence_s;     /* without a sign of life; default 300 */
    int refresh;          /* 1: read anew although a cache is there */
};
/* The recordings of one file, mapped read-only. */
struct loom_recordings;
/* Read `how->file` in a process of its own, or take what an earlier call left in the cache. Whatever the file does to
 * that process, this one lives: LOOM_EDATA names the file and the object being read, LOOM_ECONFIG the option at fault,
 * LOOM_EIO a cache that cannot be written or a helper program (loom-ingest) that cannot be started. Warnings go to
 * loom_log. Many processes may read the same file at once. The caller frees *out, after everything that borrows from
 * it. */
LOOM_API int loom_recordings_read(struct loom_recordings **out, const struct loom_ingest *how, struct loom_error *e);
LOOM_API int loom_recordings_count(const struct loom_recordings *set);
LOOM_API const struct loom_recording *loom_recordings_at(const struct loom_recordings *set, int i); /* NULL beyond */
LOOM_API void loom_recordings_free(struct loom_recordings *set);
/* The body of the helper program loom-ingest, for nothing else: reads what to do from descriptor 0, writes to 3.
 * Returns its exit code. */
LOOM_API int loom_ingest_child(void);

/* ---- sinks: what a source writes to [ingest child] ----
 * Every call copies; the first failure sticks and every later call returns it. */
struct loom_sink;
/* The object now being read ("/units/spike_times"): what the parent names if the child dies. */
LOOM_API int loom_sink_object(struct loom_sink *s, const char *path);
LOOM_API int loom_sink_warn(struct loom_sink *s, const char *fmt, ...) LOOM_PRINTF(2, 3);
/* Starts a recording; all further calls belong to it. A file may hold several. NULL = unknown. */
LOOM_API int loom_sink_recording(struct loom_sink *s, const char *id, const char *subject, const char *session,
                                 const char *task, const char *date);
LOOM_API int loom_sink_unit(struct loom_sink *s, const struct loom_unit *u); /* units get numbers 0, 1, … */
LOOM_API int loom_sink_spikes(struct loom_sink *s, int32_t unit, const double *time_s,
                              size_t n); /* appends; sorted by the core; non-finite refused */
/* The same for times that stand in the source's file as they are due: doubles of this machine's byte order, one after
 * the other from byte `at` on. Who keeps the recording reads them there, so that a large array does not pass through
 * this process; what is not finite is left out with a warning. LOOM_EDATA in the end, for the whole reading, where the
 * file does not hold them. */
LOOM_API int loom_sink_spikes_at(struct loom_sink *s, int32_t unit, uint64_t at, size_t n);
LOOM_API int loom_sink_counts(struct loom_sink *s, double start_s, double bin_s, int64_t bins,
                              const uint16_t *count /* [bins, units] */); /* one block */
/* Starts a series and returns its number (>= 0) or a negative status; rate_hz 0 = samples come with times. */
LOOM_API int loom_sink_series(struct loom_sink *s, const char *name, const char *unit, int32_t dims,
                              const char *const *dim_name, double rate_hz, double start_s);
LOOM_API int loom_sink_samples(struct loom_sink *s, int32_t series, int64_t n, const double *time_s,
                               const float *value /* [n, dims] */);
/* The same for values that stand in the source's file as float [n, dims] from byte `at` on, as in loom_sink_spikes_at.
 */
LOOM_API int loom_sink_samples_at(struct loom_sink *s, int32_t series, int64_t n, const double *time_s, uint64_t at);
LOOM_API int loom_sink_intervals(struct loom_sink *s, const char *name, int32_t rows, const double *start_s,
                                 const double *stop_s);
LOOM_API int loom_sink_numbers(struct loom_sink *s, const char *column,
                               const double *value); /* of the intervals begun last */
LOOM_API int loom_sink_texts(struct loom_sink *s, const char *column, const char *const *value);
LOOM_API int
loom_sink_observed(struct loom_sink *s, double start_s,
                   double stop_s); /* none given: counts' blocks, else from the first to the last spike or interval */

/* A signal at every q-th of its n samples: gaps (NaN) bridged by straight lines, low-pass filtered by 501 taps
 * (windowed sinc, cutoff 1/q of the Nyquist frequency, no delay, nothing beyond the ends), and NaN again where x[i q]
 * is: out [ceil(n / q)]. q >= 2. As nlb_tools resamples behaviour (scipy.signal.decimate with n = 500, ftype = "fir").
 * LOOM_ENOMEM. */
LOOM_API int loom_decimate(const double *x, int64_t n, int64_t q, double *out);

/* ---- windows: what a tokenizer sees of a recording [data] ---- */
struct loom_window_series {
    const char *name;
    int32_t dims, samples;
    const double *time_s;   /* [samples] from the window's origin */
    const loom_real *value; /* [samples, dims] in data units; NaN = missing */
};

/* Why a count is not seen: bits. */
enum loom_hold {
    LOOM_HELD_OUT = 1, /* the data hold it out (held-out unit, forward bin): it is asked for */
    LOOM_UNKNOWN = 2,  /* it was not recorded. With LOOM_HELD_OUT: it is asked for, and counts in no score */
};

struct loom_window {
    uint32_t size;     /* sizeof as the host built it */
    int32_t recording; /* number in the catalogue */
    const struct loom_recording *of;
    uint64_t key;      /* the sample's name: random draws hang on it */
    int64_t origin_ns; /* window's start on the recording's clock */
    double length_s;   /* bins cover [0, length_s) */
    double bin_s;
    int32_t bins, units;
    const int32_t *unit;       /* [units] numbers in the recording, ascending, after unit dropout */
    const uint16_t *count;     /* [bins, units] */
    const uint8_t *held;       /* [bins, units] or NULL: enum loom_hold. Values there read 0 */
    int64_t spikes;            /* -1 when the recording has counts alone */
    const double *spike_s;     /* [spikes] ascending, from the origin */
    const int32_t *spike_unit; /* [spikes] positions in `unit` */
    int32_t series_count;
    const struct loom_window_series *series; /* the behaviours that the stage named */
};

/* ---- catalogues: the recordings of a run, cut into splits and windows ---- */
enum loom_split { LOOM_TRAIN, LOOM_VALID, LOOM_TEST, LOOM_SPLITS };
struct loom_catalog;
LOOM_API int loom_catalog_count(const struct loom_catalog *c);
LOOM_API const struct loom_recording *loom_catalog_recording(const struct loom_catalog *c, int i);
LOOM_API double loom_catalog_bin_s(const struct loom_catalog *c);
LOOM_API double loom_catalog_window_s(const struct loom_catalog *c); /* length of the longest window */
/* Classes into which a column of the table of trials sorts windows, its values as text in ascending order; the class of
 * a window is a number from 0 to n - 1 among them. NULL and n = 0: a series has that name, there is no such column,
 * windows are not of trials, or the column has too many values. */
LOOM_API const char *const *loom_catalog_classes(const struct loom_catalog *c, const char *column, int32_t *n);

#endif
