#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""NumPy archives as NumPy itself writes them, for tests/test_npz.c: arrays.npz (deflated, every type and order that is
read), spikes.npz (stored), zip64.npz (sizes and places in 64 bits), pickle.npz (an array of objects).
Made with NumPy 2.4.6, Python 3.11: python3 tests/golden/arrays.py tests/golden"""
import io
import struct
import sys
import zlib

import numpy as np

out = sys.argv[1]
bins, units = 12, 3
counts = np.arange(bins * units).reshape(bins, units)
time = np.concatenate([np.arange(7), np.arange(7, 12) + 3]) * 0.02 + 1.0
np.savez_compressed(
    f"{out}/arrays.npz",
    spikes=np.asfortranarray(counts.astype(">i4")),
    time=time,
    vel=np.asfortranarray(np.stack([np.arange(bins) + 0.5, -np.arange(bins)], 1).astype("<f4")),
    force=np.arange(bins).astype(">f8") / 4,
    small=(np.arange(bins) / 8).astype("<f2"),
    moving=(np.arange(bins) % 2 == 1),
    eye=np.arange(8, dtype="<i2").reshape(4, 2),
    **{"eye.rate_hz": 250.0, "eye.start_s": 1.5, "eye.unit": "mm", "eye.dims": np.array(["left", "right"])},
    **{"trials.start_s": [1.0, 1.2], "trials.stop_s": [1.1, 1.3], "trials.target": np.array([[1, 2], [3, 4]], ">u2")},
    label=np.array(["go", "nö"]),
    **{"units.name": np.array(["a", "β", "c"]).astype(">U2"), "units.electrode": np.array([7, 8, 9])},
    subject="monkey",
    notes=np.array([1 + 2j]),
)
np.savez(
    f"{out}/spikes.npz",
    t=np.array([300.0, 100.0, np.nan, 250.0, 10.0]),
    who=np.array([0, 2, 0, 2, 0], "u1"),
    go=[0, 200],
    end=[200, 400],
    side=np.array([b"left", b"right"]),
    lfp=np.arange(20, dtype="i8"),
    lfp_t=np.arange(20) * 10.0,
)
np.savez(f"{out}/pickle.npz", spikes=np.array([[1, 2], [3]], dtype=object), other=np.arange(3))


def member(array):
    f = io.BytesIO()
    np.save(f, array)
    return f.getvalue()


data, name = member(counts.astype("u1")), b"spikes.npy"
crc = zlib.crc32(data)
full = 0xFFFFFFFF
local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 45, 0, 0, 0, 33, crc, full, full, len(name), 20) + name
local += struct.pack("<HHQQ", 1, 16, len(data), len(data))
central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 45, 45, 0, 0, 0, 33, crc, full, full, len(name), 28, 0, 0, 0, 0, full)
central += name + struct.pack("<HHQQQ", 1, 24, len(data), len(data), 0)
at = len(local) + len(data)
end64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(central), at)
locator = struct.pack("<4sIQI", b"PK\6\7", 0, at + len(central), 1)
end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, full, full, 5) + b"hello"
open(f"{out}/zip64.npz", "wb").write(local + data + central + end64 + locator + end)
