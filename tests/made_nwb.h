/* SPDX-License-Identifier: Apache-2.0 */
/* NWB files made for tests: a sound one with a little of everything, and tools to spoil it. */
#ifndef LOOM_TESTS_MADE_NWB_H
#define LOOM_TESTS_MADE_NWB_H

#include <hdf5.h>
#include <math.h>
#include <string.h>

static inline hid_t made_lcpl(void)
{
    static hid_t lcpl = -1;
    if (lcpl < 0) {
        lcpl = H5Pcreate(H5P_LINK_CREATE);
        H5Pset_create_intermediate_group(lcpl, 1);
    }
    return lcpl;
}

static inline void made_group(hid_t f, const char *path)
{
    H5Gclose(H5Gcreate2(f, path, made_lcpl(), H5P_DEFAULT, H5P_DEFAULT));
}

static inline void made_drop(hid_t f, const char *path)
{
    if (H5Lexists(f, path, H5P_DEFAULT) > 0)
        H5Ldelete(f, path, H5P_DEFAULT);
}

/* Replaces what was there. rank 0: a scalar. */
static inline void made_put(hid_t f, const char *path, hid_t disk, hid_t memory, int rank, const hsize_t *dims,
                            const void *data, hid_t how)
{
    made_drop(f, path);
    hid_t space = rank > 0 ? H5Screate_simple(rank, dims, NULL) : H5Screate(H5S_SCALAR);
    hid_t id = H5Dcreate2(f, path, disk, space, made_lcpl(), how, H5P_DEFAULT);
    if (data != NULL)
        H5Dwrite(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    H5Dclose(id);
    H5Sclose(space);
}

static inline void made_reals(hid_t f, const char *path, hsize_t n, const double *x)
{
    made_put(f, path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 1, &n, x, H5P_DEFAULT);
}

static inline void made_table(hid_t f, const char *path, hsize_t rows, hsize_t columns, const double *x)
{
    hsize_t dims[2] = {rows, columns};
    made_put(f, path, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 2, dims, x, H5P_DEFAULT);
}

static inline void made_integers(hid_t f, const char *path, hid_t disk, hsize_t n, const int *x)
{
    made_put(f, path, disk, H5T_NATIVE_INT, 1, &n, x, H5P_DEFAULT);
}

static inline hid_t made_text_type(int variable)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, variable ? H5T_VARIABLE : 24);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static inline void made_texts(hid_t f, const char *path, int variable, hsize_t n, const char *const *x)
{
    hid_t type = made_text_type(variable);
    char fixed[8][24] = {{0}};
    for (hsize_t i = 0; i < n && i < 8; i++)
        strncpy(fixed[i], x[i], sizeof fixed[i] - 1);
    made_put(f, path, type, type, n > 1 ? 1 : 0, &n, variable ? (const void *)x : (const void *)fixed, H5P_DEFAULT);
    H5Tclose(type);
}

/* The members of h5py's booleans stand in this order, those of others in the other. */
static inline void made_bools(hid_t f, const char *path, int true_first, hsize_t n, const int *x)
{
    signed char yes = true_first ? 0 : 1, no = (signed char)!yes, raw[8];
    hid_t type = H5Tenum_create(H5T_NATIVE_SCHAR);
    H5Tenum_insert(type, "FALSE", &no);
    H5Tenum_insert(type, "TRUE", &yes);
    for (hsize_t i = 0; i < n && i < 8; i++)
        raw[i] = x[i] ? yes : no;
    made_put(f, path, type, type, 1, &n, raw, H5P_DEFAULT);
    H5Tclose(type);
}

