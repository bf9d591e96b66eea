/* SPDX-License-Identifier: Apache-2.0 */
/* Where HDF5 keeps what nobody needs to decode: rows that stand together, or in chunks that no filter has touched. */
#include "h5.h"

/* A chunk is looked for among all of them, so that small ones are rather read; and where a block of the user's stands
 * before the file, versions of the library disagree on what places count from. */
static enum h5_layout find_layout(struct h5_file *f, struct h5_data *d)
{
    enum { LEAST_BYTES = 1 << 18, MOST_CHUNKS = 1 << 12 };
    hsize_t chunk[H5_RANK] = {0}, user = 1, rows_bytes = d->row * H5Tget_size(d->type);
    hid_t how = H5Dget_create_plist(d->id), file = H5Fget_create_plist(f->id);
    enum h5_layout layout = H5_ELSEWHERE;
    if (how >= 0 && file >= 0 && H5Pget_userblock(file, &user) >= 0 && user == 0 && H5Pget_nfilters(how) == 0) {
        d->stretch = d->rows;
        d->placed_row = H5S_UNLIMITED;
        if (H5Pget_layout(how) == H5D_CONTIGUOUS)
            layout = H5_TOGETHER;
#if H5_VERSION_GE(1, 10, 5)
        if (H5Pget_layout(how) == H5D_CHUNKED && H5Pget_chunk(how, H5_RANK, chunk) == d->rank) {
            d->stretch = chunk[0];
            int whole = chunk[0] * rows_bytes >= LEAST_BYTES && d->rows / chunk[0] < MOST_CHUNKS;
            for (int i = 1; i < d->rank; i++)
                whole &= chunk[i] == d->dims[i];
            layout = whole ? H5_CHUNKS : H5_ELSEWHERE;
        }
#endif
    }
    if (how >= 0)
        H5Pclose(how);
    if (file >= 0)
        H5Pclose(file);
    return layout;
}

/* Undefined where nothing was ever written, and all reads as the fill value. */
static haddr_t stretch_at(struct h5_data *d, hsize_t row)
{
    haddr_t at = HADDR_UNDEF;
    if (d->layout == H5_TOGETHER)
        return H5Dget_offset(d->id);
#if H5_VERSION_GE(1, 10, 5)
    hsize_t first[H5_RANK] = {row}, bytes;
    unsigned left_out;
    if (H5Dget_chunk_info_by_coord(d->id, first, &left_out, &at, &bytes) < 0)
        at = HADDR_UNDEF;
#endif
    return at;
}

int h5_place(struct h5_file *f, struct h5_data *d, int floats, hsize_t from, uint64_t *at, hsize_t *n)
{
    hsize_t file_bytes = 0, row_bytes = d->row * (floats ? sizeof(float) : sizeof(double));
    *n = d->rows - from;
    if (d->rank == 0 || d->row == 0 || *n == 0 || H5Tequal(d->type, floats ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE) <= 0)
        return 0;
    if (d->layout == H5_UNASKED)
        d->layout = find_layout(f, d);
    if (d->layout == H5_ELSEWHERE)
        return 0;
    hsize_t row = from / d->stretch * d->stretch;
    if (*n > d->stretch - (from - row))
        *n = d->stretch - (from - row);
    if (d->placed_row != row) {
        loom_sink_object(f->sink, d->path);
        d->placed_at = stretch_at(d, row);
        d->placed_row = row;
    }
    if (d->placed_at == HADDR_UNDEF || H5Fget_filesize(f->id, &file_bytes) < 0 || d->placed_at > file_bytes ||
        from - row + *n > (file_bytes - d->placed_at) / row_bytes)
        return 0;
    *at = d->placed_at + (from - row) * row_bytes;
    return 1;
}