static inline void made_attr(hid_t f, const char *path, const char *name, hid_t disk, hid_t memory, const void *value)
{
    hid_t object = H5Oopen(f, path, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
    if (H5Aexists(object, name) > 0)
        H5Adelete(object, name);
    hid_t id = H5Acreate2(object, name, disk, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(id, memory, value);
    H5Aclose(id);
    H5Sclose(space);
    H5Oclose(object);
}

static inline void made_attr_real(hid_t f, const char *path, const char *name, hid_t disk, double x)
{
    made_attr(f, path, name, disk, H5T_NATIVE_DOUBLE, &x);
}

static inline void made_attr_text(hid_t f, const char *path, const char *name, int variable, const char *x)
{
    hid_t type = made_text_type(variable);
    char fixed[24] = "";
    strncpy(fixed, x, sizeof fixed - 1);
    made_attr(f, path, name, type, type, variable ? (const void *)&x : (const void *)fixed);
    H5Tclose(type);
}

static inline void made_units(hid_t f)
{
    const double spikes[6] = {0.5, 0.25, 1.5, 2.5, 0.75, 3.5}, seen[4] = {0, 2, 3, 4};
    const int end[3] = {3, 3, 6}, id[3] = {11, 12, 13}, held[3] = {0, 1, 0}, electrode[3] = {1, 0, 1};
    const int one_each[3] = {1, 2, 3}, electrode_id[2] = {100, 101}, seen_end[3] = {2, 2, 2};
    const double x[2] = {10, 20};
    const char *const location[2] = {"M1", "PMd"}, *const group[2] = {"left", "right"};
    made_reals(f, "/units/spike_times", 6, spikes);
    made_integers(f, "/units/spike_times_index", H5T_STD_U8LE, 3, end);
    made_integers(f, "/units/id", H5T_STD_I64LE, 3, id);
    made_bools(f, "/units/heldout", 0, 3, held);
    made_integers(f, "/units/electrodes", H5T_STD_I64LE, 3, electrode);
    made_integers(f, "/units/electrodes_index", H5T_STD_U8LE, 3, one_each);
    made_table(f, "/units/obs_intervals", 2, 2, seen);
    made_integers(f, "/units/obs_intervals_index", H5T_STD_U8LE, 3, seen_end);
    made_integers(f, "/general/extracellular_ephys/electrodes/id", H5T_STD_I64LE, 2, electrode_id);
    made_reals(f, "/general/extracellular_ephys/electrodes/x", 2, x);
    made_texts(f, "/general/extracellular_ephys/electrodes/location", 1, 2, location);
    made_texts(f, "/general/extracellular_ephys/electrodes/group_name", 0, 2, group);
}

static inline void made_trials(hid_t f)
{
    const double start[3] = {0, 1, 3}, stop[3] = {1, 2, 4}, target[6] = {1, 2, 3, 4, 5, 6}, ragged[5] = {1, 2, 3, 4, 5};
    const int correct[3] = {1, 0, 1}, ends[3] = {1, 3, 5};
    const char *const split[3] = {"train", "", "test"};
    made_reals(f, "/intervals/trials/start_time", 3, start);
    made_reals(f, "/intervals/trials/stop_time", 3, stop);
    made_table(f, "/intervals/trials/target", 3, 2, target);
    made_bools(f, "/intervals/trials/correct", 1, 3, correct);
    made_texts(f, "/intervals/trials/split", 1, 3, split);
    made_reals(f, "/intervals/trials/tags", 5, ragged);
    made_integers(f, "/intervals/trials/tags_index", H5T_STD_U8LE, 3, ends);
    made_group(f, "/intervals/trials/meanings_tables");
}

static inline void made_series(hid_t f)
{
    const int raw[8] = {2, 4, 6, 8, 10, 12, 14, 16};
    const double zero = 2.0, channel[2] = {1, 10}, times[3] = {0.5, 1.0, 3.0}, eye[3] = {7, NAN, 9};
    hsize_t dims[2] = {4, 2};
    made_put(f, "/processing/behavior/Position/hand/data", H5T_STD_I16LE, H5T_NATIVE_INT, 2, dims, raw, H5P_DEFAULT);
    made_attr_real(f, "/processing/behavior/Position/hand/data", "conversion", H5T_IEEE_F32LE, 0.5);
    made_attr_real(f, "/processing/behavior/Position/hand/data", "offset", H5T_IEEE_F32LE, 1);
    made_attr_text(f, "/processing/behavior/Position/hand/data", "unit", 1, "meters");
    made_reals(f, "/processing/behavior/Position/hand/channel_conversion", 2, channel);
    made_put(f, "/processing/behavior/Position/hand/starting_time", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, 0, NULL, &zero,
             H5P_DEFAULT);
    made_attr_real(f, "/processing/behavior/Position/hand/starting_time", "rate", H5T_IEEE_F32LE, 0.1);
    made_reals(f, "/processing/behavior/eye/data", 3, eye);
    made_reals(f, "/processing/behavior/eye/timestamps", 3, times);
}

/* Behind `bytes` of the user's own at the file's beginning: 0, or a power of two from 512 on. */
static inline hid_t made_nwb_behind(const char *path, hsize_t bytes)
{
    const char *subject = "monkey J", *session = "s-7", *date = "2020-02-03T04:05:06";
    hid_t how = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(how, bytes);
    hid_t f = H5Fcreate(path, H5F_ACC_TRUNC, how, H5P_DEFAULT);
    H5Pclose(how);
    made_attr_text(f, "/", "nwb_version", 0, "2.6.0");
    made_texts(f, "/general/subject/subject_id", 1, 1, &subject);
    made_texts(f, "/general/session_id", 0, 1, &session);
    made_texts(f, "/session_start_time", 1, 1, &date);
    made_units(f);
    made_trials(f);
    made_series(f);
    return f;
}

static inline hid_t made_nwb(const char *path)
{
    return made_nwb_behind(path, 0);
}

#endif
